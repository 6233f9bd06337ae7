"""Blocks of 2025 and 2026: tables, charts, plans, cards, alerts, markdown, rich text."""

from collections.abc import Mapping
from typing import Any

from bot.playground.checking import Checker
from bot.playground.elements import ACTIONS, button, element, image

_RICH = {
    "rich_text_section": (),
    "rich_text_preformatted": ("border", "language"),
    "rich_text_quote": ("border",),
    "rich_text_list": ("style", "indent", "offset", "border"),
}
_RICH_PARTS = frozenset(
    {"text", "link", "emoji", "user", "channel", "usergroup", "date", "broadcast", "color", "team"}
)
_STATES = ("pending", "in_progress", "complete", "error")


def rich_text(check: Checker, value: Mapping[str, Any], at: str) -> None:
    """Text whose format is structure, not markup."""
    check.keys(value, at, ("elements",), ("block_id",))
    for where, part in check.items(value.get("elements"), f"{at}/elements", 1000):
        if not check.mapping(part, where):
            continue
        kind = part.get("type")
        if kind not in _RICH:
            check.add(f"unsupported type: {kind}", f"{where}/type")
            continue
        check.keys(part, where, ("elements",), _RICH[kind])
        for inner, leaf in check.items(part.get("elements"), f"{where}/elements", 1000, 0):
            _rich_leaf(check, leaf, inner, nested=kind == "rich_text_list")


def _rich_leaf(check: Checker, value: Any, at: str, *, nested: bool) -> None:
    if not check.mapping(value, at):
        return
    allowed = {"rich_text_section"} if nested else _RICH_PARTS
    kind = value.get("type")
    if kind not in allowed:
        check.add(f"unsupported type: {kind}", f"{at}/type")
    elif kind == "text":
        check.string(value.get("text"), f"{at}/text", 12000)


def markdown(check: Checker, value: Mapping[str, Any], at: str) -> None:
    """Standard Markdown; 12,000 characters in all such blocks of a message together."""
    check.keys(value, at, ("text",), ("block_id",))
    check.string(value.get("text"), f"{at}/text", 12000)
    check.markdown += len(str(value.get("text", "")))
    if check.markdown > 12000:
        check.add("no more than 12000 characters of markdown allowed in a message", at)


def table(check: Checker, value: Mapping[str, Any], at: str) -> None:
    """A table: 100 rows, 20 columns, 10,000 characters, one in a message, no empty cells."""
    check.keys(value, at, ("rows",), ("block_id", "column_settings"))
    check.tables += 1
    if check.tables > 1:
        check.add("only_one_table_allowed", at)
    characters = 0
    for where, row in check.items(value.get("rows"), f"{at}/rows", 100):
        for inner, cell in check.items(row, where, 20):
            characters += _cell(check, cell, inner)
    if characters > 10_000:
        check.add("no more than 10000 characters allowed in a table", f"{at}/rows")
    settings = value.get("column_settings")
    for where, column in check.items(settings or [], f"{at}/column_settings", 20, 0):
        if column is not None and check.mapping(column, where):
            check.keys(column, where, (), ("align", "is_wrapped"))
            check.one_of(column.get("align"), f"{where}/align", ("left", "center", "right"))
            check.boolean(column.get("is_wrapped"), f"{where}/is_wrapped")


def _cell(check: Checker, value: Any, at: str) -> int:
    """Check a cell; its length in characters."""
    if not check.mapping(value, at):
        return 0
    kind = value.get("type")
    if kind == "raw_text":
        check.keys(value, at, ("text",), ())
        check.string(value.get("text"), f"{at}/text", 10_000)
        return len(str(value.get("text", "")))
    if kind == "raw_number":
        check.keys(value, at, ("value",), ("text",))
        if isinstance(value.get("value"), bool) or not isinstance(value.get("value"), int | float):
            check.add("must be a number", f"{at}/value")
        return len(str(value.get("text", value.get("value"))))
    if kind == "rich_text":
        rich_text(check, value, at)
        return len(str(value.get("elements")))
    check.add(f"unsupported type: {kind}", f"{at}/type")
    return 0


