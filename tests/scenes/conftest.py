"""The teams that most scenes are played by; a scene that needs another one makes its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.team import Team


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with Team.open(tmp_path) as made:
        yield made
        made.check_all_messages()


@pytest.fixture(params=["socket", "http"])
async def any_team(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Team]:
    async with Team.open(tmp_path, request.param) as made:
        yield made
        made.check_all_messages()
