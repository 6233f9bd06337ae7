"""The real docker-registry on a free port of the loopback, and small images to fill it."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Self

from bot.demo.ports import free_port
from tests.support.certificates import authority, server_certificate
from tests.support.images import Pushed, digest_of, pull, push_blob, push_image, push_index
from tests.support.planted import SECRET, login
from tests.support.token_server import TokenServer

__all__ = [
    "PASSWORD",
    "Pushed",
    "RealRegistry",
    "digest_of",
    "pull",
    "push_blob",
    "push_image",
    "push_index",
    "registry_binary",
]

#: The one password that `RealRegistry(htpasswd=…)` knows: nothing here can compute bcrypt.
PASSWORD = f"not-a-real-password-{SECRET}"
_PASSWORD_BCRYPT = "$2b$05$abcdefghijklmnopqrstuuGuJp4NCblZxHxh5hY/M3WLb/AUl5KxG"

_START = 15.0


def registry_binary() -> str:
    """The registry's path; raises `RuntimeError` where none is installed."""
    found = shutil.which("docker-registry") or shutil.which("registry")
    if found is None:
        raise RuntimeError("These tests need a registry: apt-get install docker-registry")
    return found


class RealRegistry:
    """One registry process with storage in `root`, which also holds its `config.yml` and log.

    Parameters
    ----------
    root : the storage's root; made if it is missing.
    delete : whether it lets manifests be deleted.
    read_only : start in maintenance mode.
    htpasswd : user and password; the password must be `PASSWORD`.
    token : the token server that it trusts.
    tls : serve HTTPS with a certificate of the authority in `ca_file`.
    cache : the blob descriptor cache: "inmemory", as most people run it, or None.
    port : 0 for a free one.
    """

    def __init__(
        self,
        root: Path,
        *,
        delete: bool = True,
        read_only: bool = False,
        htpasswd: tuple[str, str] | None = None,
        token: TokenServer | None = None,
        tls: bool = False,
        cache: str | None = "inmemory",
        port: int = 0,
    ) -> None:
        self.root = root
        self.delete = delete
        self.read_only = read_only
        self.port = port
        self.config_path = root / "config.yml"
        self.log_path = root / "registry.log"
        self.ca_file: Path | None = None
        self._htpasswd = htpasswd
        self._token = token
        self._tls = tls
        self._cache = cache
        self._process: subprocess.Popen[bytes] | None = None
        root.mkdir(parents=True, exist_ok=True)
        if tls:
            self.ca_file = authority(root / "tls")

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and return when it listens."""
        if self._process is not None:
            raise RuntimeError("It runs already.")
        fixed = self.port != 0
        for attempt in range(5):
            if not fixed:
                self.port = free_port()
            self.write_config()
            with self.log_path.open("ab") as log:
                log_start = log.tell()
                self._process = subprocess.Popen(
                    [registry_binary(), "serve", str(self.config_path)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            if self._listens(log_start):
                return
            self.stop()
            # Somebody may have taken the port between our look and the registry's.
            if fixed or attempt == 4:
                break
        raise RuntimeError(f"The registry does not start: {self.log_path.read_text()[-2000:]}")

    def stop(self) -> None:
        """Stop it and wait until it is gone; does nothing if it does not run."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        self._process = None

    def restart(self, read_only: bool | None = None) -> None:
        """Stop, write the settings anew, start on the same port; None keeps the mode."""
        self.stop()
        if read_only is not None:
            self.read_only = read_only
        self.start()

    def write_config(self) -> None:
        """Write `config.yml` for the present settings."""
        storage: dict[str, Any] = {
            "filesystem": {"rootdirectory": str(self.root)},
            "delete": {"enabled": self.delete},
            "maintenance": {
                "uploadpurging": {"enabled": False},
                "readonly": {"enabled": self.read_only},
            },
        }
        if self._cache:
            storage["cache"] = {"blobdescriptor": self._cache}
        http: dict[str, Any] = {"addr": f"127.0.0.1:{self.port}", "secret": "only for tests"}
        if self._tls:
            certificate, key = server_certificate(self.root / "tls")
            http["tls"] = {"certificate": str(certificate), "key": str(key)}
        config = {
            "version": "0.1",
            "log": {"level": "info", "accesslog": {"disabled": True}},
            "storage": storage,
            "http": http,
            **self._auth(),
        }
        # JSON is YAML, too.
        self.config_path.write_text(json.dumps(config, indent=2))

    def _auth(self) -> dict[str, Any]:
        if self._htpasswd:
            user, password = self._htpasswd
            if password != PASSWORD:
                raise ValueError("Use real_registry.PASSWORD: its hash is known.")
            login(user, password)
            path = self.root / "htpasswd"
            path.write_text(f"{user}:{_PASSWORD_BCRYPT}\n")
            return {"auth": {"htpasswd": {"realm": "tests", "path": str(path)}}}
        if self._token:
            return {
                "auth": {
                    "token": {
                        "realm": self._token.realm,
                        "service": self._token.service,
                        "issuer": self._token.issuer,
                        "rootcertbundle": str(self._token.bundle),
                    }
                }
            }
        return {}

    def _listens(self, log_start: int) -> bool:
        """Wait for the line that it writes when it listens.

        A connection would prove less: another process may have the port.
        """
        end = time.monotonic() + _START
        while time.monotonic() < end:
            dead = self._process is None or self._process.poll() is not None
            if b'msg="listening on' in self.log_path.read_bytes()[log_start:]:
                return True
            if dead:
                return False
            time.sleep(0.005)
        return False

    def blob_path(self, digest: str) -> Path:
        """Where the bytes of a blob or manifest lie."""
        algorithm, _, hex_ = digest.partition(":")
        return self._blobs / algorithm / hex_[:2] / hex_ / "data"

    def blob_digests(self) -> set[str]:
        """The digests of all blobs and manifests whose bytes are there."""
        return {
            f"{path.parents[2].name}:{path.parent.name}" for path in self._blobs.glob("*/*/*/data")
        }

    def disk_bytes(self) -> int:
        """The bytes of all blobs and manifests together."""
        return sum(path.stat().st_size for path in self._blobs.glob("*/*/*/data"))

    @property
    def _blobs(self) -> Path:
        return self.root / "docker/registry/v2/blobs"
