"""What every operation works with, wired once by the program."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from zoneinfo import ZoneInfo

from bot.gc.executor import Executor
from bot.operations.errors import Refusal
from bot.registry.client import RegistryClient
from bot.rules import rule
from bot.rules.policy import Actor, Policy
from bot.rules.retention import Retention
from bot.store.store import Store

BOT = Actor(rule.BOT, "")
"""Who asks when the clock does. Nobody in Slack has this id: it approves and confirms nothing."""

FALLBACK_PROBE = "registry-bot/probe"
"""Where a registry without repositories is probed; nothing is left behind under this name."""


@dataclass(frozen=True, slots=True)
class Registry:
    """One registry of the settings.

    `writers` reach every way to push to its storage; `probe_repository` is where uploads are
    tried ("" picks the first repository); `gc_note` says why there is no collector;
    `gc_schedule` is when a collection is asked for by the clock ("" for never).
    """

    name: str
    client: RegistryClient
    writers: tuple[RegistryClient, ...]
    probe_repository: str = ""
    collector: Executor | None = None
    gc_note: str = ""
    gc_schedule: str = ""

    @property
    def probe_name(self) -> str:
        """A repository to ask about deletion; for that it need not exist."""
        return self.probe_repository or FALLBACK_PROBE

    async def storage(self) -> Path | None:
        """The root of its storage, where the bot can read that itself; else None."""
        return await self.collector.storage() if self.collector else None


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds that the program waits; tests shorten them.

    `lease` and `letter` are how long a job, and a message in delivery, are left to a process that
    says nothing: with the looks at the queue they must stay below the ten seconds in which a
    killed one is to be succeeded. `drain` is how long what runs may go on when the process is
    asked to end. `doctor` looks at all repositories for so long, `doctor_one` at one.
    `members` is how long Slack's word about a user group is believed.
    """

    lease: float = 7.5
    letter: float = 6.0
    retry: float = 5.0
    edit: float = 3.0
    proof: float = 15.0
    preview: float = 60.0
    doctor: float = 120.0
    doctor_one: float = 600.0
    drain: float = 15.0
    members: float = 60.0


async def _nothing() -> None:
    """Nobody has to be asked anything."""


@dataclass(frozen=True, slots=True)
class Context:
    """The rooms that an operation may use.

    `refresh` is awaited before the policy decides, outside of transactions: it asks Slack who is
    in its user groups, and never fails (whom it could not ask about is unknown to the policy).
    `audit_channel` is where the head of the audit trail is posted; "" for nowhere.
    `most_requests` is how many requests for a deletion or collection of one registry may be open.
    `redact` takes secrets out of a text that others wrote.
    """

    store: Store
    policy: Policy
    registries: Mapping[str, Registry]
    max_tags: int
    timezone: ZoneInfo
    timing: Timing = field(default_factory=Timing)
    refresh: Callable[[], Awaitable[None]] = _nothing
    audit_channel: str = ""
    retention: tuple[Retention, ...] = ()
    most_requests: int = 100
    redact: Callable[[str], str] = str

    def registry(self, name: str) -> Registry:
        """The registry called `name`; refuses one that the settings no longer know."""
        found = self.registries.get(name)
        if found is None:
            raise Refusal(
                f"The registry {name} is not in the settings of this bot any more.",
                "Ask whoever runs the bot to add it again.",
            )
        return found

    def announced(self, channel: str, registry: str) -> str:
        """The channel in which a request's message stands: the one where it was asked for.

        What is asked for outside of Slack is announced in the first channel that serves the
        registry; "" if none does.
        """
        if channel:
            return channel
        serving = (c.id for c in self.policy.channels if c.id and registry in c.registries)
        return next(serving, "")

    def registry_for(self, channel: str, wanted: str | None) -> Registry:
        """The registry that a command in `channel` speaks of.

        Raises
        ------
        Refusal : the channel serves none, or several and none was named.
        """
        listed = self.policy.channel(channel)
        names = listed.registries if listed else ()
        if wanted is not None:
            if wanted in names:
                return self.registry(wanted)
            raise Refusal(
                f"No registry called {wanted} is served here.",
                f"You can use --on {' or --on '.join(names)}." if names else "",
                tuple(get_close_matches(wanted, names, 3, 0.5)),
                wrong=wanted,
            )
        if len(names) == 1:
            return self.registry(names[0])
        if not names:
            raise Refusal(
                "No registry is served here.",
                "Use a channel listed under [[channels]] in the bot's settings.",
            )
        raise Refusal(
            "Several registries are served here.",
            f"Say which: --on {' or --on '.join(names)}.",
            tuple(f"--on {name}" for name in names[:3]),
            wrong="",
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked, and where. `emergency`: with `--emergency`, so that only that table decides."""

    actor: Actor
    channel: str
    reason: str = ""
    emergency: bool = False
