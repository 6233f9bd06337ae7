"""What phones, word processors and Slack do to a command, and that it comes out as it was meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.typography import clean, hyphens, spoken


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("gc —dry-run", "gc --dry-run"),
        ("gc –dry-run", "gc --dry-run"),
        ("gc ––dry-run", "gc --dry-run"),
        ("gc -–dry-run", "gc --dry-run"),
        ("gc —-dry-run", "gc --dry-run"),
        ("gc ―dry-run", "gc --dry-run"),
        ("gc −dry-run", "gc --dry-run"),
        ("gc ‑‑dry‑run", "gc --dry-run"),
        ("—on corp", "--on corp"),
    ],
)
def test_a_dash_in_front_of_a_flag_is_two_hyphens(typed: str, meant: str) -> None:
    assert clean(typed) == meant


@pytest.mark.parametrize(
    "text",
    ["--reason old — unused", "--reason old – unused", "--reason 3–4 days", "--reason a — 2 b"],
)
def test_a_dash_between_words_stays_one(text: str) -> None:
    assert clean(text) == text


def test_plain_hyphens_stay_as_they_are() -> None:
    assert clean("tags a-b --limit -5 -x ---") == "tags a-b --limit -5 -x ---"


@pytest.mark.parametrize("pair", ["“”", "„“", "«»", "″″", "＂＂", '""'])
def test_double_quotes_of_every_shape(pair: str) -> None:
    assert clean(f"--reason {pair[0]}leaked key{pair[1]}") == '--reason "leaked key"'


def test_single_quotes_and_apostrophes() -> None:
    assert clean("--reason ‘it’s old’") == "--reason 'it's old'"


def test_backticks_go() -> None:
    assert clean("inspect `team/api:1.0`") == "inspect team/api:1.0"
    assert clean("```tags team/api```") == "tags team/api"


@pytest.mark.parametrize("space", ["\u00a0", "\u202f", "\u3000", "\u2009", "\t", "\n", "\u2028"])
def test_every_space_separates_words(space: str) -> None:
    assert clean(f"tags{space}team/api{space}") == "tags team/api"


@pytest.mark.parametrize(
    "hidden", ["\u200b", "\u200d", "\ufeff", "\u00ad", "\u202e", "\u2066", "\x00", "\x1b", "\ud800"]
)
def test_what_cannot_be_seen_is_not_there(hidden: str) -> None:
    assert clean(f"{hidden}ta{hidden}gs team/{hidden}api{hidden}") == "tags team/api"


@pytest.mark.parametrize(
    ("sent", "typed"),
    [
        ("<http://team.io|team.io>/api", "team.io/api"),
        ("<https://team.io/api:1|team.io/api:1>", "team.io/api:1"),
        ("<http://corp:5000/team/api>", "corp:5000/team/api"),
        ("<mailto:team/api@sha256.io|team/api@sha256.io>", "team/api@sha256.io"),
        ("<tel:42|42>", "42"),
        ("tags <http://a.io|a.io> <http://b.io|b.io>", "tags a.io b.io"),
        ("<http://a.io/?x=1&amp;y=2|a.io/?x=1&amp;y=2>", "a.io/?x=1&y=2"),
    ],
)
def test_a_link_that_slack_made_is_what_was_typed(sent: str, typed: str) -> None:
    assert clean(sent) == typed


def test_entities() -> None:
    assert clean("--reason a &amp; b &lt;c&gt;") == "--reason a & b <c>"


def test_an_entity_that_was_typed_stays() -> None:
    assert clean("&amp;lt;") == "&lt;"


def test_something_that_only_looks_like_a_link_is_text() -> None:
    assert clean("&lt;http://a.io|b&gt;") == "<http://a.io|b>"


def test_long_dashes_in_names_are_two_hyphens() -> None:
    assert hyphens("team/a—b:1–rc") == "team/a--b:1--rc"
    assert hyphens("team/a-b") == "team/a-b"


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("asked by <@U123|ann>", "asked by @ann"),
        ("asked by <@U123>", "asked by @U123"),
        ("see <#C123|ops>", "see #ops"),
        ("<!subteam^S1|@oncall> knows", "@oncall knows"),
        ("<!here>", "@here"),
        ("a < b > c", "a < b > c"),
    ],
)
def test_mentions_in_free_text_are_names(sent: str, read: str) -> None:
    assert spoken(sent) == read


@given(st.text())
def test_a_cleaned_line_is_one_line_without_hidden_characters(text: str) -> None:
    line = clean(text)
    assert line == line.strip()
    assert not set(line) & set("`\t\r\n\u00a0\u200b\u2028\x00\x7f“”’")


@given(st.text(alphabet=st.sampled_from("abcXYZ019:/.-_@* ")))
def test_a_plain_line_stays_as_it_is(text: str) -> None:
    assert clean(text) == text.strip()
