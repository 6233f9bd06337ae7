"""Who may do what: the first rule that matches decides, and no doubt is ever taken as a yes."""

import dataclasses
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.rules.policy import (
    ANYONE,
    BOT,
    Action,
    Actor,
    Approval,
    Channel,
    Defaults,
    Group,
    Policy,
    Protection,
    Rule,
    Step,
    Target,
    Verdict,
)

ANN = Actor("UANN", "T1")  # on call
LEA = Actor("ULEA", "T1")  # a lead
BOB = Actor("UBOB", "T1")  # both
ZOE = Actor("UZOE", "T1")  # in no group
GUEST = Actor("UANN", "T1", is_full_member=False)

GROUPS = {
    "oncall": Group("oncall", frozenset({"UANN", "UBOB"})),
    "leads": Group("leads", frozenset({"ULEA", "UBOB"})),
    "away": Group("away", frozenset()),
    "slackers": Group("slackers", frozenset(), slack_usergroup="S1"),
    "mixed": Group("mixed", frozenset({"ULEA"}), slack_usergroup="S2"),
    "host": Group("host", frozenset({"local:root", "local:bob"})),
}
HOST_ANN = Actor("local:ann", "local")
ROOT = Actor("local:root", "local")
SCHEDULE = Actor(BOT, "")


def with_slack(rules: tuple[Rule, ...]) -> Policy:
    """A policy to whom Slack has told about one of two groups, and that knows Ann's account."""
    return Policy(
        GROUPS,
        rules,
        local_accounts={"ann": "UANN", "bob": "UBOB"},
        members={"S1": frozenset({"UZOE"})},
    )


ONE_LEAD = (Step(("leads",)),)


def rule(name: str, *actions: Action, **changes: object) -> Rule:
    """A rule for these actions (delete, if none are given) that wants one lead to agree."""
    made = Rule(name, frozenset(actions or {Action.DELETE}), steps=ONE_LEAD)
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def confirm(name: str, *actions: Action, **changes: object) -> Rule:
    """A rule whose requester alone confirms."""
    return rule(name, *actions, approval=Approval.CONFIRM, steps=(), **changes)


def deny(name: str, *actions: Action, **changes: object) -> Rule:
    """A rule that refuses."""
    return rule(name, *actions, effect="deny", **changes)


def images(*names: str) -> list[Target]:
    """Targets from `repo:tag`; without a tag a manifest that has none."""
    return [
        Target("corp", repository, tag or None)
        for repository, _, tag in (name.partition(":") for name in names)
    ]


CI = confirm("ci", Action.DELETE, Action.CLEANUP, repositories=("ci/**",))
WEB = rule("web", repositories=("web/**",), steps=(Step(("oncall",)),))
REST = rule("rest", *(set(Action) - {Action.UNDO}))
PR = confirm("pr", tags=("pr-*",))
TWO = rule("two", steps=(Step(("leads",)), Step(("oncall",))))

