"""Switching a real registry, and commands that misbehave."""

import asyncio
import time
from pathlib import Path

import httpx
import pytest

from bot.gc.command import CommandExecutor, CommandFailed
from tests.gc.conftest import Executors, Filled
from tests.support.controlled_registry import ControlledRegistry
from tests.support.real_registry import pull, push_image

pytestmark = pytest.mark.anyio


async def upload(url: str) -> httpx.Response:
    async with httpx.AsyncClient(verify=False) as http:
        return await http.post(f"{url}/v2/probe/blobs/uploads/")


async def test_read_only_and_back(registry: ControlledRegistry, executors: Executors) -> None:
    executor = executors()
    assert not executor.is_live
    assert (await upload(registry.url)).status_code == 202
    await executor.switch_off_writes("R1")
    refused = await upload(registry.url)
    assert refused.status_code == 405
    assert refused.headers["Allow"] == "GET, HEAD"
    await executor.switch_on_writes("R1")
    assert (await upload(registry.url)).status_code == 202


async def test_offline_and_back(registry: ControlledRegistry, executors: Executors) -> None:
    executor = executors(mode="offline", start_read_only=())
    await executor.switch_off_writes("R1")
    assert registry.status() == "stopped"
    with pytest.raises(httpx.ConnectError):
        await upload(registry.url)
    await executor.switch_on_writes("R1")
    assert (await upload(registry.url)).status_code == 202


async def test_the_restart_clears_the_blob_cache(
    registry: ControlledRegistry, executors: Executors, filled: Filled
) -> None:
    executor = executors()
    await pull(registry.url, "team/app", filled.untagged.digest)  # now in the cache
    await executor.switch_off_writes("R1")
    await executor.collect(dry_run=False, delete_untagged=True, job="R1")
    await executor.switch_on_writes("R1")
    (layer,) = filled.untagged.layer_digests
    async with httpx.AsyncClient(verify=False) as http:
        assert (await http.head(f"{registry.url}/v2/team/app/blobs/{layer}")).status_code == 404
    await push_image(registry.url, "team/app", "again", layers=[b"the old layer" * 50])
    await pull(registry.url, "team/app", "again")


async def test_a_daemon_that_keeps_its_output_open_does_not_hang_us(
    registry: ControlledRegistry, executors: Executors
) -> None:
    executor = executors(start=tuple(registry.argv("--inherit-output", "read-write")))
    await asyncio.wait_for(executor.switch_on_writes("R1"), 10)
    assert registry.status() == "read-write"
    await executor.switch_on_writes("R1")  # and again, beside the daemon that writes there


async def test_a_failure_is_told_with_the_end_of_its_output(
    registry: ControlledRegistry, executors: Executors
) -> None:
    registry.fail("read-write", "x" * 5000 + " no space left on device")
    with pytest.raises(CommandFailed, match=r"`start` failed: .* ended with exit code 1") as caught:
        await executors().switch_on_writes("R1")
    assert caught.value.sentence.endswith("no space left on device")
    assert len(caught.value.sentence) < 2200
    assert caught.value.hint
    registry.fail("read-write", None)
    await executors().switch_on_writes("R1")


async def test_a_command_killed_by_a_signal(executors: Executors) -> None:
    with pytest.raises(CommandFailed, match="was killed by signal 9"):
        await executors(start=("sh", "-c", "kill -9 $$")).switch_on_writes("R1")


async def test_a_command_that_is_not_there(executors: Executors) -> None:
    with pytest.raises(CommandFailed, match="could not be started"):
        await executors(start=("/nowhere/ctl",)).switch_on_writes("R1")


async def test_a_command_that_is_not_set(executors: Executors) -> None:
    executor = executors(start_read_only=(), unsafe_allow_live_gc=True)
    assert executor.refusal() is None
    assert executor.is_live
    with pytest.raises(CommandFailed, match="No `start_read_only` command is set") as caught:
        await executor.switch_off_writes("R1")
    assert "start_read_only" in caught.value.hint


async def test_a_server_in_the_foreground_times_out(
    registry: ControlledRegistry, state_dir: Path
) -> None:
    settings = registry.settings(start=("sh", "-c", "echo serving; exec sleep 60"))
    executor = CommandExecutor(settings, state_dir, "corp", switch_timeout=0.2)
    started = time.monotonic()
    with pytest.raises(CommandFailed, match=r"did not return within 0\.2 s\. It said: serving"):
        await executor.switch_on_writes("R1")
    assert time.monotonic() - started < 3


async def test_clear_cache_runs_if_it_is_set(executors: Executors, tmp_path: Path) -> None:
    await executors().clear_cache()
    cleared = tmp_path / "cleared"
    await executors(clear_cache=("touch", str(cleared))).clear_cache()
    assert cleared.exists()
    with pytest.raises(CommandFailed, match="`clear_cache` failed"):
        await executors(clear_cache=("false",)).clear_cache()


async def test_a_cancelled_switch_comes_to_its_end(executors: Executors, tmp_path: Path) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    script = f"touch {begun}; sleep 0.3; touch {ended}"
    task = asyncio.create_task(executors(start=("sh", "-c", script)).switch_on_writes("R1"))
    while not begun.exists():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    deadline = time.monotonic() + 5
    while not ended.exists():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_an_unwritable_state_directory_does_not_stop_a_restart(
    registry: ControlledRegistry, state_dir: Path
) -> None:
    state_dir.mkdir()
    (state_dir / "corp.start.log").mkdir()  # stands for a disk that takes no more files
    await CommandExecutor(registry.settings(), state_dir, "corp").switch_on_writes("R1")
    assert registry.status() == "read-write"
