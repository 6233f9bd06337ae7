"""At each of Slack's limits all is well; one step beyond, the check says so."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from slack_sdk.models.blocks import ActionsBlock, HeaderBlock, MarkdownBlock, SectionBlock

from bot.slack.limits import code, cut, escape, literal, plain, problems, problems_of_view

Thing = dict[str, Any]


def mrkdwn(text: str = "x") -> Thing:
    return {"type": "mrkdwn", "text": text}


def words(text: str = "x") -> Thing:
    return {"type": "plain_text", "text": text}


def section(text: str = "x", **more: Any) -> Thing:
    return {"type": "section", "text": mrkdwn(text), **more}


def button(**more: Any) -> Thing:
    return {"type": "button", "text": words(), "action_id": "approve", **more}


def actions(*elements: Thing, **more: Any) -> Thing:
    return {"type": "actions", "elements": list(elements), **more}


def numbered(count: int) -> list[Thing]:
    return [button(action_id=f"b{n}") for n in range(count)]


def confirm(**more: Any) -> Thing:
    parts = {"title": words(), "text": mrkdwn(), "confirm": words(), "deny": words()}
    return button(confirm={**parts, **more})


def options(count: int, **more: Any) -> list[Thing]:
    return [{"text": words(), "value": f"v{n}", **more} for n in range(count)]


def menu(kind: str = "static_select", **more: Any) -> Thing:
    return {"type": kind, "action_id": "pick", **more}


def table(rows: int = 2, columns: int = 2, text: str = "x", **more: Any) -> Thing:
    cells = [[{"type": "raw_text", "text": text}] * columns] * rows
    return {"type": "table", "rows": cells, **more}


def data_table(rows: int = 2, text: str = "x", **more: Any) -> Thing:
    return {**table(rows, 1, text), "type": "data_table", "caption": "tags", **more}


def rich(text: str = "x") -> Thing:
    leaf = {"type": "text", "text": text}
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [leaf]}]}


def chart(parts: int = 1, label: str = "x", title: str = "x", kind: str = "pie") -> Thing:
    name = "segments" if kind == "pie" else "series"
    drawn = {"type": kind, name: [{"label": label, "value": 1}] * parts}
    return {"type": "data_visualization", "title": title, "chart": drawn}


def task(**more: Any) -> Thing:
    return {"task_id": "t1", "title": "Dry run", "status": "in_progress", **more}


def plan(*tasks: Thing, **more: Any) -> Thing:
    return {"type": "plan", "title": "GC", "tasks": list(tasks), **more}


def found(*blocks: Any, text: Any = "something") -> list[str]:
    """The problems of a message with these blocks."""
    return problems({"text": text, "blocks": list(blocks)})


def field(count: int, text: str = "x") -> Thing:
    return {"type": "section", "fields": [mrkdwn(text)] * count}


def image(**more: Any) -> Thing:
    return {"type": "image", "image_url": "https://a.example/i.png", "alt_text": "x", **more}


def ask(element: Thing | None = None, **more: Any) -> Thing:
    typed = {"type": "plain_text_input", "action_id": "reason"}
    return {"type": "input", "label": words(), "element": element or typed, **more}


def card(**more: Any) -> Thing:
    return {"type": "card", "title": mrkdwn(), **more}


def container(count: int, **more: Any) -> Thing:
    return {"type": "container", "title": words(), "child_blocks": [section()] * count, **more}


# What is counted, a block with so many of it, the largest allowed, words of the problem.
BLOCKS: dict[str, tuple[Callable[[int], Thing], int, str]] = {
    "section text": (lambda n: section("x" * n), 3000, "text has"),
    "section fields": (field, 10, "fields"),
    "field": (lambda n: field(1, "x" * n), 2000, "field has"),
    "header": (lambda n: {"type": "header", "text": words("x" * n)}, 150, "text has"),
    "block_id": (lambda n: section(block_id="x" * n), 255, "block_id has"),
    "context elements": (
        lambda n: {"type": "context", "elements": [mrkdwn()] * n},
        10,
        "elements",
    ),
    "context text": (
        lambda n: {"type": "context", "elements": [mrkdwn("x" * n)]},
        2000,
        "element has",
    ),
    "actions": (lambda n: actions(*numbered(n)), 25, "elements"),
    "button text": (lambda n: actions(button(text=words("x" * n))), 75, "button text"),
    "button value": (lambda n: actions(button(value="x" * n)), 2000, "button value"),
    "button url": (
        lambda n: actions(button(url="https://a.example/".ljust(n, "x"))),
        3000,
        "url has",
    ),
    "action_id": (lambda n: actions(button(action_id="x" * n)), 255, "action_id has"),
    "confirm title": (lambda n: actions(confirm(title=words("x" * n))), 100, "confirm title"),
    "confirm text": (lambda n: actions(confirm(text=mrkdwn("x" * n))), 300, "confirm text"),
    "confirm button": (lambda n: actions(confirm(confirm=words("x" * n))), 30, "confirm button"),
    "deny button": (lambda n: actions(confirm(deny=words("x" * n))), 30, "deny button"),
    "select options": (lambda n: actions(menu(options=options(n))), 100, "options"),
    "option text": (
        lambda n: actions(menu(options=options(1, text=words("x" * n)))),
        75,
        "option text",
    ),
    "option value": (
        lambda n: actions(menu(options=options(1, value="x" * n))),
        150,
        "option value",
    ),
    "option description": (
        lambda n: actions(menu(options=options(1, description=words("x" * n)))),
        75,
        "option description",
    ),
    "option groups": (
        lambda n: actions(menu(option_groups=[{"label": words(), "options": options(1)}] * n)),
        100,
        "option groups",
    ),
    "group label": (
        lambda n: actions(menu(option_groups=[{"label": words("x" * n), "options": options(1)}])),
        75,
        "group label",
    ),
    "placeholder": (
        lambda n: actions(menu("external_select", placeholder=words("x" * n))),
        150,
        "placeholder",
    ),
    "overflow": (lambda n: actions(menu("overflow", options=options(n))), 5, "options"),
    "checkboxes": (lambda n: actions(menu("checkboxes", options=options(n))), 10, "options"),
    "radio buttons": (lambda n: actions(menu("radio_buttons", options=options(n))), 10, "options"),
    "accessory": (lambda n: section(accessory=button(value="x" * n)), 2000, "button value"),
    "image alt_text": (lambda n: image(alt_text="x" * n), 2000, "alt_text"),
    "image title": (lambda n: image(title=words("x" * n)), 2000, "title"),
    "input label": (lambda n: ask(label=words("x" * n)), 2000, "label"),
    "input hint": (lambda n: ask(hint=words("x" * n)), 2000, "hint"),
    "typed": (
        lambda n: ask({"type": "plain_text_input", "action_id": "a", "initial_value": "x" * n}),
        3000,
        "initial_value",
    ),
    "typed at most": (
        lambda n: ask({"type": "plain_text_input", "action_id": "a", "max_length": n}),
        3000,
        "max_length",
    ),
    "table rows": (lambda n: table(rows=n), 100, "rows"),
    "table columns": (lambda n: table(columns=n), 20, "columns"),
    "table characters": (lambda n: table(1, 1, "x" * n), 10_000, "characters in the table"),
    "data_table rows": (lambda n: data_table(rows=n), 101, "rows"),
    "data_table characters": (
        lambda n: data_table(text="x" * (n // 2)),
        20_001,
        "characters in the table",
    ),
    "page_size": (lambda n: data_table(page_size=n), 100, "page_size"),
    "segments": (chart, 6, "segments"),
    "series": (lambda n: chart(n, kind="bar"), 6, "series"),
    "chart label": (lambda n: chart(label="x" * n), 20, "label"),
    "chart title": (lambda n: chart(title="x" * n), 50, "title"),
    "plan tasks": (lambda n: plan(*[task(task_id=f"t{i}") for i in range(n)]), 50, "tasks"),
    "card title": (lambda n: card(title=mrkdwn("x" * n)), 150, "title"),
    "card subtitle": (lambda n: card(subtitle=mrkdwn("x" * n)), 150, "subtitle"),
    "card body": (lambda n: card(body=mrkdwn("x" * n)), 200, "body"),
    "card actions": (lambda n: card(actions=numbered(n)), 3, "elements"),
    "container": (container, 10, "child blocks"),
    "container title": (lambda n: container(1, title=words("x" * n)), 150, "title"),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_limits_of_blocks(name: str) -> None:
    make, limit, told = BLOCKS[name]
    assert found(make(limit)) == []
    beyond = found(make(limit + 1))
    assert beyond
    assert all(told in problem for problem in beyond)
    assert beyond[0].startswith("block 0 (")


# What Slack requires, refuses when empty, or does not know.
WRONG: dict[str, tuple[Any, str]] = {
    "no object": ("text", "not an object"),
    "no type": ({}, "unknown type None"),
    "unknown": ({"type": "video"}, "unknown type 'video'"),
    "a list as type": ({"type": []}, "unknown type []"),
    "empty section": ({"type": "section"}, "text is missing"),
    "section with an empty text": (section(""), "text is empty"),
    "section with spaces": (section("  "), "text is empty"),
    "section with a string": ({"type": "section", "text": "x"}, "not a text object"),
    "text of a number": ({"type": "section", "text": {"type": "mrkdwn", "text": 5}}, "no string"),
    "empty field": ({"type": "section", "fields": [mrkdwn("")]}, "field is empty"),
    "empty header": ({"type": "header", "text": words("")}, "text is empty"),
    "header in mrkdwn": ({"type": "header", "text": mrkdwn()}, "must be plain_text"),
    "header without text": ({"type": "header"}, "text is missing"),
    "empty context": ({"type": "context", "elements": []}, "0 elements"),
    "context of buttons": ({"type": "context", "elements": [button()]}, "not a text object"),
    "empty actions": (actions(), "0 elements"),
    "actions without elements": ({"type": "actions"}, "0 elements"),
    "action_id twice": (actions(button(), button()), "action_id approve is used twice"),
    "no action_id": (actions({"type": "button", "text": words()}), "action_id is missing"),
    "empty action_id": (actions(button(action_id="")), "action_id is empty"),
    "button in mrkdwn": (actions(button(text=mrkdwn())), "must be plain_text"),
    "empty button": (actions(button(text=words(""))), "button text is empty"),
    "button style": (actions(button(style="default")), "button style"),
    "value of a number": (actions(button(value=5)), "button value is not a string"),
    "script as url": (actions(button(url="javascript:x")), "not a web address"),
    "confirm without title": (actions(confirm(title=None)), "confirm title is missing"),
    "confirm in words": (actions(button(confirm="sure?")), "confirm is not an object"),
    "confirm with an empty text": (actions(confirm(text=mrkdwn(""))), "confirm text is empty"),
    "unknown element": (actions(menu("slider")), "type 'slider' cannot stand here"),
    "input among actions": (actions(menu("plain_text_input")), "cannot stand here"),
    "element is a string": (actions("approve"), "not an object"),  # type: ignore[arg-type]
    "menu without options": (actions(menu()), "options or option_groups"),
    "menu with no options": (actions(menu(options=[])), "0 options"),
    "option without value": (actions(menu(options=[{"text": words()}])), "value is missing"),
    "option in mrkdwn": (
        actions(menu(options=options(1, text=mrkdwn()))),
        "option text must be plain_text",
    ),
    "input without label": (ask(label=None), "label is missing"),
    "input without element": ({"type": "input", "label": words()}, "not an object"),
    "input with a button": (ask(button()), "cannot stand here"),
    "image without alt_text": (image(alt_text=None), "alt_text is missing"),
    "image without an address": (image(image_url=None), "image_url or a slack_file"),
    "empty markdown": ({"type": "markdown", "text": ""}, "text is empty"),
    "no rows": (table(rows=0), "0 rows"),
    "no columns": (table(columns=0), "columns"),
    "empty cell": (table(text=""), "a cell is empty"),
    "cell of an unknown type": ({"type": "table", "rows": [[{"type": "text"}]]}, "unknown"),
    "cell in words": ({"type": "table", "rows": [["x"]]}, "unknown"),
    "number without one": ({"type": "table", "rows": [[{"type": "raw_number"}]]}, "has none"),
    "uneven rows": (
        {"type": "table", "rows": [table()["rows"][0], table(columns=1)["rows"][0]]},
        "rows of different lengths",
    ),
    "alignment": (table(column_settings=[{"align": "top"}]), "align is none of"),
    "too many column settings": (table(column_settings=[{}] * 21), "column settings"),
    "data_table without rows": (data_table(rows=1), "1 rows"),
    "data_table without caption": (data_table(caption=None), "caption is missing"),
    "chart without chart": ({"type": "data_visualization", "title": "x"}, "chart is missing"),
    "chart of no kind": (chart(kind="radar"), "chart's type"),
    "chart without segments": (chart(parts=0), "0 segments"),
    "plan without title": (plan(title=None), "title is missing"),
    "completed task": (plan(task(status="completed")), "status is none of"),
    "task without status": (plan(task(status=None)), "status is none of"),
    "task without id": (plan(task(task_id="")), "task_id is empty"),
    "task in words": (plan("dry run"), "task_id is missing"),  # type: ignore[arg-type]
    "task with wrong details": (plan(task(details="text")), "rich_text has no elements"),
    "pending task_card": ({"type": "task_card", **task(status="pending")}, "cannot be pending"),
    "alert in a message": ({"type": "alert", "text": words()}, "cannot stand in a message"),
    "empty rich_text": ({"type": "rich_text", "elements": []}, "no elements"),
    "empty text in rich_text": (rich(""), "text in rich_text is empty"),
    "unknown rich_text": ({"type": "rich_text", "elements": [{"type": "x"}]}, "unknown"),
    "leaf without type": (
        {"type": "rich_text", "elements": [{"type": "rich_text_quote", "elements": [{}]}]},
        "has no type",
    ),
    "list of texts": (
        {
            "type": "rich_text",
            "elements": [{"type": "rich_text_list", "elements": [{"type": "text", "text": "x"}]}],
        },
        "sections only",
    ),
    "empty card": ({"type": "card"}, "a card needs"),
    "card with a menu": (card(actions=[menu("overflow", options=options(1))]), "cannot stand"),
    "empty container": (container(0), "0 child blocks"),
    "container without title": (container(1, title=None), "title is missing"),
    "table in a container": (container(1, child_blocks=[table()]), "cannot stand in a container"),
    "wrong block in a container": (container(1, child_blocks=[section("")]), "text is empty"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_blocks(name: str) -> None:
    block, told = WRONG[name]
    told = told.replace("no string", "is not a string")
    assert any(told in problem for problem in found(section(), block))
    assert all(problem.startswith("block 1 (") for problem in found(section(), block))


GOOD = {
    "divider": {"type": "divider"},
    "fields alone": {"type": "section", "fields": [mrkdwn(), words()]},
    "empty value": actions(button(value="")),
    "styles": actions(button(style="primary"), button(style="danger", action_id="b")),
    "confirm": actions(confirm(style="danger")),
    "context with an image": {"type": "context", "elements": [image(), mrkdwn()]},
    "image as accessory": section(accessory=image()),
    "multi select as accessory": section(accessory=menu("multi_static_select", options=options(2))),
    "cells": {
        "type": "table",
        "rows": [
            [{"type": "raw_text", "text": "x"}, {"type": "raw_number", "value": 5}, rich()],
        ],
        "column_settings": [{"align": "right"}, {"is_wrapped": True}, None],
    },
    "same action_id in two blocks": actions(button()),
    "plan": plan(task(details=rich(), output=rich()), task(task_id="b", status="complete")),
    "plan about to start": plan(),
    "task_card": {"type": "task_card", **task()},
    "list": {
        "type": "rich_text",
        "elements": [
            {"type": "rich_text_list", "elements": rich()["elements"]},
            {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "x"}]},
        ],
    },
    "container with a rich title": container(1, title=None, rich_text_title=rich()),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_well(name: str) -> None:
    assert found(actions(button()), GOOD[name]) == []


def test_blocks_of_a_message() -> None:
    assert found(*[section()] * 50) == []
    assert found(*[section()] * 51) == ["51 blocks, allowed are 50"]
    assert problems({"text": "x"}) == []
    assert problems({"text": "x", "blocks": "[]"}) == ["blocks is not a list"]


def test_block_ids_are_unique() -> None:
    assert found(section(block_id="a"), section(block_id="b"), section(), section()) == []
    twice = found(section(block_id="a"), section(block_id="a"))
    assert twice == ["block_id a is used twice"]


def test_one_table() -> None:
    assert found(table()) == []
    assert found(table(), table()) == ["2 tables, allowed is 1 in a message"]
    assert found(table(), data_table()) == ["2 tables, allowed is 1 in a message"]


def test_two_charts() -> None:
    assert found(chart(), chart()) == []
    assert found(chart(), chart(), chart()) == ["3 charts, allowed are 2 in a message"]


def test_markdown_counts_together() -> None:
    assert found({"type": "markdown", "text": "x" * 12_000}) == []
    assert "text has 12001" in " ".join(found({"type": "markdown", "text": "x" * 12_001}))
    block = {"type": "markdown", "text": "x" * 6000}
    assert found(block, block) == []
    assert "12001 characters in markdown" in found(block, {**block, "text": "x" * 6001})[0]


@pytest.mark.parametrize("text", [None, "", "  \n", 5])
def test_a_message_has_a_text(text: Any) -> None:
    assert "needs a text" in found(section(), text=text)[0]


def test_the_text_of_a_message() -> None:
    assert found(text="x" * 4000) == []
    assert found(text="x" * 4001) == ["text has 4001 characters, advised are 4000"]
    assert found(text="x" * 40_000) == ["text has 40000 characters, advised are 4000"]
    assert found(text="x" * 40_001) == ["text has 40001 characters, Slack cuts it at 40000"]


def test_every_problem_is_told() -> None:
    told = found(section(""), {"type": "header", "text": words("x" * 151)}, text="")
    assert len(told) == 3


def modal(*blocks: Thing, **more: Any) -> Thing:
    shown = list(blocks) or [section()]
    return {"type": "modal", "title": words(), "blocks": shown, **more}


def test_a_modal_that_is_well() -> None:
    view = modal(
        section(),
        {"type": "alert", "text": words(), "level": "warning"},
        ask(),
        submit=words("Delete"),
        close=words("Go back"),
        private_metadata="",
        callback_id="reason",
    )
    assert problems_of_view(view) == []
    assert problems_of_view({"type": "home", "blocks": [table()]}) == []


VIEWS: dict[str, tuple[Callable[[int], Thing], int, str]] = {
    "title": (lambda n: modal(title=words("x" * n)), 24, "title has"),
    "submit": (lambda n: modal(submit=words("x" * n)), 24, "submit has"),
    "close": (lambda n: modal(close=words("x" * n)), 24, "close has"),
    "blocks": (lambda n: modal(*[section()] * n), 100, "blocks, allowed are 1 to 100"),
    "home blocks": (lambda n: {"type": "home", "blocks": [section()] * n}, 100, "blocks, allowed"),
    "private_metadata": (lambda n: modal(private_metadata="x" * n), 3000, "private_metadata has"),
    "callback_id": (lambda n: modal(callback_id="x" * n), 255, "callback_id has"),
    "external_id": (lambda n: modal(external_id="x" * n), 255, "external_id has"),
    "alert": (lambda n: modal({"type": "alert", "text": words("x" * n)}), 200, "text has"),
    "section": (lambda n: modal(section("x" * n)), 3000, "text has"),
}


@pytest.mark.parametrize("name", VIEWS)
def test_limits_of_views(name: str) -> None:
    make, limit, told = VIEWS[name]
    assert problems_of_view(make(limit)) == []
    beyond = problems_of_view(make(limit + 1))
    assert len(beyond) == 1
    assert told in beyond[0]


@pytest.mark.parametrize(
    ("view", "told"),
    [
        ({}, "a view is a modal or home"),
        ({"type": []}, "a view is a modal or home"),
        ({"type": "modal", "blocks": [section()]}, "title is missing"),
        (modal(title=mrkdwn()), "title must be plain_text"),
        (modal(ask()), "needs a submit button"),
        ({"type": "modal", "title": words()}, "0 blocks"),
        (modal(table()), "table cannot stand in a modal"),
        (modal(plan()), "plan cannot stand in a modal"),
        (modal({"type": "markdown", "text": "x"}), "markdown cannot stand in a modal"),
        (modal({"type": "alert", "text": words(), "level": "fatal"}), "level is none of"),
        (modal(section(block_id="a"), section(block_id="a")), "block_id a is used twice"),
    ],
)
def test_what_is_wrong_with_views(view: Thing, told: str) -> None:
    assert told in " ".join(problems_of_view(view))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [*("type", "text", "blocks", "elements", "fields", "rows", "tasks", "options")]
            ),
            inner
            | st.sampled_from(
                ["section", "actions", "table", "plan", "rich_text", "context", "modal"]
            ),
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["text", "blocks", "type", "title"]), JSON))
def test_no_message_and_no_view_makes_the_check_fail(thing: Thing) -> None:
    assert all(isinstance(problem, str) for problem in problems(thing))
    assert all(isinstance(problem, str) for problem in problems_of_view(thing))


def test_the_numbers_are_those_of_slack_sdk() -> None:
    assert BLOCKS["section text"][1] == SectionBlock.text_max_length
    assert BLOCKS["section fields"][1] == SectionBlock.fields_max_length
    assert BLOCKS["header"][1] == HeaderBlock.text_max_length
    assert BLOCKS["actions"][1] == ActionsBlock.elements_max_length
    assert found({"type": "markdown", "text": "x" * MarkdownBlock.text_max_length}) == []
    assert found({"type": "markdown", "text": "x" * (MarkdownBlock.text_max_length + 1)})


def test_escape() -> None:
    assert escape("<!channel> & <@U1>") == "&lt;!channel&gt; &amp; &lt;@U1&gt;"
    assert escape("&lt;") == "&amp;lt;"
    assert escape("a\nb\tc") == "a\nb\tc"
    assert escape("a\x00\x1b\u202e\u200b\ud800b") == "ab"


@given(st.text())
def test_nothing_escaped_is_alive(text: str) -> None:
    shown = escape(text)
    assert not set(shown) & set("<>")
    assert not re.search(r"&(?!amp;|lt;|gt;)", shown)
    shown.encode()


def test_code() -> None:
    assert code("team/api:1.0") == "`team/api:1.0`"
    assert code("a`b`\nc  d") == "`a'b' c d`"
    assert code("<!channel>") == "`&lt;!channel&gt;`"
    assert code("") == code(" \n") == code("\x00") == code("\u200b ") == "`–`"
    assert code("x" * 300) == f"`{'x' * 300}`"
    assert code("x" * 301) == f"`{'x' * 299}…`"
    assert code("&" * 9, limit=5) == "`&amp;&amp;&amp;&amp;…`"
    assert code("a<b" + "c" * 10, limit=8) == "`a&lt;bcccc…`"


@given(st.text(), st.integers(1, 50))
def test_code_is_one_closed_span(text: str, limit: int) -> None:
    shown = code(text, limit)
    inner = shown[1:-1]
    assert shown[0] == shown[-1] == "`"
    assert inner.strip()
    assert not set(inner) & set("`\n<>")
    assert len(re.sub(r"&(amp|lt|gt);", "&", inner)) <= limit


def test_plain() -> None:
    assert plain("<b> & `c`\n") == "<b> & `c`\n"
    assert plain("a\x00b") == "ab"
    assert plain("abcdef", 4) == "abc…"
    assert plain("a<bcdef", 4) == "a<b…"
    assert plain("x" * 3001) == "x" * 2999 + "…"


@pytest.mark.parametrize(
    ("text", "limit", "kept"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("abcd", 1, "…"),
        ("abcd", 0, ""),
        ("a &amp; b", 6, "a …"),
        ("a &amp; b", 8, "a &amp;…"),
        ("see <https://a.example|b> c", 12, "see …"),
        ("hi <@U12345> there", 13, "hi <@U12345>…"),
        ("`abcdef` g", 6, "`abc…`"),
        ("`ab` cdef", 7, "`ab` c…"),
        ("```abcdefgh``` i", 11, "```abcd…```"),
        ("```abcdefgh```", 13, "```abcdef…```"),
        ("ab ```cdef``` g", 6, "ab …"),
        ("```a``` bcdef", 10, "```a``` b…"),
    ],
)
def test_cut(text: str, limit: int, kept: str) -> None:
    assert cut(text, limit) == kept


MARKUP = st.lists(
    st.sampled_from(
        ["word ", "&amp;", "&lt;", "`code`", "```two\nlines```", "<@U123>", "<!date^1^{t}|x>", "\n"]
    )
).map(" ".join)


@given(MARKUP, st.integers(1, 60))
@example("```ab``` ```ab``` ```ab```", 14)
@example("`a` `b`", 6)
def test_what_is_cut_is_as_short_as_asked_and_in_one_piece(text: str, limit: int) -> None:
    kept = cut(text, limit)
    assert len(kept) <= limit
    assert kept == text or "…" in kept
    fences = kept.count("```")
    assert fences % 2 == 0
    assert re.sub(r"```.*?```", "", kept, flags=re.DOTALL).count("`") % 2 == 0
    assert not re.search(r"&(?!amp;|lt;)", kept)
    assert kept.count("<") == kept.count(">")


@given(st.text(), st.integers(0, 30))
def test_nothing_is_longer_than_asked(text: str, limit: int) -> None:
    assert len(cut(text, limit)) <= limit
    assert len(plain(text, limit)) <= limit


def test_problems_are_sentences_that_can_be_logged() -> None:
    assert json.dumps(found({"type": ["x"]}, section("")))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain words, my_repo and a-b", "plain words, my_repo and a-b"),
        ("old *bold* one", "old `*bold*` one"),
        ("*very bold*", "`*very` `bold*`"),
        ("_x_ ~y~ :tada: team/api:pr-*", "`_x_` `~y~` `:tada:` `team/api:pr-*`"),
        ("<!channel> & <@U1>", "&lt;!channel&gt; &amp; &lt;@U1&gt;"),
    ],
)
def test_prose_from_outside_is_never_formatted(text: str, shown: str) -> None:
    assert literal(text) == shown
