"""The running bot: everything wired by hand, started in order and stopped in order."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.gc.command import CommandExecutor
from bot.gc.docker.executor import DockerExecutor
from bot.gc.docker.settings import DockerSettings
from bot.gc.executor import Executor
from bot.operations import approvals, running
from bot.operations.auditing import Anchoring
from bot.operations.collection import Collection
from bot.operations.context import Context, Registry, Timing
from bot.operations.due import DUE, Due
from bot.operations.locking import LOCK_ENDS, Locking
from bot.operations.previewing import PREVIEW, Previewing
from bot.operations.purge import Purge
from bot.operations.reminding import remind
from bot.operations.requesting import REMIND
from bot.operations.retaining import RETENTION, Retaining
from bot.operations.scheduler import SCHEDULE, Scheduler
from bot.operations.undo import Undo
from bot.operations.untag import Untag
from bot.operations.worker import Handler, Worker
from bot.registry.client import RegistryClient
from bot.settings import RegistrySettings, Settings
from bot.slack.app import CLICK, COMMAND, HOME, SUBMISSION, build_app
from bot.slack.dispatch import Dispatcher
from bot.slack.home import Home
from bot.slack.notifier import Notifier
from bot.slack.people import People
from bot.slack.server import events, serve_http
from bot.slack.socket import Connection, Pace
from bot.slack.suggesting import Suggestions
from bot.slack.usergroups import UserGroups
from bot.slack.wire import NotOpened
from bot.store.jobs import Job
from bot.store.outbox import ANCHOR
from bot.store.store import Store
from bot.telemetry import Metrics

log = structlog.get_logger()

TERMINAL = "terminal"
"""The kind of job that a command typed in a terminal is, while its process lives."""

_START_SECONDS = 10.0
_WITHOUT_END = 1_000_000  # attempts; a registry that may be read-only is never given up
_DAY = 86400.0
_KEPT = 30 * _DAY  # how long finished jobs and delivered messages are kept
_HOOKS = "https://hooks.slack.com/"


class CannotStart(Exception):
    """The bot refuses to start. `hint` says what to do."""

    def __init__(self, sentence: str, hint: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint


def registries(settings: Settings) -> dict[str, Registry]:
    """A client for every registry of the settings and for each way to push to it."""
    return {r.name: _registry(settings, r) for r in settings.registries}


def _registry(settings: Settings, one: RegistrySettings) -> Registry:
    def client(url: str) -> RegistryClient:
        return RegistryClient(url, credentials=one.credentials, ca_file=one.ca_file)

    main = client(one.url)
    writers = tuple(main if url == one.url else client(url) for url in one.write_urls)
    return Registry(
        one.name,
        main,
        writers,
        one.probe_repository,
        _collector(settings, one),
        one.gc_note,
        one.gc_schedule,
    )


def _collector(settings: Settings, one: RegistrySettings) -> Executor | None:
    if one.gc is None:
        return None
    if isinstance(one.gc, DockerSettings):
        return DockerExecutor(one.gc, settings.state_dir, one.name, environ=settings.environ)
    return CommandExecutor(one.gc, settings.state_dir, one.name, environ=settings.environ)


def context(settings: Settings, store: Store, timing: Timing | None = None) -> Context:
    """The rooms, wired."""
    return Context(
        store,
        settings.policy,
        registries(settings),
        settings.max_tags_per_request,
        settings.timezone,
        timing or Timing(),
        audit_channel=settings.audit_channel,
        retention=settings.retention,
    )


def asking_slack(ctx: Context, client: AsyncWebClient) -> Context:
    """The same rooms, with a policy that learns from Slack who is in its user groups."""
    groups = UserGroups(client, ctx.policy.usergroups, ctx.timing.members)
    policy = replace(ctx.policy, members=groups.members, silence=groups.silence)
    return replace(ctx, policy=policy, refresh=groups.refresh)


def slack_client(settings: Settings) -> AsyncWebClient:
    """A client for the Web API that leaves retrying to the outbox."""
    return AsyncWebClient(
        token=settings.slack.bot_token.get_secret_value(),
        base_url=settings.slack.api_url,
        timeout=15,
        retry_handlers=[],
    )


async def identify(client: AsyncWebClient, settings: Settings) -> Mapping[str, Any]:
    """Who the tokens belong to.

    Raises
    ------
    CannotStart : Slack refuses a token, or does not answer.
    """
    try:
        async with asyncio.timeout(_START_SECONDS):
            answer = await client.auth_test()
            token = settings.slack.app_token
            if settings.slack.mode == "socket" and token is not None:
                # Bolt would retry a bad token for ever without a word.
                await client.apps_connections_open(app_token=token.get_secret_value())
    except SlackApiError as error:
        method = "SLACK_APP_TOKEN" if "apps.connections" in str(error) else "the Slack tokens"
        raise CannotStart(
            f"Slack refuses {method}: {error.response.get('error')}.",
            "Copy SLACK_BOT_TOKEN (xoxb-…) from OAuth & Permissions and SLACK_APP_TOKEN (xapp-…, "
            "scope connections:write) from Basic Information of your Slack app.",
        ) from error
    except (OSError, TimeoutError) as error:
        raise CannotStart(
            f"Slack does not answer at {urlsplit(settings.slack.api_url).netloc} "
            f"({type(error).__name__}).",
            "Check the network, a proxy, and SLACK_API_URL.",
        ) from error
    return answer.data if isinstance(answer.data, dict) else {}


async def why_not_in(client: AsyncWebClient, channel: str) -> str:
    """Why the bot cannot post in a channel; "" if it can, as far as Slack tells."""
    try:
        async with asyncio.timeout(_START_SECONDS):
            answer = await client.conversations_info(channel=channel)
    except SlackApiError as error:
        return str(error.response.get("error", "error"))
    except (OSError, TimeoutError) as error:
        return type(error).__name__
    return "" if answer["channel"].get("is_member") else "not_in_channel"


def scheduler(ctx: Context) -> Scheduler:
    """Everything that begins by the clock."""
    return Scheduler(ctx, {**Retaining(ctx).scheduled(), **Due(ctx).scheduled()})


def handlers(ctx: Context, dispatcher: Dispatcher) -> dict[str, Handler]:
    """What is done for each kind of job."""
    untag, purge, undo, collect = Untag(ctx), Purge(ctx), Undo(ctx), Collection(ctx)
    lock = Locking(ctx)
    previews, retaining, due = Previewing(ctx), Retaining(ctx), Due(ctx)

    async def expire(job: Job) -> None:
        async with ctx.store.transaction(job) as tx:
            await approvals.expire(tx, await tx.requests.get(job.request_id or 0))
            await tx.jobs.finish(job)

    async def reminded(job: Job) -> None:
        await remind(ctx, job)

    async def give_up(job: Job, why: str) -> None:
        await running.give_up(ctx, job, why)

    async def drop(job: Job) -> None:
        log.info("nobody waits at that terminal any more", job=job.id)

    async def nothing(job: Job, why: str) -> None:
        log.error("given up", kind=job.kind, job=job.id, why=why)

    return {
        COMMAND: Handler(dispatcher.command, dispatcher.give_up, attempts=3),
        CLICK: Handler(dispatcher.click, dispatcher.give_up, attempts=3),
        TERMINAL: Handler(drop, nothing),
        SUBMISSION: Handler(dispatcher.submission, dispatcher.give_up, attempts=3),
        "expire": Handler(expire, nothing, attempts=_WITHOUT_END),
        REMIND: Handler(reminded, nothing),
        "untag": Handler(untag.run, give_up),
        "purge": Handler(purge.run, give_up),
        "end window": Handler(purge.end_window, purge.give_up_window),
        "undo": Handler(undo.run, give_up),
        "lock": Handler(lock.run, give_up),
        ANCHOR: Handler(Anchoring(ctx).run, nothing, attempts=_WITHOUT_END),
        LOCK_ENDS: Handler(lock.end, nothing, attempts=_WITHOUT_END),
        PREVIEW: Handler(previews.run, previews.give_up),
        SCHEDULE: Handler(scheduler(ctx).run, nothing, attempts=_WITHOUT_END),
        RETENTION: Handler(retaining.run, retaining.give_up),
        DUE: Handler(due.run, due.give_up),
        "collect": Handler(collect.run, collect.give_up, attempts=_WITHOUT_END),
    }


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
            site = await self._listen(stack, app, ctx, connection)
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
        worker = Worker(ctx, {**handlers(ctx, dispatcher), **tabs}, self._count_job)
        base = urlsplit(settings.api_url)
        # An emulator's answers go where its API is; the real Slack's only to its own host.
        official = base.hostname in {"slack.com", "www.slack.com"}
        hooks = _HOOKS if official else f"{base.scheme}://{base.netloc}/"
        notifier = Notifier(ctx, client, hooks, worker.name)
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
            await connection.open(_START_SECONDS)
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
    ) -> str:
        async def is_ready() -> str:
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


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    await Service(settings).run(stop)
