"""The audit trail only grows, and a changed byte in it shows."""

import asyncio
import shutil
import sqlite3
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from bot.store import trail
from bot.store.audit import AuditUnwritable
from bot.store.chain import AuditEntry, as_line, chain_hash
from bot.store.store import Store

pytestmark = pytest.mark.anyio
# What somebody does to the file itself.
FILE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

APPEND_ONLY = "the audit trail is append-only"


@pytest.fixture
async def told(store: Store) -> Store:
    """A trail of five lines with all kinds of content."""
    async with store.transaction() as tx:
        await tx.audit.append("bot.started")
        await tx.audit.append(
            "request.created",
            actor="U0ANN",
            team="T0TEAM",
            channel="C0OPS",
            registry="corp",
            request_id=1,
            rule="default",
            plan_hash="ab" * 32,
            detail={"reason": "zu groß 🐳 <!channel>", "items": [["a/b", "v1", None]], "n": 1.5},
        )
    async with store.transaction() as tx:
        await tx.audit.append("tag.deleted", request_id=1, repository="a/b", tag="v1", digest="d")
        await tx.audit.append("request.finished", request_id=1)
        await tx.audit.append("request.created", request_id=2)
    return store


async def _entries(store: Store, **which: Any) -> list[AuditEntry]:
    async with store.reading() as tx:
        return await tx.audit.entries(**which)


def _broken(entries: list[AuditEntry]) -> list[int]:
    """The numbers of the lines whose hash, or link to the line before, is wrong."""
    before = ""
    wrong = []
    for entry in entries:
        if entry.previous_hash != before or chain_hash(asdict(entry)) != entry.hash:
            wrong.append(entry.id)
        before = entry.hash
    return wrong


async def test_a_line_says_everything_that_was_given(told: Store) -> None:
    line = (await _entries(told))[1]
    async with told.reading() as tx:
        now = await tx.now()
    assert now - 60 < line.at <= now + 0.001
    assert {k: v for k, v in asdict(line).items() if k not in {"at", "hash", "previous_hash"}} == {
        "id": 2,
        "event": "request.created",
        "actor": "U0ANN",
        "team": "T0TEAM",
        "channel": "C0OPS",
        "registry": "corp",
        "request_id": 1,
        "repository": "",
        "tag": "",
        "digest": "",
        "rule": "default",
        "plan_hash": "ab" * 32,
        "detail": {"reason": "zu groß 🐳 <!channel>", "items": [["a/b", "v1", None]], "n": 1.5},
    }
    assert (await _entries(told))[0].actor == "bot"


async def test_lines_come_oldest_first_the_last_ones_or_those_of_a_request(told: Store) -> None:
    assert [entry.id for entry in await _entries(told)] == [1, 2, 3, 4, 5]
    assert [entry.id for entry in await _entries(told, limit=2)] == [4, 5]
    assert [entry.id for entry in await _entries(told, request_id=1)] == [2, 3, 4]
    assert await _entries(told, request_id=99) == []


_REPLACING = {
    "sqlite": "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE id = 2",
    "postgresql": (
        "INSERT INTO audit SELECT * FROM audit WHERE id = 2 "
        "ON CONFLICT (id) DO UPDATE SET actor = 'U0EVE'"
    ),
}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'U0EVE' WHERE id = 2",
        "UPDATE audit SET hash = hash",
        "DELETE FROM audit WHERE id = 2",
        "DELETE FROM audit",
        "replace",
    ],
)
async def test_no_line_is_ever_changed_or_removed(told: Store, statement: str) -> None:
    before = await _entries(told)

    async def tamper() -> None:
        async with told.transaction() as tx:
            kind = tx.conn.dialect.name
            await tx.conn.execute(
                sa.text(_REPLACING[kind] if statement == "replace" else statement)
            )

    with pytest.raises(DBAPIError, match=APPEND_ONLY):
        await tamper()
    assert await _entries(told) == before


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_no_line_is_ever_truncated(told: Store) -> None:
    async def tamper() -> None:
        async with told.transaction() as tx:
            await tx.conn.execute(sa.text("TRUNCATE audit"))

    with pytest.raises(DBAPIError, match=APPEND_ONLY):
        await tamper()
    assert len(await _entries(told)) == 5


@FILE
async def test_another_program_cannot_change_a_line_either(told: Store, tmp_path: Path) -> None:
    raw = sqlite3.connect(tmp_path / "bot.db")
    try:
        for statement in ("UPDATE audit SET tag = 'v2'", "DELETE FROM audit"):
            with pytest.raises(sqlite3.IntegrityError, match=APPEND_ONLY):
                raw.execute(statement)
    finally:
        raw.close()


async def test_every_line_is_chained_to_the_one_before(told: Store) -> None:
    entries = await _entries(told)
    assert entries[0].previous_hash == ""
    assert all(len(entry.hash) == 64 for entry in entries)
    assert len({entry.hash for entry in entries}) == 5
    assert _broken(entries) == []


async def test_the_chain_survives_a_restart(told: Store, database: str) -> None:
    again = await Store.open(database)
    try:
        async with again.transaction() as tx:
            await tx.audit.append("bot.started")
        entries = await _entries(again)
    finally:
        await again.close()
    assert len(entries) == 6
    assert _broken(entries) == []


async def test_a_line_rolled_back_leaves_no_gap_in_the_chain(told: Store) -> None:
    async def fails() -> None:
        async with told.transaction() as tx:
            await tx.audit.append("tag.deleted")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fails()
    async with told.transaction() as tx:
        await tx.audit.append("tag.deleted")
    assert _broken(await _entries(told)) == []


