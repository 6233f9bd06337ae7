"""A workspace with two people and two channels, and small real Bolt apps in it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from aiohttp import web
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground import Workspace

Connect = Callable[[AsyncApp], Awaitable[AsyncSocketModeHandler]]


def populate(workspace: Workspace) -> None:
    """Ada and Bob; Bob is not in the private channel."""
    workspace.add_user("U1", "ada")
    workspace.add_user("U2", "bob")
    workspace.add_channel("C1", "registry", ["U1", "U2"])
    workspace.add_channel("G1", "secret", ["U1"], is_private=True)


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    async with await Workspace.start() as made:
        populate(made)
        yield made


@pytest.fixture
def client(workspace: Workspace) -> AsyncWebClient:
    return AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)


@pytest.fixture
def app(client: AsyncWebClient) -> AsyncApp:
    return AsyncApp(client=client)


@pytest.fixture
async def connect(workspace: Workspace) -> AsyncIterator[Connect]:
    """Connects an app by Socket Mode; everything is closed at the end."""
    async with AsyncExitStack() as stack:

        async def run(app: AsyncApp) -> AsyncSocketModeHandler:
            handler = AsyncSocketModeHandler(app, workspace.app_token, ping_interval=0.2)
            stack.push_async_callback(handler.close_async)
            there = workspace.connections
            await handler.connect_async()  # type: ignore[no-untyped-call]
            await workspace.wait_for_connections(there + 1)
            return handler

        yield run


@pytest.fixture
async def http_workspace() -> AsyncIterator[Workspace]:
    async with await Workspace.start(mode="http") as made:
        populate(made)
        yield made


@pytest.fixture
async def http_app(http_workspace: Workspace) -> AsyncIterator[AsyncApp]:
    """A Bolt app behind its own HTTP server, which the workspace knows."""
    client = AsyncWebClient(token=http_workspace.bot_token, base_url=http_workspace.api_url)
    app = AsyncApp(client=client, signing_secret=http_workspace.signing_secret)
    runner = web.AppRunner(app.web_app(path="/slack/events"), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    http_workspace.events_url = f"http://127.0.0.1:{port}/slack/events"
    yield app
    await runner.cleanup()
