"""Somebody sends far too much; everybody else is served, and nobody is left without an answer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.rules.rates import RESERVED
from tests.support.images import push_image
from tests.support.team import ANN, BOB, CAT, EVE, OPS, Team

pytestmark = pytest.mark.anyio

LIMITS = """
commands_per_minute = 6
channel_commands_per_minute = 8
clicks_per_minute = 2
"""


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with Team.open(tmp_path) as made:
        made.limits = LIMITS
        yield made
        made.check_all_messages()


async def test_a_flood_is_refused_politely_and_keeps_nobody_else_out(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot() as service:
        request = await team.request(CAT, "delete team/api:1")
        said = {user: await _flood(team, user) for user in (ANN, EVE)}

        assert said[ANN].count("") == 6
        assert all(text.startswith("You have sent 6 commands") for text in said[ANN] if text)
        # With that of Cat eight have come; what is left is kept for each of the others.
        assert said[EVE].count("") == RESERVED
        assert all(text.startswith("8 commands came from this") for text in said[EVE] if text)
        for user, texts in said.items():
            heard = await team.slack.wait_for(lambda u=user: _everything(team, u), timeout=20)
            assert len([m for m in heard if "within a minute" not in m.all_text]) == texts.count("")

        await team.clicks(BOB, request, "Approve")
        await team.shows(request, "is done")
        undo = await team.request(BOB, "undo R1")
        assert "*R2*" in undo.all_text
        metrics = service.metrics.render().decode()
        assert 'registry_bot_refused_by_limit_total{limit="person"} 4.0' in metrics
        assert 'registry_bot_refused_by_limit_total{limit="channel"} 5.0' in metrics


async def _flood(team: Team, user: str) -> list[str]:
    """Ten commands at once; what the acknowledgement of each says."""
    sent = await asyncio.gather(*(team.slack.command(user, OPS, "whoami") for _ in range(10)))
    assert all(delivery.acked for delivery in sent)
    return [str(delivery.ack_body.get("text", "")) for delivery in sent]


def _everything(team: Team, user: str) -> list[Any]:
    """What somebody heard, when all ten are answered."""
    heard = team.slack.ephemerals(user)
    return heard if len(heard) >= 10 else []


async def test_too_many_clicks_are_told(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        for _ in range(3):
            await team.clicks(EVE, request, "Approve")
        await team.told(EVE, "You have pressed 2 buttons within a minute; try again in")
        await team.clicks(BOB, request, "Approve")
        await team.shows(request, "is done")
