"""One collection that was started: its output as it grows, its end, its killing."""

import asyncio
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.gc import process
from bot.gc.errors import CommandFailed
from bot.gc.process import LockFile
from bot.gc.report import GcProgress, ReportParser

ProgressListener = Callable[[GcProgress], None]

_TICK = 0.25
_UNSEEN_FOR = 1.0
_CHUNK = 1 << 20
_LONGEST_LINE = 64 << 10


class TimedOut(Exception):
    """The collection still runs at its deadline."""


class AbortAsked(Exception):
    """The abort event was set while the collection runs."""


@dataclass(frozen=True, slots=True)
class Output:
    """The two files a collection writes."""

    stdout: Path
    stderr: Path

    @contextmanager
    def reading(self, parser: ReportParser) -> Iterator[Callable[[bool], None]]:
        """A function that feeds what was written since it was last called.

        Its argument says whether no more will come, so that an unfinished line counts too.
        """
        with self.stdout.open("rb") as out, self.stderr.open("rb") as err:
            tails = _Tail(out.read, parser.feed), _Tail(err.read, parser.feed_error)

            def read(last: bool) -> None:
                for tail in tails:
                    tail.read(last)

            yield read


@dataclass(frozen=True, slots=True)
class Collection:
    """A running collection. `needs_lock` is False where a `running` command watches it."""

    process: subprocess.Popen[bytes]
    lock: LockFile
    output: Output
    dry_run: bool
    needs_lock: bool

    async def follow(
        self,
        parser: ReportParser,
        on_progress: ProgressListener | None,
        abort: asyncio.Event | None,
        timeout: float,
    ) -> int:
        """Feed the output to `parser` until the collection is over; returns the exit code.

        Kills nothing. Raises TimedOut, AbortAsked, or CommandFailed where the collection must not
        go on.
        """
        deadline = time.monotonic() + timeout
        shown = GcProgress()
        unseen_since: float | None = None
        tick = 0.02
        with self.output.reading(parser) as read:
            while True:
                over = self.is_over()  # before reading, so that the last reading sees everything
                read(over)
                if on_progress is not None and parser.progress != shown:
                    shown = parser.progress
                    on_progress(shown)
                if over:
                    return int(self.process.returncode)
                unseen_since = self._check(parser, unseen_since)
                if abort is not None and abort.is_set():
                    raise AbortAsked
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimedOut
                await _pause(abort, min(tick, left))
                tick = min(tick * 1.5, _TICK)

    def is_over(self) -> bool:
        """Whether the command has ended, and everything that it started in the background."""
        return self.process.poll() is not None and not self.lock.is_held()

    async def kill(self) -> bool:
        """Kill the whole process group; returns whether it is gone."""
        return await process.end(self.lock, self.process.pid, self.process)

    def _check(self, parser: ReportParser, unseen_since: float | None) -> float | None:
        if self.dry_run and parser.deleting:
            raise CommandFailed(
                "The `collect` command deletes although it was asked for a dry run. It was killed.",
                "A script given as `collect` must pass its arguments, such as --dry-run, on to "
                "`registry garbage-collect`.",
            )
        if not self.needs_lock or self.lock.is_held():
            return None
        # A process that ends closes its files a moment before it can be seen to have ended.
        now = time.monotonic()
        if unseen_since is None or now - unseen_since < _UNSEEN_FOR:
            return now if unseen_since is None else unseen_since
        # Programs such as sudo close inherited descriptors: an orphan would be invisible, and the
        # registry made writable beside it.
        raise CommandFailed(
            "The `collect` command closed the bot's lock file, so a collection could outlive the "
            "bot unseen. It was killed.",
            "Set `running` to a command that exits 0 while a collection runs.",
        )


class _Tail:
    """Reads a file that somebody else writes, line by line."""

    def __init__(self, read: Callable[[int], bytes], feed: Callable[[str], None]) -> None:
        self._read = read
        self._feed = feed
        self._rest = b""

    def read(self, last: bool) -> None:
        while chunk := self._read(_CHUNK):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self._feed(line.decode("utf-8", "replace"))
            self._rest = self._rest[:_LONGEST_LINE]
        if last and self._rest:
            self._feed(self._rest.decode("utf-8", "replace"))
            self._rest = b""


async def _pause(abort: asyncio.Event | None, seconds: float) -> None:
    if abort is None:
        await asyncio.sleep(seconds)
        return
    try:
        await asyncio.wait_for(abort.wait(), seconds)
    except TimeoutError:
        return
