"""What one connection has in hand is bounded: more is read when something has been answered."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from slack_sdk.socket_mode.request import SocketModeRequest

from bot.slack import wire
from bot.slack.wire import Wire

pytestmark = pytest.mark.anyio

_SENT = 12


class Flood:
    """A websocket that has everything ready at once, and then closes."""

    def __init__(self) -> None:
        self.read = 0

    async def receive(self) -> Any:
        self.read += 1
        if self.read > _SENT:
            return SimpleNamespace(type=aiohttp.WSMsgType.CLOSED)
        told = {"type": "slash_commands", "envelope_id": str(self.read), "payload": {}}
        return SimpleNamespace(type=aiohttp.WSMsgType.TEXT, data=json.dumps(told))


async def test_a_flood_is_read_as_fast_as_it_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    turn = asyncio.Semaphore(0)

    async def handle(_: Any, request: SocketModeRequest) -> None:
        begun.append(request.envelope_id)
        await turn.acquire()

    async def answered(*_: Any) -> None:
        """It has left."""

    monkeypatch.setattr(wire, "_MOST", 4)
    monkeypatch.setattr(wire, "run_async_bolt_app", handle)
    monkeypatch.setattr(wire, "send_async_response", answered)
    nobody: Any = None
    one, flood = Wire(nobody, nobody, "xapp-", 10.0), Flood()
    one._ws = flood  # type: ignore[assignment]
    listening = asyncio.create_task(one._listen())
    async with asyncio.timeout(10):
        while len(begun) < 4:
            await asyncio.sleep(0)
    for _ in range(100):  # whatever could be read now is read
        await asyncio.sleep(0)
    assert (flood.read, len(begun)) == (4, 4)
    for _ in range(_SENT):
        turn.release()
    async with asyncio.timeout(10):
        await listening
    assert sorted(begun, key=int) == [str(number) for number in range(1, _SENT + 1)]
