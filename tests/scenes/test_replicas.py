"""Two processes on one PostgreSQL: one is killed or asked to end, and the other goes on."""

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.operations.previewing import PREVIEW
from bot.operations.retaining import RETENTION
from bot.operations.scheduler import SCHEDULE
from bot.store.schema import jobs
from bot.store.store import Store
from tests.scenes.test_forms import chosen, opened
from tests.support.faults import ALWAYS
from tests.support.images import push_image
from tests.support.postgres import Postgres
from tests.support.proxy import Proxy
from tests.support.replica import Replica
from tests.support.slow_collect import held_at
from tests.support.team import ANN, BOB, CAT, OPS, Team

pytestmark = pytest.mark.anyio

NIGHTLY = """
[[retention]]
name = "nightly"
repositories = ["ci/**"]
keep = [{ tags = ["*"], most_recent_count = 1 }]
schedule = "daily 03:00"
"""
SUCCEEDED = 10.0
"""Seconds after a kill by which another process must have the work."""


@pytest.fixture
async def team(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Team]:
    async with Team.open(tmp_path) as made:
        made.store_url = postgres.database()
        yield made
        made.check_all_messages()


@pytest.fixture
async def proxy(team: Team) -> AsyncIterator[Proxy]:
    async with Proxy.open(team.registry.url, handler_cancellation=True) as made:
        team.registry_url = made.url
        yield made


@contextlib.asynccontextmanager
async def _second(team: Team, extra: str = "") -> AsyncIterator[Callable[[], Awaitable[Replica]]]:
    """A function that lets a second process begin, which is loaded from now on."""
    gate = team.directory / "second"
    loading = asyncio.create_task(
        team.spawn(extra, name="second", unhurried=True, when=gate), name="second"
    )

    async def begin() -> Replica:
        gate.touch()
        return await loading

    try:
        yield begin
    finally:
        gate.touch()
        await loading


async def _jobs(team: Team, *kinds: str) -> dict[str, Any]:
    """The newest job of each kind."""
    store = await Store.look(team.store_url)
    try:
        async with store.reading() as tx:
            query = sa.select(jobs).where(jobs.c.kind.in_(kinds)).order_by(jobs.c.id)
            return {row["kind"]: row for row in (await tx.conn.execute(query)).mappings()}
    finally:
        await store.close()


async def _taken(team: Team, *kinds: str, but_not_by: Collection[str] = ("",)) -> dict[str, Any]:
    """Wait until there is a job of each kind, and others have them than these workers."""
    end = time.monotonic() + 60
    while True:
        found = await _jobs(team, *kinds)
        if len(found) == len(kinds) and not {r["worker"] for r in found.values()} & {*but_not_by}:
            return found
        assert time.monotonic() < end, {k: dict(row) for k, row in found.items()}
        await asyncio.sleep(0.05)


async def _arrived(proxy: Proxy, *patterns: str) -> None:
    """Wait until the proxy has seen a request for each pattern."""
    async with asyncio.timeout(60):
        while not all(any(re.search(p, line) for line in proxy.seen) for p in patterns):
            await asyncio.sleep(0.02)


async def _let_the_clock_strike(team: Team) -> None:
    """Let everything that is scheduled be due now."""
    store = await Store.open(team.store_url)
    try:
        async with store.transaction() as tx:
            now = await tx.now()
            queued = sa.select(jobs).where(jobs.c.kind == SCHEDULE, jobs.c.state == "queued")
            for row in (await tx.conn.execute(queued)).mappings().all():
                moved = {"payload": {**row["payload"], "at": now}, "dedupe": f"moved:{row['id']}"}
                await tx.conn.execute(
                    jobs.update().where(jobs.c.id == row["id"]).values(run_at=now, **moved)
                )
    finally:
        await store.close()


async def _push_years(team: Team, repository: str) -> None:
    for year in (2019, 2020):
        created = f"{year}-06-01T00:00:00Z"
        await push_image(team.registry.url, repository, f"v{year}", created=created)


async def _appears(team: Team, *words: str) -> Any:
    return await team.slack.wait_for_message(
        OPS, lambda m: all(word in m.all_text for word in words), timeout=60
    )


async def test_what_a_killed_process_did_goes_on_within_ten_seconds(
    team: Team, proxy: Proxy
) -> None:
    """A deletion, a preview and a scheduled run, each in its middle, with the waits of users."""
    await push_image(team.registry.url, "team/api", "1")
    await _push_years(team, "team/old")
    await _push_years(team, "ci/app")
    first = await team.spawn(NIGHTLY, name="first", unhurried=True)
    async with _second(team, NIGHTLY) as begin:
        request = await team.request(ANN, "delete team/api:1")
        middles = [
            r"^PUT .*/team/api/manifests/1$",
            r"^GET .*/team/old/manifests/",
            r"^GET .*/ci/app/manifests/",
        ]
        stalls = [proxy.stall(middle, times=ALWAYS) for middle in middles]
        await team.clicks(BOB, request, "Approve")
        await team.says(ANN, "cleanup team/old --keep 1")
        await _let_the_clock_strike(team)
        await _arrived(proxy, *middles)
        kinds = ("untag", PREVIEW, RETENTION)
        before = {row["worker"] for row in (await _taken(team, *kinds)).values()}
        assert len(before) == 1
        await begin()

        first.kill()
        killed = time.monotonic()
        await _taken(team, *kinds, but_not_by=before)
        assert time.monotonic() - killed < SUCCEEDED

    for stall in stalls:
        stall.set()
    await team.shows(request, "is done", timeout=60)
    assert await team.tags("team/api") == []
    await _appears(team, "Cleanup preview", "team/old", "1 tag")
    await _appears(team, "`nightly` has looked at 1 repository")
    previews = [m for m in team.slack.messages(OPS) if "retention rule `nightly`" in m.all_text]
    assert len(previews) == 1
    assert len(await team.trail("tag.deleted")) == 1


