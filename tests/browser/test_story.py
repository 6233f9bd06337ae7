"""Two people delete, bring back and collect on the playground's page, in a real browser."""

import os
from typing import Any

import httpx
import pytest

from tests.support.desk import Desk
from tests.support.images import pull, push_image
from tests.support.team import ANN, BOB, OPS, Team

pytestmark = pytest.mark.anyio

IMAGE = "<img src=x onerror=alert(1)>"
HOSTILE = f"{IMAGE} <!channel> <@{BOB}> <https://example.invalid|good> &lt;b&gt; *bold*"


async def _post(team: Team, *blocks: dict[str, Any], text: str = "text") -> None:
    """Post as the app, whatever it would never post itself."""
    sent = {"channel": OPS, "text": text, "blocks": blocks}
    token = {"Authorization": f"Bearer {team.slack.bot_token}"}
    async with httpx.AsyncClient(verify=False) as http:
        answer = await http.post(f"{team.slack.api_url}chat.postMessage", json=sent, headers=token)
        assert answer.json()["ok"], answer.text


async def test_two_people_delete_undo_purge_and_collect(team: Team, desk: Desk) -> None:
    url = team.registry.url
    await push_image(url, "team/api", "1.5.0", layers=[b"stays"])
    before = team.registry.blob_digests()
    pushed = await push_image(url, "team/api", "1.4.0", layers=[os.urandom(100_000)])
    async with team.bot():
        await desk.run("tags team/api")
        table = await desk.answer("1.4.0", "1.5.0", "Only visible to you")
        assert "Share" in await table.buttons()
        assert await desk.page.count(f"{table.where} table") == 1

        await desk.run("delete team/api:1.4.0 --reason old")
        request = await desk.message("team/api", "1.4.0", "R1")
        await request.press("Approve")
        await desk.answer("yourself")
        assert "1.4.0" in await team.tags("team/api")

        await desk.become(BOB)
        await request.press("Approve")
        await request.shows("done", "Undo")
        assert await team.tags("team/api") == ["1.5.0"]

        await request.press("Undo")
        back = await desk.message("R2", "put back")
        await back.press("Confirm")
        await back.shows("restored")
        await request.shows("undone")
        await pull(url, "team/api", pushed.digest)
        assert await team.tags("team/api") == ["1.4.0", "1.5.0"]

        await desk.become(ANN)
        await desk.run("delete team/api:1.4.0 --reason again")
        second = await desk.message("R3", "again")
        await desk.become(BOB)
        await second.press("Approve")
        await second.shows("done", "Purge now")
        await desk.become(ANN)
        await second.press("Purge now")
        ending = await desk.message("R4", "end the undo window")
        await desk.become(BOB)
        await ending.press("Approve")
        await second.shows("purged")

        garbage = team.registry.blob_digests() - before
        freed = sum(team.registry.blob_path(d).stat().st_size for d in garbage)
        await desk.become(ANN)
        await desk.run("gc")
        collecting = await desk.message("R5", "Approve")
        await desk.become(BOB)
        await collecting.press("Approve")
        await collecting.shows("Freed", f"{freed:,} bytes")
    assert team.registry.blob_digests() == before
    assert await team.tags("team/api") == ["1.5.0"]
    assert await team.is_writable()
    await pull(url, "team/api", "1.5.0")


async def test_what_people_and_images_say_is_text(team: Team, desk: Desk) -> None:
    labels = {IMAGE: HOSTILE, "maintainer": HOSTILE}
    await push_image(team.registry.url, "team/api", "1.4.0", labels=labels)
    team.slack.add_user(ANN, f"{IMAGE}<b>Ann</b>")
    async with team.bot():
        await desk.run(f"delete team/api:1.4.0 --reason '{HOSTILE}'")
        request = await desk.message("R1", "1.4.0", f"@{IMAGE}<b>Ann</b>", f"Why {IMAGE}")
        # Mentions are made by the bot alone: who asks and who may approve.
        assert await desk.page.count(f"{request.where} .mention.everyone") == 0
        assert await desk.page.count(f"{request.where} .mention") == 3
        assert await desk.page.count(f"{request.where} a") == 0
        await desk.run("inspect team/api:1.4.0")
        await desk.answer("docker pull")
        await desk.run(f"tags '{HOSTILE}'")
        await desk.answer("is not a repository name", IMAGE)
    made = "[...document.querySelectorAll('[onerror], img[src=x]')]"
    assert await desk.page.evaluate(f"{made}.map(e => e.outerHTML)") == []


