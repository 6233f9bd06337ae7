"""The home tab: what concerns one person, and nothing of channels that they are not in."""

from typing import Any

import pytest

from tests.scenes.test_modals import refused
from tests.support.images import push_image
from tests.support.team import ANN, BOB, EVE, GUEST, LOBBY, OPS, Team

pytestmark = pytest.mark.anyio

ALSO_LOBBY = """
[[channels]]
id = "C0LOBBY"
registries = ["corp"]
"""


async def opens(team: Team, user: str) -> Any:
    """Open the home tab and wait until it is drawn anew."""
    before = team.slack.home(user)
    delivery = await team.slack.open_home(user)
    assert delivery.acked, delivery.error
    return await redrawn(team, user, before)


async def redrawn(team: Team, user: str, before: Any) -> Any:
    """Wait for the tab to be another one than before."""
    old = before.hash if before else ""

    def fresh() -> Any:
        home = team.slack.home(user)
        return home if home and home.hash != old else None

    return await team.slack.wait_for(fresh, timeout=20)


def parts(home: Any) -> dict[str, str]:
    """What stands below each headline."""
    found: dict[str, str] = {}
    title = ""
    for block in home.blocks:
        if block["type"] == "header":
            title = block["text"]["text"]
            found[title] = ""
        elif block["type"] == "section":
            found[title] += block["text"]["text"] + "\n"
    return found


async def test_what_is_mine_what_waits_and_how_the_registries_are(any_team: Team) -> None:
    team = any_team
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        nothing = parts(await opens(team, ANN))
        assert "Nothing waits" in nothing["Waits for you"]
        assert "You have none" in nothing["Your open requests"]
        assert "*corp* answers" in nothing["Registries"]
        request = await team.request(ANN, "delete team/api:1")
        mine = parts(await opens(team, ANN))
        assert "Nothing waits" in mine["Waits for you"]
        assert "*R1*" in mine["Your open requests"]
        tab = await opens(team, BOB)
        assert "*R1*" in parts(tab)["Waits for you"]
        assert "*R1*" not in parts(tab)["Your open requests"]
        assert "*R1*" not in (await opens(team, EVE)).all_text

        await team.slack.click(BOB, tab, "Details")
        details = await team.modal(BOB, "R1: details", "Pinned")
        await team.slack.click(BOB, details, "Approve")
        await team.modal(BOB, "it starts now")
        await team.shows(request, "is done")
        await team.slack.click(BOB, tab, "Refresh")
        again = await redrawn(team, BOB, tab)
        assert "Nothing waits" in parts(again)["Waits for you"]


async def test_what_waits_for_the_requester_to_confirm(team: Team) -> None:
    await push_image(team.registry.url, "scratch/x", "1")
    async with team.bot():
        await team.request(ANN, "delete scratch/x:1")
        assert "*R1*" in parts(await opens(team, ANN))["Waits for you"]
        assert "*R1*" not in (await opens(team, BOB)).all_text


async def test_nothing_is_told_of_channels_that_somebody_is_not_in(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        tab = await opens(team, BOB)
        assert "*R1*" in tab.all_text
    team.slack.change_channel(OPS, members=[ANN, EVE])
    async with team.bot():
        # The old tab still has its button, and the same token.
        await team.slack.click(BOB, tab, "Details")
        await team.modal(BOB, "belongs to no channel that you are in")
        outside = await opens(team, BOB)
        assert "*R1*" not in outside.all_text
        assert "You are in no channel" in outside.all_text
        assert await refused(team) == [(BOB, "click details")]
        assert "pending" in team.now(request).all_text


async def test_one_channel_tells_nothing_of_another(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    team.slack.change_channel(LOBBY, members=[ANN, BOB])
    team.slack.change_channel(OPS, members=[ANN])
    async with team.bot(extra=ALSO_LOBBY):
        await team.request(ANN, "delete team/api:1")
        tab = await opens(team, BOB)
        assert "*R1*" not in tab.all_text
        assert "*corp* answers" in parts(tab)["Registries"]


async def test_guests_get_a_polite_page(team: Team) -> None:
    async with team.bot():
        home = await opens(team, GUEST)
        assert "Guests cannot use the registry bot" in home.all_text
        assert "corp" not in home.all_text
        assert home.buttons == []


async def test_slack_and_the_registry_in_trouble(team: Team) -> None:
    async with team.bot():
        team.slack.faults.fail("users.conversations", error="fatal_error")
        assert "Slack does not tell" in (await opens(team, ANN)).all_text
        team.slack.faults.fail("views.publish", status=429, retry_after=1)
        assert "*corp* answers" in (await opens(team, ANN)).all_text
        team.registry.stop()
        assert "*corp*: " in (await opens(team, ANN)).all_text


async def test_an_event_that_comes_twice_is_drawn_once(team: Team) -> None:
    async with team.bot():
        team.slack.faults.duplicate_next_envelope()
        await opens(team, ANN)
        await team.asks(ANN, "whoami")
        assert len(team.slack.calls("views.publish")) == 1
        # The messages tab is no reason to draw the other one.
        await team.slack.event({"type": "app_home_opened", "user": ANN, "tab": "messages"})
        await team.asks(ANN, "whoami")
        assert len(team.slack.calls("views.publish")) == 1
