"""Opening the database, migrating it, and transactions that happen whole or not at all."""

import asyncio
import random
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.registry.manifest import OCI_MANIFEST, RawManifest
from bot.store import schema
from bot.store import store as store_module
from bot.store.jobs import Job, LeaseLost
from bot.store.store import Store, StoreUnusable, Transaction
from tests.support.planted import SECRET
from tests.support.postgres import Postgres

pytestmark = pytest.mark.anyio


async def _kinds(store: Store) -> list[str]:
    async with store.reading() as tx:
        return list(await tx.conn.scalars(sa.select(schema.jobs.c.kind)))


async def _change_everything(tx: Transaction) -> None:
    await tx.jobs.add("untag")
    await tx.audit.append("request.created")
    await tx.outbox.post({"message": {}})
    await tx.manifests.keep([RawManifest.of(OCI_MANIFEST, b"{}")])


async def test_a_transaction_is_kept_whole(store: Store) -> None:
    async with store.transaction() as tx:
        await _change_everything(tx)
    async with store.reading() as tx:
        assert await tx.jobs.depth() == 1
        assert len(await tx.audit.entries()) == 1
        assert (await tx.outbox.pending())[0] == 1
        digest = RawManifest.of(OCI_MANIFEST, b"{}").digest
        assert (await tx.manifests.get([digest]))[digest].body == b"{}"


async def test_a_transaction_that_fails_leaves_nothing_at_all(store: Store) -> None:
    async def fails_half_way() -> None:
        async with store.transaction() as tx:
            await _change_everything(tx)
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        await fails_half_way()
    async with store.reading() as tx:
        for table in (schema.jobs, schema.audit, schema.outbox, schema.manifests):
            assert await tx.conn.scalar(sa.select(sa.func.count()).select_from(table)) == 0


async def test_a_failed_transaction_wakes_nobody_and_blocks_nobody(store: Store) -> None:
    async def fails() -> None:
        async with store.transaction() as tx:
            await tx.jobs.add("untag")
            raise RuntimeError

    store.worked.clear()
    store.spoke.clear()
    with pytest.raises(RuntimeError):
        await fails()
    assert not store.worked.is_set()
    assert not store.spoke.is_set()
    async with store.transaction() as tx:
        await tx.jobs.add("purge")
    assert store.worked.is_set()
    assert store.spoke.is_set()
    assert await _kinds(store) == ["purge"]


async def test_a_cancelled_transaction_leaves_nothing(store: Store) -> None:
    entered = asyncio.Event()

    async def never_ends() -> None:
        async with store.transaction() as tx:
            await tx.jobs.add("untag")
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(never_ends())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with store.transaction() as tx:
        await tx.jobs.add("purge")
    assert await _kinds(store) == ["purge"]


async def test_what_is_written_while_reading_is_not_kept(store: Store) -> None:
    async with store.reading() as tx:
        await tx.jobs.add("untag")
    assert await _kinds(store) == []


async def test_a_reader_sees_one_moment_whatever_is_written_meanwhile(store: Store) -> None:
    async with store.reading() as reader:
        assert await reader.jobs.depth() == 0
        async with store.transaction() as tx:
            await tx.jobs.add("untag")
        assert await reader.jobs.depth() == 0
    async with store.reading() as reader:
        assert await reader.jobs.depth() == 1


async def test_a_transaction_for_a_lost_job_writes_nothing(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.jobs.add("untag")
    job = await store.claim_job("a", 30)
    assert job is not None
    async with store.transaction() as tx:
        await tx.jobs.finish(job)
    with pytest.raises(LeaseLost):
        async with store.transaction(job):
            pytest.fail("this must not be reached")
    async with store.reading() as tx:
        assert await tx.audit.entries() == []


async def test_migrations_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/bot.db"
    ran: list[int] = []

    async def second(_: object) -> None:
        ran.append(2)

    first = await Store.open(url)
    async with first.transaction() as tx:
        await tx.jobs.add("untag")
    await first.close()
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, second))
    for _ in range(2):
        again = await Store.open(url)
        assert await _kinds(again) == ["untag"]
        await again.close()
    assert ran == [2]


async def test_several_replicas_may_start_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bot.db"
    stores = await asyncio.gather(*(Store.open(url) for _ in range(5)))
    try:
        async with stores[0].transaction() as tx:
            await tx.jobs.add("untag")
        assert await _kinds(stores[4]) == ["untag"]
    finally:
        for store in stores:
            await store.close()


async def test_a_failed_migration_leaves_the_old_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/bot.db"

    async def breaks(conn: AsyncConnection) -> None:
        await conn.exec_driver_sql("CREATE TABLE half (x INTEGER)")
        raise RuntimeError("no")

    await (await Store.open(url)).close()
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, breaks))
        with pytest.raises(StoreUnusable):
            await Store.open(url)
    store = await Store.open(url)
    async with store.reading() as tx:
        tables = await tx.conn.scalars(sa.text("SELECT name FROM sqlite_master"))
        assert "half" not in set(tables)
    await store.close()


