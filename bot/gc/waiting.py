"""Waiting until no collection runs."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from bot.gc.errors import CommandFailed


async def until_gone(
    collecting: Callable[[], Awaitable[bool]], timeout: float, slowest: float
) -> bool:
    """Ask until the answer is no; False if it is not within `timeout` seconds.

    `slowest` is the longest pause between two questions. A question that fails proves nothing.
    """
    deadline = time.monotonic() + timeout
    pause = 0.02
    while True:
        with contextlib.suppress(CommandFailed):  # not knowing is not gone
            if not await collecting():
                return True
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, slowest)
