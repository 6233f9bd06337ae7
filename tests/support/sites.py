"""Registries that a bot collects in one scene, each of them held at a moment of its own."""

from abc import ABC, abstractmethod
from pathlib import Path

import httpx

from tests.support.contained import Contained
from tests.support.controlled_registry import ControlledRegistry
from tests.support.dockerd import Dockerd
from tests.support.images import push_image
from tests.support.pushers import CLIENT, Pusher
from tests.support.team import argv, commands_toml

SHARED = b"a layer that is collected and pushed" * 20


class Site(ABC):
    """One registry.

    Parameters
    ----------
    name : its name in the settings.
    moment : where its collection is held: one of moments.py, or `STEP.mid`, in the middle of what
        the step runs.
    holds : the directory of moments.py.
    """

    def __init__(self, name: str, moment: str, url: str, holds: Path) -> None:
        self.name = name
        self.moment = moment
        self.url = url
        self._holds = holds
        self.pusher = Pusher(url, SHARED, pause=0.5)
        self.garbage: set[str] = set()
        self.number = 0
        """That of its request."""

    @property
    def outlives(self) -> bool:
        """Whether it is a collection that outlives the bot there."""
        return self.moment in ("dry-run.mid", "collect.mid")

    @property
    def in_the_middle(self) -> bool:
        """Whether it is held in what the bot runs, rather than in the bot."""
        return self.moment.endswith(".mid")

    def hold(self) -> None:
        """Be held from now on."""
        if not self.in_the_middle:
            (self._holds / f"{self.name}.at").write_text(self.moment)

    def is_held(self) -> bool:
        """Whether it is held."""
        return (self._holds / f"{self.name}.held").exists()

    def wake(self) -> None:
        """Let the process that is held there go on, when it can."""
        (self._holds / f"{self.name}.go").touch()

    def has_ended(self) -> bool:
        """Whether the process that was held has no more to do with it."""
        return (self._holds / f"{self.name}.ended").exists()

    async def fill(self) -> None:
        """An image that stays, and one that nobody can reach any more."""
        await push_image(self.url, "keep", "1", layers=[b"stays"], **CLIENT)
        self.garbage = await self._waste("waste")

    async def _waste(self, repository: str) -> set[str]:
        """Push an image and delete it; the blobs that are nobody's now."""
        layers = [SHARED, f"{self.name} {repository}".encode() * 500]
        image = await push_image(self.url, repository, "1", layers=layers, **CLIENT)
        async with httpx.AsyncClient(**CLIENT) as http:
            gone = await http.delete(f"{self.url}/v2/{repository}/manifests/{image.digest}")
            assert gone.status_code == 202, gone.text
        return {image.digest, image.config_digest, image.layer_digests[1]}

    async def is_writable(self) -> bool:
        """Whether it takes an upload, which is cancelled again."""
        async with httpx.AsyncClient(**CLIENT) as http:
            try:
                answer = await http.post(f"{self.url}/v2/probe/uploads/blobs/uploads/")
            except httpx.HTTPError:
                return False
            if answer.status_code == 202:
                await http.delete(answer.headers["Location"])
            return answer.status_code == 202

    @abstractmethod
    def table(self) -> str:
        """Its part of the settings."""

    @abstractmethod
    def ready(self) -> None:
        """After the request: its preview must not be held."""

    @abstractmethod
    def go_on(self) -> None:
        """Let what outlived the bot go on."""

    @abstractmethod
    def acts(self) -> list[str]:
        """Everything that was done to it so far."""

    @abstractmethod
    def collections(self) -> int:
        """How many collections began, dry runs apart."""

    @abstractmethod
    def blobs(self) -> set[str]:
        """What is in its storage."""

    @abstractmethod
    def why_not_as_before(self) -> str:
        """What is not as it was before the collection; "" if all is."""

    @abstractmethod
    async def restart(self) -> None:
        """Forget what a cache may hide."""

    @abstractmethod
    def close(self) -> None:
        """Leave nothing running."""


