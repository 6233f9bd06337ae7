"""Brings tags back, byte-identical, as long as the registry still has their layers.

Layers are checked first and the tag is put last: a tag that comes back is one that can be
pulled. HEAD is never trusted: after a collection on a live registry it answers 200 for layers
that are gone.
"""

import contextlib
from collections.abc import Sequence

from bot.operations import requesting
from bot.operations.context import Asked, Context, Registry
from bot.operations.errors import Refusal, told
from bot.operations.images import parsed
from bot.operations.items import attempting, digest_of, settled, still_ours
from bot.operations.running import announce_end, begin, patient
from bot.registry.errors import (
    Corrupt,
    Forbidden,
    NotFound,
    ProtocolError,
    ReadOnly,
    RegistryError,
    Unauthorized,
    Unsupported,
)
from bot.registry.manifest import Image, Index, RawManifest, is_untag_placeholder
from bot.rules.approval import Draft, Item, ItemState, Request, State, WindowState
from bot.rules.plan import DeletionPlan
from bot.rules.policy import EMERGENCY, Action, Target
from bot.store.jobs import Job
from bot.store.store import Transaction


class Gone(Exception):
    """A part of an image is not there any more."""


async def request_undo(ctx: Context, tx: Transaction, asked: Asked, subject: Request) -> Draft:
    """Ask to put back what request `subject` deleted."""
    if not Action(subject.action).has_plan:
        raise Refusal(
            f"{subject.name} is not a deletion; there is nothing to put back.",
            "`/registry requests --all` lists the deletions.",
        )
    if not subject.state.has_changed_something:
        raise Refusal(
            f"{subject.name} is {subject.state}; it deleted nothing that could come back.",
            f"`/registry show {subject.name}` tells the story.",
        )
    open_ones = await tx.requests.about(subject.id)
    if open_ones:
        raise Refusal(
            f"{open_ones[0].name} is about {subject.name} already and is {open_ones[0].state}.",
            f"Decide on {open_ones[0].name} first.",
        )
    restoring = _deleted_tags(subject)
    if not restoring:
        raise Refusal(
            f"{subject.name} took no tags away.", "A digest without tags has nothing to restore."
        )
    registry = ctx.registry(subject.registry)
    targets = [Target(registry.name, repository, tag) for repository, tag, _ in restoring]
    rules = requesting.judge(ctx, asked, Action.UNDO, targets)
    items = [Item(n, repo, tag, digest) for n, (repo, tag, digest) in enumerate(restoring)]
    plan = {"subject_action": subject.action}
    return requesting.draft(
        ctx, asked, registry, Action.UNDO, rules, plan=plan, items=items, subject=subject.id
    )


async def request_purge_of(ctx: Context, tx: Transaction, asked: Asked, subject: Request) -> Draft:
    """Ask to end the undo window of request `subject` now."""
    windows = [w for w in subject.windows if w.state is WindowState.OPEN]
    if not windows:
        raise Refusal(
            f"{subject.name} has no open undo window.",
            f"It is {subject.state}; `/registry show {subject.name}` tells the story.",
        )
    open_ones = await tx.requests.about(subject.id)
    if open_ones:
        raise Refusal(
            f"{open_ones[0].name} is about {subject.name} already and is {open_ones[0].state}.",
            f"Decide on {open_ones[0].name} first.",
        )
    registry = ctx.registry(subject.registry)
    targets = [Target(registry.name, r, t) for r, t, _ in _deleted_tags(subject)]
    rules = requesting.judge(ctx, asked, Action.PURGE_REQUEST, targets)
    if asked.emergency:
        _refuse_unless_others_agreed(ctx, subject)
    plan = {"windows": [[w.repository, w.digest, w.size] for w in windows]}
    return requesting.draft(
        ctx, asked, registry, Action.PURGE_REQUEST, rules, plan=plan, subject=subject.id
    )


def _refuse_unless_others_agreed(ctx: Context, subject: Request) -> None:
    """In an emergency one person ends only what others have agreed to delete."""
    own = ctx.policy.person(subject.requester)
    others = [u for u in ctx.policy.people.persons(subject.approved_by) if u != own]
    if subject.approval == "required" and len(others) >= subject.approvals_needed:
        return
    if subject.emergency:
        why = "was an emergency itself"
    elif subject.approval == "confirm":
        why = f"was confirmed by its requester alone, by the rule “{subject.rule}”"
    else:
        why = "was approved by its requester as well"
    raise Refusal(
        f"In an emergency only the undo window of a deletion that others approved can be ended, "
        f"and {subject.name} {why}.",
        f"Ask without --emergency: `/registry purge {subject.name}`.",
        rule=EMERGENCY,
        request_id=subject.id,
    )


def _deleted_tags(subject: Request) -> tuple[tuple[str, str, str], ...]:
    done = [i for i in subject.items if i.state is ItemState.DONE]
    if Action(subject.action).untags:
        return tuple((i.repository, i.tag, i.digest) for i in done)
    digests = {(i.repository, i.digest) for i in done}
    plan = DeletionPlan.from_json(subject.plan)
    return tuple(t for t in plan.tags if (t[0], t[2]) in digests)


