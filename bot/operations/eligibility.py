"""Whether a request still stands, and how far it is, by the policy of today.

The rule that decided must still say what it said; the requester must still be one of those for
whom it is; and the approvals must come from people who could give them now. All three are asked
at each click and once more right before the request runs.
"""

from collections.abc import Iterable, Sequence

from bot.operations.context import Context
from bot.operations.errors import Undecided
from bot.rules.approval import PinnedStep, Request
from bot.rules.policy import Actor, Approval, Policy, Rule, Standing, Verdict

ALSO = "also"
"""Where a plan keeps the rules that decided about a part of the images: name, fingerprint."""


def requester(request: Request) -> Actor:
    """Whoever asked."""
    return Actor(request.requester, request.team)


def rules_in_force(policy: Policy, request: Request) -> tuple[Rule, ...]:
    """The rules that decided, the one whose approvers are asked first; () if one has changed."""
    pinned = [(request.rule, request.rule_fingerprint), *request.plan.get(ALSO, ())]
    found = []
    for name, fingerprint in pinned:
        rule = policy.rule(name)
        if rule is None or policy.fingerprint(rule) != fingerprint:
            return ()
        found.append(rule)
    return tuple(found)


def pinned(policy: Policy, rules: Sequence[Rule]) -> list[list[str]]:
    """What a plan keeps under `ALSO` of the rules behind the first."""
    return [[rule.name, policy.fingerprint(rule)] for rule in rules[1:]]


def changed(request: Request) -> str:
    """Why a request is outdated whose rule is not what it was."""
    names = [request.rule, *(name for name, _ in request.plan.get(ALSO, ()))]
    word, verb = ("rule", "has") if len(names) == 1 else ("rules", "have")
    return f"the {word} {' and '.join(names)} {verb} changed since"


def requester_lost(policy: Policy, rules: Sequence[Rule], request: Request) -> Verdict:
    """Whether the requester may still ask for it; of several rules, the first that says no."""
    verdicts = [policy.may_request(rule, requester(request)) for rule in rules]
    return next((v for v in verdicts if not v.allowed), verdicts[0])


def no_more(rule: Rule | None) -> str:
    """Why a request is outdated whose requester lost the right to ask."""
    name = f"the rule {rule.name}" if rule else "the policy"
    return f"the requester is no longer one of those for whom {name} is"


def lost(ctx: Context, request: Request) -> str:
    """Why an approved request may not run by today's policy; "" if it may.

    Raises
    ------
    Undecided : it depends on who is in a group, and Slack does not tell.
    """
    rules = rules_in_force(ctx.policy, request)
    if not rules:
        return changed(request)
    asking = requester_lost(ctx.policy, rules, request)
    if asking.unknown:
        raise Undecided(asking.sentence)
    if not asking.allowed:
        return no_more(asking.rule)
    standing = ctx.policy.standing(rules[0], request.requester, request.approved_by)
    if standing.is_complete:
        return ""
    if standing.may_be_complete:
        names = [name for step in rules[0].steps for name in step.approvers]
        raise Undecided(ctx.policy.people.unheard(names))
    return "an approver has lost the right to approve since"


def mentions(policy: Policy, names: Iterable[str], *, known: bool = True) -> list[str]:
    """Whom to mention so that these groups hear of something: ids, sorted.

    They are people, and those user groups of which Slack does not tell who is in them: these can
    be mentioned as they are. Without `known` only the latter.
    """
    wanted, people = list(names), policy.people
    groups = [policy.groups[name].slack_usergroup for name in people.silent(wanted)]
    return [*(sorted(people.known(wanted)) if known else []), *sorted(set(groups))]


def steps(
    policy: Policy, rule: Rule, requester_id: str, approved: Iterable[str] = ()
) -> tuple[PinnedStep, ...]:
    """The steps as people read them: who could fill each, and who has."""
    if rule.approval is Approval.CONFIRM:
        return ()
    standing: Standing = policy.standing(rule, requester_id, approved)
    own = set() if rule.allow_self_approval else {policy.person(requester_id)}
    return tuple(
        PinnedStep(
            one.step.approvers,
            one.step.approvals_needed,
            tuple(sorted(policy.people.known(one.step.approvers) - own)),
            one.approved,
            policy.people.silent(one.step.approvers),
        )
        for one in standing.steps
    )
