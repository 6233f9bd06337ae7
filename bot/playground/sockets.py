"""Socket Mode: websocket connections, and envelopes that must be acked in time."""

import asyncio
import itertools
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import WSCloseCode, WSMsgType, web

from bot.playground.arguments import Arguments
from bot.playground.faults import AT_ONCE, Envelope
from bot.playground.model import Delivery
from bot.playground.state import State
from bot.playground.tokens import Tickets

COMMAND, INTERACTIVE, EVENT = "slash_commands", "interactive", "events_api"
_MOST = 10


class Line(Protocol):
    """The way to the app: Socket Mode or HTTP."""

    ack_window: float

    async def send(
        self, kind: str, payload: Mapping[str, Any], travels: Envelope = AT_ONCE
    ) -> Delivery:
        """Deliver a payload and wait for its ack."""


@dataclass(slots=True, eq=False)
class _Connection:
    ws: web.WebSocketResponse
    request: web.Request
    leaving: bool = False
    mute: bool = False
    closer: "asyncio.TimerHandle | None" = None


class Sockets:
    """All Socket Mode connections of the app.

    `ack_window` : seconds in which an envelope must be acked.
    `ping_interval` : seconds between the pings to each connection, for those opened later.
    `grace` : seconds until a connection that was asked to leave is closed from here.
    `late_acks` : envelope ids that were acked too late, or twice.
    `opened` : how many connections there have been so far.
    `refused` : how many there would have been more, but for the limit of ten.
    """

    def __init__(self, state: State, tickets: Tickets) -> None:
        self.ack_window = 3.0
        self.ping_interval = 10.0
        self.grace = 10.0
        self.base = ""
        self.late_acks: list[str] = []
        self.opened = 0
        self.refused = 0
        self._state = state
        self._tickets = tickets
        self._connections: list[_Connection] = []
        self._turn = itertools.count()
        self._pending: dict[str, asyncio.Future[Mapping[str, Any]]] = {}
        self._working: set[asyncio.Future[bool]] = set()

    @property
    def count(self) -> int:
        """How many connections can take envelopes."""
        return sum(1 for c in self._connections if not c.leaving)

    def open(self, arguments: Arguments) -> Mapping[str, Any]:  # noqa: ARG002
        """apps.connections.open: an address that works once."""
        app = self._state.identity.app_id
        return {"url": f"{self.base}?ticket={self._tickets.issue()}&app_id={app}"}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One connection, from hello to the end."""
        if not self._tickets.redeem(request.query.get("ticket", "")):
            return web.Response(status=403, text="the ticket was used before or is too old")
        ws = web.WebSocketResponse(heartbeat=self.ping_interval, autoping=False)
        await ws.prepare(request)
        if len(self._connections) >= _MOST:
            self.refused += 1
            self._state.changes.tell()
            await ws.send_json(_goodbye("too_many_websockets"))
            await ws.close()
            return ws
        connection = _Connection(ws, request)
        self._connections.append(connection)
        self.opened += 1
        try:
            await ws.send_json(self._hello())
            self._state.changes.tell()
            async for message in ws:
                if message.type is WSMsgType.TEXT:
                    self._acked(message.data)
                elif message.type is WSMsgType.PING and not connection.mute:
                    await ws.pong(message.data)
        finally:
            self._forget(connection)
        return ws

    def _forget(self, connection: _Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
        if connection.closer:
            connection.closer.cancel()
        self._state.changes.tell()

    def _hello(self) -> Mapping[str, Any]:
        return {
            "type": "hello",
            "num_connections": len(self._connections),
            "debug_info": {
                "host": "applink-playground",
                "build_number": 1,
                "approximate_connection_time": 18060,
            },
            "connection_info": {"app_id": self._state.identity.app_id},
        }

    def _acked(self, text: str) -> None:
        try:
            frame = json.loads(text)
            envelope_id = frame["envelope_id"]
        except (ValueError, TypeError, KeyError):
            return
        waiting = self._pending.get(envelope_id)
        if waiting is None or waiting.done():
            self.late_acks.append(str(envelope_id))
        else:
            waiting.set_result(frame.get("payload") or {})
        self._state.changes.tell()

    async def send(
        self, kind: str, payload: Mapping[str, Any], travels: Envelope = AT_ONCE
    ) -> Delivery:
        """Hand an envelope to exactly one connection, each in its turn, and wait for the ack.

        Parameters
        ----------
        travels : more copies of an envelope go to the next connections, and so do its retries.
        """
        loop = asyncio.get_running_loop()
        envelope_id, began = str(uuid.uuid4()), loop.time()
        waiting: asyncio.Future[Mapping[str, Any]] = loop.create_future()
        self._pending[envelope_id] = waiting
        sending = asyncio.ensure_future(self._send(kind, payload, envelope_id, travels))
        self._working.add(sending)
        sending.add_done_callback(self._working.discard)
        try:
            if not travels.late and not await asyncio.shield(sending):
                return Delivery(False, envelope_id=envelope_id, error="dispatch_failed")
            async with asyncio.timeout(self.ack_window):
                acked = await waiting
        except TimeoutError:
            took = loop.time() - began
            return Delivery(False, took, envelope_id=envelope_id, error="operation_timeout")
        finally:
            del self._pending[envelope_id]
        body = acked if _takes_payload(kind, payload) else {}
        return Delivery(True, loop.time() - began, body, envelope_id)

    async def _send(
        self, kind: str, payload: Mapping[str, Any], envelope_id: str, travels: Envelope
    ) -> bool:
        """Push every copy and retry of an envelope; whether any connection took one."""
        await asyncio.sleep(travels.late)
        sent = False
        for attempt in range(1 + travels.retries):
            frame = {
                "envelope_id": str(uuid.uuid4()) if attempt else envelope_id,
                "payload": payload,
                "type": kind,
                "accepts_response_payload": _takes_payload(kind, payload),
            }
            if kind == EVENT or attempt:
                frame |= {"retry_attempt": attempt, "retry_reason": "timeout" if attempt else ""}
            for _ in range(1 if attempt else travels.copies):
                sent = await self._push(json.dumps(frame)) or sent
        return sent

    async def _push(self, frame: str) -> bool:
        """Send to the next connection that takes it; False when there is none."""
        staying = [c for c in self._connections if not c.leaving]
        while staying:
            connection = staying.pop(next(self._turn) % len(staying))
            try:
                await connection.ws.send_str(frame)
            except ConnectionError:
                continue
            return True
        return False

    async def refresh(self, reason: str = "refresh_requested") -> None:
        """Ask every connection to come again, as Slack does every few hours.

        Parameters
        ----------
        reason : `refresh_requested` (the connection gets nothing more and ends soon) or
            `warning` (a notice before; the connection goes on).
        """
        loop = asyncio.get_running_loop()
        for connection in list(self._connections):
            if reason != "warning":
                connection.leaving = True
                connection.closer = loop.call_later(self.grace, self._close, connection)
            try:
                await connection.ws.send_json(_goodbye(reason))
            except ConnectionError:
                continue

    def _close(self, connection: _Connection) -> None:
        task = asyncio.ensure_future(connection.ws.close())
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    def drop(self) -> int:
        """Cut every connection without a goodbye; how many there were."""
        cut = list(self._connections)
        for connection in cut:
            self._forget(connection)
            if connection.request.transport is not None:
                connection.request.transport.abort()
        return len(cut)

    def deafen(self) -> None:
        """Deliver nothing more over any connection, and answer its pings as if all were well."""
        for connection in self._connections:
            connection.leaving = True

    def mute(self) -> None:
        """Answer no ping on any connection, as if the network had lost it."""
        for connection in self._connections:
            connection.mute = True

    async def close(self) -> None:
        """End all connections properly."""
        ending = [
            c.ws.close(code=WSCloseCode.GOING_AWAY, message=b"the workspace stops")
            for c in self._connections
        ]
        await asyncio.gather(*ending, *self._working, return_exceptions=True)


def _takes_payload(kind: str, payload: Mapping[str, Any]) -> bool:
    """Whether an ack may carry an answer: of commands, submissions and suggestions."""
    return kind == COMMAND or payload.get("type") in {"view_submission", "block_suggestion"}


def _goodbye(reason: str) -> Mapping[str, Any]:
    return {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-playground"}}
