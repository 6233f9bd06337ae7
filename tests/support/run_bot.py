"""The bot as a process of its own, as `registry-bot serve`, with shorter waits.

With --unhurried it waits as long as it does for its users; with --when it begins, as soon as it
can, when that file is there; with CALM in its environment it waits half as long, for when it has
very much to do. It can be held at exact moments of a collection: see moments.py. On SIGUSR1 it adds
to READY how many tasks it has.
"""

import argparse
import asyncio
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

from bot.operations.context import Timing
from bot.service import serve
from bot.settings import load
from bot.telemetry import configure_logging
from tests.support import moments

TIMING = Timing(
    lease=1.5, letter=1.5, retry=0.2, edit=0.1, proof=10.0, preview=20.0, drain=3.0, members=1.0
)

CALM = replace(TIMING, lease=4.0, letter=4.0, edit=0.5, proof=20.0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("ready", type=Path)
    parser.add_argument("--unhurried", action="store_true")
    parser.add_argument("--when", type=Path)
    given = parser.parse_args()
    # Without the secrets: what only their values betray must not be said at all.
    configure_logging()
    moments.install()
    while given.when and not given.when.exists():
        time.sleep(0.02)
    settings = load(given.config, os.environ)
    short = CALM if "CALM" in os.environ else TIMING
    timing = Timing() if given.unhurried else short

    def started(site: str) -> None:
        given.ready.write_text(site)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, count)

    def count() -> None:
        with given.ready.open("a") as file:
            file.write(f"\n{len(asyncio.all_tasks())}\n")

    asyncio.run(serve(settings, timing, started))


if __name__ == "__main__":
    main()