class Commanded(Site):
    """A registry on this host, switched and collected by commands."""

    def __init__(self, directory: Path, name: str, moment: str, holds: Path) -> None:
        home = directory / name
        home.mkdir()
        self._registry = ControlledRegistry(home)
        self._registry.start()
        super().__init__(name, moment, self._registry.url, holds)
        self._gate, self._log = home / "gate", home / "collections"
        self._verb = {"switch.mid": "read-only", "restart.mid": "read-write"}.get(moment, "")
        self._wait_for = self._gate.with_name("gate.holding")
        self._gate.touch()

    async def fill(self) -> None:
        await super().fill()
        if self.moment.startswith("empty"):
            for name in ("empty/one", "empty/two"):
                self.garbage |= await self._waste(name)

    def table(self) -> str:
        options = ["--log", str(self._log), "--at-most", "1000"]
        if self.moment == "dry-run.mid":
            options.append("--hold-dry-run")
        collect = self._registry.slow_collect(self._gate, *options)
        head = f'[[registries]]\nname = "{self.name}"\nurl = "{self.url}"\n'
        probe = 'probe_repository = "probe/uploads"\n'
        return head + probe + commands_toml(self._registry, collect)

    def ready(self) -> None:
        if self.outlives:
            self._gate.unlink(missing_ok=True)
            self._wait_for.unlink(missing_ok=True)
        if self._verb:
            self._registry.hold(self._verb, True)

    def is_held(self) -> bool:
        if self._verb:
            return self._registry.holds(self._verb)
        return self._wait_for.exists() if self.outlives else super().is_held()

    def go_on(self) -> None:
        self._gate.touch()
        if self._verb:
            self._registry.hold(self._verb, False)

    def acts(self) -> list[str]:
        return self._registry.verbs()

    def collections(self) -> int:
        return self._log.read_text().count("begin") if self._log.exists() else 0

    def blobs(self) -> set[str]:
        return self._registry.blob_digests()

    def why_not_as_before(self) -> str:
        status = self._registry.status()
        return "" if status == "read-write" else f"the registry is {status}"

    async def restart(self) -> None:
        self._registry.start()

    def close(self) -> None:
        self.go_on()
        self._registry.stop()


class Boxed(Site):
    """A registry in a container of the tests' engine."""

    def __init__(
        self, engine: Dockerd, directory: Path, name: str, moment: str, holds: Path
    ) -> None:
        home = directory / name
        home.mkdir()
        self._contained = Contained(engine, home, name=name)
        self._engine = engine
        super().__init__(name, moment, self._contained.url, holds)
        self._contained.open_gate()

    @property
    def _clone(self) -> str:
        return f"registry-bot-R{self.number}-collect"

    def table(self) -> str:
        return f"""
[[registries]]
name = "{self.name}"
url = "{self.url}"
probe_repository = "probe/uploads"
  [registries.gc]
  executor = "docker"
  container = "{self.name}"
  socket = "{self._engine.address}"
  collect = {argv("slow-collect")}
"""

    def ready(self) -> None:
        if self.moment == "dry-run.mid":
            (self._contained.root / "hold-dry").touch()
        if self.outlives:
            self._contained.close_gate()

    def is_held(self) -> bool:
        return self._contained.holds() if self.outlives else super().is_held()

    def go_on(self) -> None:
        self._contained.open_gate()

    def acts(self) -> list[str]:
        ours = (self.name, self._clone, f"{self._clone}.")
        return [
            f"{action} {name}"
            for action, name in self._engine.events()
            if name in ours or name.startswith(ours[2])
        ]

    def collections(self) -> int:
        begun = [one for one in self.acts() if one.startswith("start ")]
        return sum(one.endswith(f"{self._clone}.collector") for one in begun)

    def blobs(self) -> set[str]:
        return self._contained.blob_digests()

    def why_not_as_before(self) -> str:
        now = self._engine.inspect(self.name)
        if now["Id"] != self._contained.id or not now["State"]["Running"]:
            return f"the container is another one, or {now['State']['Status']}"
        left = [name for name in self._engine.names() if name.startswith(self._clone)]
        return f"{left} are left over" if left else ""

    async def restart(self) -> None:
        self._engine.api("POST", f"/containers/{self.name}/restart")
        self._contained.start()

    def close(self) -> None:
        self.go_on()
