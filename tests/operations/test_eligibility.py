"""Who counts is asked again at each click and right before the run, by the policy of then."""

import asyncio
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bot.operations import approvals, deletion, requesting, undo
from bot.operations.context import Asked
from bot.operations.errors import Refusal
from bot.registry.reference import parse_reference
from bot.rules.approval import Request, State
from bot.rules.policy import (
    Action,
    Actor,
    Approval,
    Emergency,
    Group,
    Policy,
    Rule,
    Step,
)
from tests.support.images import push_image
from tests.support.real_registry import RealRegistry
from tests.support.rig import ANN, BOB, CAT, CHANNEL, TEAM, Rig, policy

pytestmark = pytest.mark.anyio
DAN, EVE = "U0DAN", "U0EVE"
WHY = "the disk is full, and builds fail"
ONCALL = Group("oncall", frozenset({BOB, CAT}))
OWNERS = Group("owners", frozenset({CAT, DAN}))
SLACK = Group("slack", frozenset(), "S1")


def ruled(rule: Rule, *groups: Group, **changes: Any) -> Policy:
    """A policy in which this rule decides first."""
    base = policy(rules=(rule,))
    return dataclasses.replace(base, groups={g.name: g for g in groups}, **changes)


def wants(*steps: Step, **changes: Any) -> Rule:
    return Rule("careful", frozenset({Action.DELETE}), steps=steps, **changes)


TWO = wants(Step(("oncall",)), Step(("owners",)))
FROM_SLACK = wants(Step(("slack",)))


async def opened(tmp_path: Path, registry: RealRegistry, rules: Policy) -> Any:
    await push_image(registry.url, "a", "1")
    return Rig.open(tmp_path, registry.url, rules=rules)


async def tags(rig: Rig) -> list[str]:
    return sorted(await rig.registry.client.tags("a"))


async def why(request: Request) -> str:
    return str(request.result.get("why"))


async def test_two_people_for_two_steps(tmp_path: Path, registry: RealRegistry) -> None:
    async with await opened(tmp_path, registry, ruled(TWO, ONCALL, OWNERS)) as rig:
        request = await rig.delete("a:1")
        assert [step.people for step in request.steps] == [(BOB, CAT), (CAT, DAN)]
        assert request.approvals_needed == 2
        assert "1 more to go (1 of owners)" in await rig.approve(request, CAT)
        assert (await rig.get(request)).steps[0].approved == (CAT,)
        assert "it starts now" in await rig.approve(request, BOB)
        decided = await rig.get(request)
        assert [step.approved for step in decided.steps] == [(BOB,), (CAT,)]
        assert (await rig.finished(request)).state is State.DONE
        assert await tags(rig) == []


@pytest.mark.parametrize(
    ("lost", "groups"),
    [
        ("oncall", (Group("oncall", frozenset({CAT})), OWNERS)),
        ("owners", (ONCALL, Group("owners", frozenset({CAT})))),
    ],
)
async def test_an_approver_who_lost_the_right_does_not_count_when_it_runs(
    tmp_path: Path, registry: RealRegistry, lost: str, groups: tuple[Group, ...]
) -> None:
    async with await opened(tmp_path, registry, ruled(TWO, ONCALL, OWNERS)) as rig:
        request = await rig.delete("a:1")
        await rig.approve(request, BOB)
        await rig.approve(request, DAN)
        ended = await rig.with_policy(ruled(TWO, *groups)).finished(request)
        assert ended.state is State.OUTDATED, lost
        assert "an approver has lost the right" in await why(ended)
        assert await tags(rig) == ["1"]


async def test_somebody_who_moved_to_the_other_step_still_counts(
    tmp_path: Path, registry: RealRegistry
) -> None:
    async with await opened(tmp_path, registry, ruled(TWO, ONCALL, OWNERS)) as rig:
        request = await rig.delete("a:1")
        await rig.approve(request, BOB)
        await rig.approve(request, DAN)
        swapped = (Group("oncall", frozenset({DAN})), Group("owners", frozenset({BOB})))
        ended = await rig.with_policy(ruled(TWO, *swapped)).finished(request)
        assert ended.state is State.DONE


