"""Holds a process of the bot at exact moments of its collections; run_bot.py installs it.

Where the environment variable HOLD_AT names a directory, the collection of the registry NAME is
held at the moment that stands in its file `NAME.at`: then there is `NAME.held`, and it goes on
when there is `NAME.go`. When it has ended in this process, however, there is `NAME.ended`.

The moments:

    begun         before the first step is written down
    STEP          the step is written down, and nothing of it is done
    STEP.N        before the step's N-th act, just before it is asked who is in charge
    STEP.done     the step is done, and the next one is not written down

A file `freeze` stops the whole process while something is held, as SIGSTOP does, but never inside
a transaction of SQLite's, which would lock everybody out of the file.
"""

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bot.gc.command import CommandExecutor
from bot.gc.docker.executor import DockerExecutor
from bot.operations import collection, collection_journal, emptying
from bot.store.store import Store

HOLD_AT = "HOLD_AT"

_ACTS = ("switch_off_writes", "switch_on_writes", "collect", "clear_cache", "kill_orphan")


class Moments:
    """The moments of one process."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._acts: Counter[str] = Counter()
        self._steps: dict[str, str] = {}

    def install(self) -> None:
        """Put itself between the bot and what it does."""
        self._around_steps()
        for executor in (CommandExecutor, DockerExecutor):
            for name in _ACTS:
                setattr(executor, name, self._with_fence(getattr(executor, name)))
        self._around_emptying()
        self._around_all()

    async def reach(self, store: Store, name: str, moment: str) -> None:
        """Be held here, if that is wanted."""
        at = self._directory / f"{name}.at"
        if not at.exists() or at.read_text() != moment:
            return
        at.unlink()
        (self._directory / f"{name}.held").touch()
        while not (self._directory / f"{name}.go").exists():
            with contextlib.suppress(FileNotFoundError):
                (self._directory / "freeze").unlink()
                async with store._writer or contextlib.nullcontext():
                    os.kill(os.getpid(), signal.SIGSTOP)
            await asyncio.sleep(0.02)

    async def _act(self, store: Store, name: str) -> None:
        self._acts[name] += 1
        await self.reach(store, name, f"{self._steps[name]}.{self._acts[name]}")

    def _around_steps(self) -> None:
        write = collection_journal.Journal.step

        async def step(journal: Any, which: Any, **facts: Any) -> None:
            store, name = journal.ctx.store, journal.request.registry
            before = self._steps.get(name)
            await self.reach(store, name, f"{before}.done" if before else "begun")
            await write(journal, which, **facts)
            self._steps[name] = which.value
            self._acts[name] = 0
            await self.reach(store, name, which.value)

        collection_journal.Journal.step = step  # type: ignore[method-assign]

    def _with_fence(self, act: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def fenced(executor: Any, *words: Any, **more: Any) -> Any:
            def held(given: Any) -> Any:
                journal = getattr(given, "__self__", None)
                if not isinstance(journal, collection_journal.Journal):
                    return given

                async def fence() -> None:
                    await self._act(journal.ctx.store, executor.name)
                    await given()

                return fence

            words = tuple(held(word) for word in words)
            more = {key: held(value) if key == "fence" else value for key, value in more.items()}
            return await act(executor, *words, **more)

        return fenced

    def _around_emptying(self) -> None:
        remove = emptying.remove

        async def removing(ctx: Any, registry: Any, names: Any, allowed: Any) -> Any:
            async def held() -> str:
                await self._act(ctx.store, registry.name)
                return str(await allowed())

            return await remove(ctx, registry, names, held)

        emptying.remove = removing

    def _around_all(self) -> None:
        run = collection.Collection.run

        async def whole(handler: Any, job: Any) -> None:
            try:
                await run(handler, job)
                before = self._steps.get(job.registry, "")
                await self.reach(handler._ctx.store, job.registry, f"{before}.done")
            finally:
                (self._directory / f"{job.registry}.ended").touch()

        collection.Collection.run = whole  # type: ignore[method-assign]


def install() -> None:
    """As the environment says."""
    if directory := os.environ.get(HOLD_AT):
        Moments(Path(directory)).install()
