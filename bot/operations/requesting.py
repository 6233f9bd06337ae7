"""Makes a request out of a plan: what is pinned, written down and announced together."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.operations import eligibility, locked
from bot.operations.context import Asked, Context, Registry
from bot.operations.errors import Refusal
from bot.rules.approval import Draft, Item, Request
from bot.rules.plan import DeletionPlan
from bot.rules.policy import Action, Approval, Rule, Target
from bot.rules.rule import BOT
from bot.store.store import Transaction

EXPIRE = "expire"
REMIND = "remind"
NOTIFY = "notify"
"""Where the plan of an emergency keeps the people who are told of it."""
_LIMIT = "[limits] jobs_per_registry"


def judge(
    ctx: Context, asked: Asked, action: Action, targets: Sequence[Target]
) -> tuple[Rule, ...]:
    """The rules that decide this, the one whose approvers are asked first; for :func:`draft`.

    Raises
    ------
    Refusal : no rule allows it, naming the rule that does not.
    """
    verdict = ctx.policy.judge(
        asked.actor, action, targets, asked.reason, emergency=asked.emergency
    )
    if not verdict.allowed or verdict.rule is None:
        rule = verdict.rule.name if verdict.rule else ""
        raise Refusal(verdict.sentence, verdict.hint, rule=rule)
    return verdict.rules


def draft(
    ctx: Context,
    asked: Asked,
    registry: Registry,
    action: Action,
    rules: Sequence[Rule],
    *,
    plan: Mapping[str, Any],
    items: Sequence[Item] = (),
    subject: int | None = None,
) -> Draft:
    """Everything pinned at this moment, the terms of the rules included."""
    policy, rule = ctx.policy, rules[0]
    confirm = rule.approval is Approval.CONFIRM
    kept = dict(plan)
    if len(rules) > 1:
        kept[eligibility.ALSO] = eligibility.pinned(policy, rules)
    if asked.emergency:
        kept[NOTIFY] = eligibility.mentions(policy, policy.emergency.notify)
    return Draft(
        registry=registry.name,
        action=action,
        requester=asked.actor.user,
        team=asked.actor.team,
        channel=ctx.announced(asked.channel, registry.name),
        reason=asked.reason,
        plan=kept,
        rule=rule.name,
        rule_fingerprint=policy.fingerprint(rule),
        approval=rule.approval,
        approvals_needed=1 if confirm else sum(s.approvals_needed for s in rule.steps),
        approvers=(asked.actor.user,) if confirm else policy.approvers(rule),
        allow_self_approval=rule.allow_self_approval,
        expires_after=rule.expires_after,
        execute_within=rule.execute_within,
        undo_window=rule.undo_window,
        items=tuple(items),
        subject=subject,
        steps=eligibility.steps(policy, rule, asked.actor.user),
        emergency=asked.emergency,
        remind_after=rule.remind_after,
        most_open=ctx.most_requests if _counts(action, asked.actor.user, asked.emergency) else 0,
    )


def _counts(action: Action, requester: str, emergency: bool) -> bool:
    """Whether it is limited: what makes things safer is not, nor what the clock asks for."""
    may_wait = action.deletes or action is Action.GC
    return may_wait and not emergency and requester != BOT


async def submit(tx: Transaction, wanted: Draft) -> Request:
    """Store a request with everything that belongs to it, in the caller's transaction.

    Raises
    ------
    Refusal : a lock forbids it, or too many are open already; nothing was stored then.
    """
    lock = await locked.standing_in_the_way(tx, wanted)
    if lock is not None:
        raise locked.refusal(lock)
    others = await tx.requests.open_on(wanted.registry)
    if wanted.most_open:
        _room_for_one_more(wanted, others)
    wanted = replace(wanted, plan_hash=plan_hash(wanted))
    touched = _touching(wanted, others)
    if touched:
        wanted = replace(wanted, plan={**wanted.plan, "touches": touched})
    request = await tx.requests.create(wanted)
    await tx.jobs.add(EXPIRE, request_id=request.id, at=request.expires_at)
    if wanted.remind_after is not None:
        at = request.created_at + wanted.remind_after
        await tx.jobs.add(REMIND, request_id=request.id, at=at)
    await tx.audit.about(
        request,
        "request.created",
        actor=wanted.requester,
        team=wanted.team,
        detail={
            "action": wanted.action,
            "reason": wanted.reason,
            "items": [[item.repository, item.tag, item.digest] for item in wanted.items],
            "subject": wanted.subject,
            **({"delete_untagged": True} if wanted.plan.get("delete_untagged") else {}),
        },
    )
    await tx.outbox.refresh(request.id)
    if wanted.emergency:
        await tx.outbox.thread(request.id, "emergency", {})
    if wanted.items or wanted.action == Action.GC:
        await tx.outbox.thread(request.id, "plan", {})
        # Whether the message has room for all of it is seen when it leaves.
        await tx.outbox.file_in_thread(request.id, "plan")
    return request


def plan_hash(wanted: Draft) -> str:
    """The fingerprint of everything that people agree to, for the audit trail."""
    if "digests" in wanted.plan:
        return DeletionPlan.from_json(wanted.plan).fingerprint
    items = [[item.repository, item.tag, item.digest] for item in wanted.items]
    pinned = [wanted.action, wanted.registry, wanted.subject, dict(wanted.plan), items]
    return hashlib.sha256(json.dumps(pinned, sort_keys=True).encode()).hexdigest()


def _room_for_one_more(wanted: Draft, others: Sequence[Request]) -> None:
    """Refuse what is too much for a registry; one person never takes more than half of it."""
    counted = [o for o in others if _counts(Action(o.action), o.requester, o.emergency)]
    own = [other for other in counted if other.requester == wanted.requester]
    hint = "`/registry requests` lists them: decide or cancel some."
    if len(own) >= max(1, wanted.most_open // 2):
        raise Refusal(
            f"You have {len(own)} open requests on {wanted.registry}, as many as one person may.",
            f"{hint[:-1]}, or wait.",
            rule=_LIMIT,
        )
    if len(counted) >= wanted.most_open:
        raise Refusal(
            f"{wanted.registry} has {len(counted)} open requests, as many as there may be.",
            f"{hint} Undo, locks and emergencies are taken all the same.",
            rule=_LIMIT,
        )


def _touching(wanted: Draft, others: Iterable[Request]) -> list[int]:
    """The open requests that speak of the same tags or digests."""
    mine = {(i.repository, i.tag) for i in wanted.items if i.tag}
    digests = {(i.repository, i.digest) for i in wanted.items}
    return [
        other.id
        for other in others
        if any(
            (i.repository, i.tag) in mine or (i.repository, i.digest) in digests
            for i in other.items
        )
    ]
