"""Doing the same for many things, a few at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 4
"""Requests of one reader that are under way together.

A client lets eight through, first come first served: whoever queued thousands of them at once
would make every other command wait until all are done.
"""


async def bounded(
    work: Callable[[T], Awaitable[R]], things: Iterable[T], at_once: int = AT_ONCE
) -> list[R]:
    """The results of `work` for each of `things`, in their order; at most `at_once` under way.

    The first exception is raised, after what was under way has been cancelled.
    """
    results: dict[int, R] = {}
    todo = enumerate(things)

    async def take() -> None:
        for number, thing in todo:
            results[number] = await work(thing)

    takers = [asyncio.create_task(take()) for _ in range(at_once)]
    try:
        await asyncio.gather(*takers)
    finally:
        for taker in takers:
            taker.cancel()
        await asyncio.gather(*takers, return_exceptions=True)
    return [results[number] for number in sorted(results)]
