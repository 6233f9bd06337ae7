"""Who must agree, who has and what is missing: step by step, in the blocks and in the text."""

import pytest

from bot.rules.approval import PinnedStep, State
from bot.slack.views.notices import notice
from bot.slack.views.request import request
from tests.support.shown import (
    ACTIONS,
    ANN,
    BOB,
    CAT,
    HOSTILE,
    STATES,
    buttons,
    check,
    decision,
    made,
    read,
)

DAN = "U0DAN"
ONCALL = PinnedStep(("oncall",), 1, (BOB, CAT))
LEADS = PinnedStep(("leads", "owners"), 2, (CAT, DAN))
GIVEN = PinnedStep(("oncall",), 1, (BOB, CAT), (BOB,))


def test_each_step_says_who_could_fill_it() -> None:
    shown = request(made("delete", approvals_needed=3, steps=(ONCALL, LEADS)))
    check(shown)
    told = read(shown)
    assert "Needs 3 approvals, each of another person, not the requester, in any order:" in told
    assert f"• :hourglass: oncall: 1 of <@{BOB}>, <@{CAT}>\n" in told
    assert (
        f"• :hourglass: leads or owners: 2 of <@{CAT}>, <@{DAN}>\nRule `default`. Expires" in told
    )
    assert f"leads or owners: 2 of <@{CAT}>, <@{DAN}>" in shown["text"]
    assert shown["text"].startswith(f"<@{BOB}> <@{CAT}> <@{DAN}> R42 is pending.")


def test_a_filled_step_says_who_filled_it() -> None:
    steps = (GIVEN, PinnedStep(("leads",), 2, (CAT, DAN), (CAT,)))
    voted = (decision(BOB), decision(CAT))
    shown = request(made("delete", approvals_needed=3, steps=steps, decisions=voted))
    check(shown)
    for told in (read(shown), shown["text"]):
        assert f":white_check_mark: oncall: approved by <@{BOB}>" in told
        assert f":hourglass: leads: 1 of <@{DAN}>; so far <@{CAT}>" in told
    assert shown["text"].startswith(f"<@{DAN}> R42"), "only who is still needed is called"


def test_one_step_is_a_sentence() -> None:
    voted = PinnedStep(("leads",), 2, (BOB, CAT), (BOB,))
    shown = request(made("delete", approvals_needed=2, steps=(voted,), decisions=(decision(BOB),)))
    assert (
        f"Needs 2 approvals of <@{BOB}>, <@{CAT}>, not the requester. So far: <@{BOB}>. Rule"
    ) in read(shown)


def test_an_approval_that_counts_no_more_is_told() -> None:
    lost = made("delete", steps=(ONCALL,), decisions=(decision(BOB),))
    assert "(1 approval given before no longer counts)" in read(request(lost))


def test_a_group_of_which_slack_is_silent_is_named() -> None:
    silent = PinnedStep(("oncall",), 1, (), (), ("oncall",))
    told = read(request(made("delete", steps=(silent,), approvers=())))
    assert "of the group oncall (Slack does not tell who is in it now)" in told
    partly = PinnedStep(("oncall",), 1, (BOB,), (), ("oncall",))
    assert f"of <@{BOB}> and the group oncall (Slack" in read(
        request(made("delete", steps=(partly, ONCALL)))
    )


def test_a_step_that_nobody_could_fill_says_so() -> None:
    told = read(request(made("delete", steps=(PinnedStep(("empty",), 1, ()),))))
    assert "nobody: there is nobody in its groups who could" in told


def test_who_approved_for_what_is_told_in_the_end() -> None:
    steps = (GIVEN, PinnedStep(("leads",), 1, (CAT, DAN), (DAN,)))
    voted = (decision(BOB), decision(DAN))
    shown = request(made("delete", State.APPROVED, steps=steps, decisions=voted))
    assert f"Approved by <@{BOB}> (oncall), <@{DAN}> (leads)" in read(shown)