async def test_a_requester_who_lost_the_right_outdates_it_at_the_click(
    tmp_path: Path, registry: RealRegistry
) -> None:
    rule = wants(Step(("oncall",)), requesters=("devs",))
    devs = Group("devs", frozenset({ANN}))
    async with await opened(tmp_path, registry, ruled(rule, ONCALL, devs)) as rig:
        request = await rig.delete("a:1")
        later = rig.with_policy(ruled(rule, ONCALL, Group("devs", frozenset({EVE}))))
        assert "the requester is no longer one of those" in await later.approve(request, BOB)
        ended = await rig.get(request)
        assert ended.state is State.OUTDATED
        assert ended.decisions == ()
        trail = await rig.audit(request)
        assert trail[-2:] == ["request.outdated", "refused"]


async def test_a_requester_who_lost_the_right_outdates_it_when_it_runs(
    tmp_path: Path, registry: RealRegistry
) -> None:
    rule = wants(approval=Approval.CONFIRM, requesters=("devs",))
    devs = Group("devs", frozenset({ANN}))
    async with await opened(tmp_path, registry, ruled(rule, devs)) as rig:
        request = await rig.delete("a:1")
        await rig.approve(request, ANN)
        later = rig.with_policy(ruled(rule, Group("devs", frozenset({EVE}))))
        ended = await later.finished(request)
        assert ended.state is State.OUTDATED
        assert "the requester is no longer" in await why(ended)
        assert await tags(rig) == ["1"]


# What Slack does not tell


class Told(dict[str, frozenset[str]]):
    """What Slack says by now; a test changes it while the bot works."""


def slack(told: Mapping[str, frozenset[str]], **changes: Any) -> Policy:
    return ruled(
        dataclasses.replace(FROM_SLACK, **changes),
        SLACK,
        members=told,
        silence={"S1": "it was asked too often"},
    )


async def test_while_slack_is_silent_an_approved_request_waits_and_says_so(
    tmp_path: Path, registry: RealRegistry
) -> None:
    told = Told(S1=frozenset({BOB}))
    async with await opened(tmp_path, registry, slack(told)) as rig:
        request = await rig.delete("a:1")
        await rig.approve(request, BOB)
        told.clear()
        async with rig.working():
            waiting = await rig.until(request, lambda r: bool(r.progress.get("waiting")))
            assert waiting.state is State.APPROVED
            assert "does not tell who is in the group “slack”" in waiting.progress["waiting"]
            assert "asked too often" in waiting.progress["waiting"]
            assert await tags(rig) == ["1"]
            told["S1"] = frozenset({BOB})
            ended = await rig.until(request, lambda r: not r.state.is_open)
        assert ended.state is State.DONE


async def test_it_waits_no_longer_than_it_may_be_executed(
    tmp_path: Path, registry: RealRegistry
) -> None:
    told = Told(S1=frozenset({BOB}))
    async with await opened(tmp_path, registry, slack(told, execute_within=0.5)) as rig:
        request = await rig.delete("a:1")
        await rig.approve(request, BOB)
        told.clear()
        ended = await rig.finished(request)
        assert ended.state is State.EXPIRED
        assert await tags(rig) == ["1"]


async def test_who_has_left_the_group_in_between_does_not_count(
    tmp_path: Path, registry: RealRegistry
) -> None:
    told = Told(S1=frozenset({BOB}))
    async with await opened(tmp_path, registry, slack(told)) as rig:
        request = await rig.delete("a:1")
        await rig.approve(request, BOB)
        told["S1"] = frozenset({CAT})
        assert (await rig.finished(request)).state is State.OUTDATED


async def test_slack_is_asked_before_it_runs(tmp_path: Path, registry: RealRegistry) -> None:
    told = Told(S1=frozenset({BOB}))
    async with await opened(tmp_path, registry, slack(told)) as rig:
        request = await rig.delete("a:1")
        await rig.approve(request, BOB)

        async def refresh() -> None:
            told["S1"] = frozenset({CAT})

        asking = Rig(dataclasses.replace(rig.ctx, refresh=refresh))
        assert (await asking.finished(request)).state is State.OUTDATED


