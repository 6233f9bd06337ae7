"""One collection that is a process of ours: its end, its killing, and whether it can be seen."""

import subprocess
import time
from dataclasses import dataclass, field

from bot.gc import process
from bot.gc.errors import CommandFailed
from bot.gc.following import Output, refuse_deleting
from bot.gc.process import LockFile
from bot.gc.report import ReportParser

_UNSEEN_FOR = 1.0


@dataclass(slots=True)
class Collection:
    """A running collection. `needs_lock` is False where a `running` command watches it."""

    process: subprocess.Popen[bytes]
    lock: LockFile
    output: Output
    dry_run: bool
    needs_lock: bool
    _unseen_since: float | None = field(default=None, init=False)

    @property
    def exit_code(self) -> int:
        """How it ended; only when it is over."""
        return int(self.process.returncode)

    def is_over(self) -> bool:
        """Whether the command has ended, and everything that it started in the background."""
        return self.process.poll() is not None and not self.lock.is_held()

    async def kill(self) -> bool:
        """Kill the whole process group; returns whether it is gone."""
        return await process.end(self.lock, self.process.pid, self.process)

    def check(self, parser: ReportParser) -> None:
        """Raise CommandFailed if it deletes in a dry run, or could outlive the bot unseen."""
        if self.dry_run:
            refuse_deleting(parser)
        if not self.needs_lock or self.lock.is_held():
            self._unseen_since = None
            return
        # A process that ends closes its files a moment before it can be seen to have ended.
        now = time.monotonic()
        if self._unseen_since is None:
            self._unseen_since = now
        if now - self._unseen_since < _UNSEEN_FOR:
            return
        # Programs such as sudo close inherited descriptors: an orphan would be invisible, and the
        # registry made writable beside it.
        raise CommandFailed(
            "The `collect` command closed the bot's lock file, so a collection could outlive the "
            "bot unseen. It was killed.",
            "Set `running` to a command that exits 0 while a collection runs.",
        )
