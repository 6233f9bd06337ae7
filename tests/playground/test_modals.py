"""Modals: triggers, opening, pushing, updating, submitting, closing."""

from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground import PlaygroundError, Workspace

pytestmark = pytest.mark.anyio


def text(words: str) -> dict[str, str]:
    return {"type": "plain_text", "text": words}


def modal(title: str = "Delete", **more: Any) -> dict[str, Any]:
    choices = [{"text": text("Fast"), "value": "f"}, {"text": text("Slow"), "value": "s"}]
    return {
        "type": "modal",
        "callback_id": "confirm",
        "title": text(title),
        "submit": text("Go"),
        "private_metadata": "secret",
        "blocks": [
            {
                "type": "input",
                "block_id": "why",
                "label": text("Reason"),
                "element": {"type": "plain_text_input", "action_id": "why", "max_length": 5},
            },
            {
                "type": "input",
                "block_id": "how",
                "optional": True,
                "label": text("How"),
                "element": {"type": "static_select", "action_id": "how", "options": choices},
            },
        ],
        **more,
    }


@pytest.fixture
async def triggers(workspace: Workspace, app: AsyncApp, connect: Any) -> list[str]:
    """The trigger_ids of every command."""
    found: list[str] = []

    @app.command("/registry")
    async def command(ack: Any, body: Any) -> None:
        found.append(body["trigger_id"])
        await ack()

    await connect(app)
    await workspace.command("U1", "C1", "x")
    return found


async def error(call: Any) -> Any:
    with pytest.raises(SlackApiError) as caught:
        await call
    return caught.value.response["error"]


async def test_a_trigger_is_good_once_for_three_seconds(
    workspace: Workspace, client: AsyncWebClient, triggers: list[str]
) -> None:
    trigger = triggers[0]
    wrong = {"type": "modal", "blocks": []}
    assert await error(client.views_open(trigger_id=trigger, view=wrong)) == "invalid_arguments"
    assert (await client.views_open(trigger_id=trigger, view=modal()))["view"]["title"] == {
        "type": "plain_text",
        "text": "Delete",
        "emoji": True,
    }
    assert await error(client.views_open(trigger_id=trigger, view=modal())) == (
        "exchanged_trigger_id"
    )
    assert await error(client.views_open(trigger_id="1.2.3", view=modal())) == (
        "invalid_trigger_id"
    )
    await workspace.command("U1", "C1", "x")
    workspace.advance(3.1)
    assert await error(client.views_open(trigger_id=triggers[1], view=modal())) == (
        "expired_trigger_id"
    )


async def test_submitting(
    workspace: Workspace, app: AsyncApp, client: AsyncWebClient, triggers: list[str]
) -> None:
    bodies: list[dict[str, Any]] = []
    answers: list[dict[str, Any]] = [
        {"response_action": "errors", "errors": {"why": "too vague"}},
        {"response_action": "errors", "errors": {"nowhere": "?"}},
        {"response_action": "update", "view": modal("Really?")},
        {"response_action": "push", "view": modal("Second")},
        {},
        {"response_action": "clear"},
    ]

    @app.view("confirm")
    async def submitted(ack: Any, body: Any) -> None:
        bodies.append(body)
        await ack(**answers.pop(0))

    await client.views_open(trigger_id=triggers[0], view=modal())
    shown = workspace.views("U1")[0]
    with pytest.raises(PlaygroundError, match="must not be empty"):
        await workspace.submit("U1", shown, {})
    with pytest.raises(PlaygroundError, match="0 to 5 characters"):
        await workspace.submit("U1", shown, {"why": "too long"})
    with pytest.raises(PlaygroundError, match="no choice"):
        await workspace.submit("U1", shown, {"why": "old", "how": "Medium"})
    with pytest.raises(PlaygroundError, match="no field"):
        await workspace.submit("U1", shown, {"why": "old", "when": "now"})
    with pytest.raises(PlaygroundError, match="has no view"):
        await workspace.submit("U2", shown, {"why": "old"})

    given = {"Reason": "old", "how": "Slow"}
    assert (await workspace.submit("U1", shown, given)).acked
    assert workspace.views("U1")[0].errors == {"why": "too vague"}
    assert "too vague" in workspace.views("U1")[0].all_text
    assert (await workspace.submit("U1", shown, given)).error == "invalid_command_response"
    await workspace.submit("U1", shown, given)
    assert [v.title for v in workspace.views("U1")] == ["Really?"]
    await workspace.submit("U1", shown, given)
    assert [v.title for v in workspace.views("U1")] == ["Really?", "Second"]
    with pytest.raises(PlaygroundError, match="not the modal on top"):
        await workspace.submit("U1", shown, given)
    await workspace.submit("U1", workspace.views("U1")[1], given)
    assert [v.title for v in workspace.views("U1")] == ["Really?"]
    await workspace.submit("U1", shown, given)
    assert workspace.views("U1") == []

    view = bodies[0]["view"]
    assert bodies[0]["user"]["id"] == "U1"
    assert view["private_metadata"] == "secret"
    assert view["state"]["values"] == {
        "why": {"why": {"type": "plain_text_input", "value": "old"}},
        "how": {
            "how": {
                "type": "static_select",
                "selected_option": {"text": text("Slow"), "value": "s"},
            }
        },
    }


