"""Opening a modal within its trigger's life: whatever happens, it can be found or is not there."""

from collections.abc import AsyncIterator

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground import Workspace
from bot.slack.opening import Opener, title_for
from bot.slack.views import modals
from tests.support.team import ANN

pytestmark = pytest.mark.anyio


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    async with await Workspace.start() as made:
        made.add_user(ANN, "ann")
        yield made


@pytest.fixture
def opener(workspace: Workspace) -> Opener:
    return Opener(AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url))


async def test_a_click_that_comes_twice_finds_the_modal_of_the_first(
    workspace: Workspace, opener: Opener
) -> None:
    trigger = workspace.triggers.issue(ANN)
    first = await opener.open(trigger, "Details")
    second = await opener.open(trigger, "Details")
    [shown] = workspace.views(ANN)
    assert first == {"view_id": shown.id}
    # Whichever of the two is recorded, what it names can be filled.
    await opener.replace(second, modals.note("Details", "filled"))
    assert "filled" in workspace.views(ANN)[0].all_text


async def test_an_answer_that_was_lost_leaves_a_name(workspace: Workspace, opener: Opener) -> None:
    workspace.faults.fail("views.open", status=0, after=True)
    named = await opener.open(workspace.triggers.issue(ANN), "Deny")
    await opener.replace(named, modals.note("Deny", "filled"))
    assert "filled" in workspace.views(ANN)[0].all_text


async def test_what_is_surely_not_open_has_no_name(workspace: Workspace, opener: Opener) -> None:
    trigger = workspace.triggers.issue(ANN)
    workspace.advance(3.1)
    assert await opener.open(trigger, "Details") == {}
    assert workspace.views(ANN) == []


def test_what_opens_a_modal() -> None:
    assert title_for({"text": ""}) == "Registry"
    assert title_for({"text": " /registry "}) == "Registry"
    assert title_for({"text": "help"}) == ""
    assert title_for({"action": "details"}) == "Details"
    assert title_for({"action": "deny"}) == "Deny"
    assert title_for({"action": "approve"}) == ""
    # What is pressed in a modal is answered in it.
    assert title_for({"action": "deny", "view": {"view_id": "V1"}}) == ""
