"""Modals and the home tab: inside Slack's limits, harmless, and with the buttons they need."""

import dataclasses
from typing import Any

import pytest

from bot.operations.browse import Health
from bot.operations.overview import Overview
from bot.rules.approval import State
from bot.slack import payloads
from bot.slack.views import home, modals, notices
from bot.slack.views.blocks import Message, message, section, table
from bot.slack.views.details import details
from tests.support.shown import (
    ACTIONS,
    HOSTILE,
    LONG,
    LONG_REPOSITORY,
    LONG_TAG,
    NOW,
    STATES,
    buttons,
    check,
    check_view,
    decision,
    digest,
    everything,
    made,
    read,
)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("state", STATES)
def test_details_of_every_request(action: str, state: State) -> None:
    request = made(action, state)
    shown = details(request)
    check_view(shown)
    assert "it leaks" in read(shown)
    assert buttons(shown) == buttons({"blocks": notices.decision_row(request)})
    assert payloads.metadata(shown) == {"channel": "C0OPS", "value": request.token}


def test_details_pin_whole_digests() -> None:
    shown = details(made("delete", digests=[everything(n) for n in range(3)]))
    assert all(digest(n) in read(shown) for n in range(3))
    assert "Needs 1 approval of" in read(shown)
    assert buttons(shown) == ["Approve", "Deny", "Cancel"]


@pytest.mark.parametrize("count", [50, 500, 3000])
def test_details_of_very_much(count: int) -> None:
    digests = [everything(n, (LONG_TAG,), repository=LONG_REPOSITORY) for n in range(count)]
    shown = details(made("delete", digests=digests, reason=LONG))
    check_view(shown)
    # However much there is, it can be decided from here.
    assert buttons(shown) == ["Approve", "Deny", "Cancel"]
    assert (count == 50) or "too long to be shown" in read(shown)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_harmless(text: str) -> None:
    names = everything(1, (text or "x",), repository=text, kept_tags=(text,), platforms=(text,))
    request = made(
        "delete",
        State.DENIED,
        reason=text,
        rule=text,
        registry=text,
        digests=[names],
        warnings=[text],
        decisions=(decision("U0BOB", approves=False, reason=text),),
    )
    check_view(details(request))
    check_view(modals.deny_form(request))
    check(modals.type_the_denial(request))
    refusal = notices.refusal(text, text, [text])
    check_view(modals.of_message(refusal, "C0OPS"))
    check_view(home.refused(f"No: {text}", text))
    health = Health(text, text, text, text, text, text)
    check_view(home.home(Overview((request,), (request,), (health,)), NOW))


def test_denying_asks_for_a_reason() -> None:
    shown = modals.deny_form(made("delete"))
    [question] = [block for block in shown["blocks"] if block["type"] == "input"]
    assert not question.get("optional")
    assert shown["submit"]["text"] == "Deny"
    assert len(shown["title"]["text"]) <= 24
    check_view(modals.deny_form(dataclasses.replace(made("delete"), id=10**14)))


def test_answers_keep_their_tables_as_text() -> None:
    rows = [[f"tag-{n}", "1 MB"] for n in range(99)]
    answer: Message = message("x", [section("*Tags*"), table(["Tag", "Size"], rows)])
    shown = modals.of_message(answer, "C0OPS")
    check_view(shown)
    assert "tag-98" in read(shown)


@pytest.mark.parametrize("view", [modals.loading("Details"), modals.working("Deny")])
def test_what_stands_there_meanwhile(view: Any) -> None:
    check_view(view)


def test_a_home_tab_with_very_much() -> None:
    requests = tuple(made("delete", id=n, reason=LONG) for n in range(100))
    health = tuple(Health(f"r{n}", LONG, LONG, LONG, LONG, LONG) for n in range(100))
    shown = home.home(Overview(requests, requests, health), NOW)
    check_view(shown)
    assert "and 80 older requests" in read(shown)
    assert "and 85 more" in read(shown)
    assert buttons(shown).count("Details") == 40
    assert buttons(shown)[-1] == "Refresh"
