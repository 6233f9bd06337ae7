"""A real Bolt app over Socket Mode: commands, clicks, acks, reconnects."""

import asyncio
import time
from functools import partial
from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground import PlaygroundError, Workspace

pytestmark = pytest.mark.anyio


def approval(value: str = "r1", **more: Any) -> list[dict[str, Any]]:
    button = {
        "type": "button",
        "text": {"type": "plain_text", "text": "Approve"},
        "action_id": "approve",
        "value": value,
        **more,
    }
    return [
        {"type": "section", "text": {"type": "mrkdwn", "text": "Delete?"}},
        {"type": "actions", "block_id": "b1", "elements": [button]},
    ]


async def test_a_command_is_answered_privately(
    workspace: Workspace, app: AsyncApp, connect: Any
) -> None:
    seen: list[dict[str, Any]] = []

    @app.command("/registry")
    async def answer(ack: Any, body: Any, respond: Any) -> None:
        await ack()
        seen.append(body)
        await respond("hello *you*")

    await connect(app)
    delivery = await workspace.command("U1", "C1", "tags team/api & <x>")
    message = await workspace.wait_for_ephemeral("U1", "hello *you*")

    assert delivery.acked
    assert delivery.error == ""
    assert 0 <= delivery.ack_seconds < 3
    assert message.seen_by == {"U1"}
    assert workspace.ephemerals("U2") == []
    assert workspace.messages("C1") == []
    body = dict(seen[0])
    assert body.pop("response_url").startswith(workspace.hooks_url)
    assert body.pop("trigger_id")
    assert body.pop("token")
    assert body == {
        "team_id": workspace.team_id,
        "team_domain": "playground",
        "channel_id": "C1",
        "channel_name": "registry",
        "user_id": "U1",
        "user_name": "ada",
        "command": "/registry",
        "text": "tags team/api &amp; &lt;x&gt;",
        "api_app_id": "A0REGISTRY",
        "is_enterprise_install": "false",
    }


async def test_people_channels_and_links_are_escaped(
    workspace: Workspace, app: AsyncApp, connect: Any
) -> None:
    texts: list[str] = []

    @app.command("/registry")
    async def answer(ack: Any, body: Any) -> None:
        texts.append(body["text"])
        await ack()

    await connect(app)
    await workspace.command("U1", "C1", "  @bob #registry @nobody a@bob https://h/x ")
    assert texts == ["<@U2|bob> <#C1|registry> @nobody a@bob <https://h/x>"]


async def test_the_text_of_an_ack_is_an_ephemeral(
    workspace: Workspace, app: AsyncApp, connect: Any
) -> None:
    @app.command("/registry")
    async def answer(ack: Any) -> None:
        await ack("at once")

    await connect(app)
    delivery = await workspace.command("U1", "C1", "x")
    assert delivery.ack_body == {"text": "at once"}
    assert [m.text for m in workspace.ephemerals("U1")] == ["at once"]


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


async def test_no_ack_in_time_is_operation_timeout(
    workspace: Workspace, app: AsyncApp, connect: Any
) -> None:
    late = asyncio.Event()

    @app.command("/registry")
    async def answer(ack: Any) -> None:
        await late.wait()
        await ack()

    await connect(app)
    workspace.ack_window = 0.05
    delivery = await workspace.command("U1", "C1", "x")
    assert not delivery.acked
    assert delivery.error == "operation_timeout"
    assert delivery.ack_seconds >= 0.05
    assert "operation_timeout" in workspace.ephemerals("U1")[0].text
    late.set()
    await workspace.wait_for(lambda: workspace.sockets.late_acks == [delivery.envelope_id])


async def test_without_a_connection_dispatch_failed(workspace: Workspace) -> None:
    delivery = await workspace.command("U1", "C1", "x")
    assert not delivery.acked
    assert delivery.error == "dispatch_failed"


