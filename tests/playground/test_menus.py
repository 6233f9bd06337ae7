"""Menus: what is suggested while somebody types, and choices that tell the app at once."""

from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground import PlaygroundError, Workspace

pytestmark = pytest.mark.anyio


def text(words: str) -> dict[str, str]:
    return {"type": "plain_text", "text": words}


def option(name: str) -> dict[str, Any]:
    return {"text": text(name.upper()), "value": name}


def block(name: str, kind: str, *, dispatch: bool = False, **more: Any) -> dict[str, Any]:
    element = {"type": kind, "action_id": name, **more}
    made = {"type": "input", "block_id": name, "label": text(name.title()), "element": element}
    return {**made, "dispatch_action": True} if dispatch else made


FORM = {
    "type": "modal",
    "callback_id": "form",
    "title": text("Form"),
    "submit": text("Go"),
    "blocks": [
        block("verb", "static_select", dispatch=True, options=[option("tags"), option("delete")]),
        block("repo", "external_select", dispatch=True, min_query_length=0),
        block("tags", "multi_external_select", min_query_length=2, max_selected_items=2),
        {**block("why", "plain_text_input"), "optional": True},
    ],
}


@pytest.fixture
async def heard(
    app: AsyncApp, client: AsyncWebClient, connect: Any, workspace: Workspace
) -> list[dict[str, Any]]:
    """Everything that the app heard about the form that U1 has open."""
    found: list[dict[str, Any]] = []
    offers = {"repo": ["team/api", "team/web"], "tags": ["1.0", "1.1", "1.2"]}

    @app.command("/registry")
    async def command(ack: Any, body: Any) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=FORM)

    async def listen(ack: Any, body: Any) -> None:
        await ack()
        found.append(body)

    for name in ("verb", "repo"):
        app.action(name)(listen)
    app.view("form")(listen)

    async def offer(ack: Any, body: Any) -> None:
        found.append(body)
        await ack(options=[option(o) for o in offers[body["action_id"]] if body["value"] in o])

    for name in offers:
        app.options(name)(offer)
    await connect(app)
    await workspace.command("U1", "C1", "")
    await workspace.wait_for(lambda: workspace.views("U1"))
    return found


async def test_suggestions_are_asked_for_once_enough_is_typed(
    workspace: Workspace, heard: list[dict[str, Any]]
) -> None:
    [form] = workspace.views("U1")
    assert await workspace.suggest("U1", form, "Tags", "1") == []
    assert heard == []
    assert await workspace.suggest("U1", form, "Repo") == [option("team/api"), option("team/web")]
    assert await workspace.suggest("U1", form, "Repo", "web") == [option("team/web")]
    payload = heard[-1]
    assert payload["type"] == "block_suggestion"
    assert (payload["action_id"], payload["value"]) == ("repo", "web")
    assert payload["container"] == {"type": "view", "view_id": form.id}
    # What stands in the form does not travel with a suggestion.
    assert payload["view"]["state"] == {"values": {}}
    assert "trigger_id" not in payload
    with pytest.raises(PlaygroundError, match="asks the app for nothing"):
        await workspace.suggest("U1", form, "Verb", "tags")


async def test_a_choice_with_dispatch_action_is_told_with_the_rest_of_the_form(
    workspace: Workspace, heard: list[dict[str, Any]]
) -> None:
    [form] = workspace.views("U1")
    with pytest.raises(PlaygroundError, match="no choice 'team/api'"):
        await workspace.choose("U1", form, "Repo", "team/api")
    await workspace.suggest("U1", form, "Repo")
    await workspace.choose("U1", form, "Repo", "team/api", {"Verb": "delete", "Why": "old"})
    told = heard[-1]
    assert told["type"] == "block_actions"
    assert told["actions"][0]["selected_option"] == option("team/api")
    values = told["view"]["state"]["values"]
    assert values["repo"]["repo"]["selected_option"] == option("team/api")
    assert values["verb"]["verb"]["selected_option"] == option("delete")
    assert values["why"]["why"] == {"type": "plain_text_input", "value": "old"}
    assert values["tags"]["tags"] == {"type": "multi_external_select", "selected_options": []}
    with pytest.raises(PlaygroundError, match="sends nothing"):
        await workspace.choose("U1", form, "Tags", [])


async def test_only_what_was_offered_can_be_submitted(
    workspace: Workspace, heard: list[dict[str, Any]]
) -> None:
    [form] = workspace.views("U1")
    await workspace.suggest("U1", form, "Repo")
    given = {"Verb": "tags", "Repo": "team/web"}
    with pytest.raises(PlaygroundError, match="'Tags' must not be empty"):
        await workspace.submit("U1", form, given)
    with pytest.raises(PlaygroundError, match=r"no choice '1\.0'"):
        await workspace.submit("U1", form, {**given, "Tags": ["1.0"]})
    await workspace.suggest("U1", form, "Tags", "1.")
    with pytest.raises(PlaygroundError, match="at most 2"):
        await workspace.submit("U1", form, {**given, "Tags": ["1.0", "1.1", "1.2"]})
    await workspace.submit("U1", form, {**given, "Tags": ["1.0", option("1.1")]})
    values = heard[-1]["view"]["state"]["values"]
    assert values["repo"]["repo"]["selected_option"] == option("team/web")
    assert values["tags"]["tags"]["selected_options"] == [option("1.0"), option("1.1")]


async def test_suggestions_that_slack_would_not_take(
    workspace: Workspace, app: AsyncApp, client: AsyncWebClient, connect: Any
) -> None:
    answers: list[list[dict[str, Any]]] = [
        [{"text": text("x" * 76), "value": "1"}],
        [{"text": text("x"), "value": "1" * 151}],
        [option(str(n)) for n in range(101)],
    ]

    @app.options("find")
    async def find(ack: Any) -> None:
        await ack(options=answers.pop(0))

    await connect(app)
    menu = {"type": "external_select", "action_id": "find", "min_query_length": 0}
    await client.chat_postMessage(
        channel="C1", text="x", blocks=[{"type": "actions", "elements": [menu]}]
    )
    [posted] = workspace.messages("C1")
    for problem in ("76", "151", "100 items"):
        with pytest.raises(PlaygroundError, match=problem):
            await workspace.suggest("U1", posted, "find")


async def test_where_somebody_is_a_member(workspace: Workspace, client: AsyncWebClient) -> None:
    async def where(user: str) -> list[str]:
        answer = await client.users_conversations(
            user=user, types="public_channel,private_channel", limit=1
        )
        found = [c["id"] for c in answer["channels"]]
        more = answer["response_metadata"]["next_cursor"]
        while more:
            answer = await client.users_conversations(
                user=user, types="public_channel,private_channel", limit=1, cursor=more
            )
            found += [c["id"] for c in answer["channels"]]
            more = answer["response_metadata"]["next_cursor"]
        return found

    assert await where("U1") == ["C1", "G1"]
    assert await where("U2") == ["C1"]
    workspace.change_channel("G1", bot_member=False)
    assert await where("U1") == ["C1"]
