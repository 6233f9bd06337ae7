"""Looks at one repository: whether everything that is listed can be pulled."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from bot.operations.bounded import bounded
from bot.operations.images import parsed
from bot.registry.client import BlobState, RegistryClient
from bot.registry.errors import Corrupt, NotFound, ProtocolError
from bot.registry.manifest import Descriptor, Image, Index, RawManifest
from bot.registry.reference import signed_digest
from bot.rules.health import Fault, Finding, Seen, findings
from bot.rules.plan import Snapshot

_T = TypeVar("_T")
_DEPTH = 8  # indexes in indexes; deeper is somebody playing

_FAULTS = {
    BlobState.WHOLE: None,
    BlobState.MISSING: Fault.MISSING_BLOB,
    BlobState.STALE: Fault.STALE_CACHE,
    BlobState.SHORT: Fault.SHORT_BLOB,
    BlobState.DAMAGED: Fault.DAMAGED_BLOB,
}


class Blobs:
    """The layers and configs of one registry.

    Repositories share their bytes, so the bytes of each are looked at once, wherever it was met
    first; in other repositories it is only asked whether the blob is linked there.

    Parameters
    ----------
    turns : bounds the requests under way at once.
    """

    def __init__(self, client: RegistryClient, turns: asyncio.Semaphore) -> None:
        self._client = client
        self._turns = turns
        self._known: dict[str, Fault | None] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    @property
    def count(self) -> int:
        """How many different ones were looked at."""
        return len(self._known)

    async def fault(self, repository: str, blob: Descriptor) -> Fault | None:
        """What is wrong with a blob of a repository; None if nothing is."""
        async with self._locks.setdefault(blob.digest, asyncio.Lock()):
            if blob.digest not in self._known:
                fault = await self._examine(repository, blob)
                self._known[blob.digest] = fault
                return fault
            known = self._known[blob.digest]
            if known is None:
                return await self._linked(repository, blob)
            if known in {Fault.MISSING_BLOB, Fault.UNREADABLE_BLOB}:
                # Perhaps only the link of that repository was lost.
                fault = await self._examine(repository, blob)
                self._known[blob.digest] = fault
                return fault
            return known

    async def _examine(self, repository: str, blob: Descriptor) -> Fault | None:
        try:
            async with self._turns:
                return _FAULTS[await self._client.examine_blob(repository, blob)]
        except ProtocolError:
            return Fault.UNREADABLE_BLOB

    async def _linked(self, repository: str, blob: Descriptor) -> Fault | None:
        try:
            async with self._turns:
                linked = await self._client.has_blob(repository, blob.digest)
        except ProtocolError:
            return Fault.UNREADABLE_BLOB
        return None if linked else Fault.MISSING_BLOB


class Look:
    """One repository. `run` reads it, `confirm` drops what has changed meanwhile.

    What was found so far can be asked for at any time, also after `run` was cancelled.
    `checks` counts what has been read, `known_checks` what is known to be there to read;
    `is_empty` says that no tag is listed.
    """

    def __init__(
        self, client: RegistryClient, turns: asyncio.Semaphore, blobs: Blobs, repository: str
    ) -> None:
        self.repository = repository
        self.is_empty = False
        self.checks = self.known_checks = 0
        self.unknown: set[str] = set()
        self._client = client
        self._turns = turns
        self._blobs = blobs
        self._tags: dict[str, str] = {}
        self._manifests: dict[str, Image | Index] = {}
        self._missing: set[str] = set()
        self._ghosts: set[str] = set()
        self._unreadable: dict[str, str] = {}
        self._faults: dict[str, Fault] = {}
        self._unsigned: set[str] = set()

    @property
    def tags(self) -> int:
        """How many tags are listed and lead somewhere."""
        return len(self._tags)

    @property
    def manifests(self) -> int:
        """How many different manifests could be read."""
        return len(self._manifests)

    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, as far as it was looked."""
        if self.is_empty:
            return (Finding(Fault.EMPTY_REPOSITORY, self.repository),)
        snapshot = Snapshot(
            self.repository, self._tags, self._manifests, {}, frozenset(self._missing)
        )
        ghosts, unsigned = frozenset(self._ghosts), frozenset(self._unsigned)
        return findings(Seen(snapshot, ghosts, self._unreadable, self._faults, unsigned))

    async def run(self) -> None:
        """Read tags, manifests, what is below them, and their blobs.

        Raises
        ------
        NotFound : there is no such repository.
        RegistryError : the registry does not answer, or does not let us look.
        """
        tags = await self._listed()
        self.is_empty = not tags
        await self._each(self._tag, tags)
        await self._below()
        signatures = [tag for tag in self._tags if signed_digest(tag) is not None]
        await self._each(self._signature, signatures)
        images = [m for m in self._manifests.values() if isinstance(m, Image)]
        blobs = {blob.digest: blob for image in images for blob in image.blobs}
        await self._each(self._blob, blobs.values())

    async def confirm(self) -> None:
        """Ask again for the tags that something is wrong with; forget those that have moved."""
        affected = {tag for finding in self.findings() for tag in finding.tags}
        if not affected:
            return
        try:
            listed = set(await self._listed())
        except NotFound:
            listed = set()

        async def again(tag: str) -> None:
            if tag not in listed or not await self._is_as_before(tag):
                self._forget(tag)

        await bounded(again, affected)

    async def _is_as_before(self, tag: str) -> bool:
        try:
            async with self._turns:
                found = await self._client.head(self.repository, tag)
        except NotFound:
            return tag in self._ghosts
        except (Corrupt, ProtocolError):
            return tag in self._unreadable or tag in self._tags
        return self._tags.get(tag) == found.digest

    def _forget(self, tag: str) -> None:
        self._tags.pop(tag, None)
        self._ghosts.discard(tag)
        self._unsigned.discard(tag)
        self._unreadable.pop(tag, None)

    async def _each(self, work: Callable[[_T], Awaitable[None]], things: Iterable[_T]) -> None:
        wanted = list(things)
        self.known_checks += len(wanted)

        async def one(thing: _T) -> None:
            await work(thing)
            self.checks += 1

        await bounded(one, wanted)

    async def _listed(self) -> list[str]:
        async with self._turns:
            return await self._client.tags(self.repository)

    async def _tag(self, tag: str) -> None:
        try:
            async with self._turns:
                raw = await self._client.manifest(self.repository, tag)
        except NotFound:
            self._ghosts.add(tag)
        except (Corrupt, ProtocolError) as error:
            await self._unreadable_tag(tag, error)
        else:
            self._tags[tag] = raw.digest
            self._keep(raw)

    async def _unreadable_tag(self, tag: str, error: Corrupt | ProtocolError) -> None:
        """By its digest where that can be learned: several tags may be on one bad manifest."""
        try:
            async with self._turns:
                digest = (await self._client.head(self.repository, tag)).digest
        except (NotFound, Corrupt, ProtocolError):
            self._unreadable[tag] = error.sentence
        else:
            self._tags[tag] = digest
            self._unreadable[digest] = error.sentence

    async def _below(self) -> None:
        for _ in range(_DEPTH):
            indexes = [m for m in self._manifests.values() if isinstance(m, Index)]
            listed = {child.digest for index in indexes for child in index.children}
            known = self._manifests.keys() | self._missing | self._unreadable.keys() | self.unknown
            if not (level := listed - known):
                return
            await self._each(self._child, level)

    async def _child(self, digest: str) -> None:
        try:
            async with self._turns:
                raw = await self._client.manifest(self.repository, digest)
        except NotFound:
            self._missing.add(digest)
        except (Corrupt, ProtocolError) as error:
            self._unreadable[digest] = error.sentence
        else:
            self._keep(raw)

    def _keep(self, raw: RawManifest) -> None:
        manifest = parsed(raw)
        if manifest is None:
            self.unknown.add(raw.digest)
        else:
            self._manifests[raw.digest] = manifest

    async def _signature(self, tag: str) -> None:
        signed = signed_digest(tag)
        if signed is None or signed in self._manifests:
            return
        try:
            async with self._turns:
                await self._client.head(self.repository, signed)
        except NotFound:
            self._unsigned.add(tag)
        except (Corrupt, ProtocolError):
            return  # it is there, and what is wrong with it is told elsewhere

    async def _blob(self, blob: Descriptor) -> None:
        fault = await self._blobs.fault(self.repository, blob)
        if fault is not None:
            self._faults[blob.digest] = fault