async def test_the_chain_holds_with_two_replicas_writing_at_once(
    store: Store, other: Store
) -> None:
    async def write(store: Store, number: int) -> None:
        async with store.transaction() as tx:
            await tx.audit.append("tag.deleted", detail={"n": number})

    await asyncio.gather(*(write(s, n) for n in range(25) for s in (store, other)))
    entries = await _entries(store)
    assert len(entries) == 50
    assert _broken(entries) == []


_TAMPERED = [
    ("UPDATE audit SET actor = 'U0EVE' WHERE id = 2", [2]),
    ("UPDATE audit SET at = at + 0.001 WHERE id = 3", [3]),
    ("UPDATE audit SET request_id = 2 WHERE id = 3", [3]),
    ("UPDATE audit SET detail = replace(detail, 'v1', 'v2') WHERE id = 2", [2]),
    ("UPDATE audit SET previous_hash = '' WHERE id = 4", [4]),
    ("UPDATE audit SET hash = replace(hash, substr(hash, 1, 1), 'x') WHERE id = 3", [3, 4]),
    ("DELETE FROM audit WHERE id = 3", [4]),
    ("DELETE FROM audit WHERE id = 1", [2]),
    *(
        (f"UPDATE audit SET {column} = {column} || ' ' WHERE id = 2", [2])
        for column in (
            "event",
            "actor",
            "team",
            "channel",
            "registry",
            "repository",
            "tag",
            "digest",
            "rule",
            "plan_hash",
        )
    ),
]


@FILE
@pytest.mark.parametrize(("statement", "wrong"), _TAMPERED, ids=[s for s, _ in _TAMPERED])
async def test_a_changed_byte_breaks_the_chain(
    told: Store, tmp_path: Path, statement: str, wrong: list[int]
) -> None:
    """Somebody copies the file, drops the triggers, and edits what happened."""
    async with told.transaction() as tx:
        await tx.audit.append("bot.stopped")
    await told.close()
    shutil.copyfile(tmp_path / "bot.db", tmp_path / "copy.db")
    raw = sqlite3.connect(tmp_path / "copy.db")
    raw.execute("DROP TRIGGER audit_no_update")
    raw.execute("DROP TRIGGER audit_no_delete")
    assert raw.execute(statement).rowcount == 1
    raw.commit()
    raw.close()
    copy = await Store.open(f"sqlite:///{tmp_path}/copy.db")
    try:
        assert _broken(await _entries(copy)) == wrong
    finally:
        await copy.close()


async def test_the_hash_of_a_line_is_what_it_was_in_the_first_version() -> None:
    """Trails were written with it: another way to compute it would call all of them forged."""
    line = {
        "at": 1750000000.125,
        "event": "request.created",
        "actor": "U0ANN",
        "team": "T0TEAM",
        "channel": "C0OPS",
        "registry": "corp",
        "request_id": 1,
        "repository": "",
        "tag": "",
        "digest": "",
        "rule": "default",
        "plan_hash": "ab",
        "detail": {"reason": "zu groß 🐳", "items": [["a/b", "v1", None]], "n": 1.5},
        "previous_hash": "",
    }
    assert chain_hash(line) == "24447eaf90a522f656bf4a57606ade8d2a0695c7d0a783dc6da0d7b48bb73279"
    assert chain_hash({**line, "id": 7, "hash": "x"}) == chain_hash(line)


async def test_a_trail_is_checked_on_either_database(told: Store) -> None:
    async def fails() -> None:
        async with told.transaction() as tx:
            await tx.audit.append("tag.deleted")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fails()  # leaves a number out in PostgreSQL
    async with told.transaction() as tx:
        head, count = await tx.audit.anchor("C0AUDIT")
        assert (str(head), count) == (str(await tx.audit.posted()), 5)
    async with told.reading() as tx:
        report = await trail.check(tx.conn)
        lines = [as_line(raw.values).encode() async for raw in trail.whole(tx.conn)]
    assert report.is_whole, report.problems
    assert report.entries == 6
    assert trail.check_lines(lines, extract=False).is_whole

    async with told.transaction() as tx:
        await tx.conn.execute(sa.text(_WITHOUT_TRIGGER[tx.conn.dialect.name]))
        await tx.conn.execute(sa.text("UPDATE audit SET tag = 'v2' WHERE id = 3"))
    async with told.reading() as tx:
        problems = [str(p) for p in (await trail.check(tx.conn)).problems]
    assert problems[0].startswith("entry 3 ")
    assert "trigger audit_no_" in problems[1]


_WITHOUT_TRIGGER = {
    "sqlite": "DROP TRIGGER audit_no_update",
    "postgresql": "ALTER TABLE audit DISABLE TRIGGER audit_no_change",
}


async def test_an_empty_trail_has_no_head_to_post(store: Store) -> None:
    async with store.transaction() as tx:
        with pytest.raises(LookupError):
            await tx.audit.anchor("C0AUDIT")
        assert await tx.audit.posted() is None
    async with store.reading() as tx:
        assert (await trail.check(tx.conn)).is_whole


async def test_what_json_cannot_say_is_hashed_as_it_will_be_read(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.audit.append("x", detail={10: 1, 9: 2, "t": (1, 2)})  # type: ignore[dict-item]
    async with store.reading() as tx:
        assert (await trail.check(tx.conn)).is_whole


async def test_a_trail_that_takes_nothing_says_so(told: Store) -> None:
    async with told.transaction() as tx:
        await tx.conn.execute(sa.text("ALTER TABLE audit RENAME TO elsewhere"))

    async def write() -> None:
        async with told.transaction() as tx:
            await tx.audit.append("tag.deleted", detail={"secret": "a value of the statement"})

    with pytest.raises(AuditUnwritable) as caught:
        await write()
    assert "cannot be written" in caught.value.sentence
    assert "secret" not in caught.value.hint
