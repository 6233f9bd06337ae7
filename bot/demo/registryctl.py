"""The operator's script around the playground's registry, as the bot's settings call it.

    python registryctl.py STATE_DIR read-only|read-write|stop|status

Starts the registry described by STATE_DIR/server.json anew, as a daemon, and returns when it
listens. `status` prints the mode and exits 3 when nothing runs. A file STATE_DIR/closed forbids
starting. It imports nothing but the standard library: pushes wait for as long as it takes.

The registry inherits the environment. A variable REGISTRY_… would win over its configuration, so
the playground takes these away before it begins.
"""

import argparse
import fcntl
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_LETTING_GO = 3.0
_PATIENCE = 15.0
_ENGINE_PATIENCE = 60.0
_MODES = {"read-write": "config.yml", "read-only": "config-read-only.yml"}


class _Failed(Exception):
    """A sentence for whoever called the script."""


class Program:
    """A registry that is a program of this machine; it outlives this script."""

    def __init__(self, state: Path, server: dict[str, Any]) -> None:
        self._state = state
        self._program = str(server["program"])
        self._pid_file = state / "registry.pid"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, config: Path) -> None:
        with (self._state / "registry.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "serve", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._pid_file.write_text(str(self._process.pid), encoding="ascii")

    def stop(self) -> None:
        pid = self._pid()
        if pid is None:
            return
        _signal(pid, signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE
        while self._pid() is not None:
            if time.monotonic() > deadline:
                _signal(pid, signal.SIGKILL)
            time.sleep(0.005)
        self._pid_file.unlink(missing_ok=True)

    def is_running(self) -> bool:
        if self._process is not None:  # its command line is not there yet when it has just begun
            return self._process.poll() is None
        return self._pid() is not None

    def _pid(self) -> int | None:
        """The daemon's process id; a zombie and a stranger with a recycled id do not count."""
        try:
            pid = int(self._pid_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        return pid if str(self._state / "config") in _command_line(pid) else None


class Container:
    """A registry in a container of an engine such as Docker."""

    def __init__(self, state: Path, server: dict[str, Any]) -> None:
        self._state = state
        self._run = [str(word) for word in server["run"]]
        self._engine = str(server["engine"])
        self._name = str(server["name"])

    def start(self, config: Path) -> None:
        self._ask([*self._run, "serve", str(config)])

    def stop(self) -> None:
        if self.is_known():
            self._ask([self._engine, "rm", "--force", "--volumes", self._name])

    def is_running(self) -> bool:
        return self._name in self._listed("ps")

    def is_known(self) -> bool:
        return self._name in self._listed("ps", "--all")

    def _listed(self, *words: str) -> list[str]:
        return self._ask([self._engine, *words, "--format", "{{.Names}}"]).split()

    def _ask(self, argv: Sequence[str]) -> str:
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_ENGINE_PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _Failed(f"{argv[0]} {argv[1]} did not end in time") from None
        if done.returncode:
            raise _Failed(f"{argv[0]} {argv[1]}: {done.stderr.strip()[-1000:]}")
        return done.stdout


def main() -> int:
    """Carry out one verb and return the exit code."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("state_dir", type=Path)
    parser.add_argument("verb", choices=[*_MODES, "stop", "status"])
    arguments = parser.parse_args()
    state: Path = arguments.state_dir.resolve()
    try:
        server = json.loads((state / "server.json").read_text(encoding="utf-8"))
        registry = (Container if "engine" in server else Program)(state, server)
        if arguments.verb == "status":
            running = registry.is_running()
            _say((state / "mode").read_text(encoding="ascii") if running else "stopped")
            return 0 if running else 3
        with (state / "ctl.lock").open("w") as lock:  # two of these would start two servers
            fcntl.flock(lock, fcntl.LOCK_EX)
            registry.stop()
            if arguments.verb in _MODES:
                if (state / "closed").exists():
                    raise _Failed("the playground has ended")
                _start(state, registry, int(server["port"]), arguments.verb)
    except (OSError, ValueError, KeyError, _Failed) as error:
        _say(f"the registry could not be switched: {error}", sys.stderr)
        return 1
    return 0


def _start(state: Path, registry: Program | Container, port: int, mode: str) -> None:
    # A process that ends has no command line any more a moment before it lets go of its port.
    freed = time.monotonic() + _LETTING_GO
    while not is_free(port):
        if time.monotonic() > freed:
            # Waiting for an answer below would take the stranger's for ours.
            raise _Failed(f"something else listens on port {port} of 127.0.0.1")
        time.sleep(0.01)
    (state / "mode").write_text(mode, encoding="ascii")
    registry.start(state / _MODES[mode])
    deadline = time.monotonic() + _PATIENCE
    pause = 0.005
    while not _answers(port):
        if not registry.is_running() or time.monotonic() > deadline:
            log = state / "registry.log"
            told = log.read_text(errors="replace")[-1000:] if log.exists() else ""
            raise _Failed(f"it does not listen on port {port}\n{told}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        if Path("/proc/self").exists():
            return ""
    # Systems without /proc.
    asked = subprocess.run(
        ["ps", "-p", str(pid), "-o", "command="],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout


def _say(text: str, where: Any = sys.stdout) -> None:
    where.write(f"{text}\n")
    where.flush()


if __name__ == "__main__":
    sys.exit(main())
