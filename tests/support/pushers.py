"""Somebody who pushes image after image, and remembers what was answered 201."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx

from tests.support.images import Pushed, pull, push_image

# A client that could speak TLS takes much longer to make.
CLIENT: dict[str, Any] = {"trust_env": False, "verify": False, "timeout": 60.0}


class Pusher:
    """Pushes to `pushed` at a registry, each image with a layer that is being collected.

    `pushed` has all that were accepted, `refused` how many were not.
    """

    def __init__(self, url: str, shared: bytes, *, pause: float = 0.02) -> None:
        self._url = url
        self._shared = shared
        self._pause = pause
        self._stop = asyncio.Event()
        self.pushed: list[Pushed] = []
        self.refused = 0

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator["Pusher"]:
        """Pushing, in the background."""
        task = asyncio.create_task(self._push())
        try:
            yield self
        finally:
            self._stop.set()
            await task

    async def pushes(self, more: int = 1, seconds: float = 30.0) -> None:
        """Wait until so many more were accepted."""
        wanted = len(self.pushed) + more
        async with asyncio.timeout(seconds):
            while len(self.pushed) < wanted:
                await asyncio.sleep(0.02)

    async def check(self) -> None:
        """Pull every image that was accepted; fails at one that is broken."""
        for image in self.pushed:
            await pull(self._url, "pushed", image.digest, **CLIENT)

    async def _push(self) -> None:
        count = 0
        while not self._stop.is_set():
            count += 1
            layers = [self._shared, f"{self._url} {count}".encode()]
            try:
                self.pushed.append(
                    await push_image(self._url, "pushed", str(count), layers=layers, **CLIENT)
                )
            except (httpx.HTTPError, AssertionError):
                self.refused += 1
            await asyncio.sleep(self._pause)
