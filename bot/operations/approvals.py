"""Deciding: approve, deny, cancel, abort, expire. Every decision is one compare-and-set."""

from dataclasses import dataclass

from bot.operations.context import Asked, Context
from bot.operations.errors import Refusal
from bot.rules.approval import Decision, Request, State, is_complete
from bot.rules.policy import Action, Actor, Rule
from bot.store.store import Transaction

RUN = {
    Action.DELETE: "untag",
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
    Refusal : it is decided already, expired, its rule has changed, or this person may not.
    """
    await _still_pending(tx, request)
    rule = await _same_rule(ctx, tx, request)
    if rule is None:
        return Said(
            await tx.requests.get(request.id),
            f"{request.name} is outdated: {_changed(request)}. Nothing was changed; ask again.",
        )
    requester = Actor(request.requester, request.team)
    why_not = _why_not(ctx, rule, request, asked.actor, requester)
    if why_not:
        raise _no(why_not, f"It needs {_who(request)}.")
    decision = Decision(asked.actor.user, asked.actor.team, True, asked.reason, 0.0)
    if not await tx.requests.decide(request.id, decision):
        raise _no(f"You have decided on {request.name} already.", "One person counts once.")
    await _record(tx, "request.approved", request, asked)
    decided = await tx.requests.get(request.id)
    if not is_complete(decided, decided.decisions):
        missing = request.approvals_needed - len(decided.approved_by)
        await tx.outbox.refresh(request.id)
        return Said(decided, f"Your approval of {request.name} counts; {missing} more to go.")
    now = await tx.now()
    if not await tx.requests.move(request.id, [State.PENDING], State.APPROVED, decided_at=now):
        raise _no(f"{request.name} was decided at the same moment.", "")
    await tx.jobs.drop("expire", request.id)
    await tx.jobs.add(
        RUN[Action(request.action)],
        registry=request.registry,
        # A lock stops what holds the registry now: it must not wait for it.
        exclusive=request.action != Action.LOCK,
        request_id=request.id,
        dedupe=f"run:R{request.id}",
    )
    await tx.outbox.refresh(request.id)
    if request.approval == "required":
        await tx.outbox.thread(request.id, "approved", {"by": asked.actor.user})
    verb = "confirmed" if request.approval == "confirm" else "approved"
    return Said(await tx.requests.get(request.id), f"You {verb} {request.name}; it starts now.")


async def deny(ctx: Context, tx: Transaction, request: Request, asked: Asked) -> Said:
    """One person says no, and that ends the request; refuses as `may_deny` does."""
    if not await may_deny(ctx, tx, request, asked):
        return Said(await tx.requests.get(request.id), f"{request.name} is outdated already.")
    decision = Decision(asked.actor.user, asked.actor.team, False, asked.reason, 0.0)
    if not await tx.requests.decide(request.id, decision):
        raise _no(f"You have decided on {request.name} already.", "One person counts once.")
    await _end(tx, request, State.DENIED, asked, "request.denied", {"by": asked.actor.user})
    return Said(await tx.requests.get(request.id), f"You denied {request.name}.")


async def may_deny(ctx: Context, tx: Transaction, request: Request, asked: Asked) -> bool:
    """Whether there is something left to deny; False where it has just become outdated.

    Raises
    ------
    Refusal : it is decided already, expired, or this person may not.
    """
    await _still_pending(tx, request)
    rule = await _same_rule(ctx, tx, request)
    if rule is None:
        return False
    if request.approval == "confirm" and asked.actor.user != request.requester:
        raise _no(f"Only <@{request.requester}> decides on {request.name}.", "")
    if asked.actor.user == request.requester:
        raise _no(
            f"{request.name} is your own request.",
            f"Use Cancel, or `/registry cancel {request.name}`.",
        )
    why_not = _why_not(ctx, rule, request, asked.actor, Actor(request.requester, request.team))
    if why_not:
        raise _no(why_not, f"It needs {_who(request)}.")
    if any(d.user == asked.actor.user for d in request.decisions):
        raise _no(f"You have decided on {request.name} already.", "One person counts once.")
    return True


async def cancel(_: Context, tx: Transaction, request: Request, asked: Asked) -> Said:
    """The requester takes it back, as long as it has not begun."""
    if (asked.actor.user, asked.actor.team) != (request.requester, request.team):
        raise _no(
            f"{request.name} is <@{request.requester}>'s request; only they can cancel it.",
            f'An approver can deny it: `/registry deny {request.name} --reason "…"`.',
        )
    if request.state not in {State.PENDING, State.APPROVED}:
        raise _no(
            f"{request.name} is {request.state}; there is nothing to cancel.",
            f"Use Abort while it runs, or `/registry undo {request.name}` afterwards."
            if request.state is State.RUNNING or request.state.has_changed_something
            else f"`/registry show {request.name}` tells the story.",
        )
    await _end(tx, request, State.CANCELLED, asked, "request.cancelled", {"by": asked.actor.user})
    return Said(await tx.requests.get(request.id), f"You cancelled {request.name}.")


async def abort(ctx: Context, tx: Transaction, request: Request, asked: Asked) -> Said:
    """Stop a collection that is under way; its requester and approvers may."""
    if request.action != Action.GC:
        raise _no(
            f"{request.name} is not a garbage collection.",
            "A deletion is over in seconds; `undo` brings it back.",
        )
    rule = ctx.policy.rule(request.rule)
    own = (asked.actor.user, asked.actor.team) == (request.requester, request.team)
    eligible = rule is not None and asked.actor.user in ctx.policy.approvers(rule)
    if not own and not eligible:
        raise _no(
            f"Only <@{request.requester}> and the approvers of {request.name} may abort it.",
            f"It needs {_who(request)}.",
        )
    if not await tx.requests.abort(request.id, asked.actor.user):
        raise _no(
            f"{request.name} is {request.state}; there is nothing to abort.",
            f"`/registry show {request.name}` tells the story.",
        )
    await _record(tx, "request.abort_asked", request, asked)
    await tx.outbox.refresh(request.id)
    return Said(request, f"{request.name} is being aborted; the registry is restored next.")


async def expire(tx: Transaction, request: Request) -> bool:
    """End a request that nobody decided in time; False if somebody did."""
    if not await tx.requests.move(
        request.id, [State.PENDING], State.EXPIRED, finished_at=await tx.now()
    ):
        return False
    await tx.audit.about(request, "request.expired")
    await tx.outbox.refresh(request.id)
    await tx.outbox.thread(request.id, "expired", {})
    return True


async def outdated(tx: Transaction, request: Request, why: str) -> bool:
    """End a request whose ground has shifted; nothing has been changed for it."""
    now = await tx.now()
    if not await tx.requests.move(
        request.id,
        [request.state],
        State.OUTDATED,
        finished_at=now,
        result={"why": why},
    ):
        return False
    await tx.jobs.drop("expire", request.id)
    await tx.audit.about(request, "request.outdated", detail={"why": why})
    await tx.outbox.refresh(request.id)
    await tx.outbox.thread(
        request.id,
        "outdated",
        {"why": why, "people": [request.requester, *request.approved_by]},
    )
    return True


def lost_approval(ctx: Context, request: Request) -> str:
    """Why an approved request may no longer run by today's policy; "" if it may."""
    rule = _rule_in_force(ctx, request)
    if rule is None:
        return _changed(request)
    if request.approval == "confirm":
        return ""
    requester = Actor(request.requester, request.team)
    counted = [
        d
        for d in request.decisions
        if d.approves and not ctx.policy.may_approve(rule, Actor(d.user, d.team), requester)
    ]
    if len({(d.team, d.user) for d in counted}) < request.approvals_needed:
        return "an approver has lost the right to approve since"
    return ""


async def _still_pending(tx: Transaction, request: Request) -> None:
    if request.state is not State.PENDING:
        raise _no(_decided(request), f"`/registry show {request.name}` tells the story.")
    if await tx.now() >= request.expires_at:
        await expire(tx, request)
        raise _no(
            f"{request.name} has expired; nothing was changed.", "Ask again with a new request."
        )


def _no(sentence: str, hint: str = "") -> Refusal:
    """A refusal in the bot's own words: ids, numbers and names of rules."""
    return Refusal(sentence, hint, names_people=True)


def _decided(request: Request) -> str:
    last = request.decisions[-1] if request.decisions else None
    by = f" by <@{last.user}>" if last else ""
    if request.state in {State.CANCELLED, State.EXPIRED, State.OUTDATED}:
        return f"{request.name} is {request.state}; nothing was changed."
    if request.state is State.DENIED:
        return f"{request.name} is already denied{by}."
    return f"{request.name} is already decided{by}; it is {request.state}."


async def _same_rule(ctx: Context, tx: Transaction, request: Request) -> Rule | None:
    rule = _rule_in_force(ctx, request)
    if rule is None:
        await outdated(tx, request, _changed(request))
    return rule


def _rule_in_force(ctx: Context, request: Request) -> Rule | None:
    """The rule that decided, if it still says what it said."""
    rule = ctx.policy.rule(request.rule)
    same = rule is not None and rule.fingerprint == request.rule_fingerprint
    return rule if same else None


def _changed(request: Request) -> str:
    return f"the rule {request.rule} has changed since"


def _why_not(ctx: Context, rule: Rule, request: Request, actor: Actor, requester: Actor) -> str:
    if request.approval == "confirm":
        if (actor.user, actor.team) == (requester.user, requester.team):
            return ""
        return f"{request.name} waits for <@{requester.user}> alone to confirm it."
    return ctx.policy.may_approve(rule, actor, requester)


def _who(request: Request) -> str:
    if request.approval == "confirm":
        return f"<@{request.requester}>"
    people = ", ".join(f"<@{user}>" for user in request.approvers[:10])
    return f"{request.approvals_needed} of {people}" if people else "an approver"


async def _end(
    tx: Transaction,
    request: Request,
    state: State,
    asked: Asked,
    event: str,
    data: dict[str, str],
) -> None:
    moved = await tx.requests.move(request.id, [request.state], state, finished_at=await tx.now())
    if not moved:
        raise _no(f"{request.name} was decided at the same moment.", "")
    await tx.jobs.drop("expire", request.id)
    await _record(tx, event, request, asked)
    await tx.outbox.refresh(request.id)
    await tx.outbox.thread(request.id, str(state), {**data, "reason": asked.reason})


async def _record(tx: Transaction, event: str, request: Request, asked: Asked) -> None:
    await tx.audit.about(
        request,
        event,
        actor=asked.actor.user,
        team=asked.actor.team,
        channel=asked.channel,
        detail={"reason": asked.reason} if asked.reason else {},
    )
