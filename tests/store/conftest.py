"""The contract of the store holds on both databases: every test here runs on each."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.store.store import Store
from tests.support.postgres import Postgres

_LEASE = 600.0  # seconds, so that none runs out on a slow machine: tests let time pass by


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/bot.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.emptied()


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    """A store on an empty database."""
    store = await Store.open(database, _LEASE)
    yield store
    await store.close()


@pytest.fixture
async def other(database: str, store: Store) -> AsyncIterator[Store]:
    """A second replica on the same database."""
    other = await Store.open(database, _LEASE)
    yield other
    await other.close()
