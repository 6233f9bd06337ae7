"""Who may do what to which images, and who must agree. Rules decide; nothing here does I/O.

The first rule that matches decides; where none matches, the answer is no. A protection beats
every rule. What this version cannot decide safely (several steps, Slack user groups) is refused
or counts as nobody: never as a yes.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bot.registry.reference import match_repository, match_tag

ANYONE = "anyone"


class Action(StrEnum):
    """What a rule can speak of."""

    DELETE = "delete"
    CLEANUP = "cleanup"
    PURGE = "purge"
    PURGE_REQUEST = "purge request"
    GC = "gc"
    LOCK = "lock"
    UNDO = "undo"


_DELETES = frozenset({Action.DELETE, Action.CLEANUP, Action.PURGE, Action.PURGE_REQUEST})


class Approval(StrEnum):
    """Whether the requester alone confirms, or others must agree."""

    CONFIRM = "confirm"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, as Slack names them. Guests and strangers never get this far."""

    user: str
    team: str
    is_full_member: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """People by their ids. A Slack user group is remembered, and counts as nobody for now."""

    name: str
    users: frozenset[str]
    slack_usergroup: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """So many of the people in these groups must agree."""

    approvers: tuple[str, ...]
    approvals_needed: int = 1


@dataclass(frozen=True, slots=True)
class Rule:
    """One `[[rules]]` table with the defaults merged in. Durations are seconds.

    Empty `repositories` and `tags` match everything. A rule that names either never matches a
    collection, which is about the whole registry.
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

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides: a request pins it, and is outdated when it changes.

        Who is in a group is left out: people come and go, and are checked when they click.
        """
        decides = [
            self.name,
            sorted(self.actions),
            self.repositories,
            self.tags,
            sorted(self.requesters),
            self.effect,
            self.approval,
            [[sorted(step.approvers), step.approvals_needed] for step in self.steps],
            self.require_reason,
            self.allow_self_approval,
            self.undo_window,
        ]
        return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:32]

    def covers(self, action: Action, target: "Target | None") -> bool:
        """Whether the rule speaks of this action on this target (None: the whole registry)."""
        # The end of an undo window is a purge of what was agreed to go: `purge` speaks of both.
        names = {action} | ({Action.PURGE} if action is Action.PURGE_REQUEST else set())
        if not names & self.actions:
            return False
        if target is None:
            return not self.repositories and not self.tags
        return _matches(self.repositories, self.tags, target)


@dataclass(frozen=True, slots=True)
class Protection:
    """One `[[protected]]` table: what nobody can delete."""

    repositories: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """How messages call it."""
        parts = [", ".join(self.repositories)] if self.repositories else []
        if self.tags:
            parts.append("tags " + ", ".join(self.tags))
        return " with ".join(parts) or "everything"

    def covers(self, target: "Target") -> bool:
        """Whether it holds this image."""
        return _matches(self.repositories, self.tags, target)


@dataclass(frozen=True, slots=True)
class Target:
    """One image by tag, or (None) a manifest without a tag."""

    registry: str
    repository: str
    tag: str | None

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}" if self.tag else self.repository


