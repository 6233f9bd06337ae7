"""Hundreds of connections one after the other: no command is lost, and nothing is left behind.

`SOCKET_ROUNDS=5000` makes more of it.
"""

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from bot.playground import Workspace
from bot.slack.socket import Pace
from bot.slack.wire import Wire
from tests.slack.test_socket import Kept

pytestmark = pytest.mark.anyio

ROUNDS = int(os.environ.get("SOCKET_ROUNDS", "500"))
SETTLED = 100  # rounds after which everything that is made once has been made
MEGABYTE = 1 << 20


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    workspace = await Workspace.start()
    workspace.add_user("U1", "ada")
    workspace.add_channel("C1", "registry", ["U1"])
    # Slack reads on for long enough that an acknowledgement cannot cross its goodbye.
    workspace.sockets.grace = 5.0
    workspace.limits.enabled = False
    yield workspace
    await workspace.stop()


@dataclass(frozen=True)
class Held:
    """What this process holds."""

    tasks: int
    files: int
    wires: int
    sessions: int
    memory: int

    @classmethod
    async def now(cls, workspace: Workspace) -> "Held":
        """Wait until one connection is left on either side, then count."""
        async with asyncio.timeout(60):
            while True:
                gc.collect()
                wires = [o for o in gc.get_objects() if isinstance(o, Wire)]
                if len(workspace.sockets._connections) == 1 and len(wires) == 1:
                    break
                await asyncio.sleep(0.05)
        sessions = [o for o in gc.get_objects() if isinstance(o, aiohttp.ClientSession)]
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(
            len(asyncio.all_tasks()),
            len(list(Path("/proc/self/fd").iterdir())),
            len(wires),
            len([session for session in sessions if not session.closed]),
            pages * os.sysconf("SC_PAGE_SIZE"),
        )


async def test_hundreds_of_connections_lose_no_command_and_leave_nothing(
    workspace: Workspace,
) -> None:
    """Refreshes, and each tenth time a cut without a goodbye, with commands at every moment."""
    # No ping may be missed on a slow machine, where it would be one more cut.
    pace = Pace(age=3600.0, heartbeat=60.0, open=30.0, pause=0.01, longest=0.05, quiet=0.2)
    taken: list[str] = []

    async def says(text: str) -> bool:
        delivery = await workspace.command("U1", "C1", text)
        if delivery.acked:
            taken.append(text)
        else:
            # Slack has none to deliver it to, and says so.
            assert delivery.error == "dispatch_failed", f"{text}: {delivery.error}"
        return bool(delivery.acked)

    async with Kept.open(workspace, pace) as kept:
        for number in range(1, ROUNDS + 1):
            before = None
            if number % 10:
                before = asyncio.create_task(says(f"{number} before"))
                await asyncio.sleep(0)
                await workspace.refresh_sockets()
            else:
                workspace.faults.drop_sockets()
            opened = workspace.sockets.opened
            amid = asyncio.create_task(says(f"{number} amid"))
            await kept.until(lambda n=opened: workspace.sockets.opened > n, seconds=60)
            if before is not None:
                await before  # on a busy machine Slack may have had none to deliver it to
            await amid
            if not number % 5:
                assert await says(f"{number} after")
            if number == SETTLED:
                first = await Held.now(workspace)
        last = await Held.now(workspace)

    assert sorted(kept.heard) == sorted(taken), "each once, and each that was delivered"
    assert len(kept.why) == ROUNDS
    assert kept.why.count("lost") == ROUNDS // 10
    assert last.tasks <= first.tasks + 2  # an idle connection of a client's pool comes and goes
    assert last.files <= first.files + 4
    assert (last.wires, last.sessions) == (first.wires, first.sessions)
    # The workspace remembers every call that was made to it.
    assert last.memory - first.memory < 24 * MEGABYTE * (ROUNDS / 500)


async def test_no_connection_is_deaf_for_longer_than_its_age(workspace: Workspace) -> None:
    """It answers pings and delivers nothing: nobody can tell it from a quiet one."""
    pace = Pace(age=20.0, heartbeat=60.0, open=15.0, pause=0.01, longest=0.05, quiet=0.2)
    async with Kept.open(workspace, pace) as kept:
        workspace.sockets.deafen()
        began = time.monotonic()
        await workspace.wait_for_connections(1, timeout=60)
        assert time.monotonic() - began < pace.age
        await kept.says("tags")
        assert kept.why == ["age"]


async def test_lost_pings_are_missed(workspace: Workspace) -> None:
    pace = Pace(age=3600.0, heartbeat=0.5, open=15.0, pause=0.01, longest=0.05, quiet=0.2)
    async with Kept.open(workspace, pace) as kept:
        for _ in range(3):
            opened = workspace.sockets.opened
            workspace.sockets.mute()
            await kept.until(lambda n=opened: workspace.sockets.opened > n, seconds=60)
        assert set(kept.why) <= {"lost"}
    async with Kept.open(workspace) as kept:
        await kept.says("tags")
