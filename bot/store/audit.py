"""The audit trail: written in the same transaction as the change it speaks of."""

import contextlib
import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.rules.approval import Request
from bot.store import trail
from bot.store.chain import ANCHORED, AuditEntry, Head, chain_hash
from bot.store.schema import anchors, audit, db_now

_CHAIN_LOCK = 7_215_004


BOT = "bot"
"""The actor of what the program does on behalf of others, or by the clock."""


class AuditUnwritable(Exception):
    """A line could not be written, so nothing that it speaks of may happen.

    `sentence` says so for people, `hint` what to do.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the audit trail cannot be written: {reason}")
        self.sentence = "The audit trail cannot be written, so nothing is changed or deleted."
        self.hint = (
            f"Whoever runs the bot: look after its store ({reason}). Then try again; "
            "`/registry requests` shows what waits."
        )


class AuditTrail:
    """Appends to the trail and reads it; nothing here changes or removes a line."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def append(
        self,
        event: str,
        *,
        actor: str = BOT,
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
        """Add one line. `event` is `noun.verb`, such as `request.created`.

        Raises
        ------
        AuditUnwritable : the database does not take it. What belongs together must not happen.
        """
        try:
            await self._append(
                event=event,
                actor=actor,
                team=team,
                channel=channel,
                registry=registry,
                request_id=request_id,
                repository=repository,
                tag=tag,
                digest=digest,
                rule=rule,
                plan_hash=plan_hash,
                # As it will be read again: the hash must not depend on what JSON cannot say.
                detail=json.loads(json.dumps(dict(detail or {}))),
            )
        except DBAPIError as error:
            # The statement and its values are left out: they go to a chat.
            raise AuditUnwritable(" ".join(str(error.orig).split())[:200]) from error

    async def about(
        self,
        request: Request,
        event: str,
        *,
        actor: str = BOT,
        team: str = "",
        channel: str = "",
        repository: str = "",
        tag: str = "",
        digest: str = "",
        rule: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Add one line about a request, with all that every such line says.

        What the bot does for it names whom it does it for, and who agreed; what somebody decides
        names the digests that it is about.

        Parameters
        ----------
        actor, team : who decided; by default the bot itself.
        channel : where that was; by default the request's own.
        rule : the rule that said so; by default the one that decides about the request.
        """
        said = dict(detail or {})
        if actor == BOT:
            said |= {"requester": request.requester, "approvers": list(request.approved_by)}
        elif not repository and len(request.items) == 1:
            item = request.items[0]
            repository, tag, digest = item.repository, item.tag, item.digest
        elif not repository and request.items:
            said.setdefault("digests", list(dict.fromkeys(i.digest for i in request.items)))
        if request.emergency:
            said["emergency"] = True
        await self.append(
            event,
            actor=actor,
            team=team or request.team,
            channel=channel or request.channel,
            registry=request.registry,
            request_id=request.id,
            repository=repository,
            tag=tag,
            digest=digest,
            rule=rule or request.rule,
            plan_hash=request.plan_hash,
            detail=said,
        )

    async def about_if_possible(
        self, request: Request, event: str, *, detail: Mapping[str, Any]
    ) -> None:
        """The same where something must go on even if the trail cannot be written.

        Only what makes a registry writable again may use it: that deletes nothing.
        """
        with contextlib.suppress(AuditUnwritable):
            async with self._conn.begin_nested():
                await self.about(request, event, detail=detail)

    async def _lock(self) -> None:
        if self._conn.dialect.name == "postgresql":
            # Two transactions must not both build on the same last line.
            await self._conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_CHAIN_LOCK)))

    async def _append(self, **given: Any) -> None:
        await self._lock()
        last = sa.select(audit.c.hash).order_by(audit.c.id.desc()).limit(1)
        values: dict[str, Any] = {
            "at": round(float(await self._conn.scalar(sa.select(db_now())) or 0), 3),
            **given,
            "previous_hash": await self._conn.scalar(last) or "",
        }
        values["hash"] = chain_hash(values)
        await self._conn.execute(audit.insert().values(**values))

    async def anchor(self, channel: str) -> tuple[Head, int]:
        """Write down that the head of the trail is posted to `channel`, for whoever posts it.

        Returns
        -------
        The head before this very line, and how many entries there are up to it.

        Raises
        ------
        LookupError : the trail is empty.
        """
        await self._lock()
        head, count = await trail.head(self._conn)
        if head is None:
            raise LookupError("an empty trail has no head")
        detail = {"entry": head.entry, "hash": head.hash}
        await self.append(ANCHORED, channel=channel, detail=detail)
        await self._conn.execute(
            anchors.insert().values(
                at=db_now(), entry_id=head.entry, hash=head.hash, channel=channel
            )
        )
        return head, count

    async def posted(self) -> Head | None:
        """The head that was posted last."""
        query = sa.select(anchors).order_by(anchors.c.id.desc()).limit(1)
        row = (await self._conn.execute(query)).first()
        return Head(row.entry_id, row.hash, row.at, row.channel) if row else None

    async def still_has(self, head: Head) -> bool:
        """Whether an entry is there as it was when it was posted."""
        query = sa.select(audit.c.hash).where(audit.c.id == head.entry)
        return bool(await self._conn.scalar(query) == head.hash)

    async def entries(
        self, *, request_id: int | None = None, limit: int = 1000
    ) -> list[AuditEntry]:
        """The last `limit` lines, oldest first; only those of one request where it is given."""
        query = sa.select(audit).order_by(audit.c.id.desc()).limit(limit)
        if request_id is not None:
            query = query.where(audit.c.request_id == request_id)
        rows = (await self._conn.execute(query)).mappings().all()
        return [AuditEntry(**row) for row in reversed(rows)]
