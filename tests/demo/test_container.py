"""Without a registry's program, through a container engine: a stand-in that obeys like one."""

import json
import sys
from pathlib import Path

import pytest

from tests.demo.driving import ANN, BOB, Demo, processes_about, told

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["docker", "podman"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with nothing but an engine's command; its state is in `state` below."""
    (tmp_path / "state").mkdir()
    script = Path(__file__).with_name("engine.py")
    command = tmp_path / request.param
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "{tmp_path}/state" "$@"\n')
    command.chmod(0o755)
    return tmp_path


async def test_a_container_is_played_with_and_removed(engine: Path) -> None:
    demo = await Demo.start(PATH=str(engine))
    try:
        assert len(list((engine / "state").glob("*.pid"))) == 1
        assert "1.10.0" in await demo.asks(ANN, "tags team/api")
        before = demo.blobs()
        request = await demo.requests(ANN, 'gc --reason "room"')
        await demo.clicks(BOB, request, "Approve")
        await demo.shows(request, "is done", "Freed")
        assert demo.blobs() < before
    finally:
        assert await demo.end() == 0
    assert "Nothing is left" in demo.output
    assert list((engine / "state").glob("*.pid")) == []
    assert processes_about(demo.directory) == []
    assert not demo.directory.exists()


async def test_a_storage_that_is_not_seen_from_here_is_no_way_to_play(engine: Path) -> None:
    (engine / "state" / "no-mount").touch()
    temporary = engine / "temporary"
    temporary.mkdir()
    code, said = await told("--port", "0", PATH=str(engine), TMPDIR=str(temporary))
    assert code == 1
    assert "cannot keep images" in said
    assert list((engine / "state").glob("*.pid")) == []
    assert list(temporary.iterdir()) == []


async def test_an_engine_that_does_not_answer_is_passed_over(tmp_path: Path) -> None:
    command = tmp_path / "docker"
    command.write_text("#!/bin/sh\necho Cannot connect to the daemon >&2\nexit 1\n")
    command.chmod(0o755)
    code, said = await told("--port", "0", PATH=str(tmp_path))
    assert code == 1
    assert "start Docker or Podman" in said


async def test_only_this_machine_reaches_the_container(engine: Path) -> None:
    demo = await Demo.start(PATH=str(engine))
    assert await demo.end() == 0
    calls = [json.loads(line) for line in (engine / "state" / "calls").read_text().splitlines()]
    published = [c[c.index("--publish") + 1] for c in calls if c[0] == "run"]
    assert published
    assert all(p.startswith("127.0.0.1:") for p in published)
