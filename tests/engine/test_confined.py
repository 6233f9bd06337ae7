"""The bot as its image runs it: no root, no rights, nothing to write to but its volume and /tmp."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.dockerd import IMAGE, Dockerd
from tests.support.images import push_image
from tests.support.team import ANN, BOB, Team

pytestmark = [pytest.mark.anyio, pytest.mark.engine]
UID = 10001
NAME, HOME, CONFIG = "bot", "/var/lib/registry-bot", "/etc/registry-bot/registry-bot.toml"
_ROOT = Path(__file__).resolve().parents[2]
# There is no image of Python to be had here: this machine's is put into another one, read-only.
_PYTHON = sorted({sys.prefix, sys.base_prefix, str(_ROOT), "/usr", "/lib", "/lib64"})


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with Team.open(tmp_path) as made:
        yield made


def start(engine: Dockerd, team: Team) -> Path:
    """`docker run --read-only --user 10001 --cap-drop ALL`; the directory of its volume."""
    volume = team.directory / "volume"
    volume.mkdir()
    os.chown(volume, UID, UID)
    team.store_url = "sqlite:///registry-bot.db"
    settings = team.write_settings()
    settings.chmod(0o644)
    engine.create(
        NAME,
        Image=IMAGE,
        User=str(UID),
        WorkingDir=HOME,
        Entrypoint=[sys.executable, "-m", "bot"],
        Cmd=["serve"],
        Env=[
            f"PYTHONPATH={_ROOT}",
            "PYTHONDONTWRITEBYTECODE=1",
            f"REGISTRY_BOT_CONFIG={CONFIG}",
            *(f"{name}={value}" for name, value in team.environ.items()),
        ],
        HostConfig={
            "NetworkMode": "host",
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "Tmpfs": {"/tmp": ""},
            "Binds": [
                f"{volume}:{HOME}",
                f"{settings}:{CONFIG}:ro",
                *(f"{path}:{path}:ro" for path in _PYTHON if Path(path).is_dir()),
            ],
        },
    )
    engine.start_container(NAME)
    return volume


async def test_it_serves_without_root_and_with_a_file_system_that_it_cannot_write(
    engine: Dockerd, team: Team
) -> None:
    await push_image(team.registry.url, "team/api", "1")
    volume = start(engine, team)
    try:
        await team.slack.wait_for_connections(1, timeout=60)
        request = await team.request(ANN, "delete team/api:1")
        await team.clicks(BOB, request, "Approve")
        await team.shows(request, "is done", timeout=60)
    except (TimeoutError, AssertionError) as error:
        said = engine.api("GET", f"/containers/{NAME}/logs", params={"stdout": 1, "stderr": 1})
        raise AssertionError(said) from error
    assert await team.tags("team/api") == []
    pid = engine.inspect(NAME)["State"]["Pid"]
    status = Path(f"/proc/{pid}/status").read_text()
    assert f"Uid:\t{UID}\t{UID}\t{UID}\t{UID}\n" in status
    for rights in ("CapPrm", "CapEff", "CapBnd"):
        assert f"{rights}:\t{0:016x}\n" in status
    assert "Read-only file system" in engine.execute(NAME, "touch", "/anything")
    assert {path.stat().st_uid for path in volume.rglob("*")} == {UID}
    assert (volume / "registry-bot.db").stat().st_size > 0
    await asyncio.to_thread(engine.api, "POST", f"/containers/{NAME}/stop", params={"t": 60})
    assert engine.inspect(NAME)["State"]["ExitCode"] == 0
