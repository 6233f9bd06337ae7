"""The few blocks that messages are made of, each cut to what Slack accepts."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bot.slack.limits import code, cut, escape, literal, plain

Block = dict[str, Any]
Message = dict[str, Any]

_SECTION = 2900
_CONTEXT = 1900
_TEXT = 3900
_MAX_BLOCKS = 48
_ALL = 11_000
_CELL = 260
TABLE_ROWS = 99
TABLE_CHARACTERS = 10_000

ROOM = 5500
"""Characters for the long part of a message, so that the other parts need not be cut.

Slack refuses a message whose blocks hold more than about 12,000 characters together
(`msg_blocks_too_long`), however short each of them is.
"""


def message(text: str, blocks: Sequence[Block] = ()) -> Message:
    """A message; `text` says the same as the blocks, for notifications and screen readers."""
    shown = list(blocks[:_MAX_BLOCKS]) or [section(text)]
    _shorten(shown)
    return {"text": cut(named(text.strip()), _TEXT), "blocks": shown}


def _shorten(blocks: Sequence[Block]) -> None:
    """Cut the longest texts until all of them together are short enough."""
    held = [block["text"] for block in blocks if "text" in block]
    held += [e for block in blocks for e in block.get("elements", ()) if e["type"] == "mrkdwn"]
    while sum(len(text["text"]) for text in held) > _ALL:
        longest = max(held, key=lambda text: len(text["text"]))
        longest["text"] = cut(longest["text"], len(longest["text"]) * 3 // 4)


def section(text: str) -> Block:
    """A paragraph of mrkdwn; whatever came from outside must be escaped already."""
    return {"type": "section", "text": _mrkdwn(text, _SECTION)}


def paragraphs(lines: Iterable[str]) -> list[Block]:
    """Lines as few sections; none is torn apart between two of them."""
    packed: list[str] = []
    for line in lines:
        if packed and len(packed[-1]) + len(line) < _SECTION:
            packed[-1] += f"\n{line}"
        else:
            packed.append(line)
    return [section(text) for text in packed]


def fitting(lines: Sequence[str], room: int = ROOM, *, between: int = 1) -> int:
    """How many of these lines fit into `room` characters, with `between` after each."""
    used = 0
    for count, line in enumerate(lines):
        used += len(line) + between
        if used > room:
            return count
    return len(lines)


def listed(names: Sequence[str], room: int = ROOM) -> str:
    """Names after each other, as many as there is room for; how many are left is said."""
    count = max(1, fitting(names, room, between=2)) if names else 0
    rest = len(names) - count
    return ", ".join(names[:count]) + (f" and {rest:,} more" if rest > 0 else "")


def words(text: str, limit: int = 500) -> str:
    """Free text from outside for mrkdwn: one line, so that it cannot pass for lines of ours."""
    return literal(plain(" ".join(text.replace("`", "'").split()), limit))


def mark_commands(text: str) -> str:
    """Escape a sentence of the bot's, and keep what it set in backticks as code."""
    pieces = text.split("`")
    return "".join(
        code(piece, 1000) if n % 2 and n < len(pieces) - 1 else literal(piece)
        for n, piece in enumerate(pieces)
        if piece
    )


def stop(sentence: str) -> str:
    """A sentence with a full stop, also where it brought its own."""
    return sentence if sentence.endswith((".", "!", "?", "…")) else f"{sentence}."


_STRANGER = re.compile(r"<@((?:local:|bot\b)[^<>]*)>")


def named(text: str) -> str:
    """Mrkdwn in which people that Slack does not know (`local:ann`, `bot`) are no mentions."""
    return _STRANGER.sub(lambda found: code(found[1]), text)


def _mrkdwn(text: str, limit: int) -> Block:
    # Verbatim: otherwise Slack makes links and mentions of plain words such as #general.
    return {"type": "mrkdwn", "text": cut(named(text), limit), "verbatim": True}


def context(*texts: str) -> Block:
    """Small grey print."""
    elements = [_mrkdwn(text, _CONTEXT) for text in texts[:10] if text.strip()]
    return {"type": "context", "elements": elements}


def header(text: str) -> Block:
    """A headline in plain text."""
    return {"type": "header", "text": {"type": "plain_text", "text": cut(text, 150)}}


def divider() -> Block:
    """A line."""
    return {"type": "divider"}


def button(
    label: str,
    action: str,
    value: str,
    *,
    style: str = "",
    confirm: tuple[str, str, str] | None = None,
) -> Block:
    """A button. `confirm` is title, text and the word on the button that goes on."""
    made: Block = {
        "type": "button",
        "text": {"type": "plain_text", "text": cut(label, 75)},
        "action_id": action,
        "value": value,
    }
    if style:
        made["style"] = style
    if confirm:
        title, text, word = confirm
        made["confirm"] = {
            "title": {"type": "plain_text", "text": cut(title, 100)},
            "text": {"type": "plain_text", "text": cut(text, 300)},
            "confirm": {"type": "plain_text", "text": cut(word, 30)},
            "deny": {"type": "plain_text", "text": "Go back"},
        }
    return made


