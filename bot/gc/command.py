"""Runs the garbage collection by the operator's commands: local, ssh, docker exec, kubectl exec.

A collection may outlive this process, and beside a writable registry it then breaks images. So
the collection, and nothing else, inherits the descriptor of a locked file: as long as the lock is
held, a collection runs, whoever started it. Where the collection is not our child (behind docker,
ssh and the like) the operator's `running` command answers the same question.
"""

import asyncio
import contextlib
import json
import os
import shlex
from collections.abc import Collection as Several
from collections.abc import Mapping, Sequence
from pathlib import Path

from bot.gc import process, storage
from bot.gc.argv import CommandSettings, collect_argv, refusal
from bot.gc.collection import Collection
from bot.gc.commands import SWITCH_TIMEOUT, Commands, how
from bot.gc.ending import killed_unless_over, may_begin
from bot.gc.errors import CollectionAborted, CommandFailed, GcError, GcOutputError
from bot.gc.executor import Examined, Fence, unfenced
from bot.gc.files import JobFiles, KeepsFiles
from bot.gc.following import ProgressListener, follow
from bot.gc.report import GcReport, ReportParser
from bot.gc.waiting import until_gone
from bot.gc.words import already_running

__all__ = [
    "CollectionAborted",
    "CommandExecutor",
    "CommandFailed",
    "CommandSettings",
    "GcError",
    "GcOutputError",
]

RUNNING_TIMEOUT = 30.0
"""Seconds that a `running` command may take."""

_REMOTE_GRACE = 10.0
_ATTEMPTS = 10


