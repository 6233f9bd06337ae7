"""Takes jobs and carries them out: once, by a process that is alive.

A job that raises is tried again; one that keeps failing is given up, and its handler says so
to whoever waits for it. A lost lease cancels the work at once.
"""

import asyncio
import contextlib
import functools
import os
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import structlog

from bot.operations.context import Context
from bot.store.audit import AuditUnwritable
from bot.store.jobs import Job, LeaseLost

log = structlog.get_logger()

_IDLE = 1.0  # seconds between looks at the queue when nothing wakes us: other replicas add to it
_PARALLEL = 16
_ORDINARY = 12  # so many of these may be ordinary work: a place is left for what is urgent
_LONGEST_PAUSE = 60.0


class TryLater(Exception):
    """The work cannot go on now. It is queued again after `delay` seconds.

    `counts` says whether this was an attempt (five are made) or only waiting.
    """

    def __init__(self, delay: float, *, counts: bool = False) -> None:
        super().__init__(f"again in {delay} s")
        self.delay = delay
        self.counts = counts


@dataclass(frozen=True, slots=True)
class Handler:
    """How one kind of job is done.

    `run` must end by finishing the job in a transaction of its own, or return, and the worker
    finishes it. `give_up` is told when the attempts are used up.
    """

    run: Callable[[Job], Awaitable[None]]
    give_up: Callable[[Job, str], Awaitable[None]]
    attempts: int = 5


