"""Slack's limits and its markup: how to write inside them, and a check that tests run on all."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


def escape(text: str) -> str:
    """Text from outside, for mrkdwn: no mention, link or control character survives."""
    clean = _CONTROL.sub("", text)
    return clean.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str, limit: int = 300) -> str:
    """Text from outside as a code span, on one line; markup inside it is dead."""
    inner = cut(" ".join(text.replace("`", "'").split()), limit)
    return f"`{escape(inner)}`" if inner else "`–`"


def plain(text: str, limit: int = 3000) -> str:
    """Text from outside for a plain_text field."""
    return cut(_CONTROL.sub("", text), limit)


def cut(text: str, limit: int) -> str:
    """At most `limit` characters; an entity or code span at the end is not cut in two."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 2]
    kept = re.sub(r"&[a-z]{0,3}$|<[^>]*$", "", kept)
    if kept.count("```") % 2:
        return f"{kept[: limit - 5]}…```"
    return f"{kept}…" + ("`" if kept.replace("```", "").count("`") % 2 else "")


def problems(message: Mapping[str, Any]) -> list[str]:
    """Everything in a message that Slack would refuse or cut; empty if all is well."""
    found = []
    text = message.get("text")
    if not isinstance(text, str) or not text.strip():
        found.append("a message needs a text that says the same as its blocks")
    elif len(text) > 4000:
        found.append(f"text has {len(text)} characters, advised are 4000")
    blocks = message.get("blocks", [])
    if len(blocks) > 50:
        found.append(f"{len(blocks)} blocks, allowed are 50")
    if sum(block.get("type") == "table" for block in blocks) > 1:
        found.append("more than one table")
    ids = [block["block_id"] for block in blocks if "block_id" in block]
    if len(ids) != len(set(ids)):
        found.append("a block_id is used twice")
    for number, block in enumerate(blocks):
        found += [f"block {number}: {p}" for p in _block(block)]
    return found


def _block(block: Mapping[str, Any]) -> Iterator[str]:
    kind = str(block.get("type"))
    check = _CHECKS.get(kind)
    if check is None:
        yield f"unknown type {kind!r}"
        return
    if len(str(block.get("block_id", ""))) > 255:
        yield "block_id is longer than 255"
    yield from check(block)


def _text(value: Any, limit: int, what: str, *, only: str = "") -> Iterator[str]:
    if not isinstance(value, Mapping) or value.get("type") not in {"mrkdwn", "plain_text"}:
        yield f"{what} is no text object"
        return
    if only and value["type"] != only:
        yield f"{what} must be {only}"
    text = value.get("text")
    if not isinstance(text, str) or not text:
        yield f"{what} is empty"
    elif len(text) > limit:
        yield f"{what} has {len(text)} characters, allowed are {limit}"


def _section(block: Mapping[str, Any]) -> Iterator[str]:
    fields = block.get("fields", [])
    if "text" in block or not fields:
        yield from _text(block.get("text"), 3000, "text")
    if len(fields) > 10:
        yield "more than 10 fields"
    for field in fields:
        yield from _text(field, 2000, "field")
    if "accessory" in block:
        yield from _element(block["accessory"])


def _header(block: Mapping[str, Any]) -> Iterator[str]:
    yield from _text(block.get("text"), 150, "text", only="plain_text")


def _context(block: Mapping[str, Any]) -> Iterator[str]:
    elements = block.get("elements", [])
    if not 1 <= len(elements) <= 10:
        yield f"{len(elements)} elements, allowed are 1 to 10"
    for element in elements:
        yield from _text(element, 3000, "element")


def _actions(block: Mapping[str, Any]) -> Iterator[str]:
    elements = block.get("elements", [])
    if not 1 <= len(elements) <= 25:
        yield f"{len(elements)} elements, allowed are 1 to 25"
    ids = [element.get("action_id") for element in elements]
    if len(ids) != len(set(ids)):
        yield "an action_id is used twice"
    for element in elements:
        yield from _element(element)


def _element(element: Mapping[str, Any]) -> Iterator[str]:
    if element.get("type") != "button":
        yield f"unknown element {element.get('type')!r}"
        return
    yield from _text(element.get("text"), 75, "button text", only="plain_text")
    if not 1 <= len(str(element.get("action_id", ""))) <= 255:
        yield "action_id must have 1 to 255 characters"
    if len(str(element.get("value", ""))) > 2000:
        yield "button value is longer than 2000"
    if element.get("style", "primary") not in {"primary", "danger"}:
        yield "button style is neither primary nor danger"
    if "confirm" in element:
        yield from _confirm(element["confirm"])


def _confirm(confirm: Mapping[str, Any]) -> Iterator[str]:
    yield from _text(confirm.get("title"), 100, "confirm title", only="plain_text")
    yield from _text(confirm.get("text"), 300, "confirm text")
    yield from _text(confirm.get("confirm"), 30, "confirm button", only="plain_text")
    yield from _text(confirm.get("deny"), 30, "deny button", only="plain_text")


def _table(block: Mapping[str, Any]) -> Iterator[str]:
    rows: Sequence[Sequence[Mapping[str, Any]]] = block.get("rows", [])
    if not 1 <= len(rows) <= 100:
        yield f"{len(rows)} rows, allowed are 1 to 100"
    if any(len(row) > 20 for row in rows):
        yield "more than 20 columns"
    if len({len(row) for row in rows}) > 1:
        yield "rows of different lengths"
    cells = [cell for row in rows for cell in row]
    if any(not cell.get("text") for cell in cells):
        yield "an empty cell"
    if sum(len(cell.get("text", "")) for cell in cells) > 10_000:
        yield "more than 10,000 characters in the table"


def _nothing(_: Mapping[str, Any]) -> Iterator[str]:
    return iter(())


_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    "section": _section,
    "header": _header,
    "context": _context,
    "actions": _actions,
    "table": _table,
    "divider": _nothing,
}
