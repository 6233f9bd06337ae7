"""Proves by uploads whether the registry takes pushes: on every way to its storage."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection

from bot.gc.executor import Fence, unfenced
from bot.operations.context import FALLBACK_PROBE, Registry
from bot.registry.client import RegistryClient, UploadSupport
from bot.registry.errors import NotFound, RegistryError, StorageFull, Unreachable

_PAUSE = 0.2
_KNOWN = 3
_LOOKED_THROUGH = 20  # many repositories may be empty

Disturbance = Callable[[], Awaitable[str]]
_ANOTHER_WAY = (
    "It is another way to the same storage, and a collection beside it would break what is pushed "
    "there: what switches pushes off must switch this one off, too."
)


async def _undisturbed() -> str:
    return ""


class ProofFailed(Exception):
    """The registry does not do what it was switched to."""

    def __init__(self, sentence: str, hint: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint


class Proof:
    """Upload probes over fresh connections.

    Parameters
    ----------
    registry : its `writers` are all asked, each time.
    patience : seconds for a freshly started registry to behave.
    offline : "refused" then means that nobody listens.
    avoid : repositories that are not tried; an upload would bring their directories back.
    fence : awaited before each upload.
    """

    def __init__(
        self,
        registry: Registry,
        patience: float,
        *,
        offline: bool,
        avoid: Collection[str] = (),
        fence: Fence = unfenced,
    ) -> None:
        self._registry = registry
        self._patience = patience
        self._offline = offline
        self._repository = registry.probe_repository
        self._avoid = frozenset(avoid)
        self._fence = fence
        self._known: list[tuple[str, str]] = []

    async def accepted(self) -> None:
        """Every way in takes an upload (which is cancelled again).

        Raises
        ------
        ProofFailed : one of them still refuses when patience ends.
        """
        await self._find_repository()
        for writer in self._registry.writers:
            await self._until(
                lambda w=writer: self._takes(w),  # type: ignore[misc]
                f"{writer.url} does not accept uploads",
                "Is the bot's account allowed to push to probe_repository, and is the registry "
                "writable? It is not while another program is collecting.",
            )

    async def refused(self, disturbance: Disturbance = _undisturbed) -> None:
        """No way in takes an upload.

        `disturbance` says what went wrong with the switch: there is no use in waiting then.

        Raises
        ------
        ProofFailed : one of them still accepts, or answers something else, when patience ends.
        """
        for writer in self._registry.writers:
            await self._until(
                lambda w=writer: self._refuses(w),  # type: ignore[misc]
                f"{writer.url} still accepts uploads after the switch",
                _ANOTHER_WAY
                if writer is not self._registry.client
                else "start_read_only must really make the registry read-only: "
                'REGISTRY_STORAGE_MAINTENANCE_READONLY={"enabled":true}; the variable that ends '
                "in _ENABLED is ignored by the registry.",
                disturbance,
            )

    async def still_refused(self) -> bool:
        """Whether no way in takes an upload at this moment. Silence is not a breach."""
        for writer in self._registry.writers:
            try:
                if await self._takes(writer):
                    return False
            except RegistryError:
                continue
        return True

    async def remember(self) -> None:
        """Choose a few images of the registry, before it is switched, to know its storage by."""
        self._known = []
        for repository in (await self._registry.client.repositories())[:_LOOKED_THROUGH]:
            try:
                tags = await self._registry.client.tags(repository)
                if tags:
                    found = await self._registry.client.head(repository, tags[-1])
                    self._known.append((repository, found.digest))
            except NotFound:
                continue
            if len(self._known) == _KNOWN:
                return

    async def same_storage(self) -> None:
        """The registry that was switched on read-only has the images that were chosen before.

        One of them is enough, as others may be deleted at any time. Offline nobody can be asked.

        Raises
        ------
        ProofFailed : it has none of them: it serves another storage.
        """
        if self._offline or not self._known:
            return
        for repository, digest in self._known:
            try:
                await self._registry.client.manifest(repository, digest)
            except NotFound:
                continue
            return
        repository, digest = self._known[0]
        raise ProofFailed(
            f"The registry that was started read-only does not know {repository}@{digest[:19]}, "
            "which was there before the switch: it serves another storage.",
            "What starts it read-only must use the same configuration and volumes.",
        )

    async def _until(
        self,
        holds: Callable[[], Awaitable[bool]],
        sentence: str,
        hint: str,
        disturbance: Disturbance = _undisturbed,
    ) -> None:
        end = time.monotonic() + self._patience
        while True:
            answer = ""
            try:
                if await holds():
                    return
            except RegistryError as error:
                answer = f" ({error.sentence})"
            if disturbed := await disturbance():
                raise ProofFailed(f"{sentence}: {disturbed}.", "")
            if time.monotonic() >= end:
                raise ProofFailed(f"{sentence}{answer}.", hint)
            await asyncio.sleep(_PAUSE)

    async def _takes(self, writer: RegistryClient) -> bool:
        await self._fence()
        try:
            return await writer.probe_upload(self._repository) is UploadSupport.ACCEPTED
        except StorageFull:
            # It gets as far as writing, which maintenance mode never does. A full disk is what
            # people collect for, and a collection that finds nothing must come to its end, too.
            return True

    async def _refuses(self, writer: RegistryClient) -> bool:
        if not self._offline:
            await self._fence()
            return await writer.probe_upload(self._repository) is UploadSupport.READ_ONLY
        try:
            await writer.ping()
        except Unreachable:
            return True
        return False

    async def _find_repository(self) -> None:
        if self._repository:
            return
        names = await self._registry.client.repositories()
        usable = (name for name in names if name not in self._avoid)
        self._repository = next(usable, FALLBACK_PROBE)
