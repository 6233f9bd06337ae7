"""Keeps Slack connected: a new connection is opened and proven before the old one is left.

Slack asks for a new connection every few hours, networks lose them, and one that answers pings but
delivers nothing cannot be told from a quiet one. So every connection is replaced when it has a
certain age, whatever it looks like. What cannot be mended here ends the process: its supervisor
starts a new one.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.wire import Ending, NotOpened, Wire

log = structlog.get_logger()


class SocketLost(Exception):
    """There is no connection to Slack, and there has been none for too long."""

    def __init__(self, sentence: str, hint: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds; tests shorten them.

    `age` is after how long a connection is replaced, `heartbeat` the time between pings, `open`
    how long opening one may take, `pause` and `longest` the first and the longest wait between
    attempts, `quiet` how long the old one is left to end by itself, and `give_up` how long the
    process lives on without any connection.
    """

    age: float = 1800.0
    heartbeat: float = 10.0
    open: float = 15.0
    pause: float = 1.0
    longest: float = 15.0
    quiet: float = 15.0
    give_up: float = 180.0


class Connection:
    """The way to Slack, kept open.

    Parameters
    ----------
    app : its listeners get what arrives.
    client : asks Slack for addresses.
    token : the app-level token, `xapp-…`.
    on_replaced : told why, each time that a connection has been replaced.
    """

    def __init__(
        self,
        app: AsyncApp,
        client: AsyncWebClient,
        token: str,
        pace: Pace | None = None,
        on_replaced: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._app = app
        self._client = client
        self._token = token
        self._pace = pace or Pace()
        self._on_replaced = on_replaced
        self._wire: Wire | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False
        self._proven = time.monotonic()

    @property
    def is_open(self) -> bool:
        """Whether Slack can deliver, as far as anybody can tell."""
        return self._wire is not None and self._wire.is_open

    @property
    def age(self) -> float:
        """Seconds since Slack last proved by a hello that it knows this connection."""
        return time.monotonic() - self._proven

    async def open(self, timeout: float) -> None:
        """Connect for the first time.

        Raises
        ------
        NotOpened : Slack refuses, or does not answer within `timeout` seconds.
        """
        self._wire = await self._opened(timeout)

    async def _opened(self, timeout: float) -> Wire:
        wire = Wire(self._app, self._client, self._token, self._pace.heartbeat)
        await wire.open(timeout)
        self._proven = time.monotonic()
        return wire

    async def keep(self) -> None:
        """Replace what is old, asked to leave, or lost; ends when `close` is called.

        Raises
        ------
        SocketLost : there has been no connection for too long, or Slack will give none again.
        """
        while not self._closed:
            old = self._wire
            assert old is not None  # noqa: S101 - opened before it is kept
            why = await self._until_due(old)
            if self._closed:
                return
            log.info("replacing the connection to Slack", why=why)
            await self._replace(old)
            self._on_replaced(why)

    async def _until_due(self, wire: Wire) -> str:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(wire.ended.wait(), max(0.0, self._pace.age - self.age))
        return str(wire.ending or "age")

    async def _replace(self, old: Wire) -> None:
        """Open a new connection beside the old one, then take leave of that."""
        lost_since: float | None = None
        pause = self._pace.pause
        while True:
            wait = 0.0
            try:
                self._wire = await self._opened(self._pace.open)
                break
            except NotOpened as error:
                wait = error.wait
                log.warning("Slack gave no connection", why=error.why)
                if error.fatal:
                    raise _refused(error.why) from error
                if error.why == Ending.TOO_MANY and old.is_open:
                    # Ten are allowed: our own old one makes room.
                    await old.retire(0.0)
            if self._closed:
                return
            now = time.monotonic()
            lost_since = None if old.is_open else lost_since or now
            if lost_since is not None and now - lost_since >= self._pace.give_up:
                raise SocketLost(
                    f"Slack has not been reachable for {now - lost_since:.0f} seconds.",
                    "The process ends so that its supervisor starts a new one; look at the "
                    "network, a proxy, and Slack's status page.",
                )
            await asyncio.sleep(max(pause, wait))
            pause = min(pause * 2, self._pace.longest)
        task = asyncio.create_task(old.retire(self._pace.quiet, self._wire))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def close(self) -> None:
        """Take nothing more from Slack; what was taken is still acknowledged."""
        self._closed = True
        if self._wire is not None:
            self._wire.ended.set()
            await self._wire.retire(1.0)
        for task in list(self._leaving):
            task.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)


def _refused(why: str) -> SocketLost:
    return SocketLost(
        f"Slack gives this app no connection any more: {why}.",
        "Check SLACK_APP_TOKEN, and that Socket Mode is switched on for the app.",
    )