async def test_a_killed_process_s_collection_goes_on_within_ten_seconds(team: Team) -> None:
    gate = team.directory / "gate"
    team.collect = team.registry.slow_collect(gate)
    await push_image(team.registry.url, "keep", "1")
    first = await team.spawn(name="first", unhurried=True)
    collecting = await team.request(ANN, "gc")
    await team.clicks(BOB, collecting, "Approve")
    await held_at(gate)
    before = (await _jobs(team, "collect"))["collect"]["worker"]
    await team.spawn(name="second", unhurried=True)

    first.kill()
    killed = time.monotonic()
    await _taken(team, "collect", but_not_by={before})
    assert time.monotonic() - killed < SUCCEEDED
    await team.shows(collecting, "still at work", timeout=60)
    assert not await team.is_writable()

    gate.touch()
    await team.shows(collecting, "restarted on the way", timeout=60)
    assert await team.is_writable()
    assert len(await team.trail("gc.finished")) == 1


async def test_no_click_and_no_modal_needs_the_process_that_showed_it(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    await push_image(team.registry.url, "team/api", "2")
    first = await team.spawn(name="first")
    approved = await team.request(ANN, "delete team/api:1")
    denied = await team.request(ANN, "delete team/api:2")
    await team.clicks(CAT, denied, "Deny")
    asks = await team.modal(CAT, "Why not?")
    form = await opened(team)
    await team.spawn(name="second")
    first.kill()
    await team.slack.wait_for_connections(1)

    await team.clicks(BOB, approved, "Approve")
    await team.shows(approved, "is done")
    await team.submits(CAT, asks, {"Why not?": "it is in use"})
    await team.modal(CAT, "denied")
    await team.shows(denied, "it is in use")
    form = await chosen(team, form, "What to do", "tags")
    assert "Repository" in form.all_text
    assert await team.tags("team/api") == ["2"]


async def test_what_is_asked_to_end_in_a_deletion_hands_it_over(team: Team, proxy: Proxy) -> None:
    """With leases longer than the test: the second signal ends it, and nothing runs out."""
    await push_image(team.registry.url, "team/api", "1")
    first = await team.spawn(name="first", unhurried=True)
    async with _second(team) as begin:
        request = await team.request(ANN, "delete team/api:1")
        stall = proxy.stall(r"^PUT .*/manifests/1$", times=ALWAYS)
        await team.clicks(BOB, request, "Approve")
        await _arrived(proxy, "^PUT ")
        before = (await _jobs(team, "untag"))["untag"]["worker"]
        await begin()

        first.signal(signal.SIGTERM)
        await team.slack.wait_for_connections(1)
        await team.asks(ANN, "tags team/api")  # the other one answers meanwhile
        assert first.is_alive, "what runs gets its time"
        first.signal(signal.SIGTERM)
        assert await first.ended() == 0

        after = await _taken(team, "untag", but_not_by={before})
        assert after["untag"]["attempts"] == 1, "it was given, not left"

    stall.set()
    await team.shows(request, "is done", timeout=60)
    assert await team.tags("team/api") == []
    assert len(await team.trail("tag.deleted")) == 1


async def test_what_is_asked_to_end_in_a_collection_hands_it_over(team: Team) -> None:
    gate = team.directory / "gate"
    team.collect = team.registry.slow_collect(gate)
    await push_image(team.registry.url, "keep", "1", layers=[os.urandom(100)])
    first = await team.spawn(name="first")
    collecting = await team.request(ANN, "gc")
    await team.clicks(BOB, collecting, "Approve")
    await held_at(gate)
    await team.spawn(name="second")

    assert await first.terminate(timeout=60) == 0
    await team.shows(collecting, "still at work", timeout=60)
    assert (await _jobs(team, "collect"))["collect"]["attempts"] == 1
    assert not await team.is_writable()
    gate.touch()
    await team.shows(collecting, "restarted on the way", timeout=60)
    assert await team.is_writable()
    assert len(await team.trail("gc.finished")) == 1


async def test_what_the_clock_begins_is_begun_once(team: Team) -> None:
    await _push_years(team, "ci/app")
    async with team.bot(NIGHTLY), team.bot(NIGHTLY):
        await _let_the_clock_strike(team)
        await _appears(team, "Cleanup preview", "retention rule `nightly`")
        await _appears(team, "`nightly` has looked at 1 repository")
        said = [m.all_text for m in team.slack.messages(OPS)]
        assert sum("Cleanup preview" in text for text in said) == 1
        assert sum("has looked at" in text for text in said) == 1
