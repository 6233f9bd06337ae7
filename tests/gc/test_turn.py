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
    await _until(state / "corp.begun.json")
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
    turns = turn.Turns(state_dir / "corp.turn", state_dir / "corp.begun.json", 0.0)
    async with asyncio.timeout(20):
        (await turns.take()).end()
    left = json.loads((state_dir / "corp.begun.json").read_text())
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


class Paused:
    """A fence in which a process is paused; when it goes on, somebody else is in charge."""

    def __init__(self) -> None:
        self.asked, self.goes_on = asyncio.Event(), asyncio.Event()
        self._asked = 0

    async def __call__(self) -> None:
        self._asked += 1
        if self._asked > 1:
            raise NotInCharge
        self.asked.set()
        await self.goes_on.wait()  # the answer was yes, long ago


async def test_who_was_paused_after_asking_asks_again(executors: Executors, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    acts = ("touch", str(trace))
    waking = executors(collect=acts, start_read_only=acts)
    for act in (
        lambda fence: waking.switch_off_writes("R7", fence),
        lambda fence: waking.collect(dry_run=False, delete_untagged=False, job="R7", fence=fence),
    ):
        paused = Paused()
        task = asyncio.create_task(act(paused))
        await paused.asked.wait()
        successor = executors(start=("true",))
        assert not await successor.collecting()
        await successor.switch_on_writes("R7")
        paused.goes_on.set()
        with pytest.raises(NotInCharge):
            await task
    assert not trace.exists()


async def test_one_paused_in_its_turn_is_told(
    executors: Executors, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "_PAUSED", 0.2)
    await executors(clear_cache=("true",)).clear_cache()
    paused = await turn.Turns(state_dir / "corp.turn", state_dir / "corp.begun.json", 1.0).take()
    assert paused.enter()
    with pytest.raises(CommandFailed, match="stopped in the moment"):
        await executors().switch_on_writes("R7")
    paused.end()
    await executors().switch_on_writes("R7")


async def test_nothing_is_started_beside_a_collection(
    executors: Executors, registry: ControlledRegistry, filled: Filled, tmp_path: Path
) -> None:
    """Whoever looked saw none; one that began since is seen at the last moment."""
    gate = tmp_path / "gate"
    collecting = executors(collect=registry.slow_collect(gate))
    task = asyncio.create_task(collecting.collect(dry_run=False, delete_untagged=False, job="R7"))
    await _until(gate.with_name("gate.holding"))
    with pytest.raises(CommandFailed, match="already running"):
        await executors(start=("touch", str(tmp_path / "started"))).switch_on_writes("R7")
    assert not (tmp_path / "started").exists()
    gate.touch()
    await task


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
