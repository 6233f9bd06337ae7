"""The registry's container as it is now, and what is around it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.gc.argv import REDIS_CACHE
from bot.gc.docker import facts, obstacles
from bot.gc.docker.clone import COLLECTOR, CONTAINER, DRY_RUN, JOB, REGISTRY, ROLE, SERVER
from bot.gc.docker.engine import Engine
from bot.gc.docker.errors import NotThere
from bot.gc.docker.settings import DockerSettings
from bot.gc.docker.shapes import Inspected
from bot.gc.errors import CommandFailed

_UP = ("running", "paused", "restarting")


@dataclass(frozen=True, slots=True)
class Site:
    """The original, the configuration its collector reads, and its storage."""

    original: Inspected
    config: str
    storage: facts.Storage

    @property
    def id(self) -> str:
        """The original's id."""
        return str(self.original["Id"])

    @property
    def patience(self) -> float:
        """Seconds that the original may take to stop."""
        return float(self.original["Config"].get("StopTimeout") or 10)


class Lookout:
    """Looks at the engine and never changes anything.

    Parameters
    ----------
    registry : its name in the settings.
    """

    def __init__(self, engine: Engine, settings: DockerSettings, registry: str) -> None:
        self._engine = engine
        self._settings = settings
        self._registry = registry

    async def site(self) -> Site:
        """The container of the settings. Raises CommandFailed, as where there is none."""
        original = await self.original()
        config = original["Config"]
        words = [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]
        path = self._settings.config or facts.named_config(words) or await self._usual(original)
        text = await self._engine.read_file(str(original["Id"]), path)
        environ = facts.environment(config)
        return Site(original, path, facts.storage(environ, text, self._settings.storage_root))

    async def original(self) -> Inspected:
        """The container of the settings. Raises CommandFailed where there is none."""
        name = self._settings.container
        try:
            return await self._engine.inspect(name)
        except NotThere as error:
            raise CommandFailed(
                f"There is no container called {name} at {self._settings.socket}.",
                "Correct `container` in [registries.gc], or start the registry.",
            ) from error

    async def clones(self, job: str = "") -> list[Inspected]:
        """The clones of this registry, stopped ones too; with `job` only those."""
        wanted = [f"{REGISTRY}={self._registry}", f"{CONTAINER}={self._settings.container}"]
        if job:
            wanted.append(f"{JOB}={job}")
        return await self._engine.containers({"label": wanted})

    async def obstacle(self, site: Site, job: str = "") -> str | None:
        """Why this container cannot be collected now, as a sentence."""
        around = obstacles.Surroundings(
            await self._engine.containers({"status": _UP}), await self._engine.volumes()
        )
        name = self._settings.container
        reason = obstacles.obstacle(site.original, name, site.storage, around, job)
        if reason is None and site.storage.redis and not self._settings.clear_cache:
            return REDIS_CACHE
        return reason

    async def _usual(self, original: Inspected) -> str:
        for path in facts.CONFIGS:
            if await self._engine.exists(str(original["Id"]), path):
                return path
        return facts.CONFIGS[0]


def role(listed: Mapping[str, Any]) -> str:
    """What a listed clone is for."""
    return str((listed.get("Labels") or {}).get(ROLE, ""))


def is_up(listed: Mapping[str, Any]) -> bool:
    """Whether a listed container has processes."""
    return listed.get("State") in _UP


def is_collecting(listed: Mapping[str, Any]) -> bool:
    """Whether a listed clone is a collection at work."""
    return role(listed) in (COLLECTOR, DRY_RUN) and is_up(listed)


def is_server(listed: Mapping[str, Any]) -> bool:
    """Whether a listed clone is a read-only server that runs."""
    return role(listed) == SERVER and is_up(listed)
