"""The bot dies, or is paused until it has a successor, at every step of a collection in turn."""

import signal
from collections.abc import Sequence

import pytest

from tests.support.sites import Commanded
from tests.support.succession import Succession
from tests.support.team import Team

pytestmark = pytest.mark.anyio

BEFORE = (
    "begun",
    "preflight",
    "preflight.done",
    "switch.1",
    "switch.mid",
    "switch.done",
    "proof.done",
    "dry-run.1",
    "dry-run.mid",
    "dry-run.done",
    "collect.1",
)
AFTER = (
    "collect.mid",
    "collect.done",
    "empty",
    "empty.2",
    "empty.done",
    "restart.1",
    "restart.mid",
    "restart.done",
    "proof-writable.done",
    "canary.done",
    "report.done",
)


async def test_killed_before_the_collection(team: Team) -> None:
    await _play(team, BEFORE, signal.SIGKILL)


async def test_killed_after_it_began(team: Team) -> None:
    await _play(team, AFTER, signal.SIGKILL)


async def test_paused_before_the_collection(team: Team) -> None:
    await _play(team, BEFORE, signal.SIGSTOP)


async def test_paused_after_it_began(team: Team) -> None:
    await _play(team, AFTER, signal.SIGSTOP)


async def _play(team: Team, moments: Sequence[str], number: signal.Signals) -> None:
    holds = team.directory / "holds"
    holds.mkdir()
    sites: list[Commanded] = []
    try:
        for count, moment in enumerate(moments):
            sites.append(Commanded(team.directory, f"r{count}", moment, holds))
        await Succession(team, sites, holds).play(number)
    finally:
        team.kill()
        for site in sites:
            site.close()
