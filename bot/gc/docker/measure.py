"""What lies in the storage of a container: by a command inside it, or by the engine's eyes."""

from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from bot.gc.docker.engine import Engine
from bot.gc.docker.errors import EngineRefused
from bot.gc.docker.obstacles import storage_mounts
from bot.gc.docker.site import Lookout, Site, is_server
from bot.gc.errors import CommandFailed

_BATCH = 400
_SHA256 = 64


class NoStorage(Exception):
    """There is no registry's storage at the path."""


class Measuring:
    """Measures the storage of one registry's container, whichever of its clones runs."""

    def __init__(self, engine: Engine, lookout: Lookout) -> None:
        self._engine = engine
        self._lookout = lookout
        self.unmeasured = ""
        """Why `blob_sizes` had no answer, for people; "" if it had."""

    async def blob_sizes(self, digests: Collection[str]) -> dict[str, int] | None:
        """The bytes of those blobs that are there; None where that cannot be told."""
        site = await self._lookout.site()
        self.unmeasured = why_unmeasured(site)
        root = site.storage.root
        if root is None:
            return None
        place, running = await self._place(site)
        try:
            return await blob_sizes(self._engine, place, root, digests, running=running)
        except NoStorage:
            self.unmeasured = f"{root} in the container holds no registry's storage"
            return None

    async def disk(self) -> tuple[int, int] | None:
        """Bytes used and in all on the disk of the storage; None if that cannot be told."""
        try:
            site = await self._lookout.site()
            place, running = await self._place(site)
            if site.storage.root is None or not running:
                return None
            return await disk(self._engine, place, site.storage.root)
        except CommandFailed:
            return None  # nice to know, and no reason to fail

    async def on_host(self) -> Path | None:
        """The storage as a directory on the bot's own host; None where it is not proven to be it.

        The engine tells where the volume lies on *its* host, and the bot may be on another one, or
        in a container that has something else there. So a running container of the registry must
        see the very same directories there: same device, same number, changed at the same second.
        """
        try:
            site = await self._lookout.site()
            place, running = await self._place(site)
            root = site.storage.root
            mounts = storage_mounts(site.original, site.storage)
            if root is None or not running or not mounts:
                return None
            below = root.relative_to(mounts[0]["Destination"])
            found = Path(str(mounts[0]["Source"])) / below
            if await _same(self._engine, place, root, found):
                return found
        except CommandFailed:
            return None  # nice to have, and no reason to fail
        return None

    async def _place(self, site: Site) -> tuple[str, bool]:
        """A container with the storage in it, and whether it runs."""
        if site.original["State"]["Running"]:
            return site.id, True
        for one in await self._lookout.clones():
            if is_server(one):
                return str(one["Id"]), True
        return site.id, False


def why_unmeasured(site: Site) -> str:
    """Why bytes cannot be measured here, as far as settings and configuration tell; else ""."""
    if site.storage.root is not None:
        return ""
    if site.storage.driver:
        return f"the storage is not in the container ({site.storage.driver})"
    return "nobody can tell where the storage is: set `storage_root`"


async def blob_sizes(
    engine: Engine, container: str, root: PurePosixPath, digests: Collection[str], *, running: bool
) -> dict[str, int]:
    """The bytes of each of the blobs that is there. Raises NoStorage.

    A running container is asked with its own `stat`, many at once. One that has none, or does not
    run, is looked into by the engine: file by file, but it works with every image.
    """
    blobs = root / "docker" / "registry" / "v2" / "blobs"
    if not await engine.exists(container, str(blobs)):
        raise NoStorage
    by_path = {_path(blobs, digest): digest for digest in digests if _is_sha256(digest)}
    paths = list(by_path)
    found: dict[str, int] = {}
    for start in range(0, len(paths), _BATCH):
        batch = paths[start : start + _BATCH]
        sizes = await _asked(engine, container, str(blobs), batch) if running else None
        if sizes is None:
            running = False
            sizes = await _looked_at(engine, container, batch)
        found |= {by_path[path]: size for path, size in sizes.items()}
    return found


async def disk(engine: Engine, container: str, root: PurePosixPath) -> tuple[int, int] | None:
    """Bytes used and in all on the disk below `root`, by a running container's own `df`."""
    try:
        code, output = await engine.execute(container, ["df", "-P", "-k", str(root)])
        _, total, used, *_ = output.decode("utf-8", "replace").splitlines()[-1].split()
        return (int(used) * 1024, int(total) * 1024) if code == 0 else None
    except (EngineRefused, ValueError, IndexError):
        return None


async def _same(engine: Engine, container: str, root: PurePosixPath, found: Path) -> bool:
    """Whether `root` inside and `found` out here are one storage."""
    parts = [f"docker/registry/v2/{name}" for name in ("repositories", "blobs")]
    words = ["stat", "-c", "%d %i %Y %Z", *(str(root / part) for part in parts)]
    try:
        code, output = await engine.execute(container, words)
        told = [(found / part).stat() for part in parts]
    except (EngineRefused, OSError):
        return False
    ours = [f"{s.st_dev} {s.st_ino} {int(s.st_mtime)} {int(s.st_ctime)}" for s in told]
    return code == 0 and output.decode("ascii", "replace").split("\n")[:2] == ours


async def _asked(
    engine: Engine, container: str, blobs: str, paths: Sequence[str]
) -> dict[str, int] | None:
    """None where `stat` is missing, or does not see what is certainly there."""
    try:
        _, output = await engine.execute(container, ["stat", "-c", "%s %n", blobs, *paths])
    except EngineRefused:
        return None
    sizes: dict[str, int] = {}
    for line in output.decode("utf-8", "replace").splitlines():
        size, _, path = line.partition(" ")
        if size.isdigit():
            sizes[path] = int(size)
    return sizes if sizes.pop(blobs, None) is not None else None


async def _looked_at(engine: Engine, container: str, paths: Sequence[str]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    at = iter(paths)
    async for size in engine.file_sizes(container, paths):
        path = next(at)
        if size is not None:
            sizes[path] = size
    return sizes


def _path(blobs: PurePosixPath, digest: str) -> str:
    name = digest.removeprefix("sha256:")
    return str(blobs / "sha256" / name[:2] / name / "data")


def _is_sha256(digest: str) -> bool:
    algorithm, _, name = digest.partition(":")
    return (
        algorithm == "sha256" and len(name) == _SHA256 and not set(name) - set("0123456789abcdef")
    )
