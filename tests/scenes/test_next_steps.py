"""Answers end in a next step that one press takes, as whoever presses it."""

import pytest

from tests.scenes.test_modals import refused
from tests.support.images import push_image
from tests.support.team import ANN, BOB, EVE, GUEST, OPS, Team

pytestmark = pytest.mark.anyio


async def test_a_mistyped_tag_becomes_a_request_with_one_press(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1.4.0")
    async with team.bot():
        answer = await team.asks(ANN, 'delete team/api:1.4.O --reason "old one"')
        assert answer.buttons[0] == 'delete team/api:1.4.0 --reason "old one"'
        assert answer.buttons[1] == "tags team/api"
        await team.slack.click(ANN, answer, "run_0")
        request = await team.slack.wait_for_message(OPS, lambda m: "Approve" in m.buttons)
        assert f"<@{ANN}> asks to *delete* 1 tag" in request.all_text
        assert "old one" in request.all_text
        await team.slack.click(ANN, answer, "run_1")
        await team.told(ANN, "team/api", "newest first")


async def test_a_mistyped_repository_and_a_bare_one(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    await push_image(team.registry.url, "team/api", "2")
    async with team.bot():
        answer = await team.asks(ANN, "tags team/apo")
        assert answer.buttons == ["tags team/api", "repos"]
        bare = await team.asks(ANN, "delete team/api")
        assert bare.buttons == ["delete team/api:2", "delete team/api:1"]
        await team.slack.click(ANN, bare, "delete team/api:2")
        await team.slack.wait_for_message(OPS, lambda m: "team/api:2" in m.all_text)


async def test_the_one_who_presses_is_the_one_who_asks(team: Team) -> None:
    """A forged press of somebody who may not is refused like what they type, and audited."""
    await push_image(team.registry.url, "prod/api", "1")
    async with team.bot():
        await team.slack.click_raw(EVE, OPS, "1.1", "run_0", "delete prod/api:1")
        await team.told(EVE, "protected")
        await team.slack.click_raw(GUEST, OPS, "1.1", "run_0", "requests")
        await team.told(GUEST, "Guests cannot use")
        await team.slack.click_raw(EVE, OPS, "1.1", "run_0", "rm -rf /")
        await team.told(EVE, "There is no verb rm")
        assert await refused(team) == [(EVE, "delete")]
        assert team.slack.messages(OPS) == []


async def test_requests_have_their_details_and_the_details_their_buttons(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        nothing = await team.asks(BOB, "requests")
        assert nothing.buttons == ["requests --all"]
        request = await team.request(ANN, "delete team/api:1")
        listed = await team.asks(BOB, "requests")
        assert listed.buttons == ["Details", "Share"]
        await team.slack.click(BOB, listed, "Details")
        shown = await team.modal(BOB, "Pinned")
        await team.slack.click(BOB, shown, "Approve")
        await team.modal(BOB, "it starts now")
        await team.shows(request, "is done")


async def test_a_step_inside_a_modal_is_answered_there(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        await team.clicks(ANN, request, "Deny")
        refusal = await team.modal(ANN, "your own request")
        await team.slack.click(ANN, refusal, "cancel R1")
        await team.modal(ANN, "You cancelled R1")
        await team.shows(request, "cancelled")


async def test_from_a_dry_run_to_the_request_and_from_the_status_to_a_collection(
    team: Team,
) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        dry = await team.asks(ANN, "gc --dry-run")
        assert dry.buttons == ["Ask for it"]
        status = await team.asks(ANN, "status")
        assert status.buttons == ["Share"]
        purge = await team.request(ANN, 'purge team/api:1 --reason "leaked"')
        await team.clicks(BOB, purge, "Approve")
        await team.shows(purge, "purged")
        await team.slack.click(ANN, dry, "Ask for it")
        collection = await team.slack.wait_for_message(OPS, lambda m: "collect" in m.all_text)
        assert "Approve" in collection.buttons
        status = await team.asks(ANN, "status")
        assert status.buttons == ["Share", "Collect corp"]
        await team.clicks(BOB, collection, "Approve")
        await team.shows(collection, "Freed")
        status = await team.asks(ANN, "status")
        assert status.buttons == ["Share"]
