"""`registry-bot demo`: everything is started in order, and nothing is left in the end."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog

from bot.demo import configuration
from bot.demo.cast import PEOPLE, fill_workspace
from bot.demo.filling import CannotFill, fill
from bot.demo.place import Place, Unusable, opened
from bot.demo.server import Choice, NoRegistry, Server, open_server, stop_leftover
from bot.gc.command import CommandExecutor, CommandSettings
from bot.playground import Workspace
from bot.playground.page.server import Page
from bot.service import Service
from bot.settings import Settings, SettingsError, load
from bot.slack.verbs import available
from bot.starting import CannotStart
from bot.store.store import StoreUnusable
from bot.telemetry import configure_logging

log = structlog.get_logger()
_T = TypeVar("_T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Settings of other programs that would change ours, and ways out of this machine.
_FOREIGN = ("REGISTRY_", "SLACK_", "OTEL_")
_PROXIES = frozenset({"http_proxy", "https_proxy", "ws_proxy", "wss_proxy", "all_proxy"})
_ORPHAN_SECONDS = 30.0


class CannotPlay(Exception):
    """The playground does not start; `sentence` says why and what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asked for: a port (0 for a free one) and a directory that stays, or None."""

    port: int
    keep: Path | None


def demo(wish: Wish, environ: MutableMapping[str, str]) -> int:
    """Run the playground until Ctrl-C, and return the exit code.

    Parameters
    ----------
    environ : the process's environment. What belongs to other registries, other bots, or leads
        out through a proxy is taken out of it: everything here stays on this machine.
    """
    try:
        return asyncio.run(_until_stopped(wish, environ))
    except (CannotPlay, CannotStart, CannotFill, NoRegistry, StoreUnusable, Unusable) as error:
        sentence = getattr(error, "sentence", str(error))
        sys.stderr.write(f"registry-bot: {sentence}\n")
        return 1


async def _until_stopped(wish: Wish, environ: MutableMapping[str, str]) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.set)
    playing = asyncio.create_task(_play(wish, environ, stop), name="playground")
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([playing, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if playing.done():
        return playing.result()
    _say("\nStopping.")
    return await playing


async def _play(wish: Wish, environ: MutableMapping[str, str], stop: asyncio.Event) -> int:
    choice = await _unless(stop, Choice.find(environ.get("PATH", ""), _say))
    if choice is None:
        return 0
    _shut_the_doors(environ)
    with opened(wish.keep) as place:
        async with contextlib.AsyncExitStack() as stack:
            journal = stack.enter_context((place.directory / "bot.log").open("a", encoding="utf-8"))
            configure_logging(stream=journal)
            workspace, page = await _open_slack(stack, wish.port)
            server = await _open_registry(stack, choice, place)
            settings = _settings(place, server, workspace, environ)
            secrets = [secret.get_secret_value() for secret in settings.secrets]
            configure_logging(secrets=secrets, stream=journal)
            stack.push_async_callback(_end_collection, settings)
            welcome = _welcome(place, server, page)

            def ready(_: str) -> None:
                if not stop.is_set():
                    _say(welcome)

            await Service(settings).run(stop, ready)
    _say(_farewell(place))
    return 0


def _farewell(place: Place) -> str:
    if place.stays:
        return f"Stopped. The data stays in {place.directory}."
    if place.directory.exists():
        return f"Stopped, but {place.directory} could not be removed."
    return "Stopped. Nothing is left: no process and no file."


async def _open_slack(stack: contextlib.AsyncExitStack, port: int) -> tuple[Workspace, Page]:
    workspace = await Workspace.start()
    stack.push_async_callback(workspace.stop)
    fill_workspace(workspace)
    try:
        page = await Page.start(
            workspace,
            port,
            commands=[(verb.usage, verb.summary) for verb in available()],
            roles={person.id: person.role for person in PEOPLE},
        )
    except OSError as error:
        raise CannotPlay(
            f"Port {port} of 127.0.0.1 cannot be used ({error.strerror or error}): name another "
            "one with --port, or --port 0 for any that is free."
        ) from error
    stack.push_async_callback(page.stop)
    return workspace, page


async def _open_registry(stack: contextlib.AsyncExitStack, choice: Choice, place: Place) -> Server:
    await stop_leftover(place.directory)
    server = await open_server(choice, place.directory)
    stack.push_async_callback(server.stop)
    if not place.is_filled:
        await fill(server.url)
        place.note_filled()
    return server


def _settings(
    place: Place, server: Server, workspace: Workspace, environ: MutableMapping[str, str]
) -> Settings:
    tokens = {
        "SLACK_BOT_TOKEN": workspace.bot_token,
        "SLACK_APP_TOKEN": workspace.app_token,
        "SLACK_API_URL": workspace.api_url,
    }
    try:
        return load(configuration.write(place.directory, server), {**environ, **tokens})
    except SettingsError as error:
        found = "; ".join(problem.text for problem in error.problems)
        raise CannotPlay(
            f"The bot does not accept its settings in {place.directory}: {found}. "
            "Try a directory with a plain name."
        ) from error


async def _end_collection(settings: Settings) -> None:
    """A collection goes on when the bot ends, as it should: here it ends with everything."""
    gc = settings.registries[0].gc
    if not isinstance(gc, CommandSettings) or gc.running:  # one in a container ends with it
        return
    executor = CommandExecutor(gc, settings.state_dir, configuration.NAME, environ=settings.environ)
    if not await executor.collecting():
        return
    for noted in settings.state_dir.glob(f"{configuration.NAME}.*.pid"):
        job = noted.name.removeprefix(f"{configuration.NAME}.").removesuffix(".pid")
        await executor.kill_orphan(job)
    if not await executor.wait_until_gone(_ORPHAN_SECONDS):
        log.error("a collection is still at work")


async def _unless(stop: asyncio.Event, doing: Coroutine[Any, Any, _T]) -> _T | None:
    """What comes out of it, or None if it was broken off because everything is to stop."""
    task, stopping = asyncio.create_task(doing), asyncio.create_task(stop.wait())
    await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if task.done():
        return task.result()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return None


def _shut_the_doors(environ: MutableMapping[str, str]) -> None:
    for name in list(environ):
        if name.startswith(_FOREIGN) or name.lower() in _PROXIES:
            del environ[name]


def _welcome(place: Place, server: Server, page: Page) -> str:
    people = "\n".join(f"  {person.name}  {person.role:<16}  {person.may}" for person in PEOPLE)
    stays = "keeps its data" if place.stays else "leaves nothing behind"
    return f"""\
Open {page.url} and type /registry tags team/api

You are five people, and choose who speaks:
{people}

The registry is a real one, at {server.url}; the bot's settings and its log are in
{place.directory}
Ctrl-C stops everything and {stays}."""


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
