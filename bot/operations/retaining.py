"""Retention rules at their hour: a preview or a request for each repository, never a silent act.

One job looks at all repositories of a rule on one registry, one after the other. What it has found
is written down at once, so that a job that is begun again goes on where it was.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import structlog

from bot.operations import cleanup, previewing, requesting
from bot.operations.cleanup_request import request_cleanup
from bot.operations.context import BOT, Asked, Context, Registry
from bot.operations.errors import Refusal, told
from bot.operations.scheduler import Scheduled
from bot.operations.worker import TryLater
from bot.registry.errors import ProtocolError, RateLimited, RegistryError, Unreachable
from bot.rules.approval import Draft, Request
from bot.rules.locks import in_the_way
from bot.rules.policy import Action
from bot.rules.preview import Preview, PreviewDraft, PreviewState, Result
from bot.rules.retention import Retention
from bot.store.jobs import Job
from bot.store.store import Transaction

log = structlog.get_logger()

RETENTION = "retention"
_PATIENCE = 5  # attempts while the registry does not answer


class Retaining:
    """Carries retention rules out as far as a schedule may: it shows, or it asks."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def scheduled(self) -> Mapping[str, Scheduled]:
        """What the scheduler begins."""
        return {
            f"retention:{rule.name}": Scheduled(rule.schedule, partial(self._begin, rule.name))
            for rule in self._ctx.retention
            if rule.schedule
        }

    async def _begin(self, name: str, tx: Transaction, at: float) -> None:
        for registry in self._ctx.registries:
            await tx.jobs.add(
                RETENTION,
                {"rule": name, "registry": registry, "run": f"{name}@{at:.0f}"},
                dedupe=f"{RETENTION}:{name}:{registry}:{at:.0f}",
            )

    async def run(self, job: Job) -> None:
        """Look at every repository of a rule on one registry, then say in one line how it was."""
        named, run = str(job.payload.get("rule")), str(job.payload.get("run"))
        rule = next((rule for rule in self._ctx.retention if rule.name == named), None)
        registry = self._ctx.registries.get(str(job.payload.get("registry")))
        if rule is None or registry is None:
            return
        channel = self._channel(rule, registry.name)
        if not channel:
            log.warning("no channel for a retention rule", rule=named, registry=registry.name)
            return
        await self._ctx.refresh()
        try:
            known = await registry.client.repositories()
        except RegistryError as error:
            await self._not_now(job, rule, registry, channel, error)
            return
        for repository in filter(rule.covers, known):
            await self._one(job, rule, registry, channel, run, repository)
        async with self._ctx.store.transaction(job) as tx:
            await self._sum_up(tx, rule, registry, channel, run)
            await tx.jobs.finish(job)

    async def give_up(self, job: Job, why: str) -> None:
        """It has failed again and again: the channel hears of it."""
        registry, named = str(job.payload.get("registry")), str(job.payload.get("rule"))
        channel = self._ctx.announced("", registry)
        async with self._ctx.store.transaction(job) as tx:
            if channel:
                told = f"the bot gave up ({why}); its log has the details."
                data = {"rule": named, "registry": registry, "why": told}
                await tx.outbox.announce(channel, "retention failed", data)

    def _channel(self, rule: Retention, registry: str) -> str:
        """The rule's own channel where that serves the registry, else the first that does."""
        own = self._ctx.policy.channel(rule.channel) if rule.channel else None
        if own is not None and registry in own.registries:
            return own.id
        return self._ctx.announced("", registry)

    async def _not_now(
        self, job: Job, rule: Retention, registry: Registry, channel: str, error: RegistryError
    ) -> None:
        passing = isinstance(error, Unreachable | RateLimited | ProtocolError)
        if passing and job.attempts < _PATIENCE:
            raise TryLater(self._ctx.timing.retry * job.attempts, counts=True) from error
        async with self._ctx.store.transaction(job) as tx:
            why = told(error)
            data = {"rule": rule.name, "registry": registry.name, "why": why}
            await tx.outbox.announce(channel, "retention failed", data)
            await tx.jobs.finish(job, "failed")

    async def _one(
        self,
        job: Job,
        rule: Retention,
        registry: Registry,
        channel: str,
        run: str,
        repository: str,
    ) -> None:
        spec = cleanup.by_rules(self._ctx, repository)
        draft = PreviewDraft(
            registry.name,
            repository,
            BOT.user,
            BOT.team,
            channel,
            f"retention rule {rule.name}",
            spec,
            rule.name,
            run,
        )
        async with self._ctx.store.transaction(job) as tx:
            preview = await tx.previews.create(draft) or await tx.previews.of_run(
                run, registry.name, repository
            )
            lock = in_the_way(await tx.locks.active(registry.name), Action.CLEANUP, [repository])
            if preview is None or preview.state is not PreviewState.LOOKING:
                return
            if lock is not None:
                await _failed(tx, preview, lock.sentence)
                return
        try:
            looked = await cleanup.look(self._ctx, registry, repository, spec)
        except (Refusal, RegistryError) as error:
            async with self._ctx.store.transaction(job) as tx:
                await _failed(tx, preview, error.sentence)
            return
        result = cleanup.result_of(looked)
        if rule.mode == "request" and result.goes:
            result = await self._request(job, preview, result, looked)
            if not result.note:
                return
        async with self._ctx.store.transaction(job) as tx:
            await previewing.publish(tx, preview, result, looked)
            if result.goes:
                for old in await tx.previews.replace(preview):
                    await tx.outbox.preview(old)

    async def _request(
        self, job: Job, preview: Preview, result: Result, looked: cleanup.Looked
    ) -> Result:
        """Ask for what was found; the result says in its note why it could only be shown."""
        asked = Asked(BOT, preview.channel, preview.reason)
        seen = replace(preview, result=result)
        try:
            made = await request_cleanup(self._ctx, asked, seen, looked)
            async with self._ctx.store.transaction(job) as tx:
                other = await _asked_already(tx, made)
                if other is not None:
                    await _failed(tx, preview, f"{other.name} asks for it already.")
                    return result
                request = await requesting.submit(tx, made)
                await tx.previews.found(preview.id, PreviewState.READY, result)
                await tx.previews.move(
                    preview.id,
                    [PreviewState.READY],
                    PreviewState.REQUESTED,
                    request_id=request.id,
                    progress={"by": BOT.user},
                )
        except (Refusal, RegistryError) as error:
            return replace(result, note=f"It was not asked for: {error.sentence}")
        return result

    async def _sum_up(
        self, tx: Transaction, rule: Retention, registry: Registry, channel: str, run: str
    ) -> None:
        all_ = await tx.previews.all_of_run(run, registry.name)
        if not all_:
            log.warning("a retention rule covers no repository", rule=rule.name)
            return
        apart = {PreviewState.EMPTY, PreviewState.REQUESTED, PreviewState.FAILED}
        data = {
            "rule": rule.name,
            "registry": registry.name,
            "repositories": len(all_),
            "empty": sum(p.state is PreviewState.EMPTY for p in all_),
            "requested": sum(p.state is PreviewState.REQUESTED for p in all_),
            "ready": sum(p.state not in apart for p in all_),
            "failed": [
                [p.repository, p.result.note] for p in all_ if p.state is PreviewState.FAILED
            ],
        }
        await tx.outbox.announce(channel, "retention", data)


async def _failed(tx: Transaction, preview: Preview, why: str) -> None:
    await tx.previews.found(preview.id, PreviewState.FAILED, Result(note=why))


async def _asked_already(tx: Transaction, made: Draft) -> Request | None:
    """The open request of a schedule for the same repository."""
    repository = made.plan["cleanup"]["repository"]
    for other in await tx.requests.open_on(made.registry, Action.CLEANUP):
        about = other.plan.get("cleanup", {})
        if other.requester == BOT.user and about.get("repository") == repository:
            return other
    return None
