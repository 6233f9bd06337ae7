"""A PostgreSQL server of the tests' own: in a directory, on a socket, gone when it is closed."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self
from urllib.parse import quote

from tests.support.planted import SECRET

_USER = "postgres"
_PASSWORD = f"not-a-real-one-{SECRET}"
# Nothing here outlives the tests, so nothing has to reach the disk.
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off")
# What the server has said is committed survives the server's own crash (not the machine's).
_SAFE = ("fsync=off", "autovacuum=off")
_SECONDS = "60"


def programs() -> Path | None:
    """The directory of PostgreSQL's own programs; None where it is not installed."""
    found = shutil.which("pg_ctl")
    if found:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    return versions[-1].parent if versions else None


class Postgres:
    """A server without a network: only its socket. As root it runs as the user `postgres`.

    Whoever reaches the socket is let in: the `directory` is nobody's but the tests'. Addresses
    hold a password all the same, for what must not be done with it.

    Parameters
    ----------
    crashes : it is going to be stopped in the middle of everything, and must forget nothing.

    Raises
    ------
    FileNotFoundError : PostgreSQL is not installed.
    """

    def __init__(self, *, crashes: bool = False) -> None:
        found = programs()
        if found is None:
            raise FileNotFoundError("PostgreSQL is not installed")
        self._programs = found
        self._settings = _SAFE if crashes else _FAST
        # A socket's path has at most 107 bytes, and pytest's directories are long.
        self.directory = Path(tempfile.mkdtemp(prefix="pg-"))
        self._data = self.directory / "data"
        self._as: list[str] = []
        if os.geteuid() == 0:
            account = pwd.getpwnam(_USER)
            os.chown(self.directory, account.pw_uid, account.pw_gid)
            self._as = ["runuser", "-u", _USER, "--"]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self) -> None:
        """Start it; the first time it is made. Returns when it takes connections."""
        if not self._data.exists():
            self._run("initdb", "-D", self._data, "-U", _USER, "-A", "trust", "-N", "-E", "UTF8")
        options = f"-c listen_addresses= -k {self.directory} " + " ".join(
            f"-c {setting}" for setting in self._settings
        )
        log = self.directory / "log"
        self._run(
            "pg_ctl", "-D", self._data, "-l", log, "-w", "-t", _SECONDS, "-o", options, "start"
        )

    def stop(self, *, how: str = "immediate") -> None:
        """Stop it: `immediate` as a crash would, `fast` with its connections closed."""
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", self._data, "-w", "-t", _SECONDS, "-m", how, "stop")

    def database(self) -> str:
        """A new, empty database; its address as `[store] url` takes it."""
        name = f"bot_{secrets.token_hex(6)}"
        self._ask("postgres", f"CREATE DATABASE {name}")
        return self._address(name)

    def emptied(self) -> str:
        """One and the same database with nothing in it: a new one would take longer."""
        self._ask("postgres", "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        return self._address("postgres")

    def _address(self, name: str) -> str:
        return f"postgresql://{_USER}:{_PASSWORD}@/{name}?host={quote(str(self.directory))}"

    def _ask(self, database: str, statements: str) -> None:
        words = ("-h", self.directory, "-U", _USER, "-d", database, "-qXc", statements)
        self._run("psql", *words, own=True)

    def _run(self, program: str, *words: object, own: bool = False) -> None:
        done = subprocess.run(
            [*([] if own else self._as), str(self._programs / program), *map(str, words)],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * float(_SECONDS),
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stdout[-2000:]}")
