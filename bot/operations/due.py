"""Collections at their hour: a request as `bot`, or a button where only people may ask."""

from collections.abc import Mapping
from functools import partial

import structlog

from bot.gc.errors import GcError
from bot.operations import requesting
from bot.operations.collection_request import request_collection
from bot.operations.context import BOT, Asked, Context, Registry
from bot.operations.errors import Refusal, told
from bot.operations.scheduler import Scheduled
from bot.registry.errors import RegistryError
from bot.rules.approval import Draft
from bot.rules.policy import Action
from bot.store.jobs import Job
from bot.store.store import Transaction

log = structlog.get_logger()

DUE = "collection due"
_REASON = "scheduled"


class Due:
    """Asks for scheduled collections; it never runs one by itself."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def scheduled(self) -> Mapping[str, Scheduled]:
        """What the scheduler begins."""
        return {
            f"gc:{registry.name}": Scheduled(
                registry.gc_schedule, partial(self._begin, registry.name)
            )
            for registry in self._ctx.registries.values()
            if registry.gc_schedule
        }

    async def _begin(self, name: str, tx: Transaction, at: float) -> None:
        await tx.jobs.add(DUE, {"registry": name}, dedupe=f"{DUE}:{name}:{at:.0f}")

    async def run(self, job: Job) -> None:
        """Ask for one collection."""
        registry = self._ctx.registries.get(str(job.payload.get("registry")))
        channel = self._ctx.announced("", registry.name) if registry else ""
        if registry is None or not channel:
            log.warning("no channel for a scheduled collection", **job.payload)
            return
        async with self._ctx.store.reading() as tx:
            if await tx.requests.open_on(registry.name, Action.GC):
                return  # somebody has asked, which is all that a schedule could do
        await self._ctx.refresh()
        made, why = await self._ask(job, registry, channel)
        async with self._ctx.store.transaction(job) as tx:
            if made is not None and not why:
                why = await _submitted(tx, made)
            if why:
                await self._tell(tx, registry, channel, why)
            await tx.jobs.finish(job)

    async def give_up(self, job: Job, why: str) -> None:
        """It has failed again and again: the channel hears that it is time."""
        registry = self._ctx.registries.get(str(job.payload.get("registry")))
        channel = self._ctx.announced("", registry.name) if registry else ""
        if registry is not None and channel:
            async with self._ctx.store.transaction(job) as tx:
                told = f"The bot gave up ({why}); its log has the details."
                await self._tell(tx, registry, channel, told)

    async def _tell(self, tx: Transaction, registry: Registry, channel: str, why: str) -> None:
        data = {"registry": registry.name, "schedule": registry.gc_schedule, "why": why}
        await tx.outbox.announce(channel, "collection due", data)

    async def _ask(self, job: Job, registry: Registry, channel: str) -> tuple[Draft | None, str]:
        """The request, or why a schedule cannot make it."""
        asked = Asked(BOT, channel, _REASON)
        try:
            made = await request_collection(
                self._ctx, asked, registry, delete_untagged=False, name=f"schedule-{job.id}"
            )
        except (Refusal, GcError, RegistryError) as error:
            return None, told(error)
        return made, ""


async def _submitted(tx: Transaction, made: Draft) -> str:
    """Store the request; why not, where a lock has come in between."""
    if await tx.requests.open_on(made.registry, Action.GC):
        return ""
    try:
        await requesting.submit(tx, made)
    except Refusal as refusal:
        return refusal.sentence
    return ""
