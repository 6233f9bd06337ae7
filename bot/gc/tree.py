"""The directories of a registry's filesystem storage, read and never changed."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.gc.errors import CommandFailed

MARKED = frozenset({"_manifests", "_layers", "_uploads"})
"""What a repository's own directory holds, beside the repositories nested in it."""


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory below `repositories` with `MARKED` entries in it: a repository's own."""

    name: str
    path: Path
    marked: frozenset[str]


def repositories_root(storage_root: Path) -> Path:
    """Where the repositories lie; raises CommandFailed if there is no registry's storage."""
    root = storage_root / "docker" / "registry" / "v2" / "repositories"
    try:
        if root.is_dir():
            return root
    except OSError as error:
        raise not_a_storage(storage_root) from error
    raise not_a_storage(storage_root)


def walk(root: Path, under: str = "", *, nested: bool = True) -> Iterator[Directory]:
    """Every repository's directory, nested ones too; links are not followed.

    Parameters
    ----------
    root : as :func:`repositories_root` gives it.
    under : only this repository and those nested in it.
    nested : whether to go into nested ones.

    Raises OSError where a directory cannot be read.
    """
    todo = [under]
    while todo:
        name = todo.pop()
        marked, parts = _entries(root / name)
        if marked:
            yield Directory(name, root / name, marked)
        if nested:
            todo += [f"{name}/{part}" if name else part for part in parts]


def _entries(path: Path) -> tuple[frozenset[str], list[str]]:
    try:
        with os.scandir(path) as entries:
            names = [e.name for e in entries if e.is_dir(follow_symlinks=False)]
    except FileNotFoundError:  # it was removed while we walked
        return frozenset(), []
    nested = sorted((name for name in names if not name.startswith("_")), reverse=True)
    return frozenset(names) & MARKED, nested


def not_a_storage(storage_root: Path) -> CommandFailed:
    """The error for a `storage_root` that holds something else."""
    return CommandFailed(
        f"`storage_root` {storage_root} does not hold a registry's storage that the bot can read.",
        "Write the directory that contains `docker/registry/v2`, or remove `storage_root`.",
    )
