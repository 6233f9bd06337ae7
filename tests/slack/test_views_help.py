"""`help` and `whoami` tell this person's rights under this policy."""

import dataclasses
from typing import Any

import pytest

from bot.rules.policy import (
    Action,
    Actor,
    Approval,
    Channel,
    Emergency,
    Group,
    Policy,
    Protection,
    Rule,
    Step,
)
from bot.slack.verbs import VERBS, available
from bot.slack.views.help import help_, whoami
from tests.support.shown import ANN, BOB, CAT, HOSTILE, LONG_REPOSITORY, check, outside_code, read

OPS, LOBBY = "C0OPS", "C0LOBBY"
ann = Actor(ANN, "T0TEAM")
bob = Actor(BOB, "T0TEAM")


def _rule(name: str = "default", *actions: Action, **changes: Any) -> Rule:
    return dataclasses.replace(
        Rule(
            name,
            frozenset(actions or {Action.DELETE, Action.CLEANUP, Action.PURGE, Action.GC}),
            steps=(Step(("leads",)),),
        ),
        **changes,
    )


FREE = _rule("free", Action.UNDO, approval=Approval.CONFIRM)


def _policy(*rules: Rule, registries: tuple[str, ...] = ("corp",), **changes: Any) -> Policy:
    policy = Policy(
        groups={
            "leads": Group("leads", frozenset({BOB, CAT})),
            "devs": Group("devs", frozenset({ANN})),
        },
        rules=rules or (_rule(), FREE),
        protections=(),
        channels=(Channel(OPS, registries),),
    )
    return dataclasses.replace(policy, **changes)


def _right(policy: Policy, actor: Actor, action: str) -> str:
    """The line about one action; in the blocks it is the same as in the text."""
    shown = help_(policy, actor, OPS)
    check(shown)
    (line,) = [line for line in read(shown).split("\n") if line.startswith(f"*{action}*")]
    assert line in shown["text"]
    return line.partition(": ")[2]


def test_help_lists_every_verb_there_is_with_its_summary() -> None:
    shown = help_(_policy(), ann, OPS)
    check(shown)
    for verb in VERBS.values():
        assert (f"`/registry {verb.name}` " in read(shown)) is verb.available
    for verb in available():
        assert verb.summary in read(shown)
        assert verb.name in shown["text"]
    for title in ("Look", "Change", "Change for good", "Decide"):
        assert f"*{title}*\n`/registry " in read(shown)


def test_help_says_which_registries_are_served_here() -> None:
    one = help_(_policy(), ann, OPS)
    assert "This channel serves corp. `/registry help delete` tells more" in read(one)
    assert "This channel serves corp." in one["text"]
    two = help_(_policy(registries=("corp", "edge")), ann, OPS)
    assert "This channel serves corp, edge. Say which with `--on NAME`." in read(two)
    none = help_(_policy(), ann, LOBBY)
    check(none)
    assert "This channel serves no registry." in read(none)


def test_what_needs_approval_names_the_approvers_but_not_oneself() -> None:
    line = _right(_policy(), ann, "delete")
    assert line == f"rule `default`, everywhere: needs 1 approval of <@{BOB}>, <@{CAT}>"
    assert _right(_policy(), bob, "delete").endswith(f"of <@{CAT}>")
    two = _policy(_rule(steps=(Step(("leads",), 2),)))
    assert "needs 2 approvals of" in _right(two, ann, "delete")


def test_who_may_approve_their_own_is_counted() -> None:
    policy = _policy(_rule(allow_self_approval=True))
    assert _right(policy, bob, "delete").endswith(f"of <@{BOB}>, <@{CAT}>")


def test_nobody_to_approve() -> None:
    policy = _policy(_rule(steps=(Step(("nobody",)),)))
    assert _right(policy, ann, "delete").endswith("needs 1 approval of nobody")


def test_what_one_confirms_oneself_and_what_needs_a_reason() -> None:
    assert _right(_policy(), ann, "undo") == "rule `free`, everywhere: you confirm it yourself"
    strict = _policy(_rule(require_reason=True), dataclasses.replace(FREE, require_reason=True))
    assert _right(strict, ann, "delete").endswith(f"<@{CAT}>, with `--reason`")
    assert _right(strict, ann, "undo").endswith("you confirm it yourself, with `--reason`")


