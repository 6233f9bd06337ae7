"""Two replicas of the bot on one PostgreSQL: either answers, every change happens once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.images import pull, push_image
from tests.support.postgres import Postgres
from tests.support.team import ANN, BOB, CAT, EVE, Team

pytestmark = pytest.mark.anyio


@pytest.fixture
async def team(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Team]:
    async with Team.open(tmp_path) as made:
        made.store_url = postgres.database()
        yield made
        made.check_all_messages()


async def test_two_replicas_delete_and_undo(team: Team) -> None:
    pushed = await push_image(team.registry.url, "team/api", "1")
    async with team.bot(), team.bot():
        request = await team.request(ANN, "delete team/api:1")
        await team.clicks(BOB, request, "Approve")
        await team.shows(request, "is done")
        assert await team.tags("team/api") == []
        await team.clicks(EVE, request, "Undo")
        back = await team.slack.wait_for_message(
            request.channel, lambda m: "put back" in m.all_text
        )
        await team.clicks(EVE, back, "Confirm")
        await team.shows(request, "undone")
    await pull(team.registry.url, "team/api", pushed.digest)


async def test_clicks_on_two_replicas_are_one_run(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot(), team.bot():
        request = await team.request(ANN, "delete team/api:1")
        people = [BOB, CAT, EVE]
        await asyncio.gather(*(team.clicks(people[n % 3], request, "Approve") for n in range(30)))
        await team.shows(request, "is done")
        told = lambda: [m.all_text for u in people for m in team.slack.ephemerals(u)]  # noqa: E731
        await team.slack.wait_for(lambda: len(told()) >= 30, timeout=60)
        assert sum("it starts now" in text for text in told()) == 1
