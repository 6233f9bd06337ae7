"""Reminds those who could still decide, and after twice the time calls others to help.

Whoever is called gains no right by it.
"""

from collections.abc import Sequence

from bot.operations.approvals import outdated
from bot.operations.context import Context
from bot.operations.eligibility import changed, mentions, rules_in_force
from bot.operations.requesting import REMIND
from bot.rules.approval import Request, State
from bot.rules.explain import missing
from bot.rules.policy import Policy, Rule
from bot.store.jobs import Job
from bot.store.store import Transaction


async def remind(ctx: Context, job: Job) -> None:
    """Say in the thread whom a pending request waits for, and queue the next reminder."""
    await ctx.refresh()
    async with ctx.store.transaction(job) as tx:
        request = await tx.requests.get(job.request_id or 0)
        if request.state is State.PENDING and await tx.now() < request.expires_at:
            rules = rules_in_force(ctx.policy, request)
            if rules:
                await _remind(ctx.policy, tx, request, rules[0], again=bool(job.payload))
            else:
                await outdated(tx, request, changed(request))
        await tx.jobs.finish(job)


async def _remind(
    policy: Policy, tx: Transaction, request: Request, rule: Rule, *, again: bool
) -> None:
    standing = policy.standing(rule, request.requester, request.approved_by)
    groups = [name for s in standing.steps if s.missing for name in s.step.approvers]
    people = policy.helpers(rule, request.requester, request.approved_by)
    called: Sequence[str] = mentions(policy, rule.escalate_to) if again else ()
    await tx.outbox.thread(
        request.id,
        "reminder",
        {
            "people": [*people, *mentions(policy, groups, known=False)],
            "called": [user for user in called if user not in people],
            "missing": missing(standing),
        },
    )
    await tx.audit.about(
        request, "request.escalated" if again else "request.reminded", detail={"of": [*people]}
    )
    if not again and rule.escalate_to and rule.remind_after is not None:
        at = request.created_at + 2 * rule.remind_after
        await tx.jobs.add(REMIND, {"again": True}, request_id=request.id, at=at)
