"""What comes in is recorded in time, or the person is told that it was not."""

import contextlib
import sqlite3
import time
from pathlib import Path
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
