"""How fast a crowd is acknowledged: the bot, against a bare Bolt app that only echoes.

    make bench            (python -m bench.load [ROUNDS])

500 commands and 200 clicks of 90 people within ten seconds, over each transport, by turns. Bot and
echo have a process to themselves; the crowd and Slack are in this one. Seconds are those of this
machine and this run, as Slack sees them; the ratio says what recording and limits cost.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from bot.playground.model import Delivery
from tests.support.crowd import Crowd
from tests.support.images import push_image
from tests.support.replica import Replica
from tests.support.team import ANN, OPS, Team

MODES = ("socket", "http")
Started = Callable[[Team], Awaitable[str]]
"""Starts an app for the team; the value of a button that it knows."""


async def _bot(team: Team) -> str:
    await push_image(team.registry.url, "team/api", "1")
    replica = await team.spawn(Crowd.settings("corp"), unhurried=True)
    if team.mode == "http":
        team.slack.events_url = f"http://{replica.site}/slack/events"
    request = await team.request(ANN, "delete team/api:1")
    return next(
        str(button["value"])
        for block in request.blocks
        for button in block.get("elements", ())
        if button.get("action_id") == "approve"
    )


def _spawned(team: Team, ready: Path) -> Replica:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.echo", team.mode, team.slack.api_url, str(ready)],
        env={**os.environ, **team.environ},
        stderr=subprocess.DEVNULL,
    )
    return Replica(process, team.directory / "echo.log", ready)


async def _echo(team: Team) -> str:
    ready = team.directory / "echo.ready"
    team.replicas.append(_spawned(team, ready))
    async with asyncio.timeout(30):
        while not (ready.exists() and ready.read_text()):  # noqa: ASYNC110 - another process's
            await asyncio.sleep(0.02)
    if team.mode == "http":
        team.slack.events_url = f"http://{ready.read_text()}/slack/events"
    return ""


async def lap(start: Started, mode: str) -> Sequence[float]:
    """Seconds until each gesture was acknowledged."""
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        async with Team.open(Path(made), mode) as team:
            crowd = Crowd(team.slack, OPS)
            value = await start(team)

            async def press(person: str) -> Delivery:
                return await team.slack.click_raw(person, OPS, "1.1", "approve", value)

            received = await crowd.storm(press)
    if lost := [one.error for one in received if not one.acked]:
        raise RuntimeError(f"{len(lost)} of {len(received)} were not acknowledged: {lost[0]}")
    return [one.ack_seconds for one in received]


def report(mode: str, bot: Sequence[float], echo: Sequence[float]) -> Iterator[str]:
    """Median and 99th percentile, of both, and as ratios."""
    yield f"{mode}: {len(bot)} acknowledgements of each"
    for name, at in (("p50", 50), ("p99", 99)):
        ours, bare = (statistics.quantiles(each, n=100)[at - 1] for each in (bot, echo))
        yield (
            f"  {name}   bare echo {bare * 1000:7.1f} ms   1.00"
            f"   the bot {ours * 1000:7.1f} ms   {ours / bare:.2f}"
        )


def main(rounds: int) -> None:
    """By turns, so that whatever else the machine does hits both alike."""
    for mode in MODES:
        seconds: dict[Started, list[float]] = {_echo: [], _bot: []}
        for number in range(rounds):
            for start in (_echo, _bot) if number % 2 == 0 else (_bot, _echo):
                seconds[start] += asyncio.run(lap(start, mode))
        for line in report(mode, seconds[_bot], seconds[_echo]):
            sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
