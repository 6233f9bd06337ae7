"""Slack and the registry misbehave; people still get one true answer."""

import asyncio

import pytest

from tests.support.images import pull, push_image
from tests.support.proxy import Proxy
from tests.support.team import ANN, BOB, EVE, OPS, Team

pytestmark = pytest.mark.anyio


async def test_a_command_delivered_twice_is_one_request(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        team.slack.faults.duplicate_next_envelope()
        first = await team.request(ANN, "delete team/api:1")
        second = await team.request(ANN, "delete team/api:1")
        assert "*R1*" in first.all_text
        assert "*R2*" in second.all_text
        assert "Touches the same images as R1" in second.all_text
        assert len(team.slack.messages(OPS)) == 2


async def test_a_burst_of_429_delays_the_message_and_loses_nothing(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        team.slack.faults.fail("chat.postMessage", times=2, status=429, retry_after=1)
        request = await team.request(ANN, "delete team/api:1")
        team.slack.faults.fail("chat.update", times=1, status=500)
        await team.clicks(BOB, request, "Approve")
        await team.shows(request, "is done")
        assert len(team.slack.messages(OPS)) == 1


async def test_a_workspace_without_tables_gets_text(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1.4.0")
    async with team.bot():
        team.slack.faults.unsupported_blocks.add("table")
        answer = await team.asks(ANN, "tags team/api")
        assert "1.4.0" in answer.all_text
        assert all(block["type"] != "table" for block in answer.blocks)


async def test_a_channel_that_the_bot_cannot_write_to(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        team.slack.change_channel(OPS, bot_member=False)
        await team.says(ANN, "delete team/api:1")
        await team.slack.wait_for(
            lambda: any("Invite me" in m.text for m in team.slack.messages(team.slack.dm(ANN))),
            timeout=20,
        )


async def test_slack_forgets_who_people_are(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        team.slack.faults.fail("users.info", times=1, status=200, error="fatal_error")
        answer = await team.asks(EVE, "delete team/api:1")
        assert "Nothing was changed" in answer.all_text
        assert team.slack.messages(OPS) == []


async def test_a_dead_registry_is_said(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        team.registry.stop()
        for text in ("tags team/api", "delete team/api:1", "status"):
            answer = await team.asks(ANN, text)
            assert "refuses connections" in answer.all_text


async def test_a_registry_that_dies_after_the_approval_is_waited_for(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        team.registry.stop()
        await team.clicks(BOB, request, "Approve")
        await team.shows(request, "Waiting")
        team.registry.start()
        await team.shows(request, "is done")
        assert await team.tags("team/api") == []


async def test_a_registry_that_dies_between_the_two_calls(team: Team) -> None:
    first = await push_image(team.registry.url, "team/api", "1")
    async with Proxy.open(team.registry.url) as proxy:
        team.registry_url = proxy.url
        async with team.bot():
            request = await team.request(ANN, "delete team/api:1")
            proxy.arm("DELETE", r"/manifests/sha256:", team.registry.stop)
            await team.clicks(BOB, request, "Approve")
            await team.shows(request, "Waiting")
            team.registry.start()
            await team.shows(request, "is done")
    assert await team.tags("team/api") == []
    await pull(team.registry.url, "team/api", first.digest)


async def test_sockets_that_are_cut_lose_nothing(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        team.slack.faults.drop_sockets()
        await team.slack.wait_for(lambda: team.slack.connections == 0, timeout=5)
        await team.slack.wait_for_connections(1, timeout=30)
        await team.clicks(BOB, request, "Approve")
        await team.shows(request, "is done")


async def test_nobody_decides_in_time(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot(extra='[defaults]\nexpires_after = "1s"'):
        request = await team.request(ANN, "delete team/api:1")
        expired = await team.shows(request, "expired")
        assert "Approve" not in expired.buttons
        await team.slack.click_raw(BOB, OPS, request.ts, "approve", _token(request))
        await team.told(BOB, "expired")
        assert await team.tags("team/api") == ["1"]


def _token(message: object) -> str:
    blocks = message.blocks  # type: ignore[attr-defined]
    return next(
        element["value"]
        for block in blocks
        if block["type"] == "actions"
        for element in block["elements"]
        if element["action_id"] == "approve"
    )


async def test_a_hundred_commands_at_once_are_all_answered(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        deliveries = await asyncio.gather(
            *(team.slack.command(ANN, OPS, "tags team/api") for _ in range(100))
        )
        assert all(delivery.acked and delivery.ack_seconds < 3 for delivery in deliveries)
        await team.slack.wait_for(lambda: len(team.slack.ephemerals(ANN)) >= 100, timeout=60)
        assert len(team.slack.ephemerals(ANN)) == 100


async def test_a_registry_with_a_full_disk_is_waited_for_with_the_placeholder_in_place(
    team: Team,
) -> None:
    """It answers 500 to the second call of the untag for a while; the tag is finished later."""
    first = await push_image(team.registry.url, "team/api", "1")
    async with Proxy.open(team.registry.url) as proxy:
        team.registry_url = proxy.url
        async with team.bot():
            request = await team.request(ANN, "delete team/api:1")
            proxy.answer("DELETE", r"/manifests/sha256:", 500)
            await team.clicks(BOB, request, "Approve")
            await team.shows(request, "Waiting", "500")
            proxy.answer("", "", 0)
            await team.shows(request, "is done")
    assert await team.tags("team/api") == []
    await pull(team.registry.url, "team/api", first.digest)
