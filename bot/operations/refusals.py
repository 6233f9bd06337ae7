"""How a decision is refused: every answer names the request, the rule, and who is wanted."""

from bot.operations.context import Asked, Context
from bot.operations.errors import Refusal
from bot.rules.approval import Request, State
from bot.rules.policy import Verdict

_NAMED = 10


def no(request: Request, sentence: str, hint: str = "") -> Refusal:
    """A refusal in the bot's own words: ids, numbers and names of rules."""
    return Refusal(sentence, hint, names_people=True, request_id=request.id, rule=request.rule)


def may_not(request: Request, verdict: Verdict) -> Refusal:
    """What the policy says of a decision, with whose word is missing."""
    if request.approval == "confirm" and not verdict.unknown:
        return no(
            request,
            f"{request.name} waits for <@{request.requester}> alone to confirm it, by the rule "
            f"“{request.rule}”.",
        )
    return no(request, verdict.sentence, verdict.hint or f"It needs {who(request)}.")


def twice(request: Request) -> Refusal:
    """Somebody who has spoken before."""
    return no(
        request,
        f"You have decided on {request.name} already.",
        f"One person counts once. It needs {who(request)}.",
    )


def how_decided(request: Request) -> str:
    """Why nothing can be decided any more."""
    last = request.decisions[-1] if request.decisions else None
    by = f" by <@{last.user}>" if last else ""
    if request.state in {State.CANCELLED, State.EXPIRED, State.OUTDATED}:
        return f"{request.name} is {request.state}; nothing was changed."
    if request.state is State.DENIED:
        return f"{request.name} is already denied{by}."
    return f"{request.name} is already decided{by}; it is {request.state}."


def who(request: Request) -> str:
    """Whose word is missing, for the end of a sentence."""
    if request.approval == "confirm":
        return f"<@{request.requester}>"
    wanted = []
    for step in request.steps:
        if step.missing:
            left = [user for user in step.people if user not in step.approved]
            people = ", ".join(f"<@{user}>" for user in left[:_NAMED])
            wanted.append(f"{step.missing} of {people or step.name}")
    return " and ".join(wanted) or "an approver"


def refuse_second(ctx: Context, request: Request, asked: Asked) -> None:
    """One person decides once, under whichever of their ids."""
    person = ctx.policy.person(asked.actor.user)
    if any(ctx.policy.person(d.user) == person for d in request.decisions):
        raise twice(request)
