"""Which next steps an answer offers as buttons: whole commands, and corrected ones."""

import pytest

from bot.operations.errors import Refusal
from bot.slack.commands import parse
from bot.slack.steps import after, corrected, is_whole, named
from bot.slack.verbs import VERBS
from bot.slack.views import notices
from bot.slack.words import CommandError
from tests.support.shown import HOSTILE, check


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        ("`/registry requests` lists them.", ["requests"]),
        (
            "`/registry show R7` tells; `/registry requests --all` too.",
            ["show R7", "requests --all"],
        ),
        ('`/registry deny R7 --reason "…"` denies it.', []),
        ("`/registry inspect team/api:TAG` is next.", []),
        ("Type `/registry VERB …`; `/registry help` lists all verbs.", ["help"]),
        ("Type `/registry tags REPO [--match GLOB]`.", []),
        ("Type for example `/registry delete team/api:1.4.0`", []),
        ("`/registry nonsense` is none.", []),
        ("`registry-bot check` on the host.", []),
        ("/registry requests without code", []),
        ("`/registry `", []),
    ],
)
def test_commands_that_a_hint_names(hint: str, expected: list[str]) -> None:
    assert named(hint) == expected


def test_no_verbs_usage_is_taken_for_a_step() -> None:
    for verb in VERBS.values():
        if verb.takes or verb.flags:
            assert named(f"Type `{verb.usage}`") == []
        assert named(f"Type `{verb.usage}`, for example `{verb.example}`") in ([], [verb.name])


def test_the_registry_that_was_named_stays_named() -> None:
    hint = "`/registry tags team/api` lists all."
    assert named(hint, "delete team/api:1 --on corp") == ["tags team/api --on corp"]
    assert named(hint, "delete team/api:1") == ["tags team/api"]
    assert named("`/registry status --on lab`", "tags x --on corp") == ["status --on lab"]


@pytest.mark.parametrize(
    ("typed", "wrong", "right", "expected"),
    [
        ("delet team/api:1", "delet", "delete", ["delete team/api:1"]),
        ("/registry delet team/api:1", "delet", "delete", ["delete team/api:1"]),
        ("tags team/apo", "team/apo", "team/api", ["tags team/api"]),
        ("delete team/apo:1 team/apo:2", "team/apo", "team/api", ["delete team/api:1 team/api:2"]),
        (
            "delete team/apo-x:1 team/apo:2",
            "team/apo",
            "team/api",
            ["delete team/apo-x:1 team/api:2"],
        ),
        ("delete team/api:1.O", "team/api:1.O", "1.0", ["delete team/api:1.0"]),
        ("delete team/api", "team/api", "team/api:1", ["delete team/api:1"]),
        ("tags team/api --match 1.O", "1.O", "1.0", ["tags team/api --match 1.0"]),
        ("tags team/api --match=1.O", "1.O", "1.0", ["tags team/api --match=1.0"]),
        ("gc —dry-rum", "--dry-rum", "--dry-run", ["gc --dry-run"]),
        ("gc dry-run", "dry-run", "--dry-run", ["gc --dry-run"]),
        ("repos --sort nam", "nam", "name", ["repos --sort name"]),
        ("repos", "", "--on corp", ["repos --on corp"]),
        ('delete a/b:1 --reason "not a/c"', "a/c", "a/d", []),
        ("tags team/apo", "team/web", "team/api", []),
        ("tags team/apo", None, "team/api", []),
        ('tags "team', "team", "team/api", []),
        ("tags", "tags", "delete", []),
        ("inspect a:1.x", "a:1.x", "…", []),
    ],
)
def test_correcting(typed: str, wrong: str | None, right: str, expected: list[str]) -> None:
    assert corrected(typed, wrong, [right]) == expected


MISTAKES = [
    ("delet team/api:1", ["delete team/api:1", "help"]),
    ("gc —dry-rum", ["gc --dry-run"]),
    ("gc -dry-run", ["gc --dry-run"]),
    ("gc dry-run", ["gc --dry-run"]),
    ("repos --sort sizes", ["repos --sort size"]),
    ("inspect R7", ["show R7"]),
    ("inspect team/api:1.*", ["tags team/api --match 1.*"]),
    ("tags team/api:1", ["tags team/api", "inspect team/api:1"]),
    ("delete", []),
    ("purge", []),
    ("approve", []),
]


@pytest.mark.parametrize(("typed", "expected"), MISTAKES)
def test_what_a_mistake_leads_to(typed: str, expected: list[str]) -> None:
    with pytest.raises(CommandError) as caught:
        parse(typed)
    error = caught.value
    assert after(error.hint, typed, error.wrong, error.suggestions) == expected


def test_at_most_three_and_each_once() -> None:
    hint = "`/registry repos` `/registry requests` `/registry status` `/registry whoami`"
    assert after(hint, "tags x", "x", ["y", "y"]) == ["tags y", "repos", "requests"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_never_becomes_a_command_by_accident(text: str) -> None:
    for command in after(f"`/registry tags {text}`", text, text, [text]):
        parse(command)
    assert not is_whole(f"{text}…")
    steps = after(text, f"tags {text}", text, ["team/api"])
    check(notices.refusal("No.", text, ["team/api"], steps=steps))


def test_a_refusal_shows_its_steps() -> None:
    refusal = Refusal("No.", "`/registry requests` lists them.")
    shown = notices.refusal(refusal.sentence, refusal.hint, steps=["requests", "x" * 2001])
    [row] = [block for block in shown["blocks"] if block["type"] == "actions"]
    [button] = row["elements"]
    assert (button["action_id"], button["value"]) == ("run_0", "requests")
    check(shown)
