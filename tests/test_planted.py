"""Whatever lets a planted secret out makes the run fail, with the test and the place."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]
LEAKS = """
import asyncio, logging, sqlite3, subprocess, sys
import pytest, structlog
from slack_sdk.web.async_client import AsyncWebClient
from bot.playground import Workspace
from bot.metrics import Metrics
from tests.support.planted import PASSING, SECRET, login

pytestmark = pytest.mark.anyio

def test_prints():
    print(f"the token is {SECRET}")

def test_logs():
    logging.getLogger("x").warning("no answer from https://x/%s", PASSING)

def test_logs_with_structlog():
    structlog.get_logger().info("said", password=SECRET)

def test_says_its_login():
    print("Authorization: Basic cm9ib3Q6aHVudGVyMg==", login("robot", "hunter2")[:0])

def test_looks_at_it_itself(capsys):
    print(SECRET)
    assert SECRET in capsys.readouterr().out

def test_runs_a_program():
    subprocess.run([sys.executable, "-c", f"print('{SECRET}')"], capture_output=True)

async def test_tells_slack():
    async with Workspace("socket") as workspace:
        await workspace._serve(0)
        workspace.add_user("U1", "ann")
        workspace.add_channel("C1", "ops", ["U1"])
        client = AsyncWebClient(workspace.bot_token, workspace.api_url)
        await client.chat_postMessage(channel="C1", text=f"it is {workspace.bot_token}")

def test_counts_by_it():
    metrics = Metrics()
    metrics.command(SECRET, "ok")
    metrics.render()

def test_keeps_an_address(tmp_path):
    with sqlite3.connect(tmp_path / "bot.db") as db:
        db.execute("CREATE TABLE jobs (state, payload)")
        db.execute("INSERT INTO jobs VALUES ('done', ?)", (PASSING,))
    db.close()

def test_writes(tmp_path):
    (tmp_path / "bot.log").write_text(SECRET)

def test_says_nothing(tmp_path):
    (tmp_path / "registry-bot.toml").write_text(SECRET)
    print("all is well")
"""
SILENT = ("test_says_nothing", "test_writes", "test_keeps_an_address")


@pytest.fixture
def output(tmp_path: Path) -> str:
    """What a run of tests says that let secrets out; nothing of it is left for our own search."""
    tests, temp, said = tmp_path / "test_leaks.py", tmp_path / "temp", tmp_path / "said"
    tests.write_text(LEAKS, encoding="utf-8")
    with said.open("wb") as file:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider"),
                *("-c", str(_ROOT / "pyproject.toml"), f"--rootdir={tmp_path}", "-q"),
                *(f"--basetemp={temp}", str(tests)),
            ],
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
            stdout=file,
            stderr=file,
            check=False,
        )
    text = said.read_text()
    said.unlink()
    shutil.rmtree(temp)
    assert done.returncode == 1, text
    return text


def test_every_way_out_is_watched(output: str) -> None:
    tests = re.findall(r"def (test_\w+)", LEAKS)
    for name in tests:
        assert (f"::{name} let a secret out:" in output.replace("[asyncio]", "")) == (
            name not in SILENT
        ), name
    assert "/temp/test_writes0/bot.log: " in output
    assert "/temp/test_keeps_an_address0/bot.db: " in output
    assert "registry-bot.toml" not in output
