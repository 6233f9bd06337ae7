"""The message of a preview, its file, and what the bot says of schedules."""

import csv
import io
from typing import Any

import pytest

from bot.rules.preview import Preview, PreviewState, Result, Row, Spec, Stays
from bot.rules.retention import Keep
from bot.slack.views.announcements import announcement
from bot.slack.views.cleanup import cleanup_terms, file_of, preview
from tests.support.shown import ANN, HOSTILE, LONG, NOW, buttons, check, digest, made, read

DAY = 86400.0


def row(tag: str, days: float = 40, why: str = "not among the 10 newest") -> Row:
    return Row(tag, digest(1), NOW - days * DAY, why)


def found(**changes: Any) -> Result:
    return Result(
        **{
            "tags": 20,
            "goes": (row("v1", 90), row("v2", 60)),
            "along": ("sha256-" + "0" * 64 + ".sig",),
            "stays": (Stays("among the 10 newest", 10, ("v9", "v8")),),
            "ancient": Stays("dated before 1971", 2, ("r1", "r2")),
            "undated": Stays("without a creation date", 1, ("chart",)),
            "signatures": 3,
            "size": 5_000_000,
            **changes,
        }
    )


def shown(state: PreviewState = PreviewState.READY, **changes: Any) -> Preview:
    return Preview(
        **{
            "id": 5,
            "token": "a-token-that-nobody-guesses-0123456789",
            "registry": "corp",
            "repository": "team/api",
            "actor": ANN,
            "team": "T0TEAM",
            "channel": "C0OPS",
            "message_ts": "1.2",
            "reason": "",
            "origin": "command",
            "run": None,
            "state": state,
            "spec": Spec((Keep(("*",), 10, 30 * DAY),)),
            "progress": {},
            "result": found(),
            "request_id": None,
            "created_at": NOW,
            **changes,
        }
    )


def both(message: dict[str, Any]) -> list[str]:
    check(message)
    return [read(message), message["text"]]


def test_a_ready_one_says_all_of_it_twice() -> None:
    message = preview(shown(reason="disk is full", result=found(above=7)))
    for said in both(message):
        for part in (
            f"Asked for by <@{ANN}>",
            "Keeps the 10 newest and what is younger than 30 d.",
            "*Why* disk is full",
            "*Goes* 2 tags, the oldest first: `v1` (",
            "• 2: not among the 10 newest",
            "with them 1 signature tag",
            "frees about 5.0 MB in the end, an estimate",
            "*Above the ceiling* 7 more tags would go, and one request takes 3 of them.",
            "*Stays* 10 tags",
            "10 among the 10 newest: `v9`, `v8` and 8 more",
            "*Listed apart*, never selected and never counted",
            "2 dated before 1971: `r1`, `r2`",
            "1 without a creation date: `chart`",
            "Age is the creation date in the image's config",
            "3 signature tags not counted",
        ):
            assert part in said, part
    assert buttons(message) == ["Request it", "Discard"]
    (row_,) = [b for b in message["blocks"] if b["type"] == "actions"]
    assert [e["action_id"] for e in row_["elements"]] == ["cleanup_request", "cleanup_discard"]
    assert {e["value"] for e in row_["elements"]} == {"a-token-that-nobody-guesses-0123456789"}


