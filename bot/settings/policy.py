"""From tables to the policy: who may do what, and whether the rules can work at all."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from bot.registry.reference import match_repository
from bot.rules.people import People
from bot.rules.policy import (
    ANYONE,
    EMERGENCY,
    Action,
    Approval,
    Channel,
    Defaults,
    Policy,
    Protection,
    Rule,
    Step,
)
from bot.rules.retention import Retention
from bot.settings import file
from bot.settings.emergency import build_emergency
from bot.settings.groups import build_groups, check_groups
from bot.settings.problems import Findings, suggestion
from bot.settings.quorum import check_quorum
from bot.settings.reading import Document, Entry

V = TypeVar("V", bool, float)


def build_policy(document: Document, findings: Findings) -> Policy:
    """The policy of the file; what cannot work goes to `findings`."""
    groups = build_groups(document, findings)
    people = People(groups, local_accounts=document.local_accounts)
    rules = tuple(_rule(entry, document, people, findings) for entry in document.rules)
    _unique(document.rules, "name", findings)
    if not rules:
        findings.warn("rules", "no rule is set, so nobody may change anything.")
    protections = tuple(_protection(entry, findings) for entry in document.protected)
    channels = tuple(_channel(entry, document, findings) for entry in document.channels)
    _unique(document.channels, "id", findings)
    _served(document, findings)
    return Policy(
        groups,
        rules,
        protections,
        channels,
        _defaults(document),
        build_emergency(document, findings),
        document.local_accounts,
    )


def unmatched_patterns(
    policy: Policy, repositories: Iterable[str], retention: Iterable[Retention] = ()
) -> tuple[str, ...]:
    """A warning for each repository pattern that matches nothing known; often a slip of the pen.

    Parameters
    ----------
    repositories : the names in all registries of the settings.
    """
    known = list(repositories)
    places = [(f"rules[{rule.name}]", rule.repositories) for rule in policy.rules]
    places += [(f"protected[#{n}]", p.repositories) for n, p in enumerate(policy.protections, 1)]
    places += [(f"retention[{one.name}]", one.repositories) for one in retention]
    return tuple(
        f"{key}.repositories: “{pattern}” matches no repository there is now."
        for key, patterns in places
        for pattern in patterns
        if not any(match_repository(pattern, name) for name in known)
    )


def _rule(
    entry: Entry[file.RuleTable],
    document: Document,
    people: People,
    findings: Findings,
) -> Rule:
    table, defaults = entry.table, _defaults(document)
    rule = Rule(
        name=table.name,
        actions=frozenset(Action(action) for action in table.actions),
        repositories=tuple(table.repositories or ()),
        tags=tuple(table.tags or ()),
        requesters=tuple(table.requesters or (ANYONE,)),
        effect=table.effect,
        approval=Approval(table.approval),
        steps=tuple(Step(tuple(s.approvers), s.approvals_needed) for s in table.steps),
        require_reason=_either(table.require_reason, defaults.require_reason),
        allow_self_approval=_either(table.allow_self_approval, defaults.allow_self_approval),
        expires_after=_either(table.expires_after, defaults.expires_after),
        execute_within=_either(table.execute_within, defaults.execute_within),
        undo_window=_either(table.undo_window, defaults.undo_window),
        remind_after=table.remind_after,
        escalate_to=tuple(table.escalate_to or ()),
    )
    _check_people(entry, document, findings)
    _check_rule(entry, rule, findings)
    if rule.effect == "allow" and rule.approval is Approval.REQUIRED:
        _check_approval(entry, rule, document, people, findings)
    return rule


def _either(own: V | None, default: V) -> V:
    return default if own is None else own


def _defaults(document: Document) -> Defaults:
    table = document.defaults.table
    return Defaults(
        require_reason=table.require_reason,
        allow_self_approval=table.allow_self_approval,
        expires_after=table.expires_after,
        execute_within=table.execute_within,
        undo_window=table.undo_window,
    )


def _check_people(entry: Entry[file.RuleTable], document: Document, findings: Findings) -> None:
    table, key = entry.table, entry.key
    if table.requesters is None and table.effect == "allow" and "requesters" not in entry.broken:
        findings.problem(
            f"{key}.requesters",
            "is missing",
            'Name the groups that may ask, or write requesters = ["anyone"] for every full member.',
        )
    check_groups(table.requesters or (), f"{key}.requesters", document, findings, anyone=True)
    for number, step in enumerate(table.steps, 1):
        check_groups(step.approvers, f"{key}.steps[#{number}].approvers", document, findings)
    check_groups(table.escalate_to or (), f"{key}.escalate_to", document, findings)


def _check_rule(entry: Entry[file.RuleTable], rule: Rule, findings: Findings) -> None:
    table, key = entry.table, entry.key
    if rule.name == EMERGENCY and "name" not in entry.broken:
        findings.problem(
            f"{key}.name",
            "is the name by which emergencies are decided",
            "Give the rule another name; what emergencies may do stands under [emergency].",
        )
    _check_reminders(table, key, rule, findings)
    if rule.approval is Approval.CONFIRM and rule.steps:
        findings.warn(f"{key}.steps", "approval is “confirm”, so nobody of them is asked.")
    if Action.GC in rule.actions and (rule.repositories or rule.tags):
        findings.warn(f"{key}.actions", "a rule that names repositories or tags never matches gc.")
    if Action.LOCK in rule.actions and rule.tags:
        findings.warn(f"{key}.actions", "a rule that names tags never matches lock.")


def _check_reminders(table: file.RuleTable, key: str, rule: Rule, findings: Findings) -> None:
    if table.escalate_to and table.remind_after is None:
        findings.warn(
            f"{key}.escalate_to",
            "nobody of them is ever called: they are after twice remind_after, which is missing.",
        )
    if rule.remind_after is not None and rule.remind_after >= rule.expires_after:
        findings.warn(
            f"{key}.remind_after", "a request has expired by then, so nobody is reminded."
        )
    elif (
        table.escalate_to
        and rule.remind_after is not None
        and 2 * rule.remind_after >= rule.expires_after
    ):
        findings.warn(
            f"{key}.escalate_to",
            "a request has expired before twice remind_after, so nobody of them is called.",
        )


def _check_approval(
    entry: Entry[file.RuleTable],
    rule: Rule,
    document: Document,
    people: People,
    findings: Findings,
) -> None:
    if entry.broken & {"steps", "approval"}:
        return
    if not rule.steps:
        findings.problem(
            f"{entry.key}.steps",
            "is missing: the rule wants approval and names nobody who could give it",
            'Add steps = [{ approvers = ["leads"], approvals_needed = 1 }], or write '
            'approval = "confirm".',
        )
        return
    asking = [name for name in rule.requesters if name != ANYONE]
    deciding = [name for step in rule.steps for name in step.approvers]
    unclear = any(
        name not in document.groups or document.groups[name].broken for name in asking + deciding
    )
    if not unclear and "requesters" not in entry.broken:
        check_quorum(rule, entry.key, people, findings)


def _protection(entry: Entry[file.ProtectedTable], findings: Findings) -> Protection:
    table = entry.table
    if table.repositories is None and table.tags is None and not entry.broken:
        findings.problem(
            entry.key,
            "protects nothing by name",
            'Add repositories or tags; repositories = ["**"] protects everything.',
        )
    return Protection(tuple(table.repositories or ()), tuple(table.tags or ()))


def _channel(entry: Entry[file.ChannelTable], document: Document, findings: Findings) -> Channel:
    for name in () if "registries" in entry.broken else entry.table.registries:
        if name not in document.registry_names:
            findings.problem(
                f"{entry.key}.registries",
                f"names the registry “{name}”, which does not exist",
                suggestion(name, sorted(document.registry_names)),
            )
    return Channel(entry.table.id, tuple(dict.fromkeys(entry.table.registries)))


def _served(document: Document, findings: Findings) -> None:
    if not document.channels:
        findings.warn("channels", "no channel is listed, so the bot answers nowhere.")
        return
    served = {name for entry in document.channels for name in entry.table.registries}
    for name in sorted(document.registry_names - served):
        findings.warn(f"registries[{name}]", "no channel serves this registry.")


def _unique(
    entries: Sequence[Entry[file.RuleTable]] | Sequence[Entry[file.ChannelTable]],
    field: str,
    findings: Findings,
) -> None:
    seen: set[str] = set()
    for entry in entries:
        value = getattr(entry.table, field)
        if value in seen and field not in entry.broken:
            findings.problem(
                f"{entry.key}.{field}",
                "is there twice",
                "Join the two tables, or change one of them.",
            )
        seen.add(value)