# What the rules are, what is asked for, by whom, and the rule that allows it ("": refused).
CASES = [
    # No match is a no.
    pytest.param([], ANN, Action.DELETE, ["a:1"], "", id="no rules at all"),
    pytest.param([], ANN, Action.GC, [], "", id="no rules at all for gc"),
    pytest.param([CI], ANN, Action.DELETE, ["a:1"], "", id="no rule for the repository"),
    pytest.param([CI], ANN, Action.PURGE, ["ci/a:1"], "", id="no rule for the action"),
    pytest.param([CI], ANN, Action.DELETE, ["ci:1"], "", id="ci/** is not ci itself"),
    pytest.param([PR], ANN, Action.DELETE, ["a:1"], "", id="no rule for the tag"),
    pytest.param([PR], ANN, Action.DELETE, ["a:PR-1"], "", id="tags differ by case"),
    pytest.param([PR], ANN, Action.DELETE, ["a"], "", id="no tag matches no pattern for tags"),
    pytest.param([CI], ANN, Action.DELETE, ["ci/a:1", "b:1"], "", id="one of two has no rule"),
    pytest.param([CI], ANN, Action.DELETE, ["b:1", "ci/a:1"], "", id="the same turned round"),
    # What matches.
    pytest.param([CI], ANN, Action.DELETE, ["ci/a:1"], "ci", id="by repository"),
    pytest.param([CI], ANN, Action.DELETE, ["ci/a/b/c:1"], "ci", id="by repository, deep"),
    pytest.param([CI], ANN, Action.CLEANUP, ["ci/a:1"], "ci", id="another of its actions"),
    pytest.param([CI], ANN, Action.DELETE, ["ci/a"], "ci", id="a manifest without tags"),
    pytest.param([PR], ANN, Action.DELETE, ["a:pr-1"], "pr", id="by tag"),
    pytest.param([REST], ANN, Action.DELETE, ["a:1"], "rest", id="no patterns match everything"),
    pytest.param([REST], ANN, Action.DELETE, ["a:1", "b:2"], "rest", id="two images, one rule"),
    pytest.param(
        [rule("both", repositories=("a", "b"), tags=("x", "y"))],
        *(ANN, Action.DELETE, ["b:y"], "both"),
        id="any of its repositories with any of its tags",
    ),
    pytest.param(
        [rule("both", repositories=("a",), tags=("x",))],
        *(ANN, Action.DELETE, ["a:y"], ""),
        id="repository and tag must both match",
    ),
    # The first decides.
    pytest.param([CI, REST], ANN, Action.DELETE, ["ci/a:1"], "ci", id="the first of two"),
    pytest.param([REST, CI], ANN, Action.DELETE, ["ci/a:1"], "rest", id="the first, turned round"),
    pytest.param(
        [CI, REST], ANN, Action.DELETE, ["a:1"], "rest", id="the next where one is silent"
    ),
    pytest.param([CI, REST], ANN, Action.PURGE, ["ci/a:1"], "rest", id="the next by action"),
    # Deny.
    pytest.param([deny("no"), REST], ANN, Action.DELETE, ["a:1"], "", id="deny first"),
    pytest.param([REST, deny("no")], ANN, Action.DELETE, ["a:1"], "rest", id="deny too late"),
    pytest.param(
        [deny("no", repositories=("db/**",)), REST],
        *(ANN, Action.DELETE, ["a:1"], "rest"),
        id="deny elsewhere",
    ),
    pytest.param(
        [deny("no", repositories=("db/**",)), REST],
        *(ANN, Action.DELETE, ["a:1", "db/x:1"], ""),
        id="deny for one of two",
    ),
    pytest.param(
        [deny("no", requesters=("oncall",)), REST],
        *(LEA, Action.DELETE, ["a:1"], "rest"),
        id="deny for others",
    ),
    pytest.param(
        [deny("no", requesters=("oncall",)), REST],
        *(ANN, Action.DELETE, ["a:1"], ""),
        id="deny for this one",
    ),
    pytest.param(
        [deny("no", requesters=("slackers",)), REST],
        *(ZOE, Action.DELETE, ["a:1"], ""),
        id="deny for people of Slack",
    ),
    pytest.param(
        [deny("no", requesters=("mixed",)), REST],
        *(ZOE, Action.DELETE, ["a:1"], ""),
        id="deny for people of whom some are known",
    ),
    pytest.param(
        [deny("no", requesters=("nobody has it",)), REST],
        *(ZOE, Action.DELETE, ["a:1"], ""),
        id="deny for a group that is not there",
    ),
    pytest.param(
        [deny("no", requesters=("away",)), REST],
        *(ZOE, Action.DELETE, ["a:1"], "rest"),
        id="deny for a group of nobody",
    ),
    # Requesters.
    pytest.param(
        [rule("x", requesters=("oncall",))], ANN, Action.DELETE, ["a:1"], "x", id="in the group"
    ),
    pytest.param(
        [rule("x", requesters=("oncall",))], LEA, Action.DELETE, ["a:1"], "", id="not in it"
    ),
    pytest.param(
        [rule("x", requesters=("oncall", "leads"))],
        *(LEA, Action.DELETE, ["a:1"], "x"),
        id="in the second group",
    ),
    pytest.param(
        [rule("x", requesters=("oncall",)), REST],
        *(LEA, Action.DELETE, ["a:1"], "rest"),
        id="a rule for others does not decide",
    ),
    pytest.param(
        [rule("x", requesters=("mixed",))],
        *(ZOE, Action.DELETE, ["a:1"], ""),
        id="people that are not known may not ask",
    ),
    pytest.param(
        [rule("x", requesters=("mixed",))],
        *(LEA, Action.DELETE, ["a:1"], "x"),
        id="but their listed users are somebody",
    ),
    pytest.param(
        [rule("x", requesters=("nobody has it",))],
        *(ZOE, Action.DELETE, ["a:1"], ""),
        id="a group that is not there is nobody",
    ),
    pytest.param(
        [rule("x", requesters=())], ANN, Action.DELETE, ["a:1"], "", id="no requesters is nobody"
    ),
    pytest.param([REST], ZOE, Action.DELETE, ["a:1"], "rest", id="anyone"),
    pytest.param([REST], GUEST, Action.DELETE, ["a:1"], "", id="anyone is no guest"),
    pytest.param(
        [rule("x", requesters=("oncall",))], GUEST, Action.DELETE, ["a:1"], "", id="nor by a group"
    ),
    pytest.param([REST], GUEST, Action.GC, [], "", id="nor for gc"),
    # What concerns the whole registry.
    pytest.param([REST], ANN, Action.GC, [], "rest", id="gc"),
    pytest.param([REST], ANN, Action.LOCK, [], "rest", id="lock everything"),
    pytest.param(
        [rule("x", Action.GC, repositories=("**",))], ANN, Action.GC, [], "", id="gc, repositories"
    ),
    pytest.param([rule("x", Action.GC, tags=("*",))], ANN, Action.GC, [], "", id="gc, tags"),
    pytest.param(
        [rule("x", Action.LOCK, repositories=("**",))],
        *(ANN, Action.LOCK, [], ""),
        id="lock everything, repositories",
    ),
    pytest.param(
        [rule("x", Action.LOCK, repositories=("a",))],
        *(ANN, Action.LOCK, ["a"], "x"),
        id="lock one repository",
    ),
    pytest.param(
        [rule("x", Action.GC, repositories=("**",))],
        *(ANN, Action.GC, ["a:1"], ""),
        id="gc never by repository, whatever is named",
    ),
    pytest.param(
        [deny("x", Action.GC, repositories=("**",)), REST],
        *(ANN, Action.GC, [], "rest"),
        id="gc is not denied by repository either",
    ),
    pytest.param([deny("x", Action.GC), REST], ANN, Action.GC, [], "", id="gc denied"),
    *(
        pytest.param(
            [rule("x", action)], ANN, action, [], "", id=f"{action} of no image is not of all"
        )
        for action in Action
        if action not in {Action.GC, Action.LOCK}
    ),
    # The end of an undo window.
    pytest.param(
        [rule("x", Action.PURGE)], ANN, Action.PURGE_REQUEST, ["a:1"], "x", id="purge covers it"
    ),
    pytest.param(
        [rule("x", Action.PURGE_REQUEST)], ANN, Action.PURGE, ["a:1"], "", id="but not backwards"
    ),
    pytest.param(
        [confirm("early", Action.PURGE_REQUEST), rule("x", Action.PURGE)],
        *(ANN, Action.PURGE_REQUEST, ["a:1"], "early"),
        id="a rule of its own, if first",
    ),
    pytest.param(
        [deny("never", Action.PURGE), confirm("early", Action.PURGE_REQUEST)],
        *(ANN, Action.PURGE_REQUEST, ["a:1"], ""),
        id="a ban of purges is one of early ends",
    ),
    pytest.param(
        [rule("x", Action.DELETE)], ANN, Action.PURGE_REQUEST, ["a:1"], "", id="delete does not"
    ),
    pytest.param(
        [rule("x", Action.DELETE)], ANN, Action.CLEANUP, ["a:1"], "", id="delete is no cleanup"
    ),
    pytest.param(
        [confirm("x", Action.UNDO)], ZOE, Action.UNDO, ["a:1"], "x", id="restoring is free"
    ),
    # Several rules over the images of one request.
    pytest.param(
        [CI, PR, REST], ANN, Action.DELETE, ["ci/a:1", "a:pr-1"], "ci", id="confirm and confirm"
    ),
    pytest.param(
        [CI, PR, REST], ANN, Action.DELETE, ["a:pr-1", "ci/a:1"], "pr", id="the first image's"
    ),
    pytest.param(
        [CI, REST], ANN, Action.DELETE, ["ci/a:1", "a:1"], "rest", id="confirm and required"
    ),
    pytest.param(
        [CI, REST], ANN, Action.DELETE, ["a:1", "ci/a:1"], "rest", id="required and confirm"
    ),
    pytest.param(
        [WEB, REST], ANN, Action.DELETE, ["web/a:1", "a:1"], "", id="required and another required"
    ),
    pytest.param(
        [WEB, CI, REST],
        *(ANN, Action.DELETE, ["web/a:1", "ci/a:1", "web/b:1"], "web"),
        id="required twice, but the same",
    ),
    # Steps.
    pytest.param([TWO], ANN, Action.DELETE, ["a:1"], "two", id="two steps"),
    pytest.param([TWO, REST], ANN, Action.DELETE, ["a:1"], "two", id="two steps, the first rule"),
    pytest.param(
        [CI, TWO], ANN, Action.DELETE, ["ci/a:1", "a:1"], "two", id="confirm and two steps"
    ),
    pytest.param(
        [rule("none", steps=())], ANN, Action.DELETE, ["a:1"], "", id="required, but of nobody"
    ),
    pytest.param([confirm("x")], ANN, Action.DELETE, ["a:1"], "x", id="confirm needs no step"),
    # Slack user groups: of S1 Slack told that Zoe is in it, of S2 nothing.
    pytest.param(
        [rule("x", requesters=("slackers",))], ZOE, Action.DELETE, ["a:1"], "x", id="told of"
    ),
    pytest.param(
        [rule("x", requesters=("slackers",))], LEA, Action.DELETE, ["a:1"], "", id="not told of"
    ),
    pytest.param(
        [rule("x", requesters=("slackers",)), REST],
        *(LEA, Action.DELETE, ["a:1"], "rest"),
        id="not told of: the next rule decides",
    ),
    pytest.param(
        [deny("no", requesters=("slackers",)), REST],
        *(LEA, Action.DELETE, ["a:1"], "rest"),
        id="deny for people of whom one is not",
    ),
    pytest.param(
        [rule("x", requesters=("mixed",)), REST],
        *(ZOE, Action.DELETE, ["a:1"], ""),
        id="nobody can tell whether the first rule decides",
    ),
    pytest.param(
        [rule("x", requesters=("mixed",)), REST],
        *(LEA, Action.DELETE, ["a:1"], "x"),
        id="listed by id: nobody has to be asked",
    ),
    pytest.param(
        [rule("x", requesters=("mixed", "slackers"))],
        *(ZOE, Action.DELETE, ["a:1"], "x"),
        id="in one group for certain, the other does not matter",
    ),
    pytest.param(
        [REST, rule("x", requesters=("mixed",))],
        *(ZOE, Action.DELETE, ["a:1"], "rest"),
        id="what is not known behind the first rule does not matter",
    ),
    pytest.param(
        [rule("x", repositories=("b",), requesters=("mixed",)), REST],
        *(ZOE, Action.DELETE, ["a:1"], "rest"),
        id="nor in a rule for other images",
    ),
    pytest.param(
        [rule("x", repositories=("b",), requesters=("mixed",)), REST],
        *(ZOE, Action.DELETE, ["a:1", "b:1"], ""),
        id="but for one of two it does",
    ),
    pytest.param(
        [rule("x", steps=(Step(("mixed",)),))],
        *(ANN, Action.DELETE, ["a:1"], "x"),
        id="who may approve need not be known yet",
    ),
    # Accounts of the host: local:ann is Ann, local:root is nobody in Slack.
    pytest.param(
        [rule("x", requesters=("oncall",))], HOST_ANN, Action.DELETE, ["a:1"], "x", id="Ann's own"
    ),
    pytest.param([REST], ROOT, Action.DELETE, ["a:1"], "rest", id="anyone, at the terminal"),
    pytest.param(
        [rule("x", requesters=("oncall",))], ROOT, Action.DELETE, ["a:1"], "", id="in no group"
    ),
    pytest.param(
        [rule("x", requesters=("host",))], ROOT, Action.DELETE, ["a:1"], "x", id="in a group"
    ),
    pytest.param(
        [rule("x", requesters=("host",))], BOB, Action.DELETE, ["a:1"], "x", id="by the other id"
    ),
    pytest.param(
        [deny("no", requesters=("oncall",)), REST],
        *(HOST_ANN, Action.DELETE, ["a:1"], ""),
        id="a ban holds at the terminal",
    ),
    pytest.param(
        [deny("no", requesters=("slackers",)), REST],
        *(ROOT, Action.DELETE, ["a:1"], ""),
        id="a ban of a Slack group holds for accounts of nobody",
    ),
    pytest.param(
        [deny("no", requesters=("slackers",)), REST],
        *(HOST_ANN, Action.DELETE, ["a:1"], "rest"),
        id="but not for accounts of somebody who is not in it",
    ),
    pytest.param(
        [rule("x", requesters=("mixed",)), REST],
        *(ROOT, Action.DELETE, ["a:1"], "rest"),
        id="an account of nobody is in no Slack group",
    ),
    # The bot, where a schedule asks.
    pytest.param([REST], SCHEDULE, Action.CLEANUP, ["a:1"], "rest", id="a schedule is anyone"),
    pytest.param([REST], SCHEDULE, Action.GC, [], "rest", id="a schedule for gc"),
    pytest.param(
        [rule("x", requesters=("oncall",))], SCHEDULE, Action.DELETE, ["a:1"], "", id="and nobody"
    ),
    pytest.param(
        [rule("x", requesters=("mixed",)), REST],
        *(SCHEDULE, Action.DELETE, ["a:1"], "rest"),
        id="in no group, known or not",
    ),
    pytest.param(
        [deny("no"), REST], SCHEDULE, Action.DELETE, ["a:1"], "", id="a ban of anyone holds for it"
    ),
    pytest.param(
        [confirm("x")], SCHEDULE, Action.DELETE, ["a:1"], "", id="nobody would confirm it"
    ),
    pytest.param(
        [confirm("x"), REST],
        *(SCHEDULE, Action.DELETE, ["a:1"], ""),
        id="which the next rule does not mend",
    ),
]


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 100


