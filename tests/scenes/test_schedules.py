"""What the clock begins, as a team sees it: shown or asked for, never done by itself."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.images import push_image
from tests.support.team import ANN, BOB, OPS, Team

pytestmark = pytest.mark.anyio

RETENTION = """
[[retention]]
name = "nightly"
repositories = ["ci/**"]
keep = [{ tags = ["*"], most_recent_count = 1 }]
schedule = "daily 03:00"
"""


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with Team.open(tmp_path) as made:
        for repo, years in (("ci/app", (2019, 2020)), ("ci/tidy", (2020,))):
            for year in years:
                created = f"{year}-06-01T00:00:00Z"
                await push_image(made.registry.url, repo, f"v{year}", created=created)
        yield made
        made.check_all_messages()


def move_the_clock(team: Team) -> None:
    """Let everything that is scheduled be due now."""
    with closing(sqlite3.connect(team.directory / "bot.db", timeout=10)) as db, db:
        now = db.execute("SELECT (julianday('now') - 2440587.5) * 86400.0").fetchone()[0]
        rows = db.execute("SELECT id, payload FROM jobs WHERE kind = 'schedule'").fetchall()
        assert rows, "nothing is scheduled"
        for number, payload in rows:
            moved = json.dumps({**json.loads(payload), "at": now})
            db.execute(
                "UPDATE jobs SET run_at = ?, payload = ?, dedupe = ? WHERE id = ?",
                (now, moved, f"moved:{number}", number),
            )


async def appears(team: Team, *words: str) -> Any:
    return await team.slack.wait_for_message(
        OPS, lambda m: all(word in m.all_text for word in words), timeout=30
    )


async def test_a_preview_by_the_clock(team: Team) -> None:
    async with team.bot(RETENTION):
        move_the_clock(team)
        preview = await appears(
            team, "Cleanup preview", "Scheduled by the retention rule `nightly`"
        )
        assert preview.buttons == ["Request it", "Discard"]
        line = await appears(team, "`nightly` has looked at 2 repositories", "1 shown above")
        assert "1 with nothing to clean up" in line.text
        assert not any("ci/tidy" in m.all_text for m in team.slack.messages(OPS))
        await team.clicks(ANN, preview, "Request it")
        request = await appears(team, f"<@{ANN}> asks to *clean up* 1 tag")
        await team.clicks(BOB, request, "Approve")
        await team.shows(request, "is done")
        assert await team.tags("ci/app") == ["v2020"]


async def test_a_request_by_the_clock(team: Team) -> None:
    async with team.bot(f'{RETENTION}mode = "request"\n'):
        move_the_clock(team)
        request = await appears(team, "`bot` asks to *clean up* 1 tag", "retention rule nightly")
        assert "Approve" in request.buttons
        assert f"<@{BOB}>" in request.text
        assert "<@bot>" not in request.all_text
        await team.clicks(BOB, request, "Deny")
        assert await team.tags("ci/app") == ["v2019", "v2020"]


async def test_where_a_schedule_may_not_collect_somebody_can(team: Team) -> None:
    path = team.write_settings
    free = (
        '[[rules]]\nname = "gc"\nactions = ["gc"]\nrequesters = ["anyone"]\napproval = "confirm"\n'
    )

    def written(extra: str = "", **replaced: str) -> Path:
        changes = {
            '[[rules]]\nname = "scratch"': f'{free}[[rules]]\nname = "scratch"',
            '  executor = "command"\n': '  executor = "command"\n  schedule = "sun 03:00"\n',
        }
        return path(extra, **changes, **replaced)

    team.write_settings = written  # type: ignore[method-assign]
    async with team.bot():
        move_the_clock(team)
        due = await appears(team, "time to collect garbage on *corp*", "confirms nothing")
        assert due.buttons == ["Collect garbage"]
        await team.clicks(ANN, due, "Collect garbage")
        request = await appears(team, f"<@{ANN}> asks to collect garbage on *corp*")
        assert request.buttons == ["Confirm", "Cancel"]
        await team.clicks(ANN, request, "Cancel")
        await team.shows(request, "cancelled")
