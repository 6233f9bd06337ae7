"""The table of what the worker can do: for each kind of job, how it is done and given up."""

import structlog

from bot.operations import approvals, running
from bot.operations.auditing import Anchoring
from bot.operations.collection import Collection
from bot.operations.context import Context
from bot.operations.due import DUE, Due
from bot.operations.locking import LOCK_ENDS, Locking
from bot.operations.previewing import PREVIEW, Previewing
from bot.operations.purge import Purge
from bot.operations.reminding import remind
from bot.operations.requesting import REMIND
from bot.operations.retaining import RETENTION, Retaining
from bot.operations.running import END_WINDOW
from bot.operations.scheduler import SCHEDULE, Scheduler
from bot.operations.undo import Undo
from bot.operations.untag import TAKE_BACK, Untag
from bot.operations.worker import Handler
from bot.store.jobs import Job
from bot.store.outbox import ANCHOR

log = structlog.get_logger()

_WITHOUT_END = 1_000_000  # attempts; a registry that may be read-only is never given up


def scheduler(ctx: Context) -> Scheduler:
    """Everything that begins by the clock."""
    entries = (Retaining(ctx).scheduled(), Due(ctx).scheduled(), Anchoring(ctx).scheduled())
    return Scheduler(ctx, {name: entry for part in entries for name, entry in part.items()})


async def nothing(job: Job, why: str) -> None:
    """Give up a job that nobody waits for."""
    log.error("given up", kind=job.kind, job=job.id, why=why)


class Operations:
    """All that needs no Slack, ready to be carried out."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self.untag, self.purge = Untag(ctx), Purge(ctx)
        self.undo, self.collect = Undo(ctx), Collection(ctx)
        self.lock = Locking(ctx)
        self.previews = Previewing(ctx)
        self.retaining, self.due = Retaining(ctx), Due(ctx)

    def handlers(self) -> dict[str, Handler]:
        """What is done for each kind of job."""
        due, lock, retaining = self.due, self.lock, self.retaining
        return {
            "expire": Handler(self._expire, nothing, attempts=_WITHOUT_END),
            REMIND: Handler(self._remind, nothing),
            "untag": Handler(self.untag.run, self._give_up),
            TAKE_BACK: Handler(self.untag.take_back, nothing, attempts=_WITHOUT_END),
            "purge": Handler(self.purge.run, self._give_up),
            END_WINDOW: Handler(self.purge.end_window, self.purge.give_up_window),
            "undo": Handler(self.undo.run, self._give_up),
            "lock": Handler(lock.run, self._give_up),
            ANCHOR: Handler(Anchoring(self._ctx).run, nothing, attempts=_WITHOUT_END),
            LOCK_ENDS: Handler(lock.end, nothing, attempts=_WITHOUT_END),
            PREVIEW: Handler(self.previews.run, self.previews.give_up),
            SCHEDULE: Handler(scheduler(self._ctx).run, nothing, attempts=_WITHOUT_END),
            RETENTION: Handler(retaining.run, retaining.give_up),
            DUE: Handler(due.run, due.give_up),
            "collect": Handler(self.collect.run, self.collect.give_up, attempts=_WITHOUT_END),
        }

    async def _expire(self, job: Job) -> None:
        async with self._ctx.store.transaction(job) as tx:
            await approvals.expire(tx, await tx.requests.get(job.request_id or 0))
            await tx.jobs.finish(job)

    async def _remind(self, job: Job) -> None:
        await remind(self._ctx, job)

    async def _give_up(self, job: Job, why: str) -> None:
        await running.give_up(self._ctx, job, why)
