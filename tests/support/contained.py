"""A registry in a container of the tests' own engine."""

import time
from pathlib import Path
from typing import Any

import httpx

from bot.demo.ports import free_port
from bot.gc.docker.settings import DockerSettings
from tests.support.dockerd import IMAGE, STORAGE, Dockerd

NAME = "registry"


class Contained:
    """A container, on a port of the loopback, with its storage in a directory of ours."""

    def __init__(self, engine: Dockerd, directory: Path, *, name: str = NAME, **body: Any) -> None:
        self.engine = engine
        self.name = name
        self.root = directory / "storage"
        self.root.mkdir()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        host = {
            "NetworkMode": "host",
            "Binds": [f"{self.root}:{STORAGE}"],
            "RestartPolicy": {"Name": "unless-stopped"},
            **body.pop("HostConfig", {}),
        }
        environ = [f"REGISTRY_HTTP_ADDR=127.0.0.1:{self.port}", *body.pop("Env", [])]
        self.id = engine.create(name, Image=IMAGE, Env=environ, HostConfig=host, **body)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.engine.start_container(self.id)
        deadline = time.monotonic() + 10
        while not self.listens():
            assert time.monotonic() < deadline, "the registry in the container does not listen"
            time.sleep(0.02)

    def listens(self) -> bool:
        """Whether something answers where the registry should be."""
        try:
            return (
                httpx.get(f"{self.url}/v2/", timeout=2, trust_env=False, verify=False).status_code
                == 200
            )
        except httpx.HTTPError:
            return False

    def settings(self, **changes: Any) -> DockerSettings:
        """How the bot collects it."""
        return self.settings_for(self.engine, **changes)

    @staticmethod
    def settings_for(engine: Dockerd, **changes: Any) -> DockerSettings:
        """How the bot collects the container `NAME`."""
        values: dict[str, Any] = {"container": NAME, "socket": engine.address, "timeout": 60.0}
        return DockerSettings(**(values | changes))

    def is_original(self, *others: str) -> bool:
        """Whether the container is the one that was made, running, alone with the others."""
        now = self.engine.inspect(self.name)
        alone = self.engine.names() == {self.name, *others}
        return bool(now["Id"] == self.id and now["State"]["Running"] and alone)

    def blob_path(self, digest: str) -> Path:
        """Where the bytes of a blob lie on the host."""
        name = digest.removeprefix("sha256:")
        return self.root / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data"

    def blob_digests(self) -> set[str]:
        """Every blob on disk."""
        return {f"sha256:{path.parent.name}" for path in self.root.glob("**/blobs/**/data")}

    def holds(self) -> bool:
        """Whether a `slow-collect` waits for its gate."""
        return (self.root / "holding").exists()

    def open_gate(self) -> None:
        """Let a `slow-collect` go on."""
        (self.root / "gate").touch()

    def close_gate(self) -> None:
        """Let the next `slow-collect` wait."""
        (self.root / "gate").unlink()
        (self.root / "holding").unlink(missing_ok=True)
