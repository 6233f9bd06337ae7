"""Block Kit validation against the table of limits: the limit passes, one more does not."""

from collections.abc import Callable
from typing import Any

import pytest
from slack_sdk.models.blocks import (
    ActionsBlock,
    ButtonElement,
    ConfirmObject,
    ContextBlock,
    DividerBlock,
    HeaderBlock,
    MarkdownBlock,
    MarkdownTextObject,
    Option,
    PlainTextInputElement,
    SectionBlock,
    StaticSelectElement,
)
from slack_sdk.models.blocks.blocks import InputBlock

from bot.playground.blocks import completed, problems


def plain(n: int) -> dict[str, str]:
    return {"type": "plain_text", "text": "x" * n}


def mrkdwn(n: int) -> dict[str, str]:
    return {"type": "mrkdwn", "text": "x" * n}


def button(**more: Any) -> dict[str, Any]:
    return {"type": "button", "text": plain(3), "action_id": "a", **more}


def actions(*elements: Any) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements)}


def confirm(**more: Any) -> dict[str, Any]:
    parts = {name: plain(3) for name in ("title", "text", "confirm", "deny")}
    return actions(button(confirm=parts | more))


def option(text: int = 3, value: int = 3) -> dict[str, Any]:
    return {"text": plain(text), "value": "v" * value}


def select(*options: Any) -> dict[str, Any]:
    return actions({"type": "static_select", "action_id": "s", "options": list(options)})


def cell(n: int = 1) -> dict[str, str]:
    return {"type": "raw_text", "text": "x" * n}


def table(rows: int = 2, columns: int = 2, **more: Any) -> dict[str, Any]:
    return {"type": "table", "rows": [[cell()] * columns] * rows, **more}


def plan(n: int) -> dict[str, Any]:
    task = {"task_id": "t", "title": "x", "status": "complete"}
    return {"type": "plan", "title": "x", "tasks": [task] * n}


LIMITS: dict[str, tuple[Callable[[int], Any], int]] = {
    "section text": (lambda n: {"type": "section", "text": mrkdwn(n)}, 3000),
    "section fields": (lambda n: {"type": "section", "fields": [mrkdwn(1)] * n}, 10),
    "section field": (lambda n: {"type": "section", "fields": [mrkdwn(n)]}, 2000),
    "header": (lambda n: {"type": "header", "text": plain(n)}, 150),
    "context": (lambda n: {"type": "context", "elements": [mrkdwn(1)] * n}, 10),
    "actions": (lambda n: actions(*(button(action_id=f"a{i}") for i in range(n))), 25),
    "button text": (lambda n: actions(button(text=plain(n))), 75),
    "button value": (lambda n: actions(button(value="x" * n)), 2000),
    "button url": (lambda n: actions(button(url=("https://" + "x" * n)[:n])), 3000),
    "action_id": (lambda n: actions(button(action_id="x" * n)), 255),
    "block_id": (lambda n: {"type": "divider", "block_id": "x" * n}, 255),
    "confirm title": (lambda n: confirm(title=plain(n)), 100),
    "confirm text": (lambda n: confirm(text=mrkdwn(n)), 300),
    "confirm button": (lambda n: confirm(confirm=plain(n)), 30),
    "confirm deny": (lambda n: confirm(deny=plain(n)), 30),
    "options": (lambda n: select(*[option()] * n), 100),
    "option text": (lambda n: select(option(text=n)), 75),
    "option value": (lambda n: select(option(value=n)), 150),
    "overflow": (lambda n: actions({"type": "overflow", "options": [option()] * n}), 5),
    "checkboxes": (lambda n: actions({"type": "checkboxes", "options": [option()] * n}), 10),
    "markdown": (lambda n: {"type": "markdown", "text": "x" * n}, 12000),
    "table rows": (lambda n: table(rows=n), 100),
    "table columns": (lambda n: table(columns=n), 20),
    "table characters": (lambda n: {"type": "table", "rows": [[cell(n)]]}, 10_000),
    "tasks": (plan, 50),
    "card title": (lambda n: {"type": "card", "title": mrkdwn(n)}, 150),
    "card body": (lambda n: {"type": "card", "body": mrkdwn(n)}, 200),
    "card actions": (lambda n: {"type": "card", "actions": [button()] * n}, 3),
    "carousel": (
        lambda n: {"type": "carousel", "elements": [{"type": "card", "title": plain(1)}] * n},
        10,
    ),
    "container": (lambda n: {"type": "container", "child_blocks": [{"type": "divider"}] * n}, 10),
    "data table rows": (
        lambda n: {"type": "data_table", "caption": "c", "rows": [[cell()]] * (n + 1)},
        100,
    ),
    "chart title": (
        lambda n: {
            "type": "data_visualization",
            "title": "x" * n,
            "chart": {"type": "pie", "segments": [{"label": "a", "value": 1}]},
        },
        50,
    ),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits(name: str) -> None:
    make, most = LIMITS[name]
    assert problems([make(most)]) == []
    assert problems([make(most + 1)]) != []


def test_numbers_of_blocks() -> None:
    divider = {"type": "divider"}
    assert problems([divider] * 50) == []
    assert problems([divider] * 51) == ["no more than 50 items allowed [json-pointer:/blocks]"]
    assert problems([divider] * 100, "modal") == []
    assert problems([divider] * 101, "modal") != []
    assert problems([]) == []
    assert problems([], "modal") != []


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ({"type": "nonsense"}, "unsupported type: nonsense [json-pointer:/blocks/0/type]"),
        ({}, "unsupported type: None [json-pointer:/blocks/0/type]"),
        ("x", "must be an object [json-pointer:/blocks/0]"),
        ({"type": ["x"]}, "unsupported type: ['x'] [json-pointer:/blocks/0/type]"),
        ({"type": "section"}, "must provide at least one of text, fields [json-pointer:/blocks/0]"),
        (
            {"type": "section", "text": mrkdwn(0)},
            "must be more than 0 characters [json-pointer:/blocks/0/text/text]",
        ),
        (
            {"type": "section", "text": {"type": "mrkdwn", "text": 3}},
            "must be a string [json-pointer:/blocks/0/text/text]",
        ),
        (
            {"type": "section", "text": mrkdwn(1) | {"emoji": True}},
            "invalid additional property: emoji [json-pointer:/blocks/0/text]",
        ),
        (
            {"type": "header", "text": mrkdwn(1)},
            "must be one of plain_text [json-pointer:/blocks/0/text/type]",
        ),
        ({"type": "divider", "x": 1}, "invalid additional property: x [json-pointer:/blocks/0]"),
        (
            {"type": "context", "elements": []},
            "no less than 1 items allowed [json-pointer:/blocks/0/elements]",
        ),
        (
            actions(button(style="loud")),
            "must be one of danger, primary [json-pointer:/blocks/0/elements/0/style]",
        ),
        (
            actions(button(), button()),
            "action_id 'a' already exists for block_id [json-pointer:/blocks/0/elements]",
        ),
        (
            actions({"type": "plain_text_input"}),
            "unsupported type: plain_text_input [json-pointer:/blocks/0/elements/0/type]",
        ),
        (
            {"type": "table", "rows": [[cell(0)]]},
            "must be more than 0 characters [json-pointer:/blocks/0/rows/0/0/text]",
        ),
        (
            table(column_settings=[{"align": "middle"}]),
            "must be one of center, left, right [json-pointer:/blocks/0/column_settings/0/align]",
        ),
        (
            {"type": "alert", "text": plain(3)},
            "unsupported type: alert [json-pointer:/blocks/0/type]",
        ),
        (
            {"type": "task_card", "task_id": "t", "title": "x", "status": "pending"},
            "a task_card outside a plan cannot be pending [json-pointer:/blocks/0/status]",
        ),
        (
            {
                "type": "plan",
                "title": "x",
                "tasks": [{"task_id": "t", "title": "x", "status": "ok"}],
            },
            "must be one of complete, error, in_progress, pending "
            "[json-pointer:/blocks/0/tasks/0/status]",
        ),
        (
            {"type": "data_table", "caption": "c", "rows": [[cell()], [cell(), cell()]]},
            "all rows must have the same number of cells [json-pointer:/blocks/0/rows]",
        ),
        (
            {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": ["x"]}]},
            "must be an object [json-pointer:/blocks/0/elements/0/elements/0]",
        ),
    ],
)
def test_what_is_wrong(block: Any, problem: str) -> None:
    assert problem in problems([block])


