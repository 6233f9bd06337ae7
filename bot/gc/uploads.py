"""Uploads that nobody ended: bytes in the storage that no collection frees."""

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.gc.tree import Directory, repositories_root, walk

STALE_AFTER = 24 * 3600.0
"""Seconds without a byte after which an upload will not go on."""


@dataclass(frozen=True, slots=True)
class StaleUploads:
    """How many there are, in how many repositories, and their bytes.

    `problem` says why they could not be counted (all); "" if they were.
    """

    count: int = 0
    size: int = 0
    repositories: int = 0
    problem: str = ""


def stale_uploads(
    storage_root: Path,
    now: float,
    repository: str = "",
    *,
    after: float = STALE_AFTER,
    seconds: float = 30.0,
) -> StaleUploads:
    """Count them; those of a single repository if one is named.

    Parameters
    ----------
    now : the present time, in seconds since 1970.
    after : the age of their last byte from which they count, in seconds.
    seconds : how long to count; what was counted by then is the answer, with a `problem`.

    Raises CommandFailed if `storage_root` does not hold a registry's storage.
    """
    count = size = repositories = 0
    problem = ""
    root = repositories_root(storage_root)
    end = time.monotonic() + seconds
    try:
        for directory in walk(root, repository, nested=not repository):
            if time.monotonic() > end:
                problem = f"not all could be counted within {seconds:g} seconds"
                break
            stale = [held for held, last in uploads(directory) if now - last >= after]
            count += len(stale)
            size += sum(stale)
            repositories += bool(stale)
    except OSError as error:
        problem = f"{error.strerror}: {error.filename}"
    return StaleUploads(count, size, repositories, problem)


def uploads(directory: Directory) -> Iterator[tuple[int, float]]:
    """Bytes and time of the last change of each upload of a repository, ended ones too."""
    if "_uploads" not in directory.marked:
        return
    try:
        with os.scandir(directory.path / "_uploads") as entries:
            paths = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return
    for path in paths:
        if found := _measured(path):
            yield found


def _measured(path: str) -> tuple[int, float] | None:
    """Bytes of all files below, and the newest change; None if it has just been ended."""
    size, last = 0, 0.0
    try:
        for held, _, names in os.walk(path, onerror=_raise):
            last = max(last, os.lstat(held).st_mtime)
            for name in names:
                about = os.lstat(Path(held, name))
                last = max(last, about.st_mtime)
                size += about.st_size if stat.S_ISREG(about.st_mode) else 0
    except FileNotFoundError:
        return None
    return size, last


def _raise(error: OSError) -> None:
    raise error
