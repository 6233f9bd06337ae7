"""The program as its operators meet it: starting, refusing to start, stopping."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.images import push_image
from tests.support.team import ANN, BOB, OPS, Team

pytestmark = pytest.mark.anyio
_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with Team.open(tmp_path) as made:
        yield made


async def _program(team: Team, command: str, **environ: str) -> tuple[int, str]:
    """Run `registry-bot COMMAND` to its end; exit code and everything it printed."""
    config = team.write_settings()
    values = {**os.environ, **team.environ, **environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        command,
        "--config",
        str(config),
        cwd=_ROOT,
        env={k: v for k, v in values.items() if v},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output.decode()


@pytest.mark.parametrize(
    ("name", "token"),
    [("SLACK_BOT_TOKEN", "xoxb-not-a-token"), ("SLACK_APP_TOKEN", "xapp-not-a-token")],
)
async def test_a_bad_token_ends_it_within_seconds(team: Team, name: str, token: str) -> None:
    code, output = await _program(team, "serve", **{name: token})
    assert code == 1
    assert "invalid_auth" in output
    assert name in output
    assert token not in output


async def test_a_bot_that_slack_takes_no_more_ends_for_its_supervisor(team: Team) -> None:
    running = asyncio.ensure_future(_program(team, "serve"))
    await team.slack.wait_for_connections(1)
    team.slack.faults.fail("apps.connections.open", times=10_000, error="invalid_auth")
    team.slack.faults.drop_sockets()
    code, output = await running
    assert code == 1
    assert "registry-bot: " in output
    assert "invalid_auth" in output
    assert "stopped" in output, "what runs is handed over first"


def test_what_hangs_at_the_end_is_ended() -> None:
    """The event loop itself may hang: nothing that runs in it can be relied on."""
    hanging = "from bot.parts import no_later_than as n; import time; n(0.2); time.sleep(50)"
    done = subprocess.run(
        [sys.executable, "-c", hanging], cwd=_ROOT, capture_output=True, text=True, timeout=40
    )
    assert done.returncode == 1
    assert "not ended in time" in done.stdout + done.stderr


async def test_a_missing_secret_names_the_key(team: Team) -> None:
    code, output = await _program(team, "serve", SLACK_APP_TOKEN="")
    assert code == 2
    assert "SLACK_APP_TOKEN" in output


async def test_slack_away_is_said(team: Team) -> None:
    code, output = await _program(team, "serve", SLACK_API_URL="http://127.0.0.1:9/api/")
    assert code == 1
    assert "does not answer" in output


async def test_check_prints_a_table_and_changes_nothing(team: Team) -> None:
    await push_image(team.registry.url, "probe/uploads", "1")
    code, output = await _program(team, "check")
    assert code == 0, output
    assert "by digest" in output
    assert "accepted" in output
    team.registry.stop()
    code, output = await _program(team, "check")
    assert code == 1
    assert "PROBLEM" in output


async def test_check_asks_slack_who_is_in_the_user_groups(team: Team) -> None:
    await push_image(team.registry.url, "probe/uploads", "1")
    team.groups = 'oncall = { slack_usergroup = "S0ONCALL" }'
    team.slack.add_usergroup("S0ONCALL", [BOB])
    code, output = await _program(team, "check")
    assert code == 0, output
    assert "user group S0ONCALL" in output
    team.slack.faults.fail("usergroups.users.list", error="missing_scope")
    code, output = await _program(team, "check")
    assert code == 1
    assert "lacks the scope usergroups:read" in output


async def test_sigterm_finishes_what_runs_and_ends(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    await team.spawn()
    request = await team.request(ANN, "delete team/api:1")
    hold = team.slack.faults.hold("chat.update")
    await team.clicks(BOB, request, "Approve")
    await team.told(BOB, "it starts now")
    ending = asyncio.ensure_future(team.terminate())
    hold.release()
    assert await ending == 0
    await team.spawn()
    await team.shows(request, "is done")
    assert await team.tags("team/api") == []


async def test_a_store_that_does_not_answer_is_said_within_three_seconds(team: Team) -> None:
    async with team.bot():
        locker = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sqlite3,sys;c=sqlite3.connect(sys.argv[1],isolation_level=None);"
                "c.execute('BEGIN IMMEDIATE');print('held',flush=True);sys.stdin.read()",
                str(team.directory / "bot.db"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert locker.stdin is not None
        assert locker.stdout is not None
        locker.stdout.readline()
        try:
            delivery = await team.slack.command(ANN, OPS, "help")
            assert delivery.acked
            assert delivery.ack_seconds < 3
            await team.told(ANN, "could not record")
        finally:
            locker.stdin.close()
            locker.wait(10)
            locker.stdout.close()
