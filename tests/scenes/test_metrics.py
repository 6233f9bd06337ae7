"""A story is played, and every number moves; health is what is so."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.images import push_image
from tests.support.metering import samples
from tests.support.slow_collect import held_at
from tests.support.team import ANN, BOB, Team

pytestmark = pytest.mark.anyio

STILL = {
    "registry_bot_job_queue_depth",
    "registry_bot_outbox_pending",
    "registry_bot_outbox_oldest_seconds",
}
"""What is 0 while nothing waits."""


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with Team.open(tmp_path) as made:
        yield made


async def _numbers(team: Team) -> dict[tuple[str, tuple[str, ...]], float]:
    async with httpx.AsyncClient(verify=False) as http:
        answer = await http.get(f"http://{team.site}/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return samples(answer.content)


async def test_a_story_moves_every_number(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1", layers=[bytes(50_000)])
    await push_image(team.registry.url, "keep", "1")
    gate = team.directory / "gate"
    team.limits = "commands_per_minute = 4"
    team.collect = team.registry.slow_collect(gate)
    async with team.bot():
        before = await _numbers(team)
        purge = await team.request(ANN, 'purge team/api:1 --reason "make garbage"')
        await team.clicks(BOB, purge, "Approve")
        await team.shows(purge, "purged")
        collect = await team.request(ANN, "gc")
        hold = team.slack.faults.hold("chat.update")
        await team.clicks(BOB, collect, "Approve")
        await held_at(gate)
        waiting = await _numbers(team)
        hold.release()
        gate.touch()
        await team.shows(collect, "Freed")
        await team.asks(ANN, "tags no/such")
        await team.slack.refresh_sockets()
        await team.slack.wait_for(lambda: team.slack.sockets.opened > 1)
        await team.asks(ANN, "status")
        await team.says(ANN, "one too many")
        after = await _numbers(team)
        names = {name for name, _ in after}

    def moved(name: str) -> bool:
        return any(after[key] != before.get(key, 0.0) for key in after if key[0] == name)

    plain = {name for name in names if not name.endswith(("_bucket", "_sum", "_count"))}
    assert {name for name in plain if not moved(name)} <= STILL | {
        "registry_bot_jobs_running",
        "registry_bot_store_up",
        "registry_bot_socket_connected",
    }
    assert after["registry_bot_store_up", ()] == after["registry_bot_socket_connected", ()] == 1
    assert waiting["registry_bot_outbox_pending", ()] >= 1
    assert waiting["registry_bot_outbox_oldest_seconds", ()] > 0
    assert waiting["registry_bot_jobs_running", ()] >= 1

    (finished,) = await team.trail("gc.finished")
    freed = finished.detail["freed_bytes"]
    assert after["registry_bot_gc_freed_bytes_total", ()] == freed > 50_000
    for action, state in [("purge", "pending"), ("purge", "purged"), ("gc", "done")]:
        assert after["registry_bot_requests_total", (action, state)] == 1
    assert after["registry_bot_commands_total", ("ok", "gc")] == 1
    assert after["registry_bot_commands_total", ("refused", "tags")] == 1
    assert after["registry_bot_commands_total", ("ok", "click approve")] == 2
    assert after["registry_bot_jobs_total", ("collect", "ok")] == 1
    assert after["registry_bot_registry_calls_total", ("202", "corp")] >= 1
    assert after["registry_bot_socket_replaced_total", ("refresh_requested",)] == 1
    assert after["registry_bot_refused_by_limit_total", ("person",)] == 1
    assert after["registry_bot_ack_seconds_count", ()] == 7  # five commands, two clicks
