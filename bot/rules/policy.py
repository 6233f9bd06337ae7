"""Who may do what to which images, and who must agree. Rules decide; nothing here does I/O.

For each image the first rule that matches decides: by action, image and who asks. Where none
matches, the answer is no. A protection beats every rule. What this version cannot decide safely
(several steps, the members of Slack user groups) is never taken as a yes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.rules.rule import (
    ANYONE,
    Action,
    Actor,
    Approval,
    Channel,
    Defaults,
    Group,
    Protection,
    Rule,
    Step,
    Target,
    Verdict,
)

__all__ = [
    "ANYONE",
    "Action",
    "Actor",
    "Approval",
    "Channel",
    "Defaults",
    "Group",
    "Policy",
    "Protection",
    "Rule",
    "Step",
    "Target",
    "Verdict",
]

_KEEPER = "Ask whoever keeps the bot's settings."


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything in the settings that decides."""

    groups: Mapping[str, Group] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    protections: tuple[Protection, ...] = ()
    channels: tuple[Channel, ...] = ()
    defaults: Defaults = field(default_factory=Defaults)

    def judge(
        self, actor: Actor, action: Action, targets: Sequence[Target], reason: str = ""
    ) -> Verdict:
        """Whether `actor` may ask for this, and by which rule.

        Parameters
        ----------
        targets : every image that would change; empty for what concerns the whole registry.
        reason : what the person gave as one; some rules want it.

        Returns
        -------
        With several rules over the targets, the one whose approvers decide about all. Different
        people for different images cannot be asked in one request: that is refused.
        """
        if not actor.is_full_member:
            return Verdict(
                False,
                None,
                "Only full members of the workspace may ask for that.",
                "Ask a full member to do it.",
            )
        if action.needs_targets and not targets:
            # Without this, "no image" would be judged like "the whole registry".
            return Verdict(
                False, None, f"There is no image to {action}.", "Name at least one tag or digest."
            )
        if action.deletes:
            held = self._held(targets)
            if held is not None:
                return held
        found: dict[str, Rule] = {}
        judged: Sequence[Target | None] = targets or [None]
        for target in judged:
            verdict = self._one(actor, action, target)
            if not verdict.allowed or verdict.rule is None:
                return verdict
            found.setdefault(verdict.rule.name, verdict.rule)
        return _together(action, list(found.values()), reason)

    def protection_of(self, target: Target) -> Protection | None:
        """The protection that holds an image, if one does."""
        return next((p for p in self.protections if p.covers(target)), None)

    def may_approve(self, rule: Rule, actor: Actor, requester: Actor) -> str:
        """Why `actor` may not approve what `requester` asked for; "" if they may."""
        if not actor.is_full_member:
            return "Only full members of the workspace may approve."
        # By the id alone: Slack gives one person's team in more than one way.
        same = actor.user == requester.user
        if rule.approval is Approval.CONFIRM:
            return "" if same else f"The rule “{rule.name}” lets only the requester confirm."
        if len(rule.steps) != 1:
            return _not_one_step(rule)
        if same and not rule.allow_self_approval:
            return f"You asked for this yourself; the rule “{rule.name}” wants somebody else."
        if actor.user not in self.approvers(rule):
            groups = ", ".join(rule.steps[0].approvers)
            return f"You are not among the approvers of the rule “{rule.name}” ({groups})."
        return ""

    def approvers(self, rule: Rule) -> tuple[str, ...]:
        """The ids of everybody who may approve under a rule, sorted."""
        return tuple(
            sorted({u for step in rule.steps for name in step.approvers for u in self._users(name)})
        )

    def groups_of(self, user: str) -> tuple[str, ...]:
        """The names of the groups that somebody is in, sorted."""
        return tuple(sorted(name for name, g in self.groups.items() if user in g.users))

    def channel(self, channel: str) -> Channel | None:
        """The listed channel with this id."""
        return next((c for c in self.channels if c.id == channel), None)

    def rule(self, name: str) -> Rule | None:
        """The rule with this name."""
        return next((r for r in self.rules if r.name == name), None)

    def _held(self, targets: Sequence[Target]) -> Verdict | None:
        for target in targets:
            protection = self.protection_of(target)
            if protection is not None:
                return Verdict(
                    False,
                    None,
                    f"{target} is protected ({protection.name}).",
                    "No rule and no approval overrides a protection. To delete it, take it out "
                    "of [[protected]] in the settings first.",
                )
        return None

    def _one(self, actor: Actor, action: Action, target: Target | None) -> Verdict:
        what = f"{action} on {target}" if target else f"{action}"
        covering = [rule for rule in self.rules if rule.covers(action, target)]
        # A rule for other people does not decide; the next one may.
        rule = next((rule for rule in covering if self._is_requester(rule, actor)), None)
        if rule is None:
            return _nobody(what, action, covering)
        if rule.denies:
            return Verdict(False, rule, f"The rule “{rule.name}” forbids {what}.", _KEEPER)
        if rule.approval is Approval.REQUIRED and len(rule.steps) != 1:
            return Verdict(False, rule, _not_one_step(rule), f"{_KEEPER} One step works.")
        return Verdict(True, rule)

    def _is_requester(self, rule: Rule, actor: Actor) -> bool:
        if ANYONE in rule.requesters:
            return actor.is_full_member
        if rule.denies and any(self._is_open(name) for name in rule.requesters):
            # Who is in a Slack user group is not known: anybody could be meant.
            return True
        return any(actor.user in self._users(name) for name in rule.requesters)

    def _is_open(self, group: str) -> bool:
        found = self.groups.get(group)
        return found is None or bool(found.slack_usergroup)

    def _users(self, group: str) -> frozenset[str]:
        found = self.groups.get(group)
        return found.users if found else frozenset()


def _together(action: Action, rules: Sequence[Rule], reason: str) -> Verdict:
    strict = next((rule for rule in rules if rule.require_reason), None)
    if strict is not None and not reason.strip():
        return Verdict(
            False, strict, f"The rule “{strict.name}” wants a reason.", 'Add --reason "why".'
        )
    required = [rule for rule in rules if rule.approval is Approval.REQUIRED]
    if len(required) > 1:
        names = " and ".join(f"“{rule.name}”" for rule in required[:3])
        return Verdict(
            False,
            None,
            f"These images fall under different rules ({names}), and each has its own approvers.",
            f"Split it: ask for a {action} of the images of each rule in its own request.",
        )
    return Verdict(True, required[0] if required else rules[0])


def _nobody(what: str, action: Action, covering: Sequence[Rule]) -> Verdict:
    allowing = [rule for rule in covering if not rule.denies]
    if allowing:
        may = ", ".join(dict.fromkeys(name for rule in allowing for name in rule.requesters))
        return Verdict(
            False,
            None,
            f"You may not ask for {what}: the rule “{allowing[0].name}” is for {may}.",
            "Ask one of them, or whoever keeps the bot's settings.",
        )
    return Verdict(
        False,
        None,
        f"No rule allows {what}.",
        "Whoever keeps the bot's settings can add one: a [[rules]] table whose actions "
        f'include "{action}".',
    )


def _not_one_step(rule: Rule) -> str:
    return (
        f"The rule “{rule.name}” asks for {len(rule.steps)} steps of approval, and this version "
        "knows rules with one."
    )
