"""Turns at what the bot runs on its host for one registry, between processes of the bot.

A command outlives the process that ran it, if that is killed. Another one beside it would race:
whichever ends last decides whether pushes are taken, and nobody looks any more. So each is noted
as it begins, and whoever comes next waits for it.

Between asking whether one is still in charge and beginning a command a process can be paused, and
wake up hours later. So a turn is taken before asking, and taking one ends all that were taken
before: who finds at last that the turn is over asks again. Only from there to the beginning of the
command, which is no moment at all, a lock is held that makes others wait.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from bot.gc import process
from bot.gc.errors import CommandFailed

_PAUSED = 10.0
"""Seconds to wait for one who was paused with the lock, before that is told."""

_PAUSE = 0.05


@dataclass(slots=True)
class Turn:
    """A turn that was taken: its own file, which lies at `path` until somebody takes another."""

    descriptor: int | None
    path: Path
    noted: Path

    def enter(self) -> bool:
        """Whether it still lasts; from then on nobody can take another one until it is ended."""
        if self.descriptor is None:
            return True
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False  # somebody is taking one
        return _is_at(self.descriptor, self.path)

    def began(self, field: str, pid: int) -> None:
        """Write down what was begun, and let others have their turn."""
        known = {"field": field, "pid": pid, "started": process.start_time(pid)}
        with contextlib.suppress(OSError):  # a restart must not fail because the disk is full
            self.noted.write_text(json.dumps(known), encoding="ascii")
        self.end()

    def end(self) -> None:
        """Give it back; it may be given back already."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


class Turns:
    """The turns at one registry.

    Parameters
    ----------
    path, noted : the files of this registry for the turn and for the command that was begun.
    timeout : seconds that a command may take; its process would have ended it then.
    """

    def __init__(self, path: Path, noted: Path, timeout: float) -> None:
        self._path = path
        self._noted = noted
        self._timeout = timeout

    def unfinished(self) -> str:
        """The key of a command that an earlier process began and that still runs; "" if none."""
        field, pid = self._left()
        return field if pid and process.age(pid) < self._timeout else ""

    async def take(self) -> Turn:
        """Wait for the command of an earlier process, and take the next turn.

        Raises CommandFailed where another process is in its own and does not go on.
        """
        while self.unfinished():  # noqa: ASYNC110 - another process's command rings no bell
            await asyncio.sleep(_PAUSE)
        _, pid = self._left()
        if pid:
            await process.end_one(pid)
        deadline = time.monotonic() + _PAUSED
        while True:
            try:
                taken = self._taken()
            except OSError:
                return Turn(None, self._path, self._noted)  # a full disk stops no restart
            if taken is not None:
                return Turn(taken, self._path, self._noted)
            if time.monotonic() >= deadline:
                raise CommandFailed(
                    "Another process of the bot stopped in the moment in which it ran a command "
                    "on the registry.",
                    "End it, or let it go on: it is paused.",
                )
            await asyncio.sleep(_PAUSE)

    def _taken(self) -> int | None:
        """A descriptor of a new file in place of the last one; None if that one is locked."""
        last = process.LockFile(self._path).acquire()
        if last is None:
            return None
        try:
            if not _is_at(last, self._path):
                return None  # somebody was faster
            draft = self._path.with_suffix(f".{secrets.token_hex(8)}")
            made = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            draft.replace(self._path)
            return made
        finally:
            os.close(last)

    def _left(self) -> tuple[str, int]:
        """What was begun last and has not ended, with its process id; 0 if there is nothing."""
        try:
            known = json.loads(self._noted.read_text(encoding="ascii"))
            field, pid, started = str(known["field"]), int(known["pid"]), str(known["started"])
        except (OSError, ValueError, KeyError, TypeError):
            return "", 0
        return (field, pid) if process.is_alive(pid, started) else ("", 0)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one that lies there."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
