"""Steps of approval: whose word counts, what is missing, and that nobody counts twice."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.rules.policy import ANYONE, BOT, Action, Actor, Approval, Group, Policy, Rule, Step
from bot.rules.quorum import assign

ANN, BOB, CAT, DAN, ZOE = "UANN", "UBOB", "UCAT", "UDAN", "UZOE"
GROUPS = {
    "oncall": Group("oncall", frozenset({ANN, BOB})),
    "leads": Group("leads", frozenset({BOB, CAT})),
    "owners": Group("owners", frozenset({CAT, DAN})),
    "host": Group("host", frozenset({"local:bob", "local:root"})),
    "slack": Group("slack", frozenset({DAN}), "S1"),
}
POLICY = Policy(GROUPS, local_accounts={"bob": BOB, "ann": ANN, "anna": ANN})


def rule(*steps: Step, **changes: object) -> Rule:
    """A rule with these steps."""
    made = Rule("careful", frozenset({Action.DELETE}), requesters=(ANYONE,), steps=steps)
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def one(*groups: str, of: int = 1) -> Step:
    """A step that so many of these groups must agree in."""
    return Step(groups, of)


def told(members: Mapping[str, frozenset[str]]) -> Policy:
    """The policy, with what Slack says by now."""
    return dataclasses.replace(POLICY, members=members)


ONCALL_AND_LEADS = rule(one("oncall"), one("leads"))
SELF = rule(one("oncall"), one("leads"), allow_self_approval=True)
CONFIRM = rule(approval=Approval.CONFIRM)
SLACK = rule(one("slack"), one("leads"))
BOB_IS_IN, EMPTY = {"S1": frozenset({BOB})}, {"S1": frozenset[str]()}

# What the rule is, who asked, who approved, and how many approvals are missing then.
CASES = [
    pytest.param(ONCALL_AND_LEADS, ZOE, [], 2, id="nobody"),
    pytest.param(ONCALL_AND_LEADS, ZOE, [ANN], 1, id="one of two"),
    pytest.param(ONCALL_AND_LEADS, ZOE, [ANN, CAT], 0, id="one of each"),
    pytest.param(ONCALL_AND_LEADS, ZOE, [CAT, ANN], 0, id="in any order"),
    pytest.param(ONCALL_AND_LEADS, ZOE, [BOB], 1, id="who is in both counts once"),
    pytest.param(ONCALL_AND_LEADS, ZOE, [BOB, BOB], 1, id="and not twice by clicking twice"),
    pytest.param(ONCALL_AND_LEADS, ZOE, [BOB, ANN], 0, id="who is in both takes the other step"),
    pytest.param(ONCALL_AND_LEADS, ZOE, [BOB, CAT], 0, id="whichever that is"),
    pytest.param(ONCALL_AND_LEADS, ZOE, [ANN, ANN], 1, id="one person twice"),
    pytest.param(ONCALL_AND_LEADS, ZOE, [DAN], 2, id="somebody else"),
    pytest.param(ONCALL_AND_LEADS, ZOE, [DAN, ANN, CAT], 0, id="somebody else spoils nothing"),
    pytest.param(ONCALL_AND_LEADS, ANN, [ANN, CAT], 1, id="the requester does not count"),
    pytest.param(ONCALL_AND_LEADS, ANN, [BOB, CAT], 0, id="two others do"),
    pytest.param(SELF, ANN, [ANN, CAT], 0, id="the requester counts where allowed"),
    pytest.param(SELF, ZOE, [ZOE, CAT], 1, id="but only in a group"),
    pytest.param(rule(one("leads", of=2)), ZOE, [BOB], 1, id="one of two of a group"),
    pytest.param(rule(one("leads", of=2)), ZOE, [BOB, CAT], 0, id="two of two"),
    pytest.param(rule(one("leads", of=2)), ZOE, [BOB, "local:bob"], 1, id="two ids of one person"),
    pytest.param(
        rule(one("leads"), one("oncall")), ZOE, [BOB, "local:bob"], 1, id="two ids in two steps"
    ),
    pytest.param(rule(one("host")), ZOE, [BOB], 0, id="in a group by the other id"),
    pytest.param(rule(one("host")), ZOE, ["local:root"], 0, id="an account of nobody in Slack"),
    pytest.param(rule(one("host")), ZOE, ["local:ann"], 1, id="an account in no group"),
    pytest.param(rule(one("oncall")), ZOE, ["local:ann"], 0, id="an account of somebody in it"),
    pytest.param(rule(one("oncall")), "local:ann", [ANN], 1, id="oneself by another id"),
    pytest.param(rule(one("oncall")), ANN, ["local:anna"], 1, id="the same turned round"),
    pytest.param(
        rule(one("oncall"), one("leads"), one("owners")),
        *(ZOE, [CAT, BOB, ANN], 0),
        id="three move over for each other",
    ),
    pytest.param(
        rule(one("oncall"), one("leads"), one("owners")), ZOE, [BOB, CAT], 1, id="two of three"
    ),
    pytest.param(rule(one("oncall", "leads", of=2)), ZOE, [ANN, CAT], 0, id="groups of one step"),
    pytest.param(rule(), ZOE, [ANN, BOB, CAT], 0, id="no steps: nothing is missing"),
    pytest.param(CONFIRM, ANN, [ANN], 0, id="confirmed by the requester"),
    pytest.param(CONFIRM, ANN, ["local:ann"], 0, id="confirmed at the terminal"),
    pytest.param(CONFIRM, ANN, [BOB], 1, id="confirmed by nobody else"),
    pytest.param(CONFIRM, BOT, [], 1, id="what a schedule asked for"),
    pytest.param(SLACK, ZOE, [DAN, CAT], 0, id="a listed person of a silent group"),
]


@pytest.mark.parametrize(("decides", "requester", "approvers", "missing"), CASES)
def test_how_many_are_missing(
    decides: Rule, requester: str, approvers: Sequence[str], missing: int
) -> None:
    standing = POLICY.standing(decides, requester, approvers)
    assert standing.missing == missing
    assert standing.is_complete is (missing == 0 and bool(decides.steps or decides is CONFIRM))


def test_a_rule_without_steps_is_never_complete() -> None:
    standing = POLICY.standing(rule(), ZOE, [ANN, BOB, CAT])
    assert not standing.is_complete
    assert not standing.may_be_complete


def test_everybody_has_one_place_that_they_could_fill() -> None:
    standing = POLICY.standing(ONCALL_AND_LEADS, ZOE, [BOB, ANN])
    assert [step.approved for step in standing.steps] == [(ANN,), (BOB,)]
    assert standing.counted == (ANN, BOB)


# What Slack says, and does not say


def test_people_of_a_slack_group_count_while_they_are_in_it() -> None:
    assert told(BOB_IS_IN).standing(SLACK, ZOE, [BOB, CAT]).is_complete
    assert not told(EMPTY).standing(SLACK, ZOE, [BOB, CAT]).may_be_complete


def test_what_is_not_known_is_no_yes_and_no_no() -> None:
    standing = POLICY.standing(SLACK, ZOE, [BOB, CAT])
    assert not standing.is_complete
    assert standing.may_be_complete


def test_where_the_known_people_suffice_nobody_has_to_be_asked() -> None:
    assert POLICY.standing(SLACK, ZOE, [DAN, BOB]).is_complete


def vote(policy: Policy, decides: Rule, user: str, *before: str, requester: str = ZOE) -> str:
    """Why somebody's approval does not count; "" if it does."""
    verdict = policy.vote(decides, Actor(user, "T1"), Actor(requester, "T1"), before)
    assert verdict.allowed is not bool(verdict.sentence)
    assert verdict.rule is decides
    return verdict.sentence


