"""The form: every verb's fields inside Slack's limits, and the command that they make."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.operations.browse import TagRow
from bot.rules.approval import Draft, PinnedStep
from bot.slack import form, payloads, submissions
from bot.slack.commands import parse
from bot.slack.form import Filled
from bot.slack.limits import problems_of_view
from bot.slack.views import form as view
from bot.slack.views import suggestions
from tests.support.shown import (
    ANN,
    BOB,
    CAT,
    HOSTILE,
    LONG_REPOSITORY,
    LONG_TAG,
    NOW,
    everything,
    made,
)

FILLED = Filled("C0OPS", ("corp",), registry="corp")
OFFERED = [verb.name for _, verbs in form.groups() for verb in verbs]


def options(shown: Any, action: str) -> list[str]:
    """The action's block and the values of its menu."""
    [element] = [b["element"] for b in shown["blocks"] if b["element"]["action_id"] == action]
    groups = element.get("option_groups", [element])
    return [option["value"] for group in groups for option in group["options"]]


def values(**given: Any) -> dict[str, Any]:
    """A form's state: a list is chosen, a text is typed."""
    made_: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, list):
            picked = [{"value": one} for one in value]
            made_[name] = {name: {"selected_options": picked}}
        elif name in {form.VERB, form.REGISTRY, form.REPOSITORY}:
            made_[name] = {name: {"selected_option": {"value": value} if value else None}}
        else:
            made_[name.replace("flag_", "flag:")] = {"x": {"value": value}}
    return made_


def test_it_offers_what_exists_and_makes_sense() -> None:
    assert OFFERED[:2] == ["tags", "inspect"]
    assert {"delete", "purge", "gc"} <= set(OFFERED)
    # Requests have buttons; whoever is asked for help types help.
    assert not {"help", "whoami", "show", "approve", "deny", "cancel", "undo"} & set(OFFERED)
    assert options(view.empty(FILLED), form.VERB) == OFFERED


@pytest.mark.parametrize("verb", OFFERED)
@pytest.mark.parametrize("registries", [("corp",), tuple(f"r{n}" for n in range(120))])
@pytest.mark.parametrize("repository", ["", "team/api", LONG_REPOSITORY])
def test_every_form_is_inside_slacks_limits(
    verb: str, registries: tuple[str, ...], repository: str
) -> None:
    shown = view.empty(Filled("C0OPS", registries, verb, registries[0], repository))
    assert problems_of_view(shown) == []
    labels = [block["label"]["text"] for block in shown["blocks"]]
    assert len(labels) == len(set(labels))
    assert ("Registry" in labels) is (len(registries) > 1)
    told = [b["label"]["text"] for b in shown["blocks"] if b.get("dispatch_action")]
    assert told == [t for t in ("What to do", "Registry", "Repository") if t in labels]


def test_the_tags_start_anew_with_another_repository() -> None:
    first = view.empty(replace(FILLED, verb="delete", repository="team/api"))
    second = view.empty(replace(FILLED, verb="delete", repository="team/web"))
    blocks = [[b["block_id"] for b in shown["blocks"]] for shown in (first, second)]
    same = set(blocks[0]) & set(blocks[1])
    assert form.REASON in same
    assert not any(block.startswith(form.TAGS) for block in same)
    assert (
        payloads.metadata(first) == replace(FILLED, verb="delete", repository="team/api").metadata
    )


