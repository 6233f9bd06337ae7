"""One process of the bot, with its own log, that can be killed, paused and asked to end."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_RUN_BOT = Path(__file__).with_name("run_bot.py")
_ROOT = Path(__file__).resolve().parents[2]


class Replica:
    """A process that was spawned. Make one with :meth:`spawn`.

    `site` is the address of its own small server; `log` is the file with all that it said.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path, ready: Path) -> None:
        self.process = process
        self.log = log
        self._ready = ready
        self.site = ""

    @classmethod
    async def spawn(
        cls,
        directory: Path,
        config: Path,
        environ: Mapping[str, str],
        *,
        name: str = "bot",
        unhurried: bool = False,
        when: Path | None = None,
    ) -> "Replica":
        """Start it and wait until it is ready.

        Parameters
        ----------
        directory : where its log and the file that says it is ready go, both under `name`.
        environ : what it finds in its environment besides ours.
        unhurried : with the waits that its users have, not the short ones of tests.
        when : it is loaded, and begins when this file is there.
        """
        ready, log = directory / f"{name}.ready", directory / f"{name}.log"
        ready.unlink(missing_ok=True)
        argv = [sys.executable, str(_RUN_BOT), str(config), str(ready)]
        argv += ["--unhurried"] if unhurried else []
        argv += ["--when", str(when)] if when else []
        with log.open("ab") as output:
            process = subprocess.Popen(
                argv,
                env={**os.environ, **environ, "PYTHONPATH": str(_ROOT)},
                # Where there is no SQLite file, the files of collections go here.
                cwd=directory,
                stdout=output,
                stderr=output,
            )
        replica = cls(process, log, ready)
        async with asyncio.timeout(120):
            while not (ready.exists() and ready.read_text()):
                if not replica.is_alive:
                    raise RuntimeError(log.read_text()[-4000:])
                await asyncio.sleep(0.02)
        replica.site = ready.read_text()
        return replica

    @property
    def is_alive(self) -> bool:
        """Whether the process is there."""
        return self.process.poll() is None

    def kill(self) -> None:
        """End it with SIGKILL, if it lives."""
        if self.is_alive:
            self.process.kill()
        self.process.wait(20)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def tasks(self) -> int:
        """How many tasks it has right now."""
        before = self._ready.read_text()
        self.signal(signal.SIGUSR1)
        async with asyncio.timeout(20):
            while not (told := self._ready.read_text()[len(before) :]).endswith("\n"):
                await asyncio.sleep(0.02)
        return int(told)

    async def ended(self, timeout: float = 20.0) -> int:
        """Wait for its end; its exit code."""
        async with asyncio.timeout(timeout):
            # The workspace lives in this event loop: waiting must not block it.
            while self.is_alive:
                await asyncio.sleep(0.02)
        return self.process.returncode

    async def terminate(self, timeout: float = 20.0) -> int:
        """Ask it to end, as a supervisor does; its exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended(timeout)
