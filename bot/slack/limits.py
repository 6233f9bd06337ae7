"""Slack's limits and its markup: how to write inside them, and a check that tests run on all.

`problems` and `problems_of_view` know the block types that this bot may send. What they pass,
Slack takes; a type that they call unknown is one to describe in `limits_blocks.py` first.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bot.slack.limits_blocks import MODAL, check_block
from bot.slack.limits_elements import counted, listed, string, text_object

TEXT_ADVISED = 4_000
TEXT_LIMIT = 40_000
MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
_MARKDOWN = 12_000

# Control characters, and those that reverse, hide or split what is read; surrogates, which
# nothing can encode. A tabulator and a new line stay.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_FENCED = re.compile(r"```.*?```", re.DOTALL)
_TORN = re.compile(r"(?:&[a-z]{0,3}|<[^>]*)$")


def escape(text: str) -> str:
    """Text from outside, for mrkdwn: no mention, link or control character survives.

    `*`, `_` and backticks still format: use `literal` for prose and `code` for names.
    """
    clean = _CONTROL.sub("", text)
    return clean.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_FORMATS = re.compile(r"[*~`]|(?<!\w)_|_(?!\w)|:[\w+-]+:")


def literal(text: str) -> str:
    """Prose from outside, for mrkdwn: words that Slack would format become code spans.

    There is no way to escape `*`, `_`, `~` or `:emoji:` in mrkdwn; inside code they are dead.
    """

    def one(word: re.Match[str]) -> str:
        return (code if _FORMATS.search(word[0]) else escape)(word[0])

    return re.sub(r"\S+", one, _CONTROL.sub("", text))


def code(text: str, limit: int = 300) -> str:
    """Text from outside as a code span, on one line; markup inside it is dead.

    At most `limit` characters of it, before `&`, `<`, `>` become entities. A dash stands for
    nothing, because an empty code span would show its backticks.
    """
    inner = " ".join(_CONTROL.sub("", text.replace("`", "'")).split())
    return f"`{escape(_clip(inner, limit))}`" if inner else "`–`"


def plain(text: str, limit: int = 3000) -> str:
    """Text from outside for a plain_text field, which knows no markup but emoji names."""
    return _clip(_CONTROL.sub("", text), limit)


def cut(text: str, limit: int) -> str:
    """At most `limit` characters of mrkdwn; ends with an ellipsis where something is missing.

    No entity, mention or link is torn apart, and code that was opened is closed again.
    """
    if len(text) <= limit:
        return text
    for close in ("", "`", "```"):
        room = limit - 1 - len(close)
        kept = _untorn(text, max(room, 0))
        if room >= 0 and _open_code(kept) == close:
            return f"{kept}…{close}"
    return "…"[: max(limit, 0)]


def _clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: max(limit - 1, 0)]}…"[: max(limit, 0)]


def _untorn(text: str, room: int) -> str:
    kept = text[:room]
    if text[room : room + 1] == "`":
        # One or two backticks of a fence's three would open something else.
        kept = kept.rstrip("`")
    return _TORN.sub("", kept)


def _open_code(text: str) -> str:
    """What closes the code that is open at the end of `text`; "" if none is."""
    rest = _FENCED.sub("", text)
    if "```" in rest:
        return "```"
    return "`" if rest.count("`") % 2 else ""


def problems(message: Mapping[str, Any]) -> list[str]:
    """Everything in a message that Slack would refuse or cut; empty if all is well.

    Pure and never raises: whatever stands where something else should is a problem, too.
    """
    return [*_message_text(message), *_message_blocks(message)]


def _message_text(message: Mapping[str, Any]) -> Iterator[str]:
    text = message.get("text")
    if not isinstance(text, str) or not text.strip():
        yield "a message needs a text that says the same as its blocks"
    elif len(text) > TEXT_LIMIT:
        yield f"text has {len(text)} characters, Slack cuts it at {TEXT_LIMIT}"
    elif len(text) > TEXT_ADVISED:
        yield f"text has {len(text)} characters, advised are {TEXT_ADVISED}"


def _message_blocks(message: Mapping[str, Any]) -> Iterator[str]:
    given = message.get("blocks", [])
    if not isinstance(given, list | tuple):
        yield "blocks is not a list"
        return
    yield from counted(given, 0, MESSAGE_BLOCKS, "blocks")
    yield from _blocks(given, "message")
    tables = sum(_kind(block) in {"table", "data_table"} for block in given)
    if tables > 1:
        yield f"{tables} tables, allowed is 1 in a message"
    charts = sum(_kind(block) == "data_visualization" for block in given)
    if charts > 2:
        yield f"{charts} charts, allowed are 2 in a message"
    markdown = sum(len(str(b.get("text", ""))) for b in given if _kind(b) == "markdown")
    if markdown > _MARKDOWN:
        yield f"{markdown} characters in markdown blocks, allowed are {_MARKDOWN} in a message"


def problems_of_view(view: Mapping[str, Any]) -> list[str]:
    """Everything in a modal or a home tab that Slack would refuse; empty if all is well."""
    return list(_view(view))


def _view(view: Mapping[str, Any]) -> Iterator[str]:
    kind = view.get("type")
    if kind not in (MODAL, "home"):
        yield f"a view is a modal or home, not {kind!r}"
        return
    blocks = listed(view.get("blocks"))
    yield from counted(blocks, 1, VIEW_BLOCKS, "blocks")
    yield from _blocks(blocks, str(kind))
    yield from string(view.get("callback_id"), 255, "callback_id", optional=True)
    yield from string(view.get("external_id"), 255, "external_id", optional=True)
    metadata = view.get("private_metadata")
    yield from string(metadata, 3000, "private_metadata", least=0, optional=True)
    if kind != MODAL:
        return
    yield from text_object(view.get("title"), 24, "title", only="plain_text")
    for name in ("submit", "close"):
        if view.get(name) is not None:
            yield from text_object(view[name], 24, name, only="plain_text")
    if view.get("submit") is None and any(_kind(block) == "input" for block in blocks):
        yield "a modal with inputs needs a submit button"


def _blocks(blocks: Sequence[Any], surface: str) -> Iterator[str]:
    ids = [b.get("block_id") for b in blocks if isinstance(b, Mapping) and b.get("block_id")]
    for twice in sorted({str(i) for i in ids if ids.count(i) > 1}):
        yield f"block_id {twice} is used twice"
    for number, block in enumerate(blocks):
        for problem in check_block(block, surface):
            yield f"block {number} ({_kind(block)}): {problem}"


def _kind(block: Any) -> str:
    return str(block.get("type")) if isinstance(block, Mapping) else "no block"
