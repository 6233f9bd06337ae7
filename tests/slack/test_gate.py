"""A flood degrades into polite refusals: acknowledged, answered, and nothing stored for them."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.rules.rates import Limits
from bot.slack import gate as gates
from bot.slack.app import COMMAND, ORDINARY, URGENT, _Intake, _nothing
from bot.slack.gate import CROWDED, Gate, is_urgent
from bot.slack.opening import Opener
from bot.store.store import Store

pytestmark = pytest.mark.anyio

LIMITS = Limits(
    commands_per_minute=10, channel_commands_per_minute=20, clicks_per_minute=3, waiting_commands=12
)


class Intake:
    """The listeners on a store, with what they said."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self.store = store
        self.now = 100.0
        self.counted: list[str] = []
        self.acks: list[dict[str, Any]] = []
        self.responses: list[dict[str, Any]] = []
        self._number = 0
        gate = Gate(limits, self.counted.append, lambda: self.now)
        self._intake = _Intake(store, Opener(AsyncWebClient()), _nothing, gate)

    async def _ack(self, **said: Any) -> None:
        self.acks.append(said)

    async def _respond(self, **said: Any) -> SimpleNamespace:
        self.responses.append(said)
        return SimpleNamespace(status_code=200)

    def _trigger(self) -> str:
        self._number += 1
        return str(self._number)

    async def command(self, text: str = "tags a", user: str = "U1") -> str:
        """Type something; what the acknowledgement says."""
        person = {"user_id": user, "team_id": "T1", "channel_id": "C1"}
        body = {**person, "text": text, "trigger_id": self._trigger(), "response_url": "https://x"}
        await self._intake.command(self._ack, body)
        return str(self.acks[-1].get("text", ""))

    async def click(self, action: str = "share") -> None:
        """Press something in a message."""
        body = {
            "user": {"id": "U1", "team_id": "T1"},
            "channel": {"id": "C1"},
            "actions": [{"action_id": action, "value": "1"}],
            "trigger_id": self._trigger(),
            "response_url": "https://x",
        }
        await self._intake.action(self._ack, body, self._respond)

    async def submit(self, values: dict[str, Any]) -> dict[str, Any]:
        """Send a form; the acknowledgement."""
        view = {
            "id": "V1",
            "callback_id": "x",
            "hash": self._trigger(),
            "state": {"values": values},
        }
        body = {"type": "view_submission", "user": {"id": "U1", "team_id": "T1"}, "view": view}
        await self._intake.submission(self._ack, body)
        return self.acks[-1]

    async def waiting(self, *kinds: str) -> int:
        """How many jobs of these kinds were stored."""
        async with self.store.reading() as tx:
            return await tx.jobs.waiting(kinds)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite:///{tmp_path}/bot.db")
    yield store
    await store.close()


async def test_a_flood_of_commands_is_answered_by_its_acknowledgements(store: Store) -> None:
    intake = Intake(store, LIMITS)
    said = [await intake.command() for _ in range(30)]
    assert said[:10] == [""] * 10
    assert set(said[10:]) == {"You have sent 10 commands within a minute; try again in 60 seconds."}
    assert all(ack["response_type"] == "ephemeral" for ack in intake.acks[10:])
    assert await intake.waiting(*ORDINARY) == 10
    assert intake.counted == ["person"] * 20
    assert await intake.command("") != "", "nor does a form open"
    intake.now += 59.0
    assert (await intake.command()).endswith("try again in 1 second.")
    intake.now += 1.0
    assert await intake.command(user="U1") == ""


async def test_a_full_channel_lets_through_what_cannot_wait(store: Store) -> None:
    intake = Intake(store, Limits(commands_per_minute=10, channel_commands_per_minute=12))
    for user in ("U1", "U2"):
        for _ in range(10):
            await intake.command(user=user)
    said = await intake.command(user="U2")
    assert said.startswith("12 commands came from this channel within a minute; try again in 60")
    assert "Decisions, `undo`, `lock` and emergencies still go through" in said
    assert await intake.command("approve R1", user="U2") == ""
    assert await intake.command('gc --emergency --reason "disk full"', user="U2") == ""
    assert await intake.command("status", user="U3") == "", "nor is anybody else kept out"
    assert await intake.waiting(URGENT) == 2


async def test_clicks_that_are_too_many_are_told_once_in_a_while(store: Store) -> None:
    intake = Intake(store, LIMITS)
    for _ in range(20):
        await intake.click()
    assert intake.acks == [{}] * 20
    assert [said["text"] for said in intake.responses] == [
        "You have pressed 3 buttons within a minute; try again in 60 seconds."
    ]
    assert intake.responses[0]["replace_original"] is False
    intake.now += 10.0
    await intake.click()
    assert intake.responses[1]["text"].endswith("try again in 50 seconds.")
    assert await intake.waiting(*ORDINARY) == 3


async def test_a_form_that_is_not_taken_stays_as_it_was_filled_in(store: Store) -> None:
    intake = Intake(store, LIMITS)
    for _ in range(3):
        await intake.click()
    refused = await intake.submit({"verb": {}, "reason": {}})
    assert refused["response_action"] == "errors"
    assert "try again in 60 seconds" in refused["errors"]["reason"]
    assert (await intake.submit({}))["response_action"] == "update"
    assert await intake.waiting(*ORDINARY) == 3


async def test_so_many_wait_and_no_more_but_a_decision_still_has_its_place(store: Store) -> None:
    intake = Intake(store, Limits(waiting_commands=12))
    said = [await intake.command(user=f"U{number}") for number in range(20)]
    assert said == [""] * 12 + [CROWDED] * 8
    assert intake.counted == ["waiting"] * 8
    await intake.click("approve")
    assert intake.responses == []
    decided = [await intake.command("approve R1", user=f"U{number}") for number in range(20)]
    assert decided == [""] * 11 + [CROWDED] * 9
    assert await intake.waiting(COMMAND, URGENT) == 24
    await intake.click()
    assert [said["text"] for said in intake.responses] == [CROWDED]


@pytest.mark.parametrize(
    ("row", "urgent"),
    [
        ({"text": "approve R1"}, True),
        ({"text": "deny R1 --reason no"}, True),
        ({"text": "cancel R1"}, True),
        ({"text": "undo R1"}, True),
        ({"text": "lock --all --reason moving"}, True),
        ({"text": "delete a:1 —emergency —reason “leaked key”"}, True),
        ({"text": "delete a:1"}, False),
        ({"text": "tags a --emergency"}, False),
        ({"text": ""}, False),
        ({"text": "aprove R1"}, False),
        ({"action": "approve"}, True),
        ({"action": "deny_sent"}, True),
        ({"action": "abort"}, True),
        ({"action": "details"}, False),
        ({"action": "run_2", "value": "cancel R1"}, True),
        ({"action": "run_2", "value": "tags a"}, False),
        ({"action": "repository", "value": "approve R1"}, False),
        ({}, False),
    ],
)
def test_what_cannot_wait(row: dict[str, Any], urgent: bool) -> None:
    assert is_urgent(row) is urgent


def test_who_was_told_is_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "_REMEMBERED", 10)
    gate = Gate(LIMITS, clock=lambda: 1.0)
    assert all(gate.tells({"user": f"U{number}"}) for number in range(100))
    assert not gate.tells({"user": "U99"})
    assert len(gate._told) == 10