class Worker:
    """The loop.

    Parameters
    ----------
    ctx : where the jobs are.
    handlers : what to do for each kind.
    on_done : told kind and outcome of each job, for the metrics.
    request : work for this one only (see :meth:`bot.store.jobs.Jobs.claim`).
    ordinary : kinds of jobs that people may send many of. They never take every place.
    """

    def __init__(
        self,
        ctx: Context,
        handlers: Mapping[str, Handler],
        on_done: Callable[[str, str], None] = lambda *_: None,
        *,
        request: int | None = None,
        ordinary: Collection[str] = (),
    ) -> None:
        self._ordinary = frozenset(ordinary)
        self._busy: Counter[str] = Counter()
        self._ctx = ctx
        self._handlers = handlers
        self._on_done = on_done
        self._request = request
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._turned = time.monotonic()
        self._tasks: set[asyncio.Task[None]] = set()
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"

    @property
    def still(self) -> float:
        """Seconds since the loop last turned; 0 while it drains, since it takes nothing then."""
        return 0.0 if self._stopping.is_set() else time.monotonic() - self._turned

    def stop(self, *, at_once: bool = False) -> None:
        """Take no more jobs; `at_once` hands over what runs without waiting for it to end."""
        self._stopping.set()
        self._ctx.store.worked.set()
        if at_once:
            self._hurry.set()

    async def run(self) -> None:
        """Work until `stop` is called; then give what runs a limited time to end."""
        store, timing = self._ctx.store, self._ctx.timing
        while not self._stopping.is_set():
            self._turned = time.monotonic()
            store.worked.clear()
            try:
                job = None
                if len(self._tasks) < _PARALLEL:
                    job = await store.claim_job(
                        self.name, timing.lease, self._kinds(), request=self._request
                    )
            except Exception:
                log.exception("the queue cannot be read")
                job = None
            if job is None:
                await self._wait()
            else:
                self._busy[job.kind] += 1
                task = asyncio.create_task(self._guarded(job))
                self._tasks.add(task)
                task.add_done_callback(functools.partial(self._ended, job.kind))
        await self._drain()

    def _ended(self, kind: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._busy[kind] -= 1
        self._ctx.store.worked.set()

    def _is_full(self) -> bool:
        """Whether ordinary work has all the places that it may have."""
        return sum(self._busy[kind] for kind in self._ordinary) >= _ORDINARY

    def _kinds(self) -> Iterable[str]:
        """What may be begun now; () for everything."""
        return self._handlers.keys() - self._ordinary if self._is_full() else ()

    async def _wait(self) -> None:
        delay = _IDLE
        # Without a free place only the end of something matters, and not what is due.
        if not self._is_full() and len(self._tasks) < _PARALLEL:
            with contextlib.suppress(Exception):
                async with self._ctx.store.reading() as tx:
                    until = await tx.jobs.seconds_until_next()
                delay = min(_IDLE, max(until if until is not None else _IDLE, 0.02))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ctx.store.worked.wait(), delay)

    async def _drain(self) -> None:
        """Let what runs end, for so long; then hand it over: its leases end at once."""
        hurry = asyncio.create_task(self._hurry.wait())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._ctx.timing.drain):
                while self._tasks and not hurry.done():
                    await asyncio.wait([hurry, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _guarded(self, job: Job) -> None:
        """Do one; where the store takes no word of how it ended, its lease runs out."""
        try:
            await self.carry_out(job)
        except Exception:
            log.exception("job left to its lease", job=job.id, kind=job.kind)

    async def carry_out(self, job: Job) -> None:
        """Do one claimed job, with a heartbeat; cancelled, it is handed over to whoever is next."""
        handler = self._handlers.get(job.kind)
        outcome = "ok"
        beat: asyncio.Task[None] | None = None
        try:
            if handler is None:
                raise TryLater(60.0)  # written by a newer version; one may come
            work = asyncio.ensure_future(self._work(handler, job))
            beat = asyncio.create_task(self._heartbeat(job, work))
            await work
        except asyncio.CancelledError:
            outcome = await self._put_down(job)
        except LeaseLost:
            outcome = "taken over"
            log.warning("job taken over by another process", job=job.id, kind=job.kind)
        except TryLater as later:
            outcome = "later"
            await self._again(job, later.delay, counts=later.counts)
        except AuditUnwritable as error:
            outcome = "blocked"
            await self._blocked(job, error)
        except Exception as error:
            outcome = "error"
            log.exception("job failed", job=job.id, kind=job.kind, attempt=job.attempts)
            if handler is not None:
                await self._failed(handler, job, error)
        finally:
            if beat is not None:
                beat.cancel()
            self._on_done(job.kind, outcome)

    async def _work(self, handler: Handler, job: Job) -> None:
        if job.attempts > handler.attempts:
            # It was claimed and abandoned again and again: perhaps it kills its process.
            await handler.give_up(job, "it was tried too often")
        else:
            await handler.run(job)
        with contextlib.suppress(LeaseLost):  # finished by its own transaction
            async with self._ctx.store.transaction() as tx:
                await tx.jobs.finish(job)

    async def _failed(self, handler: Handler, job: Job, error: Exception) -> None:
        with contextlib.suppress(LeaseLost):
            if job.attempts < handler.attempts:
                delay = min(_LONGEST_PAUSE, self._ctx.timing.retry * job.attempts)
                await self._again(job, delay, counts=True)
                return
            try:
                await handler.give_up(job, f"{type(error).__name__}")
            except AuditUnwritable as unwritable:
                await self._blocked(job, unwritable)
                return
            async with self._ctx.store.transaction() as tx:
                await tx.jobs.finish(job, "failed")

    async def _blocked(self, job: Job, error: AuditUnwritable) -> None:
        """Nothing happens that cannot be written down: wait until it can, and show that we do."""
        log.error("job waits", job=job.id, kind=job.kind, why=str(error))
        with contextlib.suppress(LeaseLost):
            async with self._ctx.store.transaction(job) as tx:
                if job.request_id is not None:
                    request = await tx.requests.get(job.request_id)
                    progress = {**request.progress, "waiting": error.sentence}
                    await tx.requests.change(request.id, progress=progress)
                    await tx.outbox.refresh(request.id)
                await tx.jobs.put_back(job, self._ctx.timing.retry, forgive=True)

    async def _again(self, job: Job, delay: float, *, counts: bool) -> None:
        with contextlib.suppress(LeaseLost):
            async with self._ctx.store.transaction() as tx:
                await tx.jobs.put_back(job, delay, forgive=not counts)

    async def _put_down(self, job: Job) -> str:
        """Let whoever is next have it at once; the outcome."""
        with contextlib.suppress(Exception):
            try:
                async with self._ctx.store.transaction() as tx:
                    await tx.jobs.put_back(job, forgive=True)
            except LeaseLost:
                return "taken over" if await self._is_lost(job) else "ok"
        return "handed over"

    async def _is_lost(self, job: Job) -> bool:
        """Renew the lease; whether somebody else has the job. One that has ended is not lost."""
        try:
            async with self._ctx.store.transaction(job):
                return False
        except LeaseLost:
            async with self._ctx.store.reading() as tx:
                return not await tx.jobs.is_finished(job)

    async def _heartbeat(self, job: Job, work: asyncio.Future[None]) -> None:
        lease = self._ctx.timing.lease
        while not work.done():
            await asyncio.sleep(lease / 3)
            try:
                lost = await self._is_lost(job)
            except Exception:
                log.exception("heartbeat failed", job=job.id)
                continue
            if lost:
                log.warning("lease lost: stopping work", job=job.id, kind=job.kind)
                work.cancel()
                return
