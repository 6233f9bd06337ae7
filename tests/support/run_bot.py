"""The bot as a process of its own, as `registry-bot serve`, with shorter waits.

Usage: python run_bot.py CONFIG READY_FILE [--unhurried]

With --unhurried it waits as long as it does for its users.
"""

import asyncio
import os
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
    # Everything, and without the secrets: what only their values betray must not be said at all.
    configure_logging("debug")
    timing = Timing() if how == "--unhurried" else TIMING
    settings = load(Path(config), os.environ)
    asyncio.run(serve(settings, timing, lambda site: Path(ready).write_text(site) and None))


if __name__ == "__main__":
    main(*sys.argv[1:])
