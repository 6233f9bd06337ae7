"""A reverse proxy before a registry that can pull the plug at an exact request."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable

import httpx
from aiohttp import web

_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive", "host"}


class Proxy:
    """Forwards everything to `target`; `arm` sets one trap."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._trap: tuple[str, re.Pattern[str], bool, Callable[[], None]] | None = None
        self.sprung = asyncio.Event()
        self.url = ""
        self.seen: list[str] = []
        self._errors = ("", re.compile(""), 0)
        self._held: tuple[str, re.Pattern[str], asyncio.Event] | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, target: str) -> AsyncIterator["Proxy"]:
        proxy = cls(target)
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{tail:.*}", proxy._forward)
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with httpx.AsyncClient(timeout=30) as proxy._http:
            try:
                yield proxy
            finally:
                await runner.cleanup()

    def arm(self, method: str, path: str, act: Callable[[], None], *, after: bool = False) -> None:
        """Call `act` when a request matches: before it reaches the registry, or after."""
        self.sprung.clear()
        self._trap = (method, re.compile(path), after, act)

    def answer(self, method: str, path: str, status: int) -> None:
        """Answer matching requests with an error of our own from now on; status 0 ends it."""
        self._errors = (method, re.compile(path), status)

    def hold(self, method: str, path: str) -> asyncio.Event:
        """Let matching requests wait until the event that is returned is set."""
        go_on = asyncio.Event()
        self._held = (method, re.compile(path), go_on)
        return go_on

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(f"{request.method} {request.path}")
        method, path, status = self._errors
        if status and method == request.method and path.search(request.path):
            return web.Response(status=status, text="no space left on device")
        if self._held and self._held[0] == request.method and self._held[1].search(request.path):
            await self._held[2].wait()
        trap = self._trap
        matches = trap is not None and trap[0] == request.method and trap[1].search(request.path)
        if matches:
            self._trap = None
        body = await request.read()
        if trap and matches and not trap[2]:
            return self._spring(request, trap[3])
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        # The registry builds upload locations from this header.
        headers["Host"] = request.headers["Host"]
        try:
            answer = await self._http.request(
                request.method,
                f"{self._target}{request.raw_path}",
                headers=headers,
                content=body,
                follow_redirects=False,
            )
        except httpx.HTTPError:
            return web.Response(status=502)
        if trap and matches:
            return self._spring(request, trap[3])
        kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP}
        if request.method == "HEAD":
            kept["Content-Length"] = answer.headers.get("Content-Length", "0")
        return web.Response(status=answer.status_code, headers=kept, body=answer.content)

    def _spring(self, request: web.Request, act: Callable[[], None]) -> web.StreamResponse:
        act()
        self.sprung.set()
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=502)
