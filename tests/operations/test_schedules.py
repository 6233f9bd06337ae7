"""What begins by the clock: once for each occurrence, and never a silent act."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from bot.operations.context import BOT
from bot.operations.due import DUE
from bot.operations.retaining import RETENTION, Retaining
from bot.operations.scheduler import SCHEDULE, Scheduled, Scheduler
from bot.operations.table import scheduler
from bot.rules.approval import Request, State
from bot.rules.policy import Action, Approval, Policy, Protection, Rule
from bot.rules.preview import Preview, PreviewState
from bot.rules.retention import Keep, Retention
from bot.store.jobs import Job
from bot.store.schema import db_now, jobs, outbox, previews, requests
from bot.store.store import Transaction
from tests.support.controlled_registry import ControlledRegistry
from tests.support.images import push_image
from tests.support.real_registry import RealRegistry
from tests.support.rig import ANN, BOB, Rig, policy

pytestmark = pytest.mark.anyio

DAY = 86400.0
DAILY = "daily 03:00"
CI = Retention("ci", ("ci/**",), (Keep(most_recent_count=1),), schedule=DAILY)


async def queued(rig: Rig, kind: str = SCHEDULE) -> list[sa.RowMapping]:
    async with rig.store.reading() as tx:
        rows = await tx.conn.execute(
            sa.select(jobs).where(jobs.c.kind == kind, jobs.c.state == "queued")
        )
        return list(rows.mappings())


async def let_it_be(rig: Rig, late: float = 0.0) -> None:
    """Let the queued occurrences be due: meant so many seconds ago."""
    async with rig.store.transaction() as tx:
        now = await tx.now()
        for row in await queued_in(tx):
            payload = {**row["payload"], "at": now - late}
            await tx.conn.execute(
                jobs.update()
                .where(jobs.c.id == row["id"])
                .values(run_at=db_now() - late, payload=payload, dedupe=f"moved:{row['id']}")
            )


async def queued_in(tx: Transaction) -> Sequence[sa.RowMapping]:
    rows = await tx.conn.execute(
        sa.select(jobs).where(jobs.c.kind == SCHEDULE, jobs.c.state == "queued")
    )
    return rows.mappings().all()


class Counted:
    """A schedule that counts what it has begun."""

    def __init__(self, when: str = DAILY) -> None:
        self.begun: list[float] = []
        self.entry = Scheduled(when, self._begin)

    async def _begin(self, _: Transaction, at: float) -> None:
        self.begun.append(at)


async def work(rig: Rig, scheduler: Scheduler) -> None:
    """Do the schedule jobs that are due."""
    while True:
        async with rig.store.transaction() as tx:
            job = await tx.jobs.claim("me", 9.0, [SCHEDULE])
        if job is None:
            return
        await scheduler.run(job)


@pytest.fixture
async def store_only(tmp_path: Path) -> AsyncIterator[Rig]:
    async with Rig.open(tmp_path, "http://127.0.0.1:1") as rig:
        yield rig


async def test_the_next_one_is_queued_once(store_only: Rig) -> None:
    rig, counted = store_only, Counted()
    scheduler = Scheduler(rig.ctx, {"x": counted.entry})
    await scheduler.ensure()
    await Scheduler(rig.ctx, {"x": counted.entry}).ensure()
    (first,) = await queued(rig)
    async with rig.store.reading() as tx:
        assert 0 < first["run_at"] - await tx.now() <= DAY
    await work(rig, scheduler)
    assert counted.begun == []
    await let_it_be(rig)
    await work(rig, scheduler)
    assert len(counted.begun) == 1
    (following,) = await queued(rig)
    assert following["run_at"] == first["run_at"]
    assert following["id"] > first["id"]


@pytest.mark.parametrize(("late", "happens"), [(3600.0, True), (DAY - 60, True), (DAY + 60, False)])
async def test_late(store_only: Rig, late: float, happens: bool) -> None:
    rig, counted = store_only, Counted()
    scheduler = Scheduler(rig.ctx, {"x": counted.entry})
    await scheduler.ensure()
    await let_it_be(rig, late)
    await scheduler.ensure()
    await work(rig, scheduler)
    async with rig.store.reading() as tx:
        now = await tx.now()
    # What was meant too long ago is left out; the last one that was missed happens instead.
    (at,) = counted.begun
    assert now - at < DAY
    assert (abs(now - late - at) < 30) is happens
    assert len(await queued(rig)) == 1


@pytest.mark.parametrize(
    "now", [{}, {"x": Scheduled("sun 04:00", Counted()._begin)}, {"y": Counted().entry}]
)
async def test_a_schedule_that_changed_does_nothing(
    store_only: Rig, now: dict[str, Scheduled]
) -> None:
    rig, counted = store_only, Counted()
    await Scheduler(rig.ctx, {"x": counted.entry}).ensure()
    await let_it_be(rig)
    await work(rig, Scheduler(rig.ctx, now))
    assert counted.begun == []
    assert await queued(rig) == []


async def test_another_time_zone_is_another_schedule(store_only: Rig) -> None:
    rig, counted = store_only, Counted()
    await Scheduler(rig.ctx, {"x": counted.entry}).ensure()
    await let_it_be(rig)
    moved = replace(rig.ctx, timezone=ZoneInfo("Asia/Tokyo"))
    await work(rig, Scheduler(moved, {"x": counted.entry}))
    assert counted.begun == []


# ── Retention ─────────────────────────────────────────────────────────────────────────────────


async def aged(url: str, repo: str, *years: int) -> None:
    for year in years:
        await push_image(url, repo, f"v{year}", created=f"{year}-06-01T00:00:00Z")


@contextlib.asynccontextmanager
async def opened(
    tmp_path: Path, registry: RealRegistry, *rules: Retention, by: Policy | None = None
) -> AsyncIterator[Rig]:
    async with Rig.open(tmp_path, registry.url, rules=by, retention=rules) as rig:
        yield rig


async def occur(*rigs: Rig, late: float = 0.0) -> None:
    """One occurrence of everything, worked on by all of these processes."""
    for rig in rigs:
        await scheduler(rig.ctx).ensure()
    await let_it_be(rigs[0], late)
    async with contextlib.AsyncExitStack() as stack:
        for rig in rigs:
            await stack.enter_async_context(rig.working())
        await _quiet(rigs[0])


async def _quiet(rig: Rig) -> None:
    """Wait until all that the occurrence has begun is over."""
    waiting = sa.select(sa.func.count()).where(
        jobs.c.kind.in_([SCHEDULE, RETENTION, DUE]),
        jobs.c.state != "done",
        sa.or_(jobs.c.kind != SCHEDULE, jobs.c.run_at <= db_now()),
    )
    async with asyncio.timeout(30):
        while True:
            async with rig.store.reading() as tx:
                if not await tx.conn.scalar(waiting):
                    return
            await asyncio.sleep(0.05)


async def all_previews(rig: Rig) -> list[Preview]:
    async with rig.store.reading() as tx:
        # Without an order the database may go by any index: that of the occurrences, say.
        query = sa.select(previews.c.id).order_by(previews.c.id)
        numbers = (await tx.conn.execute(query)).scalars().all()
        return [await tx.previews.get(number) for number in numbers]


async def all_requests(rig: Rig) -> list[Request]:
    async with rig.store.reading() as tx:
        numbers = (await tx.conn.execute(sa.select(requests.c.id))).scalars().all()
        return [await tx.requests.get(number) for number in numbers]


async def letters(rig: Rig, kind: str) -> list[dict[str, Any]]:
    async with rig.store.reading() as tx:
        rows = await tx.conn.execute(sa.select(outbox.c.payload).where(outbox.c.kind == kind))
        return [dict(payload) for payload in rows.scalars()]


async def test_a_preview_for_each_repository_and_one_line(
    tmp_path: Path, registry: RealRegistry
) -> None:
    await aged(registry.url, "ci/old", 2019, 2020)
    await aged(registry.url, "ci/new", 2020)
    await aged(registry.url, "team/x", 2019, 2020)
    async with opened(tmp_path, registry, CI) as rig:
        await occur(rig)
        found = {p.repository: p for p in await all_previews(rig)}
        assert {r: p.state for r, p in found.items()} == {
            "ci/old": PreviewState.READY,
            "ci/new": PreviewState.EMPTY,
        }
        assert found["ci/old"].actor == "bot"
        assert [row.tag for row in found["ci/old"].result.goes] == ["v2019"]
        assert await letters(rig, "preview") == [{"preview": found["ci/old"].id}]
        (line,) = await letters(rig, "announce")
        assert line["data"] == {
            "rule": "ci", "registry": "corp", "repositories": 2,
            "empty": 1, "requested": 0, "ready": 1, "failed": [],
        }  # fmt: skip
        assert await all_requests(rig) == []
        # The next day's preview takes the place of this one.
        await occur(rig, late=100)
        states = [p.state for p in await all_previews(rig) if p.repository == "ci/old"]
        assert states == [PreviewState.REPLACED, PreviewState.READY]


async def test_two_processes_do_an_occurrence_once(tmp_path: Path, registry: RealRegistry) -> None:
    for n in range(4):
        await aged(registry.url, f"ci/{n}", 2019, 2020)
    rule = replace(CI, mode="request")
    async with opened(tmp_path, registry, rule) as one, opened(tmp_path, registry, rule) as two:
        await occur(one, two)
        assert len(await all_requests(one)) == 4
        assert len(await all_previews(one)) == 4
        assert len(await letters(one, "announce")) == 1


async def test_a_request_as_bot_that_nobody_but_approvers_decides(
    tmp_path: Path, registry: RealRegistry
) -> None:
    await aged(registry.url, "ci/old", 2019, 2020)
    async with opened(tmp_path, registry, replace(CI, mode="request")) as rig:
        await occur(rig)
        (request,) = await all_requests(rig)
        assert (request.requester, request.action, request.state) == (
            "bot",
            "cleanup",
            State.PENDING,
        )
        assert request.reason == "retention rule ci"
        assert await letters(rig, "preview") == []
        # While it waits, the next occurrence does not ask again.
        await occur(rig, late=100)
        assert len(await all_requests(rig)) == 1
        assert (await letters(rig, "announce"))[-1]["data"]["failed"] == [
            ["ci/old", "R1 asks for it already."]
        ]
        done = await rig.done(request, BOB)
        assert done.state is State.DONE


CONFIRMED = Rule("free", frozenset({Action.CLEANUP}), approval=Approval.CONFIRM)
FORBIDDEN = Rule("no", frozenset({Action.CLEANUP}), effect="deny")


@pytest.mark.parametrize(
    ("rule", "said"),
    [(CONFIRMED, "and the bot confirms nothing"), (FORBIDDEN, "The rule “no” forbids cleanup")],
)
async def test_where_a_schedule_may_not_ask_it_shows(
    tmp_path: Path, registry: RealRegistry, rule: Rule, said: str
) -> None:
    await aged(registry.url, "ci/old", 2019, 2020)
    by = policy(rules=[rule])
    async with opened(tmp_path, registry, replace(CI, mode="request"), by=by) as rig:
        await occur(rig)
        assert await all_requests(rig) == []
        (preview,) = await all_previews(rig)
        assert preview.state is PreviewState.READY
        assert said in preview.result.note
        if rule is CONFIRMED:
            request = await rig.cleanup(preview, ANN)
            assert (request.requester, request.approval) == (ANN, "confirm")


async def test_what_is_protected_stays_also_by_schedule(
    tmp_path: Path, registry: RealRegistry
) -> None:
    await aged(registry.url, "ci/old", 2018, 2019, 2020)
    by = policy(protected=[Protection(tags=("v2018",))])
    async with opened(tmp_path, registry, replace(CI, mode="request"), by=by) as rig:
        await occur(rig)
        (request,) = await all_requests(rig)
        assert [item.tag for item in request.items] == ["v2019"]


async def test_a_crash_in_the_middle_repeats_nothing(
    tmp_path: Path, registry: RealRegistry
) -> None:
    for n in range(3):
        await aged(registry.url, f"ci/{n}", 2019, 2020)
    async with opened(tmp_path, registry, replace(CI, mode="request")) as rig:
        retaining = Retaining(rig.ctx)
        payload = {"rule": "ci", "registry": "corp", "run": "ci@1"}
        async with rig.store.transaction() as tx:
            await tx.jobs.add(RETENTION, payload)
        seen: list[str] = []

        async def one(job: Job, *args: Any) -> None:
            if len(seen) == 2:
                raise RuntimeError("killed")
            seen.append(args[-1])
            await Retaining._one(retaining, job, *args)

        retaining._one = one  # type: ignore[method-assign]
        job = await rig.store.claim_job("first", 0.01)
        assert job is not None
        with pytest.raises(RuntimeError):
            await retaining.run(job)
        async with rig.store.transaction() as tx:
            await tx.conn.execute(jobs.update().values(lease_until=db_now() - 1))
        again = await rig.store.claim_job("second", 9.0)
        assert again is not None
        await Retaining(rig.ctx).run(again)
        assert len(await all_requests(rig)) == 3
        (line,) = await letters(rig, "announce")
        assert line["data"]["requested"] == 3


async def test_a_registry_that_is_gone_is_told_of(tmp_path: Path, registry: RealRegistry) -> None:
    async with Rig.open(tmp_path, registry.url, retention=(CI,), deadline=0.5) as rig:
        registry.stop()
        await occur(rig)
        (line,) = await letters(rig, "announce")
        assert line["notice"] == "retention failed"


# ── Collections ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def controlled(tmp_path: Path) -> Any:
    registry = ControlledRegistry(tmp_path)
    registry.start()
    yield registry
    registry.stop()


@contextlib.asynccontextmanager
async def collecting(
    tmp_path: Path, registry: ControlledRegistry, by: Policy | None = None
) -> AsyncIterator[Rig]:
    async with Rig.open(tmp_path, registry.url, rules=by, gc=registry.settings()) as rig:
        due = replace(rig.registry, gc_schedule="sun 03:00")
        yield Rig(replace(rig.ctx, registries={"corp": due}))


async def test_a_collection_is_asked_for_as_bot(
    tmp_path: Path, controlled: ControlledRegistry
) -> None:
    await aged(controlled.url, "team/x", 2020)
    async with collecting(tmp_path, controlled) as rig:
        await occur(rig)
        (request,) = await all_requests(rig)
        assert (request.requester, request.action, request.state) == ("bot", "gc", State.PENDING)
        await occur(rig, late=100)
        assert len(await all_requests(rig)) == 1
        assert await letters(rig, "announce") == []


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            Rule("gc", frozenset({Action.GC}), approval=Approval.CONFIRM),
            "and the bot confirms nothing",
        ),
        (Rule("no", frozenset({Action.GC}), effect="deny"), "forbids gc"),
    ],
)
async def test_where_a_schedule_may_not_collect_there_is_a_button(
    tmp_path: Path, controlled: ControlledRegistry, rule: Rule, said: str
) -> None:
    await aged(controlled.url, "team/x", 2020)
    async with collecting(tmp_path, controlled, policy(rules=[rule])) as rig:
        await occur(rig)
        assert await all_requests(rig) == []
        (line,) = await letters(rig, "announce")
        assert line["notice"] == "collection due"
        assert said in line["data"]["why"]


async def test_bot_approves_and_confirms_nothing(tmp_path: Path, registry: RealRegistry) -> None:
    await aged(registry.url, "ci/old", 2019, 2020)
    async with opened(tmp_path, registry, replace(CI, mode="request")) as rig:
        await occur(rig)
        (request,) = await all_requests(rig)
        rule = rig.ctx.policy.rule(request.rule)
        assert rule is not None
        assert rig.ctx.policy.may_approve(rule, BOT, BOT) != ""
