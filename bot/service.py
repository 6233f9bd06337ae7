"""The running bot: everything wired by hand, started in order and stopped in order."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.operations.auditing import Anchoring
from bot.operations.context import Context, Timing
from bot.operations.previewing import PREVIEW
from bot.operations.table import scheduler
from bot.operations.worker import Handler, Worker
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
from bot.telemetry import Metrics
from bot.wiring import asking_slack, context, handlers, slack_client

log = structlog.get_logger()

_DAY = 86400.0
_KEPT = 30 * _DAY  # how long finished jobs and delivered messages are kept
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
        self._timing = timing or Timing()
        self._pace = pace or Pace(age=settings.slack.max_connection_age)
        self.metrics = Metrics()

    async def run(self, stop: asyncio.Event, ready: Callable[[str], None] | None = None) -> None:
        """Serve until `stop` is set.

        Raises
        ------
        CannotStart : Slack refuses the tokens, or the address is taken.
        StoreUnusable : the database cannot be opened.
        SocketLost : Slack has not been reachable for too long.
        """
        async with contextlib.AsyncExitStack() as stack:
            store = await Store.open(self._settings.store_url, self._timing.lease)
            stack.push_async_callback(store.close)
            ctx = context(self._settings, store, self._timing)
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
            site = await self._listen(stack, app, ctx, connection, notifier)
            tasks = [
                asyncio.create_task(worker.run(), name="worker"),
                asyncio.create_task(notifier.run(), name="notifier"),
                asyncio.create_task(self._watch(ctx, connection), name="watch"),
            ]
            if connection is not None:
                tasks.append(asyncio.create_task(connection.keep(), name="socket"))
            log.info("ready", team=identity.get("team"), listen=site)
            if ready:
                ready(site)
            await self._until(stop, tasks)
            await self._stop(worker, notifier, connection, tasks)

    def _count_command(self, verb: str, outcome: str) -> None:
        self.metrics.commands_total.labels(verb, outcome).inc()

    def _count_job(self, kind: str, outcome: str) -> None:
        self.metrics.jobs_total.labels(kind, outcome).inc()

    def _count_letter(self, kind: str, outcome: str) -> None:
        self.metrics.letters_total.labels(kind, outcome).inc()

    def _count_refused(self, limit: str) -> None:
        self.metrics.refused_by_limit_total.labels(limit).inc()

    def _count_ack(self, _: str, seconds: float) -> None:
        self.metrics.ack_seconds.observe(seconds)

    def _wire(
        self,
        stack: contextlib.AsyncExitStack,
        ctx: Context,
        client: AsyncWebClient,
        identity: Mapping[str, Any],
    ) -> tuple[Worker, Notifier, Any]:
        settings = self._settings.slack
        people = People(client, ctx.policy, str(identity.get("team_id", "")))
        dispatcher = Dispatcher(ctx, people, self._count_command, channels=people.channels_of)
        home = Home(ctx, client, people)
        tabs = {HOME: Handler(home.run, home.give_up, attempts=3)}
        worker = Worker(
            ctx,
            {**handlers(ctx, dispatcher), **tabs},
            self._count_job,
            ordinary=(*ORDINARY, PREVIEW),
        )
        base = urlsplit(settings.api_url)
        # An emulator's answers go where its API is; the real Slack's only to its own host.
        official = base.hostname in {"slack.com", "www.slack.com"}
        hooks = _HOOKS if official else f"{base.scheme}://{base.netloc}/"
        notifier = Notifier(ctx, client, hooks, worker.name, self._count_letter)
        secret = settings.signing_secret if settings.mode == "http" else None
        suggestions = Suggestions(ctx, people)
        stack.push_async_callback(suggestions.close)
        app = build_app(
            client,
            ctx.store,
            identity,
            signing_secret=secret.get_secret_value() if secret else None,
            on_ack=self._count_ack,
            suggest=suggestions,
            gate=Gate(self._settings.limits, self._count_refused),
        )
        return worker, notifier, app

    async def _connect(
        self, stack: contextlib.AsyncExitStack, app: Any, client: AsyncWebClient
    ) -> Connection | None:
        token = self._settings.slack.app_token
        if self._settings.slack.mode != "socket" or token is None:
            return None
        connection = Connection(
            app, client, token.get_secret_value(), self._pace, self._count_replaced
        )
        stack.push_async_callback(connection.close)
        try:
            await connection.open(START_SECONDS)
        except NotOpened as error:
            raise CannotStart(
                f"Slack's Socket Mode gives no connection ({error.why}).",
                "Check the network or a proxy; ten connections are the most for one app.",
            ) from None
        return connection

    def _count_replaced(self, why: str) -> None:
        self.metrics.socket_replaced_total.labels(why).inc()

    async def _listen(
        self,
        stack: contextlib.AsyncExitStack,
        app: Any,
        ctx: Context,
        connection: Connection | None,
        notifier: Notifier,
    ) -> str:
        async def is_ready() -> str:
            if notifier.silence:
                return f"Slack refuses the bot's token ({notifier.silence})"
            if connection is not None and not connection.is_open:
                return "not connected to Slack"
            async with ctx.store.reading() as tx:
                await tx.now()
            return ""

        receive = events(app) if self._settings.slack.mode == "http" else None
        try:
            return await serve_http(
                stack,
                self._settings.slack.host,
                self._settings.slack.port,
                is_ready=is_ready,
                metrics=self.metrics.render,
                events=receive,
            )
        except OSError as error:
            raise CannotStart(
                f"[slack] listen cannot be used: {error.strerror or error}.",
                "Choose another address or port.",
            ) from error

    async def _watch(self, ctx: Context, connection: Connection | None) -> None:
        """Keep the gauges current, and forget addresses that Slack no longer honours."""
        swept = 0.0
        while True:
            with contextlib.suppress(Exception):
                async with ctx.store.transaction() as tx:
                    await tx.outbox.forget_old_urls()
                    now = await tx.now()
                    if now - swept > _DAY:
                        await tx.jobs.forget(_KEPT)
                        await tx.outbox.forget(_KEPT)
                        await tx.previews.forget(_KEPT)
                    self.metrics.job_queue_depth.set(await tx.jobs.depth())
                    pending, oldest = await tx.outbox.pending()
                if now - swept > _DAY:
                    # Another version of the bot may have taken a schedule that it did not know.
                    await scheduler(ctx).ensure()
                    swept = now
                self.metrics.outbox_pending.set(pending)
                self.metrics.outbox_oldest_seconds.set(oldest)
                if connection is not None:
                    self.metrics.socket_connected.set(connection.is_open)
                    self.metrics.socket_age_seconds.set(connection.age)
            await asyncio.sleep(15)

    async def _until(self, stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
        waiting = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        for task in done - {waiting}:
            if not task.cancelled() and task.exception() is not None:
                log.error("a part of the bot has died", part=task.get_name())
                raise task.exception() or RuntimeError(task.get_name())

    async def _stop(
        self,
        worker: Worker,
        notifier: Notifier,
        connection: Connection | None,
        tasks: list[asyncio.Task[None]],
    ) -> None:
        """Take nothing new, finish or hand over what runs, say what is due, end."""
        log.info("stopping")
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.close()
        worker.stop()
        await asyncio.wait([tasks[0]], timeout=self._timing.drain + 5)
        notifier.stop()
        await asyncio.wait([tasks[1]], timeout=5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def serve(
    settings: Settings,
    timing: Timing | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    await Service(settings, timing).run(stop, ready)
