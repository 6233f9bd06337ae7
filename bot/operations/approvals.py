"""Deciding: approve, deny, cancel, abort, expire. Every decision is one compare-and-set."""

from collections.abc import Mapping
from dataclasses import dataclass

from bot.operations.closing import close, decided
from bot.operations.context import Asked, Context
from bot.operations.eligibility import (
    changed,
    no_more,
    requester,
    requester_lost,
    rules_in_force,
    steps,
)
from bot.operations.refusals import how_decided, may_not, no, refuse_second, twice, who
from bot.rules.approval import Decision, Request, State
from bot.rules.explain import missing
from bot.rules.policy import Action, Rule
from bot.store.store import Transaction

RUN = {
    Action.DELETE: "untag",
    Action.CLEANUP: "untag",
    Action.PURGE: "purge",
    Action.PURGE_REQUEST: "end window",
    Action.UNDO: "undo",
    Action.GC: "collect",
    Action.LOCK: "lock",
}
"""The job that carries out each kind of request."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a decision did, for the person who made it."""

    request: Request
    sentence: str


async def approve(ctx: Context, tx: Transaction, request: Request, asked: Asked) -> Said:
    """One person agrees; the last one needed sets the request going.

    Raises
    ------
    Refusal : it is decided already, expired, or this person may not or is not needed.
    """
    request = await tx.requests.hold(request.id)
    await _still_pending(tx, request)
    rules = await _ground(ctx, tx, request, asked)
    if not rules:
        return await _gone(tx, request)
    refuse_second(ctx, request, asked)
    vote = ctx.policy.vote(rules[0], asked.actor, requester(request), request.approved_by)
    if not vote.allowed:
        raise may_not(request, vote)
    decision = Decision(asked.actor.user, asked.actor.team, True, asked.reason, 0.0)
    if not await tx.requests.decide(request.id, decision):
        raise twice(request)
    await _record(tx, "request.approved", request, asked)
    voted = await tx.requests.get(request.id)
    standing = ctx.policy.standing(rules[0], request.requester, voted.approved_by)
    await tx.requests.show_steps(
        request.id, steps(ctx.policy, rules[0], request.requester, voted.approved_by)
    )
    await tx.outbox.refresh(request.id)
    if not standing.is_complete:
        still = f"{standing.missing} more to go ({missing(standing)})"
        return Said(voted, f"Your approval of {request.name} counts; {still}.")
    now = await tx.now()
    if not await tx.requests.move(request.id, [State.PENDING], State.APPROVED, decided_at=now):
        raise no(request, f"{request.name} was decided at the same moment.")
    await decided(tx, request)
    await tx.jobs.add(
        RUN[Action(request.action)],
        registry=request.registry,
        # A lock stops what holds the registry now: it must not wait for it.
        exclusive=request.action != Action.LOCK,
        request_id=request.id,
        dedupe=f"run:R{request.id}",
    )
    if request.approval == "required":
        await tx.outbox.thread(request.id, "approved", {"by": asked.actor.user})
    verb = "confirmed" if request.approval == "confirm" else "approved"
    begins = await _begins(tx, request)
    return Said(await tx.requests.get(request.id), f"You {verb} {request.name}; {begins}.")


async def _begins(tx: Transaction, request: Request) -> str:
    """When it begins; its message says so too where another one holds the registry now."""
    busy = await tx.jobs.running_exclusive(request.registry)
    if request.action == Action.LOCK or not busy or not busy[1]:
        return "it starts now"
    why = f"R{busy[1]} is at work on {request.registry}: this one begins when that has ended"
    await tx.requests.change(request.id, progress={**request.progress, "waiting": why})
    return f"it starts when R{busy[1]} has ended"


async def deny(ctx: Context, tx: Transaction, request: Request, asked: Asked) -> Said:
    """One person says no, and that ends the request; refuses as `may_deny` does."""
    if not await may_deny(ctx, tx, request, asked):
        return await _gone(tx, request)
    decision = Decision(asked.actor.user, asked.actor.team, False, asked.reason, 0.0)
    if not await tx.requests.decide(request.id, decision):
        raise twice(request)
    await _end(tx, request, State.DENIED, asked)
    return Said(await tx.requests.get(request.id), f"You denied {request.name}.")


async def may_deny(ctx: Context, tx: Transaction, request: Request, asked: Asked) -> bool:
    """Whether there is something left to deny; False where it has just become outdated.

    Raises
    ------
    Refusal : it is decided already, expired, or this person may not.
    """
    await _still_pending(tx, request)
    rules = await _ground(ctx, tx, request, asked)
    if not rules:
        return False
    own = ctx.policy.person(asked.actor.user) == ctx.policy.person(request.requester)
    if request.approval == "confirm" and not own:
        raise no(request, f"Only <@{request.requester}> decides on {request.name}.")
    if own:
        raise no(
            request,
            f"{request.name} is your own request.",
            f"Use Cancel, or `/registry cancel {request.name}`.",
        )
    why_not = ctx.policy.may_approve(rules[0], asked.actor, requester(request))
    if why_not:
        raise no(request, why_not, f"It needs {who(request)}.")
    refuse_second(ctx, request, asked)
    return True


