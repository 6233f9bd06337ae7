"""Why not, and what to do: every refusal of the policy in words, with the rule by its name."""

from collections.abc import Sequence

from bot.rules.people import People
from bot.rules.quorum import Standing
from bot.rules.rule import EMERGENCY, Action, Actor, Protection, Rule, Step, Target, Verdict

_KEEPER = "Ask whoever keeps the bot's settings."
_SOON = (
    "Nothing was changed. Try again in a minute. People listed by id, under users in [groups], "
    "count without asking Slack."
)


def stranger() -> Verdict:
    """A guest, or somebody of another workspace."""
    return Verdict(
        False,
        None,
        "Only full members of the workspace may ask for that.",
        "Ask a full member to do it.",
    )


def no_target(action: Action) -> Verdict:
    """Something about images that names none."""
    return Verdict(
        False, None, f"There is no image to {action}.", "Name at least one tag or digest."
    )


def protected(target: Target, protection: Protection) -> Verdict:
    """An image that nobody can delete."""
    return Verdict(
        False,
        None,
        f"{target} is protected ({protection.name}).",
        "No rule, no approval and no emergency overrides a protection. To delete it, take it out "
        "of [[protected]] in the settings first.",
    )


def forbidden(rule: Rule, what: str) -> Verdict:
    """A rule that denies."""
    return Verdict(False, rule, f"The rule “{rule.name}” forbids {what}.", _KEEPER)


def no_steps(rule: Rule) -> Verdict:
    """A rule that wants approval and names nobody who could give it."""
    return Verdict(
        False,
        rule,
        f"The rule “{rule.name}” wants approval and has no step, so nobody could give it.",
        _KEEPER,
    )


def nobody(what: str, action: Action, covering: Sequence[Rule]) -> Verdict:
    """No rule is for this person, or none speaks of it at all."""
    allowing = [rule for rule in covering if not rule.denies]
    if allowing:
        may = ", ".join(dict.fromkeys(name for rule in allowing for name in rule.requesters))
        return Verdict(
            False,
            allowing[0],
            f"You may not ask for {what}: the rule “{allowing[0].name}” is for {may}.",
            "Ask one of them, or whoever keeps the bot's settings.",
        )
    return Verdict(
        False,
        None,
        f"No rule allows {what}.",
        "Whoever keeps the bot's settings can add one: a [[rules]] table whose actions "
        f'include "{action}".',
    )


def not_requester(rule: Rule) -> Verdict:
    """Somebody for whom a rule is not, or not any more."""
    may = ", ".join(rule.requesters) or "nobody"
    return Verdict(
        False,
        rule,
        f"{_titled(rule)} is for {may}, and you are not among them.",
        "Ask one of them, or whoever keeps the bot's settings.",
    )


def unknown_requester(rule: Rule, people: People, what: str = "") -> Verdict:
    """Nobody can tell whether a rule is for this person."""
    about = f" decides about {what}" if what else " is for the requester"
    return Verdict(
        False,
        rule,
        f"{people.unheard(rule.requesters)} So nobody can tell whether {_named(rule)}{about}.",
        _SOON,
        unknown=True,
    )


def unnamed_account(rule: Rule, actor: Actor, what: str) -> Verdict:
    """An account of the host that could belong to somebody who is forbidden to."""
    return Verdict(
        False,
        rule,
        f"The rule “{rule.name}” forbids {what} to {', '.join(rule.requesters)}, and nobody can "
        f"tell whether {actor.user} is one of them.",
        "Say under [local_accounts] in the settings which person in Slack this account is.",
    )


def wants_reason(rule: Rule) -> Verdict:
    """A rule that wants a reason and got none."""
    return Verdict(False, rule, f"The rule “{rule.name}” wants a reason.", 'Add --reason "why".')


def split(action: Action, rules: Sequence[Rule]) -> Verdict:
    """Images of one request that different people decide about."""
    names = " and ".join(f"“{rule.name}”" for rule in rules[:3])
    return Verdict(
        False,
        None,
        f"These images fall under different rules ({names}), and each has its own approvers.",
        f"Split it: ask for a {action} of the images of each rule in its own request.",
    )


