"""The running bot: everything wired by hand, started in order and stopped in order."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.health import Health
from bot.metrics import Metrics
from bot.operations.auditing import Anchoring
from bot.operations.context import Context, Timing
from bot.operations.previewing import PREVIEW
from bot.operations.table import scheduler
from bot.operations.worker import Handler, Worker
from bot.parts import PATIENCE, Parts, no_later_than
from bot.settings import Settings
from bot.slack.app import HOME, ORDINARY, build_app
from bot.slack.dispatch import Dispatcher
from bot.slack.gate import Gate
from bot.slack.home import Home
from bot.slack.notifier import Notifier
from bot.slack.people import People
from bot.slack.server import events, serve_http
from bot.slack.socket import Connection, Pace
from bot.slack.suggesting import Suggestions
from bot.slack.wire import NotOpened
from bot.starting import START_SECONDS, CannotStart, identify
from bot.store.store import Store
from bot.wiring import asking_slack, context, handlers, slack_client

log = structlog.get_logger()

_HOOKS = "https://hooks.slack.com/"


class Service:
    """One process of the bot.

    Parameters
    ----------
    settings : validated.
    timing, pace : shortened by tests.
    """

    def __init__(
        self, settings: Settings, timing: Timing | None = None, pace: Pace | None = None
    ) -> None:
        self._settings = settings
        self.timing = timing or Timing()
        self._pace = pace or Pace(age=settings.slack.max_connection_age)
        self.metrics = Metrics()

    async def run(
        self,
        stop: asyncio.Event,
        ready: Callable[[str], None] | None = None,
        hurry: asyncio.Event | None = None,
    ) -> None:
        """Serve until `stop` is set, then until what runs has ended or `hurry` is set as well.

        A part that dies sets both: what runs is handed over, and its error is raised.

        Raises
        ------
        CannotStart : Slack refuses the tokens, or the address is taken.
        StoreUnusable : the database cannot be opened.
        SocketLost : Slack has not been reachable for too long.
        """
        async with contextlib.AsyncExitStack() as stack:
            store = await Store.open(self._settings.store_url, self.timing.lease)
            stack.push_async_callback(store.close)
            store.on_reached = self.metrics.reached
            ctx = context(self._settings, store, self.timing, self.metrics.call)
            for registry in ctx.registries.values():
                for one in {registry.client, *registry.writers}:
                    stack.push_async_callback(one.aclose)
            client = slack_client(self._settings)
            ctx = asking_slack(ctx, client)
            identity = await identify(client, self._settings)
            worker, notifier, app = self._wire(stack, ctx, client, identity)
            await Anchoring(ctx).begin()
            await scheduler(ctx).ensure()
            connection = await self._connect(stack, app, client)
            health = Health(ctx, self.metrics, worker, notifier, connection, client)
            site = await self._listen(stack, app, health)
            parts = Parts(ctx, worker, notifier, connection, health)
            parts.begin()
            log.info("ready", team=identity.get("team"), listen=site)
            if ready:
                ready(site)
            await parts.run(stop, hurry or asyncio.Event())

    def _wire(
        self,
        stack: contextlib.AsyncExitStack,
        ctx: Context,
        client: AsyncWebClient,
        identity: Mapping[str, Any],
    ) -> tuple[Worker, Notifier, Any]:
        settings = self._settings.slack
        people = People(client, ctx.policy, str(identity.get("team_id", "")))
        dispatcher = Dispatcher(ctx, people, self.metrics.command, channels=people.channels_of)
        home = Home(ctx, client, people)
        tabs = {HOME: Handler(home.run, home.give_up, attempts=3)}
        worker = Worker(
            ctx,
            {**handlers(ctx, dispatcher), **tabs},
            self.metrics.job,
            ordinary=(*ORDINARY, PREVIEW),
        )
        base = urlsplit(settings.api_url)
        # An emulator's answers go where its API is; the real Slack's only to its own host.
        official = base.hostname in {"slack.com", "www.slack.com"}
        hooks = _HOOKS if official else f"{base.scheme}://{base.netloc}/"
        notifier = Notifier(ctx, client, hooks, worker.name, self.metrics.letter)
        secret = settings.signing_secret if settings.mode == "http" else None
        suggestions = Suggestions(ctx, people)
        stack.push_async_callback(suggestions.close)
        app = build_app(
            client,
            ctx.store,
            identity,
            signing_secret=secret.get_secret_value() if secret else None,
            suggest=suggestions,
            gate=Gate(self._settings.limits, self.metrics.refused),
        )
        return worker, notifier, app

    async def _connect(
        self, stack: contextlib.AsyncExitStack, app: Any, client: AsyncWebClient
    ) -> Connection | None:
        token = self._settings.slack.app_token
        if self._settings.slack.mode != "socket" or token is None:
            return None
        connection = Connection(
            app,
            client,
            token.get_secret_value(),
            self._pace,
            on_replaced=self.metrics.replaced,
            on_ack=self.metrics.ack,
        )
        stack.push_async_callback(connection.close)
        try:
            await connection.open(START_SECONDS)
        except NotOpened as error:
            raise CannotStart(
                f"Slack's Socket Mode gives no connection ({error.why}).",
                "Check the network, a proxy, and that Socket Mode is switched on for the app.",
            ) from None
        return connection

    async def _listen(self, stack: contextlib.AsyncExitStack, app: Any, health: Health) -> str:
        receive = events(app, self.metrics.ack) if self._settings.slack.mode == "http" else None
        try:
            return await serve_http(
                stack,
                self._settings.slack.host,
                self._settings.slack.port,
                alive=health.alive,
                ready=health.ready,
                metrics=health.numbers,
                events=receive,
            )
        except OSError as error:
            raise CannotStart(
                f"[slack] listen cannot be used: {error.strerror or error}.",
                "Choose another address or port.",
            ) from error


async def serve(
    settings: Settings,
    timing: Timing | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; a second one hands over what still runs."""
    stop, hurry = asyncio.Event(), asyncio.Event()
    service = Service(settings, timing)

    def asked() -> None:
        (hurry if stop.is_set() else stop).set()

    async def end_in_time() -> None:
        await stop.wait()
        no_later_than(service.timing.drain + PATIENCE)

    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, asked)
    limit = asyncio.create_task(end_in_time())
    try:
        await service.run(stop, ready, hurry)
    finally:
        limit.cancel()
