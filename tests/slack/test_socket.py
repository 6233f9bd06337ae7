"""The connection to Slack is replaced before it is missed, and says when it cannot be."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground import Workspace
from bot.slack.socket import Connection, Pace, SocketLost
from bot.slack.wire import NotOpened

pytestmark = pytest.mark.anyio

FAST = Pace(age=60.0, heartbeat=1.0, open=5.0, pause=0.02, longest=0.1, quiet=0.5, give_up=1.0)


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    workspace = await Workspace.start()
    workspace.add_user("U1", "ada")
    workspace.add_channel("C1", "registry", ["U1"])
    workspace.sockets.grace = 0.2
    workspace.limits.enabled = False
    yield workspace
    await workspace.stop()


class Kept:
    """A connection with an app that counts what arrives."""

    def __init__(self, workspace: Workspace, pace: Pace) -> None:
        self.workspace = workspace
        self.heard: list[str] = []
        self.why: list[str] = []
        client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
        app = AsyncApp(client=client, request_verification_enabled=False, signing_secret="x")

        @app.command("/registry")
        async def command(ack: Any, body: Any) -> None:
            self.heard.append(body["text"])
            await ack()

        self.connection = Connection(app, client, workspace.app_token, pace, self.why.append)

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, workspace: Workspace, pace: Pace = FAST) -> AsyncIterator["Kept"]:
        kept = cls(workspace, pace)
        await kept.connection.open(5.0)
        task = asyncio.create_task(kept.connection.keep())
        try:
            yield kept
        finally:
            await kept.connection.close()
            await task

    async def says(self, text: str) -> None:
        delivery = await self.workspace.command("U1", "C1", text)
        assert delivery.acked, delivery.error

    async def until(self, holds: Any, seconds: float = 10.0) -> None:
        await self.workspace.wait_for(holds, timeout=seconds)


async def test_a_refresh_that_slack_asks_for_loses_nothing(workspace: Workspace) -> None:
    async with Kept.open(workspace) as kept:
        for number in range(20):
            await workspace.refresh_sockets()
            await workspace.wait_for_connections(1)
            await kept.says(f"tags {number}")
        assert kept.heard == [f"tags {number}" for number in range(20)]
        assert kept.why == ["refresh_requested"] * 20
        await kept.until(lambda: len(workspace.sockets._connections) == 1)


async def test_a_warning_is_no_reason_to_leave(workspace: Workspace) -> None:
    async with Kept.open(workspace) as kept:
        await workspace.refresh_sockets("warning")
        await kept.says("tags")
        assert workspace.sockets.opened == 1
        assert kept.why == []


async def test_old_connections_are_replaced_and_commands_go_on(workspace: Workspace) -> None:
    pace = Pace(age=0.1, heartbeat=1.0, open=5.0, pause=0.02, quiet=0.5)
    async with Kept.open(workspace, pace) as kept:
        sent = 0
        while len(kept.why) < 10:
            sent += 1
            await kept.says(f"tags {sent}")
        assert len(kept.heard) == sent
        assert set(kept.why) == {"age"}
    assert workspace.connections == 0


async def test_a_cut_connection_comes_back(workspace: Workspace) -> None:
    async with Kept.open(workspace) as kept:
        for _ in range(5):
            workspace.faults.drop_sockets()
            await workspace.wait_for_connections(1)
            await kept.says("tags")
        assert kept.why == ["lost"] * 5


async def test_what_is_being_handled_is_answered_before_the_end(workspace: Workspace) -> None:
    kept = Kept(workspace, FAST)
    entered, release = asyncio.Event(), asyncio.Event()

    @kept.connection._app.command("/slow")
    async def slow(ack: Any) -> None:
        entered.set()
        await release.wait()
        await ack()

    await kept.connection.open(5.0)
    sending = asyncio.create_task(workspace.command("U1", "C1", "x", "/slow"))
    await entered.wait()
    closing = asyncio.create_task(kept.connection.close())
    await asyncio.sleep(0)
    release.set()
    await closing
    assert (await sending).acked


async def test_too_many_connections_are_understood(workspace: Workspace) -> None:
    async with contextlib.AsyncExitStack() as stack:
        many = [await stack.enter_async_context(Kept.open(workspace)) for _ in range(10)]
        await workspace.refresh_sockets()
        # Every place is taken until the old ones go: each makes room for its own successor.
        await workspace.wait_for_connections(10, timeout=20)
        for number in range(20):
            await many[0].says(str(number))
    assert workspace.connections == 0


async def test_who_gets_no_connection_waits_for_one(workspace: Workspace) -> None:
    """A new process would have no better luck: this one stays, says why, and asks again."""
    pace = dataclasses.replace(FAST, give_up=0.05)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(9):
            await stack.enter_async_context(Kept.open(workspace))
        leaving = Kept(workspace, FAST)
        await leaving.connection.open(5.0)
        eleventh = await stack.enter_async_context(Kept.open(workspace, pace))
        assert not eleventh.connection.is_open
        refused = workspace.sockets.refused
        await eleventh.until(lambda: workspace.sockets.refused >= refused + 5)
        assert "too_many_websockets" in eleventh.connection.trouble

        await leaving.connection.close()
        await workspace.wait_for_connections(10)
        for number in range(20):
            await eleventh.says(str(number))
        assert eleventh.heard
        assert eleventh.connection.trouble == ""


async def test_a_slack_that_stays_away_ends_it(workspace: Workspace) -> None:
    kept = Kept(workspace, FAST)
    await kept.connection.open(5.0)
    task = asyncio.create_task(kept.connection.keep())
    workspace.faults.fail("apps.connections.open", times=10_000, status=500)
    workspace.faults.drop_sockets()
    with pytest.raises(SocketLost, match="not been reachable"):
        await asyncio.wait_for(task, 20)
    assert not kept.connection.is_open
    await kept.connection.close()


async def test_slack_says_how_long_to_wait(workspace: Workspace) -> None:
    async with Kept.open(workspace) as kept:
        workspace.faults.fail("apps.connections.open", status=429, retry_after=1)
        began = time.monotonic()
        workspace.faults.drop_sockets()
        await workspace.wait_for_connections(1)
        assert time.monotonic() - began >= 1.0
        await kept.says("tags")


async def test_a_revoked_token_ends_it_at_once(workspace: Workspace) -> None:
    kept = Kept(workspace, FAST)
    await kept.connection.open(5.0)
    task = asyncio.create_task(kept.connection.keep())
    workspace.faults.fail("apps.connections.open", error="invalid_auth")
    workspace.faults.drop_sockets()
    with pytest.raises(SocketLost, match="invalid_auth"):
        await asyncio.wait_for(task, 20)
    await kept.connection.close()


async def test_a_bad_token_is_told_at_the_start(workspace: Workspace) -> None:
    client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
    app = AsyncApp(client=client, request_verification_enabled=False, signing_secret="x")
    with pytest.raises(NotOpened) as refused:
        await Connection(app, client, "xapp-not-a-real-one", FAST).open(5.0)
    assert refused.value.fatal
