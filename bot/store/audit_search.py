"""Finds entries of the audit trail: by image, person, request and time."""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.registry.reference import match_tag
from bot.store.chain import AuditEntry
from bot.store.schema import audit, db_now, items, requests


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries.

    `registries` and `channel` say what may be seen: entries of these registries, and (`elsewhere`)
    those of none that concern the channel; outside of Slack, where there is no channel, all of
    none. The rest narrows it, where it is given: `tag` may be a pattern, `digest` the beginning
    of one, `actors` are all ids of one person, `since` is in seconds.
    """

    registries: tuple[str, ...]
    channel: str
    elsewhere: bool = True
    repository: str = ""
    tag: str = ""
    digest: str = ""
    actors: tuple[str, ...] = ()
    request: int | None = None
    since: float | None = None


async def find(conn: AsyncConnection, wanted: Wanted, limit: int) -> tuple[list[AuditEntry], int]:
    """The newest `limit` entries, the newest first, and how many there are."""
    seen: sa.ColumnElement[bool] = audit.c.registry.in_(wanted.registries)
    if wanted.elsewhere:
        here = audit.c.channel == wanted.channel if wanted.channel else sa.true()
        seen = sa.or_(seen, sa.and_(audit.c.registry == "", here))
    only: list[sa.ColumnElement[bool]] = [seen]
    if wanted.repository:
        only.append(await _about_image(conn, wanted))
    if wanted.actors:
        only.append(audit.c.actor.in_(wanted.actors))
    if wanted.request is not None:
        undone = sa.select(requests.c.id).where(requests.c.subject == wanted.request)
        only.append(sa.or_(audit.c.request_id == wanted.request, audit.c.request_id.in_(undone)))
    if wanted.since is not None:
        only.append(audit.c.at >= db_now() - wanted.since)
    total = await conn.scalar(sa.select(sa.func.count()).select_from(audit).where(*only))
    query = sa.select(audit).where(*only).order_by(audit.c.id.desc()).limit(limit)
    rows = (await conn.execute(query)).mappings()
    return [AuditEntry(**row) for row in rows], int(total or 0)


async def _about_image(conn: AsyncConnection, wanted: Wanted) -> sa.ColumnElement[bool]:
    """Entries that name the image, and those about a request as a whole that touched it."""
    named = audit.c.repository == wanted.repository
    numbers, digests = await _requests(conn, wanted)
    if wanted.tag:
        tags = await _tags(conn, wanted)
        # A line about the whole repository, such as its lock, concerns every tag.
        whole = sa.and_(audit.c.tag == "", audit.c.digest == "")
        of_it = sa.and_(audit.c.tag == "", audit.c.digest.in_(digests))
        named = sa.and_(named, sa.or_(audit.c.tag.in_(tags), of_it, whole))
    elif wanted.digest:
        named = sa.and_(named, audit.c.digest.startswith(wanted.digest, autoescape=True))
    about = sa.and_(audit.c.repository == "", audit.c.request_id.in_(numbers))
    return sa.or_(named, about)


async def _tags(conn: AsyncConnection, wanted: Wanted) -> list[str]:
    """The tags that are meant, among all that the trail has ever named."""
    known = sa.select(audit.c.tag).where(audit.c.repository == wanted.repository).distinct()
    return [tag for tag in await conn.scalars(known) if tag and match_tag(wanted.tag, tag)]


async def _requests(conn: AsyncConnection, wanted: Wanted) -> tuple[set[int], set[str]]:
    """The requests that touched the image, with those about them, and its digests there."""
    query = sa.select(items.c.request_id, items.c.tag, items.c.digest).where(
        items.c.repository == wanted.repository
    )
    rows = (await conn.execute(query)).all()
    purged = await _purged_tags(conn, {r.request_id for r in rows if not r.tag}, wanted.repository)
    found = [
        row
        for row in rows
        if row.digest.startswith(wanted.digest)
        and (
            not wanted.tag
            or any(
                match_tag(wanted.tag, tag)
                for tag in ([row.tag] if row.tag else purged.get((row.request_id, row.digest), ()))
            )
        )
    ]
    numbers = {row.request_id for row in found}
    about = sa.select(requests.c.id).where(requests.c.subject.in_(numbers))
    return numbers | set(await conn.scalars(about)), {row.digest for row in found}


async def _purged_tags(
    conn: AsyncConnection, numbers: Iterable[int], repository: str
) -> dict[tuple[int, str], list[str]]:
    """The tags that went with each digest of a purge: they stand in its plan only."""
    query = sa.select(requests.c.id, requests.c.plan).where(requests.c.id.in_(list(numbers)))
    return {
        (row.id, planned["digest"]): planned.get("tags", [])
        for row in await conn.execute(query)
        for planned in row.plan.get("digests", ())
        if planned["repository"] == repository
    }
