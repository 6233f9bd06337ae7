"""What is said in threads and to one person: harmless, whole, and in sentences."""

import dataclasses
from typing import Any

import pytest

from bot.rules.approval import ItemState, State, WindowState
from bot.slack.views import notices
from bot.slack.views.blocks import Message, mark_commands
from bot.slack.views.notices import details, notice, refusal, said
from tests.support.shown import (
    ACTIONS,
    ANN,
    BOB,
    CAT,
    HOSTILE,
    LONG,
    LONG_REPOSITORY,
    LONG_TAG,
    NOW,
    STATES,
    check,
    collection_plan,
    decision,
    digest,
    everything,
    items_of,
    made,
    outside_code,
    planned,
    read,
    window,
)

DATA: dict[str, Any] = {
    "missing": "1 of leads",
    "called": [CAT],
    "by": BOB,
    "reason": "we need it",
    "why": "the tag moved",
    "people": [ANN, BOB],
    "step": "Dry run",
    "sentence": "The registry is being made writable again.",
    "command": "systemctl start registry",
    "broken": ["team/api:1: The registry does not deliver the right bytes."],
}
NOTICES = (
    "plan",
    "approved",
    "denied",
    "cancelled",
    "expired",
    "outdated",
    "failed",
    "finished",
    "window ended",
    "undone",
    "taken over",
    "restore failed",
    "canary",
    "file refused",
    "emergency",
    "reminder",
)


def _told(name: str, action: str = "delete", **changes: Any) -> Message:
    data = changes.pop("data", DATA)
    shown = notice(made(action, **changes), name, data)
    assert shown is not None
    check(shown)
    return shown


# -- refusals


def test_a_refusal_says_why_what_to_do_and_close_names() -> None:
    shown = refusal(
        "There is no repository team/apo.",
        "`/registry repos` lists them.",
        ("team/api", "b", "c", "d"),
    )
    check(shown)
    assert read(shown) == (
        ":no_entry_sign: There is no repository team/apo.\n"
        "Did you mean `team/api`, `b`, `c`? `/registry repos` lists them."
    )
    assert shown["text"] == (
        "There is no repository team/apo. Did you mean `team/api`, `b`, `c`? "
        "`/registry repos` lists them."
    )


def test_a_refusal_without_a_hint() -> None:
    shown = refusal("No.")
    check(shown)
    assert shown["text"] == "No."
    assert len(shown["blocks"]) == 1


def test_a_refusal_of_ours_names_people_and_channels() -> None:
    shown = refusal(f"R1 is <@{ANN}>'s request.", f"Ask <@{BOB}>.", people=True)
    check(shown)
    assert shown["text"] == f"R1 is <@{ANN}>'s request. Ask <@{BOB}>."
    assert f"<@{ANN}>'s" in read(shown)
    dead = refusal(f"R1 is <@{ANN}>'s request.")
    assert "&lt;@U0ANN&gt;'s" in dead["text"]


@pytest.mark.parametrize("text", ["<!channel>", "<!here|here>", "<@U123|ann>", "<https://x|y>"])
def test_a_refusal_of_ours_makes_nothing_else_live(text: str) -> None:
    shown = refusal(text, text, (text,), people=True)
    assert "<" not in shown["text"] + read(shown)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_refusals(text: str) -> None:
    check(refusal(f"No {text}", text, (text,) * 5))
    check(refusal(text or "No.", f"Type `/registry show {text}` or {text}."))


def test_commands_in_a_sentence_stay_code() -> None:
    assert mark_commands("a `b` c") == "a `b` c"
    assert mark_commands("a `<b>` <c>") == "a `&lt;b&gt;` &lt;c&gt;"
    assert mark_commands("a `b") == "a b", "what is never closed opens nothing"
    assert mark_commands("") == ""


def test_said_keeps_mentions_and_lines() -> None:
    shown = said(f"<@{ANN}>: done.\nAll of it.")
    check(shown)
    assert shown["text"] == read(shown) == f"<@{ANN}>: done.\nAll of it."


def test_said_says_what_it_leaves_out() -> None:
    shown = said("\n".join(f"line {n} {'x' * 100}" for n in range(500)))
    check(shown)
    inside = sum(f"line {n} " in read(shown) for n in range(500))
    assert 30 < inside < 500
    assert f"… and {500 - inside} more lines" in read(shown)


# -- details


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("state", STATES)
def test_details_say_the_whole_story(action: str, state: State) -> None:
    shown = details(
        made(
            action,
            state,
            decisions=(decision(BOB, reason="go"), decision(CAT, approves=False)),
        )
    )
    check(shown)
    told = read(shown)
    assert f"*R42*, rule `default`, {state}" in told
    assert f"<@{ANN}> asked <!date^" in told
    assert f"<@{BOB}> approved it <!date^" in told
    assert ": go\n" in told
    assert f"<@{CAT}> denied it <!date^" in told
    assert ("It ended <!date^" in told) is not state.is_open
    assert str(state) in shown["text"]
    if action in {"delete", "purge", "undo"}:
        assert "`team/api:v1`" in told
        assert "`team/api:v1`" in shown["text"]


