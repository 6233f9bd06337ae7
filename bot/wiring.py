"""The rooms, wired by hand from the settings: registries, collectors, Slack, and who does what."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.gc.command import CommandExecutor
from bot.gc.docker.executor import DockerExecutor
from bot.gc.docker.settings import DockerSettings
from bot.gc.executor import Executor
from bot.operations.context import Context, Registry, Timing
from bot.operations.table import Operations, nothing
from bot.operations.worker import Handler
from bot.registry.client import RegistryClient
from bot.settings import RegistrySettings, Settings
from bot.slack.app import CLICK, COMMAND, SUBMISSION, URGENT
from bot.slack.dispatch import Dispatcher
from bot.slack.usergroups import UserGroups
from bot.store.jobs import Job
from bot.store.store import Store
from bot.telemetry import Redactor

log = structlog.get_logger()

TERMINAL = "terminal"
"""The kind of job that a command typed in a terminal is, while its process lives."""

Called = Callable[[str, str], None]


def _uncounted(_registry: str, _outcome: str) -> None:
    """Nobody keeps numbers."""


def registries(settings: Settings, on_call: Called = _uncounted) -> dict[str, Registry]:
    """A client for every registry of the settings and for each way to push to it.

    Parameters
    ----------
    on_call : told the registry's name and the outcome of each request to it.
    """
    return {r.name: _registry(settings, r, on_call) for r in settings.registries}


def _registry(settings: Settings, one: RegistrySettings, on_call: Called) -> Registry:
    def client(url: str) -> RegistryClient:
        counted = partial(on_call, one.name)
        return RegistryClient(
            url, credentials=one.credentials, ca_file=one.ca_file, on_call=counted
        )

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


def context(
    settings: Settings,
    store: Store,
    timing: Timing | None = None,
    on_call: Called = _uncounted,
) -> Context:
    """The rooms, wired."""
    return Context(
        store,
        settings.policy,
        registries(settings, on_call),
        settings.max_tags_per_request,
        settings.timezone,
        timing or Timing(),
        audit_channel=settings.audit_channel,
        retention=settings.retention,
        most_requests=settings.limits.jobs_per_registry,
        redact=Redactor(secret.get_secret_value() for secret in settings.secrets).text,
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


def handlers(ctx: Context, dispatcher: Dispatcher) -> dict[str, Handler]:
    """What is done for each kind of job, with what people type and press."""

    async def drop(job: Job) -> None:
        log.info("nobody waits at that terminal any more", job=job.id)

    return {
        **Operations(ctx).handlers(),
        COMMAND: Handler(dispatcher.command, dispatcher.give_up, attempts=3),
        CLICK: Handler(dispatcher.click, dispatcher.give_up, attempts=3),
        SUBMISSION: Handler(dispatcher.submission, dispatcher.give_up, attempts=3),
        URGENT: Handler(dispatcher.submission, dispatcher.give_up, attempts=3),
        TERMINAL: Handler(drop, nothing),
    }