@dataclass(frozen=True, slots=True)
class Channel:
    """Where the bot listens, and which registries are meant there."""

    id: str
    registries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether, by which rule, and in words why not and what to do."""

    allowed: bool
    rule: Rule | None
    sentence: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """All rules of the settings."""

    groups: Mapping[str, Group] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    protections: tuple[Protection, ...] = ()
    channels: tuple[Channel, ...] = ()

    def judge(
        self, actor: Actor, action: Action, targets: Sequence[Target], reason: str = ""
    ) -> Verdict:
        """Whether `actor` may ask for this, and by which rule.

        Parameters
        ----------
        targets : every image that would go; empty for what concerns the whole registry.
        reason : what the person gave as one; some rules want it.
        """
        if not actor.is_full_member:
            return Verdict(False, None, "Only full members of the workspace may ask for that.")
        if action in _DELETES:
            for target in targets:
                protection = self.protection_of(target)
                if protection is not None:
                    return Verdict(
                        False,
                        None,
                        f"{target} is protected ({protection.name}).",
                        "Nothing overrides a protection. To delete it, take it out of "
                        "[[protected]] in the settings first.",
                    )
        found: dict[str, Rule] = {}
        each: Sequence[Target | None] = targets or [None]
        for target in each:
            verdict = self._one(actor, action, target)
            if not verdict.allowed or verdict.rule is None:
                return verdict
            found.setdefault(verdict.rule.name, verdict.rule)
        return self._together(action, list(found.values()), reason)

    def _one(self, actor: Actor, action: Action, target: Target | None) -> Verdict:
        what = f"{action} on {target}" if target else f"{action}"
        for rule in self.rules:
            if not rule.covers(action, target):
                continue
            if not self._is_requester(rule, actor):
                # A rule for other people does not decide; the next one may.
                continue
            if rule.effect == "deny":
                return Verdict(
                    False,
                    rule,
                    f"The rule “{rule.name}” forbids {what}.",
                    "Ask whoever keeps the bot's settings.",
                )
            if rule.approval is Approval.REQUIRED and len(rule.steps) != 1:
                return Verdict(
                    False,
                    rule,
                    f"The rule “{rule.name}” asks for {len(rule.steps)} steps of approval, and "
                    "this version knows rules with one.",
                    "Give the rule exactly one step.",
                )
            return Verdict(True, rule)
        others = [rule for rule in self.rules if rule.covers(action, target)]
        if others:
            may = sorted({name for rule in others for name in rule.requesters})
            return Verdict(
                False,
                None,
                f"You may not ask for {what}: the rule “{others[0].name}” is for {', '.join(may)}.",
                "Ask one of them, or whoever keeps the bot's settings.",
            )
        return Verdict(
            False,
            None,
            f"No rule allows {what}.",
            f"Whoever keeps the bot's settings can add one: a [[rules]] table whose actions "
            f'include "{action}".',
        )

    def _together(self, action: Action, rules: Sequence[Rule], reason: str) -> Verdict:
        if any(rule.require_reason for rule in rules) and not reason:
            named = next(rule for rule in rules if rule.require_reason)
            return Verdict(
                False,
                named,
                f"The rule “{named.name}” wants a reason.",
                'Add --reason "why".',
            )
        required = [rule for rule in rules if rule.approval is Approval.REQUIRED]
        if len(required) > 1:
            names = " and ".join(f"“{rule.name}”" for rule in required[:3])
            return Verdict(
                False,
                None,
                f"These images fall under different rules ({names}), which different people "
                "decide.",
                f"Ask for them in separate requests, one {action} for each rule.",
            )
        return Verdict(True, required[0] if required else rules[0])

    def _is_requester(self, rule: Rule, actor: Actor) -> bool:
        if ANYONE in rule.requesters:
            return actor.is_full_member
        return any(actor.user in self._users(name) for name in rule.requesters)

    def _users(self, group: str) -> frozenset[str]:
        found = self.groups.get(group)
        return found.users if found else frozenset()

    def protection_of(self, target: Target) -> Protection | None:
        """The protection that holds an image, if one does."""
        return next((p for p in self.protections if p.covers(target)), None)

    def may_approve(self, rule: Rule, actor: Actor, requester: Actor) -> str:
        """Why `actor` may not approve what `requester` asked for; "" if they may."""
        if not actor.is_full_member:
            return "Only full members of the workspace may approve."
        same = (actor.user, actor.team) == (requester.user, requester.team)
        if same and not rule.allow_self_approval:
            return f"You asked for this yourself; the rule “{rule.name}” wants somebody else."
        if actor.user not in self.approvers(rule):
            groups = ", ".join(name for step in rule.steps for name in step.approvers)
            return f"You are not among the approvers of the rule “{rule.name}” ({groups})."
        return ""

    def approvers(self, rule: Rule) -> tuple[str, ...]:
        """The ids of everybody who may approve under a rule."""
        return tuple(
            sorted({u for step in rule.steps for name in step.approvers for u in self._users(name)})
        )

    def groups_of(self, user: str) -> tuple[str, ...]:
        """The groups that somebody is in."""
        return tuple(sorted(name for name, g in self.groups.items() if user in g.users))

    def channel(self, channel: str) -> Channel | None:
        """The listed channel with this id."""
        return next((c for c in self.channels if c.id == channel), None)

    def rule(self, name: str) -> Rule | None:
        """The rule with this name."""
        return next((r for r in self.rules if r.name == name), None)


def _matches(repositories: tuple[str, ...], tags: tuple[str, ...], target: Target) -> bool:
    if repositories and not any(match_repository(p, target.repository) for p in repositories):
        return False
    if not tags:
        return True
    # Nothing is known of a manifest without tags: a pattern for tags cannot free it.
    return target.tag is not None and any(match_tag(p, target.tag) for p in tags)
