"""Everything that holds a secret fails once: that none gets out is looked at by `planted`."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.planted import remember
from tests.support.postgres import Postgres
from tests.support.real_registry import PASSWORD, RealRegistry, push_image
from tests.support.team import ANN, BOB, LOBBY, Team

pytestmark = pytest.mark.anyio
PRIVATE = """
[[registries]]
name = "private"
url = "{url}"
credentials = "env:PRIVATE"
[[channels]]
id = "{channel}"
registries = ["private"]
"""


@pytest.fixture
async def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Team]:
    monkeypatch.setenv("PRIVATE_USERNAME", "robot")
    monkeypatch.setenv("PRIVATE_PASSWORD", PASSWORD)
    async with Team.open(tmp_path) as made:
        yield made


async def test_no_failure_lets_a_secret_out(
    team: Team, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    team.store_url = postgres.database()
    login = ("robot", PASSWORD)
    with RealRegistry(tmp_path / "private", htpasswd=login) as registry:
        await push_image(registry.url, "team/api", "1", auth=login)
        extra = PRIVATE.format(url=registry.url, channel=LOBBY)
        await team.spawn(extra)
        assert "team/api" in (await team.asks(ANN, "tags team/api", LOBBY)).all_text
        for method, status in (("response_url", 500), ("response_url", 0), ("chat.update", 500)):
            team.slack.faults.fail(method, status=status)
        assert "private" in (await team.asks(ANN, "status", LOBBY)).all_text
        team.slack.faults.drop_sockets()
        await team.slack.wait_for(lambda: team.slack.sockets.opened == 2, timeout=30)
        await team.says(ANN, "delete team/api:1", LOBBY)
        request = await team.slack.wait_for(lambda: _with(team, "Approve"), timeout=30)
        await team.slack.click(BOB, request, "Approve")
        await team.slack.wait_for(lambda: _with(team, "Undo"), timeout=30)
        registry.stop()
        await team.says(ANN, "tags team/api", LOBBY)
        await team.told(ANN, "and that it runs, then try again", timeout=60)
        registry.start()
        assert await team.terminate() == 0
        # With a login that is not good.
        monkeypatch.setenv("PRIVATE_PASSWORD", remember(PASSWORD[::-1]))
        await team.spawn(extra)
        assert "login" in (await team.asks(ANN, "tags team/api", LOBBY)).all_text
    team.slack.faults.fail("auth.test", error="invalid_auth")
    team.kill()
    with pytest.raises(RuntimeError, match="invalid_auth"):
        await team.spawn(extra)


def _with(team: Team, button: str) -> Any:
    """The message that has this button."""
    return next((m for m in team.slack.messages(LOBBY) if button in m.buttons), None)
