"""What is locked, and requests to lock and unlock."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.rules.approval import Request, State
from bot.rules.locks import Lock
from bot.slack.limits import code
from bot.slack.views.blocks import (
    Block,
    Message,
    context,
    duration,
    fitting,
    listed,
    many,
    message,
    paragraphs,
    section,
    when,
    words,
)
from bot.slack.views.reading import share_row


def locks(held: Sequence[Lock], registries: Sequence[str], command: str) -> Message:
    """The answer to `locks`."""
    where = listed([words(name, 80) for name in registries], 400) or "this channel"
    if not held:
        return message(f"Nothing is locked on {where}.")
    lines = [_line(lock) for lock in held]
    count = fitting(lines)
    rest = len(lines) - count
    more = f"and {many(rest, 'more lock')}: {code('--on NAME')} narrows it" if rest else ""
    title = f"{many(len(held), 'lock')} on {where}"
    return message(
        "\n".join([f"{title}:", *lines[:count], more]),
        [
            section(f"*{title}*"),
            *paragraphs(lines[:count]),
            context(more, "Nothing is deleted there, whoever agrees; undo stays allowed."),
            *share_row(command),
        ],
    )


def _line(lock: Lock) -> str:
    ends = f"until {when(lock.until)}" if lock.until else "until somebody unlocks it"
    return (
        f"• {_what(lock.registry, lock.repository)} since {when(lock.at)}, {ends}, "
        f"by <@{lock.actor}> (R{lock.request_id}): {words(lock.reason, 200)}"
    )


def _what(registry: str, repository: str) -> str:
    if repository:
        return f"{code(repository)} on {words(registry, 80)}"
    return f"*every repository* of {words(registry, 80)}"


def asked(shown: Request) -> str:
    """`lock team/api on corp for 2 h`: what a request asks for."""
    plan = shown.plan
    held = f" for {duration(plan['seconds'])}" if plan.get("seconds") else ""
    return f"{plan['verb']} {_what(shown.registry, str(plan['repository']))}{held}"


def body(shown: Request) -> list[Block]:
    """What it would mean."""
    if shown.plan["verb"] == "unlock":
        reason = words(str(shown.plan["reason"]), 300)
        by = f"<@{shown.plan['by']}>"
        return [section(f"The lock is {shown.plan['name']}, by {by}: {reason}")]
    if not shown.state.is_open:
        return []
    whole = " Neither is garbage collected." if not shown.plan["repository"] else ""
    return [
        section(
            "While it holds nothing is deleted there, whoever agrees: what is approved already "
            f"stops, and what an undo window keeps is held.{whole} Undo stays allowed."
        )
    ]


def finished(shown: Request) -> str:
    """What came of it, for the thread."""
    plan = shown.plan
    what = _what(shown.registry, str(plan["repository"]))
    if shown.state is not State.DONE:
        return f"{shown.name} has failed: {words(str(shown.result.get('why', '')), 500)}"
    if plan["verb"] == "unlock":
        return f"{what} is unlocked: the policy alone decides again."
    since = shown.finished_at or shown.created_at
    ends = f"until {when(since + plan['seconds'])}" if plan["seconds"] else "until it is unlocked"
    command = f"/registry unlock {plan['repository'] or '--all'}"
    return f"{what} is locked {ends}. {code(command)} ends it."


def ended(shown: Request, data: Mapping[str, Any]) -> str:
    """The end of a lock, in the thread of the request that set it."""
    what = _what(shown.registry, str(shown.plan["repository"]))
    if data.get("by"):
        return f"<@{data['by']}> unlocked {what} ({data['request']})."
    return f"<@{shown.requester}>: the lock on {what} has ended; its time was over."
