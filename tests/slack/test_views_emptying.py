"""Empty repositories in the message of a collection."""

import csv
import io
from typing import Any

import pytest

from bot.rules.approval import Request, State
from bot.slack.views import files
from bot.slack.views.request import request
from tests.support.shown import (
    HOSTILE,
    LONG_REPOSITORY,
    buttons,
    check,
    collection_plan,
    made,
    read,
)


def _plan(names: list[str], going: list[str] | None = None, **changes: Any) -> dict[str, Any]:
    found = {"names": names, "kept": [], "uploads": 0, "bytes": 0, **changes}
    return collection_plan(empty=found, remove_empty=going or [])


def _shown(state: State = State.PENDING, result: dict[str, Any] | None = None, **plan: Any) -> Any:
    return made("gc", state, plan=_plan(**plan), result=result or {})


def test_what_is_found_is_offered() -> None:
    shown = request(_shown(names=["a", "team/b"]))
    check(shown)
    assert "*2 empty repositories*: `a`, `team/b`. They stay." in read(shown)
    assert buttons(shown)[0] == "Remove 2 empty repositories too"
    assert "2 empty repositories would stay" in shown["text"]
    assert buttons(request(_shown(names=["a"])))[0] == "Remove 1 empty repository too"


@pytest.mark.parametrize("state", [State.APPROVED, State.DENIED, State.RUNNING])
def test_once_decided_it_is_offered_no_more(state: State) -> None:
    assert not any("Remove" in label for label in buttons(request(_shown(state, names=["a"]))))


def test_nothing_found_nothing_said() -> None:
    for plan in (_plan([]), collection_plan(), collection_plan(empty=None, remove_empty=[])):
        shown = request(made("gc", plan=plan))
        check(shown)
        assert "empty" not in read(shown)
        assert "Remove" not in "".join(buttons(shown))


def test_what_goes_is_named_and_not_offered_again() -> None:
    seen = _shown(names=["a", "b"], going=["a", "b"], uploads=3, bytes=15_000)
    shown = request(seen)
    check(shown)
    assert "*Removes 2 empty repositories*" in read(shown)
    assert "`a`, `b`" in read(shown)
    assert "3 unfinished uploads in them (15.0 kB) go too" in read(shown)
    assert "Removes 2 empty repositories too: `a`, `b`." in shown["text"]
    assert not any("Remove" in label for label in buttons(shown))
    assert files.of_request(seen, "plan") is None


def test_names_without_room_come_as_a_file() -> None:
    names = [f"team/repository-{number:04d}" for number in range(900)]
    seen = _shown(names=names, going=names)
    shown = request(seen)
    check(shown)
    assert "All names are in the CSV file" in read(shown)
    sent = files.of_request(seen, "plan")
    assert sent is not None
    assert [row[0] for row in csv.reader(io.StringIO(sent.content))][1:] == names


@pytest.mark.parametrize("why", HOSTILE)
def test_why_one_is_left_alone_is_only_text(why: str) -> None:
    kept = [[LONG_REPOSITORY, why]] * 30
    check(request(_shown(names=[], kept=kept)))
    done = {"why": "", "freed_blobs": 0, "freed_bytes": 0, "planned_blobs": 0, "left_blobs": 0}
    result = {**done, "emptied": {"removed": [], "kept": kept, "bytes": 0}}
    check(request(_shown(State.DONE, result, names=["a"], going=["a"])))


def _after(emptied: dict[str, Any] | None) -> str:
    result = {"why": "", "freed_blobs": 1, "freed_bytes": 5, "left_blobs": 0, "emptied": emptied}
    ended: Request = _shown(State.DONE, result, names=["a", "b"], going=["a", "b"])
    shown = request(ended)
    check(shown)
    return read(shown)


def test_the_report_says_what_became_of_them() -> None:
    told = _after({"removed": ["a"], "kept": [["b", "it has the tag new"]], "bytes": 15_000})
    assert "*Removed* 1 empty repository: `a`, with 15.0 kB of unfinished uploads" in told
    assert "*Left alone* `b` (it has the tag new)" in told
    assert "*Not removed* 2 empty repositories" in _after(None)


def test_a_request_that_replaces_another_says_so() -> None:
    plan = {**_plan(["a"], ["a"]), "replaces": 41}
    assert "It takes the place of R41." in read(request(made("gc", plan=plan)))