@pytest.mark.parametrize(("rules", "actor", "action", "names", "expected"), CASES)
def test_who_may_ask_for_what(
    rules: list[Rule], actor: Actor, action: Action, names: list[str], expected: str
) -> None:
    verdict = with_slack(tuple(rules)).judge(actor, action, images(*names))
    if expected:
        assert verdict.allowed
        assert verdict.rule is not None
        assert verdict.rule.name == expected
    else:
        assert not verdict.allowed
        assert verdict.sentence.endswith(".")
        assert verdict.hint.endswith(".")


def judged(policy: Policy, action: Action, *names: str, actor: Actor = ANN) -> Verdict:
    """The verdict on these images."""
    return policy.judge(actor, action, images(*names))


# Protections

EVERYTHING = confirm("everything", *Action)
PROD = Protection(("prod/**",), ("latest", "v*"))
HELD = Policy(GROUPS, (EVERYTHING,), (PROD, Protection(tags=("keep",)), Protection(("vault",))))
DELETING = [Action.DELETE, Action.CLEANUP, Action.PURGE, Action.PURGE_REQUEST]


@pytest.mark.parametrize("action", DELETING)
@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("prod/a:latest", True),
        ("prod/a/b:v1", True),
        ("prod/a:dev", False),
        ("prod:latest", False),
        ("dev/a:latest", False),
        ("dev/a:keep", True),
        ("prod/a:keep", True),
        ("vault:1", True),
        ("vault", True),
        ("vault/inner:1", False),
        ("prod/a", False),
    ],
)
def test_no_rule_lifts_a_protection(action: Action, name: str, held: bool) -> None:
    verdict = judged(HELD, action, name)
    assert verdict.allowed is not held
    if held:
        assert name in verdict.sentence
        assert "protected" in verdict.sentence
        assert verdict.hint


