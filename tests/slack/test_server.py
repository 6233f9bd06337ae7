"""The bot's own small server under more than it can do."""

import asyncio
import contextlib
from typing import Any

import httpx
import pytest
from slack_bolt.response import BoltResponse

from bot.slack import server

pytestmark = pytest.mark.anyio


class Slow:
    """An app that answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.free = asyncio.Event()

    async def async_dispatch(self, _: Any) -> BoltResponse:
        self.asked += 1
        await self.free.wait()
        return BoltResponse(status=200)


async def test_more_than_it_can_have_in_hand_is_turned_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "_MOST", 2)
    app: Any = Slow()

    async def ready() -> str:
        return ""

    async def metrics() -> bytes:
        return b""

    answered: list[float] = []
    async with contextlib.AsyncExitStack() as stack:
        site = await server.serve_http(
            stack,
            "127.0.0.1",
            0,
            alive=str,
            ready=ready,
            metrics=metrics,
            events=server.events(app, answered.append),
        )
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=20, verify=False))
        url = f"http://{site}/slack/events"
        taken = [asyncio.create_task(http.post(url, content=b"{}")) for _ in range(2)]
        async with asyncio.timeout(20):
            while app.asked < 2:
                await asyncio.sleep(0.01)
        assert (await http.post(url, content=b"{}")).status_code == 503
        assert (await http.get(f"http://{site}/healthz")).status_code == 200
        app.free.set()
        assert [(await task).status_code for task in taken] == [200, 200]
        assert (await http.post(url, content=b"{}")).status_code == 200
        assert len(answered) == 3
