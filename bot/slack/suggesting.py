"""What menus offer while somebody types: the names that are really in the registry, in time.

Slack waits three seconds for the choices and shows an error afterwards. So what was read is kept
for a short while, what takes longer goes on in the background for the next keystroke, and what
cannot be had is said in the list itself. Nobody sees a name here whom a command would not tell.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog

from bot.operations import browse
from bot.operations.browse import TagRow
from bot.operations.context import Context, Registry
from bot.operations.errors import Refusal
from bot.registry.errors import RegistryError
from bot.registry.reference import match_tag, signed_digest
from bot.slack import form, payloads
from bot.slack.payloads import Body
from bot.slack.people import People, Where
from bot.slack.views import suggestions as view

log = structlog.get_logger()

Option = Mapping[str, Any]

_ALL_SECONDS = 2.4
_SIZES_SECONDS = 1.2  # then tags are offered by their names alone
_LIFE = 30.0
_FAILED_LIFE = 2.0
_LONGEST = 20.0
_KEPT = 200
_MOST = 100
_SIZED = 50


class Remembered:
    """Answers that are read once and believed for a short while.

    Whoever asks while an answer is being read waits for the same one. A reading goes on when
    nobody waits any more, for at most 20 seconds.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], tuple[float, asyncio.Task[Any]]] = {}

    async def get(self, key: tuple[str, ...], read: Callable[[], Awaitable[Any]]) -> Any:
        """The answer for a key; raises what reading it raised."""
        at, task = self._known.get(key, (0.0, None))
        if task is None or (task.done() and time.monotonic() - at > self._life(task)):
            task = asyncio.create_task(self._read(read))
            self._make_room()
            self._known[key] = (time.monotonic(), task)
            task.add_done_callback(lambda done: self._arrived(key, done))
        return await asyncio.shield(task)

    async def _read(self, read: Callable[[], Awaitable[Any]]) -> Any:
        async with asyncio.timeout(_LONGEST):
            return await read()

    def _life(self, task: asyncio.Task[Any]) -> float:
        failed = task.cancelled() or task.exception() is not None
        return _FAILED_LIFE if failed else _LIFE

    def _arrived(self, key: tuple[str, ...], task: asyncio.Task[Any]) -> None:
        if not task.cancelled():
            task.exception()  # Somebody has seen it, even where nobody waits any more.
        if key in self._known and self._known[key][1] is task:
            self._known[key] = (time.monotonic(), task)

    def _make_room(self) -> None:
        while len(self._known) >= _KEPT:
            oldest = next(iter(self._known))
            self._known.pop(oldest)[1].cancel()

    async def close(self) -> None:
        """Give up what is still being read."""
        tasks = [task for _, task in self._known.values()]
        self._known.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Suggestions:
    """The choices of the form's menus.

    Parameters
    ----------
    ctx : the rooms.
    people : says who may see names.
    """

    def __init__(self, ctx: Context, people: People) -> None:
        self._ctx = ctx
        self._people = people
        self._read = Remembered()

    async def close(self) -> None:
        """Stop reading."""
        await self._read.close()

    async def __call__(self, body: Body) -> Sequence[Option]:
        """The choices for what was typed so far; never raises, and answers in time."""
        try:
            async with asyncio.timeout(_ALL_SECONDS):
                return await self._suggest(body)
        except TimeoutError:
            return [view.says("The registry is slow. Type on, or wait a moment.")]
        except Refusal as refusal:
            log.info("nothing suggested", why=refusal.sentence)
            return []
        except RegistryError as error:
            return [view.says(error.sentence)]
        except Exception:
            log.exception("no suggestions")
            return []

    async def _suggest(self, body: Body) -> Sequence[Option]:
        row = payloads.suggestion(body)
        kept = row["metadata"]
        channel = str(row["channel"])
        await self._people.actor(Where(row["user"], row["team"], channel), changes=False)
        registry = self._ctx.registry_for(channel, kept.get("registry") or None)
        if row["action"] == form.REPOSITORY:
            return await self._repositories(registry, row["value"].strip())
        if row["action"] == form.TAGS:
            if not kept.get("repository"):
                return [view.says("Choose the repository first.")]
            return await self._tags(registry, kept["repository"], row["value"].strip())
        return []

    async def _repositories(self, registry: Registry, typed: str) -> Sequence[Option]:
        names = await self._read.get((registry.name,), registry.client.repositories)
        return [view.repository(name) for name in matching(names, typed)[:_MOST]]

    async def _tags(self, registry: Registry, repository: str, typed: str) -> Sequence[Option]:
        key = (registry.name, repository)
        names = await self._read.get(key, lambda: registry.client.tags(repository))
        plain = view.newest_first([name for name in names if signed_digest(name) is None])
        if any(sign in typed for sign in "*?["):
            found = [name for name in plain if match_tag(typed, name)]
            offered = [view.pattern(typed, len(found))] if found else []
        else:
            found, offered = matching(plain, typed), []
        found = found[: _MOST - len(offered)]
        rows = await self._sizes(registry, repository, found[:_SIZED])
        return [*offered, *(view.tag(name, rows.get(name), time.time()) for name in found)]

    async def _sizes(
        self, registry: Registry, repository: str, names: Sequence[str]
    ) -> Mapping[str, TagRow]:
        """What is known about these tags in the little time there is."""

        async def read() -> Mapping[str, TagRow]:
            rows = await browse.some_tags(self._ctx, registry, repository, names)
            return {row.tag: row for row in rows}

        try:
            async with asyncio.timeout(_SIZES_SECONDS):
                found = await self._read.get((registry.name, repository, *names), read)
        except (TimeoutError, Refusal, RegistryError):
            return {}
        return dict(found)


def matching(names: Sequence[str], typed: str) -> list[str]:
    """The names with `typed` in them; those that begin with it, or a part of them, first."""
    wanted = typed.lower()
    fitting = [name for name in names if wanted in name.lower()]
    return sorted(fitting, key=lambda name: _distance(name.lower(), wanted))


def _distance(name: str, wanted: str) -> int:
    if name.startswith(wanted):
        return 0
    return 1 if any(part.startswith(wanted) for part in name.split("/")) else 2
