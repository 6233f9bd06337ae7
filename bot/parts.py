"""The loops that make up the running bot: begun together, and stopped in order.

When it is asked to stop the bot takes nothing new, lets what runs end or hands it over, says what
is due, and ends: all of that within a set time, whatever hangs.
"""

import asyncio
import contextlib
import os
import threading
from typing import Any

import structlog

from bot.health import Health
from bot.operations.context import Context
from bot.operations.table import scheduler
from bot.operations.worker import Worker
from bot.slack.notifier import Notifier
from bot.slack.socket import Connection
from bot.store.outbox import RESPONSE_URL_LIFE

log = structlog.get_logger()

PATIENCE = 12.0
"""Seconds after the drain for everything else that must be said and closed at the end."""

_FAREWELL = 5.0  # seconds for the messages that are due at the end
_SWEEP = 15.0
_DAY = 86400.0
_KEPT = 30 * _DAY  # how long finished jobs and delivered messages are kept


class Parts:
    """What runs beside each other; `connection` is None in HTTP mode."""

    def __init__(
        self,
        ctx: Context,
        worker: Worker,
        notifier: Notifier,
        connection: Connection | None,
        health: Health,
    ) -> None:
        self._ctx = ctx
        self._worker = worker
        self._notifier = notifier
        self._connection = connection
        self._health = health
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self) -> None:
        """Start all of them."""
        loops = {
            "worker": self._worker.run(),
            "notifier": self._notifier.run(),
            "housekeeping": housekeeping(self._ctx),
            "health": self._health.watch(),
        }
        if self._connection is not None:
            loops["socket"] = self._connection.keep()
        self._tasks = {n: asyncio.create_task(loop, name=n) for n, loop in loops.items()}

    async def run(self, stop: asyncio.Event, hurry: asyncio.Event) -> None:
        """Wait until `stop` is set, or one of them dies; then end all.

        Raises
        ------
        Exception : the error of the one that died. It sets both events.
        """
        asked = asyncio.create_task(stop.wait())
        await asyncio.wait([asked, *self._tasks.values()], return_when=asyncio.FIRST_COMPLETED)
        dead = [task for task in self._tasks.values() if task.done()]
        for task in dead:
            log.error("a part of the bot has died", part=task.get_name())
            hurry.set()
        stop.set()
        await asked
        await self._stop(hurry)
        for task in dead:
            raise task.exception() or RuntimeError(task.get_name())

    async def _stop(self, hurry: asyncio.Event) -> None:
        """Take nothing new, finish or hand over what runs, say what is due, end."""
        log.info("stopping")
        self._health.stopping = True
        hurried = asyncio.create_task(hurry.wait())
        hurried.add_done_callback(lambda _: self._worker.stop(at_once=True))
        leaving = asyncio.create_task(self._leave())
        self._worker.stop()
        drain = self._ctx.timing.drain
        await _until_all([self._tasks["worker"], leaving], hurried, drain + _FAREWELL)
        # Handing over takes a moment, also after a hurry has begun.
        await asyncio.wait([self._tasks["worker"]], timeout=_FAREWELL)
        self._notifier.stop()
        await _until_all([self._tasks["notifier"]], hurried, _FAREWELL)
        rest = [hurried, leaving, *self._tasks.values()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        log.info("stopped")

    async def _leave(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Exception):
                await self._connection.close()


async def _until_all(
    tasks: "list[asyncio.Task[None]]", hurried: "asyncio.Task[Any]", timeout: float
) -> None:
    """Wait until all of `tasks` have ended, or for so long, or until there is a hurry."""
    everything = asyncio.ensure_future(asyncio.wait(tasks))
    await asyncio.wait([hurried, everything], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    everything.cancel()


def no_later_than(seconds: float) -> None:
    """End the process then, with exit code 1, if it is still there: something hangs."""

    def end() -> None:
        log.error("not ended in time: what was left half-done is taken over from the store")
        os._exit(1)

    # A thread: the event loop may be what hangs.
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


async def housekeeping(ctx: Context) -> None:
    """Forget what is old, response_urls that Slack no longer honours before all; never ends."""
    swept = 0.0
    while True:
        with contextlib.suppress(Exception):
            async with ctx.store.transaction() as tx:
                await tx.outbox.forget_old_urls()
                await tx.jobs.forget_old_urls(RESPONSE_URL_LIFE)
                now = await tx.now()
                if old := now - swept > _DAY:
                    await tx.jobs.forget(_KEPT)
                    await tx.outbox.forget(_KEPT)
                    await tx.previews.forget(_KEPT)
            if old:
                # Another version of the bot may have taken a schedule that it did not know.
                await scheduler(ctx).ensure()
                swept = now
        await asyncio.sleep(_SWEEP)
