"""The form, the details and the home tab as people see them: in a real browser."""

import pytest

from tests.support.desk import Desk
from tests.support.images import push_image
from tests.support.team import ANN, BOB, OPS, Team

pytestmark = pytest.mark.anyio

MODAL = '[data-testid="modal"]'


async def field(desk: Desk, name: str) -> str:
    """Where the input with a label is."""
    found = await desk.page.wait_for(
        f"""[...document.querySelectorAll('{MODAL} .block.input')].find(
          b => b.querySelector('.label').innerText.startsWith({name!r}))?.dataset.block"""
    )
    return f'{MODAL} [data-block="{found}"] :is(input, textarea)'


async def pick(desk: Desk, name: str, typed: str, choice: str) -> None:
    """Type into a menu and choose the first of what is offered, as soon as that is `choice`."""
    await desk.page.type(await field(desk, name), typed)
    await desk.page.wait_for(
        f"""[...document.querySelectorAll('{MODAL} .choice')].find(
          e => e.getClientRects().length)?.innerText.startsWith({choice!r})"""
    )
    await desk.page.press("Enter")


async def test_from_the_form_to_a_denial(team: Team, desk: Desk) -> None:
    for tag in ("1.4.0", "1.5.0"):
        await push_image(team.registry.url, "team/api", tag, layers=[tag.encode()])
    await push_image(team.registry.url, "team/web", "1")
    async with team.bot():
        await desk.run("")
        await desk.page.wait_for_text("What to do", MODAL)
        await pick(desk, "What to do", "delete", "delete:")
        await desk.page.wait_for_text("Tags", MODAL)
        await pick(desk, "Repository", "api", "team/api")
        await desk.page.wait_for(
            f"!document.querySelector('{MODAL}').innerText.includes('Choose the repository first')"
        )
        await pick(desk, "Tags", "1.4", "1.4.0 · ")
        await desk.page.type(await field(desk, "Reason"), "never used")
        await desk.page.click("modal-submit")
        await desk.page.wait_for_text("Nothing is asked for yet", MODAL)
        assert "never used" in await desk.page.text(MODAL)
        await desk.page.click("modal-submit", "Ask")
        await desk.page.wait_for_text("R1 is pending", MODAL)
        await desk.page.click("modal-close")
        request = await desk.message("R1", "1.4.0", "never used")

        await desk.become(BOB)
        await desk.page.click('[data-testid="home-open"]')
        await desk.page.wait_for_text("Waits for you", "#home")
        await desk.page.wait_for_text("R1", "#home")
        await desk.page.click("#home button", "Details")
        await desk.page.wait_for_text("Pinned", MODAL)
        await desk.page.click(f"{MODAL} button", "Deny")
        await desk.page.type(await field(desk, "Why not?"), "we run it")
        await desk.page.click("modal-submit", "Deny")
        await desk.page.wait_for_text("You denied R1", MODAL)
        await desk.page.click("modal-close")
        await desk.enter(OPS)
        await request.shows("denied", "we run it")

        await desk.become(ANN)
        await desk.run("delete team/api:1.4.O")
        answer = await desk.answer("has no tag 1.4.O")
        await answer.press("delete team/api:1.4.0")
        await desk.message("R2", "1.4.0")
    assert await team.tags("team/api") == ["1.4.0", "1.5.0"]
