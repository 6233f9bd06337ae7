"""Reads repositories, and remembers what cannot change: a manifest under its digest."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from bot.operations.bounded import AT_ONCE, bounded
from bot.operations.context import Registry
from bot.operations.errors import Refusal
from bot.registry.errors import Corrupt, NotFound, ProtocolError
from bot.registry.manifest import Image, Index, InvalidManifest, Platform, RawManifest
from bot.registry.reference import Repository
from bot.rules.plan import Snapshot
from bot.store.store import Store

_DEPTH = 8  # indexes in indexes; deeper is somebody playing

_FRESH = 3600.0  # seconds for which what a repository holds need not be written down again

OnProgress = Callable[[int, int], None]
"""Told how much of how much is done; the second number grows while more turns up."""


@dataclass(frozen=True, slots=True)
class Config:
    """What an image's config says: when it was built (may be a lie) and for what."""

    created: datetime | None
    platform: str


class _Progress:
    """Counts, and tells whoever wants to know."""

    def __init__(self, tell: OnProgress | None) -> None:
        self._tell = tell
        self._done = self._total = 0

    def more(self, count: int) -> None:
        """So much more is to be done."""
        self._total += count

    def one(self) -> None:
        """One more is done."""
        self._done += 1
        if self._tell:
            self._tell(self._done, self._total)