class CommandExecutor(KeepsFiles):
    """Switches one registry and collects its garbage by commands.

    `state_dir` holds the lock, the outputs and the process ids; a successor needs the same one, on
    the same host. `name` is the registry's. `environ` is what commands find in their environment;
    by default ours without Slack's secrets.
    """

    def __init__(
        self,
        settings: CommandSettings,
        state_dir: Path,
        name: str,
        *,
        switch_timeout: float = SWITCH_TIMEOUT,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.settings = settings
        self.name = name
        super().__init__(JobFiles(state_dir, name))
        self._commands = Commands(self._files, environ, switch_timeout)
        self._lock = process.LockFile(self._files.of_registry("lock"))

    @property
    def mode(self) -> str:
        """`read-only` or `offline`."""
        return self.settings.mode

    @property
    def is_live(self) -> bool:
        """Whether `unsafe_allow_live_gc` is set and there is no command to switch writes off."""
        return self.settings.unsafe_allow_live_gc and not self.settings.switch_off

    @property
    def can_restore(self) -> bool:
        """Whether there is a `start` command."""
        return bool(self.settings.start)

    @property
    def unmeasured(self) -> str:
        """Why bytes are not measured."""
        return "" if self.settings.storage_root else "`storage_root` is not set"

    def refusal(self) -> str | None:
        """Why no collection can be run with these settings, as a sentence; None if it can."""
        return refusal(self.settings)

    async def obstacle(self) -> str | None:
        """Nothing is known before the commands are run."""
        return self.refusal()

    async def examine(self) -> Examined:
        """The settings alone: trying the commands would change something."""
        reason = self.refusal()
        return Examined(reason is None, reason or "the commands are complete")

    def restore_command(self, job: str) -> str:  # noqa: ARG002 - the same for every job
        """The `start` command, as it is typed into a shell."""
        return shlex.join(self.settings.start)

    def unfinished(self) -> str:
        """The key of a command of an earlier process that still runs; "" if there is none."""
        return self._commands.turns.unfinished()

    async def switch_off_writes(self, job: str, fence: Fence = unfenced) -> None:  # noqa: ARG002
        """Run `start_read_only`, or `stop` in offline mode. Raises CommandFailed."""
        field = "stop" if self.settings.mode == "offline" else "start_read_only"
        await self._commands.run(field, self.settings.switch_off, fence)

    async def disturbance(self) -> str:
        """Nothing tells: only uploads show whether the switch still stands."""
        return ""

    async def switch_on_writes(self, job: str, fence: Fence = unfenced) -> None:  # noqa: ARG002
        """Run `start`. Raises CommandFailed.

        Only after `collecting` or `wait_until_gone` has shown that no collection runs.
        """
        await self._commands.run("start", self.settings.start, fence, self._lock.is_held)

    async def clear_cache(self, fence: Fence = unfenced) -> None:
        """Run `clear_cache`, if there is one. Raises CommandFailed."""
        if self.settings.clear_cache:
            await self._commands.run("clear_cache", self.settings.clear_cache, fence)

    async def collect(
        self,
        *,
        dry_run: bool,
        delete_untagged: bool,
        job: str,
        on_progress: ProgressListener | None = None,
        abort: asyncio.Event | None = None,
        timeout: float | None = None,
        fence: Fence = unfenced,
    ) -> GcReport:
        """Run one collection to its end and return what it printed, proven complete.

        `job` names the output files; `timeout` is in seconds, by default that of the settings.
        `on_progress` is called when the numbers have changed, about four times a second at most.

        Cancelling this coroutine leaves the collection running for a successor, and so does a
        `fence` that raises. Setting `abort` kills it and raises CollectionAborted. Raises
        GcOutputError if the output does not prove success, CommandFailed if it cannot be started,
        takes too long or must not be run. Whatever is raised: ask `wait_until_gone` before the
        registry becomes writable.
        """
        await may_begin(self, abort)
        argv = collect_argv(self.settings, dry_run=dry_run, delete_untagged=delete_untagged)
        collection = await self._begin(argv, job, fence, dry_run=dry_run)
        parser = ReportParser()
        limit = self.settings.timeout if timeout is None else timeout
        try:
            async with killed_unless_over(lambda: self._kill(collection), limit, fence):
                await follow(collection, parser, on_progress, abort, limit)
        finally:
            process.leave(collection.process)
        return self._files.report(parser, collection.exit_code)

    async def collecting(self) -> bool:
        """Whether a collection runs, whoever started it.

        Raises CommandFailed if the `running` command cannot tell: nobody may take that for a no.
        """
        process.reap()
        if self._lock.is_held():
            return True
        return bool(self.settings.running) and await self._ask_running()

    async def wait_until_gone(self, timeout: float) -> bool:
        """Wait until no collection runs; False if that is not proven after `timeout` seconds."""
        return await until_gone(self.collecting, timeout, 5.0 if self.settings.running else 0.5)

    async def kill_orphan(self, job: str, fence: Fence = unfenced) -> bool:
        """Kill a collection that outlived its process; returns whether none runs any more.

        Reaches local collections only: behind ssh or docker it kills nothing, and the answer says
        so. Raises CommandFailed as `collecting` does.
        """
        if self._lock.is_held():
            await fence()
            await process.end(self._lock, self._leader(job))
        return not await self.collecting()

    async def blob_sizes(self, digests: Several[str]) -> dict[str, int] | None:
        """The bytes on disk of those blobs that are there; None without a `storage_root`.

        Raises CommandFailed if `storage_root` does not hold a registry's storage.
        """
        root = self.settings.storage_root
        if root is None:
            return None
        return await asyncio.to_thread(lambda: dict(storage.blob_sizes(root, list(digests))))

    async def storage(self) -> Path | None:
        """`storage_root`."""
        return self.settings.storage_root

    async def disk(self) -> tuple[int, int] | None:
        """Bytes used and in all on the disk of `storage_root`; None if that cannot be told."""
        root = self.settings.storage_root
        return None if root is None else storage.disk(root)

    async def _ask_running(self) -> bool:
        words = self.settings.running
        code, said = await self._commands.ask("running", words, RUNNING_TIMEOUT)
        # 125 to 127 are docker's and the shell's own failures, 255 is ssh's.
        if not 0 <= code < 125:
            raise CommandFailed(
                f"`running` could not tell whether a collection runs: `{words[0]}` "
                f"{how(code)}.{said}",
                "It must exit 0 while a collection runs and 1 while none does.",
            )
        return code == 0

    async def _begin(
        self, argv: Sequence[str], job: str, fence: Fence, *, dry_run: bool
    ) -> Collection:
        self._files.prepared()
        for _ in range(_ATTEMPTS):
            turn = await self._commands.turns.take()
            try:
                await fence()
                with self._files.writing():
                    lock = self._lock.acquire() if turn.enter() else None
                if lock is not None:
                    return self._spawn(argv, job, lock, dry_run=dry_run)
            finally:
                turn.end()
            await asyncio.sleep(0.05)  # somebody may just be looking whether it is held
        raise already_running()

    def _spawn(self, argv: Sequence[str], job: str, lock: int, *, dry_run: bool) -> Collection:
        output = self._files.output(job, dry_run=dry_run)
        try:
            with (
                self._files.writing(),
                output.stdout.open("wb") as stdout,
                output.stderr.open("wb") as stderr,
            ):
                # Version 3 would try to export traces over the network.
                quiet = {**self._commands.environ, "OTEL_TRACES_EXPORTER": "none"}
                child = process.spawn(argv, stdout=stdout, stderr=stderr, lock=lock, environ=quiet)
        finally:
            os.close(lock)  # from here on the collection alone holds it
        leader = json.dumps({"pid": child.pid, "started": process.start_time(child.pid)})
        with contextlib.suppress(OSError):  # a help for kill_orphan only, which can do without
            self._files.of_job(job, "pid").write_text(leader, encoding="ascii")
        return Collection(child, self._lock, output, dry_run, not self.settings.running)

    async def _kill(self, collection: Collection) -> bool:
        gone = await collection.kill()
        return await self.wait_until_gone(_REMOTE_GRACE) if self.settings.running else gone

    def _leader(self, job: str) -> int | None:
        """The process that was started for `job`, if it is still the same one."""
        try:
            noted = json.loads(self._files.of_job(job, "pid").read_text(encoding="ascii"))
            pid, started = int(noted["pid"]), str(noted["started"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return pid if process.start_time(pid) == started else None
