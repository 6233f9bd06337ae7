"""The few blocks that messages are made of, each cut to what Slack accepts."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bot.slack.limits import cut

Block = dict[str, Any]
Message = dict[str, Any]

_SECTION = 2900
_CONTEXT = 1900
_TEXT = 3900
_MAX_BLOCKS = 48
TABLE_ROWS = 99


def message(text: str, blocks: Sequence[Block] = ()) -> Message:
    """A message; `text` says the same as the blocks, for notifications and screen readers."""
    shown = list(blocks[:_MAX_BLOCKS]) or [section(text)]
    return {"text": cut(text, _TEXT), "blocks": shown}


def section(text: str) -> Block:
    """A paragraph of mrkdwn; whatever came from outside must be escaped already."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut(text, _SECTION)}}


def context(*texts: str) -> Block:
    """Small grey print."""
    elements = [{"type": "mrkdwn", "text": cut(t, _CONTEXT)} for t in texts[:10] if t]
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


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Block:
    """A table; cells are raw text, so nothing in them is ever markup.

    Parameters
    ----------
    right : the columns that are aligned to the right.
    """
    cells = [[_cell(text) for text in row] for row in [head, *rows[:TABLE_ROWS]]]
    settings = [{"align": "right"} if n in right else {} for n in range(len(head))]
    return {"type": "table", "rows": cells, "column_settings": settings}


def _cell(text: str) -> Block:
    return {"type": "raw_text", "text": cut(text, 200) or "–"}


def without_new_blocks(shown: Mapping[str, Any]) -> Message:
    """The same message for a workspace that does not know tables yet."""
    blocks = []
    for block in shown.get("blocks", ()):
        if block["type"] == "table":
            rows = [[cell["text"] for cell in row] for row in block["rows"]]
            blocks += [section(f"```{part}```") for part in _as_text(rows)]
        else:
            blocks.append(block)
    return {"text": shown["text"], "blocks": blocks[:_MAX_BLOCKS]}


def _as_text(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    parts = [""]
    for row in rows:
        line = "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        line = cut(line.replace("```", "'''"), 600).replace("&", "&amp;").replace("<", "&lt;")
        line = line.replace(">", "&gt;")
        if len(parts[-1]) + len(line) > 2800:
            parts.append("")
        parts[-1] += line + "\n"
    return parts[:20]


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
    """`45 s`, `3 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def many(count: int, noun: str, plural: str = "") -> str:
    """`1 tag`, `2 tags`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
