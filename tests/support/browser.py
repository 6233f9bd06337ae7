"""A real Chromium without a window, driven over its DevTools protocol.

Small on purpose: what the tests of the playground's page and the pictures of the manual need.
Waiting is done inside the page (a promise that looks again after every change of the document),
mouse and keyboard are the browser's own events, and what a test must never miss is collected:
errors of the console, exceptions, dialogs, and requests to another host.
"""

import base64
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.devtools import BrowserError, DevTools

# key -> (code, Windows key code, the text it types)
_KEYS = {
    "Enter": ("Enter", 13, "\r"),
    "Tab": ("Tab", 9, ""),
    "Escape": ("Escape", 27, ""),
    "Backspace": ("Backspace", 8, ""),
    " ": ("Space", 32, " "),
    "ArrowUp": ("ArrowUp", 38, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
    "Home": ("Home", 36, ""),
    "End": ("End", 35, ""),
}

# Looks at once, after every change of the document, and ten times a second for what changes
# without one (focus, a property, the size of the window).
_WAIT = """new Promise((resolve, reject) => {
  const end = (how, value) => { watch.disconnect(); clearInterval(tick); clearTimeout(late); how(value); };
  const look = () => { let found; try { found = (%s); } catch (e) { return; }
    if (found) end(resolve, found); };
  const watch = new MutationObserver(look);
  watch.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
  const tick = setInterval(look, 100);
  const late = setTimeout(() => end(resolve, null), %d);
  look();
})"""  # noqa: E501

# Two frames: what the last change brought is drawn by then.
_DRAWN = "new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => r(1))))"

# The last element that fits, as the newest message stands last: its middle, if a click gets there.
_PLACE = """(() => {
  const all = [...document.querySelectorAll(%s)].filter(e => e.getClientRects().length
    && !e.disabled && (%s === null || e.textContent.trim() === %s));
  const found = all[all.length - 1];
  if (!found) return null;
  found.scrollIntoView({block: "nearest", inline: "nearest", behavior: "instant"});
  const box = found.getClientRects()[0];
  const at = {x: box.x + box.width / 2, y: box.y + box.height / 2};
  const top = document.elementFromPoint(at.x, at.y);
  return top && (found === top || found.contains(top) || top.contains(found)) ? at : null;
})()"""

# Remembers whether the next click gets to an element that fits, whatever the page makes of it.
_WATCH = """document.addEventListener("click", e => {
  window.clickArrived = [...document.querySelectorAll(%s)].some(one =>
    (one.contains(e.target) || e.target.closest("label")?.contains(one))
    && (%s === null || one.textContent.trim() === %s));
}, {capture: true, once: true}); window.clickArrived = false"""


def selector(text: str) -> str:
    """A CSS selector as it is; a bare word such as `composer` means that `data-testid`."""
    return f'[data-testid="{text}"]' if text.replace("-", "").isalnum() else text


class Page:
    """One tab with cookies of its own."""

    def __init__(self, browser: DevTools, session: str, url: str) -> None:
        self._browser, self._session = browser, session
        browser.listen(session, self._heard)
        self._own = urlsplit(url).netloc
        self.url = url
        self.errors: list[str] = []
        self.foreign_requests: list[str] = []

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the DevTools protocol to this tab."""
        return await self._browser.send(method, self._session, **parameters)

    def _heard(self, method: str, given: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = given["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and given["type"] in ("error", "assert"):
            said = [str(a.get("value", a.get("description", ""))) for a in given["args"]]
            self.errors.append(" ".join(said))
        elif method == "Log.entryAdded" and given["entry"]["level"] == "error":
            entry = given["entry"]
            self.errors.append(f"{entry['text']} {entry.get('url', '')}")
        elif method == "Page.javascriptDialogOpening":
            self.errors.append(f"dialog: {given['message']}")
            self._browser.later(self.send("Page.handleJavaScriptDialog", accept=False))
        elif method == "Network.requestWillBeSent":
            self._asked(given["request"]["url"])
        elif method == "Network.webSocketCreated":
            self._asked(given["url"])
        elif method == "Inspector.targetCrashed":
            self.errors.append("the tab crashed")

    def _asked(self, url: str) -> None:
        where = urlsplit(url)
        if where.scheme in ("http", "https", "ws", "wss") and where.netloc != self._own:
            self.foreign_requests.append(url)

    async def start(self, width: int, height: int, dark: bool) -> None:
        """Listen to everything, then open the address."""
        for domain in ("Page", "Runtime", "Network", "Log", "Inspector"):
            await self.send(f"{domain}.enable")
        await self.emulate(dark=dark, width=width, height=height)
        answer = await self.send("Page.navigate", url=self.url)
        if answer.get("errorText"):
            raise BrowserError(f"{self.url} did not open: {answer['errorText']}")
        await self.wait_for("location.href !== 'about:blank' && document.readyState === 'complete'")

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        answer = await self.send(
            "Runtime.evaluate",
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            said = details.get("exception", {}).get("description") or details["text"]
            raise BrowserError(f"{said} in {expression[:200]}")
        return answer["result"].get("value")

    async def wait_for(self, expression: str, timeout: float = 10.0) -> Any:
        """Wait until a JavaScript expression holds; its value.

        An expression that throws does not hold yet. A navigation meanwhile starts the wait anew.
        `timeout` is in seconds; BrowserError after it, with the text that the page shows.
        """
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            try:
                if value := await self.evaluate(_WAIT % (expression, int(left * 1000))):
                    return value
            except BrowserError as error:
                # The document went away under the promise: the next one is asked.
                if not any(word in str(error) for word in ("context", "navigated", "collected")):
                    raise
        seen = await self.evaluate("document.body ? document.body.innerText : ''")
        raise BrowserError(f"never true: {expression}\nerrors: {self.errors}\nshown:\n{seen}")

    async def wait_for_text(self, text: str, where: str = ":root", timeout: float = 10.0) -> None:
        """Wait until an element that fits shows this text."""
        found, wanted = json.dumps(selector(where)), json.dumps(text)
        await self.wait_for(
            f"[...document.querySelectorAll({found})].some(e => e.innerText.includes({wanted}))",
            timeout,
        )

    async def text(self, where: str) -> str:
        """What the last element that fits shows; "" if there is none."""
        found = json.dumps(selector(where))
        return str(await self.evaluate(f"[...document.querySelectorAll({found})].at(-1)?.innerText ?? ''"))  # fmt: skip # noqa: E501

    async def count(self, where: str) -> int:
        """How many elements fit."""
        return int(
            await self.evaluate(f"document.querySelectorAll({json.dumps(selector(where))}).length")
        )

    async def click(self, where: str, text: str | None = None, timeout: float = 10.0) -> None:
        """Click the last element that fits and, if given, has exactly this text.

        Waits until it is there, enabled, and not covered by something else. What is drawn anew
        between the look and the click is clicked again, as a person would: a browser gives a
        click to nobody whose element went away between the press and the release.
        """
        found, wanted = json.dumps(selector(where)), json.dumps(text)
        end = time.monotonic() + timeout
        while True:
            at = await self._place(_PLACE % (found, wanted, wanted), end - time.monotonic())
            await self.evaluate(_WATCH % (found, wanted, wanted))
            for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
                pressed = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
                await self.send(
                    "Input.dispatchMouseEvent", type=kind, x=at["x"], y=at["y"], **pressed
                )
            # Another document knows nothing of the watch: the click has led there.
            if await self.evaluate("window.clickArrived !== false"):
                return

    async def _place(self, place: str, timeout: float) -> dict[str, float]:
        """Where to click; a list that is still moving is waited for."""
        at, before = await self.wait_for(place, timeout), None
        while at != before:
            before = at
            await self.evaluate(_DRAWN)
            at = await self.wait_for(place, timeout)
        return dict(at)

    async def type(self, where: str, text: str) -> None:
        """Click into a field and replace what stands in it."""
        await self.click(where)
        await self.evaluate("document.activeElement.select?.()")
        await self.insert(text)

    async def insert(self, text: str) -> None:
        """Put text in where the cursor is, as a keyboard or a paste does."""
        await self.send("Input.insertText", text=text)

    async def press(self, key: str, *, shift: bool = False) -> None:
        """Press and release one key, such as Enter, Tab, Escape, or a letter."""
        code, number, typed = _KEYS.get(key, (f"Key{key.upper()}", ord(key[0].upper()), key))
        what = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        what["modifiers"] = 8 if shift else 0
        down = {"type": "keyDown", "text": typed} if typed else {"type": "rawKeyDown"}
        await self.send("Input.dispatchKeyEvent", **what, **down)
        await self.send("Input.dispatchKeyEvent", **what, type="keyUp")

    async def choose(self, where: str, value: str) -> None:
        """Choose an option of a <select> by its value."""
        found, wanted = json.dumps(selector(where)), json.dumps(value)
        option = f"document.querySelector({found})"
        await self.wait_for(f"[...{option}.options].some(o => o.value === {wanted})")
        await self.evaluate(
            f"(e => {{ e.focus(); e.value = {wanted}; for (const kind of ['input', 'change'])"
            f" e.dispatchEvent(new Event(kind, {{bubbles: true}})); }})({option})"
        )

    async def emulate(
        self, *, dark: bool = False, width: int | None = None, height: int | None = None
    ) -> None:
        """Show the page in a light or dark window, of this size (CSS pixels) if given."""
        if width and height:
            await self.send(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=height,
                deviceScaleFactor=1,
                mobile=width < 600,
            )
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        await self.send("Emulation.setEmulatedMedia", features=features)

    async def screenshot(self, path: Path, clip: str | dict[str, float] | None = None) -> int:
        """Write a PNG of the window, of a rectangle (x, y, width, height), or of an element.

        Returns the size of the file in bytes.
        """
        area = None if isinstance(clip, str) else clip
        if isinstance(clip, str):
            box = f"document.querySelector({json.dumps(selector(clip))}).getBoundingClientRect()"
            area = json.loads(await self.evaluate(f"JSON.stringify({box})"))
        shape: dict[str, Any] = {}
        if area:
            sides = {side: area[side] for side in ("x", "y", "width", "height")}
            shape = {"clip": {**sides, "scale": 1}}
        await self.evaluate(_DRAWN)
        answer = await self.send("Page.captureScreenshot", format="png", **shape)
        data = base64.b64decode(answer["data"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return len(data)


class Browser(DevTools):
    """A browser: `async with Browser.open() as browser`."""

    async def page(
        self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False
    ) -> Page:
        """Open an address in a tab with cookies of its own; returns once it is loaded."""
        page = Page(self, await self.tab(), url)
        await page.start(width, height, dark)
        return page


__all__ = ["Browser", "BrowserError", "Page", "selector"]
