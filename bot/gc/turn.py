"""Turns at the commands that switch a registry, between processes of one host.

A command outlives the process that ran it, if that is killed. Another one beside it would race:
whichever ends last decides whether pushes are taken, and nobody looks any more. So each is noted
as it begins, and whoever comes next waits for it.

Between asking whether one is still in charge and beginning a command a process can be paused, and
wake up hours later. So both happen under a lock: a successor that holds it knows that no such
command is still to come.
"""

import asyncio
import contextlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from bot.gc import process
from bot.gc.errors import CommandFailed

_PAUSED = 10.0
"""Seconds to wait for the lock; it is held for as long as a question to the store takes."""

_PAUSE = 0.05


@dataclass(slots=True)
class Turn:
    """The right to begin a command; `end` gives it back, and may be called again."""

    descriptor: int | None
    noted: Path

    def began(self, field: str, pid: int) -> None:
        """Write down what was begun, and let others have their turn."""
        known = {"field": field, "pid": pid, "started": process.start_time(pid)}
        with contextlib.suppress(OSError):  # a restart must not fail because the disk is full
            self.noted.write_text(json.dumps(known), encoding="ascii")
        self.end()

    def end(self) -> None:
        """Give it back."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


class Turns:
    """The turns at one registry.

    Parameters
    ----------
    lock, noted : the files of this registry for the lock and for the command that was begun.
    timeout : seconds that a command may take; its process would have ended it then.
    """

    def __init__(self, lock: Path, noted: Path, timeout: float) -> None:
        self._lock = process.LockFile(lock)
        self._noted = noted
        self._timeout = timeout

    def unfinished(self) -> str:
        """The key of a command that an earlier process began and that still runs; "" if none."""
        field, pid = self._left()
        return field if pid and process.age(pid) < self._timeout else ""

    async def take(self) -> Turn:
        """Wait for the command of an earlier process, and for the lock.

        Raises CommandFailed where another process has the lock and does not go on.
        """
        while self.unfinished():  # noqa: ASYNC110 - another process's command rings no bell
            await asyncio.sleep(_PAUSE)
        _, pid = self._left()
        if pid:
            await process.end_one(pid)
        deadline = time.monotonic() + _PAUSED
        while True:
            try:
                descriptor = self._lock.acquire()
            except OSError:
                return Turn(None, self._noted)  # no files can be written: a restart goes on
            if descriptor is not None:
                return Turn(descriptor, self._noted)
            if time.monotonic() >= deadline:
                raise CommandFailed(
                    "Another process of the bot stopped in the moment in which it wanted to "
                    "switch the registry.",
                    "End it, or let it go on: it is paused.",
                )
            await asyncio.sleep(_PAUSE)

    def _left(self) -> tuple[str, int]:
        """What was begun last and has not ended, with its process id; 0 if there is nothing."""
        try:
            known = json.loads(self._noted.read_text(encoding="ascii"))
            field, pid, started = str(known["field"]), int(known["pid"]), str(known["started"])
        except (OSError, ValueError, KeyError, TypeError):
            return "", 0
        return (field, pid) if process.is_alive(pid, started) else ("", 0)
