"""Garbage collection that cannot hurt: asks, and carries out the sequence step by step.

Every step is a row in the store before it is an act. Whoever takes over after a crash reads
the step, finds out whether a collection still runs, and never makes the registry writable
beside one.
"""

import asyncio
import random
import time
from dataclasses import replace
from typing import Any

from bot.gc.errors import CollectionAborted, CommandFailed, GcError
from bot.gc.executor import Executor
from bot.gc.report import GcProgress, GcReport
from bot.gc.steps import Recovery, Step, recovery_for
from bot.operations import canary, collection_log, emptying, untagged
from bot.operations.collection_guard import Guard, Interrupted
from bot.operations.collection_journal import Journal
from bot.operations.collection_request import collector_of, obstacle_of
from bot.operations.collection_restoring import Restoring
from bot.operations.collection_result import outcome
from bot.operations.context import Context, Registry
from bot.operations.errors import Refusal, told
from bot.operations.proof import Proof, ProofFailed
from bot.operations.running import begin, fail
from bot.operations.stale import stale_as_json
from bot.registry.errors import RegistryError
from bot.rules.approval import Request, State
from bot.store.jobs import Job

_ATTEMPTS = 5  # to begin; what has begun is restored, however often that takes


class Collection:
    """Carries out `gc` requests."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    async def run(self, job: Job) -> None:
        """The whole sequence, or the recovery of one that was interrupted."""
        request = await begin(self._ctx, job, self._recheck)
        if request is None:
            return
        registry = self._ctx.registry(request.registry)
        collector = collector_of(registry)
        run = Run(self._ctx, job, request, registry, collector)
        step = request.progress.get("step")
        untouched = step is None or recovery_for(Step(step)) is Recovery.NOTHING
        if untouched and job.attempts > _ATTEMPTS:
            await self.give_up(job, "its log has the details")
        elif untouched:
            await run.sequence()
        else:
            await run.recover(Step(str(step)))

    async def _recheck(self, request: Request) -> str:
        registry = self._ctx.registry(request.registry)
        try:
            collector = collector_of(registry)
            if request.plan["delete_untagged"]:
                await untagged.gate(self._ctx, registry, collector)
        except Refusal as refusal:
            return refusal.sentence
        return ""

    async def give_up(self, job: Job, why: str) -> None:
        """Never called while a registry may be read-only: `run` goes on trying then."""
        if job.request_id is None:
            return
        async with self._ctx.store.reading() as tx:
            request = await tx.requests.get(job.request_id)
        if request.state in {State.APPROVED, State.RUNNING}:
            await fail(self._ctx, job, request, f"the bot failed several times ({why})")


class Run:
    """One collection, from its first step to its report."""

    def __init__(
        self,
        ctx: Context,
        job: Job,
        request: Request,
        registry: Registry,
        collector: Executor,
    ) -> None:
        self._ctx = ctx
        self._job = job
        self._registry = registry
        self._collector = collector
        self._journal = Journal(ctx, job, request)
        self._empty: list[str] = request.plan.get(emptying.PLANNED) or []
        self._proof = Proof(
            registry,
            ctx.timing.proof,
            offline=collector.mode == "offline",
            avoid=self._empty,
            fence=self._journal.fence,
        )
        self._guard = Guard(self._journal, collector, self._proof)
        self._restoring = Restoring(self._journal, collector, self._proof, self._guard)
        self._live = collector.is_live

    @property
    def _request(self) -> Request:
        return self._journal.request

    async def sequence(self) -> None:
        """All steps, in order. Whatever goes wrong after the switch is followed by restoring."""
        async with self._guard.listening():
            try:
                await self._preflight()
            except (ProofFailed, RegistryError, GcError) as error:
                await fail(self._ctx, self._job, self._request, told(error))
                return
            why, aborted = "", False
            report: GcReport | None = None
            try:
                report = await self._collect_safely()
            except Interrupted as stop:
                why, aborted = stop.why, stop.aborted
            except CollectionAborted as stop:
                why, aborted = self._guard.why(stop), True
            except (ProofFailed, RegistryError, GcError) as error:
                why = told(error)
            if why:
                # Restoring may take several attempts, and other processes.
                await self._journal.note(stopped={"why": why, "aborted": aborted})
            await self._restoring.restore()
        await self._report(report, why, aborted=aborted)

    async def _preflight(self) -> None:
        await self._journal.step(Step.PREFLIGHT)
        await asyncio.to_thread(self._collector.sweep)
        # Somebody's dry run may still be at work. A `running` command that cannot tell is an error
        # of its own, and says so.
        at_work = await self._collector.collecting()
        if at_work and not await self._collector.wait_until_gone(self._ctx.timing.preview):
            raise CommandFailed(
                "A collection that the bot did not start is at work.",
                "Wait until it has ended, then ask again.",
            )
        if (reason := await obstacle_of(self._collector)) is not None:
            raise CommandFailed(reason)
        await self._registry.client.ping()
        await self._proof.accepted()
        await self._proof.remember()
        chosen = await canary.choose(self._ctx, self._registry, random.SystemRandom())
        await self._journal.note(canary=[[c.repository, c.tag, c.digest] for c in chosen])

    async def _collect_safely(self) -> GcReport:
        if not self._live:
            usage = await self._collector.disk()
            await self._journal.step(Step.SWITCH, disk_before=list(usage) if usage else None)
            await self._collector.switch_off_writes(self._journal.name, self._journal.fence)
            await self._journal.step(Step.PROOF)
            await self._proof.refused(self._collector.disturbance)
            await self._proof.same_storage()
        self._guard.stop_if_asked()
        await self._journal.step(Step.DRY_RUN)
        planned = await self._collect(dry_run=True)
        self._compare(planned)
        await self._prove_untagged(planned)
        self._guard.stop_if_asked()
        await self._keep_plan(planned)
        if disturbed := await self._collector.disturbance():
            raise Interrupted(f"{disturbed}; nothing was collected")
        await self._journal.step(
            Step.COLLECT,
            planned={
                "blobs": len(planned.eligible_blobs),
                "manifests": len(planned.eligible_manifests),
            },
        )
        report = await self._collect(dry_run=False)
        if self._empty and not self._live:
            await self._remove_empty()
        return report

    async def _remove_empty(self) -> None:
        await self._journal.step(Step.EMPTY)
        refused = ""
        try:
            await self._proof.refused(self._collector.disturbance)
        except (ProofFailed, GcError) as error:
            refused = error.sentence
        proven = time.monotonic()

        async def allowed() -> str:
            nonlocal refused, proven
            if not refused and time.monotonic() - proven > self._ctx.timing.edit:
                refused = "pushes were accepted again" if await self._guard.breach() else ""
                proven = time.monotonic()
            await self._journal.fence()
            return refused or ("it was aborted" if self._guard.abort.is_set() else "")

        done = await emptying.remove(self._ctx, self._registry, self._empty, allowed)
        await self._journal.note(emptied=done)

    async def _keep_plan(self, planned: GcReport) -> None:
        """Note what is to go and how large it is, for whoever has to tell what went."""
        sizes = await self._collector.blob_sizes(planned.eligible_blobs)
        if sizes is not None:
            plan = {blob: sizes.get(blob, 0) for blob in planned.eligible_blobs}
            await asyncio.to_thread(self._collector.write_note, self._journal.name, plan)

    def _compare(self, planned: GcReport) -> None:
        approved: set[str] = set()
        if self._request.plan["delete_untagged"]:
            approved = set((self._request.plan["preview"] or {}).get("manifests", ()))
        extra = planned.manifest_digests - approved
        if extra:
            raise Interrupted(
                f"the dry run would delete {len(extra)} manifests that nobody approved "
                f"({min(extra)[:19]}); nothing was collected"
            )

    async def _prove_untagged(self, planned: GcReport) -> None:
        """Where untagged manifests go: no tag needs one, as is read now that nobody can push."""
        if not self._request.plan["delete_untagged"]:
            return
        try:
            async with self._guard.proving([]):
                proven = await self._guard.unless_aborted(
                    untagged.prove_again(
                        self._ctx,
                        self._request,
                        self._registry,
                        self._collector,
                        planned.eligible_manifests,
                    )
                )
        except Refusal as refusal:
            async with self._ctx.store.transaction(self._job) as tx:
                await self._journal.record(tx, "gc.unproven", must=False, why=refusal.sentence)
            raise Interrupted(
                f"{refusal.sentence} Nothing was collected. {refusal.hint}".strip()
            ) from None
        if proven is None:
            return
        if breach := await self._guard.breach():
            raise Interrupted(f"{breach}; nothing was collected")
        multi_arch = await canary.whole(self._registry, proven.multi_arch)
        sung = {tuple(one) for one in self._journal.progress.get("canary", ())}
        sung |= {(one.repository, one.tag, one.digest) for one in multi_arch}
        async with self._ctx.store.transaction(self._job) as tx:
            going = len(planned.eligible_manifests)
            facts = {"delete_untagged": True, "going": going, **proven.counts()}
            await self._journal.record(tx, "gc.proven", must=True, **facts)
        await self._journal.note(proof=proven.counts(), canary=[list(one) for one in sorted(sung)])

    async def _collect(self, *, dry_run: bool) -> GcReport:
        latest: list[GcProgress] = []
        async with self._guard.proving(latest):
            return await self._collector.collect(
                dry_run=dry_run,
                delete_untagged=bool(self._request.plan["delete_untagged"]),
                job=self._journal.name,
                on_progress=lambda p: latest.__setitem__(slice(None), [p]),
                abort=self._guard.abort,
                fence=self._journal.fence,
            )

    async def recover(self, step: Step) -> None:
        """Go on where a process died at `step`, or where this one could not restore."""
        recovery = recovery_for(step)
        if self._journal.progress.get("worker") != self._job.worker:
            await self._take_over(step, recovery)
        async with self._guard.listening():
            if recovery.restores or (recovery.proves and not await self._restoring.is_done()):
                await self._restoring.restore()
        stopped = self._journal.progress.get("stopped") or {}
        report, why = (None, str(stopped["why"])) if stopped else self._from_log()
        aborted = bool(stopped.get("aborted")) or (self._guard.abort.is_set() and report is None)
        await self._report(report, why, aborted=aborted)

    async def _take_over(self, step: Step, recovery: Recovery) -> None:
        async with self._ctx.store.transaction(self._job) as tx:
            facts = {"step": step.value, "recovery": recovery.value}
            await self._journal.record(tx, "gc.taken_over", must=False, **facts)
            if not self._journal.progress.get("taken_over"):
                await tx.outbox.thread(
                    self._request.id,
                    "taken over",
                    {"step": step.label, "sentence": recovery.sentence},
                )
        self._journal.progress["taken_over"] = step.value

    def _from_log(self) -> tuple[GcReport | None, str]:
        if "planned" not in self._journal.progress:
            return None, "the bot was interrupted before the collection; nothing was collected"
        try:
            return self._collector.read_log(self._journal.name), ""
        except GcError as error:
            return None, f"the bot was interrupted during the collection: {error.sentence}"

    async def _emptied(self) -> dict[str, Any] | None:
        """What became of the empty repositories; None where their turn never came."""
        done: dict[str, Any] | None = self._journal.progress.get("emptied")
        if done is None and Step.EMPTY.value in self._journal.progress.get("times", {}):
            return await emptying.became(self._registry, self._empty)
        return done

    async def _sing(self) -> canary.Sung | None:
        """Pull what was chosen before; None where nothing was collected or chosen."""
        chosen = [canary.Chosen(*one) for one in self._journal.progress.get("canary", ())]
        if not chosen or "planned" not in self._journal.progress:
            return None
        await self._journal.step(Step.CANARY)
        return await canary.sing(self._registry, chosen)

    async def _call_about(self, sung: canary.Sung) -> None:
        """Images that were whole before the collection are not any more: loudly, in the thread."""
        async with self._ctx.store.transaction(self._job) as tx:
            await self._journal.record(tx, "gc.canary_broken", must=False, broken=list(sung.broken))
            await tx.outbox.thread(self._request.id, "canary", {"broken": list(sung.broken)})

    async def _report(self, report: GcReport | None, why: str, *, aborted: bool) -> None:
        sung = await self._sing()
        await self._journal.step(Step.REPORT)
        result = await outcome(
            self._collector, self._journal.name, self._journal.progress, report, why
        )
        if self._empty:
            result["emptied"] = await self._emptied()
        result["uploads"] = await stale_as_json(self._registry)
        result["canary"] = sung.as_json() if sung else None
        if sung and sung.broken:
            await self._call_about(sung)
        if aborted:
            state = State.ABORTED
        elif report is None:
            state = State.PARTLY_DONE if result.get("freed_blobs") else State.FAILED
        else:
            unsure = result["left_blobs"] or result["unknown"] or (sung and sung.broken)
            state = State.PARTLY_DONE if unsure else State.DONE
        ended = replace(self._request, progress=self._journal.progress)
        log = await collection_log.written(
            self._ctx, self._collector, ended, self._journal.name, why
        )
        async with self._ctx.store.transaction(self._job) as tx:
            await tx.requests.move(
                self._request.id,
                [State.RUNNING],
                state,
                finished_at=await tx.now(),
                result=result,
                progress=self._journal.progress,
            )
            await self._journal.record(tx, "gc.finished", must=False, state=state, **result)
            await tx.outbox.refresh(self._request.id)
            await tx.outbox.thread(self._request.id, "finished", {})
            await tx.outbox.file_in_thread(self._request.id, "log", content=log)
            await tx.jobs.finish(self._job)