def test_what_is_for_others_or_forbidden_or_unknown() -> None:
    assert _right(_policy(_rule(requesters=("leads",))), ann, "delete").endswith(
        "not you, but leads"
    )
    assert "needs 1" in _right(_policy(_rule(requesters=("devs", "leads"))), ann, "delete")
    denied = _policy(_rule(effect="deny"))
    assert _right(denied, ann, "delete").endswith(": forbidden")
    others = _policy(_rule(effect="deny", requesters=("leads",)))
    assert _right(others, ann, "delete").endswith(": forbidden to leads")
    assert _right(_policy(FREE), ann, "delete") == "no rule allows it"
    nobody = _policy(_rule(steps=()))
    assert "names nobody who could approve" in _right(nobody, ann, "delete")


TWO = _rule(steps=(Step(("leads",)), Step(("devs", "leads"), 2)))


def test_several_steps_are_told_one_by_one() -> None:
    assert _right(_policy(TWO), ann, "delete").endswith(
        f"needs 1 approval of <@{BOB}>, <@{CAT}> (leads) and 2 approvals of <@{BOB}>, <@{CAT}> "
        "(devs or leads), each of another person"
    )
    assert "*You approve* `default` (devs or leads)" in read(whoami(_policy(TWO), ann, OPS))
    assert "*You approve* `default` (leads, devs or leads)" in read(whoami(_policy(TWO), bob, OPS))


ONCALL = {"oncall": Group("oncall", frozenset(), "S0ONCALL")}


def test_people_from_slack_are_people_and_silence_is_told() -> None:
    rules = (_rule(steps=(Step(("oncall",)),)), _rule("own", Action.UNDO, requesters=("oncall",)))
    policy = _policy(*rules, groups=ONCALL, members={"S0ONCALL": frozenset({BOB, ANN})})
    assert _right(policy, ann, "delete").endswith(f"needs 1 approval of <@{BOB}>")
    assert "*Groups* `oncall`" in read(whoami(policy, ann, OPS))
    silent = _policy(*rules, groups=ONCALL, silence={"S0ONCALL": "it was asked too often"})
    told = read(whoami(silent, ann, OPS))
    assert (
        "*Groups* perhaps `oncall` (Slack does not tell who is in the group “oncall” (it was asked "
        "too often))"
    ) in told
    assert "needs 1 approval of the people of oncall, whom Slack does not tell now" in told
    assert "refused while it is for oncall and Slack does not tell" in told


def test_an_account_of_the_host_learns_who_it_is() -> None:
    policy = _policy(local_accounts={"bob": BOB})
    told = read(whoami(policy, Actor("local:bob", "local"), OPS))
    assert f"You are `local:bob` (`local:bob`), who is <@{BOB}>." in told
    assert "*Groups* `leads`" in told


def test_emergencies_are_told_as_far_as_they_are_there() -> None:
    emergency = Emergency(True, frozenset({Action.DELETE, Action.GC}), ("devs",), 20, ("leads",))
    policy = _policy(emergency=emergency)
    assert (
        "*emergency*, `--emergency`, for delete, gc: you decide alone, with `--reason` of at least "
        "20 characters; leads will be told"
    ) in read(help_(policy, ann, OPS))
    for topic, there in (("delete", True), ("gc", True), ("purge", True), ("undo", False)):
        assert ("--emergency`, for" in read(help_(policy, bob, OPS, topic))) is there
    assert "for delete, gc: not you, but devs" in read(help_(policy, bob, OPS))
    assert "--emergency`, for" not in read(help_(_policy(), ann, OPS))


def test_anyone_is_every_full_member() -> None:
    guest = Actor(ANN, "T0TEAM", is_full_member=False)
    assert _right(_policy(), guest, "delete").endswith("not you, but anyone")


def test_a_rule_about_images_says_nothing_about_collections() -> None:
    policy = _policy(_rule(repositories=("team/**", "ci/*"), tags=("pr-*",)))
    assert _right(policy, ann, "gc") == "no rule allows it"
    assert _right(policy, ann, "delete").startswith(
        "rule `default`, `team/**`, `ci/*` tags `pr-*`: needs"
    )


def test_several_rules_are_listed_in_their_order() -> None:
    shown = help_(_policy(_rule("one"), _rule("two", effect="deny")), ann, OPS)
    check(shown)
    lines = read(shown).split("\n")
    at = lines.index("*delete*: the first that fits")
    assert lines[at + 1].startswith("• rule `one`, everywhere: needs")
    assert lines[at + 2] == "• rule `two`, everywhere: forbidden"


