"""Takes tags away: re-check, untag one by one, verify. Every step is written down first.

On distribution 3.x a tag is deleted by its name. On 2.x there is no such call: a unique
placeholder is pushed over the tag and the placeholder's digest is deleted. Between the two the
tag shows the placeholder; a crash there is finished by whoever takes the job over, because the
placeholder's digest was stored before the push.
"""

import asyncio
import contextlib
import secrets
from functools import partial

from bot.operations.context import Context, Registry
from bot.operations.deletion import UNTAG_BY_TAG
from bot.operations.errors import told
from bot.operations.images import ImageReader
from bot.operations.items import attempting, digest_of, settled, still_ours
from bot.operations.recheck import recheck
from bot.operations.running import begin, finish_running, patient
from bot.operations.worker import TryLater
from bot.registry.errors import (
    DeleteDisabled,
    Forbidden,
    NotFound,
    RateLimited,
    ReadOnly,
    RegistryError,
    Unauthorized,
    Unreachable,
    Unsupported,
)
from bot.registry.manifest import RawManifest, untag_placeholder
from bot.rules.approval import Item, ItemState, Request, WindowState
from bot.rules.plan import DeletionPlan
from bot.store.jobs import Job, LeaseLost
from bot.store.patience import to_the_end
from bot.store.store import StoreUnusable

TAKE_BACK = "take back"
"""The job that removes a placeholder which was pushed too late."""

_ATTEMPTED = "tag.delete_attempted"
_NO_WAY = (DeleteDisabled, ReadOnly, Forbidden, Unauthorized, Unsupported)


