"""The playground itself, in a real browser: two steps of approval, refusals, a denial."""

from collections.abc import AsyncIterator

import pytest

from bot.demo.cast import ANN, BOB, CAT, DEE
from tests.demo.driving import Demo
from tests.support.browser import Browser
from tests.support.desk import Desk

pytestmark = pytest.mark.anyio


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    made = await Demo.start()
    try:
        yield made
    finally:
        assert await made.end() == 0, made.output


@pytest.fixture
async def desk(browser: Browser, demo: Demo) -> AsyncIterator[Desk]:
    """Ann at the demo's page."""
    desk = Desk(await browser.page(demo.url))
    await desk.ready()
    await desk.become(ANN.id)
    yield desk
    assert desk.page.errors == []
    assert desk.page.foreign_requests == []


async def test_two_steps_and_a_refusal_for_who_counts_once(demo: Demo, desk: Desk) -> None:
    await desk.run("delete team/web:1.9 --reason 'out of support'")
    request = await desk.message("R1", "Approve", "oncall", "leads")
    await request.press("Approve")
    await desk.answer("You asked for this yourself")

    await desk.become(CAT.id)
    await request.press("Approve")
    await desk.answer("Your approval of R1 counts")
    await request.press("Approve")
    await desk.answer("One person counts once")
    assert "1.9" in (await demo.tags("team/web") or ())

    await desk.become(BOB.id)
    await request.press("Approve")
    await request.shows("done", "Undo")
    assert await demo.tags("team/web") == ["2.0"]


async def test_a_lead_says_no_and_why(demo: Demo, desk: Desk) -> None:
    await desk.run("delete team/web:2.0")
    request = await desk.message("R1", "Approve")
    await desk.become(BOB.id)
    await request.press("Approve")
    await desk.answer("Your approval of R1 counts")
    await desk.become(DEE.id)
    await request.press("Deny")
    await desk.page.wait_for_text("Why not?", "modal")
    await desk.page.type('[data-testid="modal"] textarea', "it is the newest one")
    await desk.page.click("modal-submit")
    await request.shows("denied", "it is the newest one")
    assert "2.0" in (await demo.tags("team/web") or ())