@pytest.mark.parametrize("action", DELETING)
def test_one_protected_image_refuses_all(action: Action) -> None:
    assert judged(HELD, action, "dev/a:1", "dev/b:1").allowed
    verdict = judged(HELD, action, "dev/a:1", "prod/a:v1", "dev/b:1")
    assert not verdict.allowed
    assert "prod/a:v1" in verdict.sentence
    assert PROD.name in verdict.sentence


@pytest.mark.parametrize("action", [a for a in Action if a not in DELETING])
def test_a_protection_stops_only_what_deletes(action: Action) -> None:
    assert judged(HELD, action, "prod/a:latest").allowed


def test_protections_are_looked_at_before_rules() -> None:
    forbidden = dataclasses.replace(HELD, rules=(deny("no", *Action),))
    assert "protected" in judged(forbidden, Action.DELETE, "vault:1").sentence
    assert (
        "protected" in judged(dataclasses.replace(HELD, rules=()), Action.PURGE, "vault:1").sentence
    )


def test_a_protection_of_nothing_in_particular_holds_everything() -> None:
    policy = Policy(GROUPS, (EVERYTHING,), (Protection(),))
    assert not judged(policy, Action.DELETE, "a:1").allowed


@pytest.mark.parametrize(
    ("protection", "name"),
    [
        (Protection(("a", "b/**")), "a, b/**"),
        (Protection(tags=("x", "y")), "tags x, y"),
        (Protection(("a",), ("x",)), "a with tags x"),
        (Protection(), "everything"),
    ],
)
def test_protections_have_a_name_to_show(protection: Protection, name: str) -> None:
    assert protection.name == name


