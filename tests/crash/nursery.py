"""Forks bots from a process that has imported everything: a start takes moments, not seconds.

    python nursery.py

Reads orders from standard input, one JSON object in a line, and answers each with the process id
of a new bot. It ends, and its bots with it, when its input does.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from bot.operations.context import Timing
from bot.service import Service
from bot.settings import load
from bot.slack.socket import Pace
from bot.telemetry import configure_logging

TIMING = Timing(
    lease=3.0, letter=3.0, retry=0.2, edit=0.2, proof=10.0, preview=20.0, drain=3.0, members=1.0
)
PACE = Pace(pause=0.1, longest=0.5, open=5.0, quiet=2.0)


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody here asks how they ended
    born = []
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _live(order)
        born.append(pid)
        print(pid, flush=True)
    for pid in born:
        with contextlib.suppress(ProcessLookupError):
            if _parent(pid) == str(os.getpid()):
                os.kill(pid, signal.SIGKILL)


def _parent(pid: int) -> str:
    """Of which process it is a child; "" where it is none any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
    except OSError:
        return ""


def _live(order: dict[str, Any]) -> None:
    """Be a bot. Never returns."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.chdir(order["directory"])
        os.environ.update(order["environ"])
        log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        null = os.open(os.devnull, os.O_RDONLY)
        for wanted, descriptor in enumerate((null, log, log)):
            os.dup2(descriptor, wanted)
        configure_logging()
        asyncio.run(_serve(Path(order["config"]), Path(order["ready"])))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


async def _serve(config: Path, ready: Path) -> None:
    service = Service(load(config, os.environ), TIMING, PACE)
    await service.run(asyncio.Event(), lambda site: ready.write_text(site) and None)


if __name__ == "__main__":
    main()
