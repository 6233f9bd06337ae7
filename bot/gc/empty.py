"""Finds and removes empty repositories in a filesystem storage.

A collection never removes them, and `rm -rf` of one takes the repositories nested in it along.
Here only the `_manifests`, `_layers` and `_uploads` of a repository without tags and revisions go,
file by file as they were judged: nothing is deleted that was not looked at, and a repository with
anything unexpected in it is left alone.

To be called only while nothing can be pushed: the registry is proven read-only, or stopped.
"""

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bot.gc.tree import MARKED, repositories_root, walk

_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")
_ALGORITHM = re.compile(r"[a-z0-9]+")
_HEX = re.compile(r"[0-9a-f]{32,128}")
_UPLOAD = re.compile(r"[0-9a-f-]{36}")


@dataclass(frozen=True, slots=True)
class Empty:
    """An empty repository; `uploads` that never ended are in it, with `upload_bytes`."""

    name: str
    uploads: int = 0
    upload_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """Empty repositories, and those that look empty and hold something unexpected, with why."""

    empty: tuple[Empty, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()


class LeftAlone(Exception):
    """A repository was not removed; `why` says what it holds, for people."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class _InUse(LeftAlone):
    """It has a tag or a revision: no fault, and nothing to tell where one only looks."""


@dataclass(slots=True)
class _Plan:
    """What would go, in order: `_manifests` has directories only, so nothing in it can be lost."""

    manifests: list[Path] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    directories: list[Path] = field(default_factory=list)
    uploads: int = 0
    upload_bytes: int = 0


def find_empty(storage_root: Path, *, seconds: float = 30.0) -> Found:
    """Every repository without tags and revisions that the registry lists all the same.

    Parameters
    ----------
    seconds : how long to look; what was found by then is the answer.

    Raises CommandFailed if `storage_root` does not hold a registry's storage.
    """
    root = repositories_root(storage_root)
    empty: list[Empty] = []
    refused: list[tuple[str, str]] = []
    end = time.monotonic() + seconds
    try:
        for directory in walk(root):
            if time.monotonic() > end:
                break
            # With uploads alone it is in no list; the registry purges those itself.
            if directory.name and directory.marked & {"_manifests", "_layers"}:
                _sort(root, directory.name, empty, refused)
    except OSError as error:
        refused.append((f"{error.filename}", f"{error.strerror}"))
    return Found(tuple(sorted(empty, key=lambda one: one.name)), tuple(sorted(refused)))


def _sort(root: Path, name: str, empty: list[Empty], refused: list[tuple[str, str]]) -> None:
    try:
        plan = _judged(root, name)
    except _InUse:
        return
    except LeftAlone as error:
        refused.append((name, error.why))
    else:
        empty.append(Empty(name, plan.uploads, plan.upload_bytes))


def remove_empty(storage_root: Path, name: str) -> Empty:
    """Remove a repository, if it is still empty. One that is gone already is no error.

    Raises
    ------
    LeftAlone : it is not empty, or holds something unexpected, or cannot be removed.
    CommandFailed : `storage_root` does not hold a registry's storage.
    """
    root = repositories_root(storage_root)
    _checked(root, name)
    if not os.path.lexists(root / name):
        return Empty(name)
    plan = _judged(root, name)
    try:
        # A link that appeared since makes its directory stay, and this stop before any file goes.
        for path in plan.manifests:
            path.rmdir()
        for path in plan.files:
            path.unlink()
        for path in plan.directories:
            path.rmdir()
    except OSError as error:
        raise _refused_by_disk(error) from error
    # What appears in it from now on belongs to somebody else.
    with contextlib.suppress(OSError):
        _tidy(root, root / name)
    return Empty(name, plan.uploads, plan.upload_bytes)


def may_remove(storage_root: Path) -> bool:
    """Whether this process may change the storage at all; it may be mounted for reading only.

    Raises CommandFailed if `storage_root` does not hold a registry's storage.
    """
    return os.access(repositories_root(storage_root), os.W_OK | os.X_OK)


def is_gone(storage_root: Path, name: str) -> bool:
    """Whether no list of the registry has this repository any more.

    Raises CommandFailed if `storage_root` does not hold a registry's storage.
    """
    path = repositories_root(storage_root) / name
    return not any(os.path.lexists(path / marked) for marked in ("_manifests", "_layers"))


def _tidy(root: Path, path: Path) -> None:
    """Remove the directory and those above it, as long as they are empty."""
    while path != root:
        path.rmdir()
        path = path.parent


def _checked(root: Path, name: str) -> None:
    """Refuse a name that leads anywhere but to a real directory below `root`."""
    path = root
    parts = name.split("/")
    for number, part in enumerate(parts):
        if not _COMPONENT.fullmatch(part):
            raise LeftAlone("it is no repository's name")
        path /= part
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(mode):
            what = "a symbolic link" if stat.S_ISLNK(mode) else "no directory"
            raise LeftAlone(f"{'/'.join(parts[: number + 1])} is {what}")


def _judged(root: Path, name: str) -> _Plan:
    """What would go; raises `LeftAlone` where nothing must."""
    _checked(root, name)
    path = root / name
    marked = []
    try:
        for entry in _entries(path):
            if entry.name in MARKED:
                marked.append(entry.name)
            elif not _COMPONENT.fullmatch(entry.name):
                raise LeftAlone(f"there is {entry.name} in it")
        plan = _Plan()
        # First what says that it is in use: that is the usual case, and no fault.
        if "_manifests" in marked:
            _manifests(path / "_manifests", plan)
        if "_layers" in marked:
            _layers(path / "_layers", plan)
        if "_uploads" in marked:
            _uploads(path / "_uploads", plan)
    except OSError as error:
        raise _refused_by_disk(error) from error
    return plan


def _manifests(path: Path, plan: _Plan) -> None:
    names = {entry.name for entry in _entries(path)}
    if "tags" in names:
        for entry in _entries(path / "tags"):
            raise _InUse(f"it has the tag {entry.name}")
        plan.manifests.append(path / "tags")
    if "revisions" in names:
        for algorithm in _named(path / "revisions", _ALGORITHM):
            for revision in _named(algorithm, _HEX):
                # A deleted revision leaves its directory behind, without a link in it.
                for held in _scanned(revision):
                    if held.name == "link":
                        raise _InUse(f"it has the revision {algorithm.name}:{revision.name}")
                    raise _unexpected(held.path, path)
                plan.manifests.append(revision)
            plan.manifests.append(algorithm)
        plan.manifests.append(path / "revisions")
    for name in sorted(names - {"tags", "revisions"}):
        raise _unexpected(path / name, path)
    plan.manifests.append(path)


def _layers(path: Path, plan: _Plan) -> None:
    for algorithm in _named(path, _ALGORITHM):
        for layer in _named(algorithm, _HEX):
            for held in _scanned(layer):
                if held.name != "link" or not held.is_file(follow_symlinks=False):
                    raise _unexpected(held.path, path)
                plan.files.append(Path(held.path))
            plan.directories.append(layer)
        plan.directories.append(algorithm)
    plan.directories.append(path)


def _uploads(path: Path, plan: _Plan) -> None:
    for upload in _named(path, _UPLOAD):
        plan.uploads += 1
        for held in _scanned(upload):
            if held.name in {"data", "startedat"} and held.is_file(follow_symlinks=False):
                plan.upload_bytes += held.stat(follow_symlinks=False).st_size
                plan.files.append(Path(held.path))
            elif held.name == "hashstates" and held.is_dir(follow_symlinks=False):
                _hash_states(Path(held.path), plan)
            else:
                raise _unexpected(held.path, path)
        plan.directories.append(upload)
    plan.directories.append(path)


def _hash_states(path: Path, plan: _Plan) -> None:
    for algorithm in _named(path, _ALGORITHM):
        for held in _scanned(algorithm):
            if not held.name.isdecimal() or not held.is_file(follow_symlinks=False):
                raise _unexpected(held.path, path)
            plan.upload_bytes += held.stat(follow_symlinks=False).st_size
            plan.files.append(Path(held.path))
        plan.directories.append(algorithm)
    plan.directories.append(path)


def _scanned(path: Path) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _entries(path: Path) -> list[os.DirEntry[str]]:
    """What is in a directory; raises `LeftAlone` where it is not all directories."""
    found = _scanned(path)
    for entry in found:
        if not entry.is_dir(follow_symlinks=False):
            raise _unexpected(entry.path, path)
    return found


def _named(path: Path, pattern: re.Pattern[str]) -> Iterator[Path]:
    """The directories in a directory; raises `LeftAlone` where one has another kind of name."""
    for entry in _entries(path):
        if not pattern.fullmatch(entry.name):
            raise _unexpected(entry.path, path)
        yield Path(entry.path)


def _refused_by_disk(error: OSError) -> LeftAlone:
    return LeftAlone(f"{error.strerror}: {error.filename}")


def _unexpected(path: str | Path, inside: Path) -> LeftAlone:
    found = Path(path)
    kind = "the symbolic link " if found.is_symlink() else ""
    return LeftAlone(f"there is {kind}{found.name} in {inside.name}")
