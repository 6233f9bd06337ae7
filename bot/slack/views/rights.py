"""What a person may ask for and approve under the policy, rule by rule, in their order."""

from bot.rules.people import Membership
from bot.rules.policy import ANYONE, EMERGENCY, Action, Actor, Approval, Policy, Rule, Step
from bot.slack.limits import code
from bot.slack.views.blocks import fitting, listed, many, words

SHOWN = (Action.DELETE, Action.CLEANUP, Action.PURGE, Action.GC, Action.UNDO, Action.LOCK)
"""The actions of which `help` and `whoami` tell."""


def rights(policy: Policy, actor: Actor, only: Action | None = None) -> list[str]:
    """A line for each action, or one and a line for each of its rules."""
    lines = []
    for action in (only,) if only else SHOWN:
        told = [_line(policy, actor, rule) for rule in policy.rules if _speaks_of(rule, action)]
        if len(told) == 1:
            lines.append(f"*{action}*: {told[0]}")
        elif told or only or action not in _QUIET:
            lines.append(f"*{action}*: " + ("the first that fits" if told else "no rule allows it"))
            lines += [f"• {line}" for line in told]
    if only is None or only in policy.emergency.actions or only is Action.PURGE:
        lines += _emergency(policy, actor)
    protected = listed([code(p.name) for p in policy.protections], 500)
    if policy.protections:
        lines.append(f"*protected*, whoever asks: {protected}")
    count = fitting(lines, 4000)
    rest = f"and {len(lines) - count} more lines, for which there is no room here"
    return [*lines[:count], *([rest] if count < len(lines) else [])]


# Of these there is nothing to say where no rule speaks of them.
_QUIET = (Action.CLEANUP, Action.LOCK)


def approving(policy: Policy, actor: Actor) -> list[str]:
    """The names of the rules under which somebody may approve, with the steps if there are some."""
    found = []
    for rule in policy.rules:
        if rule.denies or rule.approval is not Approval.REQUIRED:
            continue
        mine = [s.name for s in rule.steps if _is(policy, actor, *s.approvers) is Membership.YES]
        if mine:
            steps = f" ({', '.join(words(n, 80) for n in mine)})" if len(rule.steps) > 1 else ""
            found.append(code(rule.name) + steps)
    return found


def groups(policy: Policy, actor: Actor) -> list[str]:
    """The groups that somebody is in, and those of which nobody can tell now."""
    found = []
    for name in sorted(policy.groups):
        match _is(policy, actor, name):
            case Membership.YES:
                found.append(code(name))
            case Membership.UNKNOWN:
                found.append(f"perhaps {code(name)} ({_unheard(policy, [name])})")
    return found


def _line(policy: Policy, actor: Actor, rule: Rule) -> str:
    where = listed([code(p) for p in rule.repositories], 150) if rule.repositories else "everywhere"
    tags = f" tags {listed([code(t) for t in rule.tags], 100)}" if rule.tags else ""
    name = f"rule {code(rule.name)}, {where}{tags}"
    mine = _asks(policy, actor, rule)
    if mine is Membership.UNKNOWN:
        unheard = _unheard(policy, rule.requesters)
        return f"{name}: refused while it is for {_named(rule.requesters)} and {unheard}"
    if rule.denies:
        if mine is Membership.YES:
            return f"{name}: forbidden"
        return f"{name}: forbidden to {_named(rule.requesters)}"
    if mine is Membership.NO:
        return f"{name}: not you, but {_named(rule.requesters)}"
    reason = f", with {code('--reason')}" if rule.require_reason else ""
    if rule.approval is Approval.CONFIRM:
        return f"{name}: you confirm it yourself{reason}"
    if not rule.steps:
        return f"{name}: refused, because it names nobody who could approve"
    return f"{name}: needs {_needs(policy, actor, rule)}{reason}"


def _needs(policy: Policy, actor: Actor, rule: Rule) -> str:
    steps = [_step(policy, actor, rule, step) for step in rule.steps]
    if len(steps) == 1:
        return steps[0]
    return f"{' and '.join(steps)}, each of another person"


def _step(policy: Policy, actor: Actor, rule: Rule, step: Step) -> str:
    own = set() if rule.allow_self_approval else {policy.person(actor.user)}
    people = sorted(policy.people.known(step.approvers) - own)
    silent = policy.people.silent(step.approvers)
    named = [f"<@{user}>" for user in people]
    named += [f"the people of {words(name, 80)}, whom Slack does not tell now" for name in silent]
    of = listed(named, 150) if named else "nobody"
    group = f" ({words(step.name, 80)})" if len(rule.steps) > 1 else ""
    return f"{many(step.approvals_needed, 'approval')} of {of}{group}"


def _emergency(policy: Policy, actor: Actor) -> list[str]:
    emergency, rule = policy.emergency, policy.rule(EMERGENCY)
    if rule is None:
        return []
    what = ", ".join(sorted(emergency.actions)) or "nothing"
    head = f"*emergency*, {code('--emergency')}, for {what}"
    match _asks(policy, actor, rule):
        case Membership.NO:
            return [f"{head}: not you, but {_named(emergency.requesters) or 'nobody'}"]
        case Membership.UNKNOWN:
            return [f"{head}: refused while {_unheard(policy, emergency.requesters)}"]
    told = f"; {_named(emergency.notify)} will be told" if emergency.notify else ""
    least = max(1, emergency.min_reason_length)
    return [
        f"{head}: you decide alone, with {code('--reason')} of at least "
        f"{many(least, 'character')}{told}"
    ]


def _asks(policy: Policy, actor: Actor, rule: Rule) -> Membership:
    if not actor.is_full_member:
        return Membership.NO
    return Membership.YES if ANYONE in rule.requesters else _is(policy, actor, *rule.requesters)


def _is(policy: Policy, actor: Actor, *names: str) -> Membership:
    return policy.people.is_in(actor.user, names)


def _unheard(policy: Policy, names: tuple[str, ...] | list[str]) -> str:
    return words(policy.people.unheard(names).removesuffix("."), 300)


def _named(names: tuple[str, ...]) -> str:
    return listed([words(name, 80) for name in names], 600)


def _speaks_of(rule: Rule, action: Action) -> bool:
    """Whether a rule can decide on an action; one about images never does on a collection."""
    about_images = bool(rule.repositories or rule.tags)
    return action in rule.actions and (action is not Action.GC or not about_images)