def test_details_show_more_digests_than_the_message() -> None:
    digests = [planned(n, (f"v{n}",)) for n in range(45)]
    shown = details(made("delete", digests=digests))
    check(shown)
    assert [n for n in range(45) if f"`team/api:v{n}`" in read(shown)] == list(range(40))
    assert "… and 5 more digests" in read(shown)
    assert "/registry show" not in read(shown), "this is what it shows"
    assert "Plan `" in read(shown)


def test_details_of_very_much() -> None:
    names = tuple(f"{n:03}{LONG_TAG}"[:128] for n in range(5))
    digests = [
        everything(n, names, repository=LONG_REPOSITORY, kept_tags=names) for n in range(100)
    ]
    for action in ("delete", "purge", "undo"):
        shown = details(
            made(
                action,
                State.PARTLY_DONE,
                digests=digests,
                items=items_of(digests, ItemState.FAILED, LONG),
                decisions=tuple(decision(f"U0{n:03}", reason=LONG) for n in range(50)),
            )
        )
        check(shown)
        assert "more" in read(shown)
        assert "It ended" in read(shown)


# -- the thread


@pytest.mark.parametrize("name", NOTICES)
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("state", STATES)
def test_every_notice_can_be_made_of_every_request(name: str, action: str, state: State) -> None:
    shown = notice(made(action, state), name, DATA)
    if shown is None:
        assert name == "plan"
        assert action in {"gc", "undo", "purge request", "lock"}
        return
    check(shown)
    for text in (read(shown), shown["text"]):
        assert "None" not in text
        assert ".." not in text


def test_there_are_no_other_notices() -> None:
    assert notice(made("delete"), "nonsense", {}) is None
    of_locks = {"lock ended"}
    assert set(notices._NOTICES) == {*NOTICES, *of_locks}


def test_the_plan_is_pinned_with_whole_digests() -> None:
    shown = _told("plan", digests=[planned(1, ("v1", "v2")), planned(2, ())])
    assert f"```team/api:v1 {digest(1)}\nteam/api:v2 {digest(1)}\nteam/api {digest(2)}```" in (
        read(shown)
    )
    assert shown["text"] == "Pinned for R42: `team/api:v1`, `team/api:v2`"


def test_a_plan_of_digests_alone() -> None:
    shown = _told("plan", "purge", digests=[planned(1, ())])
    assert shown["text"] == "Pinned for R42: `team/api@sha256:000000000000`"


@pytest.mark.parametrize("count", [40, 130])
def test_a_long_plan_is_shown_with_short_digests(count: int) -> None:
    shown = _told("plan", digests=[planned(n, (f"pr-{n}",)) for n in range(count)])
    assert all(f"team/api:pr-{n} sha256:000000000000" in read(shown) for n in range(count))
    assert (digest(1) in read(shown)) is (count == 40)
    assert "pinned as well" not in read(shown)
    assert all(f"`team/api:pr-{n}`" in shown["text"] for n in range(count))


@pytest.mark.parametrize(("tags", "digests"), [(500, 1), (5, 100)])
def test_a_very_long_plan_says_what_it_leaves_out(tags: int, digests: int) -> None:
    names = tuple(f"{n:03}{LONG_TAG}"[:128] for n in range(tags))
    shown = _told(
        "plan", digests=[planned(n, names, repository=LONG_REPOSITORY) for n in range(digests)]
    )
    inside = read(shown).count(" sha256:")
    assert inside > 5
    assert f"… and {500 - inside} more tags, pinned as well." in read(shown)
    assert f"and {500 - shown['text'].count('`') // 2} more" in shown["text"]


def test_a_decision_is_told_by_whom() -> None:
    assert _told("approved")["text"] == f"Approved by <@{BOB}>."
    both = _told("approved", decisions=(decision(CAT), decision(BOB)))
    assert both["text"] == f"Approved by <@{CAT}>, <@{BOB}>."
    assert _told("denied")["text"] == (f"<@{ANN}>: R42 was denied by <@{BOB}>. Why: we need it")
    assert _told("denied", data={"by": BOB})["text"] == f"<@{ANN}>: R42 was denied by <@{BOB}>."
    assert _told("cancelled")["text"] == f"<@{BOB}> cancelled R42."


def test_the_end_of_patience() -> None:
    assert _told("expired", data={})["text"] == (
        f"<@{ANN}>: nobody decided on R42 in time. Nothing was changed."
    )
    assert "could not be carried out in time" in _told("expired", data={"late": True})["text"]


def test_what_went_wrong_calls_those_concerned() -> None:
    assert _told("outdated")["text"] == (
        f"<@{ANN}> <@{BOB}>: R42 is outdated: the tag moved. Nothing was deleted."
    )
    assert _told("outdated", data={**DATA, "people": [ANN, ANN]})["text"].count("<@") == 1
    assert _told("failed")["text"] == f"<@{ANN}>: R42 has failed: the tag moved."


