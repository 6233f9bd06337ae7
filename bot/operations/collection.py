"""Garbage collection that cannot hurt: asks, and carries out the sequence step by step.

Every step is a row in the store before it is an act. Whoever takes over after a crash reads
the step, finds out whether a collection still runs, and never makes the registry writable
beside one.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from typing import Any, TypeVar

from bot.gc.errors import CollectionAborted, CommandFailed, GcError
from bot.gc.executor import Executor
from bot.gc.report import GcProgress, GcReport
from bot.gc.steps import Recovery, Step, recovery_for
from bot.operations import canary, collection_log, emptying, untagged
from bot.operations.collection_request import collector_of, obstacle_of
from bot.operations.collection_result import outcome
from bot.operations.context import Context, Registry
from bot.operations.errors import Refusal
from bot.operations.proof import Proof, ProofFailed
from bot.operations.running import begin, fail
from bot.operations.stale import stale_as_json
from bot.operations.worker import TryLater
from bot.registry.errors import RegistryError
from bot.rules.approval import Request, State
from bot.store.jobs import Job
from bot.store.store import Transaction

_T = TypeVar("_T")

_ATTEMPTS = 5  # to begin; what has begun is restored, however often that takes
_RESTORING = {Step.RESTART, Step.PROOF_WRITABLE, Step.REPORT}


class Interrupted(Exception):
    """The sequence cannot go on; the registry must be restored, then `why` is told."""

    def __init__(self, why: str, *, aborted: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.aborted = aborted


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
        self._request = request
        self._registry = registry
        self._collector = collector
        self._progress: dict[str, Any] = dict(request.progress)
        self._abort = asyncio.Event()
        self._empty: list[str] = request.plan.get(emptying.PLANNED) or []
        self._proof = Proof(
            registry,
            ctx.timing.proof,
            offline=collector.mode == "offline",
            avoid=self._empty,
            fence=self._fence,
        )
        self._live = collector.is_live

    @property
    def _name(self) -> str:
        return f"{self._request.name}-collect"

    async def _step(self, step: Step, **facts: Any) -> None:
        """Write down what is about to be done; the fence is checked with it."""
        self._progress = {
            **self._progress,
            **facts,
            "step": step.value,
            "waiting": "",
            "worker": self._job.worker,
        }
        async with self._ctx.store.transaction(self._job) as tx:
            now = await tx.now()
            times = {**self._progress.get("times", {}), step.value: now}
            self._progress["times"] = times
            await tx.requests.change(self._request.id, progress=self._progress)
            await self._record(tx, "gc.step", must=step not in _RESTORING, step=step.value)
            await tx.outbox.refresh(self._request.id)

    async def _record(self, tx: Transaction, event: str, *, must: bool, **facts: Any) -> None:
        """A line of the audit trail. What makes the registry writable goes on without one."""
        write = tx.audit.about if must else tx.audit.about_if_possible
        await write(self._request, event, detail=facts)

    async def _note(self, **facts: Any) -> None:
        self._progress = {**self._progress, **facts}
        async with self._ctx.store.transaction(self._job) as tx:
            await tx.requests.change(self._request.id, progress=self._progress)
            await tx.outbox.refresh(self._request.id)

    async def _fence(self) -> None:
        """Raises LeaseLost where another process has taken the job over; before each act."""
        async with self._ctx.store.transaction(self._job):
            pass

    async def sequence(self) -> None:
        """All steps, in order. Whatever goes wrong after the switch is followed by restoring."""
        async with self._watching_for_abort():
            try:
                await self._preflight()
            except (ProofFailed, RegistryError, GcError) as error:
                await fail(
                    self._ctx, self._job, self._request, f"{error.sentence} {error.hint}".strip()
                )
                return
            why, aborted = "", False
            report: GcReport | None = None
            try:
                report = await self._collect_safely()
            except Interrupted as stop:
                why, aborted = stop.why, stop.aborted
            except CollectionAborted as stop:
                why, aborted = self._aborted_by(stop), True
            except (ProofFailed, RegistryError, GcError) as error:
                why = f"{error.sentence} {error.hint}".strip()
            if why:
                # Restoring may take several attempts, and other processes.
                await self._note(stopped={"why": why, "aborted": aborted})
            await self._restore()
        await self._report(report, why, aborted=aborted)

    async def _preflight(self) -> None:
        await self._step(Step.PREFLIGHT)
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
        await self._note(canary=[[c.repository, c.tag, c.digest] for c in chosen])

    async def _collect_safely(self) -> GcReport:
        if not self._live:
            usage = await self._collector.disk()
            await self._step(Step.SWITCH, disk_before=list(usage) if usage else None)
            await self._collector.switch_off_writes(self._name, self._fence)
            await self._step(Step.PROOF)
            await self._proof.refused(self._collector.disturbance)
            await self._proof.same_storage()
        self._stop_if_asked()
        await self._step(Step.DRY_RUN)
        planned = await self._collect(dry_run=True)
        self._compare(planned)
        await self._prove_untagged(planned)
        self._stop_if_asked()
        await self._keep_plan(planned)
        if disturbed := await self._collector.disturbance():
            raise Interrupted(f"{disturbed}; nothing was collected")
        await self._step(
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
        await self._step(Step.EMPTY)
        refused = ""
        try:
            await self._proof.refused(self._collector.disturbance)
        except (ProofFailed, GcError) as error:
            refused = error.sentence
        proven = time.monotonic()

        async def allowed() -> str:
            nonlocal refused, proven
            if not refused and time.monotonic() - proven > self._ctx.timing.edit:
                refused = "pushes were accepted again" if await self._breach() else ""
                proven = time.monotonic()
            await self._fence()
            return refused or ("it was aborted" if self._abort.is_set() else "")

        done = await emptying.remove(self._ctx, self._registry, self._empty, allowed)
        await self._note(emptied=done)

    async def _keep_plan(self, planned: GcReport) -> None:
        """Note what is to go and how large it is, for whoever has to tell what went."""
        sizes = await self._collector.blob_sizes(planned.eligible_blobs)
        if sizes is not None:
            plan = {blob: sizes.get(blob, 0) for blob in planned.eligible_blobs}
            await asyncio.to_thread(self._collector.write_note, self._name, plan)

    def _stop_if_asked(self) -> None:
        if self._abort.is_set():
            raise Interrupted(f"aborted by <@{self._request.abort_by}>", aborted=True)

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
            async with self._guarded([]):
                proven = await self._unless_aborted(
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
                await self._record(tx, "gc.unproven", must=False, why=refusal.sentence)
            raise Interrupted(
                f"{refusal.sentence} Nothing was collected. {refusal.hint}".strip()
            ) from None
        if proven is None:
            return
        if breach := await self._breach():
            raise Interrupted(f"{breach}; nothing was collected")
        multi_arch = await canary.whole(self._registry, proven.multi_arch)
        sung = {tuple(one) for one in self._progress.get("canary", ())}
        sung |= {(one.repository, one.tag, one.digest) for one in multi_arch}
        async with self._ctx.store.transaction(self._job) as tx:
            going = len(planned.eligible_manifests)
            facts = {"delete_untagged": True, "going": going, **proven.counts()}
            await self._record(tx, "gc.proven", must=True, **facts)
        await self._note(proof=proven.counts(), canary=[list(one) for one in sorted(sung)])

    async def _unless_aborted(self, work: Awaitable[_T]) -> _T:
        """The result of `work`; raises CollectionAborted where that comes first."""
        task = asyncio.ensure_future(work)
        abort = asyncio.create_task(self._abort.wait())
        try:
            await asyncio.wait({task, abort}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise CollectionAborted(f"aborted by <@{self._request.abort_by}>")
            return task.result()
        finally:
            task.cancel()
            abort.cancel()
            await asyncio.gather(task, abort, return_exceptions=True)

    async def _collect(self, *, dry_run: bool) -> GcReport:
        latest: list[GcProgress] = []
        async with self._guarded(latest):
            return await self._collector.collect(
                dry_run=dry_run,
                delete_untagged=bool(self._request.plan["delete_untagged"]),
                job=self._name,
                on_progress=lambda p: latest.__setitem__(slice(None), [p]),
                abort=self._abort,
                fence=self._fence,
            )

    @contextlib.asynccontextmanager
    async def _guarded(self, latest: list[GcProgress]) -> AsyncIterator[None]:
        guard = asyncio.create_task(self._guard(latest))
        try:
            yield
        finally:
            guard.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await guard

    async def _guard(self, latest: list[GcProgress]) -> None:
        """While it runs: show progress, and prove again and again that pushes are refused."""
        shown: GcProgress | None = None
        while True:
            await asyncio.sleep(self._ctx.timing.edit)
            if breach := await self._breach():
                await self._note(breach=breach)
                self._abort.set()
                return
            if latest and latest[0] != shown:
                shown = latest[0]
                await self._note(marked=shown.marked, eligible=shown.eligible_blobs)

    async def _breach(self) -> str:
        """Why the collection must not go on beside the registry as it is; "" if it may."""
        if self._live:
            return ""
        with contextlib.suppress(GcError):  # nobody answers: silence is not a breach
            if disturbed := await self._collector.disturbance():
                return f"{disturbed}. The collection was killed at once"
        if await self._proof.still_refused():
            return ""
        return (
            "the registry accepted an upload during the collection, which was killed at once; "
            "check `write_urls` and what else restarts the registry"
        )

    def _aborted_by(self, stop: CollectionAborted) -> str:
        return str(self._progress.get("breach") or stop.sentence)

    @contextlib.asynccontextmanager
    async def _watching_for_abort(self) -> AsyncIterator[None]:
        async def watch() -> None:
            while not self._abort.is_set():
                async with self._ctx.store.reading() as tx:
                    current = await tx.requests.get(self._request.id)
                if current.abort_by:
                    self._request = current
                    self._abort.set()
                    return
                await asyncio.sleep(min(1.0, self._ctx.timing.edit))

        task = asyncio.create_task(watch())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task

    async def _restore(self) -> None:
        """Make the registry writable, never beside a collection; try until it is."""
        if self._live and not self._collector.can_restore:
            return
        try:
            await self._until_gone()
            await self._step(Step.RESTART)
            await self._collector.clear_cache(self._fence)
            await self._collector.switch_on_writes(self._name, self._fence)
            await self._step(Step.PROOF_WRITABLE)
            await self._proof.accepted()
        except (ProofFailed, RegistryError, GcError) as error:
            await self._call_for_help(f"{error.sentence} {error.hint}".strip())
            raise TryLater(self._ctx.timing.retry) from error
        await self._note(help="")

    async def _call_for_help(self, why: str) -> None:
        first = not self._progress.get("help")
        self._progress["help"] = why
        async with self._ctx.store.transaction(self._job) as tx:
            await tx.requests.change(self._request.id, progress=self._progress)
            await tx.outbox.refresh(self._request.id)
            if first:
                await self._record(tx, "gc.restore_failed", must=False, why=why)
                await tx.outbox.thread(
                    self._request.id,
                    "restore failed",
                    {"why": why, "command": self._collector.restore_command(self._name)},
                )

    async def _until_gone(self) -> None:
        """Wait for what still works on the registry; a collection is killed on Abort."""
        while command := self._collector.unfinished():
            await self._note(
                waiting=f"`{command}`, which this bot ran before it was interrupted, is still at "
                "work"
            )
            await asyncio.sleep(self._ctx.timing.edit)
        while await self._collector.collecting():
            if self._abort.is_set():
                await self._collector.kill_orphan(self._name, self._fence)
            await self._note(waiting="a collection is still at work; the registry stays read-only")
            await self._collector.wait_until_gone(self._ctx.timing.edit)

    async def recover(self, step: Step) -> None:
        """Go on where a process died at `step`, or where this one could not restore."""
        recovery = recovery_for(step)
        if self._progress.get("worker") != self._job.worker:
            await self._take_over(step, recovery)
        async with self._watching_for_abort():
            if recovery.restores or (recovery.proves and not await self._is_writable()):
                await self._restore()
        stopped = self._progress.get("stopped") or {}
        report, why = (None, str(stopped["why"])) if stopped else self._from_log()
        aborted = bool(stopped.get("aborted")) or (self._abort.is_set() and report is None)
        await self._report(report, why, aborted=aborted)

    async def _take_over(self, step: Step, recovery: Recovery) -> None:
        async with self._ctx.store.transaction(self._job) as tx:
            facts = {"step": step.value, "recovery": recovery.value}
            await self._record(tx, "gc.taken_over", must=False, **facts)
            if not self._progress.get("taken_over"):
                await tx.outbox.thread(
                    self._request.id,
                    "taken over",
                    {"step": step.label, "sentence": recovery.sentence},
                )
        self._progress["taken_over"] = step.value

    async def _is_writable(self) -> bool:
        """Whether the restart that was begun has done its work."""
        if self._progress.get("help"):
            return False
        try:
            await self._proof.accepted()
        except (ProofFailed, RegistryError):
            return False
        return True

    def _from_log(self) -> tuple[GcReport | None, str]:
        if "planned" not in self._progress:
            return None, "the bot was interrupted before the collection; nothing was collected"
        try:
            return self._collector.read_log(self._name), ""
        except GcError as error:
            return None, f"the bot was interrupted during the collection: {error.sentence}"

    async def _emptied(self) -> dict[str, Any] | None:
        """What became of the empty repositories; None where their turn never came."""
        done: dict[str, Any] | None = self._progress.get("emptied")
        if done is None and Step.EMPTY.value in self._progress.get("times", {}):
            return await emptying.became(self._registry, self._empty)
        return done

    async def _sing(self) -> canary.Sung | None:
        """Pull what was chosen before; None where nothing was collected or chosen."""
        chosen = [canary.Chosen(*one) for one in self._progress.get("canary", ())]
        if not chosen or "planned" not in self._progress:
            return None
        await self._step(Step.CANARY)
        return await canary.sing(self._registry, chosen)

    async def _call_about(self, sung: canary.Sung) -> None:
        """Images that were whole before the collection are not any more: loudly, in the thread."""
        async with self._ctx.store.transaction(self._job) as tx:
            await self._record(tx, "gc.canary_broken", must=False, broken=list(sung.broken))
            await tx.outbox.thread(self._request.id, "canary", {"broken": list(sung.broken)})

    async def _report(self, report: GcReport | None, why: str, *, aborted: bool) -> None:
        sung = await self._sing()
        await self._step(Step.REPORT)
        result = await outcome(self._collector, self._name, self._progress, report, why)
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
        ended = replace(self._request, progress=self._progress)
        log = await collection_log.written(self._ctx, self._collector, ended, self._name, why)
        async with self._ctx.store.transaction(self._job) as tx:
            await tx.requests.move(
                self._request.id,
                [State.RUNNING],
                state,
                finished_at=await tx.now(),
                result=result,
                progress=self._progress,
            )
            await self._record(tx, "gc.finished", must=False, state=state, **result)
            await tx.outbox.refresh(self._request.id)
            await tx.outbox.thread(self._request.id, "finished", {})
            await tx.outbox.file_in_thread(self._request.id, "log", content=log)
            await tx.jobs.finish(self._job)
