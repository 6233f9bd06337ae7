"""One Socket Mode connection, from its hello to its last frame.

The SDK's own client closes a connection before it opens the next, and drops what it had received
and not yet read. A wire is simpler: it never reconnects. Whoever keeps it opens a second one beside
it, and retires this one when the other has said hello.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import aiohttp
import structlog
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app, send_async_response
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.delivery import TOKEN_REFUSED, retry_after

log = structlog.get_logger()

_MOST = 256  # envelopes in hand; the next is read when one of them is acknowledged
_WINDOW = 3.0  # seconds in which Slack takes an acknowledgement
_FINISH = 5.0  # seconds for what is being handled when a wire is retired; Slack waits three
FATAL = TOKEN_REFUSED | {"app_missing_action_url", "forbidden_team", "missing_scope"}


class Ending(StrEnum):
    """Why a wire takes nothing more."""

    ASKED = "refresh_requested"
    TOO_MANY = "too_many_websockets"
    DISABLED = "link_disabled"
    LOST = "lost"


class NotOpened(Exception):
    """Slack gave no connection.

    `fatal` says that trying again will not help; `wait` is what Slack asked for, in seconds.
    """

    def __init__(self, why: str, *, fatal: bool = False, wait: float = 0.0) -> None:
        super().__init__(why)
        self.why = why
        self.fatal = fatal
        self.wait = wait


class _HalfClosing(aiohttp.ClientWebSocketResponse):
    """A websocket that can say goodbye and go on listening, as the protocol allows."""

    async def say_goodbye(self) -> None:
        """Send the closing frame; frames that are on their way still arrive."""
        await self._writer.close(1000, b"")


class Wire:
    """One connection. Open it, let `listen` run, retire it.

    Parameters
    ----------
    app : its listeners get what arrives.
    client : asks for the address; carries the bot's token.
    token : the app-level token.
    heartbeat : seconds between pings; a connection that does not answer one is lost.
    on_ack : told the seconds from a payload to the end of its acknowledgement.
    """

    def __init__(
        self,
        app: AsyncApp,
        client: AsyncWebClient,
        token: str,
        heartbeat: float,
        on_ack: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._app = app
        self._client = client
        self._token = token
        self._heartbeat = heartbeat
        self._on_ack = on_ack
        self._session: aiohttp.ClientSession | None = None
        self._ws: _HalfClosing | None = None
        self._handling: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Task[None] | None = None
        self._left = False
        self._successor: Wire | None = None
        self._inherited = asyncio.Event()
        self.ended = asyncio.Event()
        self.ending: Ending | None = None

    @property
    def is_open(self) -> bool:
        """Whether Slack can deliver over it, as far as anybody can tell."""
        return self._ws is not None and self.ending is None

    async def open(self, timeout: float) -> None:
        """Connect and wait for Slack's hello.

        Parameters
        ----------
        timeout : seconds for all of it.

        Raises
        ------
        NotOpened : Slack refuses, does not answer in time, or has too many connections already.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._open()
        except SlackApiError as error:
            why = str(error.response.get("error", "")) if error.response else "no answer"
            await self.close()
            raise NotOpened(
                why or "an error", fatal=why in FATAL, wait=retry_after(error)
            ) from error
        except (OSError, TimeoutError, aiohttp.ClientError, ValueError) as error:
            await self.close()
            raise NotOpened(type(error).__name__) from error
        if self.ending is not None:
            await self.close()
            raise NotOpened(self.ending, fatal=self.ending is Ending.DISABLED)
        self._listening = asyncio.create_task(self._listen())

    async def _open(self) -> None:
        answer = await self._client.apps_connections_open(app_token=self._token)
        self._session = aiohttp.ClientSession(ws_response_class=_HalfClosing, trust_env=True)
        ws = await self._session.ws_connect(
            str(answer["url"]), heartbeat=self._heartbeat, autoclose=False
        )
        assert isinstance(ws, _HalfClosing)  # noqa: S101 - the session makes no others
        self._ws = ws
        frame = await ws.receive()
        if frame.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionError("closed before hello")
        told = _object(frame.data)
        if told.get("type") == "disconnect":
            self._end(_reason(told))
        elif told.get("type") != "hello":
            raise ConnectionError("something came before hello")

    async def _listen(self) -> None:
        """Read until the other side has closed."""
        assert self._ws is not None  # noqa: S101 - opened before
        try:
            while True:
                while len(self._handling) >= _MOST:
                    await asyncio.wait(set(self._handling), return_when=asyncio.FIRST_COMPLETED)
                frame = await self._ws.receive()
                if frame.type is aiohttp.WSMsgType.TEXT:
                    self._take(frame.data)
                elif frame.type not in {aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.PING}:
                    return
        except (OSError, aiohttp.ClientError):
            return
        finally:
            self._end(Ending.LOST)

    def _take(self, text: str) -> None:
        told = _object(text)
        if told.get("type") == "disconnect":
            if told.get("reason") != "warning":  # that one only says that it will be soon
                self._end(_reason(told))
            return
        try:
            request = SocketModeRequest.from_dict(dict(told))
        except (TypeError, ValueError):  # its payload is of a type that it does not foresee
            log.warning("an envelope cannot be read", length=len(text))
            return
        if request is not None:
            # Kept, or the task could be collected as garbage half-way.
            task = asyncio.create_task(self._handle(request, time.monotonic()))
            self._handling.add(task)
            task.add_done_callback(self._handling.discard)

    async def _handle(self, request: SocketModeRequest, came: float) -> None:
        try:
            answer = await run_async_bolt_app(self._app, request)
        except Exception as error:
            log.warning("an envelope cannot be read", error=type(error).__name__)
            return
        try:
            await send_async_response(self, request, answer, 0.0)  # type: ignore[arg-type]
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            # What it said is recorded; Slack shows the person that it got no answer.
            log.warning("an acknowledgement did not leave", error=type(error).__name__)
        self._on_ack(time.monotonic() - came)

    async def send_socket_mode_response(self, response: SocketModeResponse) -> None:
        """Acknowledge an envelope; this is what Bolt calls.

        After goodbye, ours or Slack's, nothing can be sent here any more: what Slack sent before
        is acknowledged over the connection that comes after, by the envelope's id.
        """
        if not self._is_over:
            assert self._ws is not None  # noqa: S101 - it is not over
            await self._ws.send_str(json.dumps(response.to_dict()))
            return
        async with asyncio.timeout(_WINDOW):
            await self._inherited.wait()
        if self._successor is None:
            raise ConnectionError("not connected")
        await self._successor.send_socket_mode_response(response)

    @property
    def _is_over(self) -> bool:
        """Whether nothing that is sent here would be read."""
        read = self._listening is not None and not self._listening.done()
        return self._ws is None or self._left or not read

    @property
    def logger(self) -> Any:
        """What Bolt asks of whoever sends its answers."""
        return self._app.logger

    def _end(self, why: Ending) -> None:
        if self.ending is None:
            self.ending = why
        self.ended.set()

    async def retire(self, quiet: float, successor: "Wire | None" = None) -> None:
        """Take leave: what is on its way is still read, what is being handled is still answered.

        Parameters
        ----------
        quiet : seconds to wait for Slack to close a connection that it wants to have closed.
        successor : the connection that Slack uses from now on.
        """
        self._successor = successor
        self._inherited.set()
        try:
            await self._take_leave(quiet)
        finally:
            # Also where nobody waits for the rest of the leave any more.
            await self.close()

    async def _take_leave(self, quiet: float) -> None:
        if self._listening is not None and self.ending is Ending.ASKED:
            await asyncio.wait([self._listening], timeout=quiet)
        if self._handling:
            await asyncio.wait(set(self._handling), timeout=_FINISH)
        if self._ws is not None and self._listening is not None and not self._listening.done():
            self._left = True
            with contextlib.suppress(OSError, aiohttp.ClientError):
                await self._ws.say_goodbye()
            await asyncio.wait([self._listening], timeout=quiet)

    async def close(self) -> None:
        """End it now, and wait a little for what it is handling."""
        self._end(Ending.LOST)
        if self._handling:
            await asyncio.wait(set(self._handling), timeout=_FINISH)
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if self._session is not None:
            with contextlib.suppress(OSError, aiohttp.ClientError, TimeoutError):
                if self._ws is not None:
                    await asyncio.wait_for(self._ws.close(), 2.0)
            await self._session.close()
        self._ws = None


def _reason(told: Mapping[str, Any]) -> Ending:
    try:
        return Ending(str(told.get("reason")))
    except ValueError:
        return Ending.ASKED


def _object(text: str) -> Mapping[str, Any]:
    """What a frame says; nothing where it is not an object."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, Mapping):
        log.warning("a frame from Slack cannot be read", length=len(text))
        return {}
    return told
