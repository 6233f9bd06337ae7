"""Collections that outlive whoever started them."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bot.gc.command import CollectionAborted, CommandExecutor, CommandFailed, GcOutputError
from bot.gc.process import LockFile
from tests.gc.conftest import Executors, Filled
from tests.support.controlled_registry import ControlledRegistry

pytestmark = pytest.mark.anyio

DOOMED = """\
import asyncio, sys
from pathlib import Path
from bot.gc.command import CollectionAborted, CommandExecutor, CommandSettings
config, state, *collect = sys.argv[1:]
settings = CommandSettings(
    collect=tuple(collect), config=config, start=("true",), start_read_only=("true",)
)
executor = CommandExecutor(settings, Path(state), "corp")
asyncio.run(executor.collect(dry_run=False, delete_untagged=True, job="R7"))
"""


def doomed(registry: ControlledRegistry, state: Path, gate: Path) -> "subprocess.Popen[bytes]":
    """A process of its own that collects; killed with -9 as soon as the collection holds."""
    words = [sys.executable, "-c", DOOMED, str(registry.config_path), str(state)]
    process = subprocess.Popen([*words, *registry.slow_collect(gate)])
    wait_for(Path(f"{gate}.holding"))
    process.send_signal(signal.SIGKILL)
    process.wait(5)
    return process


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} never appeared"
        time.sleep(0.01)


async def test_an_orphan_is_seen_waited_for_and_read(
    executors: Executors,
    registry: ControlledRegistry,
    filled: Filled,
    state_dir: Path,
    tmp_path: Path,
) -> None:
    gate, before = tmp_path / "gate", registry.blob_digests()
    doomed(registry, state_dir, gate)
    successor = executors()
    assert await successor.collecting()
    assert not await successor.wait_until_gone(0.1)
    with pytest.raises(GcOutputError):
        successor.read_log("R7")  # it has deleted nothing yet
    assert registry.blob_digests() == before

    waiting = asyncio.create_task(successor.wait_until_gone(10))
    gate.touch()
    assert await waiting
    assert not await successor.collecting()
    report = successor.read_log("R7")
    assert report.manifest_digests == {filled.untagged.digest}
    assert registry.blob_digests() == filled.kept_blobs


@pytest.mark.parametrize("keep_pid_file", [True, False])
async def test_an_orphan_is_killed_whole(
    executors: Executors,
    registry: ControlledRegistry,
    filled: Filled,
    state_dir: Path,
    tmp_path: Path,
    keep_pid_file: bool,
) -> None:
    gate, before = tmp_path / "gate", registry.blob_digests()
    doomed(registry, state_dir, gate)
    holders = LockFile(state_dir / "corp.lock").holders()
    assert len(holders) == 2  # what held it back, and the collector itself
    if not keep_pid_file:
        (state_dir / "corp.R7.pid").unlink()
    successor = executors()
    assert await successor.kill_orphan("R7")
    assert not await successor.collecting()
    assert not any(is_alive(pid) for pid in holders)
    gate.touch()
    assert registry.blob_digests() == before


async def test_a_stopped_orphan_is_killed_too(
    executors: Executors,
    registry: ControlledRegistry,
    filled: Filled,
    state_dir: Path,
    tmp_path: Path,
) -> None:
    doomed(registry, state_dir, tmp_path / "gate")
    for pid in LockFile(state_dir / "corp.lock").holders():
        os.kill(pid, signal.SIGSTOP)
    started = time.monotonic()
    assert await executors().kill_orphan("R7")
    assert time.monotonic() - started < 2.5  # it heard the polite signal


async def test_a_recycled_process_id_is_left_alone(
    executors: Executors, state_dir: Path, filled: Filled
) -> None:
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        state_dir.mkdir()
        executor = executors()
        (state_dir / "corp.R7.pid").write_text(f'{{"pid": {stranger.pid}, "started": "1"}}')
        held = executor._lock.acquire()
        assert held is not None
        assert executor._leader("R7") is None
        os.close(held)
        assert await executor.kill_orphan("R7")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


async def test_a_cancelled_coroutine_leaves_its_collection_running(
    executors: Executors, registry: ControlledRegistry, filled: Filled, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    slow = executors(collect=registry.slow_collect(gate))
    task = asyncio.create_task(slow.collect(dry_run=False, delete_untagged=True, job="R7"))
    while not Path(f"{gate}.holding").exists():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    successor = executors()
    assert await successor.collecting()
    gate.touch()
    assert await successor.wait_until_gone(10)
    assert successor.read_log("R7").manifest_digests == {filled.untagged.digest}


async def test_the_daemon_that_start_leaves_behind_does_not_hold_the_lock(
    executors: Executors, registry: ControlledRegistry, filled: Filled, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    executor = executors(collect=registry.slow_collect(gate))
    task = asyncio.create_task(executor.collect(dry_run=False, delete_untagged=False, job="R7"))
    while not Path(f"{gate}.holding").exists():
        await asyncio.sleep(0.01)
    await executor.switch_off_writes("R1")  # a server started while a collection runs
    gate.touch()
    await task
    assert registry.status() == "read-only"
    assert not await executor.collecting()


async def test_nothing_to_kill_is_gone(executors: Executors) -> None:
    assert await executors().kill_orphan("R7")


async def test_running_speaks_for_what_is_not_our_child(executors: Executors) -> None:
    assert await executors(running=("true",)).collecting()
    assert not await executors(running=("false",)).collecting()
    assert not await executors(running=("true",)).wait_until_gone(0.1)
    assert not await executors(running=("true",)).kill_orphan("R7")


@pytest.mark.parametrize(
    "running", ["exit 255", "exit 125", "exit 126", "exit 127", "kill -9 $$", "nonsense-word"]
)
async def test_a_running_command_that_cannot_tell_is_no_no(
    executors: Executors, running: str
) -> None:
    executor: CommandExecutor = executors(running=("sh", "-c", f"echo broken; {running}"))
    with pytest.raises(CommandFailed, match="could not tell whether a collection runs") as caught:
        await executor.collecting()
    assert "broken" in caught.value.sentence
    assert not await executor.wait_until_gone(0.05)
    with pytest.raises(CommandFailed):
        await executor.collect(dry_run=True, delete_untagged=False, job="R7")


async def test_a_remote_collection_that_abort_does_not_reach_is_not_gone(
    executors: Executors, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("bot.gc.command._REMOTE_GRACE", 0.1)
    remote, abort = tmp_path / "remote-is-running", asyncio.Event()
    executor = executors(
        collect=("sh", "-c", f"touch {remote}; sleep 60; : {{config}}"),
        running=("test", "-e", str(remote)),
    )
    task = asyncio.create_task(
        executor.collect(dry_run=False, delete_untagged=False, job="R7", abort=abort)
    )
    while not remote.exists():
        await asyncio.sleep(0.01)
    abort.set()
    with pytest.raises(CollectionAborted) as caught:
        await task
    assert not caught.value.gone
    remote.unlink()
    assert await executor.wait_until_gone(1)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
