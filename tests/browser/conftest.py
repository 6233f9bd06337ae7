"""A team with its page in a real browser."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.playground import page as served
from tests.support.browser import Browser
from tests.support.desk import Desk
from tests.support.devtools import PROGRAMS
from tests.support.team import ANN, OPS, Team


@pytest.fixture(autouse=True)
def chromium() -> None:
    """Ubuntu's apt has no Chromium; everywhere else `make setup` has installed it."""
    if not any(shutil.which(program) for program in PROGRAMS):
        pytest.skip(f"none of {', '.join(PROGRAMS)} is installed")


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with Team.open(tmp_path) as made:
        yield made


@pytest.fixture
async def address(team: Team) -> AsyncIterator[str]:
    """Where the page of the team's workspace is."""
    page = await served.Page.start(team.slack)
    yield page.url
    await page.stop()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with Browser.open() as opened:
        yield opened


@pytest.fixture
async def desk(browser: Browser, address: str) -> AsyncIterator[Desk]:
    """Ann at the page. Whatever a test does: no errors, and nothing from elsewhere."""
    desk = Desk(await browser.page(address))
    await desk.ready()
    await desk.become(ANN)
    await desk.enter(OPS)
    yield desk
    assert desk.page.errors == []
    assert desk.page.foreign_requests == []
