"""A real Chromium without a window, driven over its DevTools protocol.

Small on purpose: what the tests of the playground's page and the pictures of the manual need.
Waiting is done inside the page (a promise that looks again after every change of the document),
mouse and keyboard are the browser's own events, and what a test must never miss is collected:
errors of the console, exceptions, dialogs, and requests to another host.
"""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
)
_LISTENING = "DevTools listening on "

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


class BrowserError(AssertionError):
    """The browser refused a command, or the page did not come to be as expected."""


def program() -> str | None:
    """The path of an installed Chromium, if there is one."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


def selector(text: str) -> str:
    """A CSS selector as it is; a bare word such as `composer` means that `data-testid`."""
    return f'[data-testid="{text}"]' if text.replace("-", "").isalnum() else text


class Page:
    """One tab with cookies of its own."""

    def __init__(self, browser: "Browser", session: str, url: str) -> None:
        self._browser, self._session = browser, session
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

    async def start(self, width: int, height: int) -> None:
        """Listen to everything, then open the address."""
        for domain in ("Page", "Runtime", "Network", "Log", "Inspector"):
            await self.send(f"{domain}.enable")
        await self.emulate(width=width, height=height)
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

    async def wait_for_text(self, text: str, where: str = "body", timeout: float = 10.0) -> None:
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

        Waits until it is there, enabled, and not covered by something else.
        """
        found, wanted = json.dumps(selector(where)), json.dumps(text)
        at = await self.wait_for(_PLACE % (found, wanted, wanted), timeout)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            pressed = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            await self.send("Input.dispatchMouseEvent", type=kind, x=at["x"], y=at["y"], **pressed)

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
        if isinstance(clip, str):
            box = f"document.querySelector({json.dumps(selector(clip))}).getBoundingClientRect()"
            clip = json.loads(await self.evaluate(f"JSON.stringify({box})"))
        shape: dict[str, Any] = {}
        if clip:
            sides = {side: clip[side] for side in ("x", "y", "width", "height")}
            shape = {"clip": {**sides, "scale": 1}}
        # Two frames: what the last change brought is drawn by then.
        await self.evaluate(
            "new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => r(1))))"
        )
        answer = await self.send("Page.captureScreenshot", format="png", **shape)
        data = base64.b64decode(answer["data"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return len(data)


class Browser:
    """A browser process and the connection to it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._pages: dict[str, Page] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._number = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, path: str | None = None) -> AsyncIterator["Browser"]:
        """Start a browser with a fresh profile; it and the profile are gone at the end."""
        found = path or program()
        if found is None:
            raise BrowserError("no Chromium here: `make setup` installs it")
        home = tempfile.mkdtemp(prefix="browser-")
        process = await asyncio.create_subprocess_exec(
            found,
            *_ARGUMENTS,
            f"--user-data-dir={home}/profile",
            "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "HOME": home, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home},
            start_new_session=True,
        )
        browser = cls(process)
        try:
            address = await browser._address()
            async with (
                aiohttp.ClientSession(trust_env=False) as http,
                http.ws_connect(address, max_msg_size=0) as socket,
            ):
                browser._socket = socket
                reading = asyncio.create_task(browser._read(socket))
                try:
                    yield browser
                finally:
                    await browser._say_goodbye()
                    reading.cancel()
                    await asyncio.gather(reading, return_exceptions=True)
        finally:
            await browser._end()
            await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)

    async def _address(self) -> str:
        """Where the browser listens: it says so on its standard error."""
        said: list[str] = []
        stream = self.process.stderr
        assert stream is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(30):
                while line := (await stream.readline()).decode(errors="replace").strip():
                    if line.startswith(_LISTENING):
                        self.later(self._drain(stream))
                        return line.removeprefix(_LISTENING)
                    said.append(line)
        raise BrowserError("the browser did not start:\n" + "\n".join(said[-20:]))

    @staticmethod
    async def _drain(stream: asyncio.StreamReader) -> None:
        """Keep reading, so that a talkative browser is never held up by a full pipe."""
        while await stream.read(65536):
            pass

    def later(self, work: Any) -> None:
        """Do something beside, and drop its answer."""
        task: asyncio.Task[Any] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def send(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Send one command and wait for its answer (30 seconds at most)."""
        if self._socket is None or self._socket.closed:
            raise BrowserError(f"{method}: the browser is gone")
        self._number += 1
        number = self._number
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        try:
            await self._socket.send_json(message)
            async with asyncio.timeout(60):
                return await answer
        except TimeoutError:
            raise BrowserError(f"{method} was never answered") from None
        finally:
            self._waiting.pop(number, None)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self._take(json.loads(message.data))
        self._fail_all("the browser closed the connection")

    def _take(self, message: dict[str, Any]) -> None:
        waiting = self._waiting.get(message.get("id", 0))
        if waiting is not None and not waiting.done():
            if "error" in message:
                waiting.set_exception(BrowserError(message["error"]["message"]))
            else:
                waiting.set_result(message["result"])
        elif page := self._pages.get(message.get("sessionId", "")):
            page._heard(message.get("method", ""), message.get("params", {}))

    def _fail_all(self, why: str) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(BrowserError(why))

    async def page(
        self,
        url: str,
        *,
        width: int = 1280,
        height: int = 900,
        dark: bool = False,
        before: Callable[[Page], Any] | None = None,
    ) -> Page:
        """Open an address in a tab with cookies of its own, `before` it loads something awaited."""
        context = await self.send("Target.createBrowserContext")
        target = await self.send(
            "Target.createTarget", url="about:blank", browserContextId=context["browserContextId"]
        )
        attached = await self.send(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        page = Page(self, attached["sessionId"], url)
        self._pages[attached["sessionId"]] = page
        if before:
            await before(page)
        await page.start(width, height)
        if dark:
            await page.emulate(dark=True)
        return page

    async def _say_goodbye(self) -> None:
        with contextlib.suppress(BrowserError, TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(5):
                await self.send("Browser.close")

    async def _end(self) -> None:
        """See that the process has ended, and with it every process that it started."""
        try:
            async with asyncio.timeout(5):
                await self.process.wait()
        except TimeoutError:
            pass
        finally:
            # Its own session was started for it: the group is the browser and its helpers only.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.wait()
            await asyncio.gather(*self._tasks, return_exceptions=True)
