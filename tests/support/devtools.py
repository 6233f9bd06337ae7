"""A Chromium process without a window, and the connection to its DevTools."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

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


class BrowserError(AssertionError):
    """The browser refused a command, or the page did not come to be as expected."""


def program() -> str | None:
    """The path of an installed Chromium, if there is one."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


class DevTools:
    """A browser process, ended with this connection to it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._listeners: dict[str, Callable[[str, dict[str, Any]], None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._number = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, path: str | None = None) -> AsyncIterator[Self]:
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
                while raw := await stream.readline():
                    line = raw.decode(errors="replace").strip()
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
        """Send one command and wait for its answer (60 seconds at most)."""
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
        elif listener := self._listeners.get(message.get("sessionId", "")):
            listener(message.get("method", ""), message.get("params", {}))

    def _fail_all(self, why: str) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(BrowserError(why))

    async def tab(self) -> str:
        """Open an empty tab with cookies of its own; the name of the session with it."""
        context = await self.send("Target.createBrowserContext")
        target = await self.send(
            "Target.createTarget", url="about:blank", browserContextId=context["browserContextId"]
        )
        attached = await self.send(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        return str(attached["sessionId"])

    def listen(self, session: str, listener: Callable[[str, dict[str, Any]], None]) -> None:
        """Hand every event of a tab to a function (method, parameters)."""
        self._listeners[session] = listener

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
