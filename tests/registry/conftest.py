"""Registries that the tests of this folder share."""

from collections.abc import AsyncIterator, Iterator

import pytest

from bot.registry.client import RegistryClient
from tests.support.fake_v3 import FakeV3
from tests.support.real_registry import RealRegistry


@pytest.fixture(scope="session")
def shared_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    """One real registry for tests that each keep to a repository of their own."""
    with RealRegistry(tmp_path_factory.mktemp("shared")) as registry:
        yield registry


@pytest.fixture
async def client(shared_registry: RealRegistry) -> AsyncIterator[RegistryClient]:
    """A client of the shared registry."""
    async with RegistryClient(shared_registry.url) as client:
        yield client


@pytest.fixture
async def fake() -> AsyncIterator[FakeV3]:
    """A registry in memory, version 3."""
    async with FakeV3() as fake:
        yield fake


@pytest.fixture
async def v3(fake: FakeV3) -> AsyncIterator[RegistryClient]:
    """A client of the registry in memory, which gives up after a few seconds."""
    async with RegistryClient(fake.url, deadline=4) as client:
        yield client
