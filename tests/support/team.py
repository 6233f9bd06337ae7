"""A team with a workspace, a real registry and the real bot: scenes are played on it."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from bot.operations.context import Timing
from bot.playground import Workspace
from bot.service import Service
from bot.settings import load
from bot.slack.limits import problems, problems_of_view
from bot.store.audit import AuditEntry
from bot.store.store import Store
from tests.support.controlled_registry import ControlledRegistry
from tests.support.replica import Replica

ANN, BOB, CAT, EVE, GUEST = "U0ANN", "U0BOB", "U0CAT", "U0EVE", "U0GUEST"
OPS, LOBBY = "C0OPS", "C0LOBBY"
FAST = Timing(
    lease=3.0, letter=3.0, retry=0.2, edit=0.1, proof=10.0, preview=20.0, drain=5.0, members=1.0
)


def argv(*words: str) -> str:
    """Words as TOML has them."""
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"


def commands_toml(registry: ControlledRegistry, collect: Sequence[str]) -> str:
    """The table of a registry that is collected by commands."""
    return f"""
  [registries.gc]
  executor = "command"
  collect = {argv(*collect)}
  config = "{registry.config_path}"
  start_read_only = {argv(*registry.argv("read-only"))}
  start = {argv(*registry.argv("read-write"))}
  stop = {argv(*registry.argv("stop"))}
  storage_root = "{registry.root}"
"""


def _toml(team: "Team", extra: str) -> str:
    return f"""
