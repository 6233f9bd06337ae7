"""The one message of a request, in every state of every action."""

import dataclasses
from pathlib import Path

import pytest

from bot.rules.approval import Draft, ItemState, Request, State, WindowState, may_move
from bot.rules.plan import Attached, Below, DeletionPlan, Note, Parent
from bot.slack.views.blocks import when
from bot.slack.views.request import request, stands, summary
from bot.store.store import Store
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
    buttons,
    check,
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

REQUIRED = ["Approve", "Deny", "Details", "Cancel"]
CONFIRM = ["Confirm", "Cancel"]
DECIDING = {"Approve", "Deny", "Confirm", "Cancel"}


# -- states and buttons


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("state", STATES)
def test_every_state_of_every_action_can_be_shown(action: str, state: State) -> None:
    for approval in ("required", "confirm"):
        for more in (
            {},
            {"result": {"why": "the tag moved"}, "decisions": (decision(BOB), decision(CAT))},
            {"windows": (window(1), window(2, WindowState.HELD, "the tag a:b"))},
        ):
            shown = request(made(action, state, approval=approval, **more))
            check(shown)
            assert "*R42* · :" in read(shown)
            assert str(state) in read(shown).split("\n")[0]
            assert str(state) in shown["text"]
            assert f"<@{ANN}>" in read(shown)
            assert "it leaks" in read(shown)
            assert "it leaks" in shown["text"]
            if state is not State.PENDING:
                assert not DECIDING & set(buttons(shown))
            for said in (read(shown), shown["text"]):
                for wrong in ("..", " .", "  ", ": :", " ,", "None"):
                    assert wrong not in said.replace(":x: failed", ""), said


@pytest.mark.parametrize("action", ACTIONS)
def test_what_can_be_decided_shows_exactly_its_buttons(action: str) -> None:
    assert buttons(request(made(action, approval="required"))) == REQUIRED
    assert buttons(request(made(action, approval="confirm"))) == CONFIRM


def test_buttons_carry_the_token_and_nothing_else() -> None:
    shown = request(made("delete"))
    (row,) = [block for block in shown["blocks"] if block["type"] == "actions"]
    assert [e["action_id"] for e in row["elements"]] == ["approve", "deny", "details", "cancel"]
    assert {e["value"] for e in row["elements"]} == {"a-token-that-nobody-guesses-0123456789"}
    styles = [e.get("style") for e in row["elements"]]
    assert styles == ["primary", "danger", None, None]


def test_a_token_is_shown_nowhere() -> None:
    shown = request(made("delete"))
    assert "token" not in read(shown) + shown["text"]


def test_a_running_collection_can_be_aborted_once() -> None:
    shown = request(made("gc", State.RUNNING))
    assert buttons(shown) == ["Abort"]
    (row,) = [block for block in shown["blocks"] if block["type"] == "actions"]
    assert "made writable again" in row["elements"][0]["confirm"]["text"]["text"]
    aborted = request(made("gc", State.RUNNING, abort_by=BOB))
    assert buttons(aborted) == []
    assert f"<@{BOB}> asked to abort it" in read(aborted)
    for action in ("delete", "purge", "undo", "purge request"):
        assert buttons(request(made(action, State.RUNNING))) == []


@pytest.mark.parametrize("state", [State.DONE, State.PARTLY_DONE])
def test_a_deletion_can_be_undone_while_its_window_is_open(state: State) -> None:
    shown = request(made("delete", state, windows=(window(1),), undo_until=NOW + 86400))
    assert buttons(shown) == ["Undo", "Purge now", "Details"]
    assert "0 B freed: undo until <!date^" in read(shown)
    assert "0 B freed: undo until <!date^" in shown["text"]
    for ended in (WindowState.PURGED, WindowState.HELD, WindowState.UNDONE):
        assert "Undo" not in buttons(request(made("delete", state, windows=(window(1, ended),))))
    assert "Undo" in buttons(
        request(made("delete", state, windows=(window(1, WindowState.HELD), window(2))))
    )


def test_an_open_window_is_no_invitation_while_the_deletion_runs() -> None:
    shown = request(made("delete", State.RUNNING, windows=(window(1),)))
    assert buttons(shown) == []


@pytest.mark.parametrize("action", ["delete", "purge"])
def test_what_is_outdated_can_be_asked_for_again(action: str) -> None:
    shown = request(made(action, State.OUTDATED, result={"why": "the tag team/api:v1 moved"}))
    assert buttons(shown) == ["Request again", "Details"]
    told = "outdated: the tag team/api:v1 moved. Nothing was deleted."
    assert told in read(shown)
    assert told in shown["text"]


