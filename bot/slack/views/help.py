"""`help` and `whoami`: this person's rights under this team's policy, not a generic text."""

from collections.abc import Sequence

from bot.rules.policy import Action, Actor, Policy
from bot.slack.limits import code, escape
from bot.slack.verbs import VERBS, Kind, available
from bot.slack.views.blocks import (
    Message,
    context,
    duration,
    listed,
    message,
    paragraphs,
    section,
    words,
)
from bot.slack.views.rights import SHOWN, approving, groups, rights

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
    mine = rights(policy, actor)
    blocks += paragraphs(["*Your rights here*", *mine])
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
    told = "\n".join(["Your rights here:", *mine])
    return message(f"registry-bot understands: {verbs}. {here} {told}", blocks)


def _named(names: Sequence[str]) -> str:
    return listed([words(name, 80) for name in names], 600)


def _topic(policy: Policy, actor: Actor, topic: str) -> Message:
    verb = VERBS[topic]
    lines = [f"*{verb.name}*: {escape(verb.summary)}", code(verb.usage)]
    if verb.example:
        lines.append(f"For example {code(verb.example)}")
    blocks = [section("\n".join(lines))]
    mine: list[str] = []
    asks_for = {"unlock": "lock"}.get(topic, topic)
    if asks_for in SHOWN:
        mine = rights(policy, actor, only=Action(asks_for))
        blocks += paragraphs(["*Your rights here*", *mine])
    return message("\n".join([f"{code(verb.usage)}: {escape(verb.summary)}", *mine]), blocks)


def whoami(policy: Policy, actor: Actor, channel: str) -> Message:
    """Groups, what the person may ask for, and what they may approve."""
    served = policy.channel(channel)
    facts = {
        "Groups": _or_none(groups(policy, actor)),
        "You approve": _or_none(approving(policy, actor)),
        "Registries here": _or_none([words(r, 80) for r in (served.registries if served else ())]),
    }
    windows = {r.undo_window for r in policy.rules if {Action.DELETE, Action.CLEANUP} & r.actions}
    if windows:
        facts["Undo window"] = ", ".join(duration(seconds) for seconds in sorted(windows))
    person = policy.person(actor.user)
    also = f", who is <@{person}>" if person != actor.user else ""
    you = f"You are <@{actor.user}> ({code(actor.user)}){also}."
    mine = rights(policy, actor)
    told = [f"{name}: {value}." for name, value in facts.items()]
    return message(
        "\n".join([" ".join([you, *told]), "Your rights:", *mine]),
        [
            *paragraphs([you, *(f"*{name}* {value}" for name, value in facts.items())]),
            *paragraphs(["*Your rights*", *mine]),
        ],
    )


def _or_none(names: Sequence[str]) -> str:
    return listed(names, 800) if names else "none"