def test_across_blocks() -> None:
    same = {"type": "divider", "block_id": "b"}
    assert problems([same, same]) == ["block_id 'b' already exists [json-pointer:/blocks/1]"]
    assert problems([table(), table()]) == ["only_one_table_allowed [json-pointer:/blocks/1]"]
    half = {"type": "markdown", "text": "x" * 6001}
    assert problems([half, half]) != []
    assert problems([table()], unsupported={"table"}) != []
    assert problems([{"type": "alert", "text": plain(200)}], "modal") == []
    assert problems({"type": "divider"}) == ["must be an array [json-pointer:/blocks]"]


def test_what_the_sdk_builds_passes() -> None:
    ask = ConfirmObject(title="Sure?", text=MarkdownTextObject(text="*gone*"), confirm="Yes")
    built = [
        HeaderBlock(text="Head"),
        SectionBlock(
            text="text", accessory=ButtonElement(text="B", action_id="b", value="1", confirm=ask)
        ),
        SectionBlock(fields=["one", "two"]),
        DividerBlock(),
        ContextBlock(elements=[MarkdownTextObject(text="small")]),
        ActionsBlock(
            elements=[
                ButtonElement(text="Go", action_id="go", value="1", style="primary"),
                StaticSelectElement(
                    placeholder="which", action_id="w", options=[Option(value="a", label="A")]
                ),
            ]
        ),
        InputBlock(label="Why", element=PlainTextInputElement(action_id="why", multiline=True)),
        MarkdownBlock(text="# hi"),
    ]
    assert problems([block.to_dict() for block in built]) == []


def test_ids_are_made_up_where_left_out() -> None:
    given: list[dict[str, Any]] = [
        {"type": "section", "text": mrkdwn(1), "accessory": {"type": "button", "text": plain(1)}},
        {"type": "actions", "block_id": "mine", "elements": [button()]},
    ]
    first, second = completed(given)
    assert first["block_id"]
    assert first["accessory"]["action_id"]
    assert second == given[1]
    assert "block_id" not in given[0]
