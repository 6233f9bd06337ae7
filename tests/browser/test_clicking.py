"""The tool that clicks in these tests: no click is lost on what is drawn anew under it."""

from urllib.parse import quote

import pytest

from tests.support.browser import Browser

pytestmark = pytest.mark.anyio

# The first press of the mouse puts another button in the place of the one that is pressed.
PAGE = """<button>Go</button><script>
  window.clicked = 0;
  const watch = e => e.addEventListener("click", () => { window.clicked += 1; });
  watch(document.querySelector("button"));
  document.addEventListener("mousedown", e => {
    const made = e.target.cloneNode(true); watch(made); e.target.replaceWith(made);
  }, {once: true});
</script>"""


async def test_a_click_that_was_drawn_away_is_made_again_and_once(browser: Browser) -> None:
    page = await browser.page(f"data:text/html,{quote(PAGE)}")
    await page.click("body button", "Go")
    assert await page.evaluate("window.clicked") == 1
    await page.click("body button", "Go")
    assert await page.evaluate("window.clicked") == 2
