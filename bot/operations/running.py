"""How every approved request begins and ends, whatever it does in between."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace

from bot.operations import approvals, eligibility
from bot.operations.closing import close
from bot.operations.context import Context
from bot.operations.errors import Undecided, told
from bot.operations.locked import standing_in_the_way
from bot.operations.worker import TryLater
from bot.registry.errors import ProtocolError, RateLimited, RegistryError, Unreachable
from bot.rules.approval import Item, ItemState, Request, State, WindowState
from bot.rules.plan import DeletionPlan
from bot.rules.policy import Action
from bot.store.jobs import Job
from bot.store.store import Transaction

END_WINDOW = "end window"


async def begin(
    ctx: Context, job: Job, recheck: Callable[[Request], Awaitable[str]]
) -> Request | None:
    """Move an approved request to running, or find it running after a crash.

    Parameters
    ----------
    recheck : says what has changed in the registry since the plan ("" for nothing). It runs
        before the first change only.

    Returns
    -------
    The running request; None where there is nothing to do (the job is finished then).

    Raises
    ------
    TryLater : the registry does not answer, or Slack does not tell whose approval still counts,
        and there is time left.
    """
    if job.request_id is None:
        return None
    async with ctx.store.reading() as tx:
        request = await tx.requests.get(job.request_id)
    if request.state is State.RUNNING:
        return request
    if request.state is not State.APPROVED:
        return None
    if await _too_late(ctx, job, request):
        return None
    await ctx.refresh()
    try:
        async with patient(ctx, job, request):
            why = eligibility.lost(ctx, request) or await recheck(request)
    except RegistryError as error:
        await fail(ctx, job, request, told(error))
        return None
    async with ctx.store.transaction(job) as tx:
        lock = await standing_in_the_way(tx, request)
        why = why or (lock.sentence if lock else "")
        if why:
            await approvals.outdated(tx, request, why)
            await tx.jobs.finish(job)
            return None
        if not await tx.requests.move(request.id, [State.APPROVED], State.RUNNING, progress={}):
            return None
        await tx.audit.about(request, "request.started")
        await tx.outbox.refresh(request.id)
        return await tx.requests.get(request.id)


@contextlib.asynccontextmanager
async def patient(ctx: Context, job: Job, request: Request) -> AsyncIterator[None]:
    """Wait for a registry that does not answer, or answers nonsense, and show that we do.

    The same while nobody can tell whether the request may still run.

    What is half-done (a placeholder over a tag) must be finished, so there is no end to this;
    before the first change `execute_within` ends it.
    """
    try:
        yield
    except (Unreachable, RateLimited, ProtocolError, Undecided) as error:
        async with ctx.store.transaction(job) as tx:
            await tx.requests.change(
                request.id, progress={**request.progress, "waiting": error.sentence}
            )
            await tx.outbox.refresh(request.id)
        raise TryLater(ctx.timing.retry) from error


async def _too_late(ctx: Context, job: Job, request: Request) -> bool:
    """Whether `execute_within` has passed, not counting time in the queue for the registry."""
    async with ctx.store.transaction(job) as tx:
        decided = request.decided_at or request.created_at
        waited = await tx.jobs.busy_seconds(request.registry, decided, job.id)
        if await tx.now() - decided - waited <= request.execute_within:
            return False
        late = {"late": True}
        why = "it could not be carried out in time after the approval"
        await close(tx, request, State.EXPIRED, why=why, told=late, detail=late)
        await tx.jobs.finish(job)
        return True


async def fail(ctx: Context, job: Job, request: Request, why: str) -> None:
    """End a request that could not be carried out, and tell why."""
    async with ctx.store.transaction(job) as tx:
        await fail_in(tx, request, why)
        await tx.jobs.finish(job, "failed")


async def fail_in(tx: Transaction, request: Request, why: str) -> None:
    """The same inside a transaction."""
    current = await tx.requests.get(request.id)
    if current.state is State.APPROVED and await tx.requests.move(
        request.id, [State.APPROVED], State.RUNNING
    ):
        current = replace(current, state=State.RUNNING)
    if current.state is State.RUNNING:
        await close(tx, current, State.FAILED, why=why, told={"why": why})


async def give_up(ctx: Context, job: Job, why: str) -> None:
    """The attempts are used up: settle what was left half-done, and say so.

    Tags already deleted keep their undo window; an item that was under way is reported as
    failed, with what is known of it.
    """
    if job.request_id is None:
        return
    async with ctx.store.reading() as tx:
        request = await tx.requests.get(job.request_id)
    if request.state not in {State.APPROVED, State.RUNNING}:
        return
    note = f"The bot gave up after several attempts ({why}); its log has the details."
    if any(item.state is ItemState.DONE for item in request.items):
        await finish_running(ctx, job, request, _unfinished(request, note))
    else:
        async with ctx.store.transaction(job) as tx:
            for position, (state, detail) in _unfinished(request, note).items():
                await tx.requests.set_item(request.id, position, state, detail=detail)
        await fail(ctx, job, request, note)


def _unfinished(request: Request, note: str) -> dict[int, tuple[ItemState, str]]:
    left = {}
    for item in request.items:
        if item.state.is_settled:
            continue
        stray = (
            f" The tag may show a placeholder; its image is {item.digest}."
            if item.placeholder
            else ""
        )
        left[item.position] = (ItemState.FAILED, f"{note}{stray}")
    return left


async def finish_running(
    ctx: Context,
    job: Job,
    request: Request,
    changes: Mapping[int, tuple[ItemState, str]],
) -> None:
    """Write down how a deletion ended, open its undo windows, and queue their end."""
    async with ctx.store.transaction(job) as tx:
        for position, (ended, detail) in changes.items():
            await tx.requests.set_item(request.id, position, ended, detail=detail)
        items = [
            replace(i, state=changes[i.position][0]) if i.position in changes else i
            for i in request.items
        ]
        now = await tx.now()
        state = _end_state(items)
        done = {(i.repository, i.digest) for i in items if i.state is ItemState.DONE}
        until = now + request.undo_window if done else None
        await tx.requests.move(
            request.id, [State.RUNNING], state, finished_at=now, undo_until=until
        )
        if until is not None:
            await _open_windows(tx, request, done, until)
        await announce_end(tx, job, request, state, undo_until=until)


async def announce_end(
    tx: Transaction, job: Job, request: Request, state: State, **facts: float | None
) -> None:
    """The end of a request: audit, message, thread, and the job with them."""
    request = await tx.requests.get(request.id)
    outcomes = [[i.repository, i.tag, i.digest, i.state, i.detail] for i in request.items]
    await tx.audit.about(
        request, "request.finished", detail={"state": state, "items": outcomes, **facts}
    )
    await tx.outbox.refresh(request.id)
    await tx.outbox.thread(request.id, "finished", {})
    await tx.jobs.finish(job)


def _end_state(items: list[Item]) -> State:
    states = [item.state for item in items]
    if all(state is ItemState.DONE for state in states):
        return State.DONE
    if any(state is ItemState.DONE for state in states):
        return State.PARTLY_DONE
    if all(state in {ItemState.MOVED, ItemState.LOCKED} for state in states):
        return State.OUTDATED
    return State.FAILED


def _own_bytes(request: Request) -> dict[tuple[str, str], int]:
    """What each digest of the plan frees, by repository and digest."""
    return {(d.repository, d.digest): d.frees for d in DeletionPlan.from_json(request.plan).digests}


async def _open_windows(
    tx: Transaction, request: Request, done: set[tuple[str, str]], until: float
) -> None:
    sizes = _own_bytes(request)
    for repository, digest in sorted(done):
        await tx.windows.open(
            request.id,
            request.registry,
            repository,
            digest,
            until=until,
            size=sizes.get((repository, digest), 0),
        )
    await tx.jobs.add(
        END_WINDOW,
        registry=request.registry,
        exclusive=True,
        request_id=request.id,
        at=until,
        dedupe=f"window:R{request.id}",
    )


async def finish_purge(ctx: Context, job: Job, request: Request) -> None:
    """Write down how a purge ended. What went can be put back until the next collection."""
    async with ctx.store.transaction(job) as tx:
        request = await tx.requests.get(request.id)
        now = await tx.now()
        state = State.DONE
        if request.action == Action.PURGE:
            ended = _end_state(list(request.items))
            state = State.PURGED if ended is State.DONE else ended
            sizes = _own_bytes(request)
            for item in request.items:
                if item.state is ItemState.DONE:
                    key = (item.repository, item.digest)
                    await tx.windows.open(
                        request.id, request.registry, *key, until=now, size=sizes.get(key, 0)
                    )
                    await tx.windows.settle(request.id, *key, WindowState.PURGED)
        await tx.requests.move(request.id, [State.RUNNING], state, finished_at=now)
        await announce_end(tx, job, request, state)