@pytest.mark.parametrize(
    ("decides", "user", "before", "why_not"),
    [
        pytest.param(ONCALL_AND_LEADS, ANN, [], "", id="the first"),
        pytest.param(ONCALL_AND_LEADS, CAT, [ANN], "", id="the second"),
        pytest.param(ONCALL_AND_LEADS, ANN, [BOB], "", id="the other moves over"),
        pytest.param(ONCALL_AND_LEADS, CAT, [BOB], "", id="either way"),
        pytest.param(
            rule(one("oncall"), one("owners")),
            *(BOB, [ANN], "not needed: the step “oncall” of the rule “careful” is complete"),
            id="the step is full",
        ),
        pytest.param(
            rule(one("oncall"), one("owners")), BOB, [ANN], "Missing: 1 of owners", id="and what is"
        ),
        pytest.param(ONCALL_AND_LEADS, DAN, [], "not among", id="in no step"),
        pytest.param(ONCALL_AND_LEADS, ZOE, [], "yourself", id="the requester"),
        pytest.param(ONCALL_AND_LEADS, BOT, [], "approves and confirms nothing", id="the bot"),
        pytest.param(CONFIRM, ZOE, [], "", id="the requester confirms"),
        pytest.param(CONFIRM, ANN, [], "only the requester", id="nobody else confirms"),
    ],
)
def test_whose_approval_counts_now(
    decides: Rule, user: str, before: list[str], why_not: str
) -> None:
    said = vote(POLICY, decides, user, *before)
    assert why_not in said if why_not else said == ""


