"""What lies on the disk of a registry with filesystem storage."""

import re
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from bot.gc.tree import not_a_storage

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def blob_sizes(storage_root: Path, digests: Collection[str]) -> Iterator[tuple[str, int]]:
    """Digest and bytes of each of the blobs that is on disk, by one stat for each.

    Raises CommandFailed if `storage_root` does not hold a registry's storage: an answer of
    "nothing is there" would look like a collection that freed everything.
    """
    if not digests:
        return
    blobs = storage_root / "docker" / "registry" / "v2" / "blobs"
    try:
        if not blobs.is_dir():
            raise not_a_storage(storage_root)
        for digest in digests:
            size = _size(blobs, digest)
            if size is not None:
                yield digest, size
    except OSError as error:
        raise not_a_storage(storage_root) from error


def disk(storage_root: Path) -> tuple[int, int] | None:
    """Bytes used and in all on the disk of `storage_root`; None if that cannot be told."""
    try:
        usage = shutil.disk_usage(storage_root)
    except OSError:
        return None
    return usage.used, usage.total


def _size(blobs: Path, digest: str) -> int | None:
    if not _DIGEST.fullmatch(digest):
        return None
    name = digest.removeprefix("sha256:")
    try:
        return (blobs / "sha256" / name[:2] / name / "data").stat().st_size
    except FileNotFoundError:
        return None