def data_table(check: Checker, value: Mapping[str, Any], at: str) -> None:
    """A table with paging: header and 1 to 100 rows, all of one length, 20,000 characters."""
    check.keys(value, at, ("rows", "caption"), ("block_id", "page_size", "row_header_column_index"))
    check.string(value.get("caption"), f"{at}/caption", 200)
    size = value.get("page_size", 5)
    if not isinstance(size, int) or not 1 <= size <= 100:
        check.add("must be between 1 and 100", f"{at}/page_size")
    rows = check.items(value.get("rows"), f"{at}/rows", 101, 2)
    characters = 0
    for where, row in rows:
        for inner, cell in check.items(row, where, 20):
            characters += _cell(check, cell, inner)
    if len({len(row) for _, row in rows if isinstance(row, list)}) > 1:
        check.add("all rows must have the same number of cells", f"{at}/rows")
    if characters > 20_000:
        check.add("no more than 20000 characters allowed in a table", f"{at}/rows")


def chart(check: Checker, value: Mapping[str, Any], at: str) -> None:
    """A pie, bar, line or area chart; two in a message."""
    check.keys(value, at, ("title", "chart"), ("block_id",))
    check.charts += 1
    if check.charts > 2:
        check.add("no more than 2 charts allowed in a message", at)
    check.string(value.get("title"), f"{at}/title", 50)
    drawn = value.get("chart")
    if not check.mapping(drawn, f"{at}/chart") or not isinstance(drawn, Mapping):
        return
    check.one_of(drawn.get("type"), f"{at}/chart/type", ("pie", "bar", "line", "area"))
    parts = "segments" if drawn.get("type") == "pie" else "series"
    for where, part in check.items(drawn.get(parts), f"{at}/chart/{parts}", 6):
        if check.mapping(part, where):
            check.string(part.get("label", part.get("name")), f"{where}/label", 20)


def plan(check: Checker, value: Mapping[str, Any], at: str) -> None:
    """A list of tasks with their state."""
    check.keys(value, at, ("title",), ("block_id", "tasks"))
    check.string(value.get("title"), f"{at}/title", 250)
    for where, task in check.items(value.get("tasks", []), f"{at}/tasks", 50, 0):
        if check.mapping(task, where):
            _task(check, task, where)


def task_card(check: Checker, value: Mapping[str, Any], at: str) -> None:
    """One task on its own; it cannot be pending."""
    _task(check, value, at)
    if value.get("status") == "pending":
        check.add("a task_card outside a plan cannot be pending", f"{at}/status")


def _task(check: Checker, value: Mapping[str, Any], at: str) -> None:
    check.keys(
        value, at, ("task_id", "title"), ("block_id", "details", "output", "sources", "status")
    )
    check.string(value.get("task_id"), f"{at}/task_id", 255)
    check.string(value.get("title"), f"{at}/title", 250)
    check.one_of(value.get("status"), f"{at}/status", _STATES)
    for name in ("details", "output"):
        if (held := value.get(name)) is not None and check.mapping(held, f"{at}/{name}"):
            rich_text(check, held, f"{at}/{name}")


def alert(check: Checker, value: Mapping[str, Any], at: str) -> None:
    """A coloured notice."""
    check.keys(value, at, ("text",), ("block_id", "level"))
    check.text(value.get("text"), f"{at}/text", 200)
    levels = ("default", "info", "warning", "error", "success")
    check.one_of(value.get("level"), f"{at}/level", levels)


def card(check: Checker, value: Mapping[str, Any], at: str) -> None:
    """A card with at most three buttons."""
    optional = ("block_id", "hero_image", "icon", "title", "subtitle", "body", "actions")
    check.keys(value, at, (), optional)
    if not any(value.get(name) for name in ("hero_image", "title", "body", "actions")):
        check.add("must provide at least one of hero_image, title, body, actions", at)
    for name, most in (("title", 150), ("subtitle", 150), ("body", 200)):
        check.text(value.get(name), f"{at}/{name}", most)
    for name in ("hero_image", "icon"):
        if (shown := value.get(name)) is not None:
            element(check, shown, f"{at}/{name}", {"image": image})
    if "actions" in value:
        for where, held in check.items(value["actions"], f"{at}/actions", 3):
            element(check, held, where, {"button": button, "overflow": ACTIONS["overflow"]})


def carousel(check: Checker, value: Mapping[str, Any], at: str) -> None:
    """One to ten cards."""
    check.keys(value, at, ("elements",), ("block_id",))
    for where, held in check.items(value.get("elements"), f"{at}/elements", 10):
        if check.mapping(held, where):
            card(check, held, where)
