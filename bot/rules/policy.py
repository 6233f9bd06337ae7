"""Who may do what to which images, and who must agree. Rules decide; nothing here does I/O.

For each image the first rule that matches decides: by action, image and who asks. Where none
matches, the answer is no. A protection beats every rule, emergencies too. Whose membership in a
group is not known is never taken as a yes: where it would decide, the answer is a no that says so.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bot.rules import explain
from bot.rules.people import Membership, People
from bot.rules.quorum import Standing, StepStanding
from bot.rules.rule import (
    ANYONE,
    BOT,
    EMERGENCY,
    Action,
    Actor,
    Approval,
    Channel,
    Defaults,
    Emergency,
    Group,
    Protection,
    Rule,
    Step,
    Target,
    Verdict,
)
from bot.rules.voting import Voting

__all__ = [
    "ANYONE",
    "BOT",
    "EMERGENCY",
    "Action",
    "Actor",
    "Approval",
    "Channel",
    "Defaults",
    "Emergency",
    "Group",
    "Membership",
    "Policy",
    "Protection",
    "Rule",
    "Standing",
    "Step",
    "StepStanding",
    "Target",
    "Verdict",
]


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything in the settings that decides, and what Slack says of its user groups.

    `members`, `local_accounts` and `silence` are those of :class:`bot.rules.people.People`.
    `members` changes while the program runs; everything else is fixed.
    """

    groups: Mapping[str, Group] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    protections: tuple[Protection, ...] = ()
    channels: tuple[Channel, ...] = ()
    defaults: Defaults = field(default_factory=Defaults)
    emergency: Emergency = field(default_factory=Emergency)
    local_accounts: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    silence: Mapping[str, str] = field(default_factory=dict)

    @property
    def people(self) -> People:
        """Who is who, and who is in which group."""
        return People(self.groups, self.members, self.local_accounts, self.silence)

    def person(self, user: str) -> str:
        """The one id that stands for somebody: a host's account may belong to one in Slack."""
        return self.people.person(user)

    # What may be asked for

    def judge(
        self,
        actor: Actor,
        action: Action,
        targets: Sequence[Target],
        reason: str = "",
        *,
        emergency: bool = False,
    ) -> Verdict:
        """Whether `actor` may ask for this, and by which rule.

        Parameters
        ----------
        targets : every image that would change; empty for what concerns the whole registry.
        reason : what the person gave as one; some rules want it.
        emergency : asked with `--emergency`: only `[emergency]` decides then.

        Returns
        -------
        With several rules over the targets, the one whose approvers decide about all. Different
        people for different images cannot be asked in one request: that is refused.
        """
        if not actor.is_full_member:
            return explain.stranger()
        if action.needs_targets and not targets:
            # Without this, "no image" would be judged like "the whole registry".
            return explain.no_target(action)
        if action.deletes:
            held = next(((t, p) for t in targets if (p := self.protection_of(t))), None)
            if held is not None:
                return explain.protected(*held)
        if emergency:
            return self._break_glass(actor, action, targets, reason)
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

    def may_request(self, rule: Rule, actor: Actor) -> Verdict:
        """Whether `actor` is, today, one of those for whom `rule` is."""
        if not actor.is_full_member:
            return explain.stranger()
        match self._is_requester(rule, actor):
            case Membership.YES:
                return Verdict(True, rule, rules=(rule,))
            case Membership.NO:
                return explain.not_requester(rule)
        return explain.unknown_requester(rule, self.people)

    def _break_glass(
        self, actor: Actor, action: Action, targets: Sequence[Target], reason: str
    ) -> Verdict:
        what = _what(action, targets[0] if targets else None)
        rule = self.rule(EMERGENCY)
        if rule is None:
            return explain.no_emergencies()
        if actor.is_bot or action not in self.emergency.actions:
            return explain.not_in_emergency(rule, what)
        verdict = self.may_request(rule, actor)
        if not verdict.allowed:
            return verdict
        least = max(1, self.emergency.min_reason_length)
        if len(reason.strip()) < least:
            return explain.short_reason(rule, least)
        return verdict

    def _one(self, actor: Actor, action: Action, target: Target | None) -> Verdict:
        what = _what(action, target)
        covering = [rule for rule in self.rules if rule.covers(action, target)]
        for rule in covering:
            # A rule for other people does not decide; the next one may. Where it is not known
            # whether the rule is for this person, nobody can tell which one decides.
            match self._is_requester(rule, actor):
                case Membership.YES:
                    return _by(rule, actor, what)
                case Membership.UNKNOWN:
                    return explain.unknown_requester(rule, self.people, what)
            if rule.denies and self.people.may_be_meant(actor.user, rule.requesters):
                return explain.unnamed_account(rule, actor, what)
        return explain.nobody(what, action, covering)

    def _is_requester(self, rule: Rule, actor: Actor) -> Membership:
        if ANYONE in rule.requesters:
            return Membership.YES
        return self.people.is_in(actor.user, rule.requesters)

    # Who must agree; the rule is always the one of today

    def may_approve(self, rule: Rule, actor: Actor, requester: Actor) -> str:
        """Why `actor` may not decide on what `requester` asked for; "" if they may.

        Whether their approval is still of use is another question: see :meth:`vote`.
        """
        return Voting(self.people, rule, requester.user).may_decide(actor).sentence

    def vote(self, rule: Rule, actor: Actor, requester: Actor, approvers: Sequence[str]) -> Verdict:
        """Whether an approval of `actor` counts now, after those of `approvers`."""
        return Voting(self.people, rule, requester.user).vote(actor, approvers)

    def standing(self, rule: Rule, requester: str, approvers: Iterable[str]) -> Standing:
        """How far the approvals of these people bring a request, by the policy of today."""
        return Voting(self.people, rule, requester).standing(approvers)

    def helpers(self, rule: Rule, requester: str, approvers: Sequence[str]) -> tuple[str, ...]:
        """The people whose approval would count next, sorted; those who are known."""
        return Voting(self.people, rule, requester).helpers(approvers)

    def approvers(self, rule: Rule) -> tuple[str, ...]:
        """Everybody who may approve under a rule and is known, each by their one id, sorted."""
        return tuple(sorted(self.people.known(n for step in rule.steps for n in step.approvers)))

    # Looking up

    def channel(self, channel: str) -> Channel | None:
        """The listed channel with this id."""
        return next((c for c in self.channels if c.id == channel), None)

    def rule(self, name: str) -> Rule | None:
        """The rule with this name; that of emergencies only while they are switched on."""
        if name == EMERGENCY and self.emergency.enabled:
            return Rule(
                EMERGENCY,
                self.emergency.actions,
                requesters=self.emergency.requesters,
                approval=Approval.CONFIRM,
                require_reason=True,
                expires_after=self.defaults.expires_after,
                execute_within=self.defaults.execute_within,
                undo_window=self.defaults.undo_window,
            )
        return next((r for r in self.rules if r.name == name), None)

    def fingerprint(self, rule: Rule) -> str:
        """What a request pins of a rule: if it differs later, the request is outdated."""
        return self.emergency.fingerprint if rule.name == EMERGENCY else rule.fingerprint

    @property
    def usergroups(self) -> tuple[str, ...]:
        """The ids of the Slack user groups whose people count, sorted."""
        return tuple(sorted({g.slack_usergroup for g in self.groups.values()} - {""}))


def _what(action: Action, target: Target | None) -> str:
    return f"{action} on {target}" if target else f"{action}"


def _by(rule: Rule, actor: Actor, what: str) -> Verdict:
    """The verdict of the rule that decides about one image."""
    if rule.denies:
        return explain.forbidden(rule, what)
    if rule.approval is Approval.REQUIRED and not rule.steps:
        return explain.no_steps(rule)
    if rule.approval is Approval.CONFIRM and actor.is_bot:
        return explain.bot_confirms_nothing(rule, what)
    return Verdict(True, rule, rules=(rule,))


def _together(action: Action, rules: Sequence[Rule], reason: str) -> Verdict:
    strict = next((rule for rule in rules if rule.require_reason), None)
    if strict is not None and not reason.strip():
        return explain.wants_reason(strict)
    required = [rule for rule in rules if rule.approval is Approval.REQUIRED]
    if len(required) > 1:
        return explain.split(action, required)
    decides = required[0] if required else rules[0]
    return Verdict(True, decides, rules=(decides, *(r for r in rules if r is not decides)))
