"""The terminal that `registry-bot run` speaks to."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TextIO


@dataclass(frozen=True, slots=True)
class Screen:
    """Where answers and refusals go, and how somebody is asked.

    `ask` puts a yes-or-no question, until the event is set, which means no; None where nobody is
    there to answer it. `bold` says whether answers may be more than text.
    """

    tell: Callable[[str], None]
    warn: Callable[[str], None]
    ask: Callable[[str, asyncio.Event], Awaitable[bool | None]]
    bold: bool = False


def standard(*, yes: bool) -> Screen:
    """Standard output, error and input.

    Parameters
    ----------
    yes : every question has been answered with yes beforehand.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A name that this terminal cannot show must not end the program half-way.
            stream.reconfigure(errors="replace")
    return Screen(
        lambda text: _print(text, sys.stdout),
        lambda text: _print(text, sys.stderr),
        _yes if yes else _ask,
        bold=sys.stdout.isatty(),
    )


def _print(text: str, stream: TextIO) -> None:
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        # Whoever read the answer has gone (`| head`); what was begun goes on.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


async def _yes(_: str, __: asyncio.Event) -> bool:
    return True


async def _ask(question: str, stop: asyncio.Event) -> bool | None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    print(f"{question} [y/N] ", end="", flush=True)  # noqa: T201
    loop = asyncio.get_running_loop()
    typed, stopping = asyncio.Event(), asyncio.create_task(stop.wait())
    # Not in a thread: one that reads would keep the program from ending.
    loop.add_reader(sys.stdin, typed.set)
    typing = asyncio.create_task(typed.wait())
    try:
        await asyncio.wait([typing, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        loop.remove_reader(sys.stdin)
        for task in (typing, stopping):
            task.cancel()
    if stop.is_set():
        print()  # noqa: T201
        return False
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
