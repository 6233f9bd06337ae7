"""Processes that may outlive us: spawning, waiting, killing, and the lock that shows an orphan."""

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bot.gc.errors import CommandFailed

OUTPUT_SHOWN = 2000
"""How many characters of a failed command's output are told."""

_TERM_GRACE = 3.0
_KILL_GRACE = 10.0

# A Popen object that is dropped while its child runs complains and is never reaped: those whose
# waiting coroutine was cancelled are kept here until they end.
_left_running: set["subprocess.Popen[bytes]"] = set()


@dataclass(frozen=True, slots=True)
class LockFile:
    """A file whose flock is held by exactly the processes of one collection.

    flock belongs to the open file, not to a process: a descriptor that was inherited keeps it
    after the process that took it is dead, until the last heir is gone. It works between processes
    of one host; on a network filesystem it depends on the server.
    """

    path: Path

    def acquire(self) -> int | None:
        """A descriptor that holds the lock, to be closed by the caller; None if it is held."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if _flock(descriptor, fcntl.LOCK_EX):
            return descriptor
        os.close(descriptor)
        return None

    def is_held(self) -> bool:
        """Whether some process holds the lock."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not _flock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)

    def holders(self) -> set[int]:
        """The ids of the processes that have the file open, where /proc tells; else empty."""
        try:
            wanted = self.path.stat()
        except FileNotFoundError:
            return set()
        found = {
            int(entry.name)
            for entry in Path("/proc").glob("[0-9]*")
            if any(os.path.samestat(wanted, status) for status in _open_files(entry))
        }
        return found - {os.getpid()}


def start_time(pid: int) -> str:
    """A value that differs between two processes with one recycled id; "" where it is unknown."""
    told = _status(pid)
    return told[19] if len(told) > 19 else ""


def is_alive(pid: int, started: str) -> bool:
    """Whether the process that had this id and `start_time` has not ended yet."""
    told = _status(pid)
    # What has ended stays visible until its parent asks for it, and a paused parent does not.
    return len(told) > 19 and told[19] == started and told[0] not in "ZX"


def age(pid: int) -> float:
    """Seconds since a process was started; 0 where nobody can tell."""
    started = start_time(pid)
    if not started:
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(started) / os.sysconf("SC_CLK_TCK")


def spawn(
    argv: Sequence[str],
    *,
    stdout: IO[bytes],
    stderr: IO[bytes],
    lock: int | None = None,
    environ: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a command in a session of its own, so that no signal meant for us reaches it.

    Its output goes to files, never to pipes: a pipe would kill it by SIGPIPE when we die, and
    keep us waiting when it leaves a daemon behind. Only `lock` is inherited. `environ` is all that
    it finds in its environment; by default ours without Slack's secrets. Raises CommandFailed if it
    cannot be started.
    """
    reap()
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            pass_fds=() if lock is None else (lock,),
            env=environment(environ),
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CommandFailed(
            f"`{argv[0]}` could not be started: {reason}.",
            "Check the command in the registry's gc settings: its first word is a program on the "
            "bot's host, with its full path if it is not in PATH.",
        ) from error


async def run(
    argv: Sequence[str],
    *,
    output: Path,
    timeout: float,
    environ: Mapping[str, str] | None = None,
    begun: Callable[[int], None] = lambda _: None,
) -> int:
    """Run a short command to its end and return its exit code, negative for a signal.

    `output` receives what it prints; a daemon that it leaves behind may go on writing there.
    `begun` is told its process id at once. Raises CommandFailed if it cannot be started or takes
    longer than `timeout` seconds; only the command itself is ended then, as a server that it
    started may be the one that people need. If the coroutine is cancelled the command goes on:
    half a restart is worse than a whole one.
    """
    with _opened(output) as file:
        process = spawn(argv, stdout=file, stderr=file, environ=environ)
        begun(process.pid)
    try:
        code = await ended(process, timeout)
        if code is None:
            process.terminate()
            if await ended(process, _TERM_GRACE) is None:
                process.kill()
                await ended(process, _KILL_GRACE)
            raise CommandFailed(
                f"`{argv[0]}` did not return within {timeout:g} s.{told(output)}",
                "The command must return when its work is done: a server belongs into the "
                "background.",
            )
        return code
    finally:
        leave(process)


async def ended(process: "subprocess.Popen[bytes]", timeout: float) -> int | None:
    """The exit code of `process`, or None if it still runs after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    pause = 0.005
    while (code := process.poll()) is None:
        if time.monotonic() >= deadline:
            return None
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.25)
    return code


async def end(
    lock: LockFile, leader: int | None, process: "subprocess.Popen[bytes] | None" = None
) -> bool:
    """Kill every process group of the collection that holds `lock`; returns whether it is gone.

    `leader` is the process that was started, known to be ours; `process` is the same where it is
    our child, whose end is waited for even if it does not hold the lock.
    """

    def gone() -> bool:
        return not lock.is_held() and (process is None or process.poll() is not None)

    for number, grace in ((signal.SIGTERM, _TERM_GRACE), (signal.SIGKILL, _KILL_GRACE)):
        if gone():
            return True
        for group in _groups(lock, leader):
            _signal_group(group, number)
        if await _until(gone, grace):
            return True
    return gone()


async def end_one(pid: int) -> None:
    """End one process that need not be our child, and nothing that it started."""
    started = start_time(pid)
    for number, grace in ((signal.SIGTERM, _TERM_GRACE), (signal.SIGKILL, _KILL_GRACE)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
        if await _until(lambda: not is_alive(pid, started), grace):
            return


def leave(process: "subprocess.Popen[bytes]") -> None:
    """Let a process go on without us; it is reaped later if we live long enough."""
    if process.poll() is None:
        _left_running.add(process)


def reap() -> None:
    """Collect the exit codes of processes that were left."""
    for process in list(_left_running):
        if process.poll() is not None:
            _left_running.discard(process)


def told(output: Path) -> str:
    """The end of a command's output, to append to a sentence; "" if there was none."""
    try:
        text = output.read_bytes()[-4 * OUTPUT_SHOWN :].decode("utf-8", "replace").strip()
    except OSError:
        return ""
    return f" It said: {text[-OUTPUT_SHOWN:]}" if text else ""


def _status(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on, its state; empty where there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _opened(output: Path) -> IO[bytes]:
    # A restart must not fail because the disk is full. Appending, since a server that an earlier
    # run left behind may be writing to the same file.
    try:
        output.write_bytes(b"")
        return output.open("ab")
    except OSError:
        return Path(os.devnull).open("ab")


def _flock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open_files(process: Path) -> list[os.stat_result]:
    statuses: list[os.stat_result] = []
    with contextlib.suppress(OSError):  # gone meanwhile, or somebody else's
        for entry in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                statuses.append(entry.stat())
    return statuses


def environment(given: Mapping[str, str] | None) -> dict[str, str]:
    """What commands find in their environment: `given`, or ours without Slack's secrets."""
    if given is not None:
        return dict(given)
    # A collector needs no key to the chat.
    return {key: value for key, value in os.environ.items() if not key.startswith("SLACK_")}


def _groups(lock: LockFile, leader: int | None) -> set[int]:
    groups = set() if leader is None else {leader}
    for pid in lock.holders():
        with contextlib.suppress(ProcessLookupError):
            groups.add(os.getpgid(pid))
    return groups - {os.getpgrp()}


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        os.killpg(group, signal.SIGCONT)  # a stopped process hears nothing but SIGKILL


async def _until(gone: Callable[[], bool], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not gone():
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(0.02)
        reap()
    return True
