"""The two bots as processes: born quickly, watched over, and open to every signal."""

import asyncio
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tests.support.controlled_registry import SLOW_COLLECT
from tests.support.proxy import Proxy

_NURSERY = Path(__file__).with_name("nursery.py")
_ROOT = Path(__file__).resolve().parents[2]


class Nursery:
    """Where bots are born; see nursery.py."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, str(_NURSERY)],
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:  # closes its input, and waits
            pass

    def bear(self, order: dict[str, Any]) -> int:
        """A new bot; the id of its process."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


class Replica:
    """One of the two bots, with a supervisor that starts it again whenever it is not there."""

    def __init__(self, nursery: Nursery, order: dict[str, Any], line: Proxy) -> None:
        self.line = line
        self.down = 0
        self.starts = 0
        self._nursery = nursery
        self._order = order
        self._ready = Path(order["ready"])
        self._pid = 0
        self._process: int | None = None  # stands for it also when its id is used again

    @property
    def is_alive(self) -> bool:
        """Whether there is a process, frozen or not."""
        return self._process is not None and not select.select([self._process], [], [], 0)[0]

    @property
    def is_ready(self) -> bool:
        """Whether it has said that it serves."""
        return self.is_alive and self._ready.exists() and bool(self._ready.read_text())

    @property
    def is_collecting(self) -> bool:
        """Whether a collection that it has started is its child."""
        children = " ".join(
            found.read_text() for found in Path(f"/proc/{self._pid}/task").glob("*/children")
        )
        lines = [Path(f"/proc/{child}/cmdline").read_bytes() for child in children.split()]
        return any(SLOW_COLLECT.name.encode() in line for line in lines)

    async def keep(self) -> None:
        """Supervise."""
        while True:
            if not self.down and not self.is_alive:
                self._let_go()
                self._ready.unlink(missing_ok=True)
                self._pid = self._nursery.bear(self._order)
                self._process = os.pidfd_open(self._pid)
                self.starts += 1
            await asyncio.sleep(0.1)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it, if it lives."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, number)

    def _let_go(self) -> None:
        if self._process is not None:
            os.close(self._process)
            self._process = None

    def end(self) -> None:
        """Kill it for good."""
        self.down += 1
        self.send(signal.SIGKILL)
        self._let_go()
