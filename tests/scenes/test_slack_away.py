"""Slack stumbles in every way it can: each change happens once, each person hears of it."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest

from bot.playground.faults import Faults
from bot.store.store import Store
from tests.support.clock import pass_by
from tests.support.images import push_image
from tests.support.team import ANN, BOB, FAST, OPS, Team

pytestmark = pytest.mark.anyio


SAYING = ("chat.postMessage", "chat.postEphemeral", "chat.update", "response_url")


def _each(**how: Any) -> Callable[[Faults], None]:
    """The next calls by which anything is said fail like this."""

    def plan(faults: Faults) -> None:
        for method in SAYING:
            faults.fail(method, **how)

    return plan


def _envelope(faults: Faults) -> None:
    faults.duplicate_next_envelope(3)
    faults.retry_next_envelope(1)


def _slow(faults: Faults) -> None:
    for method in SAYING:
        faults.delay(method, 0.3)


FAULTS: Mapping[str, Callable[[Faults], Any]] = {
    "429 with Retry-After": _each(status=429, retry_after=1),
    "a burst of ratelimited": _each(times=2, error="ratelimited"),
    "5xx": _each(status=503),
    "a cut connection": _each(status=0),
    "an answer that is lost": _each(status=0, after=True),
    "slow answers": _slow,
    "duplicate envelopes": _envelope,
    "late envelopes": lambda faults: faults.delay_next_envelope(0.3),
    "dropped sockets": lambda faults: faults.drop_sockets(),
}


async def test_with_each_fault_a_deletion_happens_once_and_is_told(team: Team) -> None:
    for number in range(len(FAULTS)):
        await push_image(team.registry.url, "team/api", f"v{number}", layers=[b"%d" % number])
    async with team.bot():
        for number, (name, plan) in enumerate(FAULTS.items()):
            plan(team.slack.faults)
            await team.slack.wait_for_connections(1, timeout=60)
            team.slack.ack_window = 0.2 if name == "late envelopes" else 3.0
            await team.slack.command(ANN, OPS, f"delete team/api:v{number}")
            team.slack.ack_window = 3.0
            request = await team.slack.wait_for_message(
                OPS, lambda m, n=number: f"*R{n + 1}*" in m.all_text, timeout=60
            )
            team.slack.faults.clear()
            plan(team.slack.faults)
            await team.slack.wait_for_connections(1, timeout=60)
            await team.clicks(BOB, request, "Approve")
            await team.told(BOB, f"You approved R{number + 1}", timeout=60)
            await _one_shows(team, number + 1, "is done")
            team.slack.faults.clear()
    assert await team.tags("team/api") == []
    events = [(entry.event, entry.request_id) for entry in await team.trail()]
    for number in range(len(FAULTS)):
        for event in ("request.created", "request.approved", "tag.deleted", "request.finished"):
            assert events.count((event, number + 1)) == 1, (event, number)


async def _one_shows(team: Team, number: int, words: str) -> None:
    """Wait until a message of the request shows this: it may have been posted twice."""

    def found() -> bool:
        shown = [m.all_text for m in team.slack.messages(OPS) if f"*R{number}*" in m.all_text]
        return any(words in text for text in shown)

    await team.slack.wait_for(found, timeout=60)


async def test_hours_without_slack_lose_nothing(team: Team) -> None:
    """What was decided goes on; when Slack is back everything arrives, in order."""
    await push_image(team.registry.url, "team/api", "1")

    def saying(method: str, _: Mapping[str, Any]) -> bool:
        return method in SAYING

    store = await Store.open(team.store_url, FAST.lease)
    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        team.slack.faults.fail_where(saying, status=503)
        await team.clicks(BOB, request, "Approve")
        await team.says(ANN, "tags team/api")
        await team.slack.wait_for(
            lambda: len([c for c in team.slack.calls("response_url") if c.status == 503]) >= 2,
            timeout=60,
        )
        await _trail_has(team, "request.finished")
        for _ in range(6):
            await pass_by(store, 3600)
        async with store.reading() as tx:
            waiting, oldest = await tx.outbox.pending()
        assert waiting >= 4
        assert oldest > 5 * 3600
        team.slack.faults.clear()
        await pass_by(store, 120)
        await team.shows(request, "is done", timeout=60)
        for user, words in ((BOB, "You approved R1"), (ANN, "team/api")):
            await team.slack.wait_for_message(
                team.slack.dm(user),
                lambda m, w=words: "Slack could not be told before" in m.text and w in m.all_text,
                timeout=60,
            )
        thread = lambda: "\n".join(m.text for m in team.slack.thread(OPS, request.ts))  # noqa: E731
        await team.slack.wait_for(lambda: "is done" in thread(), timeout=60)
        assert thread().index("Approved by") < thread().index("is done")
    await store.close()
    assert await team.tags("team/api") == []


async def test_a_revoked_token_is_not_ready_and_loses_nothing(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot(), httpx.AsyncClient(verify=False) as http:
        team.slack.faults.fail_where(lambda m, _: m in SAYING, error="token_revoked")
        await team.says(ANN, "tags team/api")
        assert "token_revoked" in await _ready(team, http, 503)
        team.slack.faults.clear()
        await team.told(ANN, "team/api", timeout=90)
        await _ready(team, http, 200)


async def _ready(team: Team, http: httpx.AsyncClient, status: int) -> str:
    """Wait until the bot says that it is ready, or not; its words."""
    async with asyncio.timeout(60):
        while True:
            answer = await http.get(f"http://{team.site}/readyz")
            if answer.status_code == status:
                return answer.text
            await asyncio.sleep(0.05)


async def _trail_has(team: Team, event: str) -> None:
    async with asyncio.timeout(60):
        while not await team.trail(event):
            await asyncio.sleep(0.1)
