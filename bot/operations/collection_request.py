"""Asking for a collection: what a dry run finds, and what stands in its way."""

import asyncio
from dataclasses import dataclass
from typing import Any

from bot.gc.errors import GcError
from bot.gc.executor import Executor
from bot.operations import emptying, requesting, untagged
from bot.operations.context import Asked, Context, Registry
from bot.operations.errors import Refusal, told
from bot.rules.approval import Draft, Request, State
from bot.rules.policy import Action


@dataclass(frozen=True, slots=True)
class Preview:
    """What a dry run found: counts, bytes (None where `unmeasured` says why nobody can tell).

    `proof` tells what was read to prove that no tag needs the manifests; None where nothing was
    (`unproven` then says why, unless it need not be).
    """

    blobs: int
    manifests: tuple[str, ...]
    size: int | None
    summary: str
    unmeasured: str = ""
    proof: untagged.Proven | None = None
    unproven: str = ""


def collector_of(registry: Registry) -> Executor:
    """The registry's collector; refuses with the reason where there is none."""
    reason = registry.collector.refusal() if registry.collector else registry.gc_note
    if registry.collector is None or reason:
        raise Refusal(
            f"The bot cannot collect garbage on {registry.name}: {reason}",
            "`registry-bot check` shows what is missing in [registries.gc].",
        )
    return registry.collector


async def preview(
    ctx: Context, registry: Registry, *, delete_untagged: bool, name: str, limited: bool = True
) -> Preview:
    """A dry run beside the live registry. It changes nothing; counts may move with pushes.

    Parameters
    ----------
    name : names its output files.
    limited : end it when somebody would wait too long for an answer.

    Raises
    ------
    Refusal : there is no collector, one is at work, or `delete_untagged` would be unsafe.
    GcError : the dry run failed.
    """
    collector = collector_of(registry)
    if delete_untagged:
        await untagged.gate(ctx, registry, collector)
    async with ctx.store.reading() as tx:
        running = await tx.jobs.running_exclusive(registry.name)
    at_work = Refusal(
        f"A collection is at work on {registry.name} right now.", "`/registry status` tells which."
    )
    if running and running[0] == "collect":
        raise at_work
    if (reason := await obstacle_of(collector)) is not None:
        raise Refusal(
            f"Garbage on {registry.name} cannot be collected now: {reason}",
            "`registry-bot check` looks again.",
        )
    if await collector.collecting():
        raise at_work
    report = await collector.collect(
        dry_run=True,
        delete_untagged=delete_untagged,
        job=name,
        on_progress=None,
        abort=None,
        timeout=ctx.timing.preview if limited else None,
    )
    collector.forget(name)
    proof, unproven = None, ""
    if delete_untagged and untagged.can_be_proven(collector):
        try:
            async with asyncio.timeout(ctx.timing.preview if limited else None):
                proof = await untagged.prove(ctx, registry, report.eligible_manifests)
        except TimeoutError:
            unproven = f"not every tag could be read within {ctx.timing.preview:.0f} seconds"
    sizes = await collector.blob_sizes(report.eligible_blobs)
    return Preview(
        len(report.eligible_blobs),
        tuple(sorted(report.manifest_digests)),
        sum(sizes.values()) if sizes is not None else None,
        report.summary,
        collector.unmeasured,
        proof,
        unproven,
    )


def _as_json(seen: Preview) -> dict[str, Any]:
    """What the plan pins of a preview."""
    value = {"blobs": seen.blobs, "manifests": list(seen.manifests), "bytes": seen.size}
    if seen.proof is not None:
        value["proof"] = seen.proof.counts()
    if seen.unproven:
        value["unproven"] = seen.unproven
    return value


async def obstacle_of(collector: Executor) -> str | None:
    """What stands in the way of a collection at present, also that nobody can tell."""
    try:
        return await collector.obstacle()
    except GcError as error:
        return told(error)


def _waits_behind(other: Request, asked: Asked) -> bool:
    """Whether an emergency does not mind: somebody else asked, and nobody has agreed to it yet."""
    undecided = other.state is State.PENDING and other.requester != asked.actor.user
    return asked.emergency and undecided


async def request_collection(
    ctx: Context,
    asked: Asked,
    registry: Registry,
    *,
    delete_untagged: bool,
    name: str,
    remove_empty: bool = False,
    instead_of: int = 0,
) -> Draft:
    """Ask for a collection, with a dry run as far as there is time for one.

    Parameters
    ----------
    name : names the output files of the dry run.
    remove_empty : the empty repositories that are found go, too.
    instead_of : the pending request that this one replaces.
    """
    collector = collector_of(registry)
    rules = requesting.judge(ctx, asked, Action.GC, [])
    async with ctx.store.reading() as tx:
        others = [
            other
            for other in await tx.requests.open_on(registry.name, Action.GC)
            if other.id != instead_of and not _waits_behind(other, asked)
        ]
        windows = await tx.windows.open_on(registry.name)
    if others:
        raise Refusal(
            f"{others[0].name} asks for a collection of {registry.name} already; it is "
            f"{others[0].state}.",
            f"`/registry show {others[0].name}` tells more.",
        )
    seen: Preview | None = None
    note = ""
    try:
        seen = await preview(ctx, registry, delete_untagged=delete_untagged, name=name)
    except GcError as error:
        if delete_untagged:
            raise Refusal(f"The dry run failed: {error.sentence}", error.hint) from error
        note = f"No preview: {error.sentence}"
    empty = await emptying.look(ctx, registry)
    by_request: dict[int, int] = {}
    for window in windows:
        by_request[window.request] = by_request.get(window.request, 0) + window.size
    plan: dict[str, Any] = {
        "delete_untagged": delete_untagged,
        "preview": None if seen is None else _as_json(seen),
        "note": note,
        "windows": [[number, size] for number, size in by_request.items()],
        "until": {str(w.request): w.until for w in windows},
        "mode": collector.mode,
        "unsafe": collector.is_live,
        "empty": empty,
        emptying.PLANNED: empty["names"] if empty and remove_empty else [],
    }
    if instead_of:
        plan["replaces"] = instead_of
    return requesting.draft(ctx, asked, registry, Action.GC, rules, plan=plan)