def test_the_first_protection_that_holds_is_named() -> None:
    assert HELD.protection_of(Target("corp", "prod/a", "v1")) is PROD
    assert HELD.protection_of(Target("corp", "dev/a", "v1")) is None


# What refusals say


def test_images_of_two_sets_of_approvers_are_to_be_split() -> None:
    verdict = judged(Policy(GROUPS, (WEB, REST)), Action.DELETE, "web/a:1", "a:1")
    assert not verdict.allowed
    assert verdict.rule is None
    assert "“web”" in verdict.sentence
    assert "“rest”" in verdict.sentence
    assert verdict.hint.startswith("Split it")
    assert "delete" in verdict.hint


def test_one_set_of_approvers_in_two_rules_is_still_two_rules() -> None:
    twin = rule("twin", repositories=("web/**",))
    assert not judged(Policy(GROUPS, (twin, REST)), Action.DELETE, "web/a:1", "a:1").allowed


def test_a_ban_names_the_rule_and_the_image() -> None:
    verdict = judged(Policy(GROUPS, (deny("quiet time"),)), Action.DELETE, "a:1")
    assert verdict.sentence == "The rule “quiet time” forbids delete on a:1."
    assert verdict.rule is not None
    assert verdict.rule.name == "quiet time"


def test_without_a_rule_one_learns_what_to_add() -> None:
    verdict = judged(Policy(GROUPS), Action.PURGE_REQUEST, "a:1")
    assert verdict.rule is None
    assert '"purge request"' in verdict.hint


