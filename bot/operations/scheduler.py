"""What begins by the clock: each occurrence once, whichever process is there, in its time zone.

An occurrence is a job. It begins what is due and queues the next occurrence, in one transaction;
its key exists once for ever, so that several processes can all see to it. A job of a schedule that
has changed, or is gone, does nothing.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

from bot.operations.context import Context
from bot.rules.schedule import Schedule
from bot.store.jobs import Job
from bot.store.store import Transaction

log = structlog.get_logger()

SCHEDULE = "schedule"
_LATE = 86400.0
"""What is later than this (the bot was down) is left out; what is less late happens once."""

Begin = Callable[[Transaction, float], Awaitable[None]]
"""Told the moment that was meant (epoch seconds). Queues the work: it has one transaction."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """One line of the table: when, as the settings write it, and what begins then."""

    when: str
    begin: Begin


class Scheduler:
    """Sees to the next occurrence of everything that is scheduled.

    Parameters
    ----------
    entries : by a name that stays the same over restarts, such as `retention:ci`.
    """

    def __init__(self, ctx: Context, entries: Mapping[str, Scheduled]) -> None:
        self._ctx = ctx
        self._entries = entries

    async def ensure(self) -> None:
        """Queue the next occurrence of everything, unless it is queued already."""
        async with self._ctx.store.transaction() as tx:
            now = await tx.now()
            for name, entry in self._entries.items():
                await self._queue(tx, name, entry, now)

    async def run(self, job: Job) -> None:
        """Begin what is due."""
        name, at = str(job.payload.get("name", "")), float(job.payload.get("at", 0.0))
        entry = self._entries.get(name)
        async with self._ctx.store.transaction(job) as tx:
            if entry is not None and job.payload == self._payload(name, entry, at):
                now = await tx.now()
                if now - at < _LATE:
                    await entry.begin(tx, at)
                    await self._queue(tx, name, entry, max(now, at))
                else:
                    log.warning("too late, left out", schedule=name, meant=at)
                    # The last one that was missed may be less than a day late.
                    await self._queue(tx, name, entry, now - _LATE)
            await tx.jobs.finish(job)

    async def _queue(self, tx: Transaction, name: str, entry: Scheduled, after: float) -> None:
        at = Schedule.parse(entry.when).next_after(after, self._ctx.timezone)
        payload = self._payload(name, entry, at)
        key = f"{SCHEDULE}:{name}:{entry.when}:{payload['zone']}:{at:.0f}"
        await tx.jobs.add(SCHEDULE, payload, at=at, dedupe=key)

    def _payload(self, name: str, entry: Scheduled, at: float) -> dict[str, object]:
        return {"name": name, "when": entry.when, "zone": str(self._ctx.timezone), "at": at}
