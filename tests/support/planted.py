"""Secrets that can be recognised, and the search for them in everything that the bot gives away.

Every secret of the tests has `SECRET` in it, or is told to `remember`; what lets somebody in for a
while (a response_url, a trigger, a ticket) has `PASSING`. `Watch` puts them into the local Slack
and looks at all that leaves: messages and modals, acknowledgements, answers over HTTP, metrics,
and whatever programs print. Captured output and files are looked at by `tests/conftest.py`.
"""

import asyncio
import base64
import functools
import os
import secrets
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import bot.playground.tokens
import bot.playground.workspace
import bot.slack.server
from bot.metrics import Metrics
from bot.playground.gestures import Gestures
from bot.playground.tokens import Tokens
from bot.playground.workspace import Workspace
from bot.service import Service

SECRET = "5ec2e75ec2e75ec2e7"
PASSING = "add2e55add2e55add2e5"
_KEY = "PRIVATE KEY-----"
_LARGEST = 64 * 1024 * 1024
# Where the tests themselves put secrets, as people do.
_HOLDERS = ("registry-bot.toml", "config.json", "secrets.env")
_UNFINISHED = (
    "SELECT payload FROM jobs WHERE state = 'done'",
    "SELECT response_url || payload FROM outbox WHERE state = 'sent'",
)

_told: set[str] = set()
_found: list[str] = []


def remember(secret: str) -> str:
    """A secret that cannot carry the mark; the same, to go on with."""
    _told.add(secret)
    return secret


def login(user: str, password: str) -> str:
    """A password that travels as basic authentication, in that form too."""
    remember(base64.b64encode(f"{user}:{password}".encode()).decode().rstrip("="))
    return password


def look(place: str, said: object) -> None:
    """Note it when there is a secret in what was said."""
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    for word in (SECRET, PASSING, _KEY, *_told):
        at = text.find(word)
        if at >= 0:
            _found.append(f"{place}: …{text[max(0, at - 120) : at + 40]}…")


def take() -> list[str]:
    """What has been found since the last time."""
    found, _found[:] = _found[:], []
    return found


def in_files(directory: Path) -> Iterator[str]:
    """Files with a secret in them: logs, databases, exports, what collections leave behind.

    The storage of registries is left out: it is large, and the bot does not write it.
    """
    words = [word.encode() for word in (SECRET, *_told)]
    for root, folders, names in os.walk(directory):
        if "docker" in folders and (Path(root) / "docker" / "registry").is_dir():
            folders.remove("docker")
        for path in (Path(root) / name for name in names if name not in _HOLDERS):
            if not path.is_file() or path.is_symlink() or path.stat().st_size > _LARGEST:
                continue
            content = path.read_bytes()
            yield from (f"{path}: {word.decode()}" for word in words if word in content)
            if content.startswith(b"SQLite format 3\0"):
                yield from _kept_too_long(path)
            elif path.suffix == ".log" and PASSING.encode() in content:
                yield f"{path}: {PASSING}"


def _kept_too_long(database: Path) -> Iterator[str]:
    """Addresses for answers that are still there although the answer has been given."""
    address = f"file:{database}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        for query in _UNFINISHED:
            try:
                rows = connection.execute(query).fetchall()
            except sqlite3.Error:
                return  # no database of the bot's, or one that was damaged on purpose
            yield from (f"{database}: {row[0][:200]}" for row in rows if PASSING in str(row[0]))


class _Marked:
    """What `bot.playground.tokens` takes for the module `secrets`."""

    randbelow = staticmethod(secrets.randbelow)

    @staticmethod
    def token_hex(size: int) -> str:
        return PASSING + secrets.token_hex(size)

    @staticmethod
    def token_urlsafe(size: int) -> str:
        return PASSING + secrets.token_urlsafe(size)


def _tokens() -> Tokens:
    own = secrets.token_hex(6)
    return Tokens(
        bot=f"xoxb-play-{SECRET}{own}",
        app=f"xapp-1-play-{SECRET}{own}",
        signing_secret=f"{SECRET}{own}",
        verification=f"{SECRET}{own}",
    )


class Watch:
    """Plants the secrets and watches, until `patch` is undone."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        patch.setattr(bot.playground.workspace, "Tokens", _tokens)
        patch.setattr(bot.playground.tokens, "secrets", _Marked)
        self._after(Gestures, "_send", lambda _, answer: look("an acknowledgement", answer))
        self._after(Metrics, "render", lambda _, answer: look("/metrics", answer))
        self._after(Service, "run", lambda made, _: made.metrics.render())
        self._after(Workspace, "stop", lambda made, _: _messages(made))
        self._after(subprocess.Popen, "communicate", lambda _, said: look("a program", said))
        for kind in (asyncio.subprocess.Process, pytest.CaptureFixture):
            name = "communicate" if kind is asyncio.subprocess.Process else "readouterr"
            self._after(kind, name, lambda _, said: look("a program", said))
        self._after(bot.slack.server, "to_aiohttp_response", _answered)

    def _after(self, owner: Any, name: str, see: Callable[[Any, Any], object]) -> None:
        """Look at what a function returns, or a coroutine."""
        original = getattr(owner, name)
        if asyncio.iscoroutinefunction(original):

            @functools.wraps(original)
            async def watched(*args: Any, **kwargs: Any) -> Any:
                answer = await original(*args, **kwargs)
                see(args[0], answer)
                return answer

        else:

            @functools.wraps(original)
            def watched(*args: Any, **kwargs: Any) -> Any:
                answer = original(*args, **kwargs)
                see(args[0], answer)
                return answer

        self._patch.setattr(owner, name, watched)


def _answered(_: object, answer: Any) -> None:
    look("an answer over HTTP", answer.body)


def _messages(workspace: Workspace) -> None:
    """Everything that the app ever said, and every file that it sent."""
    for call in workspace.log:
        look(f"Slack, {call.method}", _without_trigger(call.arguments))
    for channel in workspace.state.channels:
        for message in workspace.state.in_channel(channel):
            for file in message.files:
                look(f"the file {file.name}", file.content)


def _without_trigger(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name != "trigger_id"}
