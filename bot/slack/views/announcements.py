"""What the bot says in a channel of its own accord: what schedules did, and what they could not."""

from collections.abc import Callable, Mapping
from typing import Any

from bot.slack.limits import code
from bot.slack.views import notices
from bot.slack.views.blocks import (
    Message,
    actions,
    button,
    many,
    mark_commands,
    message,
    section,
    stop,
    words,
)


def announcement(name: str, data: Mapping[str, Any]) -> Message:
    """The message of this name."""
    return _ANNOUNCEMENTS[name](data)


def _retention(data: Mapping[str, Any]) -> Message:
    """One line about all repositories of a rule, so that those with nothing stay silent."""
    counts = [
        f"{data[key]:,} {what}"
        for key, what in (
            ("requested", "asked for"),
            ("ready", "shown above"),
            ("empty", "with nothing to clean up"),
        )
        if data.get(key)
    ]
    where = many(data["repositories"], "repository", "repositories")
    line = (
        f":broom: Retention rule {code(data['rule'])} has looked at {where} on "
        f"{words(data['registry'], 80)}: {', '.join(counts) or 'none could be read'}."
    )
    lines = [line, *(f"• {code(n)}: {stop(mark_commands(why[:300]))}" for n, why in data["failed"])]
    text = listed_lines(lines)
    return message(text, [section(text)])


def listed_lines(lines: list[str], limit: int = 12) -> str:
    """The first of these lines, and how many more there are."""
    rest = len(lines) - limit
    return "\n".join([*lines[:limit], *([f"… and {rest:,} more"] if rest > 0 else [])])


def _retention_failed(data: Mapping[str, Any]) -> Message:
    line = (
        f":x: Retention rule {code(data['rule'])} could not look at {words(data['registry'], 80)}: "
        f"{stop(mark_commands(data['why'][:500]))} Nothing was changed."
    )
    return message(line, [section(line)])


def _collection(data: Mapping[str, Any]) -> Message:
    registry = words(data["registry"], 80)
    line = (
        f":alarm_clock: It is time to collect garbage on *{registry}* ({code(data['schedule'])}). "
        f"The schedule does not ask for it by itself: {stop(mark_commands(data['why'][:500]))}"
    )
    blocks = [section(line), actions(button("Collect garbage", "gc_ask", data["registry"]))]
    return message(f"{line} Whoever may: {code('/registry gc --on ' + data['registry'])}", blocks)


def _file_refused(data: Mapping[str, Any]) -> Message:
    return notices.said(notices.file_refused(data["title"], data["why"]))


_ANNOUNCEMENTS: Mapping[str, Callable[[Mapping[str, Any]], Message]] = {
    "retention": _retention,
    "retention failed": _retention_failed,
    "collection due": _collection,
    "file refused": _file_refused,
}
