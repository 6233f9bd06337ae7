from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.controlled_registry import ControlledRegistry
from tests.support.real_registry import RealRegistry
from tests.support.rig import Rig


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RealRegistry]:
    with RealRegistry(tmp_path / "registry") as running:
        yield running


@pytest.fixture
async def rig(tmp_path: Path, registry: RealRegistry) -> AsyncIterator[Rig]:
    async with Rig.open(tmp_path, registry.url) as made:
        yield made


@pytest.fixture
async def controlled(tmp_path: Path) -> AsyncIterator[ControlledRegistry]:
    registry = ControlledRegistry(tmp_path)
    registry.start()
    try:
        yield registry
    finally:
        registry.stop()
