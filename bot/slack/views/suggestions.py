"""Choices of menus: repositories, tags with size and age, and what to know instead."""

from collections.abc import Sequence

from bot.operations.browse import TagRow, is_suspicious_date
from bot.registry.reference import natural_key
from bot.slack import form
from bot.slack.limits import plain
from bot.slack.views.blocks import Block, many, size

_TEXT = 75
_DAY = 86400.0


def option(text: str, value: str) -> Block:
    """One choice of a menu."""
    return {"text": {"type": "plain_text", "text": plain(text, _TEXT)}, "value": value}


def says(sentence: str) -> Block:
    """A choice that only says something; choosing it chooses nothing."""
    return option(sentence, form.NOTHING)


def repository(name: str) -> Block:
    """A repository; of a long name the end tells more than the beginning."""
    shown = name if len(name) <= _TEXT else f"…{name[1 - _TEXT :]}"
    return option(shown, form.option_value(name))


def tag(name: str, row: TagRow | None, now: float) -> Block:
    """A tag with what is known about its image: `1.4.0 · 12.3 MB · 3 d`."""
    known = [_size(row), _age(row, now)] if row else []
    end = "".join(f" · {text}" for text in known if text)
    room = _TEXT - len(end)
    # Long tags are mostly a branch and a hash: both ends tell them apart.
    shown = name if len(name) <= room else f"{name[: room // 2]}…{name[-(room - room // 2 - 1) :]}"
    return option(f"{shown}{end}", name)


def pattern(typed: str, count: int) -> Block:
    """What somebody typed as a pattern, as one choice."""
    return option(f"{plain(typed, 50)} · {many(count, 'tag')}", typed)


def newest_first(tags: Sequence[str]) -> list[str]:
    """Tags as they are offered: the highest version first."""
    return sorted(tags, key=natural_key, reverse=True)


def _size(row: TagRow) -> str:
    return size(row.size) if row.size else ""


def _age(row: TagRow, now: float) -> str:
    if row.created is None or is_suspicious_date(row.created):
        return ""
    seconds = max(0.0, now - row.created.timestamp())
    if seconds < _DAY:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / _DAY:,.0f} d"
