"""The audit trail as it is shown, sent and checked."""

import csv
import dataclasses
import io
import json

import pytest

from bot.slack.views import audit
from bot.slack.views.blocks import without_new_blocks
from bot.slack.views.terminal import render
from bot.store.chain import FIELDS, AuditEntry, Head, Problem, Report, chain_hash
from bot.store.trail import check_lines
from tests.support.shown import ANN, HOSTILE, NOW, buttons, check, read

HEAD = Head(412, "ab" * 32, NOW, "C0AUDIT")
WHOLE = Report(412, Head(1, "cd" * 32, NOW - 86400), HEAD, Head(400, "ef" * 32, NOW, "C0AUDIT"), ())


def entry(number: int = 7, event: str = "tag.deleted", **changes: object) -> AuditEntry:
    made = AuditEntry(
        id=number, at=NOW, event=event, actor=ANN, team="T0", channel="C0OPS", registry="corp",
        request_id=42, repository="team/api", tag="1.4.0", digest="sha256:" + "1" * 64,
        rule="default", plan_hash="ab" * 32, detail={}, previous_hash="", hash="",
    )  # fmt: skip
    made = dataclasses.replace(made, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(made, hash=chain_hash(dataclasses.asdict(made)))


@pytest.mark.parametrize(
    ("event", "detail", "said"),
    [
        ("request.created", {"action": "delete", "reason": "old"}, "asked to delete: old"),
        ("request.outdated", {"why": "it moved"}, "outdated: it moved"),
        ("request.finished", {"state": "done"}, "ended done"),
        ("refused", {"what": "click approve", "why": "own"}, "was refused: click approve: own"),
        ("gc.step", {"step": "collect"}, "collection: collect"),
        ("something.of_tomorrow", {}, "something of tomorrow"),
    ],
)
def test_events_are_told_in_words(event: str, detail: dict[str, str], said: str) -> None:
    shown = audit.entries([entry(event=event, detail=detail)], 1, "", "audit")
    check(shown)
    table = next(block for block in shown["blocks"] if block["type"] == "table")
    cells = table["rows"][1]
    assert cells[0]["text"] == "7"
    assert cells[1]["text"] == "2025-06-15 15:06:40"
    assert cells[2]["elements"][0]["elements"] == [{"type": "user", "user_id": ANN}]
    assert cells[3]["text"] == said
    assert cells[4]["text"] == "R42 team/api:1.4.0@sha256:111111111111"
    assert cells[5]["text"] == "default"
    assert f"<@{ANN}>" in shown["text"]
    for text in (render(shown), json.dumps(without_new_blocks(shown))):
        assert f"@{ANN}" in text
        assert said in text


def test_the_bot_and_accounts_of_the_host_are_no_mentions() -> None:
    shown = audit.entries([entry(actor="bot"), entry(actor="local:ann")], 2, "", "audit")
    check(shown)
    rows = next(block for block in shown["blocks"] if block["type"] == "table")["rows"]
    assert [row[2]["text"] for row in rows[1:]] == ["bot", "local:ann"]


def test_many_entries_are_cut_and_say_so() -> None:
    found = [entry(n) for n in range(500, 0, -1)]
    shown = audit.entries(found, 12_345, "about team/api", "audit team/api")
    check(shown)
    assert audit.fits(found) < 100
    assert f"The newest {audit.fits(found)} of 12,345 are shown" in read(shown)
    assert "12,345 entries* about team/api, newest first" in read(shown)
    assert buttons(shown) == ["Share"]


def test_nothing_found_is_said() -> None:
    shown = audit.entries([], 0, "by U0BOB", "audit")
    check(shown)
    assert "The audit trail has nothing here by <@U0BOB>." in read(shown)
    assert read(audit.entries([], 0, "", "audit")) == "The audit trail has nothing here."


@pytest.mark.parametrize("text", HOSTILE)
def test_entries_are_only_text(text: str) -> None:
    hostile = entry(repository=text, tag=text, rule=text, actor=text, detail={"why": text})
    check(audit.entries([hostile], 1, f"by {text}", "audit"))
    broken = dataclasses.replace(WHOLE, problems=(Problem(1, text, NOW, text),) * 20)
    check(audit.checked(broken, anchored=True))


def test_a_file_for_spreadsheets_runs_no_formula() -> None:
    hostile = entry(
        detail={"reason": "=1+1"}, rule="=cmd|' /C calc'!A0", tag="-1+1", actor="@SUM(1)"
    )
    file = audit.file([dataclasses.asdict(hostile)], "csv", "of today")
    head, row = csv.reader(io.StringIO(file.content))
    assert (file.name, file.title) == ("audit.csv", "Audit trail of today")
    assert tuple(head) == ("id", "time", *FIELDS[2:])
    told = dict(zip(head, row, strict=True))
    assert told["time"] == "2025-06-15T15:06:40.000+00:00"
    assert told["rule"].startswith("'=")
    assert told["tag"].startswith("'-")
    assert told["actor"].startswith("'@")
    assert json.loads(told["detail"]) == {"reason": "=1+1"}


def test_a_jsonl_file_can_be_checked_again() -> None:
    one = entry(1)
    two = entry(2, previous_hash=one.hash)
    file = audit.file([dataclasses.asdict(e) for e in (one, two)], "jsonl", "")
    lines = file.content.encode().splitlines(keepends=True)
    assert check_lines(lines, extract=False).is_whole
    assert not check_lines([lines[0], lines[1].replace(b"1.4.0", b"1.4.1")], extract=False).is_whole


def test_a_whole_trail_is_told_with_its_heads() -> None:
    shown = audit.checked(WHOLE, anchored=True)
    check(shown)
    for text in (read(shown), shown["text"]):
        assert "is whole: 412 entries" in text
        assert str(HEAD) in text
        assert f"400:{'ef' * 32}" in text
        assert "and it fits" in text
    nowhere = audit.checked(dataclasses.replace(WHOLE, posted=None), anchored=False)
    check(nowhere)
    assert "anchor_channel" in read(nowhere)


def test_a_broken_trail_names_the_first_entry_and_says_what_to_do() -> None:
    problems = (Problem(7, "its content was changed", NOW, "tag.deleted"), Problem(9, "gone"))
    shown = audit.checked(dataclasses.replace(WHOLE, problems=problems), anchored=True)
    check(shown)
    for text in (read(shown), shown["text"]):
        assert "NOT whole. First: entry 7 (2025-06-15 " in text
        assert "tag.deleted): its content was changed." in text
        assert "entry 9: gone" in text
        assert "Change nothing" in text
        assert "it fits" not in text


def test_a_posted_head_can_be_copied() -> None:
    data = {"entry": 412, "hash": "ab" * 32, "count": 412, "at": NOW, "lost": ""}
    shown = audit.posted(data)
    check(shown)
    assert f"`{HEAD}`" in read(shown)
    assert f"registry-bot audit verify --head {HEAD}" in read(shown)
    lost = audit.posted({**data, "lost": f"400:{'ef' * 32}"})
    check(lost)
    assert "is not in the trail any more" in read(lost)