@pytest.mark.parametrize(
    ("state", "changes", "said"),
    [
        (PreviewState.LOOKING, {"progress": {"tags": 5000}}, "Looking at 5,000 tags of `team/api`"),
        (
            PreviewState.LOOKING,
            {"progress": {"tags": 5000, "done": 1200, "of": 5000}},
            "on corp… 1,200 of 5,000",
        ),
        (PreviewState.EMPTY, {"result": found(goes=())}, "*Nothing to clean up* of `team/api`"),
        (PreviewState.FAILED, {"result": Result(note="It is gone. Try again.")}, "It is gone."),
        (
            PreviewState.REQUESTED,
            {"progress": {"by": ANN}, "request_id": 7},
            f"<@{ANN}> asked for it: *R7*",
        ),
        (PreviewState.DISCARDED, {"progress": {"by": ANN}}, f"<@{ANN}> discarded it"),
        (PreviewState.REPLACED, {}, "replaced by a newer one"),
        (PreviewState.READY, {"origin": "ci", "actor": "bot"}, "Scheduled by the retention rule"),
        (PreviewState.READY, {"result": found(note="It was not asked for: no")}, "not asked for"),
    ],
)
def test_every_state(state: PreviewState, changes: dict[str, Any], said: str) -> None:
    message = preview(shown(state, **changes))
    for text in both(message):
        assert said in text
        assert "None" not in text
    assert bool(buttons(message)) is (state is PreviewState.READY)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (Spec((), "pr-*"), "Keeps none among the tags that match `pr-*`."),
        (Spec((Keep(("main-[0-9]*",), 2),), rules=("a", "b")), "by retention rule `a`, `b`."),
        (Spec((Keep(),)), "Keeps everything."),
    ],
)
def test_what_is_looked_for(spec: Spec, said: str) -> None:
    for text in both(preview(shown(spec=spec))):
        assert said in text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_texts(text: str) -> None:
    group = Stays(text, 3, (text,) * 3)
    result = found(
        goes=tuple(row(text, why=text) for _ in range(30)),
        along=(text,) * 9,
        stays=(group,) * 20,
        ancient=group,
        undated=group,
        note=text,
    )
    spec = Spec((Keep((text,), 3),), text, (text,))
    hostile = {"result": result, "spec": spec, "reason": text, "repository": text, "origin": text}
    for state in PreviewState:
        message = preview(shown(state, progress={"by": ANN}, request_id=7, **hostile))
        for said in both(message):
            assert "<!channel>" not in said
            assert "<https" not in said
    request = made("cleanup", cleanup={"left_out": text, "repository": text})
    assert "<!channel>" not in cleanup_terms(request)


def test_a_long_one_keeps_its_buttons_and_limits() -> None:
    group = Stays(LONG[:2000], 100_000, ("t" * 128,) * 5)
    result = found(
        goes=tuple(row("t" * 128, why=f"{n} {LONG[:500]}") for n in range(500)),
        along=("sha256-" + "0" * 64 + ".sbom",) * 500,
        stays=(group,) * 50,
        ancient=group,
        undated=group,
        note=LONG,
    )
    message = preview(shown(result=result, reason=LONG))
    check(message)
    assert buttons(message) == ["Request it", "Discard"]


def test_the_file_has_every_row() -> None:
    rows = [
        ["goes", "v1", digest(1), 0.5, "old"],
        ["stays", "=cmd()", digest(2), None, "no date"],
        ["stays", "old", digest(3), -62_135_596_800.0 * 9, "dated before 1971"],
    ]
    made_ = file_of(shown(), rows)
    assert made_.name == "cleanup-team-api.csv"
    table = list(csv.reader(io.StringIO(made_.content)))
    assert table[0] == ["outcome", "tag", "digest", "created", "why"]
    assert table[1] == ["goes", "v1", digest(1), "1970-01-01T00:00:00.500000+00:00", "old"]
    assert table[2][1] == "'=cmd()"
    assert table[3][3] == ""


ANNOUNCED = [
    (
        "retention",
        {
            "rule": "ci", "registry": "corp", "repositories": 12, "empty": 9, "requested": 0,
            "ready": 2, "failed": [["ci/x", "It is gone"]],
        },
        "looked at 12 repositories on corp: 2 shown above, 9 with nothing to clean up.",
    ),
    (
        "retention failed",
        {"rule": "ci", "registry": "corp", "why": "It does not answer."},
        "could not look at corp: It does not answer. Nothing was changed.",
    ),
    (
        "collection due",
        {"registry": "corp", "schedule": "sun 03:00", "why": "The rule forbids it."},
        "It is time to collect garbage on *corp* (`sun 03:00`).",
    ),
    ("file refused", {"title": "the list of a", "why": "missing_scope"}, "files:write"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "said"), ANNOUNCED)
def test_announcements(name: str, data: dict[str, Any], said: str) -> None:
    message = announcement(name, data)
    for text in both(message):
        assert said in text
    assert buttons(message) == (["Collect garbage"] if name == "collection due" else [])


def test_hostile_announcements() -> None:
    for text in (*HOSTILE, LONG):
        for name, data, _ in ANNOUNCED:
            bad = {key: text if isinstance(value, str) else value for key, value in data.items()}
            if "failed" in bad:
                bad["failed"] = [[text, text]] * 40
            if name == "collection due":
                bad["registry"] = "corp"
            check(announcement(name, bad))
            assert "<!channel>" not in read(announcement(name, bad))
