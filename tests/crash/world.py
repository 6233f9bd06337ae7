"""One team, one registry, one database and two bots on it, and what can be done to them."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.crash.database import Database
from tests.crash.replicas import Nursery, Replica
from tests.crash.schedule import LAYERS, Schedule
from tests.support.faults import ALWAYS
from tests.support.images import Pushed, push_image
from tests.support.postgres import Postgres
from tests.support.proxy import Proxy
from tests.support.team import Team

_RULES = """
[[rules]]
name = "two leads"
actions = ["delete", "purge"]
repositories = ["team/**"]
requesters = ["anyone"]
approval = "required"
steps = [{ approvers = ["leads"], approvals_needed = 2 }]
"""
_STARTING = 20.0  # seconds until a bot that nothing disturbs is ready, on a busy machine
_EVERYTHING = 1_000_000  # calls: more than there are in any outage


@dataclass(frozen=True, slots=True)
class Push:
    """An image that was pushed by somebody else, and the seconds (since the epoch) it took."""

    repository: str
    tag: str
    image: Pushed
    began: float
    ended: float


class World:
    """What a schedule is played on. `images` are those of the beginning, by repository and tag."""

    def __init__(self, team: Team, database: Database, plan: Schedule) -> None:
        self.team = team
        self.slack = team.slack
        self.database = database
        self.plan = plan
        self.images: dict[tuple[str, str], Pushed] = {}
        self.pushes: list[Push] = []
        self.refused_pushes = 0
        self.replicas: list[Replica] = []
        self._dead = asyncio.Lock()
        self.hooks: list[str] = []  # every response_url that was given out, oldest first
        issue = self.slack.hooks.issue

        def noted(*args: Any) -> str:
            self.hooks.append(issue(*args))
            return self.hooks[-1]

        self.slack.hooks.issue = noted  # type: ignore[method-assign]

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, directory: Path, nursery: Nursery, postgres: Postgres | None, plan: Schedule
    ) -> AsyncIterator["World"]:
        """Start everything; in the end everything is stopped."""
        async with contextlib.AsyncExitStack() as stack:
            team = await stack.enter_async_context(Team.open(directory))
            database = Database(postgres, directory)
            team.store_url = database.url
            team.rules = _RULES
            team.collect = team.registry.slow_collect(
                str(plan.collect), "--log", str(directory / "collections")
            )
            world = cls(team, database, plan)
            await world._fill()
            for number in range(2):
                line = await stack.enter_async_context(Proxy.open(team.registry.url))
                world.replicas.append(Replica(nursery, world._order(number, line.url), line))
            stack.callback(world._end)
            for replica in world.replicas:
                stack.push_async_callback(_cancelled, asyncio.create_task(replica.keep()))
            world._pusher = asyncio.create_task(world._push())
            stack.push_async_callback(world.stop_pushing)
            async with asyncio.timeout(_STARTING):
                while not all(replica.is_ready for replica in world.replicas):
                    await asyncio.sleep(0.02)
            yield world

    async def stop_pushing(self) -> None:
        """Nothing is pushed any more."""
        await _cancelled(self._pusher)

    def _order(self, number: int, url: str) -> dict[str, Any]:
        self.team.registry_url = url
        extra = f'[defaults]\nundo_window = "{self.plan.window}"\n'
        own = self.team.directory / f"bot-{number}"
        own.mkdir()
        settings = self.team.write_settings(extra)
        return {
            "config": str(settings.replace(own / settings.name)),
            "directory": str(self.team.directory),
            "environ": self.team.environ,
            "log": str(own / "log"),
            "ready": str(own / "ready"),
        }

    def _end(self) -> None:
        for replica in self.replicas:
            replica.end()

    async def _fill(self) -> None:
        for repository, tags in LAYERS.items():
            for tag, name in tags.items():
                self.images[repository, tag] = await push_image(
                    self.team.registry.url, repository, tag, layers=_layers(name)
                )

    async def _push(self) -> None:
        """Push image after image beside everything, with layers that others have or had."""
        count, names = 0, sorted({name for tags in LAYERS.values() for name in tags.values()})
        url = self.team.registry.url
        while True:
            count += 1
            layers = [*_layers(names[count % len(names)]), f"pushed {count}".encode()]
            repository, tag, began = "pushed/all", f"p{count}", time.time()
            try:
                image = await push_image(url, repository, tag, layers=layers)
            except Exception:
                self.refused_pushes += 1
            else:
                self.pushes.append(Push(repository, tag, image, began, time.time()))
            await asyncio.sleep(0.5)

    def collections(self) -> list[tuple[str, float]]:
        """Beginnings and ends of collections that were no dry runs, with their times."""
        log = self.team.directory / "collections"
        lines = log.read_text().splitlines() if log.exists() else []
        return [(line.split()[0], float(line.split()[1])) for line in lines]

    # What breaks

    async def kill(self, number: int, seconds: float) -> None:
        """`kill -9`; its supervisor needs some seconds."""
        replica = self.replicas[number]
        replica.down += 1
        replica.send(signal.SIGKILL)
        await asyncio.sleep(seconds)
        replica.down -= 1

    async def freeze(self, number: int, seconds: float) -> None:
        """Stop it in the middle of whatever it does, and let it go on as if nothing had been."""
        replica = self.replicas[number]
        replica.send(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        replica.send(signal.SIGCONT)

    async def break_slack(self, how: str, seconds: float) -> None:
        """Slack answers with errors and takes no connections, or cuts those that there are."""
        self.slack.faults.drop_sockets()
        if how != "sockets":
            status = 503 if how == "503" else 0
            self.slack.faults.fail("*", times=_EVERYTHING, status=status)
            await asyncio.sleep(seconds)
            self.slack.faults.clear()

    async def break_registry(self, how: str, seconds: float) -> None:
        """The registry dies and is started again, or something before it gives no way."""
        if how == "dead":
            async with self._dead:
                await asyncio.to_thread(self.team.registry.crash)
                await asyncio.sleep(seconds)
                await asyncio.to_thread(self.team.registry.revive)
            return
        lines = [replica.line for replica in self.replicas]
        for line in lines if how == "503" else ():
            line.fail("", 503, times=ALWAYS)
        for line in lines if how == "cut" else ():
            line.drop("", times=ALWAYS)
        await asyncio.sleep(seconds)
        for line in lines:
            line.heal()

    async def heal(self) -> None:
        """Nothing is broken any more, and everybody is there."""
        self.slack.faults.clear()
        for replica in self.replicas:
            replica.line.heal()
            replica.down = 0
            replica.send(signal.SIGCONT)
        await asyncio.to_thread(self.team.registry.revive)


def _layers(name: str) -> list[bytes]:
    return [b"everybody's base " * 500, f"the image {name} ".encode() * 200]


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
