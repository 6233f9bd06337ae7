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
from tests.support.desk import Desk, Shown

ROOT = Path(__file__).resolve().parents[1]
ANN, BOB, CAT = "U0ANN", "U0BOB", "U0CAT"
LARGEST = 220_000
_START = 90.0
_WIDTH, _WIDE, _PHONE_WIDTH = 1040, 1280, 390
_LOWEST, _HIGHEST, _GAP = 420, 1400, 8
_THREAD = 900  # a request and the whole thread below it

_TO_END = """(list => { list.scrollTop = list.scrollHeight; })(
  document.querySelector('[data-testid="messages"]'))"""
# How far below the beginning of the list a message begins, with the list scrolled to its end.
_ABOVE = """(list => { list.scrollTop = list.scrollHeight;
  return document.querySelector('%s').getBoundingClientRect().top
    - list.getBoundingClientRect().top; })(document.querySelector('[data-testid="messages"]'))"""


class TooLarge(Exception):
    """A picture is too large for a manual."""


class Camera:
    """Writes pictures and tells about them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def take(
        self,
        name: str,
        first: Shown,
        *,
        width: int = _WIDTH,
        lowest: int = _LOWEST,
        dark: bool = False,
    ) -> None:
        """Write one picture of the window, as high as it takes to begin with a message.

        `lowest` is its height at least, for what stands beside the messages.
        """
        page = first.desk.page
        # The cursor blinks and buttons light up under the mouse: both look different each time.
        await page.send("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
        await page.evaluate("document.activeElement.blur?.()")
        await page.emulate(dark=dark, width=width, height=_HIGHEST)
        height = _HIGHEST - int(await page.evaluate(_ABOVE % first.where)) + _GAP
        await page.emulate(dark=dark, width=width, height=min(max(height, lowest), _HIGHEST))
        await page.evaluate(_TO_END)
        size = await page.screenshot(self._directory / f"{name}.png")
        sys.stdout.write(f"{name}.png\t{size:,} bytes\n")
        if size > LARGEST:
            raise TooLarge(f"{name}.png has {size:,} bytes, more than {LARGEST:,}")

    async def take_part(self, name: str, desk: Desk, where: str) -> None:
        """Write a picture of one element."""
        size = await desk.page.screenshot(self._directory / f"{name}.png", where)
        sys.stdout.write(f"{name}.png\t{size:,} bytes\n")


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
    await desk.run("help delete")
    await camera.take("help", await desk.answer("Your rights here"))
    await desk.run("tags team/api")
    await camera.take("tags", await desk.answer("1.10.0", "1.4.0"))

    await desk.run('delete team/api:1.4.0 --reason "1.4 is out of support"')
    request = await desk.message("R1", "Approve")
    await desk.become(BOB)
    await request.shows("Approve")
    await camera.take("request", request)
    await camera.take("phone", request, width=_PHONE_WIDTH)
    await request.press("Approve")
    await request.shows("done", "Undo")
    await camera.take("done", request)

    await desk.become(ANN)
    await _make_garbage(desk)
    await desk.become(ANN)
    await desk.run("gc")
    collecting = await desk.message("R4", "Approve")
    await desk.become(CAT)
    await collecting.press("Approve")
    await collecting.shows("Freed", timeout=120)
    await desk.page.click(f'{collecting.where} [data-testid="thread-open"]')
    await desk.page.wait_for_text("Freed", '[data-testid="thread"]', 30)
    await camera.take("gc", collecting, width=_WIDE, lowest=_THREAD)
    await camera.take("dark", collecting, width=_WIDE, lowest=_THREAD, dark=True)


async def play_together(desk: Desk, camera: Camera) -> None:
    """Two steps of approval, a preview of a cleanup, and the form."""
    await desk.become(ANN)
    await desk.run('delete team/web:1.9 --reason "out of support"')
    request = await desk.message("team/web", "Approve", "leads")
    await desk.become(CAT)
    await request.press("Approve")
    await request.shows("approved by")
    await camera.take("steps", request)
    await desk.become(ANN)
    await desk.run("cleanup ci/api")
    await camera.take("cleanup", await desk.message("ci/api", "Request it"))
    await desk.run("")
    await desk.page.wait_for_text("Repository", "modal")
    await camera.take_part("form", desk, "modal")


async def _make_garbage(desk: Desk) -> None:
    """Delete the old images of pull requests for good, so that a collection has what to do."""
    await desk.run("delete ci/api:pr-*")
    pile = await desk.message("R2", "Confirm")
    await pile.press("Confirm")
    await pile.shows("done", "Purge now", timeout=120)
    await pile.press("Purge now")
    ending = await desk.message("R3", "Approve")
    await desk.become(BOB)
    await ending.press("Approve")
    await pile.shows("purged", timeout=120)


async def main(directory: Path) -> None:
    """Take all pictures; those of an earlier time stay until all new ones are there."""
    with tempfile.TemporaryDirectory() as made:
        for story in (play_together, play):
            async with demo() as address, Browser.open() as browser:
                page = await browser.page(address, width=_WIDTH, height=_HIGHEST)
                await page.send("Emulation.setTimezoneOverride", timezoneId="Europe/Berlin")
                desk = Desk(page)
                await desk.ready()
                await story(desk, Camera(Path(made)))
                if page.errors or page.foreign_requests:
                    raise RuntimeError(f"the page complains: {page.errors} {page.foreign_requests}")
        directory.mkdir(parents=True, exist_ok=True)
        for picture in Path(made).glob("*.png"):
            shutil.copyfile(picture, directory / picture.name)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures"))
