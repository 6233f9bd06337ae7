"""What manifests need, as rows: so that the database can say who else needs a blob."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.registry.manifest import Image, InvalidManifest, RawManifest
from bot.registry.reference import Digest
from bot.store.portable import insert_ignore

_BATCH = 500


def rows_of(raws: Iterable[RawManifest]) -> list[dict[str, Any]]:
    """A row of `manifest_blobs` for each config and layer; what cannot be read needs nothing."""
    rows = []
    for raw in raws:
        try:
            manifest = raw.parse()
        except InvalidManifest:
            continue
        if isinstance(manifest, Image):
            rows += [
                {"manifest": raw.digest, "blob": blob.digest, "size": blob.size}
                for blob in manifest.blobs
            ]
    return rows


async def fill(conn: AsyncConnection, manifests: sa.Table, blobs: sa.Table) -> None:
    """Write the rows of every manifest that was stored before they were kept; may be repeated."""
    columns = sa.select(manifests.c.digest, manifests.c.media_type, manifests.c.body)
    last = ""
    while True:
        query = columns.where(manifests.c.digest > last).order_by(manifests.c.digest).limit(_BATCH)
        found = (await conn.execute(query)).all()
        if not found:
            return
        last = found[-1].digest
        raws = [RawManifest(Digest(d), media_type, bytes(body)) for d, media_type, body in found]
        rows = rows_of(raws)
        if rows:
            await conn.execute(insert_ignore(conn, blobs), rows)
