"""The bot as a process of its own, as `registry-bot serve`, with shorter waits.

Usage: python run_bot.py CONFIG READY_FILE [--unhurried]

With --unhurried it waits as long as it does for its users. On SIGUSR1 it adds to READY_FILE how
many tasks it has.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from bot.operations.context import Timing
from bot.service import serve
from bot.settings import load
from bot.telemetry import configure_logging

TIMING = Timing(
    lease=1.5, letter=1.5, retry=0.2, edit=0.1, proof=10.0, preview=20.0, drain=3.0, members=1.0
)


def main(config: str, ready: str, how: str = "") -> None:
    # Without the secrets: what only their values betray must not be said at all.
    configure_logging()
    timing = Timing() if how == "--unhurried" else TIMING
    settings = load(Path(config), os.environ)

    def started(site: str) -> None:
        Path(ready).write_text(site)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, count)

    def count() -> None:
        with Path(ready).open("a") as file:
            file.write(f"\n{len(asyncio.all_tasks())}\n")

    asyncio.run(serve(settings, timing, started))


if __name__ == "__main__":
    main(*sys.argv[1:])
