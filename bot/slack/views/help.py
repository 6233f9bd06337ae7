"""`help` and `whoami`: this person's rights under this team's policy, not a generic text."""

from collections.abc import Sequence

from bot.rules.policy import Action, Actor, Approval, Policy, Rule
from bot.rules.rule import ANYONE
from bot.slack.limits import code, escape
from bot.slack.verbs import VERBS, Kind, available
from bot.slack.views.blocks import (
    Message,
    context,
    duration,
    fitting,
    listed,
    many,
    message,
    paragraphs,
    section,
    words,
)

_TITLES = {
    Kind.READ: "Look",
    Kind.CHANGE: "Change",
    Kind.DESTRUCTIVE: "Change for good",
    Kind.APPROVE: "Decide",
}


def help_(policy: Policy, actor: Actor, channel: str, topic: str = "") -> Message:
    """All verbs, or one of them, with what this person needs for it here."""
    if topic:
        return _topic(policy, actor, topic)
    blocks = []
    for kind, title in _TITLES.items():
        lines = [
            f"{code('/registry ' + verb.name)} {escape(verb.summary)}"
            for verb in available()
            if verb.kind is kind
        ]
        blocks.append(section(f"*{title}*\n" + "\n".join(lines)))
    rights = _rights(policy, actor)
    blocks += paragraphs(["*Your rights here*", *rights])
    served = policy.channel(channel)
    names = served.registries if served else ()
    several = f" Say which with {code('--on NAME')}." if len(names) > 1 else ""
    place = "This channel" if channel else "This host"  # outside of Slack there is no channel
    here = f"{place} serves {_named(names) or 'no registry'}."
    blocks.append(
        context(
            f"{here}{several} {code('/registry help delete')} tells more about one verb. "
            f"A tag can be a pattern: {code('team/api:pr-*')}."
        )
    )
    verbs = ", ".join(verb.name for verb in available())
    told = "\n".join(["Your rights here:", *rights])
    return message(f"registry-bot understands: {verbs}. {here} {told}", blocks)


def _named(names: Sequence[str]) -> str:
    return listed([words(name, 80) for name in names], 600)


def _topic(policy: Policy, actor: Actor, topic: str) -> Message:
    verb = VERBS[topic]
    lines = [f"*{verb.name}*: {escape(verb.summary)}", code(verb.usage)]
    if verb.example:
        lines.append(f"For example {code(verb.example)}")
    blocks = [section("\n".join(lines))]
    rights: list[str] = []
    if topic in {"delete", "purge", "undo", "gc"}:
        rights = _rights(policy, actor, only=Action(topic))
        blocks += paragraphs(["*Your rights here*", *rights])
    return message("\n".join([f"{code(verb.usage)}: {escape(verb.summary)}", *rights]), blocks)


_SHOWN = (Action.DELETE, Action.PURGE, Action.GC, Action.UNDO)


def _rights(policy: Policy, actor: Actor, only: Action | None = None) -> list[str]:
    lines = []
    for action in (only,) if only else _SHOWN:
        told = [_rule_line(policy, actor, r) for r in policy.rules if _speaks_of(r, action)]
        if len(told) == 1:
            lines.append(f"*{action}*: {told[0]}")
        else:
            lines.append(f"*{action}*: " + ("the first that fits" if told else "no rule allows it"))
            lines += [f"• {line}" for line in told]
    protected = listed([code(p.name) for p in policy.protections], 500)
    if policy.protections:
        lines.append(f"*protected*, whoever asks: {protected}")
    count = fitting(lines, 4000)
    rest = f"and {len(lines) - count} more lines, for which there is no room here"
    return [*lines[:count], *([rest] if count < len(lines) else [])]


def _rule_line(policy: Policy, actor: Actor, rule: Rule) -> str:
    where = listed([code(p) for p in rule.repositories], 150) if rule.repositories else "everywhere"
    tags = f" tags {listed([code(t) for t in rule.tags], 100)}" if rule.tags else ""
    name = f"rule {code(rule.name)}, {where}{tags}"
    anyone = ANYONE in rule.requesters and actor.is_full_member
    mine = anyone or set(rule.requesters) & set(policy.groups_of(actor.user))
    if rule.denies:
        return f"{name}: " + ("forbidden" if mine else f"forbidden to {_named(rule.requesters)}")
    if not mine:
        return f"{name}: not you, but {_named(rule.requesters)}"
    reason = f", with {code('--reason')}" if rule.require_reason else ""
    if rule.approval is Approval.CONFIRM:
        return f"{name}: you confirm it yourself{reason}"
    if len(rule.steps) != 1:
        return f"{name}: refused, its steps are not supported yet"
    counted = [u for u in policy.approvers(rule) if rule.allow_self_approval or u != actor.user]
    people = listed([f"<@{u}>" for u in counted], 150) if counted else "nobody"
    return f"{name}: needs {many(rule.steps[0].approvals_needed, 'approval')} of {people}{reason}"


def _speaks_of(rule: Rule, action: Action) -> bool:
    """Whether a rule can decide on an action; one about images never does on a collection."""
    about_images = bool(rule.repositories or rule.tags)
    return action in rule.actions and (action.needs_targets or not about_images)


def whoami(policy: Policy, actor: Actor, channel: str) -> Message:
    """Groups, what the person may ask for, and what they may approve."""
    approving = [
        code(rule.name)
        for rule in policy.rules
        if rule.approval is Approval.REQUIRED and actor.user in policy.approvers(rule)
    ]
    served = policy.channel(channel)
    facts = {
        "Groups": _or_none([code(group) for group in policy.groups_of(actor.user)]),
        "You approve": _or_none(approving),
        "Registries here": _or_none([words(r, 80) for r in (served.registries if served else ())]),
    }
    windows = {r.undo_window for r in policy.rules if Action.DELETE in r.actions}
    if windows:
        facts["Undo window"] = ", ".join(duration(seconds) for seconds in sorted(windows))
    you = f"You are <@{actor.user}> ({code(actor.user)})."
    rights = _rights(policy, actor)
    told = [f"{name}: {value}." for name, value in facts.items()]
    return message(
        "\n".join([" ".join([you, *told]), "Your rights:", *rights]),
        [
            *paragraphs([you, *(f"*{name}* {value}" for name, value in facts.items())]),
            *paragraphs(["*Your rights*", *rights]),
        ],
    )


def _or_none(names: Sequence[str]) -> str:
    return listed(names, 800) if names else "none"
