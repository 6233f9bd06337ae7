"""How locks are shown: to whoever asks, in a request's message, and in its thread."""

import dataclasses

import pytest

from bot.rules.approval import State
from bot.rules.locks import Lock, covering, in_the_way
from bot.rules.policy import Action
from bot.slack.views import notices
from bot.slack.views.locks import locks
from bot.slack.views.request import request
from tests.support.shown import ANN, BOB, HOSTILE, NOW, buttons, check, made, read

TEAM = Lock(1, "corp", "team/api", "we move", ANN, "T0TEAM", "C0OPS", 7, NOW, NOW + 7200)
ALL = dataclasses.replace(TEAM, id=2, repository="", actor=BOB, request_id=8, until=None)
UNLOCK = {
    "verb": "unlock",
    "repository": "team/api",
    "lock": 1,
    "name": "R7",
    "reason": "we move",
    "by": BOB,
}


@pytest.mark.parametrize(
    ("held", "repository", "found"),
    [
        ([TEAM], "team/api", TEAM),
        ([TEAM], "team/api/x", None),
        ([TEAM], "team", None),
        ([ALL, TEAM], "team/api", TEAM),  # the nearer one is named
        ([ALL, TEAM], "other", ALL),
        ([], "team/api", None),
    ],
)
def test_which_lock_covers_a_repository(held: list[Lock], repository: str, found: Lock) -> None:
    assert covering(held, repository) is found


@pytest.mark.parametrize(
    ("held", "action", "found"),
    [
        ([TEAM], Action.DELETE, TEAM),
        ([TEAM], Action.CLEANUP, TEAM),
        ([TEAM], Action.PURGE, TEAM),
        ([TEAM], Action.PURGE_REQUEST, TEAM),
        ([ALL], Action.DELETE, ALL),
        ([ALL, TEAM], Action.UNDO, None),
        ([ALL, TEAM], Action.LOCK, None),
        ([TEAM], Action.GC, None),
        ([TEAM, ALL], Action.GC, ALL),
    ],
)
def test_what_a_lock_stands_in_the_way_of(held: list[Lock], action: Action, found: Lock) -> None:
    assert in_the_way(held, action, ["b", "team/api"]) is found


def test_a_collection_that_deletes_untagged_images_is_stopped_by_any_lock() -> None:
    assert in_the_way([TEAM], Action.GC, [], untagged=True) is TEAM
    assert in_the_way([], Action.GC, [], untagged=True) is None


def test_what_is_locked_is_listed() -> None:
    shown = locks([TEAM, ALL], ["corp"], "locks")
    check(shown)
    for text in (read(shown), shown["text"]):
        assert "2 locks" in text
        assert "`team/api`" in text
        assert "we move" in text
        assert f"<@{ANN}> (R7)" in text
        assert "until somebody unlocks it" in text
    assert buttons(shown) == ["Share"]
    nothing = locks([], ["corp"], "locks")
    check(nothing)
    assert "Nothing is locked on corp" in read(nothing)


def test_many_locks_are_cut_and_say_so() -> None:
    shown = locks([TEAM] * 300, ["corp"], "locks")
    check(shown)
    assert "more locks" in read(shown)


@pytest.mark.parametrize("text", HOSTILE)
def test_reasons_are_only_text(text: str) -> None:
    check(locks([dataclasses.replace(TEAM, reason=text)], ["corp"], "locks"))
    unlock = made("lock", reason=text, plan={**UNLOCK, "reason": text})
    check(request(unlock))


def test_a_request_says_what_it_locks_and_what_that_means() -> None:
    asked = request(made("lock"))
    check(asked)
    for text in (read(asked), asked["text"]):
        assert "lock `team/api` on corp for 2 h" in text
    assert "undo stays allowed" in read(asked).lower()
    assert "Approve" in buttons(asked)
    whole = request(made("lock", plan={"verb": "lock", "repository": "", "seconds": None}))
    check(whole)
    assert "*every repository* of corp" in read(whole)
    assert "garbage collected" in read(whole)
    unlock = request(made("lock", plan=UNLOCK))
    check(unlock)
    assert "unlock `team/api`" in read(unlock)
    assert f"R7, by <@{BOB}>: we move" in read(unlock)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (
            {"verb": "lock", "repository": "team/api", "seconds": 60.0},
            ["is locked until", "unlock"],
        ),
        ({"verb": "lock", "repository": "", "seconds": None}, ["until it is unlocked", "--all"]),
        (UNLOCK, ["is unlocked"]),
    ],
)
def test_the_thread_says_what_came_of_it(plan: dict[str, object], words: list[str]) -> None:
    told = notices.notice(made("lock", State.DONE, plan=plan), "finished", {})
    assert told is not None
    check(told)
    assert all(word in read(told) for word in words)


def test_the_end_of_a_lock_is_told_to_whoever_set_it() -> None:
    over = notices.notice(made("lock", State.DONE), "lock ended", {})
    by = notices.notice(made("lock", State.DONE), "lock ended", {"by": BOB, "request": "R9"})
    assert over is not None
    assert by is not None
    check(over)
    check(by)
    assert f"<@{ANN}>: the lock on `team/api`" in read(over)
    assert f"<@{BOB}> unlocked `team/api` on corp (R9)" in read(by)
