"""A message for Slack as text for a terminal: the same words, tables padded, no buttons."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from bot.slack.limits import plain
from bot.slack.views.blocks import Message, cell_text
from bot.slack.views.mrkdwn import BOLD, RESET, to_text

_GAP = "  "
_KNOWN = {"section", "context", "header", "divider", "table", "actions"}
_CELL = 4000


def render(shown: Message, *, bold: bool = False) -> str:
    """The whole message, without a line break at its end.

    A message with a block that is unknown here is shown by its plain `text`, which says the same.

    Parameters
    ----------
    bold : whether the terminal may be told to write bold; otherwise nothing but text comes out.
    """
    blocks: Sequence[Mapping[str, Any]] = shown.get("blocks") or ()
    if not blocks or any(block.get("type") not in _KNOWN for block in blocks):
        return to_text(str(shown["text"]), bold=bold)
    parts = [part for block in blocks if (part := _block(block, bold).rstrip())]
    return "\n".join(parts)


def _block(block: Mapping[str, Any], bold: bool) -> str:
    match block["type"]:
        case "section":
            texts = [block["text"]] if "text" in block else []
            return "\n".join(_text(text, bold) for text in [*texts, *block.get("fields", ())])
        case "context":
            return "\n".join(_text(e, bold) for e in block["elements"] if "text" in e)
        case "header":
            title = _text(block["text"], bold)
            return f"{BOLD}{title}{RESET}" if bold else title
        case "divider":
            return "-" * 40
        case "table":
            return _table(block)
    return ""  # buttons: what they do is said in words, or by `registry-bot run "help"`


def _text(text: Mapping[str, Any], bold: bool) -> str:
    if text["type"] == "mrkdwn":
        return to_text(str(text["text"]), bold=bold)
    return plain(str(text["text"]), _CELL)


def _table(block: Mapping[str, Any]) -> str:
    rows = [[_cell(cell) for cell in row] for row in block["rows"]]
    settings = block.get("column_settings") or ()
    right = {n for n, one in enumerate(settings) if (one or {}).get("align") == "right"}
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    head, *rest = (_row(row, widths, right) for row in rows)
    return "\n".join(["", head, _GAP.join("-" * wide for wide in widths), *rest, ""])


def _cell(cell: Mapping[str, Any]) -> str:
    return " ".join(plain(cell_text(cell), _CELL).split())


def _row(cells: Sequence[str], widths: Sequence[int], right: set[int]) -> str:
    padded = []
    for number, (cell, wide) in enumerate(zip(cells, widths, strict=True)):
        room = " " * (wide - width(cell))
        padded.append(room + cell if number in right else cell + room)
    return _GAP.join(padded).rstrip()


def width(text: str) -> int:
    """How many columns of a terminal a text takes: wide letters two, accents put on top none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
