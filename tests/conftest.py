"""What every test shares."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio: slack-bolt and aiohttp know nothing else."""
    return "asyncio"
