"""The host of a bot without any Slack: `registry-bot run`, in this process or as one of its own."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bot import terminal, wiring
from bot.operations import approvals
from bot.operations.context import Asked, Timing
from bot.rules.approval import Request
from bot.rules.policy import Actor
from bot.screen import Screen
from bot.settings import load
from bot.store.store import Store
from tests.support.real_registry import RealRegistry

ROOT = Path(__file__).resolve().parents[2]
FAST = Timing(lease=4.0, retry=0.1, edit=0.05, proof=5.0, preview=20.0, drain=0.3)
RULES = """
[groups]
leads = { users = ["U0BOB", "U0CAT"] }
[[rules]]
name = "scratch"
actions = ["delete", "cleanup", "gc"]
requesters = ["anyone"]
approval = "confirm"
repositories = ["scratch/**"]
[[rules]]
name = "restoring is free"
actions = ["undo"]
requesters = ["anyone"]
approval = "confirm"
[[rules]]
name = "default"
actions = ["delete", "cleanup", "purge", "gc"]
requesters = ["anyone"]
approval = "required"
steps = [{ approvers = ["leads"], approvals_needed = 1 }]
"""
CHANNEL = """
[[channels]]
id = "C0OPS"
registries = ["corp"]
"""


async def tags_of(registry: RealRegistry, repository: str) -> list[str]:
    """What the registry itself says."""
    async with httpx.AsyncClient(verify=False) as http:
        answer = await http.get(f"{registry.url}/v2/{repository}/tags/list")
        return sorted(answer.json().get("tags") or [])


@dataclass
class Told:
    """What somebody at the terminal saw, and the exit code; `stop` is their Ctrl-C."""

    code: int = -1
    out: str = ""
    err: str = ""
    lines: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, words: str, seconds: float = 20.0) -> None:
        """Wait until something was printed that has these words."""
        async with asyncio.timeout(seconds):
            while not any(words in line for line in self.lines):
                self.changed.clear()
                await self.changed.wait()


class Host:
    """Settings, a store, and the commands that people type.

    Parameters
    ----------
    directory : for the settings and the store.
    registries : name and url of each.
    """

    def __init__(self, directory: Path, registries: Iterable[tuple[str, str]]) -> None:
        self.directory = directory
        self.registries = tuple(registries)
        self.config = directory / "registry-bot.toml"
        self.gc = ""
        self.write(CHANNEL + RULES)

    def write(self, rest: str) -> None:
        """Write the settings."""
        tables = "".join(
            f'[[registries]]\nname = "{name}"\nurl = "{url}"\n{self.gc}'
            for name, url in self.registries
        )
        store = f'[store]\nurl = "sqlite:///{self.directory}/bot.db"\n'
        self.config.write_text(f"{store}{tables}{rest}", encoding="utf-8")

    async def run(
        self, text: str, account: str = "ann", answer: bool | None = None, told: Told | None = None
    ) -> Told:
        """Run a command in this process; `answer` is what is said to a question."""
        told = told or Told()

        def out(line: str) -> None:
            told.out += f"{line}\n"
            heard(line)

        def err(line: str) -> None:
            told.err += f"{line}\n"
            heard(line)

        def heard(line: str) -> None:
            told.lines.append(line)
            told.changed.set()

        async def ask(_: str, __: asyncio.Event) -> bool | None:
            return answer

        settings = load(self.config, {}, slack=False)
        screen = Screen(out, err, ask)
        told.code = await terminal.carry_out(settings, text, account, screen, told.stop, FAST)
        return told

    def argv(self, *words: str) -> list[str]:
        """How it is called in a shell."""
        return [sys.executable, "-m", "bot", "run", "--config", str(self.config), *words]

    def environ(self) -> dict[str, str]:
        """The environment, without Slack and without sudo."""
        strange = ("SLACK_", "SUDO_")
        own = {k: v for k, v in os.environ.items() if not k.startswith(strange)}
        return own | {"PYTHONPATH": str(ROOT)}

    def spawn(self, *words: str, environ: Mapping[str, str] | None = None) -> Told:
        """`registry-bot run …` as a process of its own; nobody sits at it."""
        done = subprocess.run(
            self.argv(*words),
            env=self.environ() | dict(environ or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self.directory,
            timeout=60,
            check=False,
        )
        return Told(done.returncode, done.stdout, done.stderr)

    async def approve(self, number: int, user: str) -> None:
        """Somebody approves in Slack, while no worker runs."""
        store = await Store.open(f"sqlite:///{self.directory}/bot.db")
        try:
            ctx = wiring.context(load(self.config, {}, slack=False), store)
            async with store.transaction() as tx:
                asked = Asked(Actor(user, "T0TEAM"), "C0OPS")
                await approvals.approve(ctx, tx, await tx.requests.get(number), asked)
            for registry in ctx.registries.values():
                await registry.client.aclose()
        finally:
            await store.close()

    async def request(self, number: int) -> Request:
        """A request as the store has it."""
        store = await Store.open(f"sqlite:///{self.directory}/bot.db")
        try:
            async with store.reading() as tx:
                return await tx.requests.get(number)
        finally:
            await store.close()

    def audit(self) -> list[tuple[str, str, str]]:
        """Event, actor and team of every line of the audit trail."""
        with contextlib.closing(sqlite3.connect(self.directory / "bot.db")) as database:
            return list(database.execute("SELECT event, actor, team FROM audit ORDER BY id"))
