"""`help` and `whoami`: this person's rights under this team's policy, not a generic text."""

from bot.rules.policy import Action, Actor, Approval, Policy, Rule
from bot.slack.limits import code, escape
from bot.slack.verbs import VERBS, Kind, available
from bot.slack.views.blocks import Message, context, duration, message, section

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
    blocks.append(section("*Your rights here*\n" + "\n".join(_rights(policy, actor))))
    listed = policy.channel(channel)
    registries = ", ".join(listed.registries) if listed else ""
    several = " Say which with `--on NAME`." if listed and len(listed.registries) > 1 else ""
    blocks.append(
        context(
            f"This channel serves {escape(registries)}.{several} "
            f"{code('/registry help delete')} tells more about one verb. A tag can be a pattern: "
            f"{code('team/api:pr-*')}."
        )
    )
    names = ", ".join(verb.name for verb in available())
    return message(f"registry-bot understands: {names}.", blocks)


def _topic(policy: Policy, actor: Actor, topic: str) -> Message:
    verb = VERBS[topic]
    lines = [f"*{verb.name}*: {escape(verb.summary)}", code(verb.usage)]
    if verb.example:
        lines.append(f"For example {code(verb.example)}")
    blocks = [section("\n".join(lines))]
    if topic in {"delete", "purge", "undo", "gc"}:
        rights = _rights(policy, actor, only=Action(topic))
        blocks.append(section("*Your rights here*\n" + "\n".join(rights)))
    return message(f"{verb.usage}: {verb.summary}", blocks)


_SHOWN = (Action.DELETE, Action.PURGE, Action.GC, Action.UNDO)


def _rights(policy: Policy, actor: Actor, only: Action | None = None) -> list[str]:
    lines = []
    for action in (only,) if only else _SHOWN:
        rules = [r for r in policy.rules if action in r.actions]
        told = [_rule_line(policy, actor, rule) for rule in rules]
        lines.append(f"*{action}*: " + ("; ".join(told) if told else "no rule allows it"))
    protected = "; ".join(code(p.name) for p in policy.protections[:5])
    if protected:
        lines.append(f"*protected*, whoever asks: {protected}")
    return lines


def _rule_line(policy: Policy, actor: Actor, rule: Rule) -> str:
    where = ", ".join(code(p) for p in rule.repositories[:4]) or "everywhere"
    tags = f" tags {', '.join(code(t) for t in rule.tags[:4])}" if rule.tags else ""
    name = f"rule {code(rule.name)}, {where}{tags}"
    mine = "anyone" in rule.requesters or set(rule.requesters) & set(policy.groups_of(actor.user))
    if not mine:
        return f"{name}: not you, but {escape(', '.join(rule.requesters))}"
    if rule.effect == "deny":
        return f"{name}: forbidden"
    if rule.approval is Approval.CONFIRM:
        return f"{name}: you confirm it yourself"
    if len(rule.steps) != 1:
        return f"{name}: refused, its steps are not supported yet"
    people = ", ".join(f"<@{u}>" for u in policy.approvers(rule)[:8] if u != actor.user)
    return f"{name}: needs {rule.steps[0].approvals_needed} of {people or 'nobody'}"


def whoami(policy: Policy, actor: Actor, channel: str) -> Message:
    """Groups, what the person may ask for, and what they may approve."""
    groups = ", ".join(code(g) for g in policy.groups_of(actor.user)) or "none"
    approving = [
        code(rule.name)
        for rule in policy.rules
        if rule.approval is Approval.REQUIRED and actor.user in policy.approvers(rule)
    ]
    listed = policy.channel(channel)
    lines = [
        f"You are <@{actor.user}> ({code(actor.user)}).",
        f"*Groups* {groups}",
        f"*You approve* {', '.join(approving) or 'nothing'}",
        f"*Registries here* {escape(', '.join(listed.registries) if listed else 'none')}",
    ]
    windows = {duration(r.undo_window) for r in policy.rules if Action.DELETE in r.actions}
    if windows:
        lines.append(f"*Undo window* {', '.join(sorted(windows))}")
    return message(
        f"You are {actor.user}; groups: {', '.join(policy.groups_of(actor.user)) or 'none'}.",
        [section("\n".join(lines)), section("*Your rights*\n" + "\n".join(_rights(policy, actor)))],
    )
