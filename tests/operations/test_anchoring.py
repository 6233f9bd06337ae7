"""When the head of the audit trail is posted: at once the first time, then as each day begins."""

import dataclasses
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from bot.operations.auditing import Anchoring, anchor_trouble
from bot.operations.context import Context, Timing
from bot.operations.scheduler import SCHEDULE
from bot.operations.table import scheduler
from bot.rules.policy import Policy
from bot.store.jobs import Job
from bot.store.outbox import ANCHOR
from bot.store.store import Store

pytestmark = pytest.mark.anyio

APIA = ZoneInfo("Pacific/Apia")  # thirteen hours ahead of UTC


@pytest.fixture
async def ctx(tmp_path: Path) -> AsyncIterator[Context]:
    store = await Store.open(f"sqlite:///{tmp_path}/bot.db")
    yield Context(store, Policy(), {}, 500, APIA, Timing(), audit_channel="C0AUDIT")
    await store.close()


async def _jobs(ctx: Context, kind: str = ANCHOR) -> list[float]:
    """When the next jobs of a kind are due."""
    async with ctx.store.reading() as tx:
        query = sa.text("SELECT run_at FROM jobs WHERE kind = :kind AND state = 'queued'")
        return list(await tx.conn.scalars(query, {"kind": kind}))


async def _posted(ctx: Context) -> list[dict[str, Any]]:
    found = []
    while (letter := await ctx.store.claim_letter("test", 60)) is not None:
        assert letter.kind == ANCHOR
        async with ctx.store.transaction() as tx:
            await tx.outbox.sent(letter)
        found.append(dict(letter.payload["data"]))
    return found


async def _due(ctx: Context) -> Job:
    async with ctx.store.transaction() as tx:
        await tx.conn.execute(sa.text("UPDATE jobs SET run_at = 0 WHERE state = 'queued'"))
    job = await ctx.store.claim_job("test", 60)
    assert job is not None
    return job


async def test_the_first_head_is_posted_at_once_and_the_next_when_the_day_begins(
    ctx: Context,
) -> None:
    anchoring = Anchoring(ctx)
    await anchoring.begin()
    await anchoring.begin()  # another replica
    assert len(await _jobs(ctx)) == 1
    await anchoring.run(await _due(ctx))

    (first,) = await _posted(ctx)
    assert (first["entry"], first["count"], first["lost"]) == (1, 1, "")
    await anchoring.begin()  # a restart adds nothing
    assert await _jobs(ctx) == []
    await scheduler(ctx).ensure()
    await scheduler(ctx).ensure()
    (due,) = await _jobs(ctx, SCHEDULE)
    async with ctx.store.reading() as tx:
        now = await tx.now()
    then = datetime.fromtimestamp(due, APIA)
    assert (then.hour, then.minute) == (0, 0)
    assert then.date() == datetime.fromtimestamp(now, APIA).date() + timedelta(days=1)
    await scheduler(ctx).run(await _due(ctx))
    await anchoring.run(await _due(ctx))
    assert [head["count"] for head in await _posted(ctx)] == [2]


async def test_a_lost_head_is_told_with_the_next_one(ctx: Context) -> None:
    anchoring = Anchoring(ctx)
    await anchoring.begin()
    await anchoring.run(await _due(ctx))
    (first,) = await _posted(ctx)
    async with ctx.store.transaction() as tx:
        await tx.conn.execute(sa.text("DROP TRIGGER audit_no_delete"))
        await tx.conn.execute(sa.text("DELETE FROM audit"))
        await tx.audit.append("tag.deleted")

    async with ctx.store.transaction() as tx:
        await tx.jobs.add(ANCHOR)
    await anchoring.run(await _due(ctx))

    (second,) = await _posted(ctx)
    assert second["lost"] == f"{first['entry']}:{first['hash']}"


async def test_without_a_channel_nothing_is_posted(ctx: Context) -> None:
    anchoring = Anchoring(ctx)
    await anchoring.begin()
    nowhere = dataclasses.replace(ctx, audit_channel="")
    await Anchoring(nowhere).begin()
    await Anchoring(nowhere).run(await _due(ctx))  # it was queued before the settings changed
    assert await _posted(ctx) == []
    await scheduler(nowhere).ensure()
    assert await _jobs(ctx) + await _jobs(ctx, SCHEDULE) == []
    async with ctx.store.reading() as tx:
        assert await anchor_trouble(tx, "") == ""


async def test_a_trouble_is_over_once_a_head_arrived(ctx: Context) -> None:
    async with ctx.store.transaction() as tx:
        await tx.outbox.anchor("C0AUDIT", {"n": 1})
        letter = await tx.outbox.claim("test", 60)
        assert letter is not None
        await tx.outbox.later(letter, 0.0, "not_in_channel")
        assert await anchor_trouble(tx, "C0AUDIT") == "not_in_channel"
        await tx.outbox.sent(letter)
        assert await anchor_trouble(tx, "C0AUDIT") == ""
