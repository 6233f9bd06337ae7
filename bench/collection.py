"""What the safety of a collection costs: through the bot, against the bare command.

    make bench            (python -m bench.collection [ROUNDS])

Makes a storage of 4,000 images of which 2,000 are garbage, and collects copies of it by turns: once
with `docker-registry garbage-collect` alone, once as an approved `gc` request (dry run, two
restarts, proofs by upload, bytes measured before and after). Prints ratios.
"""

import asyncio
import hashlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.operations.context import Timing
from bot.rules.approval import State
from tests.support.controlled_registry import COLLECT, ControlledRegistry
from tests.support.rig import Rig

IMAGES, GARBAGE, REPOSITORIES = 4000, 2000, 20
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, slots=True)
class Lap:
    """Seconds of one collection, and what it freed."""

    seconds: float
    collecting: float
    freed: int


class Storage:
    """Writes images straight to disk, as the registry would: pushing them would take minutes."""

    def __init__(self, root: Path) -> None:
        self._root = root / "docker" / "registry" / "v2"

    def fill(self) -> None:
        """All images; the last ones have blobs and nothing that leads to them."""
        for number in range(IMAGES):
            name = f"team/app-{number % REPOSITORIES:02}"
            self._image(name, f"1.{number}", linked=number < IMAGES - GARBAGE)

    def _image(self, repository: str, tag: str, *, linked: bool) -> None:
        layer = f"layer of {repository}:{tag} ".encode() * 30
        config = json.dumps({"os": "linux", "architecture": "amd64", "x": f"{repository}:{tag}"})
        described = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _describe(_CONFIG, config.encode()),
            "layers": [_describe(_LAYER, layer)],
        }
        manifest = json.dumps(described).encode()
        digests = [self._blob(data) for data in (manifest, config.encode(), layer)]
        if linked:
            self._link(repository, tag, *digests)

    def _blob(self, data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()
        path = self._root / "blobs" / "sha256" / name[:2] / name / "data"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return name

    def _link(self, repository: str, tag: str, manifest: str, config: str, layer: str) -> None:
        home = self._root / "repositories" / repository
        tagged = home / "_manifests" / "tags" / tag
        for name, place in (
            (manifest, home / "_manifests" / "revisions" / "sha256" / manifest),
            (manifest, tagged / "current"),
            (manifest, tagged / "index" / "sha256" / manifest),
            (config, home / "_layers" / "sha256" / config),
            (layer, home / "_layers" / "sha256" / layer),
        ):
            place.mkdir(parents=True, exist_ok=True)
            (place / "link").write_text(f"sha256:{name}", encoding="utf-8")


def _describe(media_type: str, data: bytes) -> dict[str, object]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


async def through_the_bot(registry: ControlledRegistry, directory: Path) -> Lap:
    """One approved collection, from the approval to the report."""
    settings = registry.settings(timeout=600.0)
    # With the waits of the bot as it is used: those of the tests would prove twenty times a second.
    async with Rig.open(directory, registry.url, gc=settings, timing=Timing()) as rig:
        request = await rig.gc()
        began = time.perf_counter()
        await rig.approve(request)
        async with rig.working():
            ended = await rig.until(request, lambda r: not r.state.is_open, 600.0)
        seconds = time.perf_counter() - began
    if ended.state is not State.DONE:
        raise RuntimeError(f"the collection ended {ended.state}: {ended.result}")
    return Lap(seconds, ended.result["collecting"], ended.result["freed_blobs"])


def bare(registry: ControlledRegistry) -> Lap:
    """The command alone, beside a registry that nobody uses."""
    before = len(registry.blob_digests())
    began = time.perf_counter()
    subprocess.run(
        [*COLLECT, str(registry.config_path)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - began
    return Lap(seconds, seconds, before - len(registry.blob_digests()))


def lap(original: Path, *, bot: bool) -> Lap:
    """One collection of a fresh copy."""
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        registry = ControlledRegistry(Path(made))
        shutil.copytree(original, registry.root, dirs_exist_ok=True)
        registry.start()
        try:
            return asyncio.run(through_the_bot(registry, Path(made))) if bot else bare(registry)
        finally:
            registry.stop()


def main(rounds: int) -> None:
    """By turns, so that whatever else the machine does hits both alike."""
    laps: dict[bool, list[Lap]] = {False: [], True: []}
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        Storage(Path(made)).fill()
        for number in range(rounds):
            for bot in (number % 2 == 0, number % 2 != 0):
                laps[bot].append(lap(Path(made), bot=bot))
    for line in report(laps):
        sys.stdout.write(f"{line}\n")


def report(laps: dict[bool, list[Lap]]) -> Iterator[str]:
    """Ratios of medians; seconds are those of this machine and this run."""
    freed = {one.freed for each in laps.values() for one in each}
    if len(freed) != 1:
        raise RuntimeError(f"they did not free the same: {sorted(freed)}")
    command = statistics.median(one.seconds for one in laps[False])
    whole = statistics.median(one.seconds for one in laps[True])
    inside = statistics.median(one.collecting for one in laps[True])
    yield f"{IMAGES} images, {freed.pop()} blobs freed each time, {len(laps[True])} rounds by turns"
    yield f"bare command                  {command:6.2f} s   1.00"
    yield f"its part of the bot's request {inside:6.2f} s   {inside / command:.2f}"
    yield f"the bot's whole request       {whole:6.2f} s   {whole / command:.2f}"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
