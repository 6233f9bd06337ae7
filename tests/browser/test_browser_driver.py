"""The driver of the browser itself, on a small page: what it reports can be believed."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.browser import Browser, BrowserError, Page

pytestmark = pytest.mark.anyio

HTML = """<!doctype html><html lang="en"><head>
<meta name="viewport" content="width=device-width, minimum-scale=1">
<link rel="icon" href="data:,"><title>t</title>
<style>body { background: rgb(255, 255, 255); margin: 0 }
@media (prefers-color-scheme: dark) { body { background: rgb(0, 0, 0) } }</style></head><body>
<input data-testid="field"><button data-testid="add">Add</button>
<button class="twice">Same</button><button class="twice">Same</button>
<button id="covered" style="position:absolute;left:0;top:300px">Covered</button>
<div style="position:absolute;left:0;top:290px;width:200px;height:60px;background:#eee"></div>
<select data-testid="who"><option value="a">A</option><option value="b">B</option></select>
<ul id="list"></ul><p id="said"></p>
<script>
const say = text => { document.querySelector("#said").textContent = text; };
const field = document.querySelector("input");
document.querySelector("[data-testid=add]").onclick = e => setTimeout(() => {
  const item = document.createElement("li"); item.textContent = field.value;
  document.querySelector("#list").append(item); say("trusted " + e.isTrusted);
}, 50);
field.onkeydown = e => { if (e.key === "Enter") say("entered " + field.value); };
document.querySelectorAll(".twice").forEach((b, n) => b.onclick = () => say("same " + n));
document.querySelector("select").onchange = e => say("chose " + e.target.value);
</script></body></html>"""


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async def index(_: web.Request) -> web.Response:
        return web.Response(text=HTML, content_type="text/html")

    site = web.Application()
    site.router.add_get("/", index)
    runner = web.AppRunner(site)
    await runner.setup()
    tcp = web.TCPSite(runner, "127.0.0.1", 0)
    await tcp.start()
    host, port = runner.addresses[0][:2]
    async with Browser.open() as browser:
        yield await browser.page(f"http://{host}:{port}/")
    await runner.cleanup()


async def test_types_clicks_and_waits(page: Page) -> None:
    await page.type("field", "first <b>&")
    await page.click("add", "Add")
    await page.wait_for_text("first <b>&", "#list")
    await page.wait_for_text("trusted true")
    await page.type("field", "second")
    assert await page.evaluate("document.querySelector('input').value") == "second"
    await page.press("Enter")
    await page.wait_for_text("entered second")
    await page.click(".twice", "Same")
    assert await page.text("#said") == "same 1"
    await page.choose("who", "b")
    assert await page.text("#said") == "chose b"
    assert await page.count("#list li") == 1
    assert page.errors == []
    assert page.foreign_requests == []


async def test_the_keyboard_moves_the_focus(page: Page) -> None:
    await page.press("Tab")
    assert await page.evaluate("document.activeElement.dataset.testid") == "field"
    await page.press("x")
    await page.press("Tab")
    await page.press("Enter")
    await page.wait_for_text("x", "#list")
    await page.press("Tab", shift=True)
    assert await page.evaluate("document.activeElement.dataset.testid") == "field"


async def test_what_never_comes_and_what_is_covered_is_an_error(page: Page) -> None:
    with pytest.raises(BrowserError, match="never true"):
        await page.wait_for("false", timeout=0.3)
    with pytest.raises(BrowserError, match="never true"):
        await page.click("#covered", timeout=0.3)
    with pytest.raises(BrowserError, match="never true"):
        await page.click("add", "Ad", timeout=0.3)
    with pytest.raises(BrowserError, match="not defined"):
        await page.evaluate("nothing_there")


async def test_errors_dialogs_and_foreign_requests_are_collected(page: Page) -> None:
    await page.evaluate("console.error('bad thing'); setTimeout(() => missing(), 0); 1")
    await page.evaluate("alert('hello'); fetch('http://example.invalid/x').catch(() => 1)")
    await page.evaluate("new Promise(r => setTimeout(r, 0))")
    errors = "\n".join(page.errors)
    assert "bad thing" in errors
    assert "missing is not defined" in errors
    assert "dialog: hello" in errors
    assert page.foreign_requests == ["http://example.invalid/x"]


async def test_a_wait_survives_a_navigation(page: Page) -> None:
    await page.evaluate("setTimeout(() => { location.search = 'again' }, 50); 1")
    await page.wait_for("location.search === '?again' && document.readyState === 'complete'")


async def test_dark_small_and_pictures(page: Page, tmp_path: Path) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    assert await page.evaluate(colour) == "rgb(255, 255, 255)"
    await page.emulate(dark=True, width=390, height=700)
    assert await page.evaluate(colour) == "rgb(0, 0, 0)"
    assert await page.evaluate("[innerWidth, innerHeight].join()") == "390,700"
    size = await page.screenshot(tmp_path / "new" / "window.png")
    data = (tmp_path / "new" / "window.png").read_bytes()
    assert len(data) == size
    assert data.startswith(b"\x89PNG")
    assert [int.from_bytes(data[n : n + 4], "big") for n in (16, 20)] == [390, 700]
    await page.screenshot(tmp_path / "field.png", "field")
    part = (tmp_path / "field.png").read_bytes()
    assert int.from_bytes(part[16:20], "big") < 390


def _living(group: int) -> list[str]:
    """The processes of a group that still run (one that only waits to be reaped does not)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append(stat.read_text())
    return found


async def _fail_in_the_middle(directory: Path, opened: list[Browser]) -> None:
    async with Browser.open() as browser:
        opened.append(browser)
        await browser.page("about:blank#")
        assert list(directory.glob("browser-*"))
        assert len(_living(browser.process.pid)) > 1
        raise RuntimeError("in the middle")


async def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    opened: list[Browser] = []
    with pytest.raises(RuntimeError, match="in the middle"):
        await _fail_in_the_middle(tmp_path, opened)
    assert list(tmp_path.glob("browser-*")) == []
    assert opened[0].process.returncode is not None
    assert _living(opened[0].process.pid) == []


async def test_a_browser_that_does_not_start_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\necho 'missing library' >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(BrowserError, match="missing library"):
        async with Browser.open(str(broken)):
            pass