# -- what it says


def test_a_deletion_says_who_what_why_and_who_decides() -> None:
    shown = request(made("delete", digests=[everything(1, ("v1", "v2"))], approvals_needed=2))
    check(shown)
    told = read(shown)
    assert f"<@{ANN}> asks to *delete* 2 tags on corp" in told
    assert "*Why* it leaks" in told
    assert "multi-arch image `team/api@sha256:000000000000` · 12.3 MB" in told
    assert "linux/amd64, linux/arm64/v8" in told
    assert "• goes: `team/api:v1`, `team/api:v2`" in told
    assert "• stays, on the same image: `stable`, `latest`" in told
    assert "• is part of `team/api:multi`" in told
    assert "• its signature tags stay: `sha256-" in told
    assert "*Frees* about 1.0 MB in the end, an estimate within 1 repository" in told
    assert f"Needs 2 approvals of <@{BOB}>, <@{CAT}>, not the requester." in told
    assert "Rule `default`. Expires <!date^" in told
    assert shown["text"] == (
        f"<@{BOB}> <@{CAT}> R42 is pending. <@{ANN}> asked to delete `team/api:v1`, "
        "`team/api:v2`. Why: it leaks. Frees about 1.0 MB in the end, an estimate within 1 "
        f"repository. Needs 2 approvals of <@{BOB}>, <@{CAT}>, not the requester. Rule "
        f"`default`. Expires {when(NOW + 3600)}."
    )


def test_one_is_one() -> None:
    shown = request(made("delete", digests=[planned(1)]))
    assert "*delete* 1 tag on corp" in read(shown)
    assert "Needs 1 approval of" in read(shown)
    purge = request(made("purge", digests=[planned(1)]))
    assert "*purge* 1 digest with 1 tag on corp, *without an undo window*" in read(purge)


def test_a_purge_says_that_there_is_no_way_back() -> None:
    shown = request(made("purge", digests=[everything(1), planned(2, ())]))
    check(shown)
    assert "*purge* 2 digests with 1 tag on corp, *without an undo window*" in read(shown)
    assert "• takes 2 images inside it along" in read(shown)
    assert "`team/api@sha256:000000000000` without an undo window." in shown["text"]
    purged = request(made("purge", State.PURGED))
    for said in (read(purged), purged["text"]):
        assert "0 B freed yet: the next GC frees the bytes." in said


def test_an_undo_lists_what_it_puts_back() -> None:
    shown = request(made("undo", approval="confirm", reason=""))
    check(shown)
    assert f"<@{ANN}> asks to put back what was deleted by *R7* on corp" in read(shown)
    assert "• `team/api:v1` on `sha256:000000000000`" in read(shown)
    assert f"<@{ANN}> alone confirms this." in read(shown)
    assert shown["text"] == (
        f"R42 is pending. <@{ANN}> asked to put back what was deleted by R7: `team/api:v1`, "
        f"`team/api:v2`. <@{ANN}> alone confirms this. Rule `default`. Expires {when(NOW + 3600)}."
    )


def test_the_end_of_a_window_says_what_is_lost() -> None:
    shown = request(made("purge request"))
    check(shown)
    assert f"<@{ANN}> asks to end the undo window of *R7* on corp" in read(shown)
    assert "2 digests, 5.0 MB: afterwards undo works only until the next GC." in read(shown)
    assert f"<@{ANN}> asked to end the undo window of R7. Why: it leaks." in shown["text"]


def test_a_collection_names_its_registry() -> None:
    shown = request(made("gc"))
    assert f"<@{ANN}> asks to collect garbage on *corp*" in read(shown)
    assert f"<@{ANN}> asked to collect garbage on corp." in shown["text"]


def test_without_a_reason_there_is_no_why() -> None:
    shown = request(made("delete", reason=""))
    assert "Why" not in read(shown) + shown["text"]


def test_approvals_so_far_and_at_last() -> None:
    so_far = request(made("delete", approvals_needed=2, decisions=(decision(BOB),)))
    assert f"So far: <@{BOB}>." in read(so_far)
    decided = made("delete", State.RUNNING, decisions=(decision(BOB), decision(CAT)))
    assert f"Approved by <@{BOB}>, <@{CAT}>" in read(request(decided))
    confirmed = made("undo", State.DONE, approval="confirm", decisions=(decision(ANN),))
    assert f"Confirmed by <@{ANN}>" in read(request(confirmed))
    assert f"R42 is done. Confirmed by <@{ANN}>. <@{ANN}> asked" in request(confirmed)["text"]


