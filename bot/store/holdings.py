"""Which manifests each repository held when the bot last read all of it."""

from collections.abc import Collection, Iterable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.portable import batches, insert_ignore
from bot.store.schema import db_now, holdings, manifest_blobs

_READING = ""  # the digest of the row that stands for the reading itself


class Holdings:
    """Repositories share one storage: what one of them holds is not freed by another."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def read(self, registry: str) -> frozenset[str]:
        """The repositories of a registry that were read whole, empty ones included."""
        query = sa.select(holdings.c.repository).where(
            holdings.c.registry == registry, holdings.c.digest == _READING
        )
        return frozenset((await self._conn.scalars(query)).all())

    async def of(self, registry: str, repository: str) -> tuple[frozenset[str], float | None]:
        """What a repository held, and how many seconds ago that was; None if it was never read."""
        query = sa.select(holdings.c.digest, db_now() - holdings.c.seen_at).where(
            holdings.c.registry == registry, holdings.c.repository == repository
        )
        found = {digest: float(age) for digest, age in (await self._conn.execute(query)).all()}
        age = found.pop(_READING, None)
        return frozenset(found), age

    async def note(self, registry: str, repository: str, digests: Iterable[str]) -> None:
        """A repository was read whole, and held exactly these manifests."""
        now, (before, _) = {*digests, _READING}, await self.of(registry, repository)
        here = sa.and_(holdings.c.registry == registry, holdings.c.repository == repository)
        for batch in batches(before - now):
            await self._conn.execute(holdings.delete().where(here, holdings.c.digest.in_(batch)))
        fresh = [
            {"registry": registry, "repository": repository, "digest": digest}
            for digest in sorted(now - before)
        ]
        await self._conn.execute(
            insert_ignore(self._conn, holdings).values(seen_at=db_now()), fresh
        )
        await self._conn.execute(
            holdings.update().where(here, holdings.c.digest == _READING).values(seen_at=db_now())
        )

    async def forget(self, registry: str, repository: str) -> None:
        """There is no such repository any more."""
        await self._conn.execute(
            holdings.delete().where(
                holdings.c.registry == registry, holdings.c.repository == repository
            )
        )

    async def needed_elsewhere(
        self, registry: str, but_not: Collection[str], blobs: Iterable[str]
    ) -> frozenset[str]:
        """Those of `blobs` (manifests count, too) that other repositories of the registry hold.

        Parameters
        ----------
        but_not : repositories that do not count.
        """
        found: set[str] = set()
        others = sa.and_(
            holdings.c.registry == registry, holdings.c.repository.not_in(list(but_not))
        )
        for batch in batches(blobs):
            as_manifest = sa.select(holdings.c.digest).where(others, holdings.c.digest.in_(batch))
            as_blob = (
                sa.select(manifest_blobs.c.blob)
                .distinct()
                .join(holdings, holdings.c.digest == manifest_blobs.c.manifest)
                .where(others, manifest_blobs.c.blob.in_(batch))
            )
            for query in (as_manifest, as_blob):
                found.update((await self._conn.scalars(query)).all())
        return frozenset(found)