def test_what_a_schedule_asked_for_has_nobody_to_cancel_it() -> None:
    shown = request(made("gc", requester="bot"))
    assert buttons(shown) == ["Approve", "Deny", "Details"]
    assert "`bot` asks to collect garbage" in read(shown)
    assert "<@bot>" not in read(shown) + shown["text"]


def emergency(action: str = "gc", state: State = State.PENDING, **changes: object) -> object:
    """A request that its requester decides alone."""
    base = made(action, state)
    plan = {**base.plan, "notify": [BOB, "S0LEADS"]}
    return made(
        action, state, emergency=True, approval="confirm", rule="[emergency]", plan=plan, **changes
    )


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("action", ["gc", "delete", "purge request"])
def test_an_emergency_is_loud_in_every_state(action: str, state: State) -> None:
    shown = request(emergency(action, state))  # type: ignore[arg-type]
    check(shown)
    head = read(shown).split("\n")[0]
    assert head == (
        f":rotating_light: *EMERGENCY* · decided by <@{ANN}> alone. <@{BOB}> <!subteam^S0LEADS>: "
        "look at it."
    )
    assert shown["text"].startswith(f"<@{BOB}> <!subteam^S0LEADS> EMERGENCY. R42")


def test_an_emergency_is_confirmed_by_its_requester() -> None:
    shown = request(emergency())  # type: ignore[arg-type]
    assert buttons(shown) == ["Confirm", "Cancel"]
    told = f"<@{ANN}> alone decides this: nobody else is asked. Rule `[emergency]`."
    assert told in read(shown)
    assert told in shown["text"]


@pytest.mark.parametrize(
    ("name", "data", "hears"),
    [
        ("emergency", {}, "as an emergency and decides alone. Why: it leaks"),
        ("finished", {}, "this was an emergency."),
        ("failed", {"why": "no"}, "this was an emergency."),
        ("expired", {}, "this was an emergency."),
        ("outdated", {"why": "no", "people": []}, "this was an emergency."),
        ("cancelled", {"by": ANN}, "this was an emergency."),
    ],
)
def test_those_who_hear_of_an_emergency_hear_of_its_end(
    name: str, data: dict[str, object], hears: str
) -> None:
    shown = notice(emergency("delete", State.DONE), name, data)  # type: ignore[arg-type]
    assert shown is not None
    check(shown)
    for told in (read(shown), shown["text"]):
        assert f"<@{BOB}> <!subteam^S0LEADS>" in told
        assert hears in told


def test_a_reminder_calls_who_can_still_help() -> None:
    data = {"people": [BOB, "S0ONCALL"], "called": [], "missing": "1 of oncall"}
    shown = notice(made("delete"), "reminder", data)
    assert shown is not None
    check(shown)
    told = f":bell: <@{BOB}> <!subteam^S0ONCALL>: R42 still waits for 1 of oncall.\nIt expires"
    assert told in shown["text"]
    called = notice(made("delete"), "reminder", {**data, "called": [CAT]})
    assert called is not None
    assert f"<@{CAT}>: nobody has decided so far. You may know who can." in called["text"]
    own = notice(made("undo", approval="confirm"), "reminder", {**data, "people": [ANN]})
    assert own is not None
    assert f"<@{ANN}>: R42 still waits for you to confirm it." in own["text"]
    nobody = notice(made("delete"), "reminder", {**data, "people": []})
    assert nobody is not None
    assert "Nobody who could approve is known now: R42" in nobody["text"]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("action", ACTIONS)
def test_hostile_names_of_groups_stay_texts(action: str, text: str) -> None:
    steps = (PinnedStep((text,), 1, (BOB,), (), (text,)), PinnedStep((text, text), 2, (), (CAT,)))
    for state in (State.PENDING, State.DONE):
        check(request(made(action, state, steps=steps, rule=text)))