def test_a_denial_says_by_whom_and_why() -> None:
    denied = made(
        "delete", State.DENIED, decisions=(decision(CAT, approves=False, reason="we need it"),)
    )
    assert f"Denied by <@{CAT}>: we need it" in read(request(denied))
    assert (
        f"R42 is denied. Denied by <@{CAT}>: we need it. <@{ANN}> asked"
        in (request(denied)["text"])
    )
    assert "Approved" not in read(request(denied))


def test_a_rule_that_lets_the_requester_approve_does_not_say_otherwise() -> None:
    shown = request(made("delete", allow_self_approval=True, approvers=(ANN, BOB)))
    assert "not the requester" not in read(shown)


def test_a_request_that_nobody_can_approve_says_so() -> None:
    shown = request(made("delete", approvers=()))
    check(shown)
    assert "of nobody: the rule names no approver" in read(shown)


def test_only_those_who_must_decide_are_called() -> None:
    assert request(made("delete"))["text"].startswith(f"<@{BOB}> <@{CAT}> ")
    assert f"<@{BOB}>" not in request(made("delete", State.APPROVED))["text"]
    assert f"<@{BOB}>" not in request(made("delete", approval="confirm"))["text"]


@pytest.mark.parametrize("state", [State.FAILED, State.EXPIRED, State.PARTLY_DONE, State.ABORTED])
def test_why_it_ended_is_told_once_and_with_one_full_stop(state: State) -> None:
    for why in ("the registry does not answer", "The registry does not answer."):
        shown = request(made("gc", state, result={"why": why}))
        for said in (read(shown), shown["text"]):
            assert said.count("registry does not answer") == 1
            assert ".." not in said


def test_expired_and_aborted() -> None:
    expired = request(made("delete", State.EXPIRED))
    assert "nobody decided in time. Nothing was changed." in read(expired)
    assert "R42 has expired: nobody decided in time. Nothing was changed." in expired["text"]
    assert "R42 has failed" in request(made("delete", State.FAILED))["text"]
    aborted = request(
        made("gc", State.ABORTED, abort_by=BOB, result={"why": f"aborted by <@{BOB}>"})
    )
    check(aborted)
    assert f":octagonal_sign: aborted by <@{BOB}>" in read(aborted)
    assert f"R42 is aborted by <@{BOB}>." in aborted["text"]


def test_what_waits_and_what_touches_others_is_noted() -> None:
    waiting = made("delete", State.RUNNING, progress={"waiting": "the registry does not answer"})
    for said in (read(request(waiting)), request(waiting)["text"]):
        assert "Waiting: the registry does not answer." in said
    done = dataclasses.replace(waiting, state=State.DONE)
    assert "Waiting" not in read(request(done))
    plan = {**made("delete").plan, "touches": list(range(1, 100))}
    touching = made("delete", plan=plan)
    check(request(touching))
    assert "Touches the same images as R1, R2" in read(request(touching))
    assert "more." in read(request(touching))
    denied = dataclasses.replace(touching, state=State.DENIED)
    assert "Touches" not in read(request(denied))


def test_what_was_not_done_frees_nothing() -> None:
    for state in STATES:
        shown = request(made("delete", state))
        assert ("*Frees* about" in read(shown)) is state.is_open
        assert ("• goes:" in read(shown)) is state.is_open


def test_warnings_are_shown_until_it_is_over() -> None:
    warning = "Listeners see a push. `/registry purge` needs none."
    for state in STATES:
        shown = request(made("delete", state, warnings=[warning]))
        assert (warning in read(shown)) is state.is_open


def test_each_item_says_what_became_of_it() -> None:
    digests = [planned(1, ("a", "b", "c", "d", "e"))]
    states = [
        ItemState.DONE,
        ItemState.MOVED,
        ItemState.FAILED,
        ItemState.ATTEMPTING,
        ItemState.WAITING,
    ]
    items = [
        dataclasses.replace(item, state=state, detail="" if n % 2 == 0 else "it moved")
        for n, (item, state) in enumerate(zip(items_of(digests), states, strict=True))
    ]
    shown = request(made("delete", State.PARTLY_DONE, digests=digests, items=tuple(items)))
    check(shown)
    assert (
        "• asked for: `team/api:a` :white_check_mark: done, "
        "`team/api:b` :warning: skipped: moved (it moved), `team/api:c` :x: failed, "
        "`team/api:d` …"
    ) in read(shown)
    restored = items_of(digests, ItemState.RESTORED)
    undone = request(made("undo", State.DONE, digests=digests, items=restored))
    assert "`team/api:a` on `sha256:000000000000` :white_check_mark: restored" in read(undone)
    whole = items_of([planned(1, ())], ItemState.DONE)
    purged = request(made("purge", State.PURGED, digests=[planned(1, ())], items=whole))
    assert "12.3 MB :white_check_mark: done" in read(purged)


