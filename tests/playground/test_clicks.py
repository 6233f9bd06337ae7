"""Clicks: who may, what arrives, what they change."""

from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground import PlaygroundError, Workspace
from tests.playground.asking import approval

pytestmark = pytest.mark.anyio


async def test_a_click_updates_the_message(
    workspace: Workspace, app: AsyncApp, client: AsyncWebClient, connect: Any
) -> None:
    seen: list[dict[str, Any]] = []

    @app.action("approve")
    async def approve(ack: Any, body: Any, client: AsyncWebClient) -> None:
        await ack()
        seen.append(body)
        where = body["container"]
        await client.chat_update(
            channel=where["channel_id"], ts=where["message_ts"], text="approved"
        )

    await connect(app)
    await client.chat_postMessage(channel="C1", text="Delete?", blocks=approval())
    posted = workspace.messages("C1")[0]
    assert posted.buttons == ["Approve"]
    assert "Delete?" in posted.all_text

    delivery = await workspace.click("U2", posted, "Approve")
    assert delivery.acked
    changed = await workspace.wait_for_message("C1", lambda m: m.edited)
    assert (changed.text, changed.blocks, changed.ts) == ("approved", (), posted.ts)
    with pytest.raises(PlaygroundError, match="there is no button"):
        await workspace.click("U2", posted, "approve")

    body = seen[0]
    assert body["user"] == {
        "id": "U2",
        "username": "bob",
        "name": "bob",
        "team_id": workspace.team_id,
    }
    assert body["team"]["id"] == workspace.team_id
    assert body["channel"] == {"id": "C1", "name": "registry"}
    assert body["container"] == {
        "type": "message",
        "message_ts": posted.ts,
        "channel_id": "C1",
        "is_ephemeral": False,
    }
    assert body["message"]["blocks"][1]["block_id"] == "b1"
    action = body["actions"][0]
    assert action.pop("action_ts")
    assert action == {
        "action_id": "approve",
        "block_id": "b1",
        "type": "button",
        "value": "r1",
        "text": {"type": "plain_text", "text": "Approve", "emoji": True},
    }


async def test_a_confirm_dialog_can_be_declined(
    workspace: Workspace, app: AsyncApp, client: AsyncWebClient, connect: Any
) -> None:
    clicks: list[str] = []

    @app.action("approve")
    async def approve(ack: Any, body: Any) -> None:
        await ack()
        clicks.append(body["actions"][0]["value"])

    def plain(text: str) -> dict[str, str]:
        return {"type": "plain_text", "text": text}

    ask = {n: plain(n) for n in ("title", "text", "confirm", "deny")}
    await connect(app)
    await client.chat_postMessage(channel="C1", text="?", blocks=approval(confirm=ask))
    posted = workspace.messages("C1")[0]
    assert (await workspace.click("U1", posted, "Approve", accept=False)).error == "declined"
    assert clicks == []
    assert (await workspace.click("U1", posted, "Approve")).acked
    assert clicks == ["r1"]


async def test_membership(workspace: Workspace, client: AsyncWebClient) -> None:
    await client.chat_postMessage(channel="G1", text="?", blocks=approval())
    hidden = workspace.messages("G1")[0]
    with pytest.raises(PlaygroundError, match="not a member"):
        await workspace.command("U2", "G1", "x")
    with pytest.raises(PlaygroundError, match="not a member"):
        await workspace.click("U2", hidden, "Approve")
    await client.chat_postEphemeral(channel="C1", user="U1", text="?", blocks=approval())
    private = workspace.ephemerals("U1")[0]
    with pytest.raises(PlaygroundError, match="does not see"):
        await workspace.click("U2", private, "Approve")
    workspace.add_user("U3", "eve")
    with pytest.raises(PlaygroundError, match="not a member"):
        await workspace.command("U3", "C1", "x")


async def test_a_forged_click_is_sent_as_it_is(
    workspace: Workspace, app: AsyncApp, connect: Any
) -> None:
    seen: list[dict[str, Any]] = []

    @app.action("approve")
    async def approve(ack: Any, body: Any) -> None:
        await ack()
        seen.append(body)

    await connect(app)
    delivery = await workspace.click_raw("U2", "G1", "1.000001", "approve", "stolen")
    assert delivery.acked
    assert seen[0]["actions"][0]["value"] == "stolen"
    assert seen[0]["container"]["message_ts"] == "1.000001"
    assert "message" not in seen[0]


async def test_an_ephemeral_click_has_no_message_but_can_replace_it(
    workspace: Workspace, app: AsyncApp, client: AsyncWebClient, connect: Any
) -> None:
    @app.action("approve")
    async def approve(ack: Any, body: Any, respond: Any) -> None:
        await ack()
        assert "message" not in body
        await respond(text="done", replace_original=True)

    await connect(app)
    await client.chat_postEphemeral(channel="C1", user="U1", text="?", blocks=approval())
    shown = workspace.ephemerals("U1")[0]
    await workspace.click("U1", shown, "Approve")
    after = await workspace.wait_for_ephemeral("U1", "done")
    assert (after.ts, after.blocks, after.edited) == (shown.ts, (), True)
    assert len(workspace.ephemerals("U1")) == 1


async def test_buttons_of_the_same_name_need_a_number(
    workspace: Workspace, app: AsyncApp, client: AsyncWebClient, connect: Any
) -> None:
    values: list[str] = []

    @app.action("approve")
    async def approve(ack: Any, body: Any) -> None:
        await ack()
        values.append(body["actions"][0]["value"])

    await connect(app)
    one, two = approval("r1")[1], approval("r2")[1] | {"block_id": "b2"}
    await client.chat_postMessage(channel="C1", text="?", blocks=[one, two])
    posted = workspace.messages("C1")[0]
    with pytest.raises(PlaygroundError, match="there are 2 buttons"):
        await workspace.click("U1", posted, "Approve")
    with pytest.raises(PlaygroundError, match="there are only 2"):
        await workspace.click("U1", posted, "Approve", nth=2)
    await workspace.click("U1", posted, "Approve", nth=1)
    assert values == ["r2"]
