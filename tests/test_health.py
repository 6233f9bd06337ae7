"""Readiness and liveness say what is so, whatever it is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from slack_sdk.web.async_client import AsyncWebClient

from bot.health import Health
from bot.metrics import Metrics
from bot.operations.context import Context
from bot.operations.worker import Worker
from bot.playground import Workspace
from bot.rules.policy import Policy
from bot.slack.notifier import Notifier
from bot.store.store import Store
from tests.support.metering import samples

pytestmark = pytest.mark.anyio


class Checked:
    """The health of a bot whose loops do not run."""

    def __init__(self, workspace: Workspace, store: Store) -> None:
        self.workspace = workspace
        self.ctx = Context(store, Policy(), {}, 500, ZoneInfo("UTC"))
        self.client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
        self.worker = Worker(self.ctx, {})
        self.notifier = Notifier(self.ctx, self.client, "", "")

    def health(self, connection: Any = None, **limits: float) -> Health:
        return Health(
            self.ctx, Metrics(), self.worker, self.notifier, connection, self.client, **limits
        )

    async def until(self, health: Health, *words: str) -> None:
        """Wait until readiness says this; nothing for ready."""
        async with asyncio.timeout(30):
            while not ((said := await health.ready()) and all(w in said for w in words)) and (
                words or said
            ):
                await asyncio.sleep(0.02)


@pytest.fixture
async def checked(tmp_path: Path) -> AsyncIterator[Checked]:
    workspace = await Workspace.start()
    store = await Store.open(f"sqlite:///{tmp_path}/bot.db")
    yield Checked(workspace, store)
    await store.close()
    await workspace.stop()


async def test_all_is_well(checked: Checked) -> None:
    health = checked.health()
    assert (await health.ready(), health.alive()) == ("", "")


async def test_a_store_that_says_no_is_no_reason_for_a_new_process(checked: Checked) -> None:
    async with checked.ctx.store.transaction() as tx:
        await tx.conn.execute(sa.text("ALTER TABLE jobs RENAME TO away"))
    health = checked.health()
    assert "the store does not answer (OperationalError)" in await health.ready()
    assert samples(await health.numbers())["registry_bot_store_up", ()] == 0
    assert health.alive() == ""


async def test_a_store_that_says_nothing_is_asked_once(
    checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answers = [0], asyncio.Event()
    reading = checked.ctx.store.reading

    @contextlib.asynccontextmanager
    async def slow() -> AsyncIterator[Any]:
        asked[0] += 1
        await answers.wait()
        async with reading() as tx:
            yield tx

    monkeypatch.setattr(checked.ctx.store, "reading", slow)
    health = checked.health()
    for said in await asyncio.gather(*(health.ready() for _ in range(5))):
        assert said == "the store does not answer within 2 seconds"
    assert asked == [1]
    answers.set()
    await checked.until(health)


async def test_a_message_that_nobody_sends(checked: Checked) -> None:
    async with checked.ctx.store.transaction() as tx:
        await tx.outbox.post({"channel": "C1", "message": {}})
        await tx.conn.execute(sa.text("UPDATE outbox SET run_at = run_at - 100"))
    assert "the outbox is stuck: a message has been due for 10" in await checked.health().ready()
    assert await checked.health(overdue=3600.0).ready() == ""


async def test_a_token_that_slack_refuses_and_then_takes_again(checked: Checked) -> None:
    health = checked.health(asks=0.02)
    checked.workspace.faults.fail("auth.test", times=10_000, error="token_revoked")
    watching = asyncio.create_task(health.watch())
    await checked.until(health, "Slack refuses the bot's token (token_revoked)")
    assert health.alive() == ""
    checked.workspace.faults.clear()
    checked.workspace.faults.fail("auth.test", times=10_000, status=503)
    await checked.until(health, "Slack's Web API does not answer")
    checked.workspace.faults.clear()
    await checked.until(health)
    watching.cancel()

    checked.notifier.silence = "account_inactive"
    assert await health.ready() == "Slack refuses the bot's token (account_inactive)"


async def test_a_lost_connection_says_why(checked: Checked) -> None:
    class Lost:
        trouble = "not connected to Slack: too_many_websockets"
        is_open = False
        age = 77.0

    health = checked.health(Lost())
    assert await health.ready() == Lost.trouble
    found = samples(await health.numbers())
    assert found["registry_bot_socket_connected", ()] == 0
    assert found["registry_bot_socket_age_seconds", ()] == 77.0


async def test_who_is_asked_to_end_is_not_ready(checked: Checked) -> None:
    health = checked.health()
    health.stopping = True
    assert await health.ready() == "stopping"


async def test_a_loop_that_stands_still_needs_a_new_process(checked: Checked) -> None:
    said = checked.health(still=0.0).alive()
    assert "the worker has stood still for" in said
    checked.worker.stop()
    assert "the notifier has stood still for" in checked.health(still=0.0).alive()