def test_who_is_not_among_the_requesters_learns_who_is() -> None:
    policy = Policy(GROUPS, (rule("x", requesters=("oncall", "leads")),))
    verdict = judged(policy, Action.DELETE, "a:1", actor=ZOE)
    assert "oncall, leads" in verdict.sentence
    assert "“x”" in verdict.sentence


# Reasons


@pytest.mark.parametrize("reason", ["", " ", "\t\n"])
@pytest.mark.parametrize("make", [rule, confirm])
def test_a_rule_that_wants_a_reason_gets_one(make: Callable[..., Rule], reason: str) -> None:
    policy = Policy(GROUPS, (make("x", require_reason=True),))
    verdict = policy.judge(ANN, Action.DELETE, images("a:1"), reason)
    assert not verdict.allowed
    assert "--reason" in verdict.hint
    assert policy.judge(ANN, Action.DELETE, images("a:1"), "old").allowed


def test_one_rule_that_wants_a_reason_wants_it_for_all() -> None:
    policy = Policy(GROUPS, (dataclasses.replace(CI, require_reason=True), REST))
    asked = images("a:1", "ci/a:1")
    assert not policy.judge(ANN, Action.DELETE, asked).allowed
    assert policy.judge(ANN, Action.DELETE, asked, "old").allowed
    assert policy.judge(ANN, Action.DELETE, images("a:1")).allowed


def test_a_ban_does_not_ask_for_a_reason() -> None:
    policy = Policy(GROUPS, (deny("no", require_reason=True),))
    assert "forbids" in judged(policy, Action.DELETE, "a:1").sentence


# Who may approve

POLICY = Policy(GROUPS, (REST, WEB, CI))


