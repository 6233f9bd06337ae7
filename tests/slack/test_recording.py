"""What comes in is written down together, ahead of others, and never after it was given up."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.slack.payloads import Row
from bot.slack.recording import Outcome, Recorder
from bot.store.schema import jobs
from bot.store.store import Store

pytestmark = pytest.mark.anyio
LONG = 60.0
MOST = 1000


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = await Store.open(f"sqlite:///{tmp_path}/bot.db")
    yield made
    await made.close()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program has the database."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("COMMIT")


async def write(recorder: Recorder, key: str, row: Row, patience: float = LONG) -> bool:
    outcome = await recorder.record("command", key, row, patience, among=("command", "click"))
    return outcome is Outcome.RECORDED


async def recorded(store: Store) -> list[str]:
    async with store.reading() as tx:
        found = await tx.conn.scalars(sa.select(jobs.c.dedupe).order_by(jobs.c.id))
        return [str(one) for one in found]


async def test_a_crowd_is_written_in_one_transaction(store: Store) -> None:
    recorder, begun = Recorder(store, MOST), 0
    transaction = store.transaction

    def counted(**how: bool) -> object:
        nonlocal begun
        begun += 1
        assert how == {"urgent": True}
        return transaction(**how)

    store.transaction = counted  # type: ignore[method-assign,assignment]
    asked = [write(recorder, f"k{n}", {"n": n}) for n in range(150)]
    assert set(await asyncio.gather(*asked)) == {True}
    assert begun <= 2
    assert await recorded(store) == [f"k{n}" for n in range(150)]
    assert await write(recorder, "k7", {"n": 7}), "twice is once"
    assert len(await recorded(store)) == 150


async def test_whoever_was_told_no_is_not_written_and_the_others_are(
    store: Store, tmp_path: Path
) -> None:
    recorder = Recorder(store, MOST)
    with locked(tmp_path / "bot.db"):
        patient = asyncio.create_task(write(recorder, "patient", {}))
        assert not await write(recorder, "hasty", {}, 0.1)
        assert not patient.done()
    assert await patient
    assert await write(recorder, "later", {})
    assert await recorded(store) == ["patient", "later"]


async def test_what_was_given_up_half_way_is_taken_back(store: Store) -> None:
    recorder = Recorder(store, MOST)
    really, gone = Recorder._still_wanted, asyncio.Event()

    def given_up(entries: object) -> None:
        if not gone.is_set():
            gone.set()
            next(e for e in entries if e.job.dedupe == "a").written.cancel()  # type: ignore[attr-defined]
        really(entries)  # type: ignore[arg-type]

    recorder._still_wanted = given_up  # type: ignore[method-assign,assignment]
    first = asyncio.create_task(write(recorder, "a", {}))
    assert await write(recorder, "b", {})
    with contextlib.suppress(asyncio.CancelledError):
        await first
    assert await recorded(store) == ["b"]


async def test_one_that_cannot_be_written_keeps_nobody_else_out(store: Store) -> None:
    recorder = Recorder(store, MOST)
    unfit = {"what": object()}  # no JSON
    asked = [write(recorder, f"k{n}", unfit if n == 3 else {}) for n in range(6)]
    assert await asyncio.gather(*asked) == [n != 3 for n in range(6)]
    assert await recorded(store) == [f"k{n}" for n in range(6) if n != 3]


async def test_it_goes_before_those_who_are_in_no_hurry(store: Store) -> None:
    recorder, order = Recorder(store, MOST), []
    entered = asyncio.Event()

    async def slowly(name: str) -> None:
        async with store.transaction():
            entered.set()
            await asyncio.sleep(0.05)
            order.append(name)

    async def quickly() -> None:
        await write(recorder, "k", {})
        order.append("recorded")

    working = [asyncio.create_task(slowly(f"job {n}")) for n in range(10)]
    await entered.wait()
    await quickly()
    await asyncio.gather(*working)
    assert order.index("recorded") <= 2


async def test_where_too_many_wait_no_more_are_taken(store: Store) -> None:
    recorder = Recorder(store, 3)
    asked = [write(recorder, f"k{n}", {}) for n in range(5)]
    assert await asyncio.gather(*asked) == [True] * 3 + [False] * 2
    outcome = await recorder.record("click", "one more", {}, LONG, among=("command", "click"))
    assert outcome is Outcome.CROWDED
    urgent = await recorder.record("urgent", "stop", {}, LONG, among=("urgent",))
    assert urgent is Outcome.RECORDED
    assert await recorded(store) == ["k0", "k1", "k2", "stop"]