async def test_envelopes_take_turns_between_connections(
    workspace: Workspace, client: AsyncWebClient, connect: Any
) -> None:
    got: list[str] = []

    def replica(name: str) -> AsyncApp:
        app = AsyncApp(client=client)

        @app.command("/registry")
        async def answer(ack: Any) -> None:
            got.append(name)
            await ack()

        return app

    for name in ("one", "two"):
        await connect(replica(name))
    for _ in range(4):
        assert (await workspace.command("U1", "C1", "x")).acked
    assert sorted(got) == ["one", "one", "two", "two"]
    assert got[0] != got[1]


async def test_a_refresh_brings_a_new_connection(
    workspace: Workspace, app: AsyncApp, connect: Any
) -> None:
    @app.command("/registry")
    async def answer(ack: Any) -> None:
        await ack("here")

    await connect(app)

    def newer(before: int) -> bool:
        return workspace.sockets.opened == before + 1

    for reason in ("refresh_requested", "warning"):
        before = workspace.sockets.opened
        await workspace.refresh_sockets(reason)
        await workspace.wait_for(partial(newer, before))
        await workspace.wait_for_connections(1)
        assert (await workspace.command("U1", "C1", "x")).acked


async def test_a_dropped_connection_comes_back(
    workspace: Workspace, app: AsyncApp, connect: Any
) -> None:
    @app.command("/registry")
    async def answer(ack: Any) -> None:
        await ack()

    await connect(app)
    assert workspace.faults.drop_sockets() == 1
    assert workspace.connections == 0
    await workspace.wait_for_connections(1)
    assert (await workspace.command("U1", "C1", "x")).acked


async def test_a_duplicate_envelope_arrives_twice(
    workspace: Workspace, app: AsyncApp, connect: Any
) -> None:
    bodies: list[dict[str, Any]] = []

    @app.command("/registry")
    async def answer(ack: Any, body: Any) -> None:
        bodies.append(body)
        await ack()

    await connect(app)
    workspace.faults.duplicate_next_envelope()
    delivery = await workspace.command("U1", "C1", "x")
    await workspace.wait_for(lambda: workspace.sockets.late_acks == [delivery.envelope_id])
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]
    await workspace.command("U1", "C1", "x")
    assert len(bodies) == 3


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


async def test_a_ticket_opens_one_connection(workspace: Workspace) -> None:
    app_client = AsyncWebClient(token=workspace.app_token, base_url=workspace.api_url)
    url = (await app_client.apps_connections_open(app_token=workspace.app_token))["url"]
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url) as ws:
            hello = await ws.receive_json()
            assert hello["type"] == "hello"
            assert hello["num_connections"] == 1
            assert hello["connection_info"] == {"app_id": "A0REGISTRY"}
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)


async def test_the_eleventh_connection_is_one_too_many(workspace: Workspace) -> None:
    workspace.limits.enabled = False
    client = AsyncWebClient(base_url=workspace.api_url)
    async with aiohttp.ClientSession() as session:
        sockets = []
        for n in range(11):
            url = (await client.apps_connections_open(app_token=workspace.app_token))["url"]
            ws = await session.ws_connect(url)
            sockets.append(ws)
            frame = await ws.receive_json()
            if n < 10:
                assert frame["num_connections"] == n + 1
        assert frame["type"] == "disconnect"
        assert frame["reason"] == "too_many_websockets"
        assert (await sockets[10].receive()).type is aiohttp.WSMsgType.CLOSE
        assert workspace.connections == 10
        for ws in sockets:
            await ws.close()


async def test_events_arrive(workspace: Workspace, app: AsyncApp, connect: Any) -> None:
    @app.event("app_home_opened")
    async def opened(event: Any, client: AsyncWebClient) -> None:
        view = {"type": "home", "blocks": approval()}
        await client.views_publish(user_id=event["user"], view=view)

    await connect(app)
    assert (await workspace.open_home("U1")).acked
    home = await workspace.wait_for(lambda: workspace.home("U1"))
    assert home.buttons == ["Approve"]


async def test_waiting_in_vain_tells_what_is_there(
    workspace: Workspace, client: AsyncWebClient
) -> None:
    await client.chat_postMessage(channel="C1", text="something else")
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="something else"):
        await workspace.wait_for_message("C1", "never", timeout=0.05)
    assert time.monotonic() - began < 2
