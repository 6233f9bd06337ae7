"""Hours that go by in a moment: the times in the database move, not the clock."""

from bot.store.schema import jobs, outbox, previews, requests
from bot.store.store import Store

_QUEUED = ("run_at", "lease_until", "created_at", "started_at", "finished_at")
_MOVED = {
    jobs: _QUEUED,
    outbox: _QUEUED,
    requests: ("edited_at",),
    previews: ("edited_at",),
}


async def pass_by(store: Store, seconds: float) -> None:
    """Let jobs and letters believe that `seconds` have gone by: leases, delays and ages."""
    async with store.transaction() as tx:
        for table, names in _MOVED.items():
            earlier = {name: table.c[name] - seconds for name in names if name in table.c}
            await tx.conn.execute(table.update().values(earlier))
