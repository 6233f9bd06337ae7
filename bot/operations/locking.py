"""Locks: asking for one, carrying it out, its end, and what it stands in the way of.

A lock never stops what it is asked beside: it is looked at when a request is made, when it
begins, before each of its items, and before each digest that goes at the end of an undo window.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from bot.operations import locked, requesting
from bot.operations.context import Asked, Context, Registry
from bot.operations.errors import Refusal
from bot.operations.images import ImageReader
from bot.operations.running import announce_end, begin
from bot.rules.approval import Draft, Request, State
from bot.rules.locks import Lock
from bot.rules.policy import Action, Target
from bot.store.jobs import Job
from bot.store.store import Transaction

LOCK_ENDS = "lock ends"
_LISTED = 10


async def request_lock(
    ctx: Context, asked: Asked, registry: Registry, repository: str, seconds: float | None
) -> Draft:
    """Ask to lock a repository, or with "" the whole registry, for `seconds` or without an end.

    Raises
    ------
    Refusal : there is no such repository, it is locked already, or the policy forbids it.
    RegistryError : the registry does not answer.
    """
    if repository:
        await ImageReader(ctx.store, registry).tags(repository)
    rules = requesting.judge(ctx, asked, Action.LOCK, _targets(registry.name, repository))
    plan = {"verb": "lock", "repository": repository, "seconds": seconds}
    return requesting.draft(ctx, asked, registry, Action.LOCK, rules, plan=plan)


async def request_unlock(ctx: Context, asked: Asked, registry: Registry, repository: str) -> Draft:
    """Ask to end the lock of a repository, or with "" that of the whole registry.

    Raises
    ------
    Refusal : it is not locked, or the policy forbids it.
    """
    async with ctx.store.reading() as tx:
        held = await tx.locks.active(registry.name)
    found = next((lock for lock in held if lock.repository == repository), None)
    if found is None:
        raise _not_locked(registry.name, repository, held)
    rules = requesting.judge(ctx, asked, Action.LOCK, _targets(registry.name, repository))
    plan = {
        "verb": "unlock",
        "repository": repository,
        "lock": found.id,
        "name": found.name,
        "reason": found.reason,
        "by": found.actor,
    }
    return requesting.draft(ctx, asked, registry, Action.LOCK, rules, plan=plan)


def _targets(registry: str, repository: str) -> list[Target]:
    return [Target(registry, repository, None)] if repository else []


def _not_locked(registry: str, repository: str, held: Iterable[Lock]) -> Refusal:
    locks = list(held)
    if not locks:
        return Refusal(f"Nothing is locked on {registry}.", "There is nothing to unlock.")
    whole = next((lock for lock in locks if not lock.repository), None)
    if repository and whole:
        return Refusal(
            f"{repository} has no lock of its own; {whole.sentence}.",
            f"`{whole.unlock}` ends that one.",
        )
    names = ", ".join(lock.repository or "--all" for lock in locks[:_LISTED])
    more = f" and {len(locks) - _LISTED} more" if len(locks) > _LISTED else ""
    what = repository or f"All of {registry}"
    return Refusal(
        f"{what} is not locked. Locked are: {names}{more}.", "`/registry locks` tells more."
    )


async def submit(tx: Transaction, wanted: Draft) -> Request:
    """Store a request of either kind, unless it is locked by now or another asks for the same.

    Raises
    ------
    Refusal : so it is.
    """
    repository = str(wanted.plan["repository"])
    if wanted.plan["verb"] == "lock":
        held = await tx.locks.on(wanted.registry, repository)
        if held is not None:
            raise locked.refusal(held, "Nothing to do:")
    for other in await tx.requests.open_on(wanted.registry, Action.LOCK):
        same = ("verb", "repository")
        if all(other.plan.get(key) == wanted.plan[key] for key in same):
            raise Refusal(
                f"{other.name} asks for the same already; it is {other.state}.",
                f"`/registry show {other.name}` tells more.",
            )
    return await requesting.submit(tx, wanted)


class Locking:
    """Carries out `lock` and `unlock`, and ends locks whose time is over."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    async def run(self, job: Job) -> None:
        """Carry out an approved request."""
        request = await begin(self._ctx, job, self._recheck)
        if request is None:
            return
        async with self._ctx.store.transaction(job) as tx:
            carry_out = _lock if request.plan["verb"] == "lock" else _unlock
            why = await carry_out(tx, request)
            state = State.FAILED if why else State.DONE
            result: Mapping[str, Any] = {"why": why} if why else {}
            now = await tx.now()
            await tx.requests.move(
                request.id, [State.RUNNING], state, finished_at=now, result=result
            )
            await announce_end(tx, job, request, state)

    async def _recheck(self, request: Request) -> str:
        async with self._ctx.store.reading() as tx:
            return await _why_not(tx, request)

    async def end(self, job: Job) -> None:
        """The time of a lock is over: say so."""
        async with self._ctx.store.transaction(job) as tx:
            lock = await tx.locks.get(int(job.payload.get("lock", 0)))
            if lock is not None and await tx.locks.end(lock.id):
                request = await tx.requests.get(lock.request_id)
                await tx.audit.about(
                    request,
                    "lock.expired",
                    repository=lock.repository,
                    detail={"lock": lock.name, "reason": lock.reason},
                )
                await tx.outbox.thread(request.id, "lock ended", {})
            await tx.jobs.finish(job)


async def _why_not(tx: Transaction, request: Request) -> str:
    """Why a request to lock or unlock is pointless by now; "" if it is not."""
    repository = str(request.plan["repository"])
    held = await tx.locks.on(request.registry, repository)
    if request.plan["verb"] == "lock":
        return held.sentence if held else ""
    if held is None or held.id != request.plan["lock"]:
        return f"the lock {request.plan['name']} has ended already"
    return ""


async def _lock(tx: Transaction, request: Request) -> str:
    why = await _why_not(tx, request)
    if why:
        return why
    lock = await tx.locks.add(
        request.registry,
        str(request.plan["repository"]),
        reason=request.reason,
        actor=request.requester,
        team=request.team,
        channel=request.channel,
        request_id=request.id,
        seconds=request.plan["seconds"],
    )
    if lock.until is not None:
        await tx.jobs.add(LOCK_ENDS, {"lock": lock.id}, request_id=request.id, at=lock.until)
    await tx.audit.about(
        request,
        "lock.set",
        repository=lock.repository,
        detail={"lock": lock.name, "reason": lock.reason, "until": lock.until},
    )
    return ""


async def _unlock(tx: Transaction, request: Request) -> str:
    why = await _why_not(tx, request)
    lock = await tx.locks.get(request.plan["lock"])
    if why or lock is None:
        return why or "there is no such lock"
    await tx.locks.end(lock.id, request.requester)
    await tx.audit.about(
        request,
        "lock.ended",
        repository=lock.repository,
        detail={"lock": lock.name, "reason": lock.reason, "set_by": lock.actor},
    )
    await tx.jobs.drop(LOCK_ENDS, lock.request_id)
    told = {"by": request.requester, "request": request.name}
    await tx.outbox.thread(lock.request_id, "lock ended", told)
    return ""
