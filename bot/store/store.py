"""The store: one database, opened once; transactions are the only way in."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot.store.audit import AuditTrail
from bot.store.holdings import Holdings
from bot.store.jobs import Job, Jobs
from bot.store.locks import Locks
from bot.store.manifests import Manifests
from bot.store.outbox import Letter, Outbox
from bot.store.patience import PatientEngine, unbroken
from bot.store.previews import Previews
from bot.store.requests import Reached, Requests, Windows
from bot.store.schema import MIGRATIONS, SchemaTooNew, db_now, migrate, version

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}
_PRAGMAS = ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")
_LOOKING = ("busy_timeout=10000", "query_only=ON")

_IDLE = 5.0
"""Seconds after which PostgreSQL ends a transaction in which nothing happens: less than a lease.

A process that is paused inside one would keep its rows from its successor for as long as it is
paused. SQLite knows no such limit.
"""


class StoreUnusable(Exception):
    """The database cannot be opened, or is locked for too long. `hint` says what to do."""

    def __init__(self, sentence: str, hint: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Transaction:
    """What can be read and written together."""

    conn: AsyncConnection
    requests: Requests
    windows: Windows
    jobs: Jobs
    audit: AuditTrail
    outbox: Outbox
    manifests: Manifests
    locks: Locks
    holdings: Holdings
    previews: Previews

    async def now(self) -> float:
        """The database's clock, epoch seconds."""
        return float(await self.conn.scalar(sa.select(db_now())) or 0.0)


class Store:
    """A database that every replica shares.

    Make one with :meth:`open`. Waiting for work is cheap inside one process: `worked` and
    `spoke` are set whenever a transaction may have queued a job or a letter. `on_reached` is told
    of each state that a request has come into, once that is committed.
    """

    def __init__(self, engine: AsyncEngine, lease: float) -> None:
        self._engine = engine
        self._lease = lease
        # SQLite has one writer; queueing here is fairer than its busy polling.
        self._writer = asyncio.Lock() if engine.dialect.name == "sqlite" else None
        # Whoever is in no hurry queues before the queue: an urgent write waits for two at most.
        self._patient = asyncio.Lock()
        # A transaction of SQLite's sees one moment anyway; PostgreSQL must be asked for that.
        self._reads: dict[str, Any] = (
            {"reading": True} if self._writer else {"isolation_level": "REPEATABLE READ"}
        )
        self.worked = asyncio.Event()
        self.spoke = asyncio.Event()
        self.on_reached: Callable[[Reached], None] = lambda _: None

    @classmethod
    async def open(cls, url: str, lease: float = 7.5) -> "Store":
        """Open the database at `url` and bring its schema up to date.

        Parameters
        ----------
        lease : seconds for which a job stays ours after each write on its behalf.

        Raises
        ------
        StoreUnusable : unknown kind of database, missing driver, no access, or a newer schema.
        """
        store = cls(_engine(url), lease)
        try:
            store._try_sqlite()
            async with store.transaction() as tx:
                await migrate(tx.conn)
        except SchemaTooNew as error:
            await store.close()
            raise StoreUnusable(
                str(error), "run the newer version again, or restore a backup of the store"
            ) from error
        except Exception as error:
            await store.close()
            raise StoreUnusable(
                f"the store cannot be opened: {_reason(error)}",
                "check [store] url, that its directory exists, and that it is writable",
            ) from error
        return store

    @classmethod
    async def look(cls, url: str) -> "Store":
        """Open the database for `reading` only: nothing in it is made, migrated or changed.

        Raises
        ------
        StoreUnusable : there is none, it is not ours, or another version's.
        """
        store = cls(_engine(url, looking=True), 0.0)
        try:
            store._try_looking()
            async with store.reading() as tx:
                found = await version(tx.conn)
        except Exception as error:
            await store.close()
            raise StoreUnusable(
                f"the store cannot be opened: {_reason(error)}",
                "check [store] url, that the database exists, and that it can be read",
            ) from error
        if found == len(MIGRATIONS):
            return store
        await store.close()
        if found == 0:
            raise StoreUnusable("the database is no store of registry-bot", "check [store] url")
        raise StoreUnusable(
            f"the store has schema version {found}, this program knows {len(MIGRATIONS)}",
            "start the bot of this version once (`registry-bot check` will do), or use the newer",
        )

    def _try_looking(self) -> None:
        """Let a file that cannot be read fail here, for the same reason as below."""
        if self._writer:
            address = f"{self._engine.url.database}?mode=ro"
            with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
                connection.execute("SELECT name FROM sqlite_master LIMIT 1")

    def _try_sqlite(self) -> None:
        """Let a file that cannot be opened fail here, and make it ready for several at once.

        When the asynchronous driver cannot open a file, its thread ends in its own time, and
        writes a traceback to the log where the event loop was faster.
        """
        url = self._engine.url
        if self._writer and url.database and not url.query:
            with contextlib.closing(sqlite3.connect(url.database)) as connection:
                # The switch needs the file to itself, and does not wait for others as statements
                # do: made once here, it is nothing to do for the connections that follow.
                connection.execute("PRAGMA journal_mode=WAL")

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @contextlib.asynccontextmanager
    async def transaction(
        self, job: Job | None = None, *, lease: float | None = None, urgent: bool = False
    ) -> AsyncIterator[Transaction]:
        """Everything inside happens, or nothing does.

        Parameters
        ----------
        job : the work on whose behalf something is written. The first statement proves that
            it is still ours, and extends its lease.
        lease : seconds by which it is extended; by default those given to `open`.
        urgent : go before others of this process that want to write.

        Raises
        ------
        LeaseLost : another process has taken `job` over.
        """
        async with self._quiet(urgent=urgent) as tx:
            if job is not None:
                await tx.jobs.renew(job, self._lease if lease is None else lease)
            yield tx
        self.worked.set()
        self.spoke.set()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """A consistent view; nothing written inside it is kept."""
        async with unbroken(self._engine.connect()) as conn:
            await conn.execution_options(**self._reads)
            yield _transaction(conn)
            await conn.rollback()

    async def claim_job(
        self, worker: str, lease: float, kinds: Iterable[str] = (), *, request: int | None = None
    ) -> Job | None:
        """Take the next due job, if any (see :meth:`bot.store.jobs.Jobs.claim`)."""
        try:
            async with self._quiet() as tx:
                return await tx.jobs.claim(worker, lease, kinds, request=request)
        except IntegrityError:
            # Two replicas reached for the same registry's lock; the database let one have it.
            return None

    async def claim_letter(self, worker: str, lease: float) -> Letter | None:
        """Take the next due letter, if any."""
        async with self._quiet() as tx:
            return await tx.outbox.claim(worker, lease)

    @contextlib.asynccontextmanager
    async def _quiet(self, *, urgent: bool = False) -> AsyncIterator[Transaction]:
        """A transaction that wakes nobody up."""
        async with contextlib.AsyncExitStack() as stack:
            if self._writer:
                if not urgent:
                    await stack.enter_async_context(self._patient)
                await stack.enter_async_context(self._writer)
            try:
                conn = await stack.enter_async_context(unbroken(self._engine.begin()))
            except OperationalError as error:
                raise StoreUnusable(
                    f"the store does not answer: {_reason(error)}",
                    "another program may hold it, such as a backup; try again when it has ended",
                ) from error
            tx = _transaction(conn)
            yield tx
        for one in tx.requests.reached:
            self.on_reached(one)


