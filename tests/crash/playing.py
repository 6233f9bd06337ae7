"""Plays a schedule: things break as it says, while people do what it says."""

import asyncio
import contextlib
import signal
import time
from asyncio import FIRST_COMPLETED
from collections.abc import Awaitable, Callable

import sqlalchemy as sa

from bot.store.store import Store
from tests.crash.people import People
from tests.crash.replicas import Replica
from tests.crash.schedule import COLLECTING, EDITING, MOMENTS, Fault
from tests.crash.world import World

PATIENCE = 180.0
"""Seconds after the last fault in which everything must have come to its end."""

_AIMED = 6.0  # seconds for which a fault waits for the call at which it happens
# Work that waits for its hour, not for anything to be mended, does not count.
_UNFINISHED = (
    sa.text(
        "SELECT * FROM jobs WHERE state = 'running' OR (state = 'queued' AND run_at < :soon "
        "AND kind NOT IN ('expire', 'remind', 'schedule', 'anchor'))"
    ),
    sa.text("SELECT * FROM outbox WHERE state = 'queued'"),
    sa.text("SELECT * FROM requests WHERE state IN ('approved', 'running')"),
)


class Playing:
    """One schedule on one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._people = People(world)
        self.played = self._people.played
        self.unfinished: list[str] = []

    async def run(self) -> None:
        """All of it, until everything is quiet; `unfinished` tells what is left undone."""
        stories = {asyncio.create_task(self._people.plays(s)): s for s in self._world.plan.stories}
        self._over = asyncio.gather(*stories, return_exceptions=True)
        try:
            await asyncio.gather(*(self._fault(fault) for fault in self._world.plan.faults))
            await self._world.heal()
            await asyncio.wait(stories, timeout=PATIENCE)
            for story in stories:
                if story.done():
                    story.result()
            self.unfinished += self._people.unfinished
            self.unfinished += [str(story) for task, story in stories.items() if not task.done()]
            self.unfinished += await self._until_quiet()
        finally:
            for task in stories:
                task.cancel()
            await self._over
        for gesture in self.played.gestures:
            gesture.answered = self._people.is_answered(gesture)

    async def _until_quiet(self) -> list[str]:
        """Wait until nothing is left to do; what is, when patience has ended."""
        deadline = time.monotonic() + PATIENCE
        store = await Store.look(self._world.database.url)
        try:
            calm, busy = 0, [""]
            while calm < 3 and time.monotonic() < deadline:
                async with store.reading() as tx:
                    now = await tx.now()
                    rows = [await tx.conn.execute(q, {"soon": now + 60}) for q in _UNFINISHED]
                    busy = [str(dict(row._mapping)) for found in rows for row in found]
                calm = 0 if busy else calm + 1
                await asyncio.sleep(0.15)
        finally:
            await store.close()
        return busy

    # What breaks

    async def _fault(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at)
        world = self._world
        if fault.how in MOMENTS or fault.how in {COLLECTING, EDITING}:
            await self._at_a_moment(fault)
            return
        self.played.happened[f"{fault.kind} {fault.how}".strip()] += 1
        breaking: dict[str, Callable[[], Awaitable[None]]] = {
            "kill": lambda: world.kill(fault.process, fault.seconds),
            "freeze": lambda: world.freeze(fault.process, fault.seconds),
            "database": lambda: world.database.fail(fault.seconds),
            "slack": lambda: world.break_slack(fault.how, fault.seconds),
            "registry": lambda: world.break_registry(fault.how, fault.seconds),
        }
        await breaking[fault.kind]()

    async def _at_a_moment(self, fault: Fault) -> None:
        """Wait for that moment, for a while, and let the process die or freeze there."""
        replica = self._world.replicas[fault.process]
        killing, now = fault.kind == "kill", asyncio.Event()

        def act(another: Replica | None = None) -> None:
            nonlocal replica
            replica = another or replica
            now.set()
            replica.down += killing
            replica.send(signal.SIGKILL if killing else signal.SIGSTOP)

        waiting = asyncio.create_task(self._moment(fault, act))
        # A collection may stand behind everything else; then nobody asks for one any more.
        patience = None if fault.how == COLLECTING else _AIMED
        came = asyncio.create_task(now.wait())
        try:
            await asyncio.wait([came, self._over], timeout=patience, return_when=FIRST_COMPLETED)
            if not now.is_set():
                return
            self.played.happened[f"{fault.kind} {fault.how}"] += 1
            await asyncio.sleep(fault.seconds)
            if killing:
                replica.down -= 1
            else:
                replica.send(signal.SIGCONT)
        finally:
            replica.line.heal()
            waiting.cancel()
            came.cancel()
            await asyncio.gather(waiting, came, return_exceptions=True)

    async def _moment(self, fault: Fault, act: Callable[..., None]) -> None:
        """Call `act` when it has come. An edit that has left a process arrives when all is over."""
        if fault.how in MOMENTS:
            method, path, after = MOMENTS[fault.how]
            self._world.replicas[fault.process].line.arm(method, path, act, after=after)
        elif fault.how == COLLECTING:
            while not (busy := self._collecting()):
                await asyncio.sleep(0.02)
            act(busy[0])
        else:
            hold = self._world.slack.faults.hold("chat.update")
            try:
                await hold.arrived.wait()
                act()
                await asyncio.Event().wait()
            finally:
                hold.release()

    def _collecting(self) -> list[Replica]:
        """Whose collection has begun, of those that are no dry runs, and has not ended."""
        if [word for word, _ in self._world.collections()][-1:] != ["begin"]:
            return []
        with contextlib.suppress(OSError):  # somebody ended while we looked
            return [replica for replica in self._world.replicas if replica.is_collecting]
        return []
