"""A real container engine of our own: a private `dockerd`, spoken to without the bot's client."""

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx

from tests.support.real_registry import registry_binary

IMAGE = "registry:tests"
CONFIG = "/etc/docker/registry/config.yml"
STORAGE = "/var/lib/registry"

_START, _STOP = 30.0, 30.0
_CHANGES = {"create", "start", "stop", "kill", "die", "destroy", "rename", "update"}
_APPLETS = ("sh", "stat", "df", "touch", "sleep", "kill", "cat", "true")
_CONFIG = f"""\
version: 0.1
log: {{level: info}}
storage:
  cache: {{blobdescriptor: inmemory}}
  filesystem: {{rootdirectory: {STORAGE}}}
  delete: {{enabled: true}}
http: {{addr: ":5000"}}
"""
# Holds until the file `gate` is in the storage; a dry run goes through unless there is `hold-dry`.
_SLOW = f"""\
#!/bin/sh
if [ "$1" != --dry-run ] || [ -e {STORAGE}/hold-dry ]; then
  touch {STORAGE}/holding
  while [ ! -e {STORAGE}/gate ]; do sleep 0.05; done
fi
exec registry garbage-collect "$@"
"""
# Refuses to serve read-only.
_STUBBORN = """\
#!/bin/sh
if [ -n "$REGISTRY_STORAGE_MAINTENANCE_READONLY" ]; then echo I will not; exit 3; fi
exec registry "$@"
"""


class NoEngine(Exception):
    """There is no engine here; the text says why."""


class Dockerd:
    """One daemon with everything in `root`, a short path: sockets have short names."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "docker.sock"
        self.address = f"unix://{self.path}"
        self._log = root / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    @contextlib.contextmanager
    def running(cls) -> Iterator[Self]:
        """A daemon with the image of a registry. Raises NoEngine."""
        made = cls(Path(tempfile.mkdtemp(prefix="dockerd-", dir="/tmp")))
        try:
            made.start()
            made.build()
            yield made
        finally:
            made.stop()

    def start(self) -> None:
        """Start it, or raise NoEngine with the reason."""
        program = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        busybox = shutil.which("busybox")
        if program is None or busybox is None:
            raise NoEngine("no dockerd or busybox: apt-get install docker.io busybox-static")
        if os.geteuid() != 0:
            raise NoEngine("a daemon of our own needs root")
        words = ["--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"]
        words += [f"--data-root={self.root}/data", f"--exec-root={self.root}/exec"]
        words += [f"--pidfile={self.root}/pid", "-H", self.address]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                last = self._log.read_text(errors="replace")[-400:].strip()
                raise NoEngine(f"dockerd does not start here: {last}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it, and leave no mount, bridge or file behind."""
        if self._process is not None:
            if self._process.poll() is None and self._answers():
                self.clear()
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(_STOP)
        for mounted in reversed(self._mounts()):
            subprocess.run(["umount", "--lazy", mounted], check=False, capture_output=True)
        shutil.rmtree(self.root, ignore_errors=True)

    def clear(self) -> None:
        """Remove every container, its volumes, and every network."""
        for one in self.containers():
            self.api("DELETE", f"/containers/{one['Id']}", params={"force": "1", "v": "1"})
        self.api("POST", "/volumes/prune", expected=(200,))
        for network in self.api("GET", "/networks"):
            if network["Name"] not in ("bridge", "host", "none"):
                self.api("DELETE", f"/networks/{network['Id']}")

    def build(self) -> None:
        """Import the image: the registry, its libraries, and a static busybox."""
        changes = [
            'ENTRYPOINT ["registry"]',
            f'CMD ["serve", "{CONFIG}"]',
            "ENV PATH=/bin",
            f"VOLUME {STORAGE}",
        ]
        repository, _, tag = IMAGE.partition(":")
        query = {"fromSrc": "-", "repo": repository, "tag": tag, "changes": changes}
        self.api("POST", "/images/create", params=query, content=_root_file_system())

    def api(
        self,
        method: str,
        path: str,
        *,
        expected: tuple[int, ...] = (200, 201, 204, 304),
        **request: Any,
    ) -> Any:
        """Ask it something; the answer, which must have an expected status."""
        with self._client() as http:
            answer = http.request(method, path, **request)
        assert answer.status_code in expected, f"{method} {path}: {answer.text}"
        if "json" in answer.headers.get("Content-Type", ""):
            return [json.loads(line) for line in answer.text.splitlines()][-1]
        return answer.text

    def create(self, name: str, **body: Any) -> str:
        """Make a container of the image; its id."""
        made = self.api("POST", "/containers/create", params={"name": name}, json=body)
        return str(made["Id"])

    def start_container(self, name: str) -> None:
        """Start a container."""
        self.api("POST", f"/containers/{name}/start")

    def inspect(self, name: str) -> Any:
        """Everything about a container."""
        return self.api("GET", f"/containers/{name}/json")

    def containers(self) -> list[Any]:
        """All containers."""
        found: list[Any] = self.api("GET", "/containers/json", params={"all": "1"})
        return found

    def events(self) -> list[tuple[str, str]]:
        """What was done to containers so far: action and name, those that change something."""
        query = {"since": "0", "until": str(time.time()), "filters": '{"type": ["container"]}'}
        with self._client() as http:
            answer = http.get("/events", params=query)
        found = [json.loads(line) for line in answer.text.splitlines()]
        return [
            (one["Action"], one["Actor"]["Attributes"]["name"])
            for one in found
            if one["Action"] in _CHANGES
        ]

    def names(self) -> set[str]:
        """The names of all containers."""
        return {name.lstrip("/") for one in self.containers() for name in one["Names"]}

    def execute(self, name: str, *argv: str) -> str:
        """Run a command in a container, and return what it said when it has ended."""
        order = {"AttachStdout": True, "AttachStderr": True, "Tty": True, "Cmd": argv}
        made = self.api("POST", f"/containers/{name}/exec", json=order)
        return str(self.api("POST", f"/exec/{made['Id']}/start", json={"Tty": True}))

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as one:  # httpx leaves a refused one open
            try:
                one.connect(str(self.path))
            except OSError:
                return False
        try:
            with self._client() as http:
                return http.get("/_ping").status_code == 200
        except httpx.HTTPError:
            return False

    def _client(self) -> httpx.Client:
        transport = httpx.HTTPTransport(uds=str(self.path))
        return httpx.Client(transport=transport, base_url="http://engine", timeout=60)

    def _mounts(self) -> list[str]:
        lines = Path("/proc/self/mounts").read_text().splitlines()
        return [line.split()[1] for line in lines if line.split()[1].startswith(f"{self.root}/")]


def _root_file_system() -> bytes:
    registry = registry_binary()
    linked = subprocess.run(["ldd", registry], capture_output=True, text=True, check=False).stdout
    libraries = [word for word in linked.split() if word.startswith("/")]
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:

        def add(path: str, content: bytes, mode: int = 0o755) -> None:
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))

        add("bin/registry", Path(registry).read_bytes())
        add("bin/busybox", Path(shutil.which("busybox") or "").read_bytes())
        add("bin/slow-collect", _SLOW.encode())
        add("bin/stubborn", _STUBBORN.encode())
        add(CONFIG.lstrip("/"), _CONFIG.encode(), 0o644)
        for path in dict.fromkeys(libraries):
            add(path.lstrip("/"), Path(path).read_bytes())
        for applet in _APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return output.getvalue()