async def test_a_silent_slack_refuses_the_requester_too(
    tmp_path: Path, registry: RealRegistry
) -> None:
    told = Told(S1=frozenset({ANN}))
    rule = wants(Step(("oncall",)), requesters=("slack",))
    rules = ruled(rule, SLACK, ONCALL, members=told)
    async with await opened(tmp_path, registry, rules) as rig:
        request = await rig.delete("a:1")
        told.clear()
        with pytest.raises(Refusal, match="does not tell who is in the group “slack”") as refused:
            await rig.approve(request, BOB)
        assert (refused.value.request_id, refused.value.rule) == (request.id, "careful")
        with pytest.raises(Refusal, match="nobody can tell whether the rule “careful” decides"):
            await rig.delete("a:1")
        assert (await rig.get(request)).state is State.PENDING


# Several rules in one request


async def test_every_rule_that_had_a_say_is_pinned(tmp_path: Path, registry: RealRegistry) -> None:
    free = Rule("free", frozenset({Action.DELETE}), repositories=("a",), approval=Approval.CONFIRM)
    rules = policy(rules=(free,))
    await push_image(registry.url, "b", "1")
    async with await opened(tmp_path, registry, rules) as rig:
        both = await rig.delete("a:1", "b:1")
        assert both.rule == "default"
        denied = dataclasses.replace(free, effect="deny")
        later = rig.with_policy(policy(rules=(denied,)))
        assert "the rules default and free have changed" in await later.approve(both)
        assert (await rig.get(both)).state is State.OUTDATED
        other = Rule("new", frozenset({Action.DELETE}), effect="deny")
        again = await rig.delete("a:1", "b:1")
        unchanged = rig.with_policy(policy(rules=(free, other)))
        assert "it starts now" in await unchanged.approve(again)
        assert (await unchanged.finished(again)).state is State.DONE


# One person under several ids


async def test_an_account_of_the_host_is_its_person(tmp_path: Path, registry: RealRegistry) -> None:
    rule = wants(Step(("oncall",), 2))
    rules = ruled(rule, ONCALL, local_accounts={"bob": BOB, "ann": ANN})
    async with await opened(tmp_path, registry, rules) as rig:
        request = await rig.delete("a:1")
        await rig.approve(request, BOB)
        with pytest.raises(Refusal, match="decided on R1 already"):
            await rig.approve(request, "local:bob")
        with pytest.raises(Refusal, match="asked for this yourself"):
            await rig.approve(request, "local:ann")
        await rig.decide(approvals.cancel, request, "local:ann")
        assert (await rig.get(request)).state is State.CANCELLED


async def test_the_bot_decides_nothing(rig: Rig, registry: RealRegistry) -> None:
    await push_image(registry.url, "a", "1")
    request = await rig.delete("a:1", user="bot")
    for how in (approvals.approve, approvals.deny, approvals.cancel):
        with pytest.raises(Refusal):
            await rig.decide(how, request, "bot" if how is not approvals.cancel else BOB)
    await rig.approve(request, BOB)
    assert (await rig.finished(request)).state is State.DONE


# Emergencies

GLASS = Emergency(True, frozenset({Action.DELETE, Action.PURGE_REQUEST}), ("devs",), 20, ("leads",))
DEVS = {"devs": Group("devs", frozenset({ANN})), "leads": Group("leads", frozenset({BOB, CAT}))}
BURNING = dataclasses.replace(policy(), groups=DEVS, emergency=GLASS)


async def in_emergency(rig: Rig, name: str = "a:1", reason: str = WHY) -> Request:
    asked = Asked(Actor(ANN, TEAM), CHANNEL, reason, emergency=True)
    made = await deletion.request_delete(rig.ctx, asked, rig.registry, [parse_reference(name)])
    async with rig.store.transaction() as tx:
        return await requesting.submit(tx, made)


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (dataclasses.replace(GLASS, enabled=False), "the rule [emergency] has changed"),
        (dataclasses.replace(GLASS, min_reason_length=30), "the rule [emergency] has changed"),
        (dataclasses.replace(GLASS, notify=()), "the rule [emergency] has changed"),
    ],
)
async def test_a_changed_table_outdates_an_emergency(
    tmp_path: Path, registry: RealRegistry, later: Emergency, said: str
) -> None:
    async with await opened(tmp_path, registry, BURNING) as rig:
        request = await in_emergency(rig)
        assert request.emergency
        assert request.plan["notify"] == [BOB, CAT]
        await rig.approve(request, ANN)
        changed = rig.with_policy(dataclasses.replace(BURNING, emergency=later))
        ended = await changed.finished(request)
        assert ended.state is State.OUTDATED
        assert said in await why(ended)
        assert await tags(rig) == ["1"]


