"""What a collection has come to, in the store: every step is a row there before it is an act."""

from typing import Any

from bot.gc.steps import Step
from bot.operations.context import Context
from bot.rules.approval import Request
from bot.store.jobs import Job
from bot.store.store import Transaction

_RESTORING = {Step.RESTART, Step.PROOF_WRITABLE, Step.REPORT}


class Journal:
    """One collection's progress. `request` is as it was last read."""

    def __init__(self, ctx: Context, job: Job, request: Request) -> None:
        self.ctx = ctx
        self.job = job
        self.request = request
        self.progress: dict[str, Any] = dict(request.progress)

    @property
    def name(self) -> str:
        """What the executor knows this collection by."""
        return f"{self.request.name}-collect"

    async def step(self, step: Step, **facts: Any) -> None:
        """Write down what is about to be done; the fence is checked with it."""
        self.progress = {
            **self.progress,
            **facts,
            "step": step.value,
            "waiting": "",
            "worker": self.job.worker,
        }
        async with self.ctx.store.transaction(self.job) as tx:
            times = {**self.progress.get("times", {}), step.value: await tx.now()}
            self.progress["times"] = times
            await tx.requests.change(self.request.id, progress=self.progress)
            await self.record(tx, "gc.step", must=step not in _RESTORING, step=step.value)
            await tx.outbox.refresh(self.request.id)

    async def record(self, tx: Transaction, event: str, *, must: bool, **facts: Any) -> None:
        """A line of the audit trail. What makes the registry writable goes on without one."""
        write = tx.audit.about if must else tx.audit.about_if_possible
        await write(self.request, event, detail=facts)

    async def note(self, **facts: Any) -> None:
        """Write down something about the step that is under way."""
        self.progress = {**self.progress, **facts}
        async with self.ctx.store.transaction(self.job) as tx:
            await tx.requests.change(self.request.id, progress=self.progress)
            await tx.outbox.refresh(self.request.id)

    async def fence(self) -> None:
        """Raises LeaseLost where another process has taken the job over; before each act."""
        async with self.ctx.store.transaction(self.job):
            pass