def test_a_removed_approver_makes_room() -> None:
    decides = rule(one("leads"), one("owners"))
    assert vote(POLICY, decides, BOB, CAT) == ""
    gone = dataclasses.replace(
        POLICY,
        groups={**GROUPS, "leads": Group("leads", frozenset({BOB})), "owners": GROUPS["host"]},
    )
    assert gone.standing(decides, ZOE, [CAT]).missing == 2
    assert vote(gone, decides, BOB, CAT) == ""


def test_an_unknown_group_refuses_with_its_name() -> None:
    said = vote(POLICY, SLACK, ANN)
    assert "Slack does not tell who is in the group “slack”" in said
    assert "“careful”" in said


def test_the_reason_of_the_silence_is_told() -> None:
    policy = dataclasses.replace(POLICY, silence={"S1": "plan_upgrade_required"})
    assert "(plan_upgrade_required)" in vote(policy, SLACK, ANN)


def test_a_known_step_can_be_filled_while_another_is_unknown() -> None:
    assert vote(POLICY, SLACK, CAT) == ""


def test_the_completing_approval_waits_until_the_one_before_is_known() -> None:
    # Ann approved while Slack still told that she is in the group. If Cat's word was taken now,
    # the request would stay incomplete with nobody left to complete it.
    assert "does not tell" in vote(POLICY, SLACK, CAT, ANN)
    assert vote(told({"S1": frozenset({ANN})}), SLACK, CAT, ANN) == ""
    assert vote(told(EMPTY), SLACK, CAT, ANN) == ""


def test_nobody_is_asked_about_a_person_of_no_slack_group() -> None:
    assert "not among" in vote(POLICY, rule(one("leads")), ANN)


def test_who_can_still_help() -> None:
    assert POLICY.helpers(ONCALL_AND_LEADS, ZOE, []) == (ANN, BOB, CAT)
    assert POLICY.helpers(ONCALL_AND_LEADS, ANN, []) == (BOB, CAT)
    assert POLICY.helpers(ONCALL_AND_LEADS, ZOE, [CAT]) == (ANN, BOB)
    assert POLICY.helpers(ONCALL_AND_LEADS, ZOE, [BOB]) == (ANN, CAT)
    assert POLICY.helpers(rule(one("oncall"), one("owners")), ZOE, [ANN]) == (CAT, DAN)
    assert POLICY.helpers(CONFIRM, "local:ann", []) == (ANN,)
    assert POLICY.helpers(CONFIRM, ANN, [ANN]) == ()


# In general: a maximum matching, against trying everything

