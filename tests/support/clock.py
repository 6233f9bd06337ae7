"""Hours that go by in a moment: the times in the database move, not the clock."""

from bot.store.schema import jobs, outbox
from bot.store.store import Store

_TIMES = {"run_at", "lease_until", "created_at", "started_at", "finished_at"}


async def pass_by(store: Store, seconds: float) -> None:
    """Let jobs and letters believe that `seconds` have gone by: leases, delays and ages."""
    async with store.transaction() as tx:
        for table in (jobs, outbox):
            earlier = {c.name: c - seconds for c in table.columns if c.name in _TIMES}
            await tx.conn.execute(table.update().values(earlier))
