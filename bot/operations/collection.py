"""Garbage collection that cannot hurt: asks, and carries out the sequence step by step.

Every step is a row in the store before it is an act. Whoever takes over after a crash reads
the step, finds out whether a collection still runs, and never makes the registry writable
beside one.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.gc.command import CommandExecutor
from bot.gc.errors import CollectionAborted, CommandFailed, GcError
from bot.gc.report import GcProgress, GcReport
from bot.gc.steps import Recovery, Step, recovery_for
from bot.operations import requesting
from bot.operations.context import Asked, Context, Registry
from bot.operations.errors import Refusal
from bot.operations.proof import Proof, ProofFailed
from bot.operations.running import begin, fail
from bot.operations.worker import TryLater
from bot.registry.client import DeleteSupport
from bot.registry.errors import RegistryError
from bot.rules.approval import Draft, Request, State
from bot.rules.policy import Action
from bot.store.jobs import Job


@dataclass(frozen=True, slots=True)
class Preview:
    """What a dry run found: counts, bytes (None where the storage is out of reach)."""

    blobs: int
    manifests: tuple[str, ...]
    size: int | None
    summary: str


class Interrupted(Exception):
    """The sequence cannot go on; the registry must be restored, then `why` is told."""

    def __init__(self, why: str, *, aborted: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.aborted = aborted


def collector_of(registry: Registry) -> CommandExecutor:
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
        await _untagged_gate(ctx, registry)
    async with ctx.store.reading() as tx:
        running = await tx.jobs.running_exclusive(registry.name)
    if (running and running[0] == "collect") or await collector.collecting():
        raise Refusal(
            f"A collection is at work on {registry.name} right now.",
            "`/registry status` tells which.",
        )
    report = await collector.collect(
        dry_run=True,
        delete_untagged=delete_untagged,
        job=name,
        on_progress=None,
        abort=None,
        timeout=ctx.timing.preview if limited else None,
    )
    collector.forget(name)
    sizes = await sizes_of(collector, report.eligible_blobs)
    return Preview(
        len(report.eligible_blobs),
        tuple(sorted(_manifests(report))),
        sum(sizes.values()) if sizes is not None else None,
        report.summary,
    )


async def sizes_of(collector: CommandExecutor, blobs: Iterable[str]) -> dict[str, int] | None:
    """Bytes of each blob on disk; None where the storage is out of reach."""
    if collector.settings.storage_root is None:
        return None
    return await asyncio.to_thread(collector.blob_sizes, list(blobs))


def _manifests(report: GcReport) -> set[str]:
    return {digest for _, digest in report.eligible_manifests}


async def _untagged_gate(ctx: Context, registry: Registry) -> None:
    name = registry.probe_repository or "registry-bot/probe"
    if await registry.client.probe_delete(name) is not DeleteSupport.TAG:
        raise Refusal(
            "--delete-untagged is refused: on distribution 2.x it deletes the images inside "
            "multi-arch indexes, and this registry is not proven to be 3.x.",
            "Run a plain `/registry gc`, or move the registry to distribution 3.",
        )
    async with ctx.store.reading() as tx:
        windows = await tx.windows.open_on(registry.name)
    if windows:
        names = ", ".join(dict.fromkeys(f"R{w.request}" for w in windows))
        raise Refusal(
            f"--delete-untagged would end the undo windows of {names}.",
            f"Wait until they end, or `/registry purge R{windows[0].request}` first.",
        )


async def request_collection(
    ctx: Context, asked: Asked, registry: Registry, *, delete_untagged: bool, name: str
) -> Draft:
    """Ask for a collection, with a dry run as far as there is time for one."""
    collector = collector_of(registry)
    rule = requesting.judge(ctx, asked, Action.GC, [])
    async with ctx.store.reading() as tx:
        others = await tx.requests.open_on(registry.name, Action.GC)
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
    by_request: dict[int, int] = {}
    for window in windows:
        by_request[window.request] = by_request.get(window.request, 0) + window.size
    plan: dict[str, Any] = {
        "delete_untagged": delete_untagged,
        "preview": None
        if seen is None
        else {"blobs": seen.blobs, "manifests": list(seen.manifests), "bytes": seen.size},
        "note": note,
        "windows": [[number, size] for number, size in by_request.items()],
        "until": {str(w.request): w.until for w in windows},
        "mode": collector.settings.mode,
        "unsafe": collector.settings.unsafe_allow_live_gc,
    }
    return requesting.draft(ctx, asked, registry, Action.GC, rule, plan=plan)


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
        if step is None or recovery_for(Step(step)) is Recovery.NOTHING:
            await run.sequence()
        else:
            await run.recover(Step(step))

    async def _recheck(self, request: Request) -> str:
        registry = self._ctx.registry(request.registry)
        try:
            collector_of(registry)
            if request.plan["delete_untagged"]:
                await _untagged_gate(self._ctx, registry)
        except Refusal as refusal:
            return refusal.sentence
        return ""

    async def give_up(self, job: Job, why: str) -> None:
        """The bot failed several times: what is left is to call for somebody, loudly."""
        if job.request_id is None:
            return
        async with self._ctx.store.reading() as tx:
            request = await tx.requests.get(job.request_id)
        if request.state not in {State.APPROVED, State.RUNNING}:
            return
        step = request.progress.get("step")
        if step is not None and Step(step).writes_may_be_off:
            # Never leave a registry read-only in silence: begin again with the recovery.
            raise TryLater(self._ctx.timing.retry * 6)
        await fail(self._ctx, job, request, f"the bot failed several times ({why})")


class Run:
    """One collection, from its first step to its report."""

    def __init__(
        self,
        ctx: Context,
        job: Job,
        request: Request,
        registry: Registry,
        collector: CommandExecutor,
    ) -> None:
        self._ctx = ctx
        self._job = job
        self._request = request
        self._registry = registry
        self._collector = collector
        self._settings = collector.settings
        self._progress: dict[str, Any] = dict(request.progress)
        self._abort = asyncio.Event()
        self._proof = Proof(registry, ctx.timing.proof, offline=self._settings.mode == "offline")
        self._live = self._settings.unsafe_allow_live_gc and not self._settings.start_read_only

    @property
    def _name(self) -> str:
        return f"{self._request.name}-collect"

    async def _step(self, step: Step, **facts: Any) -> None:
        """Write down what is about to be done; the fence is checked with it."""
        self._progress = {**self._progress, **facts, "step": step.value, "waiting": ""}
        async with self._ctx.store.transaction(self._job) as tx:
            now = await tx.now()
            times = {**self._progress.get("times", {}), step.value: now}
            self._progress["times"] = times
            await tx.requests.change(self._request.id, progress=self._progress)
            await tx.audit.append(
                "gc.step",
                registry=self._registry.name,
                request_id=self._request.id,
                detail={"step": step.value},
            )
            await tx.outbox.refresh(self._request.id)

    async def _note(self, **facts: Any) -> None:
        self._progress = {**self._progress, **facts}
        async with self._ctx.store.transaction(self._job) as tx:
            await tx.requests.change(self._request.id, progress=self._progress)
            await tx.outbox.refresh(self._request.id)

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
            await self._restore()
        await self._report(report, why, aborted=aborted)

    async def _preflight(self) -> None:
        await self._step(Step.PREFLIGHT)
        # Somebody's dry run may still be at work.
        if not await self._collector.wait_until_gone(self._ctx.timing.preview):
            raise CommandFailed(
                "A collection that the bot did not start is at work.",
                "Wait until it has ended, then ask again.",
            )
        await self._registry.client.ping()
        await self._proof.accepted()

    async def _collect_safely(self) -> GcReport:
        if not self._live:
            await self._step(Step.SWITCH, disk_before=self._disk())
            await self._collector.switch_off_writes()
            await self._step(Step.PROOF)
            await self._proof.refused()
        self._stop_if_asked()
        await self._step(Step.DRY_RUN)
        planned = await self._collect(dry_run=True)
        self._compare(planned)
        self._stop_if_asked()
        sizes = await sizes_of(self._collector, planned.eligible_blobs)
        await self._step(
            Step.COLLECT,
            planned={
                "blobs": sorted(planned.eligible_blobs),
                "manifests": len(planned.eligible_manifests),
                "sizes": sizes,
            },
        )
        return await self._collect(dry_run=False)

    def _stop_if_asked(self) -> None:
        if self._abort.is_set():
            raise Interrupted(f"aborted by <@{self._request.abort_by}>", aborted=True)

    def _compare(self, planned: GcReport) -> None:
        approved: set[str] = set()
        if self._request.plan["delete_untagged"]:
            approved = set((self._request.plan["preview"] or {}).get("manifests", ()))
        extra = _manifests(planned) - approved
        if extra:
            raise Interrupted(
                f"the dry run would delete {len(extra)} manifests that nobody approved "
                f"({min(extra)[:19]}); nothing was collected"
            )

    async def _collect(self, *, dry_run: bool) -> GcReport:
        latest: list[GcProgress] = []
        guard = asyncio.create_task(self._guard(latest))
        try:
            return await self._collector.collect(
                dry_run=dry_run,
                delete_untagged=bool(self._request.plan["delete_untagged"]),
                job=self._name,
                on_progress=lambda p: latest.__setitem__(slice(None), [p]),
                abort=self._abort,
            )
        finally:
            guard.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await guard

    async def _guard(self, latest: list[GcProgress]) -> None:
        """While it runs: show progress, and prove again and again that pushes are refused."""
        shown: GcProgress | None = None
        while True:
            await asyncio.sleep(self._ctx.timing.edit)
            if not self._live and not await self._proof.still_refused():
                await self._note(breach=True)
                self._abort.set()
                return
            if latest and latest[0] != shown:
                shown = latest[0]
                await self._note(marked=shown.marked, eligible=shown.eligible_blobs)

    def _aborted_by(self, stop: CollectionAborted) -> str:
        if self._progress.get("breach"):
            return (
                "the registry accepted an upload during the collection, which was killed at once; "
                "check `write_urls` and what else restarts the registry"
            )
        return stop.sentence

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
        if self._live:
            return
        await self._until_gone()
        await self._step(Step.RESTART)
        try:
            await self._collector.clear_cache()
            await self._collector.switch_on_writes()
            await self._step(Step.PROOF_WRITABLE)
            await self._proof.accepted()
        except (ProofFailed, RegistryError, GcError) as error:
            await self._call_for_help(f"{error.sentence} {error.hint}".strip())
            raise TryLater(self._ctx.timing.retry) from error
        await self._note(help="")

    async def _call_for_help(self, why: str) -> None:
        first = not self._progress.get("help")
        await self._note(help=why)
        if first:
            async with self._ctx.store.transaction(self._job) as tx:
                await tx.audit.append(
                    "gc.restore_failed",
                    registry=self._registry.name,
                    request_id=self._request.id,
                    detail={"why": why},
                )
                await tx.outbox.thread(
                    self._request.id,
                    "restore failed",
                    {"why": why, "command": " ".join(self._settings.start)},
                )

    async def _until_gone(self) -> None:
        """Wait for (or, if somebody aborts, kill) a collection that still runs."""
        while await self._collector.collecting():
            if self._abort.is_set():
                await self._collector.kill_orphan(self._name)
            await self._note(waiting="a collection is still at work; the registry stays read-only")
            await self._collector.wait_until_gone(self._ctx.timing.edit)

    async def recover(self, step: Step) -> None:
        """Take over from a process that died at `step`."""
        recovery = recovery_for(step)
        async with self._ctx.store.transaction(self._job) as tx:
            await tx.audit.append(
                "gc.taken_over",
                registry=self._registry.name,
                request_id=self._request.id,
                detail={"step": step.value, "recovery": recovery.value},
            )
            if not self._progress.get("taken_over"):
                await tx.outbox.thread(
                    self._request.id,
                    "taken over",
                    {"step": step.label, "sentence": recovery.sentence},
                )
        self._progress["taken_over"] = step.value
        async with self._watching_for_abort():
            await self._until_gone()
            if recovery is not Recovery.TELL:
                await self._restore()
        report, why = self._from_log()
        aborted = self._abort.is_set() and report is None
        await self._report(report, why, aborted=aborted)

    def _from_log(self) -> tuple[GcReport | None, str]:
        if "planned" not in self._progress:
            return None, "the bot was interrupted before the collection; nothing was collected"
        try:
            return self._collector.read_log(self._name), ""
        except GcError as error:
            return None, f"the bot was interrupted during the collection: {error.sentence}"

    def _disk(self) -> list[int] | None:
        usage = self._collector.disk()
        return list(usage) if usage else None

    async def _report(self, report: GcReport | None, why: str, *, aborted: bool) -> None:
        await self._step(Step.REPORT)
        result = self._result(report, why)
        if aborted:
            state = State.ABORTED
        elif report is None:
            state = State.PARTLY_DONE if result.get("freed_blobs") else State.FAILED
        else:
            state = State.PARTLY_DONE if result["left_blobs"] or result["unknown"] else State.DONE
        async with self._ctx.store.transaction(self._job) as tx:
            await tx.requests.move(
                self._request.id,
                [State.RUNNING],
                state,
                finished_at=await tx.now(),
                result=result,
                progress=self._lean(),
            )
            await tx.audit.append(
                "gc.finished",
                registry=self._registry.name,
                request_id=self._request.id,
                rule=self._request.rule,
                detail={"state": state, **{k: v for k, v in result.items() if k != "log"}},
            )
            await tx.outbox.refresh(self._request.id)
            await tx.outbox.thread(self._request.id, "finished", {})
            await tx.jobs.finish(self._job)

    def _lean(self) -> dict[str, Any]:
        """The progress without the long lists, which nobody needs any more."""
        return {k: v for k, v in self._progress.items() if k != "planned"}

    def _result(self, report: GcReport | None, why: str) -> dict[str, Any]:
        planned: Mapping[str, Any] = self._progress.get("planned") or {}
        blobs: list[str] = list(planned.get("blobs", ()))
        sizes: Mapping[str, int] | None = planned.get("sizes")
        taken_over = bool(self._progress.get("taken_over"))
        times = self._progress.get("times", {})
        result: dict[str, Any] = {
            "why": why,
            "planned_blobs": len(blobs),
            "manifests": planned.get("manifests", 0),
            "freed_blobs": None,
            "freed_bytes": None,
            "left_blobs": 0,
            "unknown": False,
            "disk_before": self._progress.get("disk_before"),
            "disk_after": self._disk(),
            "taken_over": taken_over,
            "without_pushes": _seconds(times, Step.SWITCH, Step.REPORT),
            "collecting": _seconds(times, Step.COLLECT, Step.RESTART),
        }
        if sizes is not None:
            present = self._collector.present_blobs(blobs)
            gone = [blob for blob in blobs if blob not in present]
            result["freed_blobs"] = len(gone)
            result["freed_bytes"] = sum(sizes.get(blob, 0) for blob in gone)
            result["left_blobs"] = len(present)
        elif report is not None and not taken_over:
            result["freed_blobs"] = len(report.eligible_blobs)
        elif blobs:
            # Nobody saw it end, and the storage is out of reach: say that we do not know.
            result["unknown"] = True
        return result


def _seconds(times: Mapping[str, float], start: Step, end: Step) -> float | None:
    if start.value in times and end.value in times:
        return float(times[end.value] - times[start.value])
    return None
