"""One collection in a container of its own: its output, its end, its killing."""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.gc.docker.engine import Engine
from bot.gc.docker.errors import EngineUnreachable, NotThere
from bot.gc.docker.frames import STDERR
from bot.gc.errors import CommandFailed, GcOutputError, NotKept
from bot.gc.files import JobFiles
from bot.gc.following import Output, refuse_deleting
from bot.gc.report import ReportParser

_KILL_GRACE = 10.0
_PATIENCE = 60.0
"""Seconds that the engine may be away, as while it restarts, before a collection is given up."""


@dataclass(slots=True)
class Run:
    """A collection in the container `id`. The engine keeps its output until it is removed.

    `output` is where it is copied to, among `files`.
    """

    engine: Engine
    id: str
    files: JobFiles
    output: Output
    dry_run: bool
    _pump: asyncio.Task[None] | None = field(default=None, init=False)

    async def attach(self) -> None:
        """Begin to read its output, from its first word."""
        self._files_exist()
        self._pump = asyncio.create_task(self._copy(self.output, follow=True))

    def is_over(self) -> bool:
        """Whether no more output comes: it has ended, or the connection has (ask `is_running`)."""
        return self._pump is None or self._pump.done()

    def check(self, parser: ReportParser) -> None:
        """Raise CommandFailed if it deletes in a dry run."""
        if self.dry_run:
            refuse_deleting(parser)

    async def is_running(self) -> bool:
        """Whether it runs; waits for an engine that is away for a moment.

        Raises NotKept where its output ended because our disk does not take it.
        """
        if self._pump is not None and self._pump.done() and not self._pump.cancelled():
            lost = self._pump.exception()
            if isinstance(lost, NotKept):
                raise lost
        return bool((await self._state())["Running"])

    async def save_output(self) -> None:
        """Have all that it wrote in the files."""
        self._files_exist()
        drafts = [one.with_suffix(f"{one.suffix}-draft") for one in self._paths]
        try:
            await self._copy(Output(*drafts), follow=False)
            with self.files.writing():
                # At once: another process may be reading them.
                for draft, path in zip(drafts, self._paths, strict=True):
                    draft.replace(path)
        except NotThere:
            return
        finally:
            for draft in drafts:
                draft.unlink(missing_ok=True)

    async def exit_code(self) -> int:
        """How it ended. Raises GcOutputError where its end came from outside."""
        state = await self._state()
        if state.get("OOMKilled"):
            raise GcOutputError(
                "The collection was killed: the memory of its container ran out.",
                "Give the registry's container more memory, then collect again.",
            )
        return int(state["ExitCode"])

    async def kill(self) -> bool:
        """Kill it; returns whether it is gone. Its output is saved, and nothing of it stays."""
        await self.detach()
        deadline = time.monotonic() + _KILL_GRACE
        while True:
            with contextlib.suppress(CommandFailed):
                await self.engine.kill(self.id)
                if not (await self.engine.inspect(self.id))["State"]["Running"]:
                    break
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(0.1)
        with contextlib.suppress(CommandFailed):
            await self.save_output()
            await self.engine.remove(self.id, "the collection's container")
        return True

    async def detach(self) -> None:
        """Read no more; it goes on."""
        if self._pump is not None:
            self._pump.cancel()
            # What went wrong with reading is found out by asking the engine.
            await asyncio.gather(self._pump, return_exceptions=True)

    async def _copy(self, to: Output, *, follow: bool) -> None:
        with contextlib.ExitStack() as opened:
            with self.files.writing():
                out = opened.enter_context(to.stdout.open("wb", 0))
                err = opened.enter_context(to.stderr.open("wb", 0))
            async with contextlib.aclosing(self.engine.logs(self.id, follow=follow)) as logs:
                async for kind, piece in logs:
                    with self.files.writing():
                        (err if kind == STDERR else out).write(piece)

    async def _state(self) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return dict((await self.engine.inspect(self.id))["State"])
            except NotThere as error:
                raise CommandFailed(
                    "The container of the collection was removed by somebody.",
                    "Collect again: what was left over is found and freed then.",
                ) from error
            except EngineUnreachable:
                if time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(0.5)

    @property
    def _paths(self) -> tuple[Path, Path]:
        return self.output.stdout, self.output.stderr

    def _files_exist(self) -> None:
        with self.files.writing():
            for path in self._paths:
                path.touch()