def _transaction(conn: AsyncConnection) -> Transaction:
    return Transaction(
        conn,
        Requests(conn),
        Windows(conn),
        Jobs(conn),
        AuditTrail(conn),
        Outbox(conn),
        Manifests(conn),
        Locks(conn),
        Holdings(conn),
        Previews(conn),
    )


def _engine(url: str, *, looking: bool = False) -> AsyncEngine:
    """The engine for an address; `looking` opens a SQLite file so that it cannot be changed."""
    kind, separator, rest = url.partition("://")
    driver = _DRIVERS.get(kind)
    if not separator or driver is None:
        raise StoreUnusable(
            f"[store] url starts with {kind[:20]!r}",
            "write sqlite:///registry-bot.db or postgresql://user@host/database",
        )
    try:
        address = sa.make_url(f"{driver}://{rest}")
        if looking and kind == "sqlite":
            path = Path(address.database or "").absolute()
            query = {**address.query, "mode": "ro", "uri": "true"}
            address = address.set(database=f"file:{quote(str(path))}", query=query)
        # The values of a statement are what people wrote, and addresses that let somebody in:
        # errors go to the log, and must not take them along.
        # Connections that a restart of the server has ended are not handed out.
        made = create_async_engine(address, hide_parameters=True, pool_pre_ping=kind != "sqlite")
        engine = PatientEngine(made.sync_engine)
    except ModuleNotFoundError as error:
        raise StoreUnusable(
            f"the driver for {kind} is not installed", f"install {error.name}"
        ) from error
    except (ValueError, ArgumentError) as error:
        # Neither the address nor what the library says about it: both may hold a password.
        raise StoreUnusable(
            f"[store] url is no address of a {kind} database",
            "write sqlite:///registry-bot.db or postgresql://user@host:5432/database",
        ) from error
    if kind == "sqlite":
        _prepare_sqlite(engine, _LOOKING if looking else _PRAGMAS)
    else:
        _prepare_postgresql(engine)
    return engine


def _reason(error: Exception) -> str:
    """What the driver said, without the statement and the links that the library adds."""
    original = getattr(error, "orig", None) or error
    return f"{type(original).__name__}: {str(original)[:200]}"


def _prepare_postgresql(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET idle_in_transaction_session_timeout = {int(_IDLE * 1000)}")
        cursor.close()
        connection.commit()


def _prepare_sqlite(engine: AsyncEngine, pragmas: Sequence[str]) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _: object) -> None:
        # The driver must not begin transactions on its own: a read that turns into a write
        # half-way cannot wait for the lock.
        connection.isolation_level = None
        cursor = connection.cursor()
        try:
            for pragma in pragmas:
                cursor.execute(f"PRAGMA {pragma}")
        except Exception:
            # Nobody else has this connection yet; its thread would outlive the event loop.
            connection.close()
            raise
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begun(conn: sa.Connection) -> None:
        reading = conn.get_execution_options().get("reading")
        conn.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