class Untag:
    """Carries out `delete` requests.

    Parameters
    ----------
    ctx : the rooms it works with.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    async def run(self, job: Job) -> None:
        """Do it, or go on where a predecessor was interrupted."""
        request = await begin(self._ctx, job, partial(recheck, self._ctx))
        if request is None:
            return
        registry = self._ctx.registry(request.registry)
        plan = DeletionPlan.from_json(request.plan)
        async with patient(self._ctx, job, request):
            originals = await self._originals(registry, request)
            for item in request.items:
                if not item.state.is_settled:
                    await self._one(job, request, registry, plan, item, originals)
            await self._finish(job, request, registry)

    async def _originals(self, registry: Registry, request: Request) -> dict[str, RawManifest]:
        """The bytes behind every tag, children too, stored before anything goes."""
        reader = ImageReader(self._ctx.store, registry)
        found: dict[str, RawManifest] = {}
        for repository in {item.repository for item in request.items}:
            digests = {i.digest for i in request.items if i.repository == repository}
            raws, _ = await reader.read(repository, digests)
            found.update(raws)
        async with self._ctx.store.reading() as tx:
            found.update(await tx.manifests.get({i.digest for i in request.items} - found.keys()))
        return found

    async def _one(
        self,
        job: Job,
        request: Request,
        registry: Registry,
        plan: DeletionPlan,
        item: Item,
        originals: dict[str, RawManifest],
    ) -> None:
        try:
            if plan.method == UNTAG_BY_TAG:
                state, detail = await self._by_tag(job, request, registry, item)
            else:
                state, detail = await self._by_placeholder(
                    job, request, registry, item, originals[item.digest]
                )
        except _NO_WAY as error:
            state, detail = ItemState.FAILED, told(error)
        event = "tag.deleted" if state is ItemState.DONE else "tag.not_deleted"
        await settled(self._ctx, job, request, item, event, state, detail)

    async def _by_tag(
        self, job: Job, request: Request, registry: Registry, item: Item
    ) -> tuple[ItemState, str]:
        if item.state is ItemState.WAITING:
            lock = await attempting(self._ctx, job, request, item, _ATTEMPTED)
            if lock:
                return ItemState.LOCKED, lock
        current = await digest_of(registry, item)
        if current is None:
            return ItemState.DONE, "" if item.state is ItemState.ATTEMPTING else "gone already"
        if current != item.digest:
            return ItemState.MOVED, f"now on {current}"
        if item.state is ItemState.ATTEMPTING:
            # Written down by a predecessor, and not done: it is locked or attempted anew.
            lock = await attempting(self._ctx, job, request, item, _ATTEMPTED)
            if lock:
                return ItemState.LOCKED, lock
        await still_ours(self._ctx, job)
        try:
            await registry.client.delete_tag(item.repository, item.tag)
        except NotFound:
            return ItemState.DONE, "gone already"
        return ItemState.DONE, ""

    async def _by_placeholder(
        self,
        job: Job,
        request: Request,
        registry: Registry,
        item: Item,
        original: RawManifest,
    ) -> tuple[ItemState, str]:
        current = await digest_of(registry, item)
        if item.placeholder and current == item.placeholder:
            return await self._drop(job, registry, item, item.placeholder, original)
        if current is None:
            # Either our own DELETE went through before we could write it down, or somebody
            # else's did; the tag is gone, which is what was asked for.
            return ItemState.DONE, "" if item.placeholder else "gone already"
        if current != item.digest:
            if item.placeholder:
                await self._drop_stray(job, registry, item)
            return ItemState.MOVED, f"now on {current}"
        placeholder = await self._placeholder(registry, request, item, original)
        lock = await attempting(self._ctx, job, request, item, _ATTEMPTED, placeholder.digest)
        if lock:
            return ItemState.LOCKED, lock
        if await digest_of(registry, item) != item.digest:
            return ItemState.MOVED, "pushed again a moment ago"
        await still_ours(self._ctx, job)
        try:
            await to_the_end(registry.client.put_manifest(item.repository, item.tag, placeholder))
            return await self._drop(job, registry, item, placeholder.digest, original)
        except (LeaseLost, asyncio.CancelledError):
            # Paused between the last look and the push: whoever has it may be done with the tag.
            # The heartbeat may hear of that first, and cancel this in the middle of a call.
            if await self._is_lost(job):
                await self._leave_nothing(registry, request, item, placeholder.digest)
            raise

    async def _is_lost(self, job: Job) -> bool:
        """Whether somebody else has the job by now; False where the store does not say."""
        try:
            await still_ours(self._ctx, job)
        except LeaseLost:
            return True
        except StoreUnusable:
            return False
        return False

    async def _placeholder(
        self, registry: Registry, request: Request, item: Item, original: RawManifest
    ) -> RawManifest:
        """What is pushed over the tag: whoever pulls in that moment still gets the image."""
        plan = DeletionPlan.from_json(request.plan)
        missing = {
            child
            for d in plan.digests
            if (d.repository, d.digest) == (item.repository, item.digest)
            for child in d.missing_children
        }
        unique = f"{request.name} {secrets.token_hex(16)}"
        platform = await ImageReader(self._ctx.store, registry).platform(item.repository, original)
        return untag_placeholder(original, platform, unique, missing=missing)

    async def _drop(
        self,
        job: Job,
        registry: Registry,
        item: Item,
        placeholder: str,
        original: RawManifest,
    ) -> tuple[ItemState, str]:
        await still_ours(self._ctx, job)
        try:
            await registry.client.delete_manifest(item.repository, placeholder)
        except NotFound:
            pass
        except _NO_WAY as error:
            # The push went through and the delete does not: give the tag its image back.
            current = await digest_of(registry, item)
            if current is None:
                return ItemState.DONE, "gone already"
            if current != placeholder:
                return ItemState.MOVED, f"now on {current}"
            await still_ours(self._ctx, job)
            try:
                await registry.client.put_manifest(item.repository, item.tag, original)
            except (Unreachable, RateLimited):
                raise  # whoever comes next finds the placeholder, and tries both again
            except RegistryError as second:
                return ItemState.FAILED, (
                    f"{error.sentence} The tag now shows a placeholder, and putting its image "
                    f"back failed as well ({second.sentence}). The image is {item.digest}."
                )
            return ItemState.FAILED, f"{error.sentence} The tag was put back as it was."
        return ItemState.DONE, ""

    async def _leave_nothing(
        self, registry: Registry, request: Request, item: Item, placeholder: str
    ) -> None:
        """Take a late push back at once, or as soon as the registry lets us."""
        async with self._ctx.store.transaction() as tx:
            await tx.jobs.add(
                TAKE_BACK,
                {"position": item.position, "placeholder": placeholder},
                registry=registry.name,
                exclusive=True,
                request_id=request.id,
                dedupe=f"back:{placeholder}",
            )
        with contextlib.suppress(RegistryError):
            await self._take_back(registry, request, item, placeholder)

    async def take_back(self, job: Job) -> None:
        """What `_leave_nothing` could not do, as while a collection is at work."""
        async with self._ctx.store.reading() as tx:
            request = await tx.requests.get(job.request_id or 0)
        item = next(i for i in request.items if i.position == job.payload["position"])
        registry = self._ctx.registry(request.registry)
        try:
            await self._take_back(registry, request, item, job.payload["placeholder"])
        except NotFound:
            pass  # it has been done
        except RegistryError as error:
            raise TryLater(self._ctx.timing.retry * 6) from error
        async with self._ctx.store.transaction(job) as tx:
            await tx.jobs.finish(job)

    async def _take_back(
        self, registry: Registry, request: Request, item: Item, placeholder: str
    ) -> None:
        """Leave nothing of a push that came too late; nobody else has its placeholder."""
        if await digest_of(registry, item) == placeholder:
            async with self._ctx.store.reading() as tx:
                now = await tx.requests.get(request.id)
                original = (await tx.manifests.get([item.digest]))[item.digest]
            of_item = (item.repository, item.digest, WindowState.UNDONE)
            if of_item in {(w.repository, w.digest, w.state) for w in now.windows}:
                await registry.client.put_manifest(item.repository, item.tag, original)
        await registry.client.delete_manifest(item.repository, placeholder)

    async def _drop_stray(self, job: Job, registry: Registry, item: Item) -> None:
        """Somebody pushed over our placeholder; deleting it leaves their tag alone."""
        await still_ours(self._ctx, job)
        with contextlib.suppress(NotFound):
            await registry.client.delete_manifest(item.repository, item.placeholder)

    async def _finish(self, job: Job, request: Request, registry: Registry) -> None:
        async with self._ctx.store.reading() as tx:
            request = await tx.requests.get(request.id)
        reader = ImageReader(self._ctx.store, registry)
        surprises: dict[int, tuple[ItemState, str]] = {}
        for repository in {item.repository for item in request.items}:
            done = [
                i for i in request.items if i.repository == repository and i.state is ItemState.DONE
            ]
            try:
                listed = set(await registry.client.tags(repository))
            except NotFound:
                listed = set()
            back = await reader.digests(repository, [i.tag for i in done if i.tag in listed])
            for item in done:
                if back.get(item.tag) == item.digest:
                    surprises[item.position] = (
                        ItemState.FAILED,
                        "it is listed again with the same image",
                    )
                elif item.tag in back:
                    surprises[item.position] = (
                        ItemState.DONE,
                        f"pushed again since, now on {back[item.tag]}",
                    )
        await finish_running(self._ctx, job, request, surprises)