STEPS = st.lists(st.integers(1, 3), min_size=1, max_size=4)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[int], dict[str, list[int]]]:
    """Places of each step, and the steps that each person may fill."""
    needed = draw(STEPS)
    steps = st.lists(st.integers(0, len(needed) - 1), unique=True)
    return needed, draw(st.dictionaries(st.sampled_from("abcdef"), steps, max_size=6))


def brute(needed: Sequence[int], able: Mapping[str, Sequence[int]]) -> int:
    """The most people who can have a place, by trying every way."""
    best = 0
    for seats in itertools.product(*([None, *steps] for steps in able.values())):
        taken = [seat for seat in seats if seat is not None]
        if all(taken.count(n) <= needed[n] for n in range(len(needed))):
            best = max(best, len(taken))
    return best


@given(tables())
def test_as_many_as_possible_have_a_place(table: tuple[list[int], dict[str, list[int]]]) -> None:
    needed, able = table
    seats = assign(needed, able)
    for person, step in seats.items():
        assert step in able[person]
    for number, count in enumerate(needed):
        assert sum(step == number for step in seats.values()) <= count
    assert len(seats) == brute(needed, able)


@given(tables(), st.permutations("abcdef"))
def test_whoever_had_a_place_keeps_one(
    table: tuple[list[int], dict[str, list[int]]], order: list[str]
) -> None:
    needed, able = table
    people = [person for person in order if person in able]
    seated: set[str] = set()
    for count in range(1, len(people) + 1):
        now = set(assign(needed, {person: able[person] for person in people[:count]}))
        assert seated <= now
        assert len(now) <= len(seated) + 1
        seated = now


PEOPLE = st.sampled_from([ANN, BOB, CAT, DAN, ZOE, "local:bob", "local:ann", "local:root", BOT])
ANY_STEPS = st.lists(
    st.builds(
        Step,
        st.lists(st.sampled_from(list(GROUPS)), min_size=1, max_size=2).map(tuple),
        st.integers(1, 2),
    ),
    max_size=3,
).map(tuple)
TOLD = st.sampled_from([{}, BOB_IS_IN, EMPTY])


@given(ANY_STEPS, PEOPLE, st.lists(PEOPLE, max_size=5), st.booleans(), TOLD)
def test_complete_means_that_different_people_fill_every_place(
    steps: tuple[Step, ...],
    requester: str,
    approvers: list[str],
    self_allowed: bool,
    members: dict[str, frozenset[str]],
) -> None:
    policy = told(members)
    decides = rule(*steps, allow_self_approval=self_allowed)
    standing = policy.standing(decides, requester, approvers)
    counted = standing.counted
    assert len(set(counted)) == len(counted)
    assert set(counted) <= {policy.person(user) for user in approvers} - {BOT}
    assert self_allowed or policy.person(requester) not in counted
    for one_step in standing.steps:
        assert one_step.missing >= 0
        for user in one_step.approved:
            assert user in policy.people.known(one_step.step.approvers)
    if standing.is_complete:
        assert len(counted) == sum(step.approvals_needed for step in steps) > 0
        assert standing.may_be_complete


@given(ANY_STEPS, PEOPLE, st.lists(PEOPLE, max_size=4), PEOPLE, TOLD)
def test_an_approval_that_counts_brings_it_further_and_one_more_never_takes_back(
    steps: tuple[Step, ...],
    requester: str,
    approvers: list[str],
    user: str,
    members: dict[str, frozenset[str]],
) -> None:
    policy, decides = told(members), rule(*steps)
    before = policy.standing(decides, requester, approvers)
    after = policy.standing(decides, requester, [*approvers, user])
    assert after.missing <= before.missing
    verdict = policy.vote(decides, Actor(user, "T1"), Actor(requester, "T1"), approvers)
    if verdict.allowed:
        assert after.missing == before.missing - 1
    if policy.person(user) in policy.helpers(decides, requester, approvers):
        assert verdict.allowed or verdict.unknown
