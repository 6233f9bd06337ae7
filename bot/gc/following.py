"""Following a collection while it runs: its output as it grows, until it is over."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bot.gc.errors import CommandFailed
from bot.gc.report import GcProgress, ReportParser

ProgressListener = Callable[[GcProgress], None]

_TICK = 0.25
_CHUNK = 1 << 20
_LONGEST_LINE = 64 << 10


class TimedOut(Exception):
    """The collection still runs at its deadline."""


class AbortAsked(Exception):
    """The abort event was set while the collection runs."""


@dataclass(frozen=True, slots=True)
class Output:
    """The two files that have what a collection writes."""

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


class Followed(Protocol):
    """A collection that was started."""

    @property
    def output(self) -> Output:
        """Where it writes."""
        ...

    def is_over(self) -> bool:
        """Whether it has ended, and everything that belongs to it."""
        ...

    def check(self, parser: ReportParser) -> None:
        """Raise CommandFailed where it must not go on."""
        ...


async def follow(
    collection: Followed,
    parser: ReportParser,
    on_progress: ProgressListener | None,
    abort: asyncio.Event | None,
    timeout: float,
) -> None:
    """Feed the output to `parser` until the collection is over.

    Kills nothing. Raises TimedOut, AbortAsked, or CommandFailed where the collection must not go
    on.
    """
    deadline = time.monotonic() + timeout
    shown = GcProgress()
    tick = 0.02
    with collection.output.reading(parser) as read:
        while True:
            over = collection.is_over()  # before reading, so that the last reading sees everything
            read(over)
            if on_progress is not None and parser.progress != shown:
                shown = parser.progress
                on_progress(shown)
            if over:
                return
            collection.check(parser)
            if abort is not None and abort.is_set():
                raise AbortAsked
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimedOut
            await _pause(abort, min(tick, left))
            tick = min(tick * 1.5, _TICK)


def refuse_deleting(parser: ReportParser) -> None:
    """Raise CommandFailed if a dry run said that it deletes something."""
    if parser.deleting:
        raise CommandFailed(
            "The `collect` command deletes although it was asked for a dry run. It was killed.",
            "A script given as `collect` must pass its arguments, such as --dry-run, on to "
            "`registry garbage-collect`.",
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