def test_protections_are_told() -> None:
    protection = Protection(("prod/**",), ("v*",))
    policy = _policy(protections=(protection,))
    assert f"*protected*, whoever asks: `{protection.name}`" in read(help_(policy, ann, OPS))
    assert "protected" not in read(help_(_policy(), ann, OPS))


@pytest.mark.parametrize("verb", [verb.name for verb in available()])
def test_every_verb_has_its_own_help(verb: str) -> None:
    shown = help_(_policy(), ann, OPS, verb)
    check(shown)
    for text in (read(shown), shown["text"]):
        assert VERBS[verb].usage.split("[")[0].strip() in text
        assert VERBS[verb].summary in text
    assert VERBS[verb].example in read(shown)
    rights = verb in {"delete", "cleanup", "purge", "undo", "gc", "lock", "unlock"}
    assert ("Your rights here" in read(shown)) is rights
    assert (f"*{verb}*: rule" in shown["text"]) is (
        verb in {"delete", "cleanup", "purge", "undo", "gc"}
    )


def test_whoami() -> None:
    shown = whoami(_policy(), bob, OPS)
    check(shown)
    told = read(shown)
    assert f"You are <@{BOB}> (`{BOB}`)." in told
    assert "*Groups* `leads`" in told
    assert "*You approve* `default`" in told
    assert "*Registries here* corp" in told
    assert "*Undo window* 24 h" in told
    assert f"*delete*: rule `default`, everywhere: needs 1 approval of <@{CAT}>" in told
    for part in ("Groups: `leads`.", "You approve: `default`.", "Undo window: 24 h.", "*delete*:"):
        assert part in shown["text"]


def test_whoami_of_somebody_without_rights_elsewhere() -> None:
    policy = _policy(_rule(undo_window=3600.0), _rule("long", undo_window=7 * 86400.0))
    shown = whoami(policy, Actor("U0999", "T0TEAM"), LOBBY)
    check(shown)
    assert "*Groups* none\n*You approve* none\n*Registries here* none" in read(shown)
    assert "*Undo window* 60 min, 7 d" in read(shown)


def test_a_huge_policy_is_cut_and_says_so() -> None:
    rules = tuple(
        _rule(f"rule {n}", repositories=(f"{LONG_REPOSITORY}{n}",) * 50, tags=("t" * 128,) * 50)
        for n in range(100)
    )
    policy = _policy(
        *rules,
        registries=tuple(f"registry-{n}" for n in range(100)),
        groups={
            f"group-{n}": Group(f"group-{n}", frozenset({ANN, *(f"U0{m:03}" for m in range(100))}))
            for n in range(100)
        },
        protections=tuple(Protection((f"{LONG_REPOSITORY}{n}",), ()) for n in range(100)),
    )
    for shown in (
        help_(policy, ann, OPS),
        help_(policy, ann, OPS, "delete"),
        whoami(policy, ann, OPS),
    ):
        check(shown)
        assert "more lines, for which there is no room here" in read(shown)
    assert "registry-0, registry-1" in read(help_(policy, ann, OPS))
    assert " more. Say which with" in read(help_(policy, ann, OPS))
    assert "more" in read(whoami(policy, ann, OPS)).split("*Groups*")[1].split("\n")[0]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_settings_stay_texts(text: str) -> None:
    """Settings are written by those who run the bot; a slip of theirs must not break it."""
    policy = _policy(
        _rule(text, repositories=(text,), tags=(text,), requesters=(text,)),
        _rule(text, repositories=(text, text), steps=(Step((text,)),)),
        registries=(text, text),
        groups={text: Group(text, frozenset({ANN, BOB}))},
        protections=(Protection((text,), (text,)),),
    )
    for actor in (ann, Actor("U0999", "T0TEAM")):
        for shown in (
            help_(policy, actor, OPS),
            help_(policy, actor, OPS, "delete"),
            whoami(policy, actor, OPS),
        ):
            check(shown)


def test_names_stay_inside_code() -> None:
    hostile = "`*PWNED*`"
    policy = _policy(_rule(hostile, repositories=(hostile,), tags=(hostile,)))
    for shown in (help_(policy, ann, OPS), whoami(policy, ann, OPS)):
        assert "PWNED" in read(shown)
        assert "PWNED" not in outside_code(read(shown))
