"""The audit trail: written in the same transaction as the change it speaks of."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.schema import audit, db_now

_CHAIN_LOCK = 7_215_004


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the trail. `at` is epoch seconds; `hash` covers the line and the one before."""

    id: int
    at: float
    event: str
    actor: str
    team: str
    channel: str
    registry: str
    request_id: int | None
    repository: str
    tag: str
    digest: str
    rule: str
    plan_hash: str
    detail: Mapping[str, Any]
    previous_hash: str
    hash: str


class AuditTrail:
    """Appends to the trail and reads it; nothing here changes or removes a line."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def append(
        self,
        event: str,
        *,
        actor: str = "bot",
        team: str = "",
        channel: str = "",
        registry: str = "",
        request_id: int | None = None,
        repository: str = "",
        tag: str = "",
        digest: str = "",
        rule: str = "",
        plan_hash: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Add one line. `event` is `noun.verb`, such as `request.created`."""
        if self._conn.dialect.name == "postgresql":
            # Two transactions must not both build on the same last line.
            await self._conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_CHAIN_LOCK)))
        last = sa.select(audit.c.hash).order_by(audit.c.id.desc()).limit(1)
        values: dict[str, Any] = {
            "at": round(float(await self._conn.scalar(sa.select(db_now())) or 0), 3),
            "event": event,
            "actor": actor,
            "team": team,
            "channel": channel,
            "registry": registry,
            "request_id": request_id,
            "repository": repository,
            "tag": tag,
            "digest": digest,
            "rule": rule,
            "plan_hash": plan_hash,
            "detail": dict(detail or {}),
            "previous_hash": await self._conn.scalar(last) or "",
        }
        values["hash"] = chain_hash(values)
        await self._conn.execute(audit.insert().values(**values))

    async def entries(
        self, *, request_id: int | None = None, limit: int = 1000
    ) -> list[AuditEntry]:
        """The last `limit` lines, oldest first; only those of one request where it is given."""
        query = sa.select(audit).order_by(audit.c.id.desc()).limit(limit)
        if request_id is not None:
            query = query.where(audit.c.request_id == request_id)
        rows = (await self._conn.execute(query)).mappings().all()
        return [AuditEntry(**row) for row in reversed(rows)]


def chain_hash(values: Mapping[str, Any]) -> str:
    """The hash of one line over all its values and the hash of the line before it."""
    covered = {k: v for k, v in values.items() if k not in {"id", "hash"}}
    text = json.dumps(covered, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
