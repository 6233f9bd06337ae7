"""Who must agree to a request, who has, and what is missing; and that an emergency is one."""

from collections.abc import Iterable, Sequence

from bot.operations.requesting import NOTIFY
from bot.rules.approval import PinnedStep, Request, State
from bot.slack.limits import code
from bot.slack.views.blocks import many, when, words

_PEOPLE = 20


def needs(shown: Request) -> list[str]:
    """What a pending request still waits for, a line for each step; nothing once it is decided."""
    if shown.state is not State.PENDING:
        return []
    lines, ends = _waits(shown), f"Rule {code(shown.rule)}. Expires {when(shown.expires_at)}."
    return [*lines, ends] if len(lines) > 1 else [f"{lines[0]}. {ends}"]


def _waits(shown: Request) -> list[str]:
    if shown.emergency:
        return [f"<@{shown.requester}> alone decides this: nobody else is asked"]
    if shown.approval == "confirm":
        return [f"<@{shown.requester}> alone confirms this"]
    own = "" if shown.allow_self_approval else ", not the requester"
    needed = many(shown.approvals_needed, "approval")
    if len(shown.steps) < 2:
        people = _people(shown.approvers) or "nobody: the rule names no approver"
        if shown.steps:
            people = _who(shown.steps[0])
        so_far = people_of(shown.steps) if shown.steps else shown.approved_by
        told = f". So far: {_people(so_far)}" if so_far else ""
        return [f"Needs {needed} of {people}{own}{told}{_lost(shown)}"]
    head = f"Needs {needed}, each of another person{own}, in any order{_lost(shown)}:"
    return [head, *(_step(step) for step in shown.steps)]


def _step(step: PinnedStep) -> str:
    name = words(step.name, 100)
    given = _people(step.approved)
    if not step.missing:
        return f"• :white_check_mark: {name}: approved by {given}"
    so_far = f"; so far {given}" if given else ""
    left = tuple(user for user in step.people if user not in step.approved)
    who = _who(PinnedStep(step.groups, step.needed, left, (), step.silent))
    return f"• :hourglass: {name}: {step.missing} of {who}{so_far}"


def _who(step: PinnedStep) -> str:
    """Who could fill a step."""
    silent = " and ".join(words(name, 80) for name in step.silent)
    unheard = f"the group {silent} (Slack does not tell who is in it now)" if silent else ""
    if step.people:
        return _people(step.people) + (f" and {unheard}" if unheard else "")
    return unheard or "nobody: there is nobody in its groups who could"


def _lost(shown: Request) -> str:
    """That somebody's approval counts no more, where that is so."""
    lost = len(shown.approved_by) - len(people_of(shown.steps)) if shown.steps else 0
    if lost < 1:
        return ""
    return (
        f" ({many(lost, 'approval')} given before no longer {'counts' if lost == 1 else 'count'})"
    )


def decisions(shown: Request) -> list[str]:
    """Who decided, once it is decided."""
    if shown.state is State.PENDING:
        return []
    lines = []
    if shown.approved_by:
        word = "Confirmed" if shown.approval == "confirm" else "Approved"
        several = len(shown.steps) > 1 and any(step.approved for step in shown.steps)
        by = _by_step(shown.steps) if several else _people(shown.approved_by)
        lines.append(f"{word} by {by}")
    lines += [
        f"Denied by <@{d.user}>" + (f": {words(d.reason, 300)}" if d.reason else "")
        for d in shown.decisions
        if not d.approves
    ]
    return lines


def _by_step(steps: Sequence[PinnedStep]) -> str:
    return ", ".join(
        f"{_people(step.approved)} ({words(step.name, 80)})" for step in steps if step.approved
    )


def people_of(steps: Iterable[PinnedStep]) -> tuple[str, ...]:
    """Everybody whose approval counts, each once."""
    return tuple(dict.fromkeys(user for step in steps for user in step.approved))


def called(shown: Request) -> str:
    """The mentions that a message begins with: who can still approve, who hears of an emergency."""
    if shown.emergency:
        return told(shown)
    if shown.state is not State.PENDING or shown.approval != "required":
        return ""
    wanted: Iterable[str] = shown.approvers
    if shown.steps:
        wanted = (u for step in shown.steps if step.missing for u in step.people)
    left = [user for user in dict.fromkeys(wanted) if user not in people_of(shown.steps)]
    return " ".join(f"<@{user}>" for user in left[:_PEOPLE])


def told(shown: Request) -> str:
    """Mentions of everybody who hears of an emergency; "" for any other request."""
    if not shown.emergency:
        return ""
    return " ".join(mention(one) for one in list(shown.plan.get(NOTIFY, ()))[:_PEOPLE])


def alarm(shown: Request) -> str:
    """The line above the message of an emergency; "" for any other request."""
    if not shown.emergency:
        return ""
    others = told(shown)
    hear = f" {others}: look at it." if others else ""
    return f":rotating_light: *EMERGENCY* · decided by <@{shown.requester}> alone.{hear}"


def mention(one: str) -> str:
    """A person, or a user group of which Slack did not tell who is in it, as Slack writes them."""
    return f"<!subteam^{one}>" if one.startswith("S") else f"<@{one}>"


def _people(users: Sequence[str]) -> str:
    rest = f" and {len(users) - _PEOPLE} more" if len(users) > _PEOPLE else ""
    return ", ".join(f"<@{user}>" for user in users[:_PEOPLE]) + rest
