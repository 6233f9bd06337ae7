"""A real Bolt app over signed HTTP."""

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncApp

from bot.playground import Workspace

pytestmark = pytest.mark.anyio


async def test_commands_and_clicks_arrive_signed(
    http_workspace: Workspace, http_app: AsyncApp
) -> None:
    @http_app.command("/registry")
    async def answer(ack: Any, say: Any) -> None:
        await ack("typed")
        button = {
            "type": "button",
            "text": {"type": "plain_text", "text": "Go"},
            "action_id": "go",
            "value": "v",
        }
        await say(text="go?", blocks=[{"type": "actions", "elements": [button]}])

    @http_app.action("go")
    async def go(ack: Any, body: Any, respond: Any) -> None:
        await ack()
        await respond(text=f"gone {body['actions'][0]['value']}", response_type="in_channel")

    delivery = await http_workspace.command("U1", "C1", "x & y")
    assert delivery.acked
    assert delivery.ack_body == {"text": "typed"}
    assert http_workspace.ephemerals("U1")[0].text == "typed"
    posted = await http_workspace.wait_for_message("C1", "go?")
    assert (await http_workspace.click("U2", posted, "Go")).acked
    await http_workspace.wait_for_message("C1", "gone v")


async def test_a_wrong_signature_is_refused_by_bolt(
    http_workspace: Workspace, http_app: AsyncApp
) -> None:
    body = b"command=%2Fregistry"
    stale = http_workspace.http.signed(body, timestamp=1)
    forged = http_workspace.http.signed(body) | {"X-Slack-Signature": "v0=00"}
    assert http_workspace.events_url
    async with aiohttp.ClientSession() as session:
        for headers in (stale, forged, {}):
            async with session.post(
                http_workspace.events_url, data=body, headers=headers
            ) as answer:
                assert answer.status == 401


async def test_errors_reach_the_person(http_workspace: Workspace, http_app: AsyncApp) -> None:
    assert (await http_workspace.command("U1", "C1", "x", "/unknown")).error == "dispatch_failed"
    http_workspace.ack_window = 0.05

    @http_app.command("/registry")
    async def answer() -> None:
        """Never acks."""

    assert (await http_workspace.command("U1", "C1", "x")).error == "operation_timeout"
    http_workspace.events_url = None
    delivery = await http_workspace.command("U1", "C1", "x")
    assert (delivery.acked, delivery.error) == (False, "dispatch_failed")


async def test_a_server_that_is_down_is_dispatch_failed(
    http_workspace: Workspace, free_tcp_port: int
) -> None:
    http_workspace.events_url = f"http://127.0.0.1:{free_tcp_port}/"
    assert (await http_workspace.command("U1", "C1", "x")).error == "dispatch_failed"


async def test_duplicates_and_events(http_workspace: Workspace, http_app: AsyncApp) -> None:
    texts: list[str] = []
    homes: list[str] = []

    @http_app.command("/registry")
    async def answer(ack: Any, body: Any) -> None:
        texts.append(body["trigger_id"])
        await ack()

    @http_app.event("app_home_opened")
    async def opened(event: Any) -> None:
        homes.append(event["user"])

    http_workspace.faults.duplicate_next_envelope()
    assert (await http_workspace.command("U1", "C1", "x")).acked
    assert len(texts) == 2
    assert texts[0] == texts[1]
    assert (await http_workspace.open_home("U1")).acked


async def test_late_requests_and_retries(http_workspace: Workspace, http_app: AsyncApp) -> None:
    seen: list[tuple[str, str]] = []

    @http_app.middleware
    async def note(req: Any, next: Any) -> None:  # noqa: A002 - Bolt's name for it
        number = req.headers.get("x-slack-retry-num", [""])[0]
        seen.append((req.body.get("event_id", "command"), number))
        await next()

    @http_app.command("/registry")
    async def answer(ack: Any) -> None:
        await ack()

    @http_app.event("app_home_opened")
    async def opened() -> None:
        """Acked by Bolt."""

    http_workspace.faults.retry_next_envelope(2)
    assert (await http_workspace.open_home("U1")).acked
    await _until(lambda: len(seen) == 3)
    assert [number for _, number in seen] == ["", "1", "2"]
    assert len({event for event, _ in seen}) == 1

    http_workspace.ack_window = 0.05
    http_workspace.faults.delay_next_envelope(0.2)
    assert (await http_workspace.command("U1", "C1", "x")).error == "operation_timeout"
    http_workspace.ack_window = 10
    await _until(lambda: seen[-1] == ("command", ""))


async def _until(there: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not there():
            await asyncio.sleep(0.01)
