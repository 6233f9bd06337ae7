"""Writes down what comes in, within the patience of whoever waits for it.

A crowd would wait for one transaction after the other, and Slack gives up after three seconds. So
all that waits at the same moment is written in one, ahead of whatever else wants to write.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

import structlog

from bot.slack.payloads import Row
from bot.store.jobs import Incoming
from bot.store.store import Store, Transaction

log = structlog.get_logger()

_AT_ONCE = 200


class Outcome(Enum):
    """What became of it. `CROWDED` is not written down because too much waits already."""

    RECORDED = auto()
    FAILED = auto()
    CROWDED = auto()


@dataclass(slots=True, eq=False)
class _Entry:
    """Something to write down; `written` is cancelled when nobody waits for it any more."""

    job: Incoming
    among: tuple[str, ...]
    written: "asyncio.Future[Outcome]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class _Withdrawn(Exception):
    """Somebody was told that their part of this transaction is not recorded."""


class Recorder:
    """Queues jobs for what came in.

    Parameters
    ----------
    store : where to.
    most : how many of the same queue may wait for a worker.
    """

    def __init__(self, store: Store, most: int) -> None:
        self._store = store
        self._most = most
        self._waiting: list[_Entry] = []
        self._writing: asyncio.Task[None] | None = None

    async def record(
        self, kind: str, key: str, row: Row, patience: float, *, among: tuple[str, ...]
    ) -> Outcome:
        """Write it down; what is not recorded by then never will be.

        Parameters
        ----------
        key : what makes it one and the same; the second of two is taken for recorded.
        patience : seconds to wait.
        among : the kinds of jobs in the same queue.
        """
        entry = _Entry(Incoming(kind, row, key), among)
        self._waiting.append(entry)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="recorder")
        done, _ = await asyncio.wait([entry.written], timeout=max(0.0, patience))
        if not done:
            entry.written.cancel()
            log.error("not recorded in time", kind=kind)
            return Outcome.FAILED
        return entry.written.result()

    async def _write(self) -> None:
        """Write until nothing waits."""
        most = _AT_ONCE
        while self._waiting:
            batch: Sequence[_Entry] = ()
            try:
                async with self._store.transaction(urgent=True) as tx:
                    # Taken only now: a database that is locked may answer when patience has ended.
                    batch = self._take(most)
                    fitting = await self._fitting(tx, batch)
                    await tx.jobs.add_all([entry.job for entry in fitting])
                    self._still_wanted(batch)
            except _Withdrawn:
                self._waiting[:0] = batch
            except Exception as error:
                if len(batch) > 1:
                    # One that cannot be written must not keep the others out.
                    self._waiting[:0] = batch
                    most = 1
                    continue
                log.error("not recorded", exc_info=error)
                _tell(batch or self._take(len(self._waiting)), Outcome.FAILED)
            else:
                _tell(fitting, Outcome.RECORDED)
                _tell(batch, Outcome.CROWDED)

    async def _fitting(self, tx: Transaction, batch: Sequence[_Entry]) -> Sequence[_Entry]:
        """Those for whom there is room."""
        room: dict[tuple[str, ...], int] = {}
        fitting = []
        for entry in batch:
            if entry.among not in room:
                room[entry.among] = self._most - await tx.jobs.waiting(entry.among)
            room[entry.among] -= 1
            if room[entry.among] >= 0:
                fitting.append(entry)
        return fitting

    @staticmethod
    def _still_wanted(batch: Sequence[_Entry]) -> None:
        if any(entry.written.cancelled() for entry in batch):
            raise _Withdrawn

    def _take(self, most: int) -> Sequence[_Entry]:
        """The first that are still waited for."""
        wanted = [entry for entry in self._waiting if not entry.written.cancelled()]
        self._waiting = wanted[most:]
        return wanted[:most]


def _tell(entries: Sequence[_Entry], outcome: Outcome) -> None:
    """Say so to those who have not heard anything yet."""
    for entry in entries:
        if not entry.written.done():
            entry.written.set_result(outcome)
