"""Manifests by digest: bytes that never change, kept for plans, undo, and speed."""

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.registry.manifest import RawManifest
from bot.registry.reference import Digest
from bot.store.contents import rows_of
from bot.store.portable import batches, insert_ignore
from bot.store.schema import manifest_blobs, manifests

_BATCH = 500  # rows in one statement


class Manifests:
    """A cache that is never stale, because its key is the hash of its value."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def keep(self, raws: Iterable[RawManifest]) -> None:
        """Store manifests with what they need; those already there stay as they are."""
        new = list(raws)
        rows = [{"digest": r.digest, "media_type": r.media_type, "body": r.body} for r in new]
        for table, wanted in ((manifests, rows), (manifest_blobs, rows_of(new))):
            for start in range(0, len(wanted), _BATCH):
                await self._conn.execute(
                    insert_ignore(self._conn, table), wanted[start : start + _BATCH]
                )

    async def get(self, digests: Iterable[str]) -> dict[str, RawManifest]:
        """The stored ones among `digests`."""
        found: dict[str, RawManifest] = {}
        columns = sa.select(manifests.c.digest, manifests.c.media_type, manifests.c.body)
        for batch in batches(digests):
            rows = await self._conn.execute(columns.where(manifests.c.digest.in_(batch)))
            for digest, media_type, body in rows:
                found[digest] = RawManifest(Digest(digest), media_type, bytes(body))
        return found

    async def configs(self, digests: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """What was remembered of the configs of these manifests."""
        found: dict[str, Mapping[str, Any]] = {}
        columns = sa.select(manifests.c.digest, manifests.c.config)
        for batch in batches(digests):
            query = columns.where(manifests.c.digest.in_(batch), manifests.c.config.is_not(None))
            found.update({row.digest: row.config for row in await self._conn.execute(query)})
        return found

    async def keep_configs(self, configs: Mapping[str, Mapping[str, Any]]) -> None:
        """Remember what the config of each manifest (by its digest) said."""
        if configs:
            await self._conn.execute(
                manifests.update()
                .where(manifests.c.digest == sa.bindparam("of"))
                .values(config=sa.bindparam("config")),
                [{"of": digest, "config": dict(config)} for digest, config in configs.items()],
            )
