"""Locks in the store, on both databases."""

import pytest

from bot.rules.locks import Lock
from bot.store.store import Store

pytestmark = pytest.mark.anyio


async def _lock(store: Store, repository: str, seconds: float | None = None) -> Lock:
    async with store.transaction() as tx:
        return await tx.locks.add(
            "corp", repository, reason="we move", actor="U0ANN", team="T0", channel="C0OPS",
            request_id=7, seconds=seconds,
        )  # fmt: skip


async def test_a_lock_holds_until_it_ends(store: Store) -> None:
    forever, timed = await _lock(store, "a"), await _lock(store, "", 3600)
    over = await _lock(store, "b", -1)
    async with store.reading() as tx:
        assert await tx.locks.active("corp") == (forever, timed)
        assert await tx.locks.active("other") == ()
        assert await tx.locks.active_on(["other", "corp"]) == (forever, timed)
        assert await tx.locks.on("corp", "a") == forever
        assert await tx.locks.on("corp", "") == timed
        assert await tx.locks.on("corp", "b") is None
        assert await tx.locks.get(over.id) == over
        assert await tx.locks.get(99) is None
    assert forever.until is None
    assert timed.until is not None
    assert 3590 < timed.until - timed.at < 3610


async def test_a_lock_is_ended_once(store: Store) -> None:
    lock = await _lock(store, "a")
    async with store.transaction() as tx:
        assert await tx.locks.end(lock.id, "U0BOB")
        assert not await tx.locks.end(lock.id, "U0CAT")
        assert await tx.locks.active("corp") == ()


async def test_looking_reads_either_database(store: Store, database: str) -> None:
    lock = await _lock(store, "a")
    looking = await Store.look(database)
    try:
        async with looking.reading() as tx:
            assert await tx.locks.active("corp") == (lock,)
    finally:
        await looking.close()
