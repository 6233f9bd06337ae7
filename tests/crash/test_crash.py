"""Whatever breaks, whenever it breaks: every change happens once, and everybody is told the truth.

`make crash SEEDS=300` plays so many schedules, `make crash SEED=123` plays one again.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.rules.approval import State
from tests.crash.conftest import PLAYED
from tests.crash.invariants import wrong
from tests.crash.looking import Seen, look
from tests.crash.playing import Playing
from tests.crash.replicas import Nursery
from tests.crash.schedule import schedule
from tests.crash.world import World
from tests.support.postgres import Postgres

pytestmark = pytest.mark.anyio


IN_THE_SUITE = 20
"""Schedules that every run of the tests plays, half of them on each database."""


def _seeds() -> list[int]:
    one = os.environ.get("CRASH_SEED")
    return [int(one)] if one else list(range(int(os.environ.get("CRASH_SEEDS") or IN_THE_SUITE)))


@pytest.mark.parametrize("seed", _seeds())
async def test_whatever_breaks(
    seed: int,
    nursery: Nursery,
    crashing: Postgres | None,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    plan = schedule(seed)
    if plan.database == "postgresql" and crashing is None:
        pytest.skip("PostgreSQL is not installed: `make test` installs it")
    server = crashing if plan.database == "postgresql" else None
    began = time.monotonic()
    async with World.open(tmp_path, nursery, server, plan) as world:
        playing = Playing(world)
        await playing.run()
        seen = await look(world, playing.played)
        found = [*(f"unfinished: {what}" for what in playing.unfinished), *wrong(seen)]
    happened = playing.played.happened
    happened.update(_done(seen))
    happened["seconds"] = round(time.monotonic() - began)
    record_property(PLAYED, json.dumps(happened))
    if found:
        told = "\n".join(found)
        pytest.fail(
            f"{told}\n\nTo play it again: make crash SEED={seed}\n{plan}\n"
            f"What is left of it: {tmp_path}",
            pytrace=False,
        )


def _done(seen: Seen) -> Counter[str]:
    """What was really done, so that one sees that the schedules are not idle."""
    done = Counter(f"request: {request.action} {request.state}" for request in seen.requests)
    done["image pushed by others"] = len(seen.world.pushes)
    done["push refused"] = seen.world.refused_pushes
    done["start of a bot"] = sum(replica.starts for replica in seen.world.replicas)
    done["collection run"] = sum(word == "begin" for word, _ in seen.world.collections())
    done["tag taken away"] = sum(e.event == "tag.deleted" for e in seen.trail)
    done["tag put back"] = sum(e.event == "tag.restored" for e in seen.trail)
    done["taken over in a collection"] = sum(e.event == "gc.taken_over" for e in seen.trail)
    done["request left pending"] = sum(r.state is State.PENDING for r in seen.requests)
    return done
