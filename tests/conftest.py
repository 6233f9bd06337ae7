"""What every test shares."""

from collections.abc import Iterator

import pytest

from tests.support.postgres import Postgres, programs


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio: slack-bolt and aiohttp know nothing else."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL server for all tests that want one."""
    if programs() is None:
        pytest.skip("PostgreSQL is not installed: `make test` installs it")
    with Postgres() as server:
        yield server