def test_the_end_counts_what_became_of_the_items() -> None:
    digests = [planned(1, ("a", "b", "c"))]
    items = items_of(digests, ItemState.DONE)
    items = (*items[:2], dataclasses.replace(items[2], state=ItemState.MOVED, detail="pushed"))
    shown = _told(
        "finished",
        state=State.PARTLY_DONE,
        digests=digests,
        items=items,
        windows=(window(1), window(2)),
        undo_until=NOW + 86400,
    )
    assert shown["text"].split("\n")[0] == "R42 is partly done: 2 done, 1 skipped: moved."
    assert "0 B freed: undo until <!date^" in shown["text"]
    assert "then GC (10.0 MB)." in shown["text"]
    assert "• `team/api:c` skipped: moved: pushed" in read(shown)
    assert "team/api:a" not in read(shown)
    nothing = _told("finished", state=State.DONE, items=())
    assert nothing["text"] == "R42 is done: nothing left to do."


def test_five_hundred_failures_are_counted() -> None:
    digests = [planned(1, tuple(f"pr-{n}" for n in range(500)))]
    items = items_of(digests, ItemState.FAILED, "the registry answered 500")
    shown = _told("finished", state=State.PARTLY_DONE, digests=digests, items=items)
    assert "R42 is partly done: 500 failed." in read(shown)
    inside = read(shown).count("• `team/api:pr-")
    assert 20 < inside < 500
    assert f"… and {500 - inside} more lines" in read(shown)


def test_a_window_ends() -> None:
    shown = _told(
        "window ended",
        state=State.HELD,
        windows=(
            window(1, WindowState.PURGED),
            window(2, WindowState.HELD, "the tag team/api:v9"),
            window(3),
        ),
    )
    assert shown["text"] == (
        "The undo window has ended: 1 digest purged. The next GC frees up to 5.0 MB.\n"
        "`team/api@sha256:000000000000` is held: the tag team/api:v9."
    )
    assert _told("window ended")["text"] == "The undo window has ended."


def test_a_hundred_held_digests_are_counted() -> None:
    windows = tuple(window(n, WindowState.HELD, LONG) for n in range(100))
    shown = _told("window ended", state=State.HELD, windows=windows)
    inside = read(shown).count(" is held: ")
    assert inside > 5
    assert f"… and {100 - inside} more lines" in read(shown)


def test_the_rest() -> None:
    assert _told("undone", data={"by": "R43"})["text"] == "Put back by R43."
    assert _told("taken over", "gc")["text"] == (
        "The bot was interrupted at “Dry run” and has taken R42 up again. "
        "The registry is being made writable again."
    )


def test_a_registry_that_cannot_be_restored_calls_for_help_with_the_command() -> None:
    shown = _told("restore failed", "gc", data={**DATA, "why": "It does not start."})
    for text in (read(shown), shown["text"]):
        for user in (ANN, BOB, CAT):
            assert f"<@{user}>" in text
        assert "It does not start." in text
        assert "systemctl start registry" in text
    assert "```\nsystemctl start registry\n```" in read(shown)
    assert "make sure that no collection runs" in read(shown)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_stay_texts(text: str) -> None:
    digests = [everything(1, (text, "v1"), repository=text)] * 3
    data = {**DATA, "reason": text, "why": text, "sentence": text, "command": text, "step": text}
    for action in ACTIONS:
        request = made(
            action,
            State.PARTLY_DONE,
            digests=digests,
            items=items_of(digests, ItemState.FAILED, text),
            registry=text,
            reason=text,
            rule=text,
            result={"why": text},
            windows=(window(2, WindowState.HELD, text),) * 3,
            decisions=(decision(BOB, approves=False, reason=text),),
        )
        if action == "gc":
            request = dataclasses.replace(request, plan=collection_plan(note=text))
        check(details(request))
        for name in NOTICES:
            shown = notice(request, name, data)
            if shown is not None:
                check(shown)


def test_names_stay_inside_code() -> None:
    hostile = "`*PWNED*`\n:white_check_mark: PWNED"
    digests = [everything(1, (hostile,), repository=hostile)]
    items = items_of(digests, ItemState.FAILED, "it answered 500")
    request = made("delete", State.PARTLY_DONE, digests=digests, items=items)
    for shown in (details(request), notice(request, "plan", {}), notice(request, "finished", {})):
        assert shown is not None
        for text in (read(shown), shown["text"]):
            assert "PWNED" not in outside_code(text)
        assert "PWNED" in read(shown)


def test_people_that_slack_does_not_know_are_no_mentions() -> None:
    shown = said("<@local:ann> asked, <@bot> answered <@U0BOB>.")
    assert shown["text"] == "`local:ann` asked, `bot` answered <@U0BOB>."
    assert shown["blocks"][0]["text"]["text"] == shown["text"]
    told = refusal("R42 is <@local:ann>'s request.", "Ask <@local:ann> or <@U0BOB>.", people=True)
    assert told["text"] == (
        ":no_entry_sign: R42 is `local:ann`'s request. Ask `local:ann` or <@U0BOB>."
    ).removeprefix(":no_entry_sign: ")
    assert "Ask `local:ann` or <@U0BOB>." in read(told)
