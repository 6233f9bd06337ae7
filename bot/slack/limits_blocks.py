"""Limits of Block Kit's blocks, and on which surface each may stand.

Each check yields a sentence for every problem that it finds, and raises nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.slack.limits_elements import (
    ACCESSORIES,
    ACTIONS,
    BUTTONS,
    INPUTS,
    Check,
    Problems,
    counted,
    element,
    elements,
    image,
    listed,
    one_of,
    plain,
    string,
    text_object,
)

MODAL = "modal"
_TASK_STATES = ("pending", "in_progress", "complete", "error")
_ALERTS = ("default", "info", "warning", "error", "success")
_RICH_PARTS = (
    "rich_text_section",
    "rich_text_preformatted",
    "rich_text_quote",
    "rich_text_list",
)
_CHARTS = ("pie", "bar", "line", "area")


def check_block(block: Any, surface: str) -> Problems:
    """One block on `surface`: "message", "modal" or "home"."""
    if not isinstance(block, Mapping):
        yield "a block is not an object"
        return
    kind = block.get("type")
    known = _KINDS.get(kind) if isinstance(kind, str) else None
    if known is None:
        yield f"unknown type {kind!r}"
        return
    surfaces, check = known
    if surface not in surfaces:
        yield f"{kind} cannot stand in a {surface}"
    yield from string(block.get("block_id"), 255, "block_id", optional=True)
    yield from check(block)


def _section(block: Mapping[str, Any]) -> Problems:
    fields = listed(block.get("fields"))
    if block.get("text") is not None or not fields:
        yield from text_object(block.get("text"), 3000, "text")
    yield from counted(fields, 0, 10, "fields")
    for field in fields:
        yield from text_object(field, 2000, "a field")
    if block.get("accessory") is not None:
        yield from element(block["accessory"], ACCESSORIES)


def _header(block: Mapping[str, Any]) -> Problems:
    yield from plain(block.get("text"), 150, "text")


def _divider(_: Mapping[str, Any]) -> Problems:
    return iter(())


def _context(block: Mapping[str, Any]) -> Problems:
    given = listed(block.get("elements"))
    yield from counted(given, 1, 10, "elements")
    for one in given:
        if isinstance(one, Mapping) and one.get("type") == "image":
            yield from image(one)
        else:
            yield from text_object(one, 2000, "an element")


def _actions(block: Mapping[str, Any]) -> Problems:
    yield from elements(block.get("elements"), 1, 25, ACTIONS)


def _image(block: Mapping[str, Any]) -> Problems:
    yield from image(block)
    yield from plain(block.get("title"), 2000, "title", optional=True)


def _input(block: Mapping[str, Any]) -> Problems:
    yield from plain(block.get("label"), 2000, "label")
    yield from plain(block.get("hint"), 2000, "hint", optional=True)
    yield from element(block.get("element"), INPUTS)


def _markdown(block: Mapping[str, Any]) -> Problems:
    yield from string(block.get("text"), 12_000, "text")


def _rich_text(block: Mapping[str, Any]) -> Problems:
    parts = listed(block.get("elements"))
    if not parts:
        yield "rich_text has no elements"
    for part in parts:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind not in _RICH_PARTS:
            yield f"a rich_text part of the type {kind!r} is unknown"
            continue
        for leaf in listed(part.get("elements")):
            yield from _rich_leaf(leaf, nested=kind == "rich_text_list")


def _rich_leaf(leaf: Any, *, nested: bool) -> Problems:
    kind = leaf.get("type") if isinstance(leaf, Mapping) else None
    if nested:
        if kind != "rich_text_section":
            yield "a rich_text_list holds rich_text_sections only"
            return
        for inner in listed(leaf.get("elements")):
            yield from _rich_leaf(inner, nested=False)
    elif not isinstance(kind, str):
        yield "an element of rich_text has no type"
    elif kind == "text" and not (isinstance(leaf.get("text"), str) and leaf["text"]):
        yield "a text in rich_text is empty"


def _table(block: Mapping[str, Any]) -> Problems:
    rows = listed(block.get("rows"))
    yield from counted(rows, 1, 100, "rows")
    yield from _cells(rows, 10_000)
    settings = listed(block.get("column_settings"))
    yield from counted(settings, 0, 20, "column settings")
    for column in settings:
        align = column.get("align") if isinstance(column, Mapping) else None
        yield from one_of(align, ("left", "center", "right"), "align")


def _data_table(block: Mapping[str, Any]) -> Problems:
    rows = listed(block.get("rows"))
    yield from string(block.get("caption"), 3000, "caption")
    yield from counted(rows, 2, 101, "rows with the header")
    yield from _cells(rows, 20_000)
    size = block.get("page_size", 5)
    if not isinstance(size, int) or not 1 <= size <= 100:
        yield "page_size is not a number from 1 to 100"


def _cells(rows: Sequence[Any], limit: int) -> Problems:
    widths = {len(listed(row)) for row in rows}
    if len(widths) > 1:
        yield "rows of different lengths"
    if widths and (min(widths) < 1 or max(widths) > 20):
        yield f"{max(widths)} columns, allowed are 1 to 20"
    characters = 0
    for row in rows:
        for cell in listed(row):
            yield from _cell(cell)
            characters += len(_cell_text(cell))
    if characters > limit:
        yield f"{characters} characters in the table, allowed are {limit}"


def _cell(cell: Any) -> Problems:
    kind = cell.get("type") if isinstance(cell, Mapping) else None
    if kind == "raw_text":
        yield from string(cell.get("text"), 20_000, "a cell")
    elif kind == "raw_number":
        value = cell.get("value")
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield "a cell of numbers has none"
    elif kind == "rich_text":
        yield from _rich_text(cell)
    else:
        yield f"a cell of the type {kind!r} is unknown"


def _cell_text(cell: Any) -> str:
    """Everything in a cell that is read; a number as it would be written out."""
    if isinstance(cell, Mapping):
        if isinstance(cell.get("text"), str):
            return str(cell["text"])
        if "value" in cell:
            return str(cell["value"])
        return "".join(_cell_text(inner) for inner in listed(cell.get("elements")))
    return ""


def _chart(block: Mapping[str, Any]) -> Problems:
    yield from string(block.get("title"), 50, "title")
    chart = block.get("chart")
    if not isinstance(chart, Mapping):
        yield "chart is missing"
        return
    yield from one_of(chart.get("type"), _CHARTS, "the chart's type", optional=False)
    # Slack's page says 6, others found 12: the smaller one is taken everywhere.
    what = "segments" if chart.get("type") == "pie" else "series"
    parts = listed(chart.get(what))
    yield from counted(parts, 1, 6, what)
    for part in parts:
        label = part.get("label", part.get("name")) if isinstance(part, Mapping) else None
        yield from string(label, 20, "a label")


def _plan(block: Mapping[str, Any]) -> Problems:
    yield from string(block.get("title"), 3000, "title")
    tasks = listed(block.get("tasks"))
    yield from counted(tasks, 0, 50, "tasks")
    for task in tasks:
        yield from _task(task if isinstance(task, Mapping) else {})


def _task(task: Mapping[str, Any]) -> Problems:
    yield from string(task.get("task_id"), 255, "task_id")
    yield from string(task.get("title"), 3000, "a task's title")
    yield from one_of(task.get("status"), _TASK_STATES, "a task's status", optional=False)
    for name in ("details", "output"):
        held = task.get(name)
        if held is not None:
            yield from _rich_text(held if isinstance(held, Mapping) else {})


def _task_card(block: Mapping[str, Any]) -> Problems:
    yield from _task(block)
    if block.get("status") == "pending":
        yield "a task_card outside a plan cannot be pending"


def _alert(block: Mapping[str, Any]) -> Problems:
    yield from text_object(block.get("text"), 200, "text")
    yield from one_of(block.get("level"), _ALERTS, "level")


def _card(block: Mapping[str, Any]) -> Problems:
    if not any(block.get(name) for name in ("hero_image", "title", "body", "actions")):
        yield "a card needs a hero_image, title, body or actions"
    for name, limit in (("title", 150), ("subtitle", 150), ("body", 200)):
        if block.get(name) is not None:
            yield from text_object(block[name], limit, name)
    if block.get("actions") is not None:
        yield from elements(block["actions"], 1, 3, BUTTONS)


def _container(block: Mapping[str, Any]) -> Problems:
    if block.get("rich_text_title") is None:
        yield from plain(block.get("title"), 150, "title")
    if block.get("subtitle") is not None:
        yield from text_object(block["subtitle"], 150, "subtitle")
    children = listed(block.get("child_blocks"))
    yield from counted(children, 1, 10, "child blocks")
    for child in children:
        if isinstance(child, Mapping) and child.get("type") in ("container", "table", "plan"):
            yield f"{child['type']} cannot stand in a container"
        else:
            yield from check_block(child, "message")


_ALL = ("message", MODAL, "home")
_KINDS: Mapping[str, tuple[tuple[str, ...], Check]] = {
    "section": (_ALL, _section),
    "header": (_ALL, _header),
    "divider": (_ALL, _divider),
    "context": (_ALL, _context),
    "actions": (_ALL, _actions),
    "image": (_ALL, _image),
    "input": (_ALL, _input),
    "rich_text": (_ALL, _rich_text),
    "markdown": (("message",), _markdown),
    "table": (("message", "home"), _table),
    "data_table": (("message", "home"), _data_table),
    "data_visualization": (("message", "home"), _chart),
    "plan": (("message",), _plan),
    "task_card": (("message",), _task_card),
    "alert": ((MODAL,), _alert),
    "card": (("message", MODAL), _card),
    "container": (("message",), _container),
}
