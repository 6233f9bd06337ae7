"""Operations on a real store and registry, without Slack: what people decide, as functions."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from bot.gc.command import CommandExecutor, CommandSettings
from bot.gc.docker.executor import DockerExecutor
from bot.gc.docker.settings import DockerSettings
from bot.gc.executor import Executor
from bot.operations import (
    approvals,
    cleanup_request,
    deletion,
    locking,
    previewing,
    requesting,
    undo,
)
from bot.operations.collection_request import request_collection
from bot.operations.context import Asked, Context, Registry, Timing
from bot.operations.table import Operations
from bot.operations.worker import Worker
from bot.registry.auth import Credentials
from bot.registry.client import RegistryClient
from bot.registry.reference import parse_reference
from bot.rules.approval import Draft, Request, State
from bot.rules.policy import (
    Action,
    Actor,
    Approval,
    Channel,
    Group,
    Policy,
    Protection,
    Rule,
    Step,
)
from bot.rules.preview import Preview, PreviewState, Spec
from bot.store.schema import outbox
from bot.store.store import Store

ANN, BOB, CAT = "U0ANN", "U0BOB", "U0CAT"
TEAM, CHANNEL = "T0TEAM", "C0OPS"
FAST = Timing(lease=2.0, retry=0.1, edit=0.05, proof=5.0, preview=20.0, drain=5.0)


def policy(
    *, protected: Sequence[Protection] = (), rules: Sequence[Rule] = (), **changes: Any
) -> Policy:
    """Ann asks, Bob and Cat approve; undo and purges of requests are confirmed."""
    needed = Rule(
        name="default",
        actions=frozenset({Action.DELETE, Action.CLEANUP, Action.PURGE, Action.GC, Action.LOCK}),
        steps=(Step(("leads",), 1),),
        **changes,
    )
    free = Rule(
        name="restoring is free", actions=frozenset({Action.UNDO}), approval=Approval.CONFIRM
    )
    return Policy(
        groups={"leads": Group("leads", frozenset({BOB, CAT}))},
        rules=(*rules, needed, free),
        protections=tuple(protected),
        channels=(Channel(CHANNEL, ("corp",)),),
    )


class Rig:
    """A store, a registry, and a worker that runs while somebody waits for it."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.store = ctx.store
        self.operations = Operations(ctx)
        self.untag, self.purge = self.operations.untag, self.operations.purge

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        directory: Path,
        url: str,
        *,
        rules: Policy | None = None,
        gc: CommandSettings | DockerSettings | Executor | None = None,
        timing: Timing = FAST,
        deadline: float = 5.0,
        credentials: Credentials | None = None,
        **changes: Any,
    ) -> AsyncIterator["Rig"]:
        store = await Store.open(f"sqlite:///{directory}/bot.db", timing.lease)
        client = RegistryClient(url, credentials=credentials, deadline=deadline)
        collector: Executor | None = None
        if isinstance(gc, DockerSettings):
            collector = DockerExecutor(gc, directory / "gc", "corp")
        elif isinstance(gc, CommandSettings):
            collector = CommandExecutor(gc, directory / "gc", "corp")
        else:
            collector = gc
        registry = Registry("corp", client, (client,), "", collector, "no [registries.gc]")
        ctx = Context(store, rules or policy(), {"corp": registry}, 500, ZoneInfo("UTC"), timing)
        ctx = dataclasses.replace(ctx, **changes)
        try:
            yield cls(ctx)
        finally:
            await client.aclose()
            await store.close()

    def with_policy(self, rules: Policy) -> "Rig":
        """The same after the settings have changed."""
        return Rig(dataclasses.replace(self.ctx, policy=rules))

    def asked(self, user: str = ANN, reason: str = "") -> Asked:
        return Asked(Actor(user, TEAM), CHANNEL, reason)

    @property
    def registry(self) -> Registry:
        return self.ctx.registries["corp"]

    async def delete(
        self, *references: str, user: str = ANN, with_signatures: bool = False
    ) -> Request:
        parsed = [parse_reference(text) for text in references]
        return await self._submit(
            await deletion.request_delete(
                self.ctx, self.asked(user), self.registry, parsed, with_signatures=with_signatures
            )
        )

    async def purge_(
        self, *references: str, user: str = ANN, with_signatures: bool = False
    ) -> Request:
        parsed = [parse_reference(text) for text in references]
        asked = self.asked(user, "it must go")
        return await self._submit(
            await deletion.request_purge(
                self.ctx, asked, self.registry, parsed, with_signatures=with_signatures
            )
        )

    async def preview(self, repository: str, spec: Spec, user: str = ANN) -> Preview:
        """Look at a repository for a cleanup, to the end."""
        async with self.store.transaction() as tx:
            begun = await previewing.begin(tx, self.asked(user), "corp", repository, spec, 0)
        async with self.working(), asyncio.timeout(60):
            while True:
                async with self.store.reading() as tx:
                    found = await tx.previews.get(begun.id)
                if found.state is not PreviewState.LOOKING:
                    return found
                await asyncio.sleep(0.02)

    async def cleanup(self, preview: Preview, user: str = ANN) -> Request:
        """Ask for what a preview shows."""
        return await self._submit(
            await cleanup_request.request_cleanup(self.ctx, self.asked(user), preview)
        )

    async def gc(self, *, delete_untagged: bool = False) -> Request:
        return await self._submit(
            await request_collection(
                self.ctx,
                self.asked(),
                self.registry,
                delete_untagged=delete_untagged,
                name="ask",
            )
        )

    async def lock_(
        self, repository: str, *, user: str = ANN, seconds: float | None = None
    ) -> Request:
        """Ask to lock; "" for everything."""
        asked = self.asked(user, "we move")
        return await self._locking(
            await locking.request_lock(self.ctx, asked, self.registry, repository, seconds)
        )

    async def unlock_(self, repository: str, user: str = ANN) -> Request:
        """Ask to unlock; "" for everything."""
        return await self._locking(
            await locking.request_unlock(self.ctx, self.asked(user), self.registry, repository)
        )

    async def _locking(self, draft: Draft) -> Request:
        async with self.store.transaction() as tx:
            return await locking.submit(tx, draft)

    async def _submit(self, draft: Draft) -> Request:
        async with self.store.transaction() as tx:
            return await requesting.submit(tx, draft)

    async def decide(self, how: Callable[..., Any], request: Request, user: str) -> str:
        async with self.store.transaction() as tx:
            current = await tx.requests.get(request.id)
            said = await how(self.ctx, tx, current, self.asked(user))
        return str(said.sentence)

    async def approve(self, request: Request, user: str = BOB) -> str:
        return await self.decide(approvals.approve, request, user)

    async def undo_(self, request: Request, user: str = ANN) -> Request:
        async with self.store.transaction() as tx:
            subject = await tx.requests.get(request.id)
            draft = await undo.request_undo(self.ctx, tx, self.asked(user), subject)
            made = await requesting.submit(tx, draft)
        await self.approve(made, user)
        return await self.finished(made)

    async def purge_now(self, request: Request, user: str = ANN) -> Request:
        async with self.store.transaction() as tx:
            subject = await tx.requests.get(request.id)
            draft = await undo.request_purge_of(self.ctx, tx, self.asked(user), subject)
            made = await requesting.submit(tx, draft)
        await self.approve(made)
        return await self.finished(made)

    async def get(self, request: Request | int) -> Request:
        number = request if isinstance(request, int) else request.id
        async with self.store.reading() as tx:
            return await tx.requests.get(number)

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[Worker]:
        """A worker of its own, stopped at the end."""
        worker = Worker(self.ctx, self.operations.handlers())
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await task

    async def until(
        self, request: Request, holds: Callable[[Request], bool], seconds: float = 120.0
    ) -> Request:
        """Wait until a request is as it should be. The store is asked after every change."""
        async with asyncio.timeout(seconds):
            while True:
                current = await self.get(request)
                if holds(current):
                    return current
                await asyncio.sleep(0.02)

    async def eventually(
        self, holds: Callable[[], Awaitable[bool]], seconds: float = 120.0
    ) -> None:
        """Wait until something is so; the store is asked again and again."""
        async with asyncio.timeout(seconds):
            while not await holds():
                await asyncio.sleep(0.02)

    async def finished(self, request: Request) -> Request:
        """Let a worker run until the request has ended."""
        async with self.working():
            return await self.until(request, lambda r: not r.state.is_open)

    async def done(self, request: Request, user: str = BOB) -> Request:
        """Approve and carry out."""
        await self.approve(request, user)
        return await self.finished(request)

    async def letters(self, kind: str) -> list[dict[str, Any]]:
        """What there is to be said, or was, of one kind: as the outbox has it."""
        query = sa.select(outbox.c.payload).where(outbox.c.kind == kind).order_by(outbox.c.id)
        async with self.store.reading() as tx:
            return list((await tx.conn.execute(query)).scalars())

    async def audit(self, request: Request) -> list[str]:
        async with self.store.reading() as tx:
            return [entry.event for entry in await tx.audit.entries(request_id=request.id)]


__all__ = ["ANN", "BOB", "CAT", "CHANNEL", "FAST", "TEAM", "Rig", "State", "policy"]
