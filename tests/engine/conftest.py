"""One daemon for all tests of the engine; where there can be none they skip and say why."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.contained import Contained
from tests.support.dockerd import Dockerd, NoEngine


@pytest.fixture(scope="session")
def daemon() -> Iterator[Dockerd]:
    running = Dockerd.running()
    try:
        started = running.__enter__()
    except NoEngine as reason:
        pytest.skip(str(reason))
    try:
        yield started
    finally:
        running.__exit__(None, None, None)


@pytest.fixture
def engine(daemon: Dockerd) -> Iterator[Dockerd]:
    """The daemon with nothing on it."""
    yield daemon
    daemon.clear()


@pytest.fixture
def contain(engine: Dockerd, tmp_path: Path) -> Callable[..., Contained]:
    """Makes the registry's container, with changes to what is asked of the engine."""

    def make(**body: Any) -> Contained:
        return Contained(engine, tmp_path, **body)

    return make
