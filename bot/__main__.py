"""The command `registry-bot`: serve | check | demo."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import bot
from bot import checking, service
from bot.settings import SettingsError, load
from bot.store.store import StoreUnusable
from bot.telemetry import configure_logging

_LAST_PORT = 65535


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of the program's commands and return its exit code."""
    arguments = _parser().parse_args(argv)
    environ = os.environ
    if arguments.command == "demo":
        # A bot at work has no use for the playground.
        from bot.demo.playing import Wish, demo

        return demo(Wish(arguments.port, arguments.keep), environ)
    try:
        settings = load(arguments.config, environ)
    except SettingsError as error:
        for problem in error.problems:
            print(f"registry-bot: {problem.key}: {problem.text}", file=sys.stderr)  # noqa: T201
            if problem.fix:
                print(f"    {problem.fix}", file=sys.stderr)  # noqa: T201
        return 2
    configure_logging(secrets=[secret.get_secret_value() for secret in settings.secrets])
    for warning in settings.warnings:
        print(f"registry-bot: warning: {warning}", file=sys.stderr)  # noqa: T201
    try:
        if arguments.command == "check":
            return asyncio.run(checking.check(settings))
        asyncio.run(service.serve(settings))
    except (service.CannotStart, StoreUnusable) as error:
        print(f"registry-bot: {error.sentence}", file=sys.stderr)  # noqa: T201
        print(f"    {error.hint}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


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
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument(
            "--config", type=Path, help="registry-bot.toml; default: $REGISTRY_BOT_CONFIG"
        )
    _add_demo(commands.add_parser)
    return parser


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