def test_what_is_held_names_its_holder() -> None:
    shown = request(
        made(
            "delete",
            State.HELD,
            windows=(
                window(1, WindowState.HELD, "the tag team/api:v9"),
                window(2, WindowState.HELD, "The registry refuses deletion."),
                window(3, WindowState.PURGED),
            ),
        )
    )
    check(shown)
    for said in (read(shown), shown["text"]):
        assert "`team/api@sha256:000000000000` is held: the tag team/api:v9." in said
        assert "is held: The registry refuses deletion. " in said.replace("\n", " ")
        assert "1 digest purged; the next GC frees the bytes." in said


def test_more_than_five_holders_are_counted() -> None:
    windows = tuple(window(n, WindowState.HELD, "the tag a:b") for n in range(9))
    assert "4 more digests held." in read(request(made("delete", State.HELD, windows=windows)))


# -- much of everything


def test_five_hundred_tags_of_one_image() -> None:
    tags = [f"pr-{n}" for n in range(500)]
    shown = request(made("delete", digests=[planned(1, tags)]))
    check(shown)
    assert "*delete* 500 tags" in read(shown)
    inside = [tag for tag in tags if f"`team/api:{tag}`" in read(shown)]
    assert inside == tags[: len(inside)]
    assert len(inside) > 20
    assert f"and {500 - len(inside)} more" in read(shown)
    told = [tag for tag in tags if f"`team/api:{tag}`" in shown["text"]]
    assert f"and {500 - len(told)} more" in shown["text"]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("action", ["delete", "purge"])
def test_a_hundred_digests_with_everything_as_long_as_it_can_be(action: str, state: State) -> None:
    names = tuple(f"{n:03}{LONG_TAG}"[:128] for n in range(5))
    digests = [
        everything(
            n,
            names,
            repository=LONG_REPOSITORY,
            kept_tags=names,
            parents=tuple(Parent(digest(m), names) for m in range(5)),
            signatures=names,
            platforms=("linux/amd64",) * 20,
        )
        for n in range(100)
    ]
    detail = "the registry answered 500 " * 100
    shown = request(
        made(
            action,
            state,
            digests=digests,
            items=items_of(digests, ItemState.FAILED, detail),
            windows=tuple(window(n, WindowState.HELD, LONG) for n in range(100)),
            reason=LONG,
            result={"why": LONG},
            progress={"waiting": LONG},
            warnings=[LONG] * 12,
            approvers=tuple(f"U0{n:03}" for n in range(100)),
            decisions=tuple(decision(f"U0{n:03}", reason=LONG) for n in range(100)),
        )
    )
    check(shown)
    assert "more digest" in read(shown)
    assert "`/registry show R42`" in read(shown)
    assert "and 80 more" in read(shown)
    if state is State.PENDING:
        assert buttons(shown) == REQUIRED, "the buttons are never cut off"
    for line in ("stays, on the same image", "is part of"):
        assert line in read(shown), "a long line does not push out the next"


@pytest.mark.parametrize(("count", "told"), [(12, 12), (15, 5)])
def test_twelve_short_digests_are_all_shown_and_more_are_summed_up(count: int, told: int) -> None:
    digests = [planned(n, (f"v{n}",)) for n in range(count)]
    shown = request(made("delete", digests=digests))
    check(shown)
    assert [n for n in range(count) if f"`team/api:v{n}`" in read(shown)] == list(range(told))
    rest = f"… and {count - told} more digests. All of them: `/registry show R42`, and the CSV file"
    assert (rest in read(shown)) is (count > told)
    short = f"*In short* {count} tags on {count} digests in 1 repository"
    assert (short in read(shown)) is (count > told)
    assert all(f"`team/api:v{n}`" in shown["text"] for n in range(count))


def test_an_undo_of_five_hundred_tags() -> None:
    digests = [planned(n, (f"v{n}",)) for n in range(500)]
    shown = request(made("undo", digests=digests))
    check(shown)
    inside = [n for n in range(500) if f"`team/api:v{n}` on" in read(shown)]
    assert len(inside) > 50
    assert f"… and {500 - len(inside)} more tags" in read(shown)


