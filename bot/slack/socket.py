"""Keeps Slack connected: a new connection is opened and proven before the old one is left.

Slack asks for a new connection every few hours, networks lose them, and one that answers pings but
delivers nothing cannot be told from a quiet one. So every connection is replaced when it has a
certain age, whatever it looks like. What cannot be mended here ends the process: its supervisor
starts a new one. Where Slack has no place for one more connection, a new process would have none
either: this one does what else there is to do, and asks again.
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

_MARGIN = 60.0  # seconds before its age is up that a connection is replaced
_UNASKED = {Ending.LOST, Ending.TOO_MANY}
_HINTS: dict[str, str] = {
    Ending.TOO_MANY: "Slack gives one app ten connections, and all are taken: stop what runs with "
    "this app's token and is not needed. This process goes on without one, and asks again."
}


class SocketLost(Exception):
    """There is no connection to Slack, and there has been none for too long."""

    def __init__(self, sentence: str, hint: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds; tests shorten them.

    `age` is the longest that a connection is believed: one is replaced a little earlier, so that a
    deaf one is left by then. `heartbeat` is the time between pings, `open` how long opening one
    may take, `pause` and `longest` the first and the longest wait between attempts, `quiet` how
    long the old one is left to end by itself, and `give_up` how long the process lives on without
    any connection.
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
    on_ack : told the seconds from each payload to the end of its acknowledgement.
    """

    def __init__(
        self,
        app: AsyncApp,
        client: AsyncWebClient,
        token: str,
        pace: Pace | None = None,
        on_replaced: Callable[[str], None] = lambda _: None,
        on_ack: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._app = app
        self._client = client
        self._token = token
        self._pace = pace or Pace()
        self._on_replaced = on_replaced
        self._on_ack = on_ack
        self._refused = ""
        self._wire: Wire | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()
        self._proven = time.monotonic()

    @property
    def is_open(self) -> bool:
        """Whether Slack can deliver, as far as anybody can tell."""
        return self._wire is not None and self._wire.is_open

    @property
    def age(self) -> float:
        """Seconds since Slack last proved by a hello that it knows this connection."""
        return time.monotonic() - self._proven

    @property
    def trouble(self) -> str:
        """Why Slack cannot deliver, or perhaps cannot; "" if it can."""
        if not self.is_open:
            return f"not connected to Slack{f': {self._refused}' if self._refused else ''}"
        if self.age > self._pace.age:
            return f"Slack has not said hello for {self.age:.0f} seconds: {self._refused}"
        return ""

    async def open(self, timeout: float) -> None:
        """Connect for the first time; where every place is taken, `keep` goes on trying.

        Raises
        ------
        NotOpened : Slack refuses, or does not answer within `timeout` seconds.
        """
        try:
            self._wire = await self._opened(timeout)
        except NotOpened as error:
            if error.why != Ending.TOO_MANY:
                raise

    async def _opened(self, timeout: float) -> Wire:
        wire = Wire(self._app, self._client, self._token, self._pace.heartbeat, self._on_ack)
        try:
            await wire.open(timeout)
        except NotOpened as error:
            log.warning("Slack gave no connection", why=error.why, hint=_HINTS.get(error.why, ""))
            self._refused = error.why
            raise
        self._refused = ""
        self._proven = time.monotonic()
        return wire

    async def keep(self) -> None:
        """Replace what is old, asked to leave, or lost; ends when `close` is called.

        Raises
        ------
        SocketLost : there has been no connection for too long, or Slack will give none again.
        """
        pause = 0.0
        while not self._closing.is_set():
            why = await self._until_due()
            if self._closing.is_set():
                return
            # One that is lost as soon as it was opened, again and again, is not hammered at.
            young = why in _UNASKED and self.age < self._pace.longest
            await self._rest(pause if young else 0.0)
            pause = min(max(2 * pause, self._pace.pause), self._pace.longest) if young else 0.0
            log.info("replacing the connection to Slack", why=why)
            if await self._replace():
                self._on_replaced(why)

    async def _until_due(self) -> str:
        wire, age = self._wire, self._pace.age
        if wire is None:
            await self._rest(self._pace.longest)
            return Ending.TOO_MANY.value
        with contextlib.suppress(TimeoutError):
            due = age - min(_MARGIN, age / 4) - self.age
            await asyncio.wait_for(wire.ended.wait(), max(0.0, due))
        return str(wire.ending or "age")

    async def _rest(self, seconds: float) -> None:
        """Wait, but no longer than until `close` is called."""
        if seconds:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), seconds)

    async def _replace(self) -> bool:
        """Open a new connection beside the old one, then take leave of that; whether it came."""
        old, opened = self._wire, None
        lost_since: float | None = None
        pause = self._pace.pause
        while opened is None:
            try:
                opened = await self._opened(self._pace.open)
            except NotOpened as error:
                if error.fatal:
                    raise _refused(error.why) from error
                crowded = error.why == Ending.TOO_MANY
                if crowded and old is not None and old.is_open:
                    # Ten are allowed: our own old one makes room.
                    await old.retire(0.0)
                now = time.monotonic()
                # A new process would have no place either: that is waited for here.
                hears = crowded or (old is not None and old.is_open)
                lost_since = None if hears else lost_since or now
                if lost_since is not None and now - lost_since >= self._pace.give_up:
                    raise _lost(now - lost_since) from error
                await self._rest(max(pause, error.wait))
                pause = min(pause * 2, self._pace.longest)
            if self._closing.is_set():
                if opened is not None:
                    await opened.retire(0.0)
                return False
        self._wire = opened
        if old is not None:
            task = asyncio.create_task(old.retire(self._pace.quiet, opened))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        return True

    async def close(self) -> None:
        """Take nothing more from Slack; what was taken is still acknowledged."""
        self._closing.set()
        if self._wire is not None:
            self._wire.ended.set()
            await self._wire.retire(1.0)
        for task in list(self._leaving):
            task.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)


def _lost(seconds: float) -> SocketLost:
    return SocketLost(
        f"Slack has not been reachable for {seconds:.0f} seconds.",
        "The process ends so that its supervisor starts a new one; look at the network, a proxy, "
        "and Slack's status page.",
    )


def _refused(why: str) -> SocketLost:
    return SocketLost(
        f"Slack gives this app no connection any more: {why}.",
        "Check SLACK_APP_TOKEN, and that Socket Mode is switched on for the app.",
    )
