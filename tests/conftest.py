"""What every test shares."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import planted
from tests.support.postgres import Postgres, programs

# Each call of httpx looks for this through the disk: a sixth of the time of some tests.
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]

# How long one example takes says only how busy the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio: slack-bolt and aiohttp know nothing else."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No secret gets into anything that the bot writes; files are looked at in the end."""
    with pytest.MonkeyPatch.context() as patch:
        planted.Watch(patch)
        yield
    _clean(tmp_path_factory.getbasetemp())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[pytest.TestReport]:
    """A test during which a secret was said has failed, whatever it looked at itself."""
    report = yield
    if call.when == "teardown":
        for name, said in report.sections:
            planted.look(name, said)
        if found := planted.take():
            report.outcome = "failed"
            report.longrepr = "\n".join([f"{item.nodeid} let a secret out:", *found])
    return report


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL server for all tests that want one."""
    if programs() is None:
        pytest.skip("PostgreSQL is not installed: `make test` installs it")
    with Postgres() as server:
        yield server
        _clean(server.directory)


def _clean(directory: Path) -> None:
    """Fail when a file has a secret in it; pytest's directories are named after their tests."""
    found = list(planted.in_files(directory))
    assert not found, "\n".join(["these files have secrets in them:", *found])