@pytest.mark.parametrize(
    ("decides", "actor", "requester", "why_not"),
    [
        pytest.param(REST, LEA, ANN, "", id="a lead"),
        pytest.param(REST, BOB, ANN, "", id="in both groups"),
        pytest.param(REST, ANN, LEA, "not among the approvers", id="not a lead"),
        pytest.param(REST, ZOE, LEA, "not among the approvers", id="in no group"),
        pytest.param(REST, LEA, LEA, "yourself", id="oneself"),
        pytest.param(REST, Actor("ULEA", "T2"), LEA, "yourself", id="oneself by another team"),
        pytest.param(REST, Actor("ULEA", ""), LEA, "yourself", id="oneself without a team"),
        pytest.param(
            rule("own", allow_self_approval=True), LEA, LEA, "", id="oneself, where allowed"
        ),
        pytest.param(
            rule("own", allow_self_approval=True),
            *(ANN, ANN, "not among the approvers"),
            id="oneself, allowed, but no approver",
        ),
        pytest.param(
            REST, Actor("ULEA", "T1", is_full_member=False), ANN, "full members", id="a guest"
        ),
        pytest.param(CI, ANN, ANN, "", id="the requester confirms"),
        pytest.param(CI, LEA, ANN, "only the requester", id="nobody else confirms"),
        pytest.param(
            CI,
            Actor("UANN", "T1", is_full_member=False),
            ANN,
            "full members",
            id="no guest confirms",
        ),
        pytest.param(TWO, LEA, ANN, "", id="the first of two steps"),
        pytest.param(TWO, ANN, LEA, "", id="the second of two steps"),
        pytest.param(TWO, ZOE, LEA, "not among the approvers", id="none of two steps"),
        pytest.param(rule("none", steps=()), LEA, ANN, "(nobody)", id="no step"),
        pytest.param(
            rule("x", steps=(Step(("slackers",)),)),
            *(LEA, ANN, "does not tell who is in the group “slackers”"),
            id="a Slack group that is not known",
        ),
        pytest.param(
            rule("x", steps=(Step(("mixed",)),)), LEA, ANN, "", id="a listed user of a Slack group"
        ),
        pytest.param(
            rule("x", steps=(Step(("nobody has it",)),)), LEA, ANN, "not among", id="no such group"
        ),
        pytest.param(
            rule("x", steps=(Step((ANYONE,)),)), LEA, ANN, "not among", id="anyone is no approver"
        ),
    ],
)
def test_who_may_approve(decides: Rule, actor: Actor, requester: Actor, why_not: str) -> None:
    answer = POLICY.may_approve(decides, actor, requester)
    if why_not:
        assert why_not in answer
    else:
        assert answer == ""


def test_who_is_no_approver_learns_who_is() -> None:
    two_groups = rule("x", steps=(Step(("leads", "oncall")),))
    assert "(leads, oncall)" in POLICY.may_approve(two_groups, ZOE, ANN)


def test_approvers_are_all_users_of_all_groups_once() -> None:
    both = rule("x", steps=(Step(("leads", "oncall")), Step(("mixed", "nobody has it"))))
    assert POLICY.approvers(both) == ("UANN", "UBOB", "ULEA")
    assert POLICY.approvers(CI) == ()


# Looking up


def test_rules_and_channels_are_found_by_name() -> None:
    channel = Channel("C1", ("corp",))
    policy = dataclasses.replace(POLICY, channels=(channel,))
    assert policy.channel("C1") is channel
    assert policy.channel("C2") is None
    assert policy.rule("web") is WEB
    assert policy.rule("nobody has it") is None


# Fingerprints

BASE = rule("x", repositories=("a", "b"), tags=("1", "2"), requesters=("oncall", "leads"))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "y"},
        {"actions": frozenset({Action.PURGE})},
        {"actions": frozenset({Action.DELETE, Action.PURGE})},
        {"repositories": ("a",)},
        {"repositories": ()},
        {"tags": ("1",)},
        {"tags": ("a", "b"), "repositories": ("1", "2")},
        {"requesters": (ANYONE,)},
        {"effect": "deny"},
        {"approval": Approval.CONFIRM},
        {"steps": ()},
        {"steps": (Step(("oncall",)),)},
        {"steps": (Step(("leads",), 2),)},
        {"steps": (*ONE_LEAD, *ONE_LEAD)},
        {"require_reason": True},
        {"allow_self_approval": True},
        {"expires_after": 60.0},
        {"execute_within": 60.0},
        {"undo_window": 60.0},
    ],
)
def test_the_fingerprint_changes_with_what_decides(changes: dict[str, object]) -> None:
    changed = dataclasses.replace(BASE, **changes)  # type: ignore[arg-type]
    assert changed.fingerprint != BASE.fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"repositories": ("b", "a")},
        {"tags": ("2", "1")},
        {"requesters": ("leads", "oncall")},
        {"remind_after": 60.0},
        {"escalate_to": ("leads",)},
        {"undo_window": 86400},
    ],
)
def test_the_fingerprint_stays_with_what_does_not(changes: dict[str, object]) -> None:
    changed = dataclasses.replace(BASE, **changes)  # type: ignore[arg-type]
    assert changed.fingerprint == BASE.fingerprint


