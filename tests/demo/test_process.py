"""The playground as a program: refusing to start, ending without a trace, going on later."""

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.demo.driving import ANN, BOB, Demo, processes_about, told

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_ends_it_and_nothing_is_left(number: signal.Signals) -> None:
    demo = await Demo.start()
    assert demo.directory.is_dir()
    assert processes_about(demo.directory), "the search for processes is blind"
    assert await demo.end(number) == 0
    assert "Nothing is left" in demo.output
    assert not demo.directory.exists()
    assert processes_about(demo.directory) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(demo.registry.rpartition(":")[2])))


async def test_it_ends_in_the_middle_of_a_request_as_well() -> None:
    demo = await Demo.start()
    request = await demo.requests(ANN, "delete ci/api:pr-1*")
    await demo.clicks(ANN, request, "Confirm")
    assert await demo.end() == 0
    assert not demo.directory.exists()
    assert processes_about(demo.directory) == []


async def test_nothing_of_the_bot_is_said_in_the_terminal(demo: Demo) -> None:
    await demo.asks(ANN, "tags team/api")
    await demo.asks(ANN, "tags team/nothing")
    log = (demo.directory / "bot.log").read_text()
    assert '"event": "ready"' in log
    assert not [line for line in log.splitlines() if '"level": "error"' in line]
    await demo.end()
    assert "{" not in demo.output
    assert "Traceback" not in demo.output


async def test_a_kept_one_goes_on_where_it_was(tmp_path: Path) -> None:
    # The characters of a path that addresses and settings could trip over.
    keep = tmp_path / "what I kept, 100% of “it”"
    first = await Demo.start("--keep", str(keep))
    try:
        assert first.directory == keep
        request = await first.requests(ANN, "delete team/api:1.9.0")
        await first.clicks(BOB, request, "Approve")
        await first.shows(request, "is done")
    finally:
        assert await first.end() == 0
    assert str(keep) in first.output
    assert processes_about(keep) == []

    second = await Demo.start("--keep", str(keep))
    try:
        assert "1.9.0" not in (await second.tags("team/api") or ("1.9.0",))
        assert "R1" in await second.asks(ANN, "requests --all")
        undo = await second.requests(ANN, "undo R1")
        await second.clicks(ANN, undo, "Confirm")
        await second.shows(undo, "is done")
        assert "1.9.0" in (await second.tags("team/api") or ())
        code, said = await told("--port", "0", "--keep", str(keep))
        assert code == 1
        assert "Another playground" in said
    finally:
        assert await second.end() == 0


async def test_one_that_was_killed_is_tidied_up_at_the_next_start(tmp_path: Path) -> None:
    first = await Demo.start("--keep", str(tmp_path / "kept"))
    await first.kill()
    left = processes_about(first.directory)
    assert len(left) == 1, left
    second = await Demo.start("--keep", str(tmp_path / "kept"))
    try:
        assert second.registry != first.registry
        assert len(processes_about(second.directory)) == 2, "the registry, and the program itself"
    finally:
        assert await second.end() == 0
    assert processes_about(first.directory) == []


async def test_a_directory_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear")
    code, said = await told("--port", "0", "--keep", str(tmp_path))
    assert code == 1
    assert "holds something else" in said
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


async def test_a_directory_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, said = await told("--port", "0", "--keep", str(tmp_path / "file"))
    assert code == 1
    assert "cannot be used" in said
    assert said.count("\n") == 1


async def test_a_directory_with_a_question_mark_is_refused(tmp_path: Path) -> None:
    code, said = await told("--port", "0", "--keep", str(tmp_path / "what?"))
    assert code == 1
    assert "question mark" in said
    assert list(tmp_path.iterdir()) == []


async def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, said = await told("--port", port, TMPDIR=str(tmp_path))
    assert code == 1
    assert port in said
    assert "--port" in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


async def test_without_a_registry_it_names_the_three_ways(tmp_path: Path) -> None:
    code, said = await told("--port", "0", PATH=str(tmp_path), TMPDIR=str(tmp_path))
    assert code == 1
    assert said.count("\n") == 1
    for way in ("`registry` or `docker-registry`", "Docker or Podman", "make demo"):
        assert way in said
    assert list(tmp_path.iterdir()) == []


async def test_a_registry_that_cannot_start_is_said(tmp_path: Path) -> None:
    programs, temporary = tmp_path / "programs", tmp_path / "temporary"
    programs.mkdir()
    temporary.mkdir()
    broken = programs / "registry"
    broken.write_text("#!/bin/sh\necho no such luck\nexit 3\n")
    broken.chmod(0o755)
    code, said = await told("--port", "0", PATH=f"{programs}:{os.defpath}", TMPDIR=str(temporary))
    assert code == 1
    assert "does not start" in said
    assert "no such luck" in said
    assert list(temporary.iterdir()) == []


async def test_what_others_have_in_the_environment_changes_nothing(tmp_path: Path) -> None:
    demo = await Demo.start(
        REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=str(tmp_path / "theirs"),
        REGISTRY_HTTP_ADDR="127.0.0.1:1",
        REGISTRY_BOT_CONFIG=str(tmp_path / "theirs.toml"),
        SLACK_BOT_TOKEN="xoxb-of-somebody-else",
        SLACK_SIGNING_SECRET="of-somebody-else",
        HTTP_PROXY="http://127.0.0.1:9/",
        HTTPS_PROXY="http://127.0.0.1:9/",
        ALL_PROXY="http://127.0.0.1:9/",
    )
    try:
        assert "1.10.0" in await demo.asks(ANN, "tags team/api")
        assert await demo.asks(ANN, "gc --dry-run")
        assert list(tmp_path.iterdir()) == []
    finally:
        assert await demo.end() == 0


@pytest.mark.parametrize("port", ["x", "-1", "65536", "８０９０"])
async def test_a_port_that_is_none_is_refused(port: str) -> None:
    code, said = await told(f"--port={port}")
    assert code == 2
    assert "is not a port" in said
