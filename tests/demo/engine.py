"""Stands in for the command of a container engine: a "container" is the real registry itself.

    python engine.py STATE_DIR WORDS…

Knows the words that the playground uses and refuses all others. What it cannot show is how an
engine maps users and mounts folders. STATE_DIR/no-mount makes the storage invisible from outside.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path


def main(state: Path, words: list[str]) -> int:
    with (state / "calls").open("a", encoding="utf-8") as calls:
        calls.write(json.dumps(words) + "\n")
    verb, *rest = words
    if verb == "ps":
        names = [path.stem for path in state.glob("*.pid") if "--all" in rest or alive(path)]
        print("\n".join(names))
        return 0
    if verb in {"image", "pull"}:
        return 0
    if verb == "run":
        return run(state, rest)
    if verb == "rm":
        return remove(state / f"{rest[-1]}.pid")
    if verb == "exec" and rest[1:3] == ["registry", "garbage-collect"]:
        if not alive(state / f"{rest[0]}.pid"):
            return 1
        return subprocess.run([program(), *rest[2:]], check=False).returncode
    if verb == "exec" and rest[1:] == ["pgrep", "-f", "garbage-collect"]:
        return 1
    print(f"unknown: {words}", file=sys.stderr)
    return 125


def run(state: Path, words: list[str]) -> int:
    name = words[words.index("--name") + 1]
    published = words[words.index("--publish") + 1]
    found = re.fullmatch(r"127\.0\.0\.1:(\d+):\1", published)
    mounted = words[words.index("--volume") + 1].partition(":")
    assert found
    assert mounted[0] == mounted[2]
    assert words[words.index("--user") + 1] == f"{os.getuid()}:{os.getgid()}"
    environ = {**os.environ, "REGISTRY_HTTP_ADDR": f"127.0.0.1:{found[1]}"}
    if (state / "no-mount").exists():
        environ["REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY"] = str(state / "inside")
    with (state / "log").open("ab") as log:
        process = subprocess.Popen(
            [program(), *words[-2:]], stdout=log, stderr=log, start_new_session=True, env=environ
        )
    (state / f"{name}.pid").write_text(str(process.pid))
    return 0


def program() -> str:
    found = shutil.which("docker-registry", path="/usr/bin:/usr/local/bin:/bin")
    assert found
    return found


def alive(path: Path) -> bool:
    try:
        status = Path(f"/proc/{int(path.read_text())}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def remove(path: Path) -> int:
    if alive(path):
        os.kill(int(path.read_text()), signal.SIGKILL)
        while alive(path):
            time.sleep(0.01)
    path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
