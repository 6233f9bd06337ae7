"""Whoever changes the audit trail is found, and told which entry it was."""

import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.store import trail
from bot.store.chain import Head, Report, as_line, chain_hash
from bot.store.store import Store, StoreUnusable

pytestmark = pytest.mark.anyio

ENTRIES = 8  # written, before two heads are posted: numbers 9 and 10 say so
LAST = 10
DETAIL = {"reason": "zu groß 🐳 <!channel>", "items": [["a/b", "v1", None]], "n": 1.5}


async def _write(url: str) -> None:
    store = await Store.open(url)
    try:
        for number in range(1, ENTRIES + 1):
            async with store.transaction() as tx:
                await tx.audit.append(
                    "request.created",
                    actor="U0ANN",
                    team="T0TEAM",
                    channel="C0OPS",
                    registry="corp",
                    request_id=number,
                    repository="a/b",
                    tag="v1",
                    digest="sha256:1",
                    rule="default",
                    plan_hash="ab" * 32,
                    detail=DETAIL,
                )
        for _ in range(2):
            async with store.transaction() as tx:
                await tx.audit.anchor("C0AUDIT")
    finally:
        await store.close()


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a trail of ten entries, two of which say that the head was posted."""
    path = tmp_path_factory.mktemp("trail") / "bot.db"
    await _write(f"sqlite:///{path}")
    return path


def _tampered(original: Path, *statements: str, values: tuple[Any, ...] = ()) -> Path:
    """A copy in which somebody who knows the triggers has changed something."""
    copy = original.with_name("copy.db")
    for stale in original.parent.glob("copy.db*"):
        stale.unlink()
    shutil.copyfile(original, copy)
    raw = sqlite3.connect(copy)
    triggers = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        raw.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        raw.execute(statement, values)
    for _, sql in triggers:
        raw.execute(sql)
    raw.commit()
    raw.close()
    return copy


async def _check(path: Path, also: Iterable[Head] = ()) -> Report:
    store = await Store.look(f"sqlite:///{path}")
    try:
        async with store.reading() as tx:
            return await trail.check(tx.conn, also)
    finally:
        await store.close()


async def _first(path: Path) -> str:
    report = await _check(path)
    assert not report.is_whole
    return str(report.problems[0])


async def test_an_untouched_trail_is_whole(original: Path) -> None:
    report = await _check(original)
    assert report.is_whole, report.problems
    assert report.entries == LAST
    assert report.last is not None
    assert report.last.entry == LAST
    assert report.posted is not None
    assert (report.posted.entry, report.posted.channel) == (LAST - 1, "C0AUDIT")
    assert (await _check(original, [report.last])).is_whole


async def test_looking_changes_nothing(original: Path) -> None:
    before = original.read_bytes()
    await _check(original)
    assert original.read_bytes() == before


_COLUMNS = {
    "at": st.floats(0, 4e9, allow_nan=False),
    "request_id": st.one_of(st.none(), st.integers(-5, 2**40)),
    **dict.fromkeys(
        (
            *("event", "actor", "team", "channel", "registry", "repository", "tag", "digest"),
            *("rule", "plan_hash", "previous_hash", "hash", "detail"),
        ),
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    ),
}


@pytest.mark.parametrize("column", _COLUMNS)
async def test_any_other_value_in_any_column_is_found(original: Path, column: str) -> None:
    raw = sqlite3.connect(original)
    before = dict(raw.execute(f"SELECT id, {column} FROM audit").fetchall())
    raw.close()

    @settings(
        max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(number=st.integers(1, LAST), value=_COLUMNS[column])
    def tried(number: int, value: Any) -> None:
        if value != before[number]:
            cases.append((number, value))

    cases: list[tuple[int, Any]] = []
    tried()
    assert cases
    for number, value in cases:
        changed = f"UPDATE audit SET {column} = ? WHERE id = {number}"
        assert (await _first(_tampered(original, changed, values=(value,)))).startswith(
            f"entry {number} "
        ), (number, value)


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("detail", "replace(detail, ', ', ',  ')"),  # equal to any reader of JSON
        ("detail", "replace(detail, '1.5', '1.50')"),
        ("detail", "replace(detail, 'u00df', 'u00DF')"),
        ("detail", "'null'"),
        ("detail", "'{'"),
        ("detail", "CAST(detail AS BLOB)"),
        ("actor", "CAST(actor AS BLOB)"),  # the same bytes, kept as another kind
        ("actor", "CAST(x'ff41' AS TEXT)"),  # no text at all
        ("actor", "actor || char(0)"),
        ("at", "'yesterday'"),
        ("request_id", "'six'"),
        ("request_id", "NULL"),
        ("hash", "upper(hash)"),
        ("event", "'audit.anchored'"),
    ],
)
async def test_changes_that_hide_well_are_found(original: Path, column: str, change: str) -> None:
    copy = _tampered(original, f"UPDATE audit SET {column} = {change} WHERE id = 6")
    assert (await _first(copy)).startswith("entry 6 ")


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        (["DELETE FROM audit WHERE id = 4"], "entry 4: entry 4 is missing"),
        (["DELETE FROM audit WHERE id IN (1, 2)"], "entry 1: entries 1 to 2 are missing"),
        (["DELETE FROM audit WHERE id BETWEEN 4 AND 6"], "entry 4: entries 4 to 6 are missing"),
        (["UPDATE audit SET id = 300 WHERE id = 4"], "entry 4: entry 4 is missing"),
        (["UPDATE audit SET id = 11 WHERE id = 10"], "entry 10: entry 10 is missing"),
        (
            [
                "UPDATE audit SET id = -1 WHERE id = 4",
                "UPDATE audit SET id = 4 WHERE id = 5",
                "UPDATE audit SET id = 5 WHERE id = -1",
            ],
            "entry 4",
        ),
        (["UPDATE audit SET id = 0 WHERE id = 4"], "entry 0"),
        (["DELETE FROM audit WHERE id = 10"], "entry 10: entry 10 is missing at the end: the data"),
        (["DELETE FROM audit WHERE id >= 9"], "entry 9: entry 9 is missing at the end: entry 9"),
        (["DELETE FROM audit"], "entry 1: entries 1 to 9 are missing at the end: entry 9 was the"),
        (
            [
                "DELETE FROM audit WHERE id >= 7",
                "UPDATE sqlite_sequence SET seq = 6 WHERE name = 'audit'",
            ],
            "entry 7: entries 7 to 9 are missing at the end: entry 9 was the head that was",
        ),
        (
            ["UPDATE sqlite_sequence SET seq = 6 WHERE name = 'audit'"],
            "the database has counted to 6 only",
        ),
        (["UPDATE anchors SET hash = 'x' WHERE id = 1"], "entry 8"),
        (["UPDATE anchors SET entry_id = 7 WHERE id = 1"], "entry 7"),
        (["UPDATE anchors SET entry_id = 70 WHERE id = 2"], "entry 10"),
        (["DELETE FROM anchors WHERE id = 2"], "entry 10"),
        (["DELETE FROM anchors"], "entry 9"),
        (
            ["INSERT INTO anchors (at, entry_id, hash) SELECT 1, id, hash FROM audit WHERE id = 3"],
            "the list of posted heads was changed: entry 3 stands behind entry 9",
        ),
    ],
)  # fmt: skip
async def test_what_is_missing_moved_or_added_is_found(
    original: Path, statements: list[str], told: str
) -> None:
    assert (await _first(_tampered(original, *statements))).startswith(told)


async def test_an_added_head_that_fits_an_entry_is_found(original: Path) -> None:
    added = "INSERT INTO anchors (at, entry_id, hash) SELECT 1, id, hash FROM audit WHERE id = 10"
    assert "the trail does not say that it was posted" in await _first(_tampered(original, added))


async def test_a_tail_cut_without_a_trace_is_found_by_the_head_in_the_channel(
    original: Path,
) -> None:
    """Somebody removed all that tells of it; only what was posted to the channel remembers."""
    head = (await _check(original)).posted
    assert head is not None
    copy = _tampered(
        original,
        "DELETE FROM audit WHERE id >= 7",
        "DELETE FROM anchors",
        "UPDATE sqlite_sequence SET seq = 6 WHERE name = 'audit'",
    )
    assert (await _check(copy)).is_whole
    report = await _check(copy, [head])
    assert "entries 7 to 9 are missing at the end" in str(report.problems[0])
    other = await _check(original, [Head(9, "0" * 64)])
    assert str(other.problems[0]).startswith("entry 9 ")
    assert "not the one that was posted" in str(other.problems[0])


async def test_a_chain_made_anew_over_a_gap_is_found(original: Path) -> None:
    """Entry 4 was removed, and every hash behind it computed again."""
    raw = sqlite3.connect(original)
    raw.row_factory = sqlite3.Row
    rows = [dict(r) for r in raw.execute("SELECT * FROM audit WHERE id != 4 ORDER BY id")]
    raw.close()
    statements, before = ["DELETE FROM audit WHERE id = 4"], ""
    for row in rows:
        row["detail"] = json.loads(row["detail"])
        row["previous_hash"] = before
        before = chain_hash(row)
        statements.append(
            f"UPDATE audit SET hash = '{before}', previous_hash = '{row['previous_hash']}' "
            f"WHERE id = {row['id']}"
        )
    told = [str(p) for p in (await _check(_tampered(original, *statements))).problems]
    assert told[0].startswith("entry 4: entry 4 is missing, and the chain was joined again")
    assert any(t.startswith("entry 8 ") and "not the one that was posted" in t for t in told)


@pytest.mark.parametrize("name", ["audit_no_update", "audit_no_delete", "anchors_no_replace"])
async def test_a_trigger_that_is_gone_or_lame_is_told(original: Path, name: str) -> None:
    copy = _tampered(original)
    raw = sqlite3.connect(copy)
    raw.execute(f"DROP TRIGGER {name}")
    raw.commit()
    raw.close()
    assert f"the trigger {name}" in await _first(copy)
    raw = sqlite3.connect(copy)
    raw.execute(f"CREATE TRIGGER {name} BEFORE UPDATE ON audit BEGIN SELECT 1; END")
    raw.commit()
    raw.close()
    assert f"the trigger {name}" in await _first(copy)


async def test_one_byte_of_the_file_itself(original: Path) -> None:
    """The record of entry 3, byte by byte, changed where it lies on the disk."""
    lines = [line async for line in _exported(original)]
    third, fourth = (json.loads(lines[n]) for n in (2, 3))
    data = original.read_bytes()
    ends = [data.index((e["previous_hash"] + e["hash"]).encode()) + 128 for e in (fourth, third)]
    copy = original.with_name("copy.db")
    for offset in range(ends[0] + 3, ends[1], 11):  # behind its length and its number
        for stale in original.parent.glob("copy.db*"):
            stale.unlink()
        changed = bytearray(data)
        changed[offset] ^= 0x01
        copy.write_bytes(changed)
        assert (await _first(copy)).startswith("entry 3"), offset - ends[0]


async def _exported(path: Path) -> AsyncIterator[bytes]:
    store = await Store.look(f"sqlite:///{path}")
    try:
        async with store.reading() as tx:
            async for raw in trail.whole(tx.conn):
                yield as_line(raw.values).encode() + b"\n"
    finally:
        await store.close()


def _first_in(lines: list[bytes], *heads: Head, extract: bool = False) -> str:
    report = trail.check_lines(lines, heads, extract=extract)
    return str(report.problems[0]) if report.problems else ""


async def test_an_exported_file_is_checked_without_the_database(original: Path) -> None:
    lines = [line async for line in _exported(original)]
    report = trail.check_lines(lines, extract=False)
    assert report.is_whole, report.problems
    assert report.entries == LAST
    assert _first_in([line.replace(b"\n", b"\r\n") for line in lines]) == ""
    head = report.last
    assert head is not None
    assert _first_in(lines, head) == ""
    assert _first_in(lines[:-2], head).startswith("entry 9: entries 9 to 10 are missing at the end")
    assert _first_in([*lines[:3], *lines[5:]]).startswith("entry 4: entries 4 to 5 are missing")
    assert _first_in([*lines[:3], lines[4], lines[3], *lines[5:]]).startswith("entry 4: entry 4 is")
    assert _first_in([]) == "there is no entry in the file"
    assert _first_in([b"hello\n"]) == "line 1 of the file is no entry of an audit trail"


async def test_every_changed_byte_of_an_exported_line_is_found(original: Path) -> None:
    lines = [line async for line in _exported(original)]
    line = lines[5]
    for position in range(len(line) - 1):
        for bit in (0x01, 0x20):
            changed = bytearray(line)
            changed[position] ^= bit
            told = _first_in([*lines[:5], bytes(changed), *lines[6:]])
            # Another number in the line makes the entry missing, or stand where it should not.
            assert told.startswith(("entry 6", "line 6 ", "entry 7", "entry 2")), (position, told)


async def test_an_extract_is_checked_where_entries_are_neighbours(original: Path) -> None:
    lines = [line async for line in _exported(original)]
    chosen = [lines[2], lines[3], lines[7]]
    assert _first_in(chosen) != ""
    assert _first_in(chosen, extract=True) == ""
    assert _first_in([lines[3], lines[2]], extract=True).startswith("entry 3 ")
    forged = lines[3].replace(b"U0ANN", b"U0EVE")
    assert _first_in([lines[2], forged], extract=True).startswith("entry 4 ")


async def test_what_is_no_store_is_neither_made_nor_read(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="cannot be opened"):
        await Store.look(f"sqlite:///{tmp_path}/typo.db")
    assert list(tmp_path.iterdir()) == []
    other = tmp_path / "other.db"
    sqlite3.connect(other).execute("CREATE TABLE t (x)").connection.close()
    with pytest.raises(StoreUnusable, match="no store of registry-bot"):
        await Store.look(f"sqlite:///{other}")
