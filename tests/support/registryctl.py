"""An operator's script around a real registry, as registry-bot's settings would call one.

    python registryctl.py STATE_DIR read-only|read-write|stop|revive|status

Serves STATE_DIR/config.yml (which has no `maintenance` key) as a daemon and returns when it
listens. `revive` starts it as it was before, if it is dead, as a supervisor does. `status` prints
the mode and exits 3 when nothing runs. For tests of what goes wrong: a file STATE_DIR/fail-VERB
makes that verb print its text and exit 1 before it does anything, with a file STATE_DIR/hold-VERB
it creates holding-VERB and waits until that file is gone, and --inherit-output lets the daemon keep
this script's standard output and error open. STATE_DIR/verbs has every verb that was carried out.
"""

import argparse
import fcntl
import http.client
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from bot.demo.registryctl import is_free

READ_ONLY = "REGISTRY_STORAGE_MAINTENANCE_READONLY"
PATIENCE = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("state_dir", type=Path)
    parser.add_argument("verb", choices=["read-only", "read-write", "stop", "revive", "status"])
    parser.add_argument("--inherit-output", action="store_true")
    args = parser.parse_args()
    state = args.state_dir.resolve()
    failure = state / f"fail-{args.verb}"
    if failure.exists():
        print(failure.read_text(encoding="utf-8"), flush=True)
        return 1
    if args.verb == "status":
        running = running_pid(state) is not None
        print((state / "mode").read_text(encoding="utf-8") if running else "stopped")
        return 0 if running else 3
    hold = state / f"hold-{args.verb}"
    while hold.exists():
        (state / f"holding-{args.verb}").touch()
        time.sleep(0.02)
    with (state / "ctl.lock").open("w") as lock:  # two of these at once would start two servers
        fcntl.flock(lock, fcntl.LOCK_EX)
        if args.verb == "revive":
            if running_pid(state) is not None:
                return 0
            return start(state, (state / "mode").read_text(encoding="ascii"), False)
        with (state / "verbs").open("a", encoding="ascii") as verbs:
            verbs.write(f"{args.verb}\n")
        stop(state)
        return 0 if args.verb == "stop" else start(state, args.verb, args.inherit_output)


def start(state: Path, mode: str, inherit_output: bool) -> int:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("REGISTRY_")}
    if mode == "read-only":
        environ[READ_ONLY] = '{"enabled":true}'
    deadline = time.monotonic() + PATIENCE
    # A process that ends has no command line any more a moment before it lets go of its port.
    while not is_free(port(state)) and time.monotonic() < deadline:
        time.sleep(0.005)
    with (state / "registry.log").open("ab") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(state / "config.yml")],
            stdin=subprocess.DEVNULL,
            stdout=None if inherit_output else log,
            stderr=None if inherit_output else log,
            start_new_session=True,
            env=environ,
        )
    (state / "registry.pid").write_text(str(process.pid), encoding="ascii")
    (state / "mode").write_text(mode, encoding="ascii")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            print(f"the registry ended with exit code {process.returncode}", file=sys.stderr)
            print((state / "registry.log").read_text(errors="replace")[-1000:], file=sys.stderr)
            return 1
        if listens(state):
            return 0
        time.sleep(0.01)
    print("the registry does not listen", file=sys.stderr)
    return 1


def port(state: Path) -> int:
    text = (state / "config.yml").read_text(encoding="utf-8")
    address = re.search(r"""\baddr:\s*["']?127\.0\.0\.1:(\d+)""", text)
    if address is None:
        raise SystemExit("config.yml has no `addr: 127.0.0.1:PORT`")
    return int(address[1])


def listens(state: Path) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port(state), timeout=2)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status in (200, 401)
    except OSError:
        return False
    finally:
        connection.close()


def stop(state: Path) -> None:
    pid = running_pid(state)
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while running_pid(state) is not None:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def running_pid(state: Path) -> int | None:
    """The daemon's process id; a zombie and a stranger with a recycled id do not count."""
    try:
        pid = int((state / "registry.pid").read_text(encoding="ascii"))
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if str(state / "config.yml").encode() in words else None


if __name__ == "__main__":
    sys.exit(main())
