"""Signatures go along with their image: by a flag, or by the button on the request."""

import pytest

from tests.support.images import push_image
from tests.support.team import ANN, BOB, OPS, Team

pytestmark = pytest.mark.anyio


async def signed(team: Team, repo: str = "team/api") -> str:
    image = await push_image(team.registry.url, repo, "1.0")
    tag = image.digest.replace(":", "-") + ".sig"
    await push_image(team.registry.url, repo, tag, layers=[b"signature"])
    return tag


async def test_the_button_asks_anew_with_the_signatures(team: Team) -> None:
    tag = await signed(team)
    async with team.bot():
        first = await team.request(ANN, 'delete team/api:1.0 --reason "never released"')
        assert f"left without an image: `{tag}`" in first.all_text

        await team.clicks(BOB, first, "Take signatures along")
        await team.told(BOB, "R1", "only they can change it")
        assert "pending" in team.now(first).all_text

        await team.clicks(ANN, first, "Take signatures along")
        await team.shows(first, "*R1*", "cancelled")
        await team.slack.wait_for(lambda: len(team.slack.messages(OPS)) == 2, timeout=20)
        second = team.slack.messages(OPS)[1]
        assert "*R2*" in second.all_text
        assert "2 tags" in second.all_text
        assert "never released" in second.all_text
        assert f"`team/api:{tag}`" in second.all_text
        assert "Take signatures along" not in second.all_text
        await team.clicks(BOB, second, "Approve")
        await team.shows(second, "is done")
        assert await team.tags("team/api") == []


async def test_the_button_is_too_late_once_somebody_has_decided(team: Team) -> None:
    await signed(team)
    async with team.bot():
        first = await team.request(ANN, "delete team/api:1.0")
        held = team.slack.faults.hold("chat.update")
        await team.clicks(ANN, first, "Cancel")
        await team.told(ANN, "You cancelled R1")
        # The message still shows its buttons.
        await team.clicks(ANN, first, "Take signatures along")
        await team.told(ANN, "R1 is cancelled", "can no longer be changed")
        held.release()
        assert len(team.slack.messages(OPS)) == 1


async def test_the_flag_takes_them_along_at_once(team: Team) -> None:
    tag = await signed(team, "scratch/api")
    async with team.bot():
        request = await team.request(ANN, "delete scratch/api:1.0 —with-signatures")
        assert f"`scratch/api:{tag}`" in request.all_text
        assert "1 signature of them along" in request.all_text
        await team.clicks(ANN, request, "Confirm")
        await team.shows(request, "is done")
        assert await team.tags("scratch/api") == []
        answer = await team.asks(ANN, 'purge R1 --with-signatures --reason "now"')
        assert "Type `/registry purge R1` without it" in answer.all_text