class ImageReader:
    """Snapshots of one registry's repositories, with the store as cache.

    However much it is asked for, only a few of its requests are under way at once, so that
    other commands get their turn.

    Parameters
    ----------
    store : keeps every manifest read, by its digest.
    registry : where to read.
    """

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._client = registry.client
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def tags(self, repository: str) -> list[str]:
        """The tags of a repository; refuses an unknown one with close names."""
        try:
            async with self._turns:
                return await self._client.tags(repository)
        except NotFound:
            async with self._store.transaction() as tx:
                await tx.holdings.forget(self._registry.name, repository)
            raise await self.unknown_repository(repository) from None

    async def unknown_repository(self, repository: str) -> Refusal:
        """The refusal for a repository that is not there."""
        known = await self._client.repositories()
        close = get_close_matches(repository, known, 3, 0.4)
        # People forget the first part of a long name more often than they mistype it.
        close += [name for name in known if name.endswith(f"/{repository}") and name not in close]
        return Refusal(
            f"There is no repository {repository} on {self._registry.name}.",
            "`/registry repos` lists them.",
            tuple(close[:3]),
            wrong=repository,
        )

    async def digests(self, repository: str, tags: Iterable[str]) -> dict[str, str]:
        """Tag to digest, for those tags that (still) exist."""
        return await self._digests(repository, list(tags), _Progress(None))

    async def _digests(
        self, repository: str, tags: Collection[str], progress: _Progress
    ) -> dict[str, str]:
        progress.more(len(tags))

        async def one(tag: str) -> tuple[str, str | None]:
            try:
                async with self._turns:
                    return tag, (await self._client.head(repository, tag)).digest
            except NotFound:
                return tag, None
            finally:
                progress.one()

        found = await bounded(one, tags)
        return {tag: digest for tag, digest in found if digest is not None}

    async def snapshot(
        self,
        repository: str,
        on_progress: OnProgress | None = None,
        *,
        only: Collection[str] | None = None,
    ) -> Snapshot:
        """Everything tagged in a repository, and all below it; or below `only` these."""
        progress = _Progress(on_progress)
        names = await self.tags(repository) if only is None else only
        tags = await self._digests(repository, names, progress)
        raws, missing = await self._read(repository, set(tags.values()), progress)
        await self.remember(repository, raws.keys())
        return Snapshot(
            repository,
            tags,
            await asyncio.to_thread(_manifests, raws),
            {digest: len(raw.body) for digest, raw in raws.items()},
            frozenset(missing),
        )

    async def remember(self, repository: str, held: Collection[str]) -> None:
        """Write down what a repository was seen to hold, unless that is known."""
        name = self._registry.name
        async with self._store.reading() as tx:
            known, age = await tx.holdings.of(name, repository)
        if age is None or age > _FRESH or known != set(held):
            async with self._store.transaction() as tx:
                await tx.holdings.note(name, repository, held)

    async def has(self, repository: str, digests: Iterable[str]) -> frozenset[str]:
        """Those of these manifests that the registry has, tagged or not."""

        async def one(digest: str) -> str:
            try:
                async with self._turns:
                    return (await self._client.head(repository, digest)).digest
            except NotFound:
                return ""

        return frozenset(found for found in await bounded(one, digests) if found)

    async def read(
        self, repository: str, digests: Iterable[str]
    ) -> tuple[dict[str, RawManifest], set[str]]:
        """These manifests and all below them, and which of them are not there.

        A cached manifest says nothing about the registry having it still: children that come
        from the cache are asked for with HEAD.
        """
        return await self._read(repository, set(digests), _Progress(None))

    async def _read(
        self, repository: str, level: set[str], progress: _Progress
    ) -> tuple[dict[str, RawManifest], set[str]]:
        found: dict[str, RawManifest] = {}
        missing: set[str] = set()
        for depth in range(_DEPTH):
            level -= found.keys() | missing
            if not level:
                break
            raws, gone = await self._level(repository, level, progress, check=depth > 0)
            found.update(raws)
            missing |= gone
            level = {
                child.digest
                for manifest in (await asyncio.to_thread(_manifests, raws)).values()
                if isinstance(manifest, Index)
                for child in manifest.children
            }
        return found, missing

    async def _level(
        self, repository: str, digests: set[str], progress: _Progress, *, check: bool
    ) -> tuple[dict[str, RawManifest], set[str]]:
        async with self._store.reading() as tx:
            cached = await tx.manifests.get(digests)
        progress.more(len(digests))

        async def one(digest: str) -> tuple[str, RawManifest | None]:
            try:
                if digest not in cached:
                    async with self._turns:
                        return digest, await self._client.manifest(repository, digest)
                if check:
                    async with self._turns:
                        await self._client.head(repository, digest)
                return digest, cached[digest]
            except NotFound:
                return digest, None
            finally:
                progress.one()

        results = dict(await bounded(one, digests))
        found = {digest: raw for digest, raw in results.items() if raw is not None}
        fresh = [raw for digest, raw in found.items() if digest not in cached]
        if fresh:
            async with self._store.transaction() as tx:
                await tx.manifests.keep(fresh)
        return found, {digest for digest, raw in results.items() if raw is None}

    async def configs(
        self,
        repository: str,
        images: Mapping[str, Image],
        on_progress: OnProgress | None = None,
    ) -> dict[str, Config]:
        """What the configs of these images (by digest) say; unreadable ones are left out."""
        progress = _Progress(on_progress)
        async with self._store.reading() as tx:
            known = await tx.manifests.configs(images)
        # Images of one build often share their config: it is read once for all of them.
        sharing: dict[str, list[str]] = {}
        for digest, image in images.items():
            if digest not in known:
                sharing.setdefault(image.config.digest, []).append(digest)
        progress.more(len(sharing))

        async def one(shared: str) -> tuple[str, dict[str, str] | None]:
            try:
                async with self._turns:
                    config = await self._client.config(repository, images[sharing[shared][0]])
            except (NotFound, Corrupt, ProtocolError, InvalidManifest):
                return shared, None
            finally:
                progress.one()
            created = config.created.isoformat() if config.created else ""
            return shared, {
                "created": created,
                "platform": str(config.platform) if config.platform else "",
            }

        read = await bounded(one, sharing)
        fresh = {
            digest: values
            for shared, values in read
            if values is not None
            for digest in sharing[shared]
        }
        if fresh:
            async with self._store.transaction() as tx:
                await tx.manifests.keep_configs(fresh)
        return {
            digest: Config(
                datetime.fromisoformat(values["created"]) if values["created"] else None,
                values["platform"],
            )
            for digest, values in {**known, **fresh}.items()
        }

    async def platform(self, repository: str, raw: RawManifest) -> Platform | None:
        """For which platform an image is; None for an index, or where nobody can tell."""
        image = parsed(raw)
        if not isinstance(image, Image):
            return None
        found = await self.configs(repository, {raw.digest: image})
        return _platform(found[raw.digest].platform) if raw.digest in found else None


def _manifests(raws: Mapping[str, RawManifest]) -> dict[str, Image | Index]:
    """Thousands take a second to read: done beside the event loop."""
    found = {digest: parsed(raw) for digest, raw in raws.items()}
    return {digest: manifest for digest, manifest in found.items() if manifest is not None}


def _platform(text: str) -> Platform | None:
    parts = text.split("/")
    return Platform(parts[0], parts[1], "/".join(parts[2:])) if len(parts) > 1 else None


def parsed(raw: RawManifest) -> Image | Index | None:
    """The manifest, or None for something that is neither image nor index."""
    try:
        return raw.parse()
    except InvalidManifest:
        # Something that is not an image (schema 1, say) can still be listed and untagged.
        return None


def valid_repository(name: str) -> str:
    """The name as the registry's grammar wants it; refuses anything else."""
    try:
        return Repository.parse(name)
    except ValueError as error:
        raise Refusal(str(error), "Names look like team/api.") from None
