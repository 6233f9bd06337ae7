"""The switch of a container: a read-only clone takes the original's place, and gives it back.

What is true is asked from the engine each time, never remembered: whoever comes after a crash does
the same as who was there before. The clones of a job have fixed names and tell whose they are.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bot.gc.docker.clone import COLLECTOR, DRY_RUN, ORIGINAL, Clone, Owner
from bot.gc.docker.engine import Engine
from bot.gc.docker.errors import EngineRefused, NotThere
from bot.gc.docker.shapes import Inspected
from bot.gc.docker.site import Lookout, Site, is_up, role
from bot.gc.errors import CommandFailed
from bot.gc.executor import Fence

_TOLD = 300


@dataclass(frozen=True, slots=True)
class Switched:
    """What was stopped, and what stands in for it ("" in offline mode)."""

    original: str
    started_at: str
    clone: str


class Switching:
    """Stops and starts one registry's container. Each act is preceded by the fence."""

    def __init__(self, engine: Engine, lookout: Lookout, container: str) -> None:
        self._engine = engine
        self._lookout = lookout
        self._container = container

    async def off(self, site: Site, clone: Clone, fence: Fence, *, serves: bool) -> Switched:
        """Stop the original, and start its clone unless nothing is to serve.

        The clone is made first: whatever it cannot be made of fails while pushes still go on, and
        from then on it tells a successor that the original may be about to stop.
        """
        made = await self.make(clone, fence)
        await fence()
        await self._engine.stop(site.id, self._container, site.patience)
        started_at = str(site.original["State"]["StartedAt"])
        if not serves:
            return Switched(site.id, started_at, "")
        await fence()
        await self._engine.start(made, "the read-only clone")
        return Switched(site.id, started_at, made)

    async def make(self, clone: Clone, fence: Fence) -> str:
        """Make a clone; its id. One of the same job that is there already and runs is taken."""
        for _ in range(2):
            await fence()
            made = await self._engine.create(clone.name, clone.body)
            if made is not None:
                for network, endpoint in clone.networks.items():
                    await fence()
                    await self._engine.connect(network, made, endpoint)
                return made
            try:
                there = await self._engine.inspect(clone.name)
            except NotThere:
                continue
            labels = there["Config"].get("Labels") or {}
            wanted = clone.body["Labels"]
            if any(labels.get(key) != value for key, value in wanted.items()):
                break
            if there["State"]["Running"]:
                return str(there["Id"])
            await fence()
            await self._engine.remove(there["Id"], f"the container {clone.name}")
        raise CommandFailed(
            f"There is a container called {clone.name} already, made for something else.",
            "Remove it, if no bot is working on it.",
        )

    async def disturbance(self, switched: Switched) -> str:
        """What happened to original or clone since, as a sentence; "" if nothing did."""
        name = self._container
        try:
            original = await self._engine.inspect(switched.original)
        except NotThere:
            return f"the container {name} was removed by somebody during the collection"
        state = original["State"]
        if state["Running"] or state["StartedAt"] != switched.started_at:
            return (
                f"the container {name} was started by somebody during the collection; images that "
                "were pushed to it since then may be damaged"
            )
        if await self._replaced(switched.original):
            return f"the container {name} was replaced by somebody during the collection"
        return await self._ended(switched.clone) if switched.clone else ""

    async def on(self, owner: Owner, save: Callable[[str], Awaitable[None]], fence: Fence) -> None:
        """Remove a job's clones, never their volumes, and start the original; can be repeated.

        An original that runs beside clones is restarted. Somebody may have started it, and its
        cache may promise what was collected; or a process that died has just asked the engine to
        stop it, which takes a while and would come true after our start. `save` keeps what a
        collector wrote, before it goes.
        """
        clones = await self._lookout.clones(owner.job)
        original = await self._original(clones)
        switched = any(role(one) != DRY_RUN for one in clones)
        if switched and original["State"]["Running"]:
            await fence()
            patience = float(original["Config"].get("StopTimeout") or 10)
            await self._engine.stop(original["Id"], self._container, patience)
        for one in clones:
            if role(one) == COLLECTOR and not is_up(one):
                await save(str(one["Id"]))
            await fence()
            await self._engine.remove(one["Id"], "a clone")
        await fence()
        try:
            await self._engine.start(original["Id"], f"the container {self._container}")
        except EngineRefused as error:
            raise CommandFailed(
                error.sentence, "Put its cause right, then start the container by hand."
            ) from error

    async def _original(self, clones: list[Inspected]) -> Inspected:
        """By its name; one that was renamed meanwhile, by what its clones know."""
        try:
            return await self._lookout.original()
        except CommandFailed:
            for one in clones:
                try:
                    return await self._engine.inspect(str(one["Labels"][ORIGINAL]))
                except NotThere:
                    continue
            raise

    async def _replaced(self, original: str) -> bool:
        try:
            return bool((await self._engine.inspect(self._container))["Id"] != original)
        except NotThere:
            return True

    async def _ended(self, clone: str) -> str:
        try:
            state: dict[str, Any] = (await self._engine.inspect(clone))["State"]
        except NotThere:
            return "the read-only clone of the registry was removed by somebody"
        if state["Running"]:
            return ""
        said = bytearray()
        async for _, piece in self._engine.logs(clone, follow=False):
            said += piece
        last = " ".join(said.decode("utf-8", "replace").split())[-_TOLD:]
        return (
            f"the read-only clone of the registry ended with exit code {state['ExitCode']}"
            f"{'. It said: ' + last if last else ''}"
        )
