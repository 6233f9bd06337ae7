"""The bot as a process of its own, as `registry-bot serve`, with shorter waits.

Usage: python run_bot.py CONFIG READY_FILE
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from bot.operations.context import Timing
from bot.service import Service
from bot.settings import load
from bot.telemetry import configure_logging

TIMING = Timing(
    lease=1.5, letter=1.5, retry=0.2, edit=0.1, proof=10.0, preview=20.0, drain=3.0, members=1.0
)


async def _main(config: Path, ready: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    settings = load(config, os.environ)
    await Service(settings, TIMING).run(stop, lambda site: ready.write_text(site) and None)


if __name__ == "__main__":
    configure_logging()
    asyncio.run(_main(Path(sys.argv[1]), Path(sys.argv[2])))
