"""Commands and collections of several processes of the bot: one at a time, and only of who may."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bot.gc import process, turn
from bot.gc.command import CommandExecutor, CommandFailed
from tests.gc.conftest import Executors, Filled
from tests.support.controlled_registry import ControlledRegistry

pytestmark = pytest.mark.anyio

SWITCHES = """\
import asyncio, sys
from pathlib import Path
from bot.gc.command import CommandExecutor, CommandSettings
state, *words = sys.argv[1:]
settings = CommandSettings(collect=("true",), start=("true",), start_read_only=tuple(words))
asyncio.run(CommandExecutor(settings, Path(state), "corp").switch_off_writes("R7"))
"""


class NotInCharge(Exception):
    """Somebody else has taken over."""


async def _nobody() -> None:
    raise NotInCharge


async def _until(path: Path) -> None:
    async with asyncio.timeout(20):
        while not path.exists():
            await asyncio.sleep(0.01)


def _gated(directory: Path) -> tuple[str, ...]:
    """A command that says that it has begun, and ends when there is a gate, with a word."""
    script = 'touch "$1/begun"; while [ ! -e "$1/gate" ]; do sleep 0.02; done; touch "$1/ended"'
    return ("sh", "-c", script, "sh", str(directory))


async def _doomed(
    state: Path, directory: Path, number: signal.Signals
) -> "subprocess.Popen[bytes]":
    """A process that is killed or paused in the middle of a command of its own."""
    words = [sys.executable, "-c", SWITCHES, str(state), *_gated(directory)]
    doomed = subprocess.Popen(words)
    await _until(directory / "begun")
    await _until(state / "corp.switch.json")
    doomed.send_signal(number)
    return doomed


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_the_command_of_a_dead_process_is_waited_for(
    registry: ControlledRegistry, state_dir: Path, tmp_path: Path, number: signal.Signals
) -> None:
    doomed = await _doomed(state_dir, tmp_path, number)
    try:
        successor = CommandExecutor(
            registry.settings(start=("touch", str(tmp_path / "on"))), state_dir, "corp"
        )
        assert successor.unfinished() == "start_read_only"
        task = asyncio.create_task(successor.switch_on_writes("R7"))
        done, _ = await asyncio.wait([task], timeout=0.5)
        assert not done
        assert not (tmp_path / "on").exists()
        (tmp_path / "gate").touch()
        async with asyncio.timeout(20):
            await task
        assert (tmp_path / "ended").exists()
        assert (tmp_path / "on").exists()
        assert successor.unfinished() == ""
    finally:
        doomed.kill()
        doomed.wait(10)


async def test_one_that_does_not_end_is_ended(state_dir: Path, tmp_path: Path) -> None:
    doomed = await _doomed(state_dir, tmp_path, signal.SIGKILL)
    doomed.wait(10)
    turns = turn.Turns(state_dir / "corp.switch.lock", state_dir / "corp.switch.json", 0.0)
    async with asyncio.timeout(20):
        (await turns.take()).end()
    left = json.loads((state_dir / "corp.switch.json").read_text())
    assert not process.is_alive(left["pid"], left["started"])
    assert not (tmp_path / "ended").exists()


async def test_who_is_not_in_charge_runs_no_command(executors: Executors, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    acts = ("touch", str(trace))
    executor = executors(collect=acts, start=acts, start_read_only=acts, clear_cache=acts)
    for act in (
        executor.switch_off_writes("R7", _nobody),
        executor.switch_on_writes("R7", _nobody),
        executor.clear_cache(_nobody),
        executor.collect(dry_run=False, delete_untagged=False, job="R7", fence=_nobody),
    ):
        with pytest.raises(NotInCharge):
            await act
    assert not trace.exists()
    assert not await executor.collecting()


async def test_a_successor_waits_for_who_is_about_to_collect(
    executors: Executors, tmp_path: Path
) -> None:
    """Paused between asking and beginning, a process may begin whenever it wakes up."""
    asked, goes_on = asyncio.Event(), asyncio.Event()

    async def paused() -> None:
        asked.set()
        await goes_on.wait()

    waking = executors(collect=("touch", str(tmp_path / "begun")))
    task = asyncio.create_task(
        waking.collect(dry_run=False, delete_untagged=False, job="R7", fence=paused)
    )
    await asked.wait()
    assert await executors().collecting()
    goes_on.set()
    await asyncio.gather(task, return_exceptions=True)
    assert (tmp_path / "begun").exists()
    assert not await executors().collecting()


async def test_a_successor_does_not_switch_beside_who_is_about_to(
    executors: Executors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "_PAUSED", 0.2)
    asked, goes_on = asyncio.Event(), asyncio.Event()

    async def paused() -> None:
        asked.set()
        await goes_on.wait()

    task = asyncio.create_task(executors().switch_off_writes("R7", paused))
    await asked.wait()
    with pytest.raises(CommandFailed, match="stopped in the moment"):
        await executors().switch_on_writes("R7")
    goes_on.set()
    await task
    await executors().switch_on_writes("R7")


@pytest.mark.parametrize("how", ["abort", "timeout"])
async def test_who_is_not_in_charge_kills_nothing(
    executors: Executors, registry: ControlledRegistry, filled: Filled, tmp_path: Path, how: str
) -> None:
    gate, abort, in_charge = tmp_path / "gate", asyncio.Event(), True

    async def fence() -> None:
        if not in_charge:
            raise NotInCharge

    executor = executors(collect=registry.slow_collect(gate))
    task = asyncio.create_task(
        executor.collect(
            dry_run=False,
            delete_untagged=False,
            job="R7",
            abort=abort,
            timeout=0.5 if how == "timeout" else None,
            fence=fence,
        )
    )
    try:
        if how == "abort":
            await _until(gate.with_name("gate.holding"))
            in_charge = False
            abort.set()
        else:
            async with asyncio.timeout(20):
                while not await executors().collecting():
                    await asyncio.sleep(0.01)
            in_charge = False
        with pytest.raises(NotInCharge):
            await task
        assert await executors().collecting()
        with pytest.raises(NotInCharge):
            await executors().kill_orphan("R7", fence)
        assert await executors().collecting()
    finally:
        gate.touch()
    assert await executors().wait_until_gone(20)