@pytest.mark.parametrize(
    ("given", "kept", "expected"),
    [
        ({"form_verb": "status"}, {}, "status"),
        ({"form_verb": "tags", "form_repository": "team/api"}, {}, "tags team/api"),
        (
            {"form_verb": "tags", "form_repository": "team/api", "flag_match": "pr-*"},
            {"on": "lab"},
            "tags team/api --match=pr-* --on lab",
        ),
        (
            {"form_verb": "delete", "form_repository": "a/b", "form_tags": ["1", "pr-*"]},
            {},
            "delete a/b:1 a/b:pr-*",
        ),
        (
            {
                "form_verb": "purge",
                "form_repository": "a/b",
                "form_tags": ["1"],
                "reason": 'it “leaks” a "key" --emergency\nreally',
            },
            {},
            "purge a/b:1 --reason \"it 'leaks' a 'key' --emergency really\"",
        ),
        ({"form_verb": "gc", "form_flag_switches": ["dry-run"]}, {}, "gc --dry-run"),
        ({"form_verb": "inspect", "form_repository": "a", "form_tags": ["1"]}, {}, "inspect a:1"),
    ],
)
def test_the_command_that_a_form_makes(
    given: dict[str, Any], kept: dict[str, str], expected: str
) -> None:
    text, problems = form.command(values(**given), kept)
    assert (text, problems) == (expected, {})
    assert parse(text).verb == given["form_verb"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_reason_stays_a_reason(text: str) -> None:
    given = values(form_verb="delete", form_repository="a", form_tags=["1"], reason=text)
    command, problems = form.command(given, {})
    if not problems:
        read = parse(command)
        assert [str(r) for r in read.references] == ["a:1"]
        assert set(read.flags) <= {"reason"}
        assert read.registry is None


@pytest.mark.parametrize(
    ("given", "block", "why"),
    [
        ({"form_verb": "tags", "form_repository": ""}, "form_repository", "Choose a repository"),
        ({"form_verb": "tags", "form_repository": "!"}, "form_repository", "Choose a repository"),
        ({"form_verb": "tags", "form_repository": "#0"}, "form_repository", "Choose a repository"),
        (
            {"form_verb": "delete", "form_repository": "a", "form_tags": ["!"]},
            "form_tags",
            "Choose a tag",
        ),
        (
            {"form_verb": "tags", "form_repository": "a", "flag_match": "a b"},
            "flag:match",
            "one word",
        ),
        (
            {"form_verb": "tags", "form_repository": "a", "flag_match": "a/b"},
            "flag:match",
            "pattern",
        ),
        (
            {
                "form_verb": "delete",
                "form_repository": LONG_REPOSITORY,
                "form_tags": [LONG_TAG] * 20,
            },
            "form_tags",
            "too much",
        ),
    ],
)
def test_what_is_wrong_is_said_below_its_field(given: dict[str, Any], block: str, why: str) -> None:
    _, problems = form.command(values(**given), {})
    assert list(problems) == [block]
    assert why in problems[block]


def test_a_long_repository_is_found_again_by_what_the_view_remembers() -> None:
    value = form.option_value(LONG_REPOSITORY)
    assert len(value) <= 150
    given = values(form_verb="tags", form_repository=value)
    text, problems = form.command(given, {"repository": LONG_REPOSITORY})
    assert (text, problems) == (f"tags {LONG_REPOSITORY}", {})


def submitted(callback: str, state: dict[str, Any], kept: str = "{}") -> tuple[Any, Any]:
    view_ = {
        "id": "V1",
        "callback_id": callback,
        "private_metadata": kept,
        "state": {"values": state},
    }
    body = {"type": "view_submission", "user": {"id": ANN, "team_id": "T"}, "view": view_}
    return submissions.received(payloads.submission(body))


def test_what_a_submission_is_acknowledged_with() -> None:
    row, answer = submitted("form", values(form_verb="status"))
    assert answer == {}
    assert row["text"] == "status"
    assert "view" not in row
    row, answer = submitted("form", values(form_verb="gc"))
    assert answer["response_action"] == "update"
    assert problems_of_view(answer["view"]) == []
    assert (row["text"], row["agreed"], row["view"]) == ("gc", "", {"view_id": "V1"})
    _, answer = submitted("form", values(form_verb="tags", form_repository=""))
    assert answer["response_action"] == "errors"
    row, _ = submitted("plan", {}, '{"text": "delete a:1", "plan": "f", "channel": "C"}')
    assert (row["text"], row["agreed"], row["channel"]) == ("delete a:1", "f", "C")
    row, answer = submitted("anything", {}, "no json")
    assert (row["metadata"], answer) == ({}, {})


def draft(count: int, **changes: Any) -> Draft:
    like = made("delete", digests=[everything(n, (f"v{n}", LONG_TAG)) for n in range(count)])
    return Draft(
        registry="corp",
        action="delete",
        requester=ANN,
        team="T0TEAM",
        channel="C0OPS",
        reason="x" * 3000,
        plan=like.plan,
        rule="default",
        rule_fingerprint="f",
        approval="required",
        approvals_needed=1,
        approvers=(BOB, CAT),
        allow_self_approval=False,
        expires_after=600.0,
        execute_within=600.0,
        undo_window=86400.0,
        items=like.items,
        steps=(PinnedStep(("leads",), 1, (BOB, CAT)),),
        **changes,
    )


@pytest.mark.parametrize("count", [1, 60, 500])
@pytest.mark.parametrize("moved", [False, True])
def test_the_plan_is_inside_slacks_limits_and_says_who_agrees(count: int, moved: bool) -> None:
    shown = view.plan(draft(count), "delete " + "y" * 1990, NOW, moved=moved)
    assert problems_of_view(shown) == []
    text = str(shown)
    assert f"<@{BOB}>" in text
    assert ("has moved meanwhile" in text) is moved
    assert payloads.metadata(shown)["text"].startswith("delete y")


def row(tag: str, age: timedelta | None, size: int | None = 12_300_000) -> TagRow:
    created = datetime.fromtimestamp(NOW, UTC) - age if age is not None else None
    return TagRow(tag, "sha256:" + "a" * 64, size, created, ("linux/amd64",), ())


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (row("1.4.0", timedelta(days=3)), "1.4.0 · 12.3 MB · 3 d"),
        (row("1.4.0", timedelta(hours=5)), "1.4.0 · 12.3 MB · 5 h"),
        (row("1.4.0", timedelta(days=-1)), "1.4.0 · 12.3 MB · 0 h"),
        (row("1.4.0", None), "1.4.0 · 12.3 MB"),
        (row("1.4.0", timedelta(days=20_000)), "1.4.0 · 12.3 MB"),  # 1970: no real date
        (row("1.4.0", timedelta(days=3), None), "1.4.0 · 3 d"),
    ],
)
def test_tags_with_size_and_age(shown: TagRow, expected: str) -> None:
    assert suggestions.tag(shown.tag, shown, NOW)["text"]["text"] == expected


def test_long_names_are_offered_inside_slacks_limits() -> None:
    for option in (
        suggestions.tag(LONG_TAG, row(LONG_TAG, timedelta(days=3)), NOW),
        suggestions.tag(LONG_TAG, None, NOW),
        suggestions.repository(LONG_REPOSITORY),
        suggestions.pattern("*" * 128, 1000),
        suggestions.says("x" * 200),
    ):
        assert len(option["text"]["text"]) <= 75
        assert 1 <= len(option["value"]) <= 150
    assert suggestions.tag(LONG_TAG, row(LONG_TAG, timedelta(days=3)), NOW)["text"][
        "text"
    ].endswith("12.3 MB · 3 d")


def test_reads_are_known_by_their_kind() -> None:
    assert form.is_read("tags a")
    assert not form.is_read("gc --dry-run")
