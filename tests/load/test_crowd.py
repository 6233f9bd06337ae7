"""A crowd in front of the bot: all are acknowledged in time and answered, and nothing stays."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.playground.model import Delivery
from bot.store.store import Store
from tests.support.crowd import Crowd
from tests.support.images import push_image
from tests.support.replica import Replica
from tests.support.team import ANN, OPS, Team

pytestmark = pytest.mark.anyio
_MORE = 48 * 1024  # KiB of memory that a crowd may leave behind; one that leaks leaves hundreds


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with Team.open(tmp_path) as made:
        await push_image(made.registry.url, "team/api", "1")
        yield made


async def test_a_crowd_is_acknowledged_in_time_and_answered_to_the_last(team: Team) -> None:
    crowd = Crowd(team.slack, OPS)
    # The bot has a process to itself; the crowd and Slack share this one.
    replica = await team.spawn(Crowd.settings("corp"), unhurried=True)
    request = await team.request(ANN, "delete team/api:1")

    async def press(person: str) -> Delivery:
        return await team.slack.click(person, team.now(request), "Approve")

    async def all_answered() -> None:
        async with asyncio.timeout(300):
            while crowd.unanswered():
                await asyncio.sleep(0.2)  # looking at everything at every change would take all day

    await crowd.storm(press, commands=60, clicks=30, seconds=2.0)
    await all_answered()
    before = await _held(replica)
    received = await crowd.storm(press)
    assert [one.error for one in received if one.error or not one.acked] == []
    assert max(one.ack_seconds for one in received) < 3
    await all_answered()
    async with asyncio.timeout(60):
        while (after := await _held(replica))["tasks"] > before["tasks"]:
            await asyncio.sleep(0.2)  # whatever it does by the clock may be under way
    # Connections to the database and the registry are kept, each with a thread or a socket.
    assert after["threads"] <= before["threads"] + 12
    assert after["files"] <= before["files"] + 24
    assert after["memory"] < before["memory"] + _MORE
    store = await Store.look(team.store_url)
    async with store.reading() as tx:
        assert await tx.outbox.pending() == (0, 0.0)
        assert await tx.jobs.depth() == 0
    await store.close()
    assert "Approve" in team.now(request).buttons, "nobody of the crowd may approve"


async def _held(replica: Replica) -> dict[str, int]:
    """What the process holds: tasks (the fewest of several looks), threads, open files, KiB."""
    place = Path("/proc") / str(replica.process.pid)
    status = dict(
        line.split(":", 1) for line in (place / "status").read_text().splitlines() if ":" in line
    )
    return {
        "tasks": min([await replica.tasks() for _ in range(5)]),
        "threads": int(status["Threads"]),
        "files": len([*(place / "fd").iterdir()]),
        "memory": int(status["VmRSS"].split()[0]),
    }
