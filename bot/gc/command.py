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
import re
import time
from collections.abc import Collection as Several
from collections.abc import Mapping
from pathlib import Path

from bot.gc import process, storage
from bot.gc.argv import CommandSettings, collect_argv, quoted, refusal
from bot.gc.collection import AbortAsked, Collection, Output, ProgressListener, TimedOut
from bot.gc.errors import CollectionAborted, CommandFailed, GcError, GcOutputError
from bot.gc.report import GcReport, ReportParser

__all__ = [
    "CollectionAborted",
    "CommandExecutor",
    "CommandFailed",
    "CommandSettings",
    "GcError",
    "GcOutputError",
]

SWITCH_TIMEOUT = 300.0
"""Seconds that a start, stop or clear_cache command may take."""

RUNNING_TIMEOUT = 30.0
"""Seconds that a `running` command may take."""

_REMOTE_GRACE = 10.0
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class CommandExecutor:
    """Switches one registry and collects its garbage by commands.

    `state_dir` holds the lock, the outputs and the process ids; a successor needs the same one, on
    the same host. `name` is the registry's. Neither the object nor the process needs to live as
    long as a collection: any other executor with the same `state_dir` and `name` finds it.
    `environ` is what commands find in their environment; by default ours without Slack's secrets.
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
        self.name = _safe(name)
        self._state_dir = state_dir
        self._switch_timeout = switch_timeout
        self._environ = process.environment(environ)
        self._lock = process.LockFile(state_dir / f"{self.name}.lock")

    def refusal(self) -> str | None:
        """Why no collection can be run with these settings, as a sentence; None if it can."""
        return refusal(self.settings)

    @property
    def can_switch(self) -> bool:
        """Whether there are commands for both ways; without them only a live collection is left."""
        return bool(self.settings.switch_off and self.settings.start)

    async def switch_off_writes(self) -> None:
        """Run `start_read_only`, or `stop` in offline mode. Raises CommandFailed."""
        field = "stop" if self.settings.mode == "offline" else "start_read_only"
        await self._switch(field, self.settings.switch_off)

    async def switch_on_writes(self) -> None:
        """Run `start`. Raises CommandFailed.

        Only after `collecting` or `wait_until_gone` has shown that no collection runs.
        """
        await self._switch("start", self.settings.start)

    async def clear_cache(self) -> None:
        """Run `clear_cache`, if there is one. Raises CommandFailed."""
        if self.settings.clear_cache:
            await self._switch("clear_cache", self.settings.clear_cache)

    async def collect(
        self,
        *,
        dry_run: bool,
        delete_untagged: bool,
        job: str,
        on_progress: ProgressListener | None = None,
        abort: asyncio.Event | None = None,
        timeout: float | None = None,
    ) -> GcReport:
        """Run one collection to its end and return what it printed, proven complete.

        `job` names the output files; `timeout` is in seconds, by default that of the settings.
        `on_progress` is called when the numbers have changed, about four times a second at most.

        Cancelling this coroutine leaves the collection running for a successor. Setting `abort`
        kills it and raises CollectionAborted. Raises GcOutputError if the output does not prove
        success, CommandFailed if it cannot be started, takes too long or must not be run. Whatever
        is raised: ask `wait_until_gone` before the registry becomes writable.
        """
        if abort is not None and abort.is_set():
            raise CollectionAborted("The collection was aborted before it began.")
        if (reason := self.refusal()) is not None:
            raise CommandFailed(reason, "Change the registry's gc settings.")
        if await self.collecting():
            raise _already_running()
        collection = await self._begin(job, dry_run=dry_run, delete_untagged=delete_untagged)
        parser = ReportParser()
        limit = self.settings.timeout if timeout is None else timeout
        try:
            code = await collection.follow(parser, on_progress, abort, limit)
        except asyncio.CancelledError:
            raise  # it goes on without us
        except AbortAsked:
            raise _aborted(gone=await self._kill(collection)) from None
        except TimedOut:
            raise _timed_out(limit, gone=await self._kill(collection)) from None
        except BaseException:
            await self._kill(collection)
            raise
        finally:
            process.leave(collection.process)
        return parser.report(code)

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
        deadline = time.monotonic() + timeout
        pause = 0.02
        while True:
            with contextlib.suppress(CommandFailed):  # not knowing is not gone
                if not await self.collecting():
                    return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 1.5, 5.0 if self.settings.running else 0.5)

    async def kill_orphan(self, job: str) -> bool:
        """Kill a collection that outlived its process; returns whether none runs any more.

        Reaches local collections only: behind ssh or docker it kills nothing, and the answer says
        so. Raises CommandFailed as `collecting` does.
        """
        if self._lock.is_held():
            await process.end(self._lock, self._leader(job))
        return not await self.collecting()

    def log_path(self, job: str, *, dry_run: bool = False) -> Path:
        """The file with the standard output of a job's collection."""
        return self._output(job, dry_run).stdout

    def error_log_path(self, job: str, *, dry_run: bool = False) -> Path:
        """The file with the standard error of a job's collection."""
        return self._output(job, dry_run).stderr

    def read_log(self, job: str, *, dry_run: bool = False) -> GcReport:
        """The report of a collection whose end nobody saw, read from its files.

        Raises GcOutputError if it did not come to its end, or if nothing was ever run for `job`.
        Ask `wait_until_gone` first: the output of a collection at work is not complete.
        """
        parser = ReportParser()
        try:
            with self._output(job, dry_run).reading(parser) as read:
                read(True)
        except FileNotFoundError as error:
            raise GcOutputError(
                f"There is no output of a collection for {job}: it never began.",
                "Collect again.",
            ) from error
        return parser.report(None)

    def forget(self, job: str) -> None:
        """Remove the files of a job, when its log has been delivered."""
        for dry_run in (False, True):
            output = self._output(job, dry_run)
            output.stdout.unlink(missing_ok=True)
            output.stderr.unlink(missing_ok=True)
        for suffix in ("pid", "plan.json"):
            self._file(job, suffix).unlink(missing_ok=True)

    def write_note(self, job: str, sizes: Mapping[str, int]) -> None:
        """Keep the bytes of each blob that a job is about to delete, beside its outputs."""
        path = self._prepared() / self._file(job, "plan.json").name
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(dict(sizes)), encoding="ascii")
        draft.replace(path)

    def read_note(self, job: str) -> dict[str, int] | None:
        """What `write_note` kept; None if there is nothing, or nothing that can be read."""
        try:
            noted = json.loads(self._file(job, "plan.json").read_text(encoding="ascii"))
            return {str(blob): int(size) for blob, size in noted.items()}
        except (OSError, ValueError, AttributeError):
            return None

    def blob_sizes(self, digests: Several[str]) -> dict[str, int]:
        """The bytes on disk of those blobs that are there; empty without a `storage_root`.

        One stat for each digest: use a thread where there are many. Raises CommandFailed if
        `storage_root` does not hold a registry's storage.
        """
        root = self.settings.storage_root
        return {} if root is None else dict(storage.blob_sizes(root, digests))

    def present_blobs(self, digests: Several[str]) -> set[str]:
        """Those of the blobs that are on disk. As `blob_sizes`."""
        return set(self.blob_sizes(digests))

    def disk(self) -> tuple[int, int] | None:
        """Bytes used and in all on the disk of `storage_root`; None if that cannot be told."""
        root = self.settings.storage_root
        return None if root is None else storage.disk(root)

    async def _switch(self, field: str, words: tuple[str, ...]) -> None:
        if not words:
            raise CommandFailed(
                f"No `{field}` command is set.", f"Add `{field}` to the registry's gc settings."
            )
        output = self._prepared() / f"{self.name}.{field}.log"
        code = await process.run(
            quoted(words), output=output, timeout=self._switch_timeout, environ=self._environ
        )
        if code:
            raise CommandFailed(
                f"`{field}` failed: `{words[0]}` {_how(code)}.{process.told(output)}",
                "Put its cause right, then run the command by hand on the bot's host.",
            )

    async def _ask_running(self) -> bool:
        words = self.settings.running
        output = self._prepared() / f"{self.name}.running.log"
        code = await process.run(
            quoted(words), output=output, timeout=RUNNING_TIMEOUT, environ=self._environ
        )
        # 125 to 127 are docker's and the shell's own failures, 255 is ssh's.
        if not 0 <= code < 125:
            raise CommandFailed(
                f"`running` could not tell whether a collection runs: `{words[0]}` "
                f"{_how(code)}.{process.told(output)}",
                "It must exit 0 while a collection runs and 1 while none does.",
            )
        return code == 0

    async def _begin(self, job: str, *, dry_run: bool, delete_untagged: bool) -> Collection:
        argv = collect_argv(self.settings, dry_run=dry_run, delete_untagged=delete_untagged)
        self._prepared()
        output = self._output(job, dry_run)
        lock = await self._take_lock()
        try:
            with output.stdout.open("wb") as stdout, output.stderr.open("wb") as stderr:
                # Version 3 would try to export traces over the network.
                quiet = {**self._environ, "OTEL_TRACES_EXPORTER": "none"}
                child = process.spawn(argv, stdout=stdout, stderr=stderr, lock=lock, environ=quiet)
        finally:
            os.close(lock)  # from here on the collection alone holds it
        leader = json.dumps({"pid": child.pid, "started": process.start_time(child.pid)})
        with contextlib.suppress(OSError):  # a help for kill_orphan only, which can do without
            self._file(job, "pid").write_text(leader, encoding="ascii")
        return Collection(child, self._lock, output, dry_run, not self.settings.running)

    async def _take_lock(self) -> int:
        for _ in range(10):
            if (lock := self._lock.acquire()) is not None:
                return lock
            await asyncio.sleep(0.05)  # somebody may just be looking whether it is held
        raise _already_running()

    async def _kill(self, collection: Collection) -> bool:
        gone = await collection.kill()
        return await self.wait_until_gone(_REMOTE_GRACE) if self.settings.running else gone

    def _leader(self, job: str) -> int | None:
        """The process that was started for `job`, if it is still the same one."""
        try:
            noted = json.loads(self._file(job, "pid").read_text(encoding="ascii"))
            pid, started = int(noted["pid"]), str(noted["started"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return pid if process.start_time(pid) == started else None

    def _output(self, job: str, dry_run: bool) -> Output:
        # Apart, so that a crash between the two never passes a dry run off as the collection.
        kind = "dry-run." if dry_run else ""
        return Output(self._file(job, f"{kind}out"), self._file(job, f"{kind}err"))

    def _file(self, job: str, suffix: str) -> Path:
        return self._state_dir / f"{self.name}.{_safe(job)}.{suffix}"

    def _prepared(self) -> Path:
        self._state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._state_dir


def _safe(name: str) -> str:
    if not _SAFE_NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name a file: use letters, digits, dots and dashes")
    return name


def _how(code: int) -> str:
    return f"ended with exit code {code}" if code >= 0 else f"was killed by signal {-code}"


def _already_running() -> CommandFailed:
    return CommandFailed(
        "A collection of this registry is already running.",
        "Wait until it is over: two at once would work on the same storage.",
    )


def _aborted(*, gone: bool) -> CollectionAborted:
    if gone:
        return CollectionAborted(
            "The collection was aborted: its process is gone.",
            "What it had not deleted yet stays until the next collection.",
        )
    return CollectionAborted(
        "The collection was aborted, but it may still be running where it was started.",
        "Stop it there; the registry must stay read-only until it is gone.",
        gone=False,
    )


def _timed_out(limit: float, *, gone: bool) -> CommandFailed:
    if gone:
        return CommandFailed(
            f"The collection took longer than {limit:g} s and was killed.",
            "Raise `timeout` in the registry's gc settings, then collect again: what was not "
            "deleted yet is freed then.",
        )
    return CommandFailed(
        f"The collection took longer than {limit:g} s, and may still be running where it was "
        "started.",
        "Stop it there; the registry must stay read-only until it is gone.",
    )