[slack]
mode = "{team.mode}"
listen = "127.0.0.1:0"
[limits]
{team.limits}
[store]
url = "{team.store_url}"
[[registries]]
name = "corp"
url = "{team.registry_url}"
probe_repository = "probe/uploads"
{commands_toml(team.registry, team.collect)}
{team.tables}
[groups]
leads = {{ users = ["{BOB}", "{CAT}"] }}
{team.groups}
[[channels]]
id = "{OPS}"
registries = {argv(*team.served)}
[[protected]]
repositories = ["prod/**"]
{team.rules}
[[rules]]
name = "scratch"
actions = ["delete"]
repositories = ["scratch/**"]
requesters = ["anyone"]
approval = "confirm"
[[rules]]
name = "restoring is free"
actions = ["undo"]
requesters = ["anyone"]
approval = "confirm"
[[rules]]
name = "default"
actions = ["delete", "cleanup", "purge", "gc", "lock"]
requesters = ["anyone"]
approval = "required"
steps = [{{ approvers = ["leads"], approvals_needed = 1 }}]
{extra}
"""


class Team:
    """Everything a scene needs. `registry_url` may point to a proxy before the registry."""

    def __init__(self, directory: Path, workspace: Workspace, registry: ControlledRegistry) -> None:
        self.directory = directory
        self.slack = workspace
        self.registry = registry
        self.registry_url = registry.url
        self.store_url = f"sqlite:///{directory}/bot.db"
        self.collect: tuple[str, ...] = registry.settings().collect
        self.mode = "socket"
        # A test is quicker than a person.
        self.limits = "commands_per_minute = 10000\nchannel_commands_per_minute = 10000\n"
        self.limits += "clicks_per_minute = 10000"
        self.tables = ""  # more registries
        self.served = ["corp"]  # those of the channel
        self.groups = ""  # more lines of [groups]
        self.rules = ""  # rules before those that every team has
        self.replicas: list[Replica] = []
        self.site = ""

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, directory: Path, mode: str = "socket") -> AsyncIterator["Team"]:
        workspace = await Workspace.start(mode=mode)
        registry = ControlledRegistry(directory)
        registry.start()
        team = cls(directory, workspace, registry)
        team.mode = mode
        for user in (ANN, BOB, CAT, EVE):
            workspace.add_user(user, user[2:].lower())
        workspace.add_user(GUEST, "guest", is_restricted=True)
        everybody = [ANN, BOB, CAT, EVE, GUEST]
        workspace.add_channel(OPS, "registry-ops", everybody)
        workspace.add_channel(LOBBY, "lobby", everybody)
        try:
            yield team
        finally:
            team.kill()
            registry.stop()
            await workspace.stop()

    def write_settings(self, extra: str = "", **replaced: str) -> Path:
        """Write registry-bot.toml; `replaced` changes text in it."""
        text = _toml(self, extra)
        for old, new in replaced.items():
            text = text.replace(old, new)
        path = self.directory / "registry-bot.toml"
        path.write_text(text, encoding="utf-8")
        return path

    @property
    def environ(self) -> dict[str, str]:
        """The secrets as the bot gets them."""
        return {
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_APP_TOKEN": self.slack.app_token,
            "SLACK_SIGNING_SECRET": self.slack.signing_secret,
            "SLACK_API_URL": self.slack.api_url,
        }

    @contextlib.asynccontextmanager
    async def bot(self, extra: str = "", timing: Timing = FAST) -> AsyncIterator[Service]:
        """The bot inside this process."""
        settings = load(self.write_settings(extra), {**os.environ, **self.environ})
        stop, ready = asyncio.Event(), asyncio.Event()
        service = Service(settings, timing)

        def started(site: str) -> None:
            self.site = site
            ready.set()

        task = asyncio.create_task(service.run(stop, started))
        waiting = asyncio.create_task(ready.wait())
        done, _ = await asyncio.wait(
            [task, waiting], timeout=20, return_when=asyncio.FIRST_COMPLETED
        )
        if task in done:
            waiting.cancel()
            task.result()
        if self.mode == "http":
            self.slack.events_url = f"http://{self.site}/slack/events"
        try:
            yield service
        finally:
            stop.set()
            await task

    async def spawn(
        self, extra: str = "", environ: Mapping[str, str] | None = None, **how: Any
    ) -> Replica:
        """The bot as a process that can be killed; for `how` see :meth:`Replica.spawn`.

        A second one needs another name. `environ` is what it finds in its environment as well.
        """
        config = self.write_settings(extra)
        own = self.environ | dict(environ or {})
        replica = await Replica.spawn(self.directory, config, own, **how)
        self.replicas.append(replica)
        return replica

    def kill(self) -> None:
        """End all processes that were spawned with SIGKILL, if they live."""
        while self.replicas:
            self.replicas.pop().kill()

    async def terminate(self) -> int:
        """Ask the process that was spawned last to end, as a supervisor does; its exit code."""
        return await self.replicas.pop().terminate()

    async def says(self, user: str, text: str, channel: str = OPS) -> Any:
        """Type `/registry TEXT` and wait for Slack to have its acknowledgement."""
        delivery = await self.slack.command(user, channel, text)
        assert delivery.acked, delivery.error
        assert delivery.ack_seconds < 3
        return delivery

    async def asks(self, user: str, text: str, channel: str = OPS) -> Any:
        """Type a command and return the answer that only this person sees."""
        before = len(self.slack.ephemerals(user))
        await self.says(user, text, channel)
        await self.slack.wait_for(lambda: len(self.slack.ephemerals(user)) > before, timeout=20)
        return self.slack.ephemerals(user)[-1]

    async def request(self, user: str, text: str) -> Any:
        """Type a command that makes a request and return its message in the channel."""
        known = {message.ts for message in self.slack.messages(OPS)}
        await self.says(user, text)
        await self.slack.wait_for(
            lambda: any(m.ts not in known for m in self.slack.messages(OPS)), timeout=60
        )
        return next(m for m in self.slack.messages(OPS) if m.ts not in known)

    async def clicks(self, user: str, message: Any, label: str) -> Any:
        """Press a button of a message as it is now."""
        delivery = await self.slack.click(user, self.now(message), label)
        assert delivery.acked, delivery.error
        return delivery

    async def modal(self, user: str, *words: str, timeout: float = 20) -> Any:
        """Wait until the modal that somebody has open shows all these words."""

        def found() -> Any:
            views = self.slack.views(user)
            shown = views[-1] if views else None
            return shown if shown and all(w in shown.all_text for w in words) else None

        try:
            return await self.slack.wait_for(found, timeout=timeout)
        except TimeoutError:
            seen = [view.all_text for view in self.slack.views(user)]
            heard = [m.all_text for m in self.slack.ephemerals(user)]
            raise AssertionError(f"{words} not in a modal: {seen}; heard {heard}") from None

    async def submits(self, user: str, view: Any, values: Any = None) -> Any:
        """Fill a modal in and send it."""
        delivery = await self.slack.submit(user, view, values)
        assert delivery.acked, delivery.error
        assert not delivery.error, delivery.error
        assert delivery.ack_seconds < 3
        return delivery

    async def denies(self, user: str, message: Any, reason: str) -> Any:
        """Press Deny, give the reason, and return the modal with the answer."""
        await self.clicks(user, message, "Deny")
        form = await self.modal(user, "Why not?")
        await self.submits(user, form, {"Why not?": reason})
        return await self.modal(user, "denied")

    def now(self, message: Any) -> Any:
        """The message as it is by now."""
        return next(m for m in self.slack.messages(OPS) if m.ts == message.ts)

    async def shows(self, message: Any, *words: str, timeout: float = 30) -> Any:
        """Wait until a message of the channel has all these words."""

        def there() -> bool:
            text = self.now(message).all_text
            return all(word in text for word in words)

        try:
            await self.slack.wait_for(there, timeout=timeout)
        except TimeoutError:
            log = self.directory / "bot.log"
            heard = [m.text for user in (ANN, BOB, CAT) for m in self.slack.ephemerals(user)]
            raise AssertionError(
                f"{words} not in:\n{self.now(message).all_text}\nheard: {heard}\n"
                f"log: {log.read_text()[-3000:] if log.exists() else ''}"
            ) from None
        return self.now(message)

    async def told(self, user: str, *words: str, timeout: float = 20) -> Any:
        """Wait until somebody was told something that only they see."""

        def found() -> list[Any]:
            return [m for m in self.slack.ephemerals(user) if all(w in m.all_text for w in words)]

        try:
            await self.slack.wait_for(lambda: bool(found()), timeout=timeout)
        except TimeoutError:
            heard = [m.all_text for m in self.slack.ephemerals(user)]
            raise AssertionError(f"{words} never told; heard {heard}") from None
        return found()[-1]

    async def trail(self, event: str = "") -> list[AuditEntry]:
        """The audit trail, or its entries of one kind."""
        store = await Store.look(self.store_url)
        try:
            async with store.reading() as tx:
                entries = await tx.audit.entries()
        finally:
            await store.close()
        return [entry for entry in entries if event in ("", entry.event)]

    async def tags(self, repository: str) -> list[str]:
        """What the registry itself says."""
        async with httpx.AsyncClient(verify=False) as http:
            answer = await http.get(f"{self.registry.url}/v2/{repository}/tags/list")
            return sorted(answer.json().get("tags") or []) if answer.status_code == 200 else []

    async def is_writable(self) -> bool:
        """Whether the registry takes an upload (which is cancelled again)."""
        async with httpx.AsyncClient(verify=False) as http:
            answer = await http.post(f"{self.registry.url}/v2/probe/uploads/blobs/uploads/")
            if answer.status_code == 202:
                await http.delete(answer.headers["Location"])
            return answer.status_code == 202

    def check_all_messages(self) -> None:
        """Every message that was ever shown keeps inside Slack's limits."""
        seen = [*self.slack.messages(OPS)]
        seen += [reply for m in list(seen) for reply in self.slack.thread(OPS, m.ts)]
        seen += [m for user in (ANN, BOB, CAT, EVE, GUEST) for m in self.slack.ephemerals(user)]
        # A file stands alone: Slack makes its message.
        for message in (m for m in seen if not m.files):
            assert problems({"text": message.text, "blocks": message.blocks}) == []
        for method in ("views.open", "views.update", "views.publish"):
            for call in self.slack.calls(method):
                view = call.arguments["view"]
                assert problems_of_view(json.loads(view) if isinstance(view, str) else view) == []
