"""The terminal and Slack's bot on one store: beside each other, and one after the other."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.gc.steps import Step
from tests.support.host import ROOT, Host, Told
from tests.support.images import pull, push_image
from tests.support.proxy import Proxy
from tests.support.team import ANN, BOB, OPS, Team

pytestmark = pytest.mark.anyio

ALONE = {
    '[[rules]]\nname = "scratch"': '[[rules]]\nname = "anybody"\n'
    'actions = ["gc", "purge", "delete"]'
    '\nrequesters = ["anyone"]\napproval = "confirm"\n[[rules]]\nname = "scratch"'
}


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with Team.open(tmp_path) as made:
        yield made
        made.check_all_messages()


class Beside(Host):
    """The same host's terminal: the team's settings, and none of Slack's secrets."""

    def __init__(self, team: Team, **replaced: str) -> None:
        self.directory = team.directory
        self.config = team.write_settings(**replaced)

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self.argv(*words),
            env=self.environ() | {"PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def types(self, *words: str) -> Told:
        """Wait for the command without holding up the workspace of this event loop."""
        process = await self.start(*words)
        out, err = await asyncio.wait_for(process.communicate(), 60)
        return Told(process.returncode or 0, out.decode(), err.decode())


async def _message(team: Team, words: str) -> Any:
    return await team.slack.wait_for_message(OPS, lambda m: words in m.all_text, timeout=20)


async def test_asked_for_here_and_approved_in_slack(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        told = await Beside(team).types("delete team/api:1")
        assert told.code == 0, told.err
        request = await _message(team, "asks to *delete* 1 tag")
        assert "`local:" in request.all_text
        assert "<@local" not in request.all_text
        await team.clicks(BOB, request, "Approve")
        await team.shows(request, "is done", "undo until")
        assert await team.tags("team/api") == []


async def test_asked_for_in_slack_and_cancelled_by_nobody_here(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        here = Beside(team)
        told = await here.types("cancel R1")
        assert told.code == 1
        assert f"R1 is @{ANN}'s request" in told.err
        await team.shows(request, "pending")


async def test_both_reach_for_the_work_and_it_is_done_once(team: Team) -> None:
    for number in range(3):
        await push_image(team.registry.url, "scratch/x", f"{number}", layers=[os.urandom(9)])
    async with team.bot():
        here = Beside(team)
        told = await asyncio.gather(
            *(here.types("--yes", f"delete scratch/x:{number}") for number in range(3))
        )
        assert [one.code for one in told] == [0, 0, 0], [one.err for one in told]
        assert all("✔ done" in one.out for one in told)
        assert await team.tags("scratch/x") == []
        events = [event for event, _, _ in here.audit()]
        assert events.count("tag.deleted") == events.count("tag.delete_attempted") == 3
        assert events.count("request.finished") == 3


async def test_slack_hears_of_it_when_it_is_back(team: Team) -> None:
    await push_image(team.registry.url, "scratch/x", "1")
    told = await Beside(team).types("--yes", "delete scratch/x:1")
    assert told.code == 0, told.err
    assert team.slack.messages(OPS) == []
    async with team.bot():
        request = await _message(team, "is done")
        assert "undo until" in request.all_text
        assert request.buttons == ["Undo", "Purge now", "Details"]
        await team.clicks(ANN, request, "Undo")
        back = await _message(team, "put back what was deleted")
        await team.clicks(ANN, back, "Confirm")
        await team.shows(back, "restored")
    assert await team.tags("scratch/x") == ["1"]


async def test_killed_between_the_two_calls_of_an_untag(team: Team) -> None:
    """The tag shows a placeholder then; whoever comes next finishes it."""
    first = await push_image(team.registry.url, "scratch/x", "1", layers=[b"same"])
    async with Proxy.open(team.registry.url) as proxy:
        team.registry_url = proxy.url
        here = Beside(team)
        process = await here.start("--yes", "delete scratch/x:1")
        proxy.arm("DELETE", r"/manifests/sha256:", process.kill)
        async with asyncio.timeout(60):
            await proxy.sprung.wait()
        await process.wait()
        assert await team.tags("scratch/x") == ["1"]
        async with team.bot():
            await team.shows(await _message(team, "asks to"), "is done", "undo until")
    assert await team.tags("scratch/x") == []
    await pull(team.registry.url, "scratch/x", first.digest)


async def _collecting(team: Team, here: Beside, gate: Path) -> asyncio.subprocess.Process:
    """A collection that was begun here and holds in its middle."""
    await push_image(team.registry.url, "keep", "1", layers=[b"stays"])
    await push_image(team.registry.url, "scratch/x", "1", layers=[os.urandom(50_000)])
    purged = await here.types("--yes", 'purge scratch/x:1 --reason "make garbage"')
    assert purged.code == 0, purged.err
    process = await here.start("--yes", "gc")
    holding = gate.with_name(gate.name + ".holding")
    async with asyncio.timeout(60):
        while not holding.exists():
            if process.returncode is not None:
                raise AssertionError(await process.communicate())
            await asyncio.sleep(0.02)
    return process


async def test_a_collection_that_lost_its_terminal_is_ended_by_the_next_one(team: Team) -> None:
    """Slack is down, and so is `serve`: it would not even start."""
    gate = team.directory / "gate"
    team.collect = team.registry.slow_collect(gate)
    here = Beside(team, **ALONE)
    process = await _collecting(team, here, gate)
    process.kill()
    await process.wait()
    gate.touch()
    refused = await here.types("--yes", "delete keep:1")
    assert "The registry is read-only at the moment" in refused.err
    assert "R2 gc on corp by @local" not in (found := (await here.types("requests")).out)
    assert "R2 gc on corp by local:" in found
    told = await here.types("approve R2")
    assert told.code == 0, told.err
    assert "Freed" in told.out
    assert await team.is_writable()


async def test_ctrl_c_hands_a_collection_over(team: Team) -> None:
    gate = team.directory / "gate"
    team.collect = team.registry.slow_collect(gate)
    here = Beside(team, **ALONE)
    process = await _collecting(team, here, gate)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    line = (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
    assert "Stopping: R2" in line
    process.send_signal(signal.SIGINT)  # nobody wants to wait until it gives up
    await asyncio.wait_for(process.wait(), 30)
    assert process.returncode == 1
    gate.touch()
    told = await here.types("approve R2")
    assert told.code == 0, told.err
    assert f"R2: {Step.REPORT.label}" in told.out or "Freed" in told.out
    assert await team.is_writable()
