"""A disk that is really full: a small tmpfs, mounted for one test."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class SmallDisk:
    """A file system of a few bytes in `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        """Leave no room on it."""
        with contextlib.suppress(OSError), (self.path / "filler").open("wb", 0) as file:
            while True:
                file.write(b"x" * 4096)

    def empty(self) -> None:
        """Give the room back."""
        (self.path / "filler").unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(path: Path, size: str = "2m") -> Iterator[SmallDisk]:
    """Mount one of `size` at `path`; skips the test where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("a disk can be mounted by root alone")
    path.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    mounted = subprocess.run(words, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(path)
    finally:
        # Lazy: a registry that a failing test left behind may have files open on it.
        subprocess.run(["umount", "--lazy", str(path)], check=False)
