"""The database that both bots share, and how it fails them."""

import asyncio
import contextlib
import sqlite3
import threading
import time
from pathlib import Path

from tests.support.postgres import Postgres


class Database:
    """The one that both bots share: a file, or one on a server of the tests' own."""

    def __init__(self, postgres: Postgres | None, directory: Path) -> None:
        self._postgres = postgres
        self._file = directory / "bot.db"
        self._once = threading.Lock()
        self.url = postgres.database() if postgres else f"sqlite:///{self._file}"

    async def fail(self, seconds: float) -> None:
        """The server crashes and comes back; the file is held by somebody else."""
        await asyncio.to_thread(self._fail, seconds)

    def _fail(self, seconds: float) -> None:
        with self._once:
            (self._restart if self._postgres else self._hold)(seconds)

    def _restart(self, seconds: float) -> None:
        assert self._postgres
        self._postgres.stop()
        time.sleep(seconds)
        self._postgres.start()

    def _hold(self, seconds: float) -> None:
        other = sqlite3.connect(self._file, timeout=10.0, isolation_level=None)
        with contextlib.closing(other):
            other.execute("BEGIN EXCLUSIVE")
            time.sleep(seconds)
            other.execute("ROLLBACK")
