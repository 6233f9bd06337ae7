"""What stops a collection that is under way: somebody's Abort, and pushes that are accepted."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

from bot.gc.errors import CollectionAborted, GcError
from bot.gc.executor import Executor
from bot.gc.report import GcProgress
from bot.operations.collection_journal import Journal
from bot.operations.proof import Proof

_T = TypeVar("_T")


class Interrupted(Exception):
    """The sequence cannot go on; the registry must be restored, then `why` is told."""

    def __init__(self, why: str, *, aborted: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.aborted = aborted


class Guard:
    """Watches beside the steps of one collection; `abort` is set where it must end."""

    def __init__(self, journal: Journal, collector: Executor, proof: Proof) -> None:
        self._journal = journal
        self._collector = collector
        self._proof = proof
        self.abort = asyncio.Event()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Hear of an Abort meanwhile."""
        task = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task

    async def _listen(self) -> None:
        journal = self._journal
        while not self.abort.is_set():
            async with journal.ctx.store.reading() as tx:
                current = await tx.requests.get(journal.request.id)
            if current.abort_by:
                journal.request = current
                self.abort.set()
                return
            await asyncio.sleep(min(1.0, journal.ctx.timing.edit))

    def stop_if_asked(self) -> None:
        """Raises Interrupted after an Abort."""
        if self.abort.is_set():
            raise Interrupted(self._by, aborted=True)

    @property
    def _by(self) -> str:
        return f"aborted by <@{self._journal.request.abort_by}>"

    async def unless_aborted(self, work: Awaitable[_T]) -> _T:
        """The result of `work`; raises CollectionAborted where that comes first."""
        task = asyncio.ensure_future(work)
        abort = asyncio.create_task(self.abort.wait())
        try:
            await asyncio.wait({task, abort}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise CollectionAborted(self._by)
            return task.result()
        finally:
            task.cancel()
            abort.cancel()
            await asyncio.gather(task, abort, return_exceptions=True)

    def why(self, stop: CollectionAborted) -> str:
        """Why it was stopped: what was seen, or who asked for it."""
        return str(self._journal.progress.get("breach") or stop.sentence)

    @contextlib.asynccontextmanager
    async def proving(self, latest: list[GcProgress]) -> AsyncIterator[None]:
        """Show progress meanwhile, and prove again and again that pushes are refused.

        Parameters
        ----------
        latest : holds the newest progress, or nothing; whoever collects writes it there.
        """
        task = asyncio.create_task(self._prove(latest))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _prove(self, latest: list[GcProgress]) -> None:
        shown: GcProgress | None = None
        while True:
            await asyncio.sleep(self._journal.ctx.timing.edit)
            if breach := await self.breach():
                await self._journal.note(breach=breach)
                self.abort.set()
                return
            if latest and latest[0] != shown:
                shown = latest[0]
                await self._journal.note(marked=shown.marked, eligible=shown.eligible_blobs)

    async def breach(self) -> str:
        """Why the collection must not go on beside the registry as it is; "" if it may."""
        if self._collector.is_live:
            return ""
        with contextlib.suppress(GcError):  # nobody answers: silence is not a breach
            if disturbed := await self._collector.disturbance():
                return f"{disturbed}. The collection was killed at once"
        if await self._proof.still_refused():
            return ""
        return (
            "the registry accepted an upload during the collection, which was killed at once; "
            "check `write_urls` and what else restarts the registry"
        )