# -- hostile texts


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_stay_texts(text: str) -> None:
    digests = [
        everything(
            1,
            (text, "v1"),
            repository=text,
            kept_tags=(text,),
            parents=(Parent(digest(2), (text,)),),
            signatures=(text,),
            platforms=(text,) * 8,
            everywhere=5,
            signs=text,
            below=(Below(text, text, text, 1, "stays", text),) * 6,
            attached=(Attached(text, text, text, text, False, True),) * 2,
            notes=(Note("date", text), Note("signs", f"the signature of `{text}`")),
        )
    ] * 3
    for action in ACTIONS:
        for state in STATES:
            check(
                request(
                    made(
                        action,
                        state,
                        digests=digests,
                        items=items_of(digests, ItemState.FAILED, text),
                        registry=text,
                        reason=text,
                        rule=text,
                        warnings=[text] * 3,
                        result={"why": text},
                        progress={"waiting": text},
                        decisions=(decision(BOB, approves=False, reason=text),),
                        windows=(dataclasses.replace(window(1), repository=text),)
                        + (window(2, WindowState.HELD, text),) * 2,
                    )
                )
            )


@pytest.mark.parametrize("action", ["delete", "purge", "undo"])
def test_names_stay_inside_code(action: str) -> None:
    hostile = "`*PWNED*`\n:white_check_mark: PWNED"
    digests = [everything(1, (hostile,), repository=hostile, kept_tags=(hostile,))]
    shown = request(made(action, digests=digests, rule=hostile))
    for said in (read(shown), shown["text"]):
        assert "PWNED" in said
        assert "PWNED" not in outside_code(said)


def test_a_reason_cannot_pass_for_lines_of_ours() -> None:
    forged = "old\n\n:white_check_mark: approved by <@U0BOB>\n*Frees* about 0 B"
    shown = request(made("delete", reason=forged))
    lines = read(shown).split("\n")
    assert [line for line in lines if "0 B" in line] == [
        "*Why* old `:white_check_mark:` approved by &lt;@U0BOB&gt; `*Frees*` about 0 B"
    ]


# -- as the store gives it


@pytest.mark.anyio
async def test_a_request_from_the_store_is_shown_like_any_other(tmp_path: Path) -> None:
    sample = made("delete", digests=[everything(1, ("v1", "v2"))])
    pinned, kept = ({f.name for f in dataclasses.fields(kind)} for kind in (Draft, Request))
    draft = Draft(expires_after=3600.0, **{name: getattr(sample, name) for name in pinned & kept})
    store = await Store.open(f"sqlite:///{tmp_path}/bot.db")
    try:
        async with store.transaction() as tx:
            stored = await tx.requests.create(draft)
            await tx.requests.decide(stored.id, decision(BOB))
            path = [State.APPROVED, State.RUNNING, State.PARTLY_DONE]
            for before, after in zip([State.PENDING, *path], path, strict=False):
                assert may_move(before, after)
                await tx.requests.move(stored.id, [before], after)
            await tx.requests.set_item(stored.id, 0, ItemState.DONE)
            await tx.requests.set_item(stored.id, 1, ItemState.MOVED, detail="somebody pushed")
            await tx.windows.open(
                stored.id, "corp", "team/api", digest(1), until=NOW + 86400, size=5
            )
            await tx.requests.change(stored.id, undo_until=NOW + 86400)
            stored = await tx.requests.get(stored.id)
    finally:
        await store.close()
    shown = request(stored)
    check(shown)
    assert "`team/api:v1` :white_check_mark: done" in read(shown)
    assert "`team/api:v2` :warning: skipped: moved (somebody pushed)" in read(shown)
    assert f"Approved by <@{BOB}>" in read(shown)
    assert buttons(shown) == ["Undo", "Purge now", "Details"]
    assert DeletionPlan.from_json(stored.plan) == DeletionPlan.from_json(sample.plan)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State.PENDING, "R42 is pending"),
        (State.DONE, "R42 is done"),
        (State.PARTLY_DONE, "R42 is partly done"),
        (State.FAILED, "R42 has failed"),
        (State.EXPIRED, "R42 has expired"),
    ],
)
def test_the_state_as_the_beginning_of_a_sentence(state: State, words: str) -> None:
    shown: Request = made("delete", state)
    assert stands(shown) == words
    assert summary(shown).startswith(words)
