"""How a collection begins and ends, whichever executor runs it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from bot.gc.errors import CollectionAborted, CommandFailed
from bot.gc.executor import Executor, Fence
from bot.gc.following import AbortAsked, TimedOut
from bot.gc.words import aborted, already_running, timed_out


async def may_begin(executor: Executor, abort: asyncio.Event | None) -> None:
    """Refuse a collection that must not begin.

    Raises CollectionAborted where its end is asked for already, CommandFailed where the settings
    do not allow it or another one runs.
    """
    if abort is not None and abort.is_set():
        raise CollectionAborted("The collection was aborted before it began.")
    if (reason := executor.refusal()) is not None:
        raise CommandFailed(reason, "Change the registry's gc settings.")
    if await executor.collecting():
        raise already_running()


@contextlib.asynccontextmanager
async def killed_unless_over(
    kill: Callable[[], Awaitable[bool]], limit: float, fence: Fence
) -> AsyncIterator[None]:
    """Kill the collection that is followed inside, whatever ends the following too early.

    Only cancelling lets it go on, for a successor, or a `fence` that raises: then it is the
    successor's. `kill` says whether the collection has ended; `limit` is its deadline in seconds.
    Raises CollectionAborted and CommandFailed in their words.
    """

    async def killed() -> bool:
        await fence()
        return await kill()

    try:
        yield
    except asyncio.CancelledError:
        raise
    except AbortAsked:
        raise aborted(gone=await killed()) from None
    except TimedOut:
        raise timed_out(limit, gone=await killed()) from None
    except BaseException:
        await killed()
        raise