async def test_raw_markup_from_the_app_is_text(team: Team, desk: Desk) -> None:
    """An app could send any text: the page draws Slack's markup and nothing else."""
    nasty = '<script>document.title="taken"</script><img src=x onerror=alert(1)>'
    link = "<javascript:alert(1)|press me> `<b>code</b>` <https://example.invalid/|good>"
    await _post(
        team,
        {"type": "header", "text": {"type": "plain_text", "text": f"h {nasty}"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": f"*bold* {nasty}"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": link}},
        {"type": "markdown", "text": f"**strong** {nasty} [x](javascript:alert(1))"},
        text=nasty,
    )
    message = await desk.message("bold", "strong")
    assert "*bold*" not in await message.text()
    assert await desk.page.count(f"{message.where} script, {message.where} img[src=x]") == 0
    links = f"[...document.querySelectorAll({(message.where + ' a')!r})].map(a => a.protocol)"
    assert set(await desk.page.evaluate(links)) == {"https:"}
    assert await desk.page.evaluate("document.title") != "taken"


async def test_everything_with_the_keyboard(team: Team, desk: Desk) -> None:
    await push_image(team.registry.url, "scratch/x", "1")
    page = desk.page
    async with team.bot():
        await page.evaluate("document.activeElement.blur?.()")
        await _tab_to(desk, "e.dataset.testid === 'composer'")
        await page.insert("/registry delete scratch/x:1")
        await _tab_to(desk, "e.dataset.testid === 'send'")
        await page.press("Enter")
        request = await desk.message("R1", "Confirm")
        await _tab_to(desk, f"e.closest({request.where!r}) && e.textContent.trim() === 'Confirm'")
        await page.press("Enter")
        await request.shows("done", "Purge now")
    assert await team.tags("scratch/x") == []


async def test_a_dialog_keeps_the_focus_and_gives_it_back(team: Team, desk: Desk) -> None:
    page = desk.page
    words = {name: {"type": "plain_text", "text": name} for name in ("title", "confirm", "deny")}
    confirm = {**words, "text": {"type": "plain_text", "text": "Really?"}}
    label = {"type": "plain_text", "text": "Careful"}
    button = {"type": "button", "action_id": "careful", "text": label, "confirm": confirm}
    await _post(team, {"type": "actions", "block_id": "b", "elements": [button]})
    await page.wait_for("[...document.querySelectorAll('button')].some(b => b.innerText === 'Careful')")  # fmt: skip # noqa: E501
    await _tab_to(desk, "e.textContent.trim() === 'Careful'")
    for key in ("Enter", " "):
        await page.press(key)
        dialog = "document.querySelector('[data-testid=confirm-ok]')?.closest('dialog,[role=dialog]')"  # fmt: skip # noqa: E501
        await page.wait_for(f"{dialog}?.contains(document.activeElement)")
        for _ in range(5):
            await page.press("Tab")
            where = "document.activeElement"
            # A native dialog lets Tab leave for the browser itself, never for the page beneath.
            assert await page.evaluate(f"{where} === document.body || {dialog}.contains({where})")
        await page.press("Escape")
        await page.wait_for(f"!{dialog}?.getClientRects().length")
        await page.wait_for("document.activeElement.textContent.trim() === 'Careful'")
    # Nobody runs the app here: a click that was sent would be told as failed.
    assert await page.count("#toasts > *") == 0
    await page.press("Enter")
    await page.click("confirm-ok")
    await page.wait_for("document.querySelectorAll('#toasts > *').length")


async def _tab_to(desk: Desk, condition: str) -> None:
    """Press Tab until the focus is where it should be; it must come there."""
    test = f"(e => {condition})(document.activeElement)"
    for backwards in (False, True):
        for _ in range(40):
            if await desk.page.evaluate(f"!!({test})"):
                return
            await desk.page.press("Tab", shift=backwards)
    raise AssertionError(f"Tab never came to {condition}")


@pytest.mark.parametrize("width", [390, 820])
async def test_nothing_is_wider_than_a_small_window(team: Team, desk: Desk, width: int) -> None:
    await push_image(team.registry.url, "team/" + "long-name/" * 8 + "api", "v" + "1" * 60)
    await push_image(team.registry.url, "team/api", "1.4.0")
    page = desk.page
    await page.emulate(width=width, height=800)
    async with team.bot():
        for command, expected in [
            ("help", "Decide"),
            ("tags team/api", "1.4.0"),
            ("tags team/" + "long-name/" * 8 + "api", "1" * 60),
            ("inspect team/api:1.4.0", "docker pull"),
            ("status", "answers"),
        ]:
            await desk.run(command)
            await desk.answer(expected)
        await desk.run("delete team/api:1.4.0 --reason " + "x" * 200)
        await desk.message("R1", "Approve")
        # On a phone that is too narrow `innerWidth` grows with what overflows: not compared.
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        # Nor is anything cut off at the side, where no scrolling would reach it.
        buttons = "[...document.querySelectorAll('[data-testid=messages] button')]"
        right = f"{buttons}.map(b => b.getBoundingClientRect().right)"
        assert await page.evaluate(f"Math.max(...{right})") <= width
        composer = "document.querySelector('[data-testid=composer]').getBoundingClientRect()"
        assert await page.evaluate(f"{composer}.right <= {width} && {composer}.bottom <= 800")
