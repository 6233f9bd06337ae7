"""The loop that carries jobs out: once each, again when they fail, told when it gives up."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot.operations import worker
from bot.operations.context import Context, Timing
from bot.operations.worker import Handler, TryLater, Worker
from bot.rules.policy import Policy
from bot.store.jobs import Job
from bot.store.store import Store

pytestmark = pytest.mark.anyio
TIMING = Timing(lease=0.6, retry=0.01, drain=0.2)


@pytest.fixture
async def ctx(tmp_path: Path) -> AsyncIterator[Context]:
    store = await Store.open(f"sqlite:///{tmp_path}/bot.db", TIMING.lease)
    yield Context(store, Policy(), {}, 500, ZoneInfo("UTC"), TIMING)
    await store.close()


async def _add(ctx: Context, kind: str = "work", **more: object) -> None:
    async with ctx.store.transaction() as tx:
        await tx.jobs.add(kind, **more)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def _running(*workers: Worker) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    try:
        yield
    finally:
        for worker in workers:
            worker.stop()
        await asyncio.gather(*tasks)


class Seen:
    """Notes what was run and given up."""

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.given_up: list[str] = []
        self.ended = asyncio.Event()

    async def give_up(self, _: Job, why: str) -> None:
        self.given_up.append(why)
        self.ended.set()


async def test_a_job_that_keeps_failing_is_given_up_and_said(ctx: Context) -> None:
    seen = Seen()

    async def fail(job: Job) -> None:
        seen.runs.append(job.attempts)
        raise RuntimeError("boom")

    await _add(ctx)
    async with _running(Worker(ctx, {"work": Handler(fail, seen.give_up, attempts=3)})):
        await asyncio.wait_for(seen.ended.wait(), 10)
    assert seen.runs == [1, 2, 3]
    assert seen.given_up == ["RuntimeError"]


async def test_waiting_is_not_an_attempt(ctx: Context) -> None:
    seen = Seen()

    async def wait(job: Job) -> None:
        seen.runs.append(job.attempts)
        if len(seen.runs) < 10:
            raise TryLater(0.01)
        seen.ended.set()

    await _add(ctx)
    async with _running(Worker(ctx, {"work": Handler(wait, seen.give_up, attempts=3)})):
        await asyncio.wait_for(seen.ended.wait(), 10)
    assert seen.runs == [1] * 10
    assert seen.given_up == []


async def test_a_job_that_kills_its_process_again_and_again_is_given_up(ctx: Context) -> None:
    seen = Seen()
    await _add(ctx)
    for _ in range(3):
        assert await ctx.store.claim_job("dies", lease=0.0)

    async def never(_: Job) -> None:
        seen.runs.append(1)

    async with _running(Worker(ctx, {"work": Handler(never, seen.give_up, attempts=3)})):
        await asyncio.wait_for(seen.ended.wait(), 10)
    assert seen.runs == []
    assert seen.given_up == ["it was tried too often"]


async def test_long_work_keeps_its_lease(ctx: Context) -> None:
    seen = Seen()

    async def long(_: Job) -> None:
        seen.runs.append(1)
        await asyncio.sleep(TIMING.lease * 2.5)  # longer than a lease: that is what is tested
        seen.ended.set()

    await _add(ctx)
    handlers = {"work": Handler(long, seen.give_up)}
    async with _running(Worker(ctx, handlers), Worker(ctx, handlers)):
        await asyncio.wait_for(seen.ended.wait(), 10)
    assert seen.runs == [1]


async def test_a_worker_that_lost_its_lease_is_stopped(ctx: Context) -> None:
    seen, cancelled, begun = Seen(), asyncio.Event(), asyncio.Event()

    async def long(_: Job) -> None:
        begun.set()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    await _add(ctx)
    async with _running(Worker(ctx, {"work": Handler(long, seen.give_up)})):
        await asyncio.wait_for(begun.wait(), 10)
        async with ctx.store.transaction() as tx:
            # As if this process had been paused and somebody else had taken the job.
            await tx.conn.exec_driver_sql("UPDATE jobs SET fence = fence + 1, worker = 'other'")
        await asyncio.wait_for(cancelled.wait(), 10)


async def test_ordinary_work_never_takes_every_place(ctx: Context) -> None:
    """However many slow commands came first, a decision is carried out beside them."""
    begun, decided, free = Seen(), asyncio.Event(), asyncio.Event()

    async def slow(job: Job) -> None:
        begun.runs.append(job.id)
        if len(begun.runs) == worker._ORDINARY:
            begun.ended.set()
        await free.wait()

    async def decide(_: Job) -> None:
        decided.set()

    for _ in range(worker._ORDINARY * 2):
        await _add(ctx, "slow")
    handlers = {"slow": Handler(slow, begun.give_up), "decide": Handler(decide, begun.give_up)}
    async with _running(Worker(ctx, handlers, ordinary=["slow"])):
        await asyncio.wait_for(begun.ended.wait(), 10)
        await _add(ctx, "decide")
        await asyncio.wait_for(decided.wait(), 10)
        assert len(begun.runs) == worker._ORDINARY
        free.set()
        async with asyncio.timeout(10):
            while len(begun.runs) < worker._ORDINARY * 2:
                await asyncio.sleep(0.01)
    assert len(set(begun.runs)) == worker._ORDINARY * 2


async def test_each_job_runs_once_with_two_workers(ctx: Context) -> None:
    seen = Seen()

    async def work(job: Job) -> None:
        seen.runs.append(int(job.payload["n"]))
        if len(seen.runs) == 60:
            seen.ended.set()

    for n in range(60):
        await _add(ctx, payload={"n": n})
    handlers = {"work": Handler(work, seen.give_up)}
    async with _running(Worker(ctx, handlers), Worker(ctx, handlers)):
        await asyncio.wait_for(seen.ended.wait(), 20)
        await asyncio.sleep(0.1)
    assert sorted(seen.runs) == list(range(60))


async def test_exclusive_jobs_of_a_registry_run_one_after_the_other(ctx: Context) -> None:
    seen, at_once = Seen(), [0, 0]

    async def work(_: Job) -> None:
        at_once[0] += 1
        at_once[1] = max(at_once)
        await asyncio.sleep(0.02)
        at_once[0] -= 1
        seen.runs.append(1)
        if len(seen.runs) == 6:
            seen.ended.set()

    for _ in range(6):
        await _add(ctx, registry="corp", exclusive=True)
    handlers = {"work": Handler(work, seen.give_up)}
    async with _running(Worker(ctx, handlers), Worker(ctx, handlers)):
        await asyncio.wait_for(seen.ended.wait(), 20)
    assert at_once[1] == 1


async def test_a_stopped_worker_hands_over_what_it_cannot_finish(ctx: Context) -> None:
    seen, begun = Seen(), asyncio.Event()

    async def long(_: Job) -> None:
        seen.runs.append(1)
        begun.set()
        await asyncio.sleep(30 if len(seen.runs) == 1 else 0)
        seen.ended.set()

    await _add(ctx)
    handlers = {"work": Handler(long, seen.give_up)}
    async with _running(Worker(ctx, handlers)):
        await asyncio.wait_for(begun.wait(), 10)
    async with _running(Worker(ctx, handlers)):
        await asyncio.wait_for(seen.ended.wait(), 10)
    assert seen.runs == [1, 1]


async def test_a_worker_for_one_request_leaves_the_others(ctx: Context) -> None:
    seen = Seen()

    async def work(job: Job) -> None:
        seen.runs.append(job.request_id or 0)
        seen.ended.set()

    for number in (1, 2, 3):
        await _add(ctx, request_id=number)
    async with _running(Worker(ctx, {"work": Handler(work, seen.give_up)}, request=2)):
        await asyncio.wait_for(seen.ended.wait(), 10)
        # The loop has looked for more when it waits again.
        await asyncio.sleep(0.1)
    assert seen.runs == [2]


async def test_work_that_has_finished_its_job_is_not_stopped_on_the_way_back(ctx: Context) -> None:
    seen, outcomes = Seen(), list[str]()

    async def finishes(job: Job) -> None:
        async with ctx.store.transaction(job) as tx:
            await tx.jobs.finish(job)
        await asyncio.sleep(TIMING.lease)  # the heartbeat looks meanwhile
        seen.ended.set()

    await _add(ctx)
    handlers = {"work": Handler(finishes, seen.give_up)}
    async with _running(Worker(ctx, handlers, lambda _, outcome: outcomes.append(outcome))):
        await asyncio.wait_for(seen.ended.wait(), 10)
    assert outcomes == ["ok"]


async def test_in_a_hurry_nothing_is_waited_for(ctx: Context) -> None:
    seen, begun, outcomes = Seen(), asyncio.Event(), list[str]()

    async def long(_: Job) -> None:
        begun.set()
        await asyncio.sleep(3600)

    await _add(ctx)
    patient = dataclasses.replace(ctx, timing=dataclasses.replace(TIMING, drain=3600.0))
    handlers = {"work": Handler(long, seen.give_up)}
    worker = Worker(patient, handlers, lambda _, outcome: outcomes.append(outcome))
    running = asyncio.create_task(worker.run())
    await asyncio.wait_for(begun.wait(), 10)
    worker.stop()
    await asyncio.sleep(0)
    assert not running.done()
    worker.stop(at_once=True)
    await asyncio.wait_for(running, 20)
    assert outcomes == ["handed over"]
    async with ctx.store.reading() as tx:
        assert (await tx.jobs.depth(), await tx.jobs.running()) == (1, 0)
