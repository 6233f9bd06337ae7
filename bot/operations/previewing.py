"""The preview of a cleanup as a job: it looks, says how far it is, and writes down the findings."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from bot.operations import cleanup, locked
from bot.operations.context import Asked, Context
from bot.operations.errors import Refusal, told
from bot.operations.images import OnProgress
from bot.operations.worker import TryLater
from bot.registry.errors import ProtocolError, RateLimited, RegistryError, Unreachable
from bot.rules.locks import in_the_way
from bot.rules.policy import Action
from bot.rules.preview import TYPED, Preview, PreviewDraft, PreviewState, Result, Spec
from bot.store.jobs import Job, LeaseLost
from bot.store.store import Transaction

PREVIEW = "cleanup preview"
_PATIENCE = 3  # attempts while the registry does not answer
_SCREENFUL = 20
_AT_ONCE = 20  # looks at one registry that people asked for; each reads a whole repository


async def begin(
    tx: Transaction,
    asked: Asked,
    registry: str,
    repository: str,
    spec: Spec,
    tags: int,
    looked: cleanup.Looked | None = None,
) -> Preview:
    """Store a preview that somebody asked for, say that it is being made, and queue the look.

    Parameters
    ----------
    tags : how many there are to look at.
    looked : what was found, where it was looked at already; nothing is queued then.

    Raises
    ------
    Refusal : a lock covers the repository, it is being looked at in this channel, or too many are.
    """
    lock = in_the_way(await tx.locks.active(registry), Action.CLEANUP, [repository])
    if lock is not None:
        raise locked.refusal(lock)
    channel = asked.channel
    if await tx.previews.looking(registry, repository, channel):
        raise Refusal(
            f"{repository} is being looked at for a cleanup right now.",
            "Wait for that preview; its message is in this channel.",
        )
    if looked is None and await tx.previews.count_looking(registry) >= _AT_ONCE:
        raise Refusal(
            f"{_AT_ONCE} repositories of {registry} are being looked at for cleanups right now.",
            "Wait for some of these previews, then ask again.",
        )
    draft = PreviewDraft(
        registry,
        repository,
        asked.actor.user,
        asked.actor.team,
        channel,
        asked.reason,
        spec,
    )
    preview = await tx.previews.create(draft)
    if preview is None:
        raise Refusal("The same preview was asked for at this moment.", "Wait for it.")
    if looked is not None:
        await publish(tx, preview, cleanup.result_of(looked), looked)
        return preview
    await tx.previews.progress(preview.id, tags=tags)
    await tx.jobs.add(PREVIEW, {"preview": preview.id}, dedupe=f"preview:{preview.id}")
    await tx.outbox.preview(preview.id)
    return preview


class Previewing:
    """Makes previews."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    async def run(self, job: Job) -> None:
        """Look at the repository of one preview."""
        preview = await self._preview(job)
        if preview is None or preview.state is not PreviewState.LOOKING:
            return
        registry = self._ctx.registries.get(preview.registry)
        if registry is None:
            await self._fail(job, preview, f"{preview.registry} is not in the settings any more.")
            return
        try:
            async with self._telling(job, preview) as on_progress:
                looked = await cleanup.look(
                    self._ctx, registry, preview.repository, preview.spec, on_progress
                )
        except Refusal as refusal:
            await self._fail(job, preview, told(refusal))
        except RegistryError as error:
            passing = isinstance(error, Unreachable | RateLimited | ProtocolError)
            if passing and job.attempts < _PATIENCE:
                raise TryLater(self._ctx.timing.retry, counts=True) from error
            await self._fail(job, preview, told(error))
        else:
            await self._found(job, preview, looked)

    async def give_up(self, job: Job, why: str) -> None:
        """The look has failed again and again: its message says so."""
        preview = await self._preview(job)
        if preview is not None:
            await self._fail(job, preview, f"The bot gave up ({why}); its log has the details.")

    async def _preview(self, job: Job) -> Preview | None:
        async with self._ctx.store.reading() as tx:
            try:
                return await tx.previews.get(int(job.payload.get("preview", 0)))
            except KeyError:
                return None

    @contextlib.asynccontextmanager
    async def _telling(self, job: Job, preview: Preview) -> AsyncIterator[OnProgress]:
        """Write down how far it is, as often as a message may be edited."""
        seen = {"done": 0, "of": 0}

        def on_progress(done: int, total: int) -> None:
            seen.update(done=done, of=total)

        async def tell() -> None:
            told = dict(seen)
            while True:
                await asyncio.sleep(self._ctx.timing.edit)
                if told == seen:
                    continue
                told = dict(seen)
                async with self._ctx.store.transaction(job) as tx:
                    await tx.previews.progress(preview.id, **{**preview.progress, **told})
                    await tx.outbox.preview(preview.id)

        telling = asyncio.create_task(tell())
        try:
            yield on_progress
        finally:
            telling.cancel()
            # A lost lease ends the work itself; how far it was is then for others to say.
            with contextlib.suppress(asyncio.CancelledError, LeaseLost):
                await telling

    async def _found(self, job: Job, preview: Preview, looked: cleanup.Looked) -> None:
        result = cleanup.result_of(looked)
        async with self._ctx.store.transaction(job) as tx:
            await publish(tx, preview, result, looked)
            await tx.jobs.finish(job)

    async def _fail(self, job: Job, preview: Preview, why: str) -> None:
        async with self._ctx.store.transaction(job) as tx:
            await tx.previews.found(preview.id, PreviewState.FAILED, Result(note=why.strip()))
            await tx.outbox.preview(preview.id)
            await tx.jobs.finish(job, "failed")


async def publish(
    tx: Transaction, preview: Preview, result: Result, looked: cleanup.Looked
) -> None:
    """Write down what a look has found and bring its message up to date, with a file if long."""
    state = PreviewState.READY if result.goes else PreviewState.EMPTY
    if not await tx.previews.found(preview.id, state, result):
        return
    if preview.origin != TYPED and state is PreviewState.EMPTY:
        return  # a schedule sums these up in one line
    await tx.outbox.preview(preview.id)
    if len(result.goes) > _SCREENFUL:
        await tx.outbox.file_of_preview(preview.id, [list(row) for row in cleanup.rows(looked)])
    await tx.audit.append(
        "cleanup.previewed",
        actor=preview.actor,
        team=preview.team,
        channel=preview.channel,
        registry=preview.registry,
        repository=preview.repository,
        rule=", ".join(preview.spec.rules),
        detail={"preview": preview.name, "goes": len(result.goes), "above": result.above},
    )
