from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.host import Host
from tests.support.real_registry import RealRegistry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RealRegistry]:
    with RealRegistry(tmp_path / "registry") as running:
        yield running


@pytest.fixture
def host(tmp_path: Path, registry: RealRegistry) -> Host:
    return Host(tmp_path, [("corp", registry.url)])
