"""How a request under way stands, in one line for those who wait for it."""

from bot.gc.steps import Step
from bot.rules.approval import Request, State
from bot.slack.views.blocks import mark_commands, stop
from bot.slack.views.mrkdwn import to_text


def progress(shown: Request, before: int | None = None) -> str:
    """The line.

    Parameters
    ----------
    before : the request that holds the registry at the moment, if it is another one.
    """
    waiting = str(shown.progress.get("waiting") or "")
    if waiting:
        return f"{shown.name} waits: {to_text(stop(mark_commands(waiting[:400])))}"
    if shown.state is not State.RUNNING:
        why = f" and waits for R{before}, which is at work on {shown.registry}" if before else ""
        return f"{shown.name} is {shown.state}{why}."
    step = shown.progress.get("step")
    if step:
        return f"{shown.name}: {Step(step).label}"
    settled = sum(item.state.is_settled for item in shown.items)
    done = f": {settled:,} of {len(shown.items):,} done" if shown.items else ""
    return f"{shown.name} is running{done}."
