"""What comes in is recorded in time, or the person is told that it was not."""

import contextlib
import sqlite3
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.rules.rates import Limits
from bot.slack.app import _Intake, _nothing
from bot.slack.gate import Gate
from bot.slack.opening import Opener
from bot.store.store import Store

pytestmark = pytest.mark.anyio

COMMAND = {
    "user_id": "U1",
    "team_id": "T1",
    "channel_id": "C1",
    "text": "tags a",
    "trigger_id": "1",
}


CLICK = {
    "type": "block_actions",
    "user": {"id": "U1", "team_id": "T1"},
    "channel": {"id": "C1"},
    "container": {"message_ts": "1.2"},
    "actions": [{"action_id": "approve", "value": "token"}],
    "response_url": "https://hooks.slack.com/actions/1",
    "trigger_id": "1",
}


@pytest.mark.parametrize("status", [200, 503, None])
async def test_an_unrecorded_click_is_acknowledged_once_the_person_knows(
    tmp_path: Path, status: int | None
) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/bot.db")
    intake = _Intake(store, Opener(AsyncWebClient()), _nothing, Gate(Limits()))
    order: list[str] = []

    async def ack(**answer: Any) -> None:
        order.append("acknowledged")

    async def respond(**said: Any) -> SimpleNamespace:
        assert "could not record" in said["text"]
        if status is None:
            raise ConnectionError
        order.append(f"answered {status}")
        return SimpleNamespace(status_code=status)

    with contextlib.closing(sqlite3.connect(tmp_path / "bot.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await intake.action(ack, CLICK, respond)
    told = {200: ["answered 200", "acknowledged"], 503: ["answered 503"], None: []}
    assert order == told[status], "else Slack shows them that it is lost"
    await store.close()


async def test_a_locked_store_is_said_in_time_also_by_whoever_meets_it_first(
    tmp_path: Path,
) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/bot.db")
    intake = _Intake(store, Opener(AsyncWebClient()), _nothing, Gate(Limits()))
    said: list[dict[str, Any]] = []

    async def ack(**answer: Any) -> None:
        said.append(answer)

    with contextlib.closing(sqlite3.connect(tmp_path / "bot.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        await intake.command(ack, COMMAND)
        assert time.monotonic() - began < 3
        assert "could not record" in said[0]["text"]
    await intake.command(ack, {**COMMAND, "trigger_id": "2"})
    assert said[1] == {}
    async with store.reading() as tx:
        assert await tx.jobs.depth() == 1, "what was said to be unrecorded is not"
    await store.close()
