"""A reverse proxy before a registry, which misbehaves as it is told to (see `faults`)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import httpx
from aiohttp import web

from tests.support.faults import ALWAYS, Faults

_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive", "host"}


class Proxy(Faults):
    """Forwards everything to `target`, apart from what its faults do.

    `seen` lists every request as "METHOD /path", `authorizations` the header of each; `sprung`
    is set when a trap of `arm` was.
    """

    def __init__(self, target: str) -> None:
        super().__init__()
        self._target = target
        self.sprung = asyncio.Event()
        self.url = ""
        self.seen: list[str] = []
        self.authorizations: list[str | None] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, target: str, *, handler_cancellation: bool = False
    ) -> AsyncIterator["Proxy"]:
        """Listen until the context ends; with `handler_cancellation` who hangs up asks no more."""
        proxy = cls(target)
        app = web.Application(client_max_size=2**30)
        app.router.add_route("*", "/{tail:.*}", proxy._handle)
        runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=0.1,
            handler_cancellation=handler_cancellation,
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with httpx.AsyncClient(timeout=30, verify=False) as proxy._http:
            try:
                yield proxy
            finally:
                await runner.cleanup()

    def arm(self, method: str, path: str, act: Callable[[], None], *, after: bool = False) -> None:
        """Call `act` when a request matches: before it reaches the registry, or after."""
        self.sprung.clear()

        def spring() -> None:
            act()
            self.sprung.set()

        self.trap(f"^{method} .*{path}", spring, after=after)

    def answer(self, method: str, path: str, status: int) -> None:
        """Answer matching requests with an error of our own from now on; status 0 ends it."""
        if status:
            body = b"no space left on device"
            self.fail(f"^{method} .*{path}", status, times=ALWAYS, body=body)
        else:
            self.heal()

    def hold(self, method: str, path: str) -> asyncio.Event:
        """Let matching requests wait until the event that is returned is set."""
        return self.stall(f"^{method} .*{path}", times=ALWAYS)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(f"{request.method} {request.path}")
        self.authorizations.append(request.headers.get("Authorization"))
        return await self.play(request, self._forward)

    async def _forward(self, request: web.Request) -> web.Response:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        # The registry builds upload locations from this header.
        headers["Host"] = request.headers["Host"]
        try:
            answer = await self._http.request(
                request.method,
                f"{self._target}{request.raw_path}",
                headers=headers,
                content=await request.read(),
                follow_redirects=False,
            )
        except httpx.HTTPError:
            return web.Response(status=502)
        kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP}
        if request.method == "HEAD":
            kept["Content-Length"] = answer.headers.get("Content-Length", "0")
        return web.Response(status=answer.status_code, headers=kept, body=answer.content)