async def test_who_may_no_longer_break_the_glass_outdates_it(
    tmp_path: Path, registry: RealRegistry
) -> None:
    async with await opened(tmp_path, registry, BURNING) as rig:
        request = await in_emergency(rig)
        await rig.approve(request, ANN)
        nobody = {**DEVS, "devs": Group("devs", frozenset({EVE}))}
        ended = await rig.with_policy(dataclasses.replace(BURNING, groups=nobody)).finished(request)
        assert ended.state is State.OUTDATED


async def test_an_emergency_marks_every_line_of_its_trail(
    tmp_path: Path, registry: RealRegistry
) -> None:
    async with await opened(tmp_path, registry, BURNING) as rig:
        request = await in_emergency(rig)
        await rig.approve(request, ANN)
        assert (await rig.finished(request)).state is State.DONE
        async with rig.store.reading() as tx:
            entries = await tx.audit.entries(request_id=request.id)
        assert {e.rule for e in entries} == {"[emergency]"}
        assert all(e.detail.get("emergency") is True for e in entries)


@pytest.mark.parametrize(
    ("rule", "users", "why_not"),
    [
        (Rule("own", frozenset({Action.DELETE}), approval=Approval.CONFIRM), [ANN], "by its req"),
        (wants(Step(("leads",)), allow_self_approval=True), [BOB], "by its requester as well"),
        (wants(Step(("leads",))), [BOB], ""),
    ],
)
async def test_an_emergency_ends_only_windows_that_others_agreed_to(
    tmp_path: Path, registry: RealRegistry, rule: Rule, users: list[str], why_not: str
) -> None:
    rules = dataclasses.replace(
        BURNING, rules=(rule,), emergency=dataclasses.replace(GLASS, requesters=("anyone",))
    )
    asker = BOB if rule.allow_self_approval else ANN
    async with await opened(tmp_path, registry, rules) as rig:
        request = await rig.delete("a:1", user=asker)
        for user in users:
            await rig.approve(request, user)
        assert (await rig.finished(request)).state is State.DONE
        asked = Asked(Actor(ANN, TEAM), CHANNEL, WHY, emergency=True)
        async with rig.store.transaction() as tx:
            subject = await tx.requests.get(request.id)
            if why_not:
                with pytest.raises(Refusal, match=why_not):
                    await undo.request_purge_of(rig.ctx, tx, asked, subject)
            else:
                assert (await undo.request_purge_of(rig.ctx, tx, asked, subject)).emergency


# Reminders


async def reminders(rig: Rig) -> list[dict[str, Any]]:
    """What was said in threads to remind somebody."""
    said = []
    async with rig.store.transaction() as tx:
        while letter := await tx.outbox.claim("test", 60.0):
            if letter.payload.get("notice") == "reminder":
                said.append(dict(letter.payload["data"]))
            await tx.outbox.sent(letter)
    return said


async def test_those_who_can_still_help_are_reminded_then_others_called(
    tmp_path: Path, registry: RealRegistry
) -> None:
    rule = dataclasses.replace(TWO, remind_after=0.2, escalate_to=("devs",))
    rules = ruled(rule, ONCALL, OWNERS, Group("devs", frozenset({EVE})))
    async with await opened(tmp_path, registry, rules) as rig:
        request = await rig.delete("a:1")
        await rig.approve(request, CAT)
        async with rig.working():
            async with asyncio.timeout(20):
                while "request.escalated" not in await rig.audit(request):
                    await asyncio.sleep(0.02)
        first, second = await reminders(rig)
        assert first["people"] == [BOB, DAN]
        assert first["missing"] == "1 of owners"
        assert first["called"] == []
        assert second["called"] == [EVE]


async def test_nobody_is_reminded_of_what_is_decided(
    tmp_path: Path, registry: RealRegistry
) -> None:
    rule = dataclasses.replace(TWO, remind_after=60.0)
    async with await opened(tmp_path, registry, ruled(rule, ONCALL, OWNERS)) as rig:
        request = await rig.delete("a:1")
        async with rig.store.reading() as tx:
            before = await tx.jobs.depth(), await tx.jobs.seconds_until_next()
        assert before[1] is not None
        assert before[1] <= 60.0
        await rig.decide(approvals.cancel, request, ANN)
        async with rig.store.reading() as tx:
            assert await tx.jobs.seconds_until_next() is None
