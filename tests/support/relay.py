"""Stands before an engine's socket, and can be gone, closed or silent while the engine lives."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self


class Relay:
    """Passes on what comes to the socket `path`."""

    def __init__(self, path: Path, target: Path) -> None:
        self._path = path
        self._target = target
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()
        self._silent = False

    @property
    def address(self) -> str:
        """As the settings name it."""
        return f"unix://{self._path}"

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, path: Path, target: Path) -> AsyncIterator[Self]:
        relay = cls(path, target)
        await relay.come_back()
        try:
            yield relay
        finally:
            await relay.vanish()

    async def come_back(self) -> None:
        """Listen, and pass everything on."""
        await self.vanish()
        self._silent = False
        self._server = await asyncio.start_unix_server(self._take, self._path)

    async def vanish(self) -> None:
        """Cut every connection; the socket is gone."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def refuse(self) -> None:
        """Cut every connection; nobody listens on the socket."""
        await self.vanish()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(self._path))

    async def fall_silent(self) -> None:
        """Take connections, and never answer."""
        self._silent = True

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)
        try:
            if self._silent:
                await asyncio.Event().wait()
            there, back = await asyncio.open_unix_connection(self._target)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(_copy(reader, back))
                    both.create_task(_copy(there, writer))
            finally:
                back.close()
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while piece := await source.read(1 << 16):
        sink.write(piece)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