async def test_a_schema_of_a_later_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    await (await Store.open(f"sqlite:///{path}")).close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE meta SET value = '7' WHERE key = 'schema'")
    raw.close()
    with pytest.raises(StoreUnusable) as refused:
        await Store.open(f"sqlite:///{path}")
    assert "schema version 7" in refused.value.sentence
    assert f"knows {len(schema.MIGRATIONS)}" in refused.value.sentence
    assert "newer version" in refused.value.hint
    assert "writable" not in refused.value.hint, "nothing is wrong with the file"
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT value FROM meta").fetchone() == ("7",)
    raw.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://user@host/db", "starts with 'mysql'"),
        ("bot.db", "starts with 'bot.db'"),
        ("", "starts with ''"),
    ],
)
async def test_an_unknown_kind_of_database_is_refused(url: str, words: str) -> None:
    with pytest.raises(StoreUnusable) as refused:
        await Store.open(url)
    assert words in refused.value.sentence
    assert "sqlite:///" in refused.value.hint
    assert "postgresql://" in refused.value.hint


async def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable) as refused:
        await Store.open(f"sqlite:///{tmp_path}/nowhere/bot.db")
    assert "unable to open database file" in refused.value.sentence
    assert "sqlalche.me" not in refused.value.sentence
    assert "directory exists" in refused.value.hint


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    path.write_bytes(b"this is not a database, it is a shopping list " * 100)
    with pytest.raises(StoreUnusable) as refused:
        await Store.open(f"sqlite:///{path}")
    assert "not a database" in refused.value.sentence
    assert path.read_bytes().startswith(b"this is not")


async def test_a_password_in_the_url_is_never_repeated() -> None:
    word = f"hunter2{SECRET}"
    for url in (
        f"postgresql://bot:{word}@127.0.0.1:1/db",
        f"postgresql://bot:{word}@127.0.0.1:notaport/db",
        f"mysql://bot:{word}@127.0.0.1/db",
    ):
        with pytest.raises(StoreUnusable) as refused:
            await Store.open(url)
        assert "hunter2" not in refused.value.sentence + refused.value.hint


async def test_the_clock_is_the_databases_and_counts_fractions(store: Store) -> None:
    async with store.transaction() as tx:
        first = await tx.now()
        await asyncio.sleep(0.02)
        second = await tx.now()
    assert 0.01 < second - first < 5


async def test_manifests_are_kept_as_they_first_came_and_in_any_number(store: Store) -> None:
    raws = [RawManifest.of(OCI_MANIFEST, b'{"n":%d}' % n) for n in range(1200)]
    async with store.transaction() as tx:
        await tx.manifests.keep(raws)
        await tx.manifests.keep(raws[:3])
        await tx.manifests.keep_configs({raws[0].digest: {"created": "2024"}})
    async with store.reading() as tx:
        found = await tx.manifests.get(raw.digest for raw in raws)
        assert {digest: raw.body for digest, raw in found.items()} == {
            raw.digest: raw.body for raw in raws
        }
        configs = await tx.manifests.configs(raw.digest for raw in raws)
    assert configs == {raws[0].digest: {"created": "2024"}}


async def test_cancelled_work_never_holds_the_database(store: Store) -> None:
    """At whatever moment somebody stops waiting: all of it happens or nothing, and others go on."""

    async def work(name: str) -> None:
        async with store.transaction() as tx:
            await tx.jobs.add(name, dedupe=f"{name}:1")
            await tx.now()
            await tx.jobs.add(name, dedupe=f"{name}:2")

    chance = random.Random(7)
    for n in range(120):
        task = asyncio.create_task(work(f"k{n}"))
        await asyncio.sleep(chance.random() * 0.008)
        task.cancel()
        await asyncio.wait([task])
        async with asyncio.timeout(5):
            await work(f"free{n}")
    async with store.reading() as tx:
        kind = schema.jobs.c.kind
        counts = sa.select(kind, sa.func.count()).group_by(kind)
        found = {row[0]: row[1] for row in await tx.conn.execute(counts)}
    assert set(found.values()) == {2}
    assert all(f"free{n}" in found for n in range(120))


async def test_a_process_that_is_paused_in_a_transaction_does_not_hold_up_the_others(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_IDLE", 0.5)
    url = postgres.database()
    paused, successor = await Store.open(url), await Store.open(url)
    try:
        async with paused.transaction() as tx:
            await tx.jobs.add("work")
        taken: list[Job] = []

        async def until_taken() -> None:
            while not taken:
                job = await successor.claim_job("successor", 60.0)
                taken.extend([job] if job else [])
                await asyncio.sleep(0.05)

        async def wakes_up() -> None:
            async with paused.transaction() as tx:
                assert await tx.jobs.claim("paused", 60.0)
                await asyncio.wait_for(until_taken(), 30)
                await tx.now()

        with pytest.raises(DBAPIError):
            await wakes_up()
        assert taken
    finally:
        await paused.close()
        await successor.close()
