"""Many collections at once, each held at a moment of its own, when the bot dies or is paused.

One death of the process is the death of every collection that it carries out, so one scene shows
as many moments as there are registries, and waits for a successor once.
"""

import asyncio
import contextlib
import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bot.gc.steps import Step
from tests.support.moments import HOLD_AT
from tests.support.replica import Replica
from tests.support.sites import Site
from tests.support.team import ANN, BOB, OPS, Team

SECONDS = 120.0
"""How long anything may take; it matters only where something is broken."""

_BEGUN = ("mid", "3", "done")  # acts of the step that collects
_ENDS = ("is done", "failed", "partly done")


class Succession:
    """A team, its registries, and a bot that has a successor.

    Parameters
    ----------
    holds : the directory of moments.py.
    """

    def __init__(self, team: Team, sites: Sequence[Site], holds: Path) -> None:
        self.team = team
        self.sites = sites
        self._holds = holds
        self._requests: dict[str, Any] = {}

    async def play(self, number: signal.Signals) -> None:
        """The whole scene, up to the end of every collection, with all that must be true then."""
        self.team.tables = "".join(site.table() for site in self.sites)
        self.team.served = ["corp", *(site.name for site in self.sites)]
        await asyncio.gather(*(site.fill() for site in self.sites))
        async with contextlib.AsyncExitStack() as stack:
            for site in self.sites:
                await stack.enter_async_context(site.pusher.at_work())
            first = await self.team.spawn(
                environ={"CALM": "1", HOLD_AT: str(self._holds)}, name="first"
            )
            await self._all_are_held()
            await self._strike(first, number)
            await self.team.spawn(environ={"CALM": "1"}, name="second")
            await self._outliving()
            await asyncio.gather(*(self._ended(site) for site in self.sites))
            for site in self.sites:
                await self._check(site)
            if number == signal.SIGSTOP:
                await self._wakes_up(first)
            await asyncio.gather(*(site.pusher.pushes() for site in self.sites))
        for site in self.sites:
            await site.restart()
            await site.pusher.check()

    async def _all_are_held(self) -> None:
        for site in self.sites:
            asked = await self.team.request(ANN, f"gc --on {site.name}")
            if site.moment.startswith("empty"):
                asked = await self._with_empty(asked)
            self._requests[site.name] = asked
            found = re.search(r"\bR(\d+)\b", asked.all_text)
            site.number = int(found[1]) if found else 0
            site.ready()
            site.hold()
        for site in self.sites:
            await self._approve(site)
        await self._until(lambda: all(site.is_held() for site in self.sites))

    async def _approve(self, site: Site) -> None:
        """Press the button until it is heard: a bot with very much to do says so in time."""
        for _ in range(10):
            if "is pending" not in self._text(site):
                return
            await self.team.clicks(BOB, self._requests[site.name], "Approve")
            with contextlib.suppress(TimeoutError):
                await self.team.slack.wait_for(
                    lambda: "is pending" not in self._text(site), timeout=10
                )
        raise AssertionError(self._all_that_is_known(site))

    async def _with_empty(self, asked: Any) -> Any:
        """Ask for the same collection with the empty repositories that were found."""
        known = {message.ts for message in self.team.slack.messages(OPS)}
        await self.team.clicks(ANN, asked, "Remove 3 empty repositories too")
        return await self.team.slack.wait_for_message(
            OPS, lambda m: m.ts not in known and "Removes 3 empty" in m.all_text, timeout=SECONDS
        )

    async def _strike(self, first: Replica, number: signal.Signals) -> None:
        if number == signal.SIGKILL:
            first.kill()
            return
        (self._holds / "freeze").touch()
        status = Path(f"/proc/{first.process.pid}/stat")
        await self._until(lambda: status.read_text().rpartition(")")[2].split()[0] == "T")

    async def _outliving(self) -> None:
        """What outlived the bot is waited for, and nothing is switched meanwhile."""
        for site in self.sites:
            if site.in_the_middle:
                await self._shows(site, lambda text: "still at work" in text)
                assert not (site.outlives and await site.is_writable()), site.moment
                site.go_on()

    async def _ended(self, site: Site) -> None:
        await self._shows(site, lambda text: any(end in text for end in _ENDS))

    async def _check(self, site: Site) -> None:
        """What is told is true, and all is as it was before."""
        begun, told = site.collections(), self._told(site)
        assert await site.is_writable(), told
        assert site.why_not_as_before() == "", told
        left = site.blobs() & site.garbage
        if collects(site.moment):
            assert begun == 1, told
            assert "is done" in told, told
            assert "Freed" in told, told
            assert left == set(), told
        else:
            assert begun == 0, told
            assert "failed" in told, told
            assert "interrupted" in told, told
            assert left == site.garbage, told
        trail = [e.event for e in await self.team.trail() if e.request_id == site.number]
        assert trail.count("gc.finished") == 1, trail
        thread = [m.all_text for m in self.team.slack.thread(OPS, self._requests[site.name].ts)]
        assert any(f"R{site.number}" in text for text in thread), thread

    async def _wakes_up(self, first: Replica) -> None:
        """The one that was paused goes on, beside its successor, and does nothing."""
        before = [await self._seen(site) for site in self.sites]
        for site in self.sites:
            site.wake()
        first.signal(signal.SIGCONT)
        await self._until(lambda: all(site.has_ended() for site in self.sites))
        assert [await self._seen(site) for site in self.sites] == before
        assert first.is_alive

    async def _seen(self, site: Site) -> tuple[object, ...]:
        assert await site.is_writable()
        steps = await self.team.trail("gc.step")
        trail = [entry for entry in steps if entry.request_id == site.number]
        left = site.blobs() & site.garbage
        return site.acts(), site.collections(), left, trail, self._text(site)

    def _text(self, site: Site) -> str:
        return str(self.team.now(self._requests[site.name]).all_text)

    def _told(self, site: Site | None = None) -> str:
        sites = [site] if site else self.sites
        return "\n".join(f"{s.moment}: {self._text(s)}" for s in sites if s.name in self._requests)

    async def _shows(self, site: Site, wanted: Callable[[str], bool]) -> None:
        try:
            await self.team.slack.wait_for(lambda: wanted(self._text(site)), timeout=SECONDS)
        except TimeoutError:
            raise AssertionError(self._all_that_is_known(site)) from None

    async def _until(self, holds: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                while not holds():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(self._all_that_is_known()) from None

    def _all_that_is_known(self, site: Site | None = None) -> str:
        logs = [path.read_text()[-3000:] for path in self.team.directory.glob("*.log")]
        return "\n".join([self._told(site), *logs])


def collects(moment: str) -> bool:
    """Whether a collection whose process ends at this moment has begun, or begins afterwards."""
    step, _, act = moment.partition(".")
    if step in ("begun", Step.PREFLIGHT):
        return True  # nothing had been changed: its successor begins again
    if step == Step.COLLECT:
        return act in _BEGUN
    return Step(step).number > Step.COLLECT.number
