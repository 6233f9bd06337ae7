"""What must be said, stored with the change it speaks of, delivered at least once."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.schema import db_now, outbox

ANSWER = "answer"
REQUEST = "request"
THREAD = "thread"
POST = "post"
RETIRE = "retire"
PREVIEW = "preview"
ANNOUNCE = "announce"
FILE = "file"
ANCHOR = "anchor"

RESPONSE_URL_LIFE = 29 * 60.0
"""Seconds for which a response_url is used: Slack gives it 30 minutes."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One thing to deliver."""

    id: int
    kind: str
    key: str
    request_id: int | None
    payload: Mapping[str, Any]
    response_url: str | None
    attempts: int
    age: float


class Outbox:
    """Letters in order: those with the same key leave one after the other."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def answer(
        self, payload: Mapping[str, Any], response_url: str | None, key: str = ""
    ) -> None:
        """Tell one person something only they see.

        Parameters
        ----------
        payload : `user`, `channel`, `message`; `modal` (`where` it is and the `view` to show)
            where it is shown there, and the message only if that fails. None says nothing then.
        key : answers with the same key arrive in order.
        """
        await self._add(ANSWER, key, None, payload, response_url)

    async def has_been_said(self, key: str) -> bool:
        """Whether anything was ever written under this key."""
        query = sa.select(outbox.c.id).where(outbox.c.key == key).limit(1)
        return await self._conn.scalar(query) is not None

    async def refresh(self, request_id: int, delay: float = 0.0) -> None:
        """Bring the one message of a request up to date; calls coalesce until it leaves."""
        if not await self._joins(REQUEST, _key(request_id)):
            await self._add(REQUEST, _key(request_id), request_id, {}, None, delay)

    async def is_coming(self, request_id: int = 0, *, preview: int = 0) -> bool:
        """Whether the one message of a request, or of a preview, is still to be written."""
        if preview:
            return await self._waits(PREVIEW, _preview_key(preview))
        return await self._waits(REQUEST, _key(request_id))

    async def _waits(self, kind: str, key: str) -> bool:
        return await self._conn.scalar(_waiting(kind, key)) is not None

    async def _joins(self, kind: str, key: str) -> bool:
        """Whether a letter waits that will tell of this transaction's changes, too.

        It is kept from leaving before they are committed: whoever delivered it meanwhile would read
        what was before, and nothing would come after it. One that somebody holds is not waited for.
        """
        query = _waiting(kind, key).where(outbox.c.worker == "").with_for_update(skip_locked=True)
        return await self._conn.scalar(query) is not None

    async def thread(self, request_id: int, notice: str, data: Mapping[str, Any]) -> None:
        """Say something in the thread of a request's message."""
        payload = {"notice": notice, "data": dict(data)}
        await self._add(THREAD, f"{_key(request_id)}:thread", request_id, payload, None)

    async def retire(self, request_id: int, channel: str, ts: str) -> None:
        """Disarm a second copy of a request's message."""
        payload = {"channel": channel, "ts": ts}
        await self._add(RETIRE, "", request_id, payload, None)

    async def correct(self, channel: str, ts: str, message: Mapping[str, Any]) -> None:
        """Let a message of the bot's say something else."""
        payload = {"channel": channel, "ts": ts, "message": dict(message)}
        await self._add(RETIRE, "", None, payload, None)

    async def anchor(self, channel: str, data: Mapping[str, Any]) -> None:
        """Post the head of the audit trail; one after the other, and none is given up soon."""
        await self._add(ANCHOR, ANCHOR, None, {"channel": channel, "data": dict(data)}, None)

    async def trouble(self, kind: str) -> str:
        """The last error of letters of a kind since one of them arrived; "" if there was none."""
        arrived = sa.select(sa.func.coalesce(sa.func.max(outbox.c.id), 0)).where(
            outbox.c.kind == kind, outbox.c.state == "sent"
        )
        query = sa.select(outbox.c.error).where(
            outbox.c.kind == kind, outbox.c.error != "", outbox.c.id > arrived.scalar_subquery()
        )
        return str(await self._conn.scalar(query.order_by(outbox.c.id).limit(1)) or "")

    async def preview(self, preview_id: int) -> None:
        """Bring the one message of a preview up to date; calls coalesce until it leaves."""
        key = _preview_key(preview_id)
        if not await self._joins(PREVIEW, key):
            await self._add(PREVIEW, key, None, {"preview": preview_id}, None)

    async def announce(
        self, channel: str, notice: str, data: Mapping[str, Any], *, preview: int = 0
    ) -> None:
        """Say something of the bot's own in a channel; how it is worded is Slack's room's part.

        Parameters
        ----------
        preview : say it in the thread of this preview's message.
        """
        payload = {"channel": channel, "notice": notice, "data": dict(data), "preview": preview}
        await self._add(ANNOUNCE, "", None, payload, None)

    async def post(self, payload: Mapping[str, Any], key: str = "") -> None:
        """Say something in a channel, to everybody there.

        Parameters
        ----------
        payload : `channel`, `message`, and the `user` who is told where it cannot be said ("" for
            nobody).
        key : as for :meth:`answer`.
        """
        await self._add(POST, key, None, payload, None)

    async def file_in_thread(self, request_id: int, name: str = "plan", **written: str) -> None:
        """Attach a file to the thread of a request; it is made from the request when it leaves.

        Parameters
        ----------
        name : which of the files that `bot.slack.views.files` knows how to make.
        written : its `content`, where nothing else has it; it is forgotten when it left.
        """
        # No key: a file that Slack does not take holds up nothing behind it.
        await self._add(FILE, "", request_id, {"name": name, **written}, None)

    async def file_to(self, user: str, channel: str, name: str, title: str, content: str) -> None:
        """Send a file to one person, as a direct message; its content is forgotten when it left.

        Parameters
        ----------
        channel : where they asked, and hear of it if Slack does not take the file.
        name : the file's name, `tags.csv`.
        title : what it is, for people.
        """
        payload = {
            "user": user,
            "channel": channel,
            "name": name,
            "title": title,
            "content": content,
        }
        await self._add(FILE, "", None, payload, None)

    async def file_of_preview(self, preview_id: int, rows: Sequence[Sequence[Any]]) -> None:
        """Attach what a preview looked at to its thread; the rows are forgotten when it left."""
        await self._add(FILE, "", None, {"preview": preview_id, "rows": rows}, None)

    async def _add(
        self,
        kind: str,
        key: str,
        request_id: int | None,
        payload: Mapping[str, Any],
        response_url: str | None,
        delay: float = 0.0,
    ) -> None:
        await self._conn.execute(
            outbox.insert().values(
                kind=kind,
                key=key,
                request_id=request_id,
                payload=dict(payload),
                response_url=response_url,
                run_at=db_now() + delay,
                created_at=db_now(),
            )
        )

    async def claim(self, worker: str, lease: float) -> Letter | None:
        """Take the next letter that is due and has none with its key before it."""
        pick = (
            sa.select(outbox.c.id)
            .where(*_takeable())
            .order_by(outbox.c.run_at, outbox.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        claim = (
            outbox.update()
            .where(outbox.c.id == pick.scalar_subquery())
            .values(worker=worker, lease_until=db_now() + lease, attempts=outbox.c.attempts + 1)
            .returning(
                outbox.c.id,
                outbox.c.kind,
                outbox.c.key,
                outbox.c.request_id,
                outbox.c.payload,
                outbox.c.response_url,
                outbox.c.attempts,
                (db_now() - outbox.c.created_at).label("age"),
            )
        )
        row = (await self._conn.execute(claim)).mappings().first()
        return Letter(**row) if row else None

    async def sent(self, letter: Letter, ts: str = "") -> None:
        """It arrived; a response_url and the content of a file are forgotten with it."""
        await self._close(letter, state="sent", sent_ts=ts)

    async def failed(self, letter: Letter, error: str) -> None:
        """It never will; those behind it go on. Only its last owner can say so."""
        await self._close(letter, outbox.c.attempts == letter.attempts, state="failed", error=error)

    async def is_ours(self, letter: Letter) -> bool:
        """Whether nobody has taken the letter over since it was claimed."""
        query = sa.select(outbox.c.attempts).where(outbox.c.id == letter.id)
        return bool(await self._conn.scalar(query) == letter.attempts)

    async def later(self, letter: Letter, delay: float, error: str = "") -> None:
        """Try again in `delay` seconds; of no effect once another process has the letter."""
        await self._conn.execute(
            outbox.update()
            .where(outbox.c.id == letter.id, outbox.c.attempts == letter.attempts)
            .values(worker="", lease_until=None, run_at=db_now() + delay, error=error)
        )

    async def renew(self, letter: Letter, lease: float) -> None:
        """Keep a letter for `lease` seconds more; of no effect once another process has it."""
        await self._change(letter, lease_until=db_now() + lease)

    async def release(self, letter: Letter) -> None:
        """Let anybody deliver it at once."""
        await self._change(letter, worker="", lease_until=None)

    async def note(self, letter: Letter, **known: Any) -> Letter:
        """Write down what is done of a letter already, so that another try need not do it again."""
        payload = {**letter.payload, **known}
        await self._change(letter, payload=payload)
        return replace(letter, payload=payload)

    async def _change(self, letter: Letter, **values: Any) -> None:
        await self._conn.execute(
            outbox.update()
            .where(
                outbox.c.id == letter.id,
                outbox.c.attempts == letter.attempts,
                outbox.c.state == "queued",
                outbox.c.worker != "",
            )
            .values(**values)
        )

    async def payload(self, letter: Letter) -> Mapping[str, Any]:
        """What a letter carries by now, with what :meth:`note` wrote down."""
        query = sa.select(outbox.c.payload).where(outbox.c.id == letter.id)
        found: Mapping[str, Any] | None = await self._conn.scalar(query)
        return found or letter.payload

    async def _close(self, letter: Letter, *only: sa.ColumnElement[bool], **values: Any) -> None:
        if letter.kind == FILE:
            values["payload"] = {
                k: v for k, v in letter.payload.items() if k not in {"content", "rows"}
            }
        await self._conn.execute(
            outbox.update()
            .where(outbox.c.id == letter.id, *only)
            .values(response_url=None, **values)
        )

    async def forget_old_urls(self) -> None:
        """Null every response_url that Slack no longer honours."""
        await self._conn.execute(
            outbox.update()
            .where(
                outbox.c.response_url.is_not(None),
                outbox.c.created_at < db_now() - RESPONSE_URL_LIFE,
            )
            .values(response_url=None)
        )

    async def forget(self, age: float) -> None:
        """Remove letters that were delivered, or given up, and are older than `age` seconds."""
        await self._conn.execute(
            outbox.delete().where(
                outbox.c.state.in_(["sent", "failed"]), outbox.c.created_at < db_now() - age
            )
        )

    async def pending(self) -> tuple[int, float]:
        """How many letters wait, and the age in seconds of the oldest."""
        query = sa.select(
            sa.func.count(), sa.func.coalesce(db_now() - sa.func.min(outbox.c.created_at), 0.0)
        ).where(outbox.c.state == "queued")
        count, age = (await self._conn.execute(query)).one()
        return int(count), float(age)

    async def overdue(self) -> float:
        """For how many seconds the oldest of the letters has waited that anybody could take."""
        query = sa.select(db_now() - sa.func.min(outbox.c.run_at)).where(*_takeable())
        return float(await self._conn.scalar(query) or 0.0)

    async def seconds_until_next(self) -> float | None:
        """Seconds until a letter may be due; None if there is none.

        One that is being delivered is due when its lease ends, and one behind it is not before.
        """
        when = sa.case((outbox.c.worker == "", outbox.c.run_at), else_=outbox.c.lease_until)
        query = sa.select(sa.func.min(when) - db_now()).where(
            outbox.c.state == "queued", ~_blocked()
        )
        value = await self._conn.scalar(query)
        return None if value is None else max(0.0, float(value))


def _waiting(kind: str, key: str) -> sa.Select[tuple[int]]:
    """One of the letters with this key that are still to be delivered."""
    return (
        sa.select(outbox.c.id)
        .where(outbox.c.key == key, outbox.c.kind == kind, outbox.c.state == "queued")
        .limit(1)
    )


@functools.cache
def _blocked() -> sa.ColumnElement[bool]:
    """The letters that stand behind another one with the same key."""
    earlier = outbox.alias("earlier")
    return sa.exists().where(
        outbox.c.key != "",
        earlier.c.key == outbox.c.key,
        earlier.c.id < outbox.c.id,
        earlier.c.state == "queued",
    )


def _key(request_id: int) -> str:
    return f"R{request_id}"


def _preview_key(preview_id: int) -> str:
    return f"P{preview_id}"


@functools.cache
def _takeable() -> tuple[sa.ColumnElement[bool], ...]:
    """The letters that are due, in nobody's hands, and have none with their key before them."""
    return (
        outbox.c.state == "queued",
        outbox.c.run_at <= db_now(),
        sa.or_(outbox.c.worker == "", outbox.c.lease_until < db_now()),
        ~_blocked(),
    )