class Undo:
    """Carries out `undo` requests."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    async def run(self, job: Job) -> None:
        """Put back every tag that is not there and not taken."""
        request = await begin(self._ctx, job, self._nothing_to_recheck)
        if request is None:
            return
        registry = self._ctx.registry(request.registry)
        async with patient(self._ctx, job, request):
            for item in request.items:
                if not item.state.is_settled:
                    state, detail = await self._one(job, request, registry, item)
                    back = state is ItemState.RESTORED
                    event = "tag.restored" if back else "tag.not_restored"
                    await settled(self._ctx, job, request, item, event, state, detail)
        await self._finish(job, request)

    async def _nothing_to_recheck(self, _: Request) -> str:
        return ""  # every tag is looked at right before it is put back

    async def _one(
        self, job: Job, request: Request, registry: Registry, item: Item
    ) -> tuple[ItemState, str]:
        await attempting(self._ctx, job, request, item, "tag.restore_attempted")
        try:
            return await self._put_back(job, registry, item)
        except Gone as gone:
            return ItemState.FAILED, f"it cannot come back: {gone}"
        except NotFound:
            return ItemState.FAILED, "it cannot come back: a part of it is gone"
        except (ReadOnly, Forbidden, Unauthorized, Unsupported, ProtocolError, Corrupt) as error:
            return ItemState.FAILED, told(error)

    async def _put_back(self, job: Job, registry: Registry, item: Item) -> tuple[ItemState, str]:
        current = await digest_of(registry, item)
        if current == item.digest:
            return ItemState.RESTORED, ""
        stray = await _placeholder(registry, item, current)
        if current != stray:
            return ItemState.MOVED, f"the tag is now on {current}, and stays there"
        wanted, below = await self._bytes(item)
        for raw in [*below, wanted]:
            await _check_layers(registry, item.repository, raw)
        for raw in below:
            await self._put(job, registry, item.repository, raw.digest, raw)
        if await digest_of(registry, item) != stray:
            return ItemState.MOVED, "the tag was pushed a moment ago, and stays where it is"
        await self._put(job, registry, item.repository, item.tag, wanted)
        if stray is not None:
            with contextlib.suppress(RegistryError):  # garbage by now, without a tag
                await registry.client.delete_manifest(item.repository, stray)
        for raw in [wanted, *below]:
            await registry.client.manifest(item.repository, raw.digest)
        return ItemState.RESTORED, ""

    async def _put(
        self, job: Job, registry: Registry, repository: str, reference: str, raw: RawManifest
    ) -> None:
        await still_ours(self._ctx, job)
        await registry.client.put_manifest(repository, reference, raw)

    async def _bytes(self, item: Item) -> tuple[RawManifest, list[RawManifest]]:
        """The stored manifest and all below it, the deepest first."""
        async with self._ctx.store.reading() as tx:
            found = await tx.manifests.get([item.digest])
            if item.digest not in found:
                raise Gone("its manifest was never stored")
            below: list[RawManifest] = []
            level: Sequence[RawManifest] = [found[item.digest]]
            while level:
                digests = [c for raw in level for c in _children(raw)]
                children = await tx.manifests.get(digests)
                absent = [d for d in digests if d not in children]
                if absent:
                    raise Gone(f"{absent[0][:19]}, a part of the index, was never stored")
                level = list(children.values())
                below = [*level, *below]
        return found[item.digest], below

    async def _finish(self, job: Job, request: Request) -> None:
        async with self._ctx.store.transaction(job) as tx:
            request = await tx.requests.get(request.id)
            back = {
                (i.repository, i.digest) for i in request.items if i.state is ItemState.RESTORED
            }
            lost = [i for i in request.items if i.state is not ItemState.RESTORED]
            state = State.DONE if not lost else State.PARTLY_DONE if back else State.FAILED
            now = await tx.now()
            await tx.requests.move(request.id, [State.RUNNING], state, finished_at=now)
            if request.subject is not None and back:
                await self._close_windows(tx, request, back)
            await announce_end(tx, job, request, state)

    async def _close_windows(
        self, tx: Transaction, request: Request, back: set[tuple[str, str]]
    ) -> None:
        subject = await tx.requests.get(request.subject or 0)
        for window in subject.windows:
            if (window.repository, window.digest) in back:
                await tx.windows.settle(
                    subject.id, window.repository, window.digest, WindowState.UNDONE
                )
        subject = await tx.requests.get(subject.id)
        if not any(w.state is WindowState.OPEN for w in subject.windows):
            await tx.jobs.drop("end window", subject.id)
            await tx.requests.move(subject.id, [subject.state], State.UNDONE)
        await tx.outbox.refresh(subject.id)
        await tx.outbox.thread(subject.id, "undone", {"by": request.name})


async def _placeholder(registry: Registry, item: Item, current: str | None) -> str | None:
    """The digest behind the tag, where it is only what an untagging pushed too late and left.

    A process that was paused may do so, and be killed before it takes that back.
    """
    if current is None:
        return None
    try:
        raw = await registry.client.manifest(item.repository, current)
    except NotFound:
        return None
    return current if is_untag_placeholder(raw) else None


async def _check_layers(registry: Registry, repository: str, raw: RawManifest) -> None:
    manifest = parsed(raw)
    if not isinstance(manifest, Image):
        return
    for blob in manifest.blobs:
        try:
            await registry.client.check_blob(repository, blob)
        except (NotFound, Corrupt) as error:
            raise Gone(
                f"{blob.digest[:19]}, a layer, is gone; a garbage collection has run since"
            ) from error


def _children(raw: RawManifest) -> list[str]:
    manifest = parsed(raw)
    return [c.digest for c in manifest.children] if isinstance(manifest, Index) else []
