"""Whether the approvals that a rule asks for can ever be given."""

from collections.abc import Iterable

from bot.rules.people import Membership, People
from bot.rules.policy import ANYONE, Rule, Step
from bot.rules.quorum import assign
from bot.settings.problems import Findings


def check_quorum(rule: Rule, key: str, people: People, findings: Findings) -> None:
    """Report a rule whose approvals nobody, or not everybody who may ask, can ever get.

    Parameters
    ----------
    rule : one with `approval = "required"` and steps; all of its groups exist.
    key : the rule in the file, for messages.
    people : as the file lists them: whom Slack has in its user groups is not known yet.
    """
    named = people.known(name for name in rule.requesters if name != ANYONE)
    # Somebody who is listed nowhere, and takes no approver's place away by asking.
    others = ANYONE in rule.requesters or bool(people.silent(rule.requesters)) or not named
    asking: list[str | None] = [*sorted(named), *([None] if others else [])]
    checked = _Reach(rule, people)
    if not any(checked.may_be_reached(user) for user in asking):
        _never(rule, key, people, findings)
        return
    if not any(checked.is_reached(user) for user in asking):
        silent = people.silent(name for step in rule.steps for name in step.approvers)
        findings.warn(
            f"{key}.steps",
            "whether these approvals can be reached cannot be checked: it depends on who is in the "
            f"Slack user groups of {', '.join(silent)}.",
        )
    listed = checked.approvers if ANYONE in rule.requesters else named
    stuck = sorted(user for user in listed if not checked.may_be_reached(user))
    if stuck:
        findings.warn(
            f"{key}.steps",
            f"what {', '.join(stuck)} asks for can never be approved: too few others may approve.",
        )


class _Reach:
    """Whether the steps can be filled, each person counting once over all of them."""

    def __init__(self, rule: Rule, people: People) -> None:
        self._rule = rule
        self._people = people
        self.approvers = people.known(name for step in rule.steps for name in step.approvers)

    def is_reached(self, requester: str | None) -> bool:
        """Whether the listed people are enough."""
        return self._filled(self._rule.steps, requester)

    def may_be_reached(self, requester: str | None) -> bool:
        """Whether they are, with as many from Slack's user groups as it takes."""
        fixed = [step for step in self._rule.steps if not self._people.silent(step.approvers)]
        return self._filled(fixed, requester)

    def _filled(self, steps: Iterable[Step], requester: str | None) -> bool:
        chosen = list(steps)
        absent = set() if self._rule.allow_self_approval else {requester}
        able = {
            user: [n for n, step in enumerate(chosen) if self._is_in(user, step)]
            for user in self.approvers - absent
        }
        needed = [step.approvals_needed for step in chosen]
        return len(assign(needed, able)) == sum(needed)

    def _is_in(self, user: str, step: Step) -> bool:
        return self._people.is_in(user, step.approvers) is Membership.YES


def _never(rule: Rule, key: str, people: People, findings: Findings) -> None:
    names = list(dict.fromkeys(name for step in rule.steps for name in step.approvers))
    needed = sum(step.approvals_needed for step in rule.steps)
    there = len(people.known(names))
    text = (
        f"asks for {_number(needed, 'approval')} from {', '.join(names)}, where "
        f"{_number(there, 'person')} {'counts' if there == 1 else 'count'}"
    )
    if len(rule.steps) > 1:
        text += ", each for one step"
    if not rule.allow_self_approval and there >= needed:
        text += ", the requester not among them"
    findings.problem(
        f"{key}.steps",
        text + ": this can never be reached",
        "Lower approvals_needed, or list more people under users of these groups.",
    )


def _number(count: int, word: str) -> str:
    plural = {"person": "people"}.get(word, f"{word}s")
    return f"{count} {word if count == 1 else plural}"