def actions(*buttons: Block) -> Block:
    """A row of buttons."""
    return {"type": "actions", "elements": list(buttons)}


_VALUE = 2000
_LABEL = 75


def steps(commands: Iterable[str], labels: Mapping[str, str] | None = None) -> list[Block]:
    """Buttons that run commands as whoever presses them; commands too long for one are left out.

    Parameters
    ----------
    labels : by command what stands on its button; by default the command itself.
    """
    named = labels or {}
    kept = [command for command in commands if len(command) <= _VALUE]
    return [
        button(plain(named.get(command, command), _LABEL), f"run_{number}", command)
        for number, command in enumerate(kept)
    ]


def step_row(commands: Iterable[str], labels: Mapping[str, str] | None = None) -> list[Block]:
    """A row of such buttons, where there is one."""
    row = steps(commands, labels)
    return [actions(*row)] if row else []


class Person(str):
    """Somebody's id as a cell of a table: where Slack knows them, their name is shown."""

    __slots__ = ()

    @property
    def is_in_slack(self) -> bool:
        """Whether it is an id of Slack's."""
        return _SLACK_ID.fullmatch(self) is not None


_SLACK_ID = re.compile(r"[UW][A-Z0-9]{2,20}")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Block:
    """A table; cells are raw text, so nothing in them is ever markup.

    It holds the first :func:`rows_that_fit` rows; whoever shows it says so.

    Parameters
    ----------
    right : the columns that are aligned to the right.
    """
    shown = rows[: rows_that_fit(head, rows)]
    cells = [[_table_cell(text) for text in row] for row in [head, *shown]]
    settings = [{"align": "right"} if n in right else {} for n in range(len(head))]
    return {"type": "table", "rows": cells, "column_settings": settings}


def _table_cell(text: str) -> Block:
    if isinstance(text, Person) and text.is_in_slack:
        user = {"type": "user", "user_id": str(text)}
        part = {"type": "rich_text_section", "elements": [user]}
        return {"type": "rich_text", "elements": [part]}
    return {"type": "raw_text", "text": _cell(text)}


def cell_text(cell: Mapping[str, Any]) -> str:
    """What stands in a cell that :func:`table` made; somebody's id for their name."""
    if cell["type"] == "raw_text":
        return str(cell["text"])
    return f"@{cell['elements'][0]['elements'][0]['user_id']}"


def rows_that_fit(head: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """How many of the rows a table can show: 99, and 10,000 characters with the head."""
    used = sum(len(_cell(text)) for text in head)
    for count, row in enumerate(rows[:TABLE_ROWS]):
        used += sum(len(_cell(text)) for text in row)
        if used > TABLE_CHARACTERS:
            return count
    return min(len(rows), TABLE_ROWS)


def _cell(text: str) -> str:
    return plain(" ".join(plain(text, 2 * _CELL).split()), _CELL) or "–"


def without_new_blocks(shown: Mapping[str, Any]) -> Message:
    """The same message for a workspace that does not know tables yet."""
    blocks = []
    for block in shown.get("blocks", ()):
        if block["type"] == "table":
            rows = [[cell_text(cell) for cell in row] for row in block["rows"]]
            blocks += [section(f"```{part}```") for part in _as_text(rows)]
        else:
            blocks.append(block)
    return {"text": shown["text"], "blocks": blocks}


_PADDED = 30  # wider columns are ragged: one long name must not push every row apart


def _as_text(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [min(max(len(row[n]) for row in rows), _PADDED) for n in range(len(rows[0]))]
    parts = [""]
    for row in rows:
        line = "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        line = cut(escape(line.replace("`", "'")), _SECTION - 10)
        if parts[-1] and len(parts[-1]) + len(line) > _SECTION - 10:
            parts.append("")
        parts[-1] += line + "\n"
    return parts


def size(count: int | None) -> str:
    """Bytes as people read them: `12.3 MB`; exact below one kilobyte."""
    if count is None:
        return "–"
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} PB"


def when(epoch: float) -> str:
    """A moment in the reader's own zone, for mrkdwn."""
    stamp = int(epoch)
    plain = datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"<!date^{stamp}^{{date_short_pretty}} {{time}}|{plain}>"


def day(moment: datetime | None) -> str:
    """A date for a table."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if moment else "–"


def duration(seconds: float) -> str:
    """`45 s`, `3 min`, `2 h 5 min`, `7 d`."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours >= 48 and not rest:
        days, rest = divmod(hours, 24)
        return f"{days} d {rest} h" if rest else f"{days} d"
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def many(count: int, noun: str, plural: str = "") -> str:
    """`1 tag`, `2 tags`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
