"""Deletes digests for good: at the end of an undo window, or at once by `purge REF`.

A digest is *held* while anything still needs it: a tag, a tagged index, another open undo
window, or a protection that covers the tags it had. Otherwise it goes, parents before children,
together with the untagged children that nothing above needs: a plain collection would keep
those for ever, because every manifest in the repository keeps its layers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from bot.operations.context import Context, Registry
from bot.operations.errors import told
from bot.operations.images import ImageReader, parsed
from bot.operations.recheck import recheck
from bot.operations.running import begin, fail, finish_purge, patient
from bot.operations.worker import TryLater
from bot.registry.errors import DeleteDisabled, Forbidden, NotFound, ReadOnly, Unauthorized
from bot.registry.manifest import Index
from bot.rules.approval import Item, ItemState, Request, State, Window, WindowState
from bot.rules.locks import covering
from bot.rules.plan import DeletionPlan, Snapshot
from bot.rules.policy import Action, Target
from bot.store.jobs import Job

_NO_WAY = (DeleteDisabled, Forbidden, Unauthorized)


@dataclass(frozen=True, slots=True)
class Needs:
    """What must stay in one repository, and because of what."""

    snapshot: Snapshot
    windows: dict[str, str]
    reserved: dict[str, str]

    def holder(self, digest: str) -> str:
        """Who still needs a digest, in words; "" if nobody does."""
        tags = self.snapshot.tags_on(digest)
        if tags:
            return f"the tag {self.snapshot.repository}:{tags[0]}"
        return self.above(digest) or self.windows.get(digest) or self.reserved.get(digest) or ""

    def above(self, digest: str) -> str:
        """The tagged index that contains a digest, in words; "" if there is none."""
        for parent in self.snapshot.parents(digest):
            tags = self.snapshot.tags_on(parent)
            if tags:
                return f"the multi-arch image {self.snapshot.repository}:{tags[0]}"
        return ""


def _outcomes(windows: Iterable[Window]) -> list[list[str]]:
    """What became of each digest, for the audit trail."""
    return [[w.repository, w.digest, w.state, w.holder] for w in windows]


class Purge:
    """Carries out `purge REF` and the end of undo windows."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    async def run(self, job: Job) -> None:
        """`purge REF`: the digests of an approved request."""
        request = await begin(self._ctx, job, partial(recheck, self._ctx))
        if request is None:
            return
        registry = self._ctx.registry(request.registry)
        async with patient(self._ctx, job, request):
            await self._keep(registry, request.items)
            for repository in dict.fromkeys(i.repository for i in request.items):
                items = [i for i in request.items if i.repository == repository]
                await self._items(job, request, registry, repository, items)
            await finish_purge(self._ctx, job, request)

    async def _keep(self, registry: Registry, items: Iterable[Item]) -> None:
        """Store the bytes of everything that goes: undo works until the next collection."""
        reader = ImageReader(self._ctx.store, registry)
        by_repository: dict[str, set[str]] = {}
        for item in items:
            by_repository.setdefault(item.repository, set()).add(item.digest)
        for repository, digests in by_repository.items():
            await reader.read(repository, digests)

    async def _items(
        self,
        job: Job,
        request: Request,
        registry: Registry,
        repository: str,
        items: Sequence[Item],
    ) -> None:
        plan = DeletionPlan.from_json(request.plan)
        named = {(d.repository, d.digest): set(d.tags) for d in plan.digests}
        order = await self._parents_first(i.digest for i in items)
        for item in sorted(items, key=lambda i: order.index(i.digest)):
            if item.state.is_settled:
                continue
            async with self._ctx.store.transaction(job) as tx:
                await tx.requests.set_item(request.id, item.position, ItemState.ATTEMPTING)
            needs = await self._needs(registry, request, repository, [])
            extra = set(needs.snapshot.tags_on(item.digest)) - named[repository, item.digest]
            above = needs.above(item.digest)
            if extra:
                state, detail = ItemState.MOVED, f"{min(extra)} was pushed onto it"
            elif above:
                # An index of this request stays after all, or one was pushed since.
                state, detail = ItemState.MOVED, f"{above} contains it"
            else:
                state, detail = await self._delete(job, request, registry, repository, item.digest)
            if state is ItemState.DONE:
                await self._children(job, request, registry, repository, item.digest)
            async with self._ctx.store.transaction(job) as tx:
                await tx.requests.set_item(request.id, item.position, state, detail=detail)
                if state is not ItemState.DONE:
                    await tx.audit.about(
                        request,
                        "digest.not_deleted",
                        repository=repository,
                        digest=item.digest,
                        detail={"outcome": state, "detail": detail},
                    )
                await tx.outbox.refresh(request.id)

    async def end_window(self, job: Job) -> None:
        """The undo window of a deletion ends, by time or by an approved `purge REQUEST`."""
        if job.request_id is None:
            return
        async with self._ctx.store.reading() as tx:
            asked = await tx.requests.get(job.request_id)
        if asked.action == Action.PURGE_REQUEST:
            begun = await begin(self._ctx, job, self._nothing_moved)
            if begun is None or begun.subject is None:
                return
            async with self._ctx.store.reading() as tx:
                subject = await tx.requests.get(begun.subject)
            await self._end(job, begun, subject)
            await finish_purge(self._ctx, job, begun)
        else:
            await self._end(job, asked, asked)

    async def _nothing_moved(self, request: Request) -> str:
        if request.subject is None:
            return "it names no request"
        async with self._ctx.store.reading() as tx:
            subject = await tx.requests.get(request.subject)
        if not any(w.state is WindowState.OPEN for w in subject.windows):
            return f"{subject.name} has no open undo window any more"
        return ""

    async def _end(self, job: Job, on_behalf: Request, subject: Request) -> None:
        registry = self._ctx.registry(subject.registry)
        opened = [w for w in subject.windows if w.state is WindowState.OPEN]
        async with patient(self._ctx, job, on_behalf):
            for repository in dict.fromkeys(w.repository for w in opened):
                windows = [w for w in opened if w.repository == repository]
                await self._windows(job, subject, registry, repository, windows)
        async with self._ctx.store.transaction(job) as tx:
            subject = await tx.requests.get(subject.id)
            states = {w.state for w in subject.windows}
            if WindowState.OPEN in states:
                return
            after = State.HELD if WindowState.HELD in states else State.PURGED
            moved = await tx.requests.move(subject.id, [State.DONE, State.PARTLY_DONE], after)
            if moved:
                await tx.audit.about(
                    subject,
                    "window.ended",
                    detail={"state": after, "digests": _outcomes(subject.windows)},
                )
                await tx.outbox.refresh(subject.id)
                await tx.outbox.thread(subject.id, "window ended", {})
            await tx.jobs.drop("end window", subject.id)

    async def _windows(
        self,
        job: Job,
        subject: Request,
        registry: Registry,
        repository: str,
        windows: Sequence[Window],
    ) -> None:
        order = await self._parents_first(w.digest for w in windows)
        for window in sorted(windows, key=lambda w: order.index(w.digest)):
            waiting = [w for w in windows if order.index(w.digest) > order.index(window.digest)]
            needs = await self._needs(registry, subject, repository, waiting)
            holder = needs.holder(window.digest) or self._protection(subject, window)
            state = WindowState.HELD
            if not holder:
                outcome, holder = await self._delete(
                    job, subject, registry, repository, window.digest
                )
                if outcome is ItemState.LOCKED:
                    holder = f"a lock: {holder}"
                elif outcome is not ItemState.DONE:
                    holder = f"the registry, which refused the deletion ({holder.rstrip('.')}),"
                else:
                    state, holder = WindowState.PURGED, ""
                    await self._children(job, subject, registry, repository, window.digest, waiting)
            async with self._ctx.store.transaction(job) as tx:
                await tx.windows.settle(subject.id, repository, window.digest, state, holder)
                await tx.audit.about(
                    subject,
                    "digest.purged" if state is WindowState.PURGED else "digest.held",
                    repository=repository,
                    digest=window.digest,
                    detail={"holder": holder} if holder else {},
                )

    def _protection(self, subject: Request, window: Window) -> str:
        for item in subject.items:
            if (item.repository, item.digest) != (window.repository, window.digest):
                continue
            protection = self._ctx.policy.protection_of(
                Target(subject.registry, item.repository, item.tag)
            )
            if protection is not None:
                return f"the protection {protection.name}, which covers {item.tag}"
        return ""

    async def _needs(
        self,
        registry: Registry,
        subject: Request,
        repository: str,
        waiting: Sequence[Window],
    ) -> Needs:
        """What stays; `waiting` are windows of the same request whose turn comes later."""
        snapshot = await ImageReader(self._ctx.store, registry).snapshot(repository)
        async with self._ctx.store.reading() as tx:
            # What was settled a moment ago counts: a held index keeps the child whose turn is now.
            subject = await tx.requests.get(subject.id)
            others = [
                w
                for w in await tx.windows.open_on(registry.name)
                if w.repository == repository and w.request != subject.id
            ]
        held = {
            w.digest: w
            for w in subject.windows
            if w.repository == repository and w.state is WindowState.HELD
        }
        windows: dict[str, str] = {}
        for window in others:
            for digest in await self._below([window.digest]):
                windows.setdefault(digest, f"the undo window of R{window.request}")
        reserved: dict[str, str] = {}
        for digest in await self._below(held):
            reserved.setdefault(digest, "an image of the same request that is held")
        for window in waiting:
            # A protected image of the same request keeps its children, whatever the order.
            holder = self._protection(subject, window)
            if holder:
                for digest in await self._below([window.digest]):
                    reserved.setdefault(digest, holder)
        return Needs(snapshot, windows, reserved)

    async def _below(self, digests: Iterable[str]) -> list[str]:
        """These digests and, by the stored manifests, everything below; parents first."""
        found: list[str] = []
        level = list(dict.fromkeys(digests))
        while level:
            found += level
            async with self._ctx.store.reading() as tx:
                raws = await tx.manifests.get(level)
            level = []
            for raw in raws.values():
                manifest = parsed(raw)
                if isinstance(manifest, Index):
                    level += [c.digest for c in manifest.children if c.digest not in found]
            level = list(dict.fromkeys(level))
        return found

    async def _parents_first(self, digests: Iterable[str]) -> list[str]:
        wanted = list(dict.fromkeys(digests))
        below = {digest: set(await self._below([digest])) - {digest} for digest in wanted}
        # Whoever contains more of the others comes first.
        return sorted(wanted, key=lambda d: (-len(below[d] & set(wanted)), wanted.index(d)))

    async def _children(
        self,
        job: Job,
        subject: Request,
        registry: Registry,
        repository: str,
        parent: str,
        waiting: Sequence[Window] = (),
    ) -> None:
        """Delete what only the deleted index kept."""
        async with self._ctx.store.reading() as tx:
            subject = await tx.requests.get(subject.id)
        for child in (await self._below([parent]))[1:]:
            needs = await self._needs(registry, subject, repository, waiting)
            own = any(
                w.digest == child and w.repository == repository and w.state is WindowState.OPEN
                for w in subject.windows
            )
            if not own and not needs.holder(child):
                await self._delete(job, subject, registry, repository, child)

    async def _delete(
        self, job: Job, request: Request, registry: Registry, repository: str, digest: str
    ) -> tuple[ItemState, str]:
        """One DELETE by digest; the fence and the locks are looked at right before it."""
        async with self._ctx.store.transaction(job) as tx:
            lock = covering(await tx.locks.active(registry.name), repository)
            if lock is not None:
                return ItemState.LOCKED, lock.sentence
            await tx.audit.about(
                request, "digest.delete_attempted", repository=repository, digest=digest
            )
        try:
            await registry.client.delete_manifest(repository, digest)
        except NotFound:
            detail = "gone already"
        except ReadOnly as error:
            raise TryLater(self._ctx.timing.retry * 6) from error
        except _NO_WAY as error:
            return ItemState.FAILED, told(error)
        else:
            detail = ""
        async with self._ctx.store.transaction(job) as tx:
            await tx.audit.about(
                request,
                "digest.deleted",
                repository=repository,
                digest=digest,
                detail={"note": detail} if detail else {},
            )
        return ItemState.DONE, detail

    async def give_up_window(self, job: Job, why: str) -> None:
        """The end of a window failed again and again: say so, and leave the images alone."""
        if job.request_id is None:
            return
        async with self._ctx.store.reading() as tx:
            asked = await tx.requests.get(job.request_id)
        if asked.action == Action.PURGE_REQUEST:
            await fail(self._ctx, job, asked, f"The purge failed several times ({why}).")
            return
        async with self._ctx.store.transaction(job) as tx:
            for window in asked.windows:
                if window.state is WindowState.OPEN:
                    await tx.windows.settle(
                        asked.id,
                        window.repository,
                        window.digest,
                        WindowState.HELD,
                        f"a fault of the bot or the registry ({why})",
                    )
            await tx.audit.about(asked, "window.ended", detail={"state": State.HELD, "why": why})
            await tx.requests.move(asked.id, [State.DONE, State.PARTLY_DONE], State.HELD)
            await tx.outbox.refresh(asked.id)
            await tx.outbox.thread(asked.id, "window ended", {})
