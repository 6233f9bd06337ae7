"""Whether the approvals that a rule asks for can ever be given."""

from collections.abc import Mapping
from itertools import combinations

from bot.rules.policy import ANYONE, Group, Rule
from bot.settings.problems import Findings


def check_quorum(rule: Rule, key: str, groups: Mapping[str, Group], findings: Findings) -> None:
    """Report a rule whose approvals nobody, or not everybody who may ask, can ever get.

    Parameters
    ----------
    rule : one with `approval = "required"` and steps; all of its groups exist.
    key : the rule in the file, for messages.
    """
    requesters = _people(rule.requesters, groups)
    if _reached(rule, groups, None) and (ANYONE in rule.requesters or not requesters):
        _warn_stuck(rule, key, groups, findings)
        return
    if any(_reached(rule, groups, user) for user in requesters):
        _warn_stuck(rule, key, groups, findings)
        return
    needed = sum(step.approvals_needed for step in rule.steps)
    names = ", ".join(dict.fromkeys(name for step in rule.steps for name in step.approvers))
    there = len(_people([name for step in rule.steps for name in step.approvers], groups))
    text = (
        f"asks for {_number(needed, 'approval')} from {names}, where {_number(there, 'person')} "
        f"{'counts' if there == 1 else 'count'}"
    )
    if not rule.allow_self_approval and there >= needed:
        text += ", the requester not among them"
    unseen = [n for s in rule.steps for n in s.approvers if groups[n].slack_usergroup]
    fix = "Lower approvals_needed, or list more people under users of these groups."
    if unseen:
        fix += " People of a Slack user group do not count in this version."
    findings.problem(f"{key}.steps", text + ": this can never be reached", fix)


def _warn_stuck(rule: Rule, key: str, groups: Mapping[str, Group], findings: Findings) -> None:
    """Warn of people who may ask, but whose own absence among the approvers stops them."""
    approvers = _people([name for step in rule.steps for name in step.approvers], groups)
    asking = approvers if ANYONE in rule.requesters else _people(rule.requesters, groups)
    stuck = sorted(user for user in asking if not _reached(rule, groups, user))
    if stuck:
        findings.warn(
            f"{key}.steps",
            f"what {', '.join(stuck)} asks for can never be approved: too few others may approve.",
        )


def _reached(rule: Rule, groups: Mapping[str, Group], requester: str | None) -> bool:
    """Whether the steps can be filled, each person counting once over all of them."""
    absent = set() if rule.allow_self_approval or requester is None else {requester}
    steps = [(_people(step.approvers, groups) - absent, step) for step in rule.steps]
    # Hall's condition: any choice of steps needs as many people as it asks approvals.
    return all(
        len(frozenset[str]().union(*(people for people, _ in chosen)))
        >= sum(step.approvals_needed for _, step in chosen)
        for size in range(1, len(steps) + 1)
        for chosen in combinations(steps, size)
    )


def _people(names: tuple[str, ...] | list[str], groups: Mapping[str, Group]) -> frozenset[str]:
    return frozenset(
        user
        for name in names
        if name in groups
        for user in groups[name].users
        if not user.startswith("local:")
    )


def _number(count: int, word: str) -> str:
    plural = {"person": "people"}.get(word, f"{word}s")
    return f"{count} {word if count == 1 else plural}"
