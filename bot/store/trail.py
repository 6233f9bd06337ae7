"""Reads the audit trail whole and in order, in pieces: to check it, and to export it.

For a check every value is taken as its bytes stand in the database: what a driver would make
equal again (white space in JSON, another kind of storage) is a change as well.
"""

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.chain import FIELDS, Chain, Head, Raw, Report, as_line
from bot.store.schema import anchors, audit, missing_triggers

_TEXTS = tuple(c.name for c in audit.c if isinstance(c.type, sa.Text | sa.JSON))
_PAGE = 500
_NO_TEXT = "it holds bytes that are no text"
_CHANGED = "its content was changed after it was written"
_LONGEST_LINE = 16 * 1024 * 1024


async def check(conn: AsyncConnection, also: Iterable[Head] = ()) -> Report:
    """Check the trail of a database against itself, its posted heads and those in `also`."""
    on_sqlite = conn.dialect.name == "sqlite"
    posted = [
        Head(row.entry_id, row.hash, row.at, row.channel)
        for row in await conn.execute(sa.select(anchors).order_by(anchors.c.id))
    ]
    chain = Chain(also, posted, gapless=on_sqlite)
    try:
        async for raw in _entries(conn):
            chain.take(raw)
            if chain.is_full:
                break
    except DBAPIError as error:
        chain.add(f"the database cannot be read any further: {_reason(error)}")
    for trigger in await missing_triggers(conn):
        chain.add(f"the trigger {trigger}, which keeps entries from being changed, is gone")
    return chain.report(await _counted(conn) if on_sqlite and not chain.is_full else None)


async def _entries(conn: AsyncConnection) -> AsyncIterator[Raw]:
    columns = _as_stored() if conn.dialect.name == "sqlite" else _as_text()
    whole = sa.select(*columns).order_by(audit.c.id).limit(_PAGE)
    numbers = sa.select(audit.c.id).order_by(audit.c.id).limit(_PAGE)
    beyond: sa.ColumnElement[bool] = sa.true()
    while True:
        try:
            page = (await conn.execute(whole.where(beyond))).mappings().all()
            found = [_raw(dict(row)) for row in page]
        except DBAPIError:
            if conn.dialect.name != "sqlite":
                raise
            # A damaged entry takes its neighbours along: find out which one it is.
            ids = (await conn.scalars(numbers.where(beyond))).all()
            found = [await _alone(conn, columns, number) for number in ids]
        for raw in found:
            yield raw
        if len(found) < _PAGE:
            return
        beyond = audit.c.id > found[-1].number


async def _alone(conn: AsyncConnection, columns: list[Any], number: int) -> Raw:
    query = sa.select(*columns).where(audit.c.id == number)
    try:
        row = (await conn.execute(query)).mappings().first()
    except DBAPIError as error:
        return Raw(number, {}, f"it cannot be read: {_reason(error)}")
    return _raw(dict(row)) if row else Raw(number, {}, "it cannot be found by its number")


def _reason(error: DBAPIError) -> str:
    return " ".join(str(error.orig).split())[:200]


def _as_text() -> list[Any]:
    return [c if c.name != "detail" else sa.cast(c, sa.Text).label("detail") for c in audit.c]


def _as_stored() -> list[Any]:
    """Texts as bytes, and how many of them are stored as texts."""
    texts = [audit.c[name] for name in _TEXTS]
    kinds: Any = sum(
        (sa.cast(sa.func.typeof(c) == "text", sa.Integer) for c in texts), sa.literal(0)
    )
    return [
        *(c for c in audit.c if c.name not in _TEXTS),
        *(sa.cast(sa.type_coerce(c, sa.Text), sa.LargeBinary).label(c.name) for c in texts),
        kinds.label("texts"),
    ]


def _raw(row: dict[str, Any]) -> Raw:
    texts = row.pop("texts", len(_TEXTS))
    number, wrong = row["id"], "" if texts == len(_TEXTS) else _CHANGED
    for name in _TEXTS:
        value = row[name]
        if isinstance(value, bytes):
            try:
                row[name] = value.decode()
            except UnicodeDecodeError:
                row[name], wrong = value.decode(errors="replace"), _NO_TEXT
    try:
        detail = json.loads(row["detail"])
    except (TypeError, ValueError, RecursionError):
        return Raw(number, row, wrong or _CHANGED)
    if json.dumps(detail) != row["detail"]:
        wrong = wrong or _CHANGED
    row["detail"] = detail
    return Raw(number, row, wrong)


async def _counted(conn: AsyncConnection) -> int:
    """The highest number that SQLite ever gave to an entry."""
    query = sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'audit'")
    value = await conn.scalar(query)
    return value if isinstance(value, int) else 0


async def head(conn: AsyncConnection) -> tuple[Head | None, int]:
    """The last entry, and how many there are."""
    query = sa.select(audit.c.id, audit.c.hash, audit.c.at).order_by(audit.c.id.desc()).limit(1)
    row = (await conn.execute(query)).first()
    count = await conn.scalar(sa.select(sa.func.count()).select_from(audit))
    return (Head(row.id, row.hash, row.at) if row else None), int(count or 0)


async def whole(conn: AsyncConnection) -> AsyncIterator[Raw]:
    """Every entry in order. What is wrong with one is told, and does not keep it back."""
    async for raw in _entries(conn):
        yield raw


def is_complete(raw: Raw) -> bool:
    """Whether an entry could be read well enough to be exported at all."""
    return set(raw.values) >= set(FIELDS)


def check_lines(lines: Iterable[bytes], also: Iterable[Head] = (), *, extract: bool) -> Report:
    """Check an exported file, line by line.

    Parameters
    ----------
    also : heads that were copied from where they were posted.
    extract : it holds chosen entries only.
    """
    chain = Chain(also, extract=extract)
    line = 0
    for line, content in enumerate(lines, start=1):
        raw = _read(content.rstrip(b"\r\n"))
        if raw is None:
            chain.add(f"line {line} of the file is no entry of an audit trail")
        else:
            chain.take(raw)
        if chain.is_full:
            break
    if not line:
        chain.add("there is no entry in the file")
    return chain.report()


def _read(line: bytes) -> Raw | None:
    """An exported entry; None if the line is none."""
    try:
        values = json.loads(line) if len(line) <= _LONGEST_LINE else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or set(values) != set(FIELDS):
        return None
    number = values["id"]
    if not isinstance(number, int) or isinstance(number, bool):
        return None
    return Raw(number, values, "" if as_line(values).encode() == line else _CHANGED)
