"""Take the pictures of the manual: play the demo in a real browser and keep what it shows.

    python -m tools.pictures [DIRECTORY]

Starts `registry-bot demo` as anybody would, drives its page, and writes PNG files to
docs/pictures. Every picture is of what the bot really answered.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from tests.support.browser import Browser
from tests.support.desk import Desk

ROOT = Path(__file__).resolve().parents[1]
ANN, BOB, CAT = "U0ANN", "U0BOB", "U0CAT"
LARGEST = 200_000
_START = 90.0
_WIDTH, _PHONE_WIDTH, _HEIGHT = 1200, 390, 780


class TooLarge(Exception):
    """A picture is too large for a manual."""


class Camera:
    """Writes pictures and tells about them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def take(self, desk: Desk, name: str) -> None:
        """Write one picture of the window."""
        # The cursor blinks and buttons light up under the mouse: both look different each time.
        await desk.page.send("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
        await desk.page.evaluate("document.activeElement.blur?.()")
        size = await desk.page.screenshot(self._directory / f"{name}.png")
        sys.stdout.write(f"{name}.png\t{size:,} bytes\n")
        if size > LARGEST:
            raise TooLarge(f"{name}.png has {size:,} bytes, more than {LARGEST:,}")


@contextlib.asynccontextmanager
async def demo() -> AsyncIterator[str]:
    """Run the demo in a process of its own; its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bot", "demo", "--port", "0"),
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None  # noqa: S101
    said = ""
    try:
        async with asyncio.timeout(_START):
            while line := (await process.stdout.readline()).decode(errors="replace"):
                said += line
                if found := re.search(r"http://127\.0\.0\.1:\d+/\S*", line):
                    break
            else:
                raise RuntimeError(f"the demo did not start:\n{said}")
        # What it says later is not needed, but it must be able to say it.
        drain = asyncio.create_task(process.stdout.read())
        yield found[0]
        drain.cancel()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def play(desk: Desk, camera: Camera) -> None:
    """The story: Ann asks, Bob approves, and what is garbage goes."""
    await desk.become(ANN)
    await desk.run("help")
    await desk.answer("Decide")
    await camera.take(desk, "help")

    await desk.run("tags team/api")
    await desk.answer("1.10.0", "1.4.0")
    await camera.take(desk, "tags")

    await desk.run('delete team/api:1.4.0 --reason "1.4 is out of support"')
    request = await desk.message("R1", "Approve")
    await desk.become(BOB)
    await request.shows("Approve")
    await camera.take(desk, "request")

    await request.press("Approve")
    await request.shows("done", "Undo")
    await camera.take(desk, "done")

    await desk.become(ANN)
    await request.press("Purge now")
    ending = await desk.message("R2", "Approve")
    await desk.become(BOB)
    await ending.press("Approve")
    await request.shows("purged")
    await desk.become(ANN)
    await desk.run("gc")
    collecting = await desk.message("R3", "Approve")
    await desk.become(CAT)
    await collecting.press("Approve")
    report = await collecting.shows("Freed", timeout=120)
    await desk.message("Freed")
    await camera.take(desk, "gc")

    await desk.page.emulate(dark=True)
    await report.shows("Freed")
    await camera.take(desk, "dark")
    await desk.page.emulate(width=_PHONE_WIDTH, height=_HEIGHT)
    await desk.become(ANN)
    await desk.run("tags team/web")
    await desk.answer("2.0", "1.9")
    await camera.take(desk, "phone")


async def main(directory: Path) -> None:
    """Take all pictures; those of an earlier time stay until all new ones are there."""
    with tempfile.TemporaryDirectory() as made:
        async with demo() as address, Browser.open() as browser:
            page = await browser.page(address, width=_WIDTH, height=_HEIGHT)
            await page.send("Emulation.setTimezoneOverride", timezoneId="Europe/Berlin")
            desk = Desk(page)
            await desk.ready()
            await play(desk, Camera(Path(made)))
            if page.errors or page.foreign_requests:
                raise RuntimeError(f"the page complains: {page.errors} {page.foreign_requests}")
        directory.mkdir(parents=True, exist_ok=True)
        for picture in Path(made).glob("*.png"):
            shutil.copyfile(picture, directory / picture.name)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures"))
