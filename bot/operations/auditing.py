"""Reading the audit trail, checking it, and posting its head where nobody here can change it."""

from collections.abc import Mapping

import structlog

from bot.operations.context import Context
from bot.operations.scheduler import Scheduled
from bot.store import trail
from bot.store.audit_search import Wanted, find
from bot.store.chain import AuditEntry, Report
from bot.store.jobs import Job
from bot.store.outbox import ANCHOR
from bot.store.store import Transaction

log = structlog.get_logger()


async def look(ctx: Context, wanted: Wanted, limit: int) -> tuple[list[AuditEntry], int]:
    """The newest entries, the newest first, and how many there are."""
    async with ctx.store.reading() as tx:
        return await find(tx.conn, wanted, limit)


async def check(ctx: Context) -> Report:
    """Check the whole trail against itself and against every head that was posted."""
    async with ctx.store.reading() as tx:
        return await trail.check(tx.conn)


class Anchoring:
    """Posts the head of the trail, at once where none was ever posted and then once a day."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def scheduled(self) -> Mapping[str, Scheduled]:
        """What the scheduler begins: a head as each day of the team begins."""
        return {ANCHOR: Scheduled("daily 00:00", self._due)} if self._ctx.audit_channel else {}

    async def _due(self, tx: Transaction, at: float) -> None:
        await tx.jobs.add(ANCHOR, dedupe=f"{ANCHOR}:{at:.0f}")

    async def begin(self) -> None:
        """See to the first head: whichever replica is first."""
        if self._ctx.audit_channel:
            async with self._ctx.store.transaction() as tx:
                if await tx.audit.posted() is None:
                    await tx.jobs.add(ANCHOR, dedupe=f"{ANCHOR}:first")

    async def run(self, job: Job) -> None:
        """Post the head, and write down what was posted, in one transaction."""
        async with self._ctx.store.transaction(job) as tx:
            if channel := self._ctx.audit_channel:
                await self._post(tx, channel)
            await tx.jobs.finish(job)

    async def _post(self, tx: Transaction, channel: str) -> None:
        before = await tx.audit.posted()
        lost = before is not None and not await tx.audit.still_has(before)
        if lost:
            log.error("the head that was posted before is gone", head=str(before))
        if before is None:
            await tx.audit.append("audit.begun", channel=channel)
        head, count = await tx.audit.anchor(channel)
        data = {"entry": head.entry, "hash": head.hash, "count": count, "at": await tx.now()}
        await tx.outbox.anchor(channel, {**data, "lost": str(before) if lost else ""})


async def anchor_trouble(tx: Transaction, channel: str) -> str:
    """Why the head cannot be posted, as Slack says it; "" if it can, or nothing is to be posted."""
    return await tx.outbox.trouble(ANCHOR) if channel else ""
