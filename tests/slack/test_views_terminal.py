"""What a terminal shows of a message: the same words, and nothing that could steer it."""

import re

import pytest

from bot.rules.approval import State
from bot.slack.limits import plain
from bot.slack.views import blocks, notices
from bot.slack.views.mrkdwn import to_text
from bot.slack.views.request import request
from bot.slack.views.terminal import render, width
from tests.support.shown import ANN, BOB, HOSTILE, STATES, made, texts

ESCAPE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


@pytest.mark.parametrize(
    ("mrkdwn", "text"),
    [
        ("plain words", "plain words"),
        ("*R42* is done", "R42 is done"),
        ("2 * 3 * 4", "2 * 3 * 4"),
        ("`team/*` and `a*b`", "team/* and a*b"),
        ("a &lt;b&gt; &amp;amp; c", "a <b> &amp; c"),
        ("`a &amp; b`", "a & b"),
        ("<@U0BOB> in <#C0OPS>", "@U0BOB in #C0OPS"),
        ("<#C0OPS|ops> <!subteam^S0ONCALL|@oncall>", "#ops @oncall"),
        ("<!subteam^S0ONCALL> <!here>", "@subteam @here"),
        ("`local:ann` asked", "local:ann asked"),
        (
            "until <!date^1750000000^{date_short_pretty} {time}|2025-06-15 15:06 UTC>",
            "until 2025-06-15 15:06 UTC",
        ),
        ("<https://x.example/a?b&amp;c|see>", "see (https://x.example/a?b&c)"),
        ("<https://x.example>", "https://x.example"),
        (":white_check_mark: done", "✔ done"),
        (":gear: running", "running"),
        ("at 12:30:45 and :unknown: too", "at 12:30:45 and :unknown: too"),
        ("```a\nb```", "a\nb"),
        ("Type:\n```\ndocker pull x\n```", "Type:\ndocker pull x"),
        ("before ```x``` after", "before \nx\n after"),
        ("`/registry show R42`", 'registry-bot run "show R42"'),
        ("`/registry`", 'registry-bot run "help"'),
        ('`/registry deny R42 --reason "…"`', """registry-bot run 'deny R42 --reason "…"'"""),
        ("`/registryctl`", "/registryctl"),
        ("an open ` stays", "an open ` stays"),
        ("", ""),
    ],
)
def test_mrkdwn_read_back(mrkdwn: str, text: str) -> None:
    assert to_text(mrkdwn) == text


def test_bold_is_told_to_a_terminal_only() -> None:
    assert to_text("*R42* `*a*`", bold=True) == "\x1b[1mR42\x1b[0m *a*"


@pytest.mark.parametrize(
    "hostile", ["\x1b[31mred", "a\x9bb", "a\u202egnp.exe", "a\rb", "\x1b]0;t\x07"]
)
@pytest.mark.parametrize("bold", [False, True])
def test_nothing_steers_the_terminal(hostile: str, bold: bool) -> None:
    shown = {
        "text": hostile,
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": hostile}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": f"`{hostile}`"}]},
            {"type": "header", "text": {"type": "plain_text", "text": hostile}},
            {
                "type": "table",
                "rows": [[{"type": "raw_text", "text": hostile}]] * 2,
            },
        ],
    }
    text = render(shown, bold=bold).replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert not ESCAPE.search(text)
    assert not ESCAPE.search(render({"text": hostile}))


def test_an_escape_that_entities_hide_is_no_escape() -> None:
    assert to_text("&amp;lt;") == "&lt;", "decoded once"
    assert "\x1b" not in to_text("&#27;[31m")


def test_tables_are_padded_by_what_is_seen() -> None:
    shown = blocks.message(
        "three",
        [
            blocks.table(
                ["Tag", "Size", "Note"],
                [["v1", "12.0 MB", "é́"], ["日本", "9 B", "wide"], ["", "–", "last"]],
                right=[1],
            )
        ],
    )
    lines = render(shown).strip("\n").splitlines()
    assert lines == [
        "Tag      Size  Note",
        "----  -------  ----",
        "v1    12.0 MB  é́",
        "日本      9 B  wide",
        "–           –  last",
    ]


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("", 0)])
def test_width(text: str, columns: int) -> None:
    assert width(text) == columns


@pytest.mark.parametrize("action", ["delete", "purge", "undo", "gc", "purge request"])
@pytest.mark.parametrize("state", STATES)
def test_every_request_is_shown_without_markup(action: str, state: State) -> None:
    text = render(request(made(action, state)))
    assert "R42" in text
    assert ANN in text
    assert not re.search(r"<[@#!]|&(amp|lt|gt);|`|:[a-z]+_[a-z_]+:", text), text


def test_a_pending_request_says_all_but_its_buttons() -> None:
    text = render(request(made("delete")))
    for part in ("team/api:v1", f"@{BOB}", "Needs 1 approval", "Rule default"):
        assert part in text
    assert "Approve\n" not in text


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_came_from_outside_is_shown_as_it_was_written(hostile: str) -> None:
    shown = blocks.message("x", [blocks.section(blocks.words(hostile))])
    assert render(shown) == plain(" ".join(hostile.replace("`", "'").split()), 500)


def test_a_block_that_is_unknown_here_gives_the_text() -> None:
    strange = {"text": "*All* of it", "blocks": [{"type": "data_visualization"}]}
    assert render(strange) == "All of it"


def test_refusals_name_the_command_for_this_host() -> None:
    text = render(notices.refusal("R42 is pending.", "`/registry show R42` tells."))
    assert text == '✘ R42 is pending.\nregistry-bot run "show R42" tells.'


def test_every_section_of_a_message_is_there() -> None:
    shown = request(made("gc", State.RUNNING))
    text = render(shown)
    for kind, part in texts(shown):
        if kind == "mrkdwn":
            assert to_text(part).strip() in text
