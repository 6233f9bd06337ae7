"""The bot dies, or is paused until it has a successor, at every act on a registry's container.

Half of the moments are played with a death and the other half with a pause, as each of them is a
container of its own; with REGISTRY_BOT_EVERY in the environment all of them are played with both.
"""

import os
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tests.support.dockerd import Dockerd
from tests.support.postgres import Postgres
from tests.support.sites import Boxed
from tests.support.succession import Succession
from tests.support.team import Team

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

# Making, stopping, starting; making, starting, removing; removing, starting.
MOMENTS = (
    "switch.1",
    "switch.2",
    "switch.3",
    "dry-run.2",
    "dry-run.mid",
    "collect.1",
    "collect.2",
    "collect.mid",
    "collect.3",
    "restart.1",
    "restart.2",
)


@pytest.fixture
async def team(tmp_path: Path, postgres: Postgres) -> AsyncIterator[Team]:
    async with Team.open(tmp_path) as made:
        made.store_url = postgres.database()
        yield made
        made.check_all_messages()


ALL = "REGISTRY_BOT_EVERY" in os.environ


async def test_killed(team: Team, engine: Dockerd) -> None:
    await _play(team, engine, MOMENTS if ALL else MOMENTS[::2], signal.SIGKILL)


async def test_paused(team: Team, engine: Dockerd) -> None:
    await _play(team, engine, MOMENTS if ALL else MOMENTS[1::2], signal.SIGSTOP)


async def _play(
    team: Team, engine: Dockerd, moments: Sequence[str], number: signal.Signals
) -> None:
    holds = team.directory / "holds"
    holds.mkdir()
    sites = [
        Boxed(engine, team.directory, f"r{count}", moment, holds)
        for count, moment in enumerate(moments)
    ]
    try:
        await Succession(team, sites, holds).play(number)
        assert engine.names() == {site.name for site in sites}
    finally:
        team.kill()
        for site in sites:
            site.close()
