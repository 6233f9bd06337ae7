"""A real collection that holds in its middle, so that it can outlive whoever started it.

    python slow_collect.py [--at sweep|mark] [--hold-dry-run] [--log FILE] HOLD COMMAND...

HOLD is a number of seconds, or the path of a gate file: the collection goes on when the file
exists, or after --at-most seconds. `HOLD.holding` is created when it holds at a gate. With
`--at sweep` everything is marked, and what is not marked is about to be deleted; with `--at mark`
nothing is marked yet. A dry run does not hold unless told to. FILE gets a line when a collection
that is no dry run begins, and one when it ends: the word and the seconds since the epoch.

How: the collector's standard output is a pipe of one page in packet mode, where each line is a
packet and a second one does not fit. So the collector waits at the line after the one that is
not read here, and the summary is its last line before the first deletion.
"""

import argparse
import asyncio
import contextlib
import ctypes
import fcntl
import os
import re
import subprocess
import sys
import time
from pathlib import Path

SUMMARY = re.compile(rb"^\d+ blobs marked, ", re.MULTILINE)
PAGE = os.sysconf("SC_PAGE_SIZE")
libc = ctypes.CDLL(None, use_errno=True)


async def held_at(gate: Path) -> None:
    """Wait until a collection holds at the gate."""
    async with asyncio.timeout(60):
        while not gate.with_name(f"{gate.name}.holding").exists():
            await asyncio.sleep(0.02)


def main() -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--at", choices=["sweep", "mark"], default="sweep")
    parser.add_argument("--hold-dry-run", action="store_true")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--at-most", type=float, default=60.0)
    parser.add_argument("hold")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    dry_run = "--dry-run" in args.command or "-d" in args.command
    if dry_run and not args.hold_dry_run:
        os.execvp(args.command[0], args.command)
    if dry_run or args.log is None:
        return collect(args)
    note(args.log, "begin")
    try:
        return collect(args)
    finally:
        note(args.log, "end")


def note(log: Path, word: str) -> None:
    """One write, so that two collections at once would be seen for what they are."""
    with log.open("ab", buffering=0) as file:
        file.write(f"{word} {time.time()}\n".encode())


def collect(args: argparse.Namespace) -> int:
    inherited = inherited_descriptors()
    reading, writing = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)
    fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, PAGE)
    process = subprocess.Popen(args.command, stdout=writing, pass_fds=inherited)
    os.close(writing)
    held = False
    while line := peek(reading):
        if not held and (args.at == "mark" or SUMMARY.search(line)):
            hold(args.hold, args.at_most)
            held = True
        os.write(1, os.read(reading, PAGE))
    return process.wait()


def inherited_descriptors() -> list[int]:
    """What we were given beyond the standard three: the lock of the collection."""
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with contextlib.suppress(OSError):  # the listing's own descriptor is closed by now
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
    return found


def peek(pipe: int) -> bytes:
    """The next packet, left where it is; empty at the end."""
    copy_reading, copy_writing = os.pipe()
    try:
        count = libc.tee(pipe, copy_writing, PAGE, 0)
        if count < 0:
            raise OSError(ctypes.get_errno(), "tee")
        return os.read(copy_reading, count) if count else b""
    finally:
        os.close(copy_reading)
        os.close(copy_writing)


def hold(what: str, at_most: float) -> None:
    try:
        time.sleep(float(what))
        return
    except ValueError:
        gate = Path(what)
    Path(f"{gate}.holding").touch()
    deadline = time.monotonic() + at_most
    while not gate.exists() and time.monotonic() < deadline:
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
