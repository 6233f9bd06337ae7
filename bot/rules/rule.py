"""The values that a policy is made of: people, images, rules and what a rule asks for."""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum

from bot.registry.reference import match_repository, match_tag

ANYONE = "anyone"
"""The requesters' name for every full member of the workspace."""

BOT = "bot"
"""Who acts where a schedule does: it may ask like anyone, and never approves or confirms."""

LOCAL = "local:"
"""The beginning of the id of somebody at the host's terminal: `local:ann`."""

EMERGENCY = "[emergency]"
"""The name of the rule by which an emergency is decided. No rule of the settings has it."""


class Action(StrEnum):
    """What a rule can speak of."""

    DELETE = "delete"
    CLEANUP = "cleanup"
    PURGE = "purge"
    PURGE_REQUEST = "purge request"
    GC = "gc"
    LOCK = "lock"
    UNDO = "undo"

    @property
    def deletes(self) -> bool:
        """Whether images go, so that protections count."""
        return self in {Action.DELETE, Action.CLEANUP, Action.PURGE, Action.PURGE_REQUEST}

    @property
    def untags(self) -> bool:
        """Whether it takes single tags away and leaves the image for an undo window."""
        return self in {Action.DELETE, Action.CLEANUP}

    @property
    def has_plan(self) -> bool:
        """Whether its requests carry a deletion's plan."""
        return self.untags or self is Action.PURGE

    @property
    def needs_targets(self) -> bool:
        """Whether it is about images. The others can be about a whole registry."""
        return self not in {Action.GC, Action.LOCK}


class Approval(StrEnum):
    """Whether the requester alone confirms, or others must agree."""

    CONFIRM = "confirm"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a person as Slack names them, `local:ann` at the host's terminal, or the bot.

    `is_full_member` is False for guests and strangers.
    """

    user: str
    team: str
    is_full_member: bool = True

    @property
    def is_bot(self) -> bool:
        """Whether no person stands behind it, but a schedule."""
        return self.user == BOT


@dataclass(frozen=True, slots=True)
class Group:
    """People by their ids, and those of a Slack user group, which only Slack knows."""

    name: str
    users: frozenset[str]
    slack_usergroup: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """So many of the people in these groups must agree; one person counts once."""

    approvers: tuple[str, ...]
    approvals_needed: int = 1

    @property
    def name(self) -> str:
        """How messages call it."""
        return " or ".join(self.approvers)


@dataclass(frozen=True, slots=True)
class Target:
    """One image by tag; without a tag a manifest that has none, or a repository."""

    registry: str
    repository: str
    tag: str | None

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}" if self.tag else self.repository


@dataclass(frozen=True, slots=True)
class Defaults:
    """The `[defaults]` that a rule can override. Durations are seconds."""

    require_reason: bool = False
    allow_self_approval: bool = False
    expires_after: float = 1800.0
    execute_within: float = 900.0
    undo_window: float = 86400.0


@dataclass(frozen=True, slots=True)
class Rule:
    """One `[[rules]]` table with the defaults merged in. Durations are seconds.

    Empty `repositories` and `tags` match everything. A rule that names either never matches
    what concerns a whole registry, such as a collection.
    """

    name: str
    actions: frozenset[Action]
    repositories: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    requesters: tuple[str, ...] = (ANYONE,)
    effect: str = "allow"
    approval: Approval = Approval.REQUIRED
    steps: tuple[Step, ...] = ()
    require_reason: bool = False
    allow_self_approval: bool = False
    expires_after: float = 1800.0
    execute_within: float = 900.0
    undo_window: float = 86400.0
    remind_after: float | None = None
    escalate_to: tuple[str, ...] = ()

    @property
    def denies(self) -> bool:
        """Whether it refuses what it covers."""
        return self.effect == "deny"

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides: a request pins it, and is outdated when it changes.

        The order of patterns and groups does not count, and neither do reminders. Who is in a
        group is left out too: people come and go, and are checked when they click.
        """
        decides = [
            self.name,
            sorted(self.actions),
            sorted(self.repositories),
            sorted(self.tags),
            sorted(self.requesters),
            self.effect,
            self.approval,
            [[sorted(step.approvers), step.approvals_needed] for step in self.steps],
            self.require_reason,
            self.allow_self_approval,
            float(self.expires_after),
            float(self.execute_within),
            float(self.undo_window),
        ]
        return _hash(decides)

    def covers(self, action: Action, target: Target | None) -> bool:
        """Whether the rule speaks of this action on this target (None: the whole registry)."""
        # The end of an undo window is a purge of what was agreed to go: `purge` speaks of both.
        names = {action} | ({Action.PURGE} if action is Action.PURGE_REQUEST else set())
        if not names & self.actions:
            return False
        if target is None or action is Action.GC:
            return not self.repositories and not self.tags
        return _matches(self.repositories, self.tags, target)


@dataclass(frozen=True, slots=True)
class Protection:
    """One `[[protected]]` table: what nobody can delete. Empty lists stand for everything."""

    repositories: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """How messages call it."""
        parts = [", ".join(self.repositories)] if self.repositories else []
        if self.tags:
            parts.append("tags " + ", ".join(self.tags))
        return " with ".join(parts) or "everything"

    def covers(self, target: Target) -> bool:
        """Whether it holds this image."""
        return _matches(self.repositories, self.tags, target)


@dataclass(frozen=True, slots=True)
class Emergency:
    """The `[emergency]` table: what the requester may decide alone when it burns."""

    enabled: bool = False
    actions: frozenset[Action] = frozenset()
    requesters: tuple[str, ...] = ()
    min_reason_length: int = 20
    notify: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """A hash of the whole table: an emergency is outdated when any of it changes."""
        return _hash(
            [
                EMERGENCY,
                self.enabled,
                sorted(self.actions),
                sorted(self.requesters),
                self.min_reason_length,
                sorted(self.notify),
            ]
        )


@dataclass(frozen=True, slots=True)
class Channel:
    """Where the bot listens, and which registries are meant there. It gives nobody a right."""

    id: str
    registries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether, by which rule, and in words why not and what to do.

    `rules` are all that had a say: `rule`, whose approvers decide, and those of other images
    in the same request. `unknown` says that it is a no only because Slack does not tell who is
    in a group.
    """

    allowed: bool
    rule: Rule | None
    sentence: str = ""
    hint: str = ""
    rules: tuple[Rule, ...] = ()
    unknown: bool = False


def _hash(values: list[object]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:32]


def _matches(repositories: tuple[str, ...], tags: tuple[str, ...], target: Target) -> bool:
    if repositories and not any(match_repository(p, target.repository) for p in repositories):
        return False
    if not tags:
        return True
    # Nothing is known of a manifest without tags: a pattern for tags cannot free it.
    return target.tag is not None and any(match_tag(p, target.tag) for p in tags)