async def test_update_push_and_close(
    workspace: Workspace, app: AsyncApp, client: AsyncWebClient, triggers: list[str]
) -> None:
    closed: list[str] = []

    @app.view_closed("confirm")
    async def was_closed(ack: Any, body: Any) -> None:
        await ack()
        closed.append(body["view"]["id"])

    opened = (await client.views_open(trigger_id=triggers[0], view=modal("Loading")))["view"]
    changed = await client.views_update(
        view_id=opened["id"], hash=opened["hash"], view=modal("Ready", notify_on_close=True)
    )
    assert changed["view"]["id"] == opened["id"]
    stale = client.views_update(view_id=opened["id"], hash=opened["hash"], view=modal())
    assert await error(stale) == "hash_conflict"
    assert await error(client.views_update(view_id="V9", view=modal())) == "not_found"
    for _ in range(3):
        await workspace.command("U1", "C1", "x")
    for trigger in triggers[1:3]:
        await client.views_push(trigger_id=trigger, view=modal("On top"))
    assert await error(client.views_push(trigger_id=triggers[3], view=modal())) == (
        "push_limit_reached"
    )
    for shown in reversed(workspace.views("U1")):
        await workspace.close_view("U1", shown)
    assert workspace.views("U1") == []
    assert closed == [opened["id"]]


async def test_a_button_in_a_modal(
    workspace: Workspace, app: AsyncApp, client: AsyncWebClient, triggers: list[str]
) -> None:
    seen: list[dict[str, Any]] = []

    @app.action("more")
    async def more(ack: Any, body: Any) -> None:
        await ack()
        seen.append(body)

    button = {"type": "button", "text": text("More"), "action_id": "more", "value": "1"}
    blocks = [{"type": "actions", "elements": [button]}]
    view = {"type": "modal", "title": text("T"), "blocks": blocks}
    await client.views_open(trigger_id=triggers[0], view=view)
    shown = workspace.views("U1")[0]
    assert (await workspace.click("U1", shown, "More")).acked
    assert seen[0]["container"] == {"type": "view", "view_id": shown.id}
    assert seen[0]["view"]["id"] == shown.id
    with pytest.raises(PlaygroundError, match="no submit button"):
        await workspace.submit("U1", shown)


async def test_what_a_view_must_have(client: AsyncWebClient, triggers: list[str]) -> None:
    no_submit = {k: v for k, v in modal().items() if k != "submit"}
    for view, problem in (
        (modal("x" * 25), "must be less than 25 characters [json-pointer:/view/title/text]"),
        (no_submit, "submit is required when an input block is within blocks"),
        (modal(private_metadata="x" * 3001), "must be less than 3001 characters"),
        (modal(colour="red"), "invalid additional property: colour"),
        (modal(blocks=[{"type": "table", "rows": []}]), "unsupported type: table"),
    ):
        with pytest.raises(SlackApiError) as caught:
            await client.views_open(trigger_id=triggers[0], view=view)
        assert caught.value.response["error"] == "invalid_arguments"
        assert problem in str(caught.value.response["response_metadata"]["messages"])