async def cancel(ctx: Context, tx: Transaction, request: Request, asked: Asked) -> Said:
    """The requester takes it back, as long as it has not begun."""
    if ctx.policy.person(asked.actor.user) != ctx.policy.person(request.requester):
        raise no(
            request,
            f"{request.name} is <@{request.requester}>'s request; only they can cancel it.",
            f'An approver can deny it: `/registry deny {request.name} --reason "…"`.',
        )
    if request.state not in {State.PENDING, State.APPROVED}:
        raise no(
            request,
            f"{request.name} is {request.state}; there is nothing to cancel.",
            f"Use Abort while it runs, or `/registry undo {request.name}` afterwards."
            if request.state is State.RUNNING or request.state.has_changed_something
            else f"`/registry show {request.name}` tells the story.",
        )
    await _end(tx, request, State.CANCELLED, asked)
    return Said(await tx.requests.get(request.id), f"You cancelled {request.name}.")


async def abort(ctx: Context, tx: Transaction, request: Request, asked: Asked) -> Said:
    """Stop a collection that is under way; its requester and approvers may."""
    if request.action != Action.GC:
        raise no(
            request,
            f"{request.name} is not a garbage collection.",
            "A deletion is over in seconds; `undo` brings it back.",
        )
    rule = ctx.policy.rule(request.rule)
    own = ctx.policy.person(asked.actor.user) == ctx.policy.person(request.requester)
    why_not = ctx.policy.may_approve(rule, asked.actor, requester(request)) if rule else "gone"
    if not own and why_not:
        raise no(
            request,
            f"Only <@{request.requester}> and the approvers of {request.name} may abort it.",
            f"It needs {who(request)}.",
        )
    if not await tx.requests.abort(request.id, asked.actor.user):
        raise no(
            request,
            f"{request.name} is {request.state}; there is nothing to abort.",
            f"`/registry show {request.name}` tells the story.",
        )
    await _record(tx, "request.abort_asked", request, asked)
    await tx.outbox.refresh(request.id)
    return Said(request, f"{request.name} is being aborted; the registry is restored next.")


async def expire(tx: Transaction, request: Request) -> bool:
    """End a request that nobody decided in time; False if somebody did."""
    return request.state is State.PENDING and await close(tx, request, State.EXPIRED)


async def outdated(tx: Transaction, request: Request, why: str) -> bool:
    """End a request whose ground has shifted; nothing has been changed for it."""
    people = [request.requester, *request.approved_by]
    told = {"why": why, "people": people}
    return await close(tx, request, State.OUTDATED, why=why, told=told)


async def _still_pending(tx: Transaction, request: Request) -> None:
    if request.state is not State.PENDING:
        raise no(request, how_decided(request), f"`/registry show {request.name}` tells the story.")
    if await tx.now() >= request.expires_at:
        await expire(tx, request)
        raise no(
            request,
            f"{request.name} has expired; nothing was changed.",
            "Ask again with a new request.",
        )


async def _ground(
    ctx: Context, tx: Transaction, request: Request, asked: Asked
) -> tuple[Rule, ...]:
    """The rules that decided, if request and requester still stand; else () and it is outdated."""
    rules = rules_in_force(ctx.policy, request)
    why = "" if rules else changed(request)
    if rules:
        asking = requester_lost(ctx.policy, rules, request)
        if asking.unknown:
            raise may_not(request, asking)
        if not asking.allowed:
            rules, why = (), no_more(asking.rule)
    if why:
        await outdated(tx, request, why)
        await _record(tx, "refused", request, asked, {"what": "decide", "why": why})
    return rules


async def _gone(tx: Transaction, request: Request) -> Said:
    """What a click on a request answers that does not stand any more."""
    now = await tx.requests.get(request.id)
    why = now.result.get("why", "it does not stand any more")
    return Said(now, f"{request.name} is outdated: {why}. Nothing was changed; ask again.")


async def _end(tx: Transaction, request: Request, state: State, asked: Asked) -> None:
    """Somebody ends a request."""
    told = {"by": asked.actor.user, "reason": asked.reason}
    noted = {"by": asked.actor.user}
    if asked.reason:
        noted["reason"] = asked.reason
    if not await close(tx, request, state, told=told, detail=noted, asked=asked):
        raise no(request, f"{request.name} was decided at the same moment.")


async def _record(
    tx: Transaction,
    event: str,
    request: Request,
    asked: Asked,
    more: Mapping[str, str] | None = None,
) -> None:
    detail = {"reason": asked.reason} if asked.reason else {}
    await tx.audit.about(
        request,
        event,
        actor=asked.actor.user,
        team=asked.actor.team,
        channel=asked.channel,
        detail={**detail, **(more or {})},
    )