def test_a_bare_rule_has_the_defaults_that_people_read_about() -> None:
    bare, defaults = Rule("x", frozenset()), Defaults()
    for field in dataclasses.fields(Defaults):
        assert getattr(bare, field.name) == getattr(defaults, field.name)
    assert (defaults.require_reason, defaults.allow_self_approval) == (False, False)
    assert (defaults.expires_after, defaults.execute_within) == (30 * 60, 15 * 60)
    assert defaults.undo_window == 24 * 3600
    assert bare.approval is Approval.REQUIRED


def test_every_field_of_a_rule_is_known_to_decide_or_not() -> None:
    # A new field must be added to one of the two tables above, and to the fingerprint or not.
    assert {field.name for field in dataclasses.fields(Rule)} == {
        *("name", "actions", "repositories", "tags", "requesters", "effect", "approval", "steps"),
        *("require_reason", "allow_self_approval", "expires_after", "execute_within"),
        *("undo_window", "remind_after", "escalate_to"),
    }


def test_the_order_of_steps_decides_and_that_of_groups_within_one_does_not() -> None:
    def print_of(*steps: Step) -> str:
        return dataclasses.replace(BASE, steps=steps).fingerprint

    first, second = Step(("leads",)), Step(("oncall",))
    assert print_of(first, second) != print_of(second, first)
    assert print_of(Step(("leads", "oncall"))) == print_of(Step(("oncall", "leads")))
    assert print_of(Step(("leads", "oncall"))) != print_of(first, second)


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    # Stored with requests: if this changes, every open request of an older version is outdated.
    assert Rule("x", frozenset({Action.DELETE, Action.GC})).fingerprint == (
        "61ab8c9f01166bfa54dd716a31aaf358"
    )


# In general

NAMES = st.sampled_from(["ci/a:1", "ci/b", "web/a:pr-1", "prod/a:latest", "vault:1", "a:keep"])
RULES = st.lists(
    st.builds(
        Rule,
        name=st.sampled_from(["a", "b", "c"]),
        actions=st.frozensets(st.sampled_from(Action)),
        repositories=st.sampled_from([(), ("ci/**",), ("**",), ("prod/**", "vault")]),
        tags=st.sampled_from([(), ("*",), ("pr-*",), ("latest",)]),
        requesters=st.sampled_from([(), (ANYONE,), ("oncall",), ("slackers",)]),
        effect=st.sampled_from(["allow", "deny"]),
        approval=st.sampled_from(Approval),
        steps=st.sampled_from([(), ONE_LEAD, (*ONE_LEAD, *ONE_LEAD)]),
        require_reason=st.booleans(),
    ),
    max_size=4,
    unique_by=lambda made: made.name,
)


@given(
    RULES,
    st.sampled_from([ANN, LEA, ZOE, GUEST]),
    st.sampled_from(Action),
    st.lists(NAMES, max_size=3),
    st.sampled_from(["", "why not"]),
)
def test_whatever_the_rules_a_yes_has_its_reasons(
    rules: list[Rule], actor: Actor, action: Action, names: list[str], reason: str
) -> None:
    policy = dataclasses.replace(HELD, rules=tuple(rules))
    verdict = policy.judge(actor, action, images(*names), reason)
    if not verdict.allowed:
        assert verdict.sentence
        assert verdict.hint
        return
    decides = verdict.rule
    assert decides in rules
    assert decides is not None
    assert actor.is_full_member
    assert not decides.denies
    assert action in decides.actions or Action.PURGE in decides.actions
    assert reason or not decides.require_reason
    assert decides.steps or decides.approval is Approval.CONFIRM
    if action is Action.GC:
        assert not decides.repositories
        assert not decides.tags
    if action in DELETING:
        assert names
        assert not any(policy.protection_of(target) for target in images(*names))


@given(RULES, st.sampled_from(Action), st.lists(NAMES, min_size=1, max_size=3))
def test_without_rules_that_allow_nothing_is_allowed(
    rules: list[Rule], action: Action, names: list[str]
) -> None:
    forbidding = tuple(dataclasses.replace(made, effect="deny") for made in rules)
    assert not Policy(GROUPS, forbidding).judge(ANN, action, images(*names), "why").allowed
