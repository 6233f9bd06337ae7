"""The canary of a collection: images are chosen before it, and pulled whole after it.

A collection that went wrong leaves manifests whose layers are gone. Every protected tag and a
sample of the others is read as a pull reads it: the manifest, what is below it, and every byte of
every layer, with its sha256.
"""

import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bot.operations.context import Context, Registry
from bot.operations.images import parsed
from bot.registry.errors import Corrupt, NotFound, RegistryError
from bot.registry.manifest import Descriptor, Image, Index
from bot.rules.policy import Target

PROTECTED = 40
"""So many protected tags are pulled at most."""
SAMPLE = 10
"""So many other tags are pulled."""
MOST_BYTES = 4 * 1024**3
"""Beyond this sum layers are checked by their last byte instead of being read whole."""

WITHIN = 1800.0
"""Seconds for pulling them all: the report of a collection must not wait for a registry that drips.
"""

_REPOSITORIES = 200
_AT_ONCE = 2  # pulls are large, and people use the registry meanwhile


@dataclass(frozen=True, slots=True)
class Chosen:
    """An image that must be as whole after the collection as before."""

    repository: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """As people write it."""
        return f"{self.repository}:{self.tag}"


@dataclass(frozen=True, slots=True)
class Sung:
    """What the canary found: images pulled, bytes read, and what is broken, in words.

    `glanced` counts layers that were too much to read whole.
    """

    images: int
    read: int
    glanced: int
    broken: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**asdict(self), "broken": list(self.broken)}


async def choose(ctx: Context, registry: Registry, rng: random.Random) -> tuple[Chosen, ...]:
    """Protected tags first, then a sample of the others; none of them broken already.

    Raises
    ------
    RegistryError : the registry does not answer.
    """
    names = await registry.client.repositories()
    if len(names) > _REPOSITORIES:
        names = rng.sample(names, _REPOSITORIES)
    protected: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    for name in names:
        try:
            tags = await registry.client.tags(name)
        except NotFound:
            continue
        for tag in tags:
            held = ctx.policy.protection_of(Target(registry.name, name, tag)) is not None
            (protected if held else others).append((name, tag))
    wanted = rng.sample(protected, min(PROTECTED, len(protected)))
    wanted += rng.sample(others, min(SAMPLE, len(others)))
    return await whole(registry, wanted)


async def whole(registry: Registry, wanted: Iterable[tuple[str, str]]) -> tuple[Chosen, ...]:
    """Those that can be pulled now: what is broken before the collection says nothing of it."""
    found: list[Chosen] = []
    for repository, tag in wanted:
        try:
            digest = (await registry.client.head(repository, tag)).digest
            for blob in await _blobs(registry, repository, digest):
                await registry.client.check_blob(repository, blob)
        except (NotFound, Corrupt):
            continue
        found.append(Chosen(repository, tag, digest))
    return tuple(found)


async def sing(
    registry: Registry,
    chosen: Sequence[Chosen],
    *,
    most: int = MOST_BYTES,
    within: float = WITHIN,
) -> Sung:
    """Pull every chosen image whole, by the digest that it had.

    A registry that does not answer, or not within that many seconds, makes the image count as
    broken: nothing is assumed.
    """
    turns = asyncio.Semaphore(_AT_ONCE)
    seen: set[tuple[str, str]] = set()
    left, read, glanced = most, 0, 0
    broken: list[str] = []
    end = asyncio.get_running_loop().time() + within

    async def pull(image: Chosen) -> None:
        nonlocal left, read, glanced
        for blob in await _blobs(registry, image.repository, image.digest):
            key = (image.repository, str(blob.digest))
            if key in seen:
                continue
            seen.add(key)
            if blob.size > left:
                glanced += 1
                await registry.client.check_blob(image.repository, blob)
                continue
            left -= blob.size
            await registry.client.pull_blob(image.repository, blob)
            read += blob.size

    async def one(image: Chosen) -> None:
        async with turns:
            try:
                async with asyncio.timeout_at(end):
                    await pull(image)
            except RegistryError as error:
                broken.append(f"{image.name}: {error.sentence}")
            except TimeoutError:
                broken.append(f"{image.name}: It did not come whole in the time for all of them.")

    await asyncio.gather(*(one(image) for image in chosen))
    return Sung(len(chosen), read, glanced, tuple(sorted(broken)))


async def _blobs(registry: Registry, repository: str, digest: str) -> list[Descriptor]:
    """Every blob of an image or of all images in an index, by what the registry has now.

    Raises
    ------
    NotFound : the manifest or one below it is not there.
    """
    manifest = parsed(await registry.client.manifest(repository, digest))
    if isinstance(manifest, Image):
        return list(manifest.blobs)
    blobs: list[Descriptor] = []
    if isinstance(manifest, Index):
        for child in manifest.children:
            blobs += await _blobs(registry, repository, child.digest)
    return blobs
