"""The bot's own small server: Slack's events in HTTP mode, health, readiness, metrics."""

import contextlib
import time
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.app.async_app import AsyncApp

log = structlog.get_logger()

_MAX_BODY = 1024 * 1024
_FORGED = 401
_MOST = 256  # requests of Slack's, or of whoever pretends to be Slack, that are under way
Receiver = Callable[[web.Request], Awaitable[web.StreamResponse]]


def events(app: AsyncApp, on_ack: Callable[[float], None]) -> Receiver:
    """Hands a request to Bolt, which checks its signature over the unchanged body.

    What is more than it can have in hand at once is turned away: 503. What nobody can read is
    refused: 400. Anybody can send that, as Bolt reads a request before it checks it. `on_ack` is
    told the seconds from each payload that was Slack's to its answer.
    """
    in_hand = 0

    async def receive(request: web.Request) -> web.StreamResponse:
        nonlocal in_hand
        if in_hand >= _MOST:
            return web.Response(status=503, text="busy\n")
        in_hand += 1
        came = time.monotonic()
        try:
            answer = await app.async_dispatch(await to_bolt_request(request))
            made: web.StreamResponse = await to_aiohttp_response(answer)
            if made.status != _FORGED:
                on_ack(time.monotonic() - came)
            return made
        except web.HTTPException:
            raise
        except Exception as error:
            log.warning("a request cannot be read", error=type(error).__name__)
            return web.Response(status=400, text="This request cannot be read.\n")
        finally:
            in_hand -= 1

    return receive


async def serve_http(
    stack: contextlib.AsyncExitStack,
    host: str,
    port: int,
    *,
    alive: Callable[[], str],
    ready: Callable[[], Awaitable[str]],
    metrics: Callable[[], Awaitable[bytes]],
    events: Receiver | None,
) -> str:
    """Listen until the stack closes; returns the address.

    Parameters
    ----------
    alive, ready : why a new process is needed, and why this one cannot serve; "" if it can.
    metrics : the numbers, as Prometheus reads them.
    events : takes what Slack sends in HTTP mode.

    Raises
    ------
    OSError : the address cannot be used.
    """

    def told(why: str) -> web.Response:
        return web.Response(text=f"{why or 'ok'}\n", status=503 if why else 200)

    async def healthz(_: web.Request) -> web.Response:
        return told(alive())

    async def readyz(_: web.Request) -> web.Response:
        return told(await ready())

    async def numbers(_: web.Request) -> web.Response:
        return web.Response(
            body=await metrics(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    application = web.Application(client_max_size=_MAX_BODY)
    application.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/metrics", numbers),
            *([web.post("/slack/events", events)] if events else []),
        ]
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, host, port)
    await site.start()
    address = runner.addresses[0]
    return f"{address[0]}:{address[1]}"
