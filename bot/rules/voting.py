"""Whose approval counts for one request, by the policy of today."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bot.rules import explain
from bot.rules.people import Membership, People
from bot.rules.quorum import Standing, StepStanding, assign
from bot.rules.rule import Actor, Approval, Rule, Step, Verdict


@dataclass(frozen=True, slots=True)
class Voting:
    """Approvals under `rule` of what `requester` (an id) asked for.

    Each person counts once, under whichever of their ids, and fills one place of one step. The
    requester counts only where the rule lets them, and is the only one where it wants them to
    confirm.
    """

    people: People
    rule: Rule
    requester: str

    def may_decide(self, actor: Actor) -> Verdict:
        """Whether somebody may approve or deny at all."""
        rule = self.rule
        if actor.is_bot:
            return explain.bot_decides_nothing(rule)
        if not actor.is_full_member:
            return explain.strangers_decide_nothing(rule)
        # By the id alone: Slack gives one person's team in more than one way.
        same = self.people.person(actor.user) == self.people.person(self.requester)
        if rule.approval is Approval.CONFIRM:
            return Verdict(True, rule) if same else explain.only_the_requester(rule)
        if same and not rule.allow_self_approval:
            return explain.own_request(rule)
        match self.people.is_in(actor.user, self._groups):
            case Membership.YES:
                return Verdict(True, rule)
            case Membership.NO:
                return explain.no_approver(rule, self._groups)
        return explain.unknown_approver(rule, self.people, self._groups)

    def vote(self, actor: Actor, approvers: Sequence[str]) -> Verdict:
        """Whether an approval of `actor` counts now, after those of `approvers`."""
        may = self.may_decide(actor)
        if not may.allowed:
            return may
        before, after = self.standing(approvers), self.standing([*approvers, actor.user])
        if len(after.counted) == len(before.counted):
            still_open = [step.step for step in before.steps if step.missing > 0]
            if any(self._fits(step, actor.user) is Membership.UNKNOWN for step in still_open):
                return explain.unknown_approver(self.rule, self.people, self._groups)
            mine = [s for s in self._steps if self._fits(s, actor.user) is Membership.YES]
            return explain.not_needed(self.rule, mine, before)
        if not after.is_complete and after.may_be_complete:
            # Whether the people before still count decides, and is not known: if this one were
            # written down now, nobody would be left to complete it later.
            return explain.unknown_approver(self.rule, self.people, self._groups)
        return may

    def standing(self, approvers: Iterable[str]) -> Standing:
        """How far these people's approvals bring the request."""
        people = self._who_count(approvers)
        needed = [step.approvals_needed for step in self._steps]
        seats = assign(needed, self._able(people, Membership.YES))
        filled = tuple(
            StepStanding(step, tuple(p for p in people if seats.get(p) == number))
            for number, step in enumerate(self._steps)
        )
        most = assign(needed, self._able(people, Membership.YES, Membership.UNKNOWN))
        return Standing(filled, bool(needed) and len(most) == sum(needed))

    def helpers(self, approvers: Sequence[str]) -> tuple[str, ...]:
        """The people whose approval would count next, sorted; those who are known."""
        if self.rule.approval is Approval.CONFIRM:
            return () if approvers else (self.people.person(self.requester),)
        before = len(self.standing(approvers).counted)
        voted = self.people.persons(approvers)
        return tuple(
            user
            for user in sorted(self.people.known(self._groups))
            if user not in voted and len(self.standing([*approvers, user]).counted) > before
        )

    @property
    def _steps(self) -> tuple[Step, ...]:
        """The rule's steps; the requester's word is the only one of a rule to confirm."""
        return (Step(()),) if self.rule.approval is Approval.CONFIRM else self.rule.steps

    @property
    def _groups(self) -> list[str]:
        return [name for step in self.rule.steps for name in step.approvers]

    def _who_count(self, approvers: Iterable[str]) -> tuple[str, ...]:
        own, everybody = self.people.person(self.requester), self.people.persons(approvers)
        if self.rule.approval is Approval.CONFIRM:
            return tuple(user for user in everybody if user == own)
        if self.rule.allow_self_approval:
            return everybody
        return tuple(user for user in everybody if user != own)

    def _able(self, people: Iterable[str], *accepted: Membership) -> dict[str, list[int]]:
        return {
            person: [n for n, s in enumerate(self._steps) if self._fits(s, person) in accepted]
            for person in people
        }

    def _fits(self, step: Step, user: str) -> Membership:
        if self.rule.approval is Approval.CONFIRM:
            return Membership.YES
        return self.people.is_in(user, step.approvers)
