"""A real Bolt app over Socket Mode: commands, clicks, acks, reconnects."""

import asyncio
import time
from functools import partial
from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground import Workspace
from tests.playground.asking import approval

pytestmark = pytest.mark.anyio


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


async def test_a_late_envelope_arrives_after_the_person_saw_an_error(
    workspace: Workspace, app: AsyncApp, connect: Any
) -> None:
    @app.command("/registry")
    async def answer(ack: Any) -> None:
        await ack("at last")

    await connect(app)
    workspace.ack_window = 0.05
    workspace.faults.delay_next_envelope(0.2)
    delivery = await workspace.command("U1", "C1", "x")
    assert delivery.error == "operation_timeout"
    await workspace.wait_for(lambda: workspace.sockets.late_acks == [delivery.envelope_id])
    workspace.ack_window = 10
    assert (await workspace.command("U1", "C1", "x")).acked, "only that one was late"


async def test_a_retry_is_another_envelope_with_the_same_payload(workspace: Workspace) -> None:
    frames: list[dict[str, Any]] = []
    async with aiohttp.ClientSession() as session:
        url = workspace.sockets.open({})["url"]
        async with session.ws_connect(url) as ws:
            await ws.receive_json()
            workspace.faults.duplicate_next_envelope()
            workspace.faults.retry_next_envelope(2)
            opening = asyncio.create_task(workspace.open_home("U1"))
            for _ in range(4):
                frames.append(await ws.receive_json())
            await ws.send_json({"envelope_id": frames[0]["envelope_id"]})
            assert (await opening).acked
    assert [f["retry_attempt"] for f in frames] == [0, 0, 1, 2]
    assert [f["retry_reason"] for f in frames] == ["", "", "timeout", "timeout"]
    assert frames[0]["envelope_id"] == frames[1]["envelope_id"]
    assert len({f["envelope_id"] for f in frames}) == 3
    assert len({f["payload"]["event_id"] for f in frames}) == 1


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


async def test_a_connection_that_was_asked_to_leave_gets_nothing_more(
    workspace: Workspace,
) -> None:
    client = AsyncWebClient(base_url=workspace.api_url)
    workspace.sockets.grace = 0.05
    async with aiohttp.ClientSession() as session:
        url = (await client.apps_connections_open(app_token=workspace.app_token))["url"]
        async with session.ws_connect(url) as ws:
            assert (await ws.receive_json())["type"] == "hello"
            await workspace.refresh_sockets("refresh_requested")
            assert (await ws.receive_json())["reason"] == "refresh_requested"
            delivery = await workspace.command("U1", "C1", "x")
            assert delivery.error == "dispatch_failed"
            assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSE


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
