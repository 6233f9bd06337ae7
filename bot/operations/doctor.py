"""Finds what is broken in a registry, and changes nothing."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from bot.operations.bounded import AT_ONCE, bounded
from bot.operations.context import Context, Registry
from bot.operations.images import ImageReader
from bot.operations.looking import Blobs, Look
from bot.operations.stale import StaleUploads, stale
from bot.registry.errors import Forbidden, NotFound, ProtocolError
from bot.rules.health import Finding, in_order

_CONFIRM = 30.0  # seconds to ask again for what one repository has found


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to `doctor`.

    `looked` of `repositories` were looked at wholly; `refused` are those that could not be, with
    the reason. Where one repository was asked for, `checks` of `known_checks` says how far it
    was looked at. `unknown` counts manifests of types that the bot cannot read; `uploads` is None
    where the storage is out of reach.
    """

    registry: str
    host: str
    repository: str
    findings: tuple[Finding, ...] = ()
    looked: int = 0
    repositories: int = 0
    refused: tuple[tuple[str, str], ...] = ()
    checks: int = 0
    known_checks: int = 0
    tags: int = 0
    manifests: int = 0
    blobs: int = 0
    unknown: int = 0
    uploads: StaleUploads | None = None
    seconds: float = 0.0

    @property
    def is_whole(self) -> bool:
        """Whether there was time for everything."""
        return self.looked + len(self.refused) == self.repositories


class _Round:
    """One run over one or all repositories."""

    def __init__(self, ctx: Context, registry: Registry) -> None:
        self.looks: list[Look] = []
        self.refused: list[tuple[str, str]] = []
        self.turns = asyncio.Semaphore(AT_ONCE)
        self.blobs = Blobs(registry.client, self.turns)
        self._ctx = ctx
        self._registry = registry
        self._client = registry.client

    async def one(self, repository: str) -> bool:
        """Look at one repository; what was found stays, also where the time was too short.

        Returns whether it was not.
        """
        look = self._look(repository)
        self.looks.append(look)
        whole = False
        with contextlib.suppress(_Over):
            async with _within(self._ctx.timing.doctor_one):
                whole = await self._run(look)
        if look.is_empty and repository not in await self._client.repositories():
            reader = ImageReader(self._ctx.store, self._registry)
            raise await reader.unknown_repository(repository)
        with contextlib.suppress(_Over):
            async with _within(_CONFIRM):
                await look.confirm()
        return whole

    async def all(self, repositories: Sequence[str]) -> None:
        """Look at as many as there is time for; one that was not read to its end counts for none.

        One that the registry does not show us holds up no other.
        """

        async def one(repository: str) -> None:
            look = self._look(repository)
            try:
                await self._run(look)
                await look.confirm()
            except (Forbidden, ProtocolError) as error:
                self.refused.append((repository, error.sentence))
            else:
                self.looks.append(look)

        with contextlib.suppress(_Over):
            async with _within(self._ctx.timing.doctor):
                await bounded(one, repositories)

    def _look(self, repository: str) -> Look:
        return Look(self._client, self.turns, self.blobs, repository)

    async def _run(self, look: Look) -> bool:
        try:
            await look.run()
        except NotFound:
            # Listed all the same: layers were pushed to it once, and never a manifest.
            look.is_empty = True
        return True


class _Over(Exception):
    """The time that there was is over."""


@contextlib.asynccontextmanager
async def _within(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds) as limit:
            yield
    except TimeoutError:
        if limit.expired():
            raise _Over from None
        raise


async def doctor(ctx: Context, registry: Registry, repository: str = "") -> Report:
    """Look at one repository, or at all as far as there is time.

    Raises
    ------
    Refusal : there is no such repository.
    RegistryError : the registry does not answer.
    """
    began = time.monotonic()
    seen = _Round(ctx, registry)
    if repository:
        names = [repository]
        looked = int(await seen.one(repository))
    else:
        names = await registry.client.repositories()
        await seen.all(names)
        looked = len(seen.looks)
    return Report(
        registry=registry.name,
        host=registry.client.url.split("://", 1)[-1],
        repository=repository,
        findings=in_order(finding for look in seen.looks for finding in look.findings()),
        looked=looked,
        repositories=len(names),
        refused=tuple(sorted(seen.refused)),
        checks=sum(look.checks for look in seen.looks),
        known_checks=sum(look.known_checks for look in seen.looks),
        tags=sum(look.tags for look in seen.looks),
        manifests=sum(look.manifests for look in seen.looks),
        blobs=seen.blobs.count,
        unknown=sum(len(look.unknown) for look in seen.looks),
        uploads=await stale(registry, repository),
        seconds=time.monotonic() - began,
    )
