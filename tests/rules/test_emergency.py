"""Break-glass: who may decide alone about what, why not, and what outdates it."""

import dataclasses

import pytest

from bot.rules.policy import (
    ANYONE,
    BOT,
    EMERGENCY,
    Action,
    Actor,
    Approval,
    Defaults,
    Emergency,
    Group,
    Policy,
    Protection,
    Rule,
    Target,
)

ANN, ZOE = Actor("UANN", "T1"), Actor("UZOE", "T1")
GUEST = Actor("UANN", "T1", is_full_member=False)
ROOT, HOST_ANN = Actor("local:root", "local"), Actor("local:ann", "local")
WHY = "the disk is full, and builds fail"
GLASS = Emergency(
    True,
    frozenset({Action.GC, Action.DELETE, Action.PURGE_REQUEST}),
    ("oncall",),
    20,
    ("leads",),
)
DENY = Rule("never", frozenset(Action), effect="deny")
POLICY = Policy(
    {
        "oncall": Group("oncall", frozenset({"UANN"})),
        "leads": Group("leads", frozenset({"ULEA"})),
        "slack": Group("slack", frozenset(), "S1"),
    },
    (DENY,),
    (Protection(("prod/**",)),),
    emergency=GLASS,
    local_accounts={"ann": "UANN"},
)
OFF = dataclasses.replace(GLASS, enabled=False)
ANYBODY = dataclasses.replace(GLASS, requesters=(ANYONE,))
SLACK = dataclasses.replace(GLASS, requesters=("slack",))


@pytest.mark.parametrize(
    ("glass", "actor", "action", "name", "reason", "why_not"),
    [
        pytest.param(GLASS, ANN, Action.DELETE, "a", WHY, "", id="on call"),
        pytest.param(GLASS, ANN, Action.GC, "", WHY, "", id="gc"),
        pytest.param(GLASS, ANN, Action.PURGE_REQUEST, "a", WHY, "", id="the end of a window"),
        pytest.param(GLASS, HOST_ANN, Action.GC, "", WHY, "", id="at the terminal"),
        pytest.param(ANYBODY, ZOE, Action.GC, "", WHY, "", id="anyone"),
        pytest.param(ANYBODY, ROOT, Action.GC, "", WHY, "", id="anyone at the terminal"),
        pytest.param(OFF, ANN, Action.GC, "", WHY, "switched off", id="switched off"),
        pytest.param(GLASS, ZOE, Action.GC, "", WHY, "is for oncall", id="not on call"),
        pytest.param(GLASS, ROOT, Action.GC, "", WHY, "is for oncall", id="an account of nobody"),
        pytest.param(GLASS, GUEST, Action.GC, "", WHY, "full members", id="a guest"),
        pytest.param(ANYBODY, Actor(BOT, ""), Action.GC, "", WHY, "does not cover", id="the bot"),
        pytest.param(GLASS, ANN, Action.PURGE, "a", WHY, "does not cover purge", id="purge"),
        pytest.param(GLASS, ANN, Action.UNDO, "a", WHY, "does not cover undo", id="undo"),
        pytest.param(GLASS, ANN, Action.DELETE, "prod/a", WHY, "protected", id="a protection"),
        pytest.param(OFF, ANN, Action.DELETE, "prod/a", WHY, "protected", id="protected, and off"),
        pytest.param(GLASS, ANN, Action.DELETE, "", WHY, "no image", id="no image"),
        pytest.param(GLASS, ANN, Action.GC, "", "", "at least 20 characters", id="no reason"),
        pytest.param(GLASS, ANN, Action.GC, "", "x" * 19, "at least 20", id="a short reason"),
        pytest.param(GLASS, ANN, Action.GC, "", f"  {'x' * 19}  ", "at least 20", id="spaces"),
        pytest.param(GLASS, ANN, Action.GC, "", "x" * 20, "", id="long enough"),
        pytest.param(SLACK, ANN, Action.GC, "", WHY, "does not tell", id="Slack is silent"),
    ],
)
def test_who_decides_alone(
    glass: Emergency, actor: Actor, action: Action, name: str, reason: str, why_not: str
) -> None:
    policy = dataclasses.replace(POLICY, emergency=glass)
    targets = [Target("corp", name, "1")] if name else []
    verdict = policy.judge(actor, action, targets, reason, emergency=True)
    assert verdict.allowed is not bool(why_not)
    if why_not:
        assert why_not in verdict.sentence
        assert verdict.hint.endswith(".") or verdict.hint.endswith('".')
    else:
        assert verdict.rule is not None
        assert verdict.rule.name == EMERGENCY
        assert verdict.rules == (verdict.rule,)


def test_an_emergency_always_has_a_reason() -> None:
    policy = dataclasses.replace(POLICY, emergency=dataclasses.replace(GLASS, min_reason_length=0))
    assert "at least 1 character:" in policy.judge(ANN, Action.GC, [], emergency=True).sentence


def test_without_the_flag_the_rules_decide() -> None:
    assert "“never” forbids" in POLICY.judge(ANN, Action.GC, [], WHY).sentence


def test_only_the_requester_confirms_and_nobody_approves() -> None:
    rule = POLICY.rule(EMERGENCY)
    assert rule is not None
    assert rule.approval is Approval.CONFIRM
    assert POLICY.may_approve(rule, ANN, ANN) == ""
    assert POLICY.may_approve(rule, HOST_ANN, ANN) == ""
    assert EMERGENCY in POLICY.may_approve(rule, ZOE, ANN)
    assert POLICY.standing(rule, "UANN", ["UANN"]).is_complete
    assert not POLICY.standing(rule, "UANN", ["UZOE"]).is_complete


def test_its_terms_are_the_defaults() -> None:
    defaults = Defaults(expires_after=60.0, execute_within=30.0, undo_window=10.0)
    rule = dataclasses.replace(POLICY, defaults=defaults).rule(EMERGENCY)
    assert rule is not None
    assert (rule.expires_after, rule.execute_within, rule.undo_window) == (60.0, 30.0, 10.0)


def test_there_is_no_such_rule_while_it_is_switched_off() -> None:
    assert dataclasses.replace(POLICY, emergency=OFF).rule(EMERGENCY) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"enabled": False},
        {"actions": frozenset({Action.GC})},
        {"requesters": ("leads",)},
        {"min_reason_length": 19},
        {"notify": ()},
    ],
)
def test_any_change_of_the_table_changes_the_fingerprint(changes: dict[str, object]) -> None:
    changed = dataclasses.replace(GLASS, **changes)  # type: ignore[arg-type]
    assert changed.fingerprint != GLASS.fingerprint
    rule = POLICY.rule(EMERGENCY)
    assert rule is not None
    assert POLICY.fingerprint(rule) == GLASS.fingerprint
    assert POLICY.fingerprint(DENY) == DENY.fingerprint


def test_every_field_of_the_table_decides() -> None:
    assert {field.name for field in dataclasses.fields(Emergency)} == {
        *("enabled", "actions", "requesters", "min_reason_length", "notify"),
    }


def test_who_lost_the_right_is_found_out() -> None:
    rule = POLICY.rule(EMERGENCY)
    assert rule is not None
    assert POLICY.may_request(rule, ANN).allowed
    nobody = {**POLICY.groups, "oncall": Group("oncall", frozenset({"UZOE"}))}
    later = dataclasses.replace(POLICY, groups=nobody).may_request(rule, ANN)
    assert not later.allowed
    assert not later.unknown
