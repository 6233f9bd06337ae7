"""A playground for each test that asks for one."""

from collections.abc import AsyncIterator

import pytest

from tests.demo.driving import Demo


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    playing = await Demo.start()
    try:
        yield playing
    finally:
        if playing.process.returncode is None:
            await playing.end()
