"""A real registry that the bot itself switches, through tests/support/registryctl.py."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from bot.demo.ports import free_port
from bot.gc.command import CommandSettings

HERE = Path(__file__).parent
REGISTRYCTL = HERE / "registryctl.py"
SLOW_COLLECT = HERE / "slow_collect.py"
COLLECT = ("docker-registry", "garbage-collect")

CONFIG = """\
version: 0.1
log: {{level: info}}
storage:
  {cache}
  filesystem: {{rootdirectory: "{root}"}}
  delete: {{enabled: {delete}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


class ControlledRegistry:
    """A registry on a fixed port, restarted read-only or read-write by commands.

    `root` is where everything goes; the attribute `.root` is the storage root below it. Blobs are
    cached in memory as in the default configuration, so a restart after a collection matters.
    """

    def __init__(self, root: Path, *, delete: bool = True, cache: str | None = "inmemory") -> None:
        self.state = root / "registry"
        self.state.mkdir(parents=True)
        self.root = root / "storage"
        self.root.mkdir()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config_path = self.state / "config.yml"
        self.config_path.write_text(
            CONFIG.format(
                root=self.root,
                port=self.port,
                delete=str(delete).lower(),
                cache=f"cache: {{blobdescriptor: {cache}}}" if cache else "",
            ),
            encoding="utf-8",
        )

    def argv(self, *words: str) -> list[str]:
        """The command that switches this registry: `argv("read-only")`."""
        return [sys.executable, str(REGISTRYCTL), str(self.state), *words]

    def slow_collect(self, hold: str | Path, *options: str) -> tuple[str, ...]:
        """A `collect` command that holds for seconds, or until the file `hold` exists."""
        return (sys.executable, str(SLOW_COLLECT), *options, str(hold), *COLLECT)

    def settings(self, **changes: Any) -> CommandSettings:
        """How the bot collects this registry."""
        values: dict[str, Any] = {
            "collect": COLLECT,
            "config": str(self.config_path),
            "start_read_only": tuple(self.argv("read-only")),
            "start": tuple(self.argv("read-write")),
            "stop": tuple(self.argv("stop")),
            "storage_root": self.root,
            "timeout": 60.0,
        }
        return CommandSettings(**(values | changes))

    def start(self, mode: str = "read-write") -> None:
        """(Re)start it and wait until it listens."""
        self._run(mode)

    def stop(self) -> None:
        """Stop it, whoever started it."""
        self.fail("stop", None)
        for verb in ("read-only", "read-write", "stop"):
            self.hold(verb, False)
        self._run("stop")

    def crash(self) -> None:
        """It dies, and nobody starts it again until `revive`."""
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((self.state / "registry.pid").read_text(encoding="ascii")), signal.SIGKILL)

    def revive(self) -> None:
        """Start it as it was when it died, unless somebody else has started it since."""
        self._run("revive")

    def status(self) -> str:
        """`read-only`, `read-write` or `stopped`."""
        return subprocess.run(
            self.argv("status"), capture_output=True, text=True, check=False
        ).stdout.strip()

    def fail(self, verb: str, text: str | None) -> None:
        """Make a verb fail with this text from now on; None heals it."""
        path = self.state / f"fail-{verb}"
        if text is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(text, encoding="utf-8")

    def hold(self, verb: str, on: bool) -> None:
        """Let a verb wait before it does anything, or go on."""
        path = self.state / f"hold-{verb}"
        path.touch() if on else path.unlink(missing_ok=True)

    def holds(self, verb: str) -> bool:
        """Whether a verb waits, or waited once."""
        return (self.state / f"holding-{verb}").exists()

    def verbs(self) -> list[str]:
        """What was done to it so far: `read-only`, `read-write`, `stop`."""
        return (self.state / "verbs").read_text(encoding="ascii").split()

    def blob_path(self, digest: str) -> Path:
        """Where the bytes of a blob lie."""
        name = digest.removeprefix("sha256:")
        blobs = self.root / "docker" / "registry" / "v2" / "blobs"
        return blobs / "sha256" / name[:2] / name / "data"

    def blob_digests(self) -> set[str]:
        """Every blob on disk."""
        return {f"sha256:{path.parent.name}" for path in self.root.glob("**/blobs/**/data")}

    def _run(self, *words: str) -> None:
        done = subprocess.run(self.argv(*words), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"registryctl {words} failed: {done.stdout}{done.stderr}")
