"""Connections that are never left half-way, also by work that is cancelled.

A statement that has begun goes on in the driver whether or not somebody still waits for it. If that
wait could be cut short, the connection would be lost with its transaction open, and would hold a
SQLite database against everybody until the garbage collector finds it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

T = TypeVar("T")


class PatientConnection(AsyncConnection):
    """A connection whose statements end before a cancellation is heard of."""

    __slots__ = ()

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        """As in the library; `scalar` and `scalars` use it, too."""
        return await to_the_end(super().execute(*args, **kwargs))

    async def exec_driver_sql(self, *args: Any, **kwargs: Any) -> Any:
        """As in the library."""
        return await to_the_end(super().exec_driver_sql(*args, **kwargs))

    async def run_sync(self, *args: Any, **kwargs: Any) -> Any:
        """As in the library."""
        return await to_the_end(super().run_sync(*args, **kwargs))

    async def rollback(self) -> None:
        """As in the library."""
        await to_the_end(super().rollback())


class PatientEngine(AsyncEngine):
    """An engine that hands out patient connections."""

    _connection_cls = PatientConnection


@contextlib.asynccontextmanager
async def unbroken(manager: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    """The same, but what begins is ended, and a cancellation waits until it is."""
    begun = asyncio.ensure_future(manager.__aenter__())
    try:
        entered = await asyncio.shield(begun)
    except asyncio.CancelledError as error:
        with contextlib.suppress(Exception):
            await to_the_end(begun)
            await to_the_end(manager.__aexit__(type(error), error, None))
        raise
    try:
        yield entered
    except BaseException as error:
        await to_the_end(manager.__aexit__(type(error), error, error.__traceback__))
        raise
    await to_the_end(manager.__aexit__(None, None, None))


async def to_the_end(work: Awaitable[T]) -> T:
    """Wait for it, whatever happens to us meanwhile; a cancellation comes after it."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return task.result()