def bot_confirms_nothing(rule: Rule, what: str) -> Verdict:
    """A schedule that asks for something which only the requester could confirm."""
    return Verdict(
        False,
        rule,
        f"The rule “{rule.name}” lets the requester of {what} confirm alone, and the bot confirms "
        "nothing.",
        'Let a rule with approval = "required" decide about what a schedule asks for.',
    )


# Emergencies


def no_emergencies() -> Verdict:
    """`[emergency]` is switched off."""
    return Verdict(
        False,
        None,
        "Emergencies are switched off: [emergency] in the settings has enabled = false.",
        "Ask without --emergency; whoever keeps the bot's settings can switch them on.",
    )


def not_in_emergency(rule: Rule, what: str) -> Verdict:
    """Something that `[emergency]` does not speak of."""
    named = ", ".join(sorted(rule.actions)) or "nothing"
    return Verdict(
        False,
        rule,
        f"{_titled(rule)} does not cover {what}; it covers {named}.",
        "Ask without --emergency.",
    )


def short_reason(rule: Rule, least: int) -> Verdict:
    """An emergency that is not explained."""
    word = "character" if least == 1 else "characters"
    return Verdict(
        False,
        rule,
        f"{_titled(rule)} wants a reason of at least {least} {word}: nobody else decides, so "
        "everybody must be able to read why.",
        'Add --reason "what is burning, and why it cannot wait".',
    )


# Approvals


def only_the_requester(rule: Rule) -> Verdict:
    """Somebody else at a request that its requester confirms alone."""
    return Verdict(False, rule, f"{_titled(rule)} lets only the requester confirm.")


def own_request(rule: Rule) -> Verdict:
    """The requester at a request that others decide on."""
    return Verdict(
        False,
        rule,
        f"You asked for this yourself; the rule “{rule.name}” wants somebody else.",
    )


def no_approver(rule: Rule, names: Sequence[str]) -> Verdict:
    """Somebody who is in none of the groups."""
    groups = ", ".join(dict.fromkeys(names)) or "nobody"
    return Verdict(
        False, rule, f"You are not among the approvers of the rule “{rule.name}” ({groups})."
    )


def unknown_approver(rule: Rule, people: People, names: Sequence[str]) -> Verdict:
    """Nobody can tell whose approval counts."""
    return Verdict(
        False,
        rule,
        f"{people.unheard(names)} So nobody can tell whose approval counts under the rule "
        f"“{rule.name}”.",
        _SOON,
        unknown=True,
    )


def not_needed(rule: Rule, mine: Sequence[Step], standing: Standing) -> Verdict:
    """Somebody whose steps are complete."""
    names = " and ".join(f"“{step.name}”" for step in dict.fromkeys(mine))
    word = "step" if len(set(mine)) == 1 else "steps"
    verb = "is" if len(set(mine)) == 1 else "are"
    return Verdict(
        False,
        rule,
        f"Your approval is not needed: the {word} {names} of the rule “{rule.name}” {verb} "
        f"complete. Missing: {missing(standing) or 'nothing'}.",
    )


def missing(standing: Standing) -> str:
    """What a request still needs: `1 of oncall and 2 of leads`."""
    return " and ".join(f"{s.missing} of {s.step.name}" for s in standing.steps if s.missing > 0)


def bot_decides_nothing(rule: Rule) -> Verdict:
    """The bot itself, which never approves."""
    return Verdict(
        False, rule, f"The bot approves and confirms nothing, under the rule “{rule.name}” or any."
    )


def strangers_decide_nothing(rule: Rule) -> Verdict:
    """A guest at somebody's request."""
    return Verdict(False, rule, "Only full members of the workspace may approve.")


def _named(rule: Rule) -> str:
    return EMERGENCY if rule.name == EMERGENCY else f"the rule “{rule.name}”"


def _titled(rule: Rule) -> str:
    return EMERGENCY if rule.name == EMERGENCY else f"The rule “{rule.name}”"
