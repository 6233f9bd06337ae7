"""`registry-bot audit verify|export`, as somebody on the host types it."""

import asyncio
import csv
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.__main__ import main
from bot.store.store import Store

Cli = Callable[..., tuple[int, str, str]]


async def _fill(path: Path, entries: int, *, heads: int = 1) -> None:
    store = await Store.open(f"sqlite:///{path}")
    for number in range(1, entries + 1):
        async with store.transaction() as tx:
            await tx.audit.append("tag.deleted", actor="U0ANN", tag=f"{number}", rule="=1+1")
    for _ in range(heads):
        async with store.transaction() as tx:
            await tx.audit.anchor("C0AUDIT")
    await store.close()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "bot.db"
    asyncio.run(_fill(path, 4))
    return path


@pytest.fixture
def cli(database: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs the command with settings that have neither tokens nor registries that answer."""
    config = database.with_name("registry-bot.toml")
    config.write_text(f'[store]\nurl = "sqlite:///{database}"\n')
    monkeypatch.setenv("REGISTRY_BOT_CONFIG", str(config))

    def run(*argv: str) -> tuple[int, str, str]:
        code = main(["audit", *argv])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def _tamper(database: Path, statement: str) -> None:
    raw = sqlite3.connect(database)
    for name in ("audit_no_update", "audit_no_delete"):
        raw.execute(f"DROP TRIGGER {name}")
    raw.execute(statement)
    raw.commit()
    raw.close()


def test_a_whole_trail(cli: Cli) -> None:
    code, out, _ = cli("verify")
    assert code == 0
    assert "5 entries in the store, 1 (" in out
    assert "last posted head 4:" in out
    assert "in C0AUDIT" in out
    assert out.endswith("The trail is whole.\n")


def test_a_changed_entry_is_named_and_what_to_do(cli: Cli, database: Path) -> None:
    _tamper(database, "UPDATE audit SET actor = 'U0EVE' WHERE id = 3")
    code, out, _ = cli("verify")
    assert code == 1
    assert "PROBLEM  entry 3 (" in out
    assert "tag.deleted): its content was changed after it was written" in out
    assert "What to do: change nothing" in out
    assert out.endswith("The trail is NOT whole.\n")


def test_a_cut_end_is_found_by_the_head_that_somebody_copied(cli: Cli, database: Path) -> None:
    head = cli("verify")[1].split("last posted head ")[1].split(" ")[0]
    assert cli("verify", "--head", head)[0] == 0
    _tamper(database, "DELETE FROM audit WHERE id > 2")
    raw = sqlite3.connect(database)
    raw.execute("DROP TRIGGER anchors_no_delete")
    raw.execute("DELETE FROM anchors")
    raw.commit()
    raw.close()
    code, out, _ = cli("verify", "--head", head.upper())
    assert code == 1
    assert "entries 3 to 4 are missing at the end: entry 4 was the head that was posted" in out


@pytest.mark.parametrize("head", ["4", "4:abc", "x:" + "a" * 64, "0:" + "a" * 64])
def test_what_is_no_head_is_refused(
    cli: Cli, capsys: pytest.CaptureFixture[str], head: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli("verify", "--head", head)
    assert ended.value.code == 2
    assert "copy NUMBER:HASH from the anchor channel" in capsys.readouterr().err


def test_an_export_is_checked_offline(cli: Cli, tmp_path: Path, database: Path) -> None:
    file = tmp_path / "out.jsonl"
    code, out, err = cli("export", "--output", str(file))
    assert (code, out) == (0, "")
    assert "5 entries exported" in err
    assert [json.loads(line)["id"] for line in file.read_text().splitlines()] == [1, 2, 3, 4, 5]
    database.unlink()
    assert cli("verify", "--file", str(file))[0] == 0
    head = cli("verify", "--file", str(file))[1].split("head ")[1].strip().split("\n")[0]
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]))
    assert cli("verify", "--file", str(file))[0] == 0  # nothing in the file tells of its end
    assert cli("verify", "--file", str(file), "--head", head)[0] == 1
    file.write_bytes(b"".join([*lines[:2], lines[2].replace(b'"3"', b'"9"'), *lines[3:]]))
    code, out, _ = cli("verify", "--file", str(file))
    assert code == 1
    assert "PROBLEM  entry 3 (" in out
    file.write_bytes(b"".join([lines[0], lines[3]]))
    assert "entries 2 to 3 are missing" in cli("verify", "--file", str(file))[1]
    assert cli("verify", "--file", str(file), "--extract")[0] == 0


def test_an_export_for_spreadsheets(cli: Cli) -> None:
    code, out, _ = cli("export", "--format", "csv", "--output", "-")
    assert code == 0
    rows = list(csv.DictReader(out.splitlines()))
    assert [row["id"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert rows[0]["rule"] == "'=1+1"


def test_a_broken_trail_is_exported_as_it_is(cli: Cli, database: Path) -> None:
    _tamper(database, "UPDATE audit SET detail = '{' WHERE id = 3")
    code, out, err = cli("export", "--output", "-")
    assert code == 1
    assert len(out.splitlines()) == 5
    assert "1 of them are broken" in err


def test_a_file_is_never_overwritten_nor_left_half(
    cli: Cli, tmp_path: Path, database: Path
) -> None:
    there = tmp_path / "there.jsonl"
    there.write_text("mine")
    code, _, err = cli("export", "--output", str(there))
    assert code == 2
    assert "is there already" in err
    assert there.read_text() == "mine"
    assert cli("export", "--output", str(tmp_path / "no" / "dir.jsonl"))[0] == 2
    database.unlink()
    code, _, err = cli("export", "--output", str(tmp_path / "new.jsonl"))
    assert code == 2
    assert "cannot be opened" in err
    assert not (tmp_path / "new.jsonl").exists()
    assert not database.exists()  # looking makes no database


def test_mistakes_are_told(cli: Cli, tmp_path: Path) -> None:
    assert "--extract is for an exported file" in cli("verify", "--extract")[2]
    code, _, err = cli("verify", "--file", str(tmp_path / "none.jsonl"))
    assert code == 2
    assert "No such file" in err
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('[store]\nurl = "mysql://x"\n')
    code, _, err = cli("verify", "--config", str(wrong))
    assert code == 2
    assert "store.url" in err


def test_it_reads_beside_a_bot_that_writes(cli: Cli, database: Path) -> None:
    async def writing() -> None:
        store = await Store.open(f"sqlite:///{database}")
        async with store.transaction() as tx:
            await tx.audit.append("tag.deleted")
            code, out, _ = await asyncio.to_thread(cli, "verify")
        assert code == 0, out
        assert "5 entries" in out  # what is not committed is not there yet
        await store.close()

    asyncio.run(writing())
    assert "6 entries" in cli("verify")[1]
