"""Making a registry writable again after a collection: never beside one, and until it is done."""

import asyncio

from bot.gc.errors import GcError
from bot.gc.executor import Executor
from bot.gc.steps import Step
from bot.operations.collection_guard import Guard
from bot.operations.collection_journal import Journal
from bot.operations.errors import told
from bot.operations.proof import Proof, ProofFailed
from bot.operations.worker import TryLater
from bot.registry.errors import RegistryError


class Restoring:
    """The end of one collection, whatever came of it."""

    def __init__(self, journal: Journal, collector: Executor, proof: Proof, guard: Guard) -> None:
        self._journal = journal
        self._collector = collector
        self._proof = proof
        self._guard = guard

    async def restore(self) -> None:
        """Make the registry writable, never beside a collection.

        Raises
        ------
        TryLater : it could not be done; help was called for, loudly.
        """
        journal, collector = self._journal, self._collector
        if collector.is_live and not collector.can_restore:
            return
        try:
            await self._until_gone()
            await journal.step(Step.RESTART)
            await collector.clear_cache(journal.fence)
            await collector.switch_on_writes(journal.name, journal.fence)
            await journal.step(Step.PROOF_WRITABLE)
            await self._proof.accepted()
        except (ProofFailed, RegistryError, GcError) as error:
            await self._call_for_help(told(error))
            raise TryLater(journal.ctx.timing.retry) from error
        await journal.note(help="")

    async def is_done(self) -> bool:
        """Whether the restart that was begun has done its work."""
        if self._journal.progress.get("help"):
            return False
        try:
            await self._proof.accepted()
        except (ProofFailed, RegistryError):
            return False
        return True

    async def _call_for_help(self, why: str) -> None:
        journal = self._journal
        first = not journal.progress.get("help")
        journal.progress["help"] = why
        async with journal.ctx.store.transaction(journal.job) as tx:
            await tx.requests.change(journal.request.id, progress=journal.progress)
            await tx.outbox.refresh(journal.request.id)
            if first:
                await journal.record(tx, "gc.restore_failed", must=False, why=why)
                await tx.outbox.thread(
                    journal.request.id,
                    "restore failed",
                    {"why": why, "command": self._collector.restore_command(journal.name)},
                )

    async def _until_gone(self) -> None:
        """Wait for what still works on the registry; a collection is killed on Abort."""
        journal, collector, edit = self._journal, self._collector, self._journal.ctx.timing.edit
        while command := collector.unfinished():
            await journal.note(
                waiting=f"`{command}`, which this bot ran before it was interrupted, is still at "
                "work"
            )
            await asyncio.sleep(edit)
        while await collector.collecting():
            if self._guard.abort.is_set():
                await collector.kill_orphan(journal.name, journal.fence)
            await journal.note(
                waiting="a collection is still at work; the registry stays read-only"
            )
            await collector.wait_until_gone(edit)
