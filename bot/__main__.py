"""The command `registry-bot`: serve | check | run | audit | demo."""

import argparse
import asyncio
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import bot
from bot import auditing, checking, service, starting, terminal
from bot.account import NoAccount, account
from bot.screen import standard
from bot.settings import Settings, SettingsError, load
from bot.slack.socket import SocketLost
from bot.store.store import StoreUnusable
from bot.telemetry import configure_logging

_LAST_PORT = 65535


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of the program's commands and return its exit code."""
    arguments = _arguments(argv)
    environ = os.environ
    if arguments.command == "demo":
        # A bot at work has no use for the playground.
        from bot.demo.playing import Wish, demo

        return demo(Wish(arguments.port, arguments.keep), environ)
    if arguments.command == "audit":
        return _audit(arguments, environ)
    try:
        settings = load(arguments.config, environ, slack=arguments.command in _NEED_SLACK)
    except SettingsError as error:
        return _unfit(error)
    try:
        return _COMMANDS[arguments.command](settings, arguments, environ)
    except (starting.CannotStart, SocketLost, StoreUnusable, NoAccount) as error:
        print(f"registry-bot: {error.sentence}", file=sys.stderr)  # noqa: T201
        print(f"    {error.hint}", file=sys.stderr)  # noqa: T201
        return 1


def _unfit(error: SettingsError) -> int:
    for problem in error.problems:
        print(f"registry-bot: {problem.key}: {problem.text}", file=sys.stderr)  # noqa: T201
        if problem.fix:
            print(f"    {problem.fix}", file=sys.stderr)  # noqa: T201
    return 2


def _audit(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """It needs the store alone, and not even that for an exported file."""
    try:
        return auditing.run(arguments, environ)
    except SettingsError as error:
        return _unfit(error)
    except StoreUnusable as error:
        print(f"registry-bot: {error.sentence}\n    {error.hint}", file=sys.stderr)  # noqa: T201
        return 2


def _hidden(settings: Settings) -> list[str]:
    return [secret.get_secret_value() for secret in settings.secrets]


def _prepare(settings: Settings) -> None:
    configure_logging(secrets=_hidden(settings))
    for warning in settings.warnings:
        print(f"registry-bot: warning: {warning}", file=sys.stderr)  # noqa: T201


def _serve(settings: Settings, _: argparse.Namespace, __: Mapping[str, str]) -> int:
    _prepare(settings)
    asyncio.run(service.serve(settings))
    return 0


def _check(settings: Settings, _: argparse.Namespace, __: Mapping[str, str]) -> int:
    _prepare(settings)
    return asyncio.run(checking.check(settings))


def _run(settings: Settings, arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    # What a log has to say would stand between the lines of the answer.
    configure_logging("error", json=False, secrets=_hidden(settings))
    screen = standard(yes=arguments.yes)
    try:
        return asyncio.run(terminal.run(settings, arguments.text, account(environ), screen))
    except KeyboardInterrupt:
        screen.warn("Stopped.")
        return 1


_COMMANDS = {"serve": _serve, "check": _check, "run": _run}
_NEED_SLACK = {"serve", "check"}


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and arguments.command == "run":
        whole = " ".join([arguments.text, *rest])
        parser.error(f"put the command in quotes: registry-bot run {shlex.quote(whole)}")
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="registry-bot", description="Run a private Docker registry from Slack."
    )
    parser.add_argument("--version", action="version", version=bot.__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, summary in (
        ("serve", "run the bot"),
        ("check", "try the settings, tokens, registries and garbage collectors"),
    ):
        _add_config(commands.add_parser(name, help=summary, description=summary))
    _add_run(commands.add_parser)
    auditing.add_parser(commands.add_parser, _add_config)
    _add_demo(commands.add_parser)
    return parser


def _add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config", type=Path, help="registry-bot.toml; default: $REGISTRY_BOT_CONFIG"
    )


_RUN = """\
The commands are those of Slack (`registry-bot run help` lists them), and so are policy and audit:
you act as local:YOUR-ACCOUNT, behind sudo as the account that called it. Slack is not needed; it
hears of requests when it is back. Exit status: 0 done, 1 refused or failed, 2 wrong settings or
usage."""


def _add_run(add: Callable[..., argparse.ArgumentParser]) -> None:
    summary = "the same commands in a terminal, for when Slack is down"
    command = add("run", help=summary, description=f"{summary}.", epilog=_RUN, allow_abbrev=False)
    _add_config(command)
    command.add_argument(
        "--yes", action="store_true", help="confirm what you alone have to confirm, for scripts"
    )
    command.add_argument(
        "text", metavar="COMMAND", help='in quotes, such as "tags team/api" or "delete team/api:1"'
    )


def _add_demo(add: Callable[..., argparse.ArgumentParser]) -> None:
    summary = "play with it in the browser: a local registry and a local Slack, no accounts"
    command = add("demo", help=summary, description=summary)
    command.add_argument(
        "--port", type=_port, default=8090, help="of the page; 0 takes a free one (default: 8090)"
    )
    command.add_argument(
        "--keep",
        type=Path,
        metavar="DIR",
        help="keep images and requests in DIR and go on with them next time; chat begins anew",
    )


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: write a number up to 65535")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
