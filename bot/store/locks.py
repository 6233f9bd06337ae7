"""Locks: set and ended in the transaction of the request that says so."""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.rules.locks import Lock
from bot.store.schema import db_now, locks

_LOCK = tuple(locks.c[name] for name in Lock.__dataclass_fields__)
_HOLDS = sa.and_(
    locks.c.ended_at.is_(None), sa.or_(locks.c.until.is_(None), locks.c.until > db_now())
)


class Locks:
    """Everything about locks inside one transaction."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def add(
        self,
        registry: str,
        repository: str,
        *,
        reason: str,
        actor: str,
        team: str,
        channel: str,
        request_id: int,
        seconds: float | None,
    ) -> Lock:
        """Lock a repository, or with "" the whole registry, for `seconds` or without an end."""
        statement = (
            locks.insert()
            .values(
                registry=registry,
                repository=repository,
                reason=reason,
                actor=actor,
                team=team,
                channel=channel,
                request_id=request_id,
                at=db_now(),
                until=None if seconds is None else db_now() + seconds,
            )
            .returning(*_LOCK)
        )
        return Lock(**(await self._conn.execute(statement)).mappings().one())

    async def active(self, registry: str) -> tuple[Lock, ...]:
        """The locks that hold on a registry, the oldest first."""
        return await self.active_on([registry])

    async def active_on(self, registries: Iterable[str]) -> tuple[Lock, ...]:
        """The same of several registries."""
        query = (
            sa.select(*_LOCK)
            .where(locks.c.registry.in_(list(registries)), _HOLDS)
            .order_by(locks.c.registry, locks.c.id)
        )
        rows = (await self._conn.execute(query)).mappings()
        return tuple(Lock(**row) for row in rows)

    async def on(self, registry: str, repository: str) -> Lock | None:
        """The lock on exactly this repository (or, with "", on the registry), if it holds."""
        held = await self.active(registry)
        return next((lock for lock in held if lock.repository == repository), None)

    async def get(self, number: int) -> Lock | None:
        """The lock with this number, ended or not."""
        row = (await self._conn.execute(sa.select(*_LOCK).where(locks.c.id == number))).mappings()
        found = row.first()
        return Lock(**found) if found else None

    async def end(self, number: int, by: str = "") -> bool:
        """Unlock; False if somebody has before. Without `by`, its time was over."""
        statement = (
            locks.update()
            .where(locks.c.id == number, locks.c.ended_at.is_(None))
            .values(ended_at=db_now(), ended_by=by)
        )
        return bool((await self._conn.execute(statement)).rowcount)
