"""Jobs are handed out once, by lease and fence, one exclusive job of a registry at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from bot.store.jobs import Job, LeaseLost
from bot.store.schema import db_now, jobs
from bot.store.store import Store, Transaction
from tests.support.clock import pass_by

pytestmark = pytest.mark.anyio

LONG = 600.0


async def _add(store: Store, kind: str = "untag", **values: Any) -> bool:
    async with store.transaction() as tx:
        return await tx.jobs.add(kind, **values)


async def _claim(store: Store, worker: str = "a", lease: float = LONG) -> Job:
    job = await store.claim_job(worker, lease)
    assert job is not None
    return job


async def _taken_over(store: Store, other: Store) -> tuple[Job, Job]:
    """The claim of a worker that slept too long, and that of its successor."""
    await _add(store, exclusive=True, registry="corp")
    first = await _claim(store, "a")
    assert await other.claim_job("b", LONG) is None, "the lease still holds"
    await pass_by(store, LONG + 1)
    return first, await _claim(other, "b")


async def _row(store: Store, number: int) -> sa.RowMapping:
    async with store.reading() as tx:
        return (await tx.conn.execute(sa.select(jobs).where(jobs.c.id == number))).mappings().one()


async def test_a_claim_brings_everything_that_was_queued(store: Store) -> None:
    await _add(store, "collect", payload={"n": 1}, registry="corp", exclusive=True, request_id=42)
    job = await _claim(store)
    assert (job.kind, job.payload, job.registry, job.exclusive, job.request_id) == (
        "collect",
        {"n": 1},
        "corp",
        True,
        42,
    )
    assert (job.attempts, job.fence, job.worker) == (1, 1, "a")
    assert await store.claim_job("b", LONG) is None


async def test_a_second_worker_takes_over_when_the_lease_has_run_out(
    store: Store, other: Store
) -> None:
    first, second = await _taken_over(store, other)
    assert second.id == first.id
    assert second.fence == first.fence + 1
    assert second.attempts == 2
    assert second.worker == "b"


_WRITES: dict[str, Callable[[Transaction, Job], Awaitable[None]]] = {
    "renew": lambda tx, job: tx.jobs.renew(job, LONG),
    "finish": lambda tx, job: tx.jobs.finish(job),
    "put back": lambda tx, job: tx.jobs.put_back(job),
    "put back, forgiven": lambda tx, job: tx.jobs.put_back(job, forgive=True),
}


@pytest.mark.parametrize("write", _WRITES.values(), ids=_WRITES.keys())
async def test_whoever_lost_the_lease_can_write_nothing(
    store: Store, other: Store, write: Callable[[Transaction, Job], Awaitable[None]]
) -> None:
    first, second = await _taken_over(store, other)

    async def wakes_up() -> None:
        async with store.transaction() as tx:
            await tx.audit.append("tag.deleted")
            await write(tx, first)

    with pytest.raises(LeaseLost, match="another process"):
        await wakes_up()
    with pytest.raises(LeaseLost):
        async with store.transaction(first):
            pytest.fail("this must not be reached")
    async with store.reading() as tx:
        assert await tx.audit.entries() == []
    row = await _row(store, second.id)
    assert (row["state"], row["worker"], row["fence"]) == ("running", "b", second.fence)
    async with other.transaction(second) as tx:
        await tx.jobs.finish(second)


async def test_the_same_worker_with_an_old_fence_can_write_nothing(store: Store) -> None:
    """A process that claims its own abandoned job again has two tasks with one name."""
    await _add(store)
    first = await _claim(store, "a", 0.0)
    await asyncio.sleep(0.01)
    second = await _claim(store, "a")
    assert second.id == first.id
    with pytest.raises(LeaseLost):
        async with store.transaction(first):
            pytest.fail("this must not be reached")
    async with store.transaction(second) as tx:
        await tx.jobs.finish(second)


async def test_a_renewed_lease_is_not_taken_over(store: Store, other: Store) -> None:
    await _add(store)
    job = await _claim(store, "a")
    for _ in range(3):
        await pass_by(store, LONG * 2 / 3)
        async with store.transaction() as tx:
            await tx.jobs.renew(job, LONG)
        assert await other.claim_job("b", LONG) is None


async def test_every_write_for_a_job_extends_its_lease(store: Store, other: Store) -> None:
    await _add(store)
    job = await _claim(store, "a")
    await pass_by(store, LONG * 2 / 3)
    async with store.transaction(job) as tx:
        await tx.audit.append("tag.deleted")
    await pass_by(store, LONG * 2 / 3)
    assert await other.claim_job("b", LONG) is None


async def test_a_lease_that_ran_out_but_was_not_taken_still_holds(store: Store) -> None:
    """Nobody else has it, so nothing can be written twice: the owner goes on."""
    await _add(store)
    job = await _claim(store, "a", 0.0)
    await asyncio.sleep(0.01)
    async with store.transaction(job) as tx:
        await tx.audit.append("tag.deleted")
    assert await store.claim_job("b", LONG) is None


async def test_a_finished_job_is_over_and_forgets_its_payload(store: Store) -> None:
    await _add(store, payload={"response_url": "https://hooks.slack.com/commands/secret"})
    job = await _claim(store, lease=0.0)
    async with store.transaction() as tx:
        await tx.jobs.finish(job, "failed")
    await asyncio.sleep(0.01)
    assert await store.claim_job("b", LONG) is None
    row = await _row(store, job.id)
    assert (row["state"], row["outcome"], row["payload"]) == ("done", "failed", {})
    with pytest.raises(LeaseLost):
        async with store.transaction(job):
            pytest.fail("this must not be reached")


async def test_a_dropped_job_never_runs_and_forgets_its_payload(store: Store) -> None:
    await _add(store, "expire", request_id=1, payload={"secret": "x"})
    await _add(store, "expire", request_id=2)
    await _add(store, "untag", request_id=1)
    async with store.transaction() as tx:
        await tx.jobs.drop("expire", 1)
    assert (await _row(store, 1))["payload"] == {}
    left = [await _claim(store), await _claim(store)]
    assert [(job.kind, job.request_id) for job in left] == [("expire", 2), ("untag", 1)]
    assert await store.claim_job("a", LONG) is None


async def test_only_one_exclusive_job_of_a_registry_runs(store: Store) -> None:
    for registry in ("corp", "corp", "edge"):
        await _add(store, "collect", registry=registry, exclusive=True)
    await _add(store, "look", registry="corp")
    first = await _claim(store)
    assert [first.registry, (await _claim(store)).registry] == ["corp", "edge"]
    assert (await _claim(store)).kind == "look", "what is not exclusive does not wait"
    assert await store.claim_job("b", LONG) is None
    async with store.transaction() as tx:
        assert await tx.jobs.running_exclusive("corp") == ("collect", None)
        await tx.jobs.finish(first)
        assert await tx.jobs.running_exclusive("corp") is None
    assert (await _claim(store)).registry == "corp"


async def test_an_abandoned_exclusive_job_goes_before_those_that_wait(
    store: Store, other: Store
) -> None:
    await _add(store, "collect", registry="corp", exclusive=True)
    first = await _claim(store, "a")
    async with store.transaction() as tx:
        await tx.jobs.add("untag", registry="corp", exclusive=True, at=1.0)
        await tx.jobs.add("look", at=1.0)
    await pass_by(store, LONG + 1)
    again = await _claim(other, "b")
    assert (again.id, again.attempts) == (first.id, 2)


async def test_the_database_itself_refuses_a_second_exclusive_run(store: Store) -> None:
    for registry in ("corp", "corp", "edge"):
        await _add(store, "collect", registry=registry, exclusive=True)
    await _add(store, "look", registry="corp")
    run = sa.text("UPDATE jobs SET state = 'running' WHERE id = :id")
    async with store.transaction() as tx:
        await tx.conn.execute(run, {"id": 1})
        await tx.conn.execute(run, {"id": 3})
        await tx.conn.execute(run, {"id": 4})
    with pytest.raises(IntegrityError):
        async with store.transaction() as tx:
            await tx.conn.execute(run, {"id": 2})
    insert = sa.text(
        "INSERT INTO jobs (kind, registry, exclusive, payload, state, run_at, created_at) "
        "VALUES ('collect', 'corp', true, '{}', 'running', 0, 0)"
    )
    with pytest.raises(IntegrityError):
        async with store.transaction() as tx:
            await tx.conn.execute(insert)
    assert (await _row(store, 2))["state"] == "queued"


async def test_jobs_are_taken_in_the_order_of_their_time_then_of_their_number(
    store: Store,
) -> None:
    for kind, at in (("third", 30.0), ("first", 10.0), ("second", 20.0), ("fourth", 30.0)):
        await _add(store, kind, at=at)
    taken = [(await _claim(store)).kind for _ in range(4)]
    assert taken == ["first", "second", "third", "fourth"]


async def test_a_job_does_not_run_before_its_time(store: Store) -> None:
    await _add(store, "later", delay=LONG)
    assert await store.claim_job("a", LONG) is None
    async with store.reading() as tx:
        wait = await tx.jobs.seconds_until_next()
        assert wait is not None
        assert 0 < wait <= LONG
        assert await tx.jobs.depth() == 0
    await pass_by(store, LONG + 1)
    assert (await _claim(store)).kind == "later"


async def test_what_waits_for_a_registry_is_not_due_before_it_is_free(store: Store) -> None:
    for kind in ("collect", "untag"):
        await _add(store, kind, registry="corp", exclusive=True)
    collecting = await _claim(store)
    async with store.reading() as tx:
        wait = await tx.jobs.seconds_until_next()
        assert wait is not None
        assert wait > LONG / 2, "only the lease of the one that runs can end sooner"
    async with store.transaction() as tx:
        await tx.jobs.finish(collecting)
        assert await tx.jobs.seconds_until_next() == 0.0


async def test_a_woken_job_runs_at_once(store: Store) -> None:
    await _add(store, "end window", request_id=1, delay=3600)
    await _add(store, "end window", request_id=2, delay=3600)
    async with store.transaction() as tx:
        await tx.jobs.wake("end window", 2)
    assert (await _claim(store)).request_id == 2
    assert await store.claim_job("a", LONG) is None


async def test_waiting_is_measured_to_the_next_lease_as_well(store: Store) -> None:
    async with store.reading() as tx:
        assert await tx.jobs.seconds_until_next() is None
    await _add(store)
    await _claim(store, lease=500.0)
    await _add(store, "later", delay=1000.0)
    async with store.reading() as tx:
        wait = await tx.jobs.seconds_until_next()
        assert wait is not None
        assert 300 < wait <= 500
        assert (await tx.jobs.depth(), await tx.jobs.running()) == (0, 1)
    await pass_by(store, 501.0)
    async with store.reading() as tx:
        assert (await tx.jobs.depth(), await tx.jobs.running()) == (1, 0)


async def test_only_the_wanted_kinds_are_claimed(store: Store) -> None:
    await _add(store, "untag")
    await _add(store, "purge")
    async with store.transaction() as tx:
        assert await tx.jobs.claim("a", LONG, ["gc"]) is None
        job = await tx.jobs.claim("a", LONG, ["gc", "purge"])
    assert job is not None
    assert job.kind == "purge"


async def test_a_dedupe_key_exists_once_for_ever(store: Store, other: Store) -> None:
    assert await _add(store, "command", dedupe="trigger-1")
    assert not await _add(other, "command", dedupe="trigger-1")
    job = await _claim(store)
    async with store.transaction() as tx:
        await tx.jobs.finish(job)
    assert not await _add(store, "command", dedupe="trigger-1"), "also after it has run"
    assert await _add(store, "command", dedupe="trigger-2")
    assert await _add(store, "command")
    assert await _add(store, "command"), "no key, no restriction"


async def test_two_deliveries_at_once_make_one_job(store: Store, other: Store) -> None:
    added = await asyncio.gather(*(_add(s, dedupe="trigger") for s in (store, other) * 10))
    assert added.count(True) == 1


async def test_a_job_that_is_put_back_counts_its_attempts(store: Store) -> None:
    await _add(store)
    for attempt in (1, 2, 3):
        job = await _claim(store)
        assert (job.attempts, job.fence) == (attempt, attempt)
        async with store.transaction() as tx:
            await tx.jobs.put_back(job)


async def test_a_forgiven_job_does_not_count_but_its_fence_grows(store: Store) -> None:
    await _add(store)
    for fence in (1, 2, 3):
        job = await _claim(store)
        assert (job.attempts, job.fence) == (1, fence)
        async with store.transaction() as tx:
            await tx.jobs.put_back(job, forgive=True)


async def test_a_job_is_put_back_for_later_and_frees_the_registry(store: Store) -> None:
    await _add(store, "first", registry="corp", exclusive=True)
    await _add(store, "second", registry="corp", exclusive=True)
    first = await _claim(store)
    async with store.transaction() as tx:
        await tx.jobs.put_back(first, delay=3600)
        with pytest.raises(LeaseLost):
            await tx.jobs.finish(first)
    second = await _claim(store)
    assert second.kind == "second"
    async with store.transaction() as tx:
        await tx.jobs.finish(second)
    assert await store.claim_job("a", LONG) is None


async def _history(store: Store, *rows: dict[str, Any]) -> float:
    """Write jobs with times relative to now; returns now."""
    async with store.transaction() as tx:
        now = await tx.now()
        for row in rows:
            times = {k: now + v for k, v in row.items() if k in {"started_at", "finished_at"}}
            values = {"kind": "collect", "registry": "corp", "exclusive": True, "payload": {}}
            await tx.conn.execute(
                jobs.insert().values(
                    **{**values, **row, **times}, run_at=db_now(), created_at=db_now()
                )
            )
    return now


async def test_busy_seconds_counts_what_others_held_since_then(store: Store) -> None:
    """In kiloseconds, so that a slow machine changes nothing."""
    now = await _history(
        store,
        {"state": "done", "started_at": -500e3, "finished_at": -400e3},  # over before
        {"state": "done", "started_at": -150e3, "finished_at": -70e3},  # 30 of it
        {"state": "done", "started_at": -60e3, "finished_at": -50e3},  # all 10
        {"state": "running", "started_at": -5e3},  # 5 so far
        {"state": "done", "started_at": -90e3, "finished_at": -80e3, "registry": "edge"},
        {"state": "done", "started_at": -90e3, "finished_at": -80e3, "exclusive": False},
        {"state": "queued"},
    )
    async with store.reading() as tx:
        assert await tx.jobs.busy_seconds("corp", now - 100e3, 0) == pytest.approx(45e3, abs=500)
        assert await tx.jobs.busy_seconds("corp", now - 100e3, 3) == pytest.approx(35e3, abs=500)
        assert await tx.jobs.busy_seconds("corp", now - 55e3, 0) == pytest.approx(10e3, abs=500)
        assert await tx.jobs.busy_seconds("nobody", now - 100e3, 0) == 0.0


async def test_a_hundred_jobs_are_each_handed_out_once(store: Store, other: Store) -> None:
    async with store.transaction() as tx:
        for number in range(100):
            await tx.jobs.add("untag", payload={"n": number})
    claims = await asyncio.gather(
        *(s.claim_job(f"w{n}", LONG) for n in range(60) for s in (store, other))
    )
    jobs_ = [job for job in claims if job is not None]
    assert sorted(job.payload["n"] for job in jobs_) == list(range(100))
    assert len(claims) - len(jobs_) == 20
    assert all(job.fence == 1 for job in jobs_)


async def test_a_hundred_workers_never_share_a_registry(store: Store, other: Store) -> None:
    async with store.transaction() as tx:
        for _ in range(10):
            await tx.jobs.add("collect", registry="corp", exclusive=True)
    holders = 0
    finished: list[int] = []

    async def work(store: Store, name: str) -> None:
        nonlocal holders
        while len(finished) < 10:
            job = await store.claim_job(name, LONG)
            if job is None:
                await asyncio.sleep(0.001)
                continue
            holders += 1
            assert holders == 1
            async with store.transaction(job) as tx:
                assert await tx.jobs.running_exclusive("corp") == ("collect", None)
            holders -= 1
            async with store.transaction(job) as tx:
                await tx.jobs.finish(job)
            finished.append(job.id)

    async with asyncio.timeout(60):
        await asyncio.gather(*(work(s, f"w{n}") for n in range(5) for s in (store, other)))
    assert sorted(finished) == list(range(1, 11))


async def test_a_claim_wakes_nobody(store: Store) -> None:
    """Two idle workers would wake each other for ever."""
    await _add(store)
    store.worked.clear()
    await _claim(store)
    assert await store.claim_job("b", LONG) is None
    assert not store.worked.is_set()


async def test_a_job_that_was_begun_is_never_seen_queued(store: Store, other: Store) -> None:
    async with store.transaction() as tx:
        job = await tx.jobs.begin("terminal", {"text": "status"}, "a", LONG)
        assert (job.kind, job.worker, job.attempts, job.fence) == ("terminal", "a", 1, 1)
    assert await other.claim_job("b", LONG) is None
    async with store.transaction(job) as tx:  # the claim is a real one
        await tx.jobs.finish(job)
    assert (await _row(store, job.id))["state"] == "done"


async def test_a_begun_job_whose_owner_died_is_found(store: Store) -> None:
    async with store.transaction() as tx:
        begun = await tx.jobs.begin("terminal", {}, "a", 0.0)
    assert (await _claim(store, "b")).id == begun.id


async def test_a_claim_for_one_request_leaves_the_others(store: Store) -> None:
    await _add(store, "untag", registry="corp", exclusive=True, request_id=1)
    await _add(store, "expire", request_id=2)
    await _add(store, "command")
    assert await store.claim_job("a", LONG, request=3) is None
    await _add(store, "untag", registry="corp", exclusive=True, request_id=3)
    job = await store.claim_job("a", LONG, request=3)
    assert job is not None
    assert job.request_id == 3
    assert await store.claim_job("a", LONG, request=3) is None


async def test_a_claim_for_one_request_takes_up_what_was_begun_on_its_registry(
    store: Store,
) -> None:
    """A collection that lost its process may have left the registry read-only."""
    await _add(store, "collect", registry="corp", exclusive=True, request_id=1)
    await _add(store, "collect", registry="edge", exclusive=True, request_id=2)
    for _ in range(2):
        await _claim(store, "dies", 0.0)
    await _add(store, "untag", registry="corp", exclusive=True, request_id=3)
    first = await store.claim_job("a", LONG, request=3)
    assert first is not None
    assert (first.kind, first.request_id) == ("collect", 1)
    assert await store.claim_job("a", LONG, request=3) is None, "the registry is taken"
    async with store.transaction(first) as tx:
        await tx.jobs.finish(first)
    second = await store.claim_job("a", LONG, request=3)
    assert second is not None
    assert second.request_id == 3


async def test_a_response_url_is_forgotten_after_its_time_while_a_job_waits(store: Store) -> None:
    url = "https://hooks.slack.com/commands/T0/1/secret"
    for text in ("old", "old too", "new"):
        if text == "new":
            await pass_by(store, LONG)
        await _add(store, "command", payload={"text": text, "response_url": url})
    await _claim(store)
    async with store.transaction() as tx:
        await tx.jobs.forget_old_urls(LONG)
    payloads = [(await _row(store, number))["payload"] for number in (1, 2, 3)]
    assert payloads == [
        {"text": "old", "response_url": None},
        {"text": "old too", "response_url": None},
        {"text": "new", "response_url": url},
    ]
