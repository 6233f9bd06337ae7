"""What comes in twice counts once; what Slack did not send counts not at all."""

import json
import time
import urllib.parse
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.images import push_image
from tests.support.team import ANN, BOB, LOBBY, OPS, Team

pytestmark = pytest.mark.anyio

SIDE = "C0SIDE"
TWO_CHANNELS = f'[[channels]]\nid = "{SIDE}"\nregistries = ["corp"]'


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with Team.open(tmp_path) as made:
        made.slack.add_channel(SIDE, "side", [ANN, BOB])
        yield made


async def test_what_slack_did_not_sign_reaches_nobody_and_a_replay_counts_once(
    tmp_path: Path,
) -> None:
    async with Team.open(tmp_path, "http") as team:
        await push_image(team.registry.url, "team/api", "1")
        slack = team.slack
        async with team.bot(), aiohttp.ClientSession() as session:

            async def posts(body: bytes, headers: dict[str, str]) -> int:
                kind = {"Content-Type": "application/x-www-form-urlencoded"}
                assert slack.events_url
                async with session.post(
                    slack.events_url, data=body, headers={**headers, **kind}
                ) as answer:
                    return answer.status

            body = _command(team, "delete team/api:1")
            now = int(time.time())
            for headers in (
                {},
                slack.http.signed(body) | {"X-Slack-Signature": "v0=" + "0" * 64},
                slack.http.signed(body.replace(b"api%3A1", b"api%3A2")),
                slack.http.signed(body, now - 310),
                slack.http.signed(body, now + 900),
                # The signature of a moment ago under the time of now.
                slack.http.signed(body, now - 310)
                | {"X-Slack-Request-Timestamp": str(int(time.time()))},
            ):
                assert await posts(body, headers) == 401
            signed = slack.http.signed(body)
            for _ in range(3):
                assert await posts(body, signed) == 200
            request = await slack.wait_for_message(OPS, lambda m: "Approve" in m.buttons)

            click = _click(team, request, "approve")
            signed = slack.http.signed(click)
            for _ in range(3):
                assert await posts(click, signed) == 200
            await team.shows(request, "is done")
            assert await posts(click, signed) == 200
            await team.asks(ANN, "whoami")
        events = [entry.event for entry in await team.trail()]
        for once in ("request.created", "request.approved", "tag.deleted"):
            assert events.count(once) == 1, events
        assert "refused" not in events
        assert len(slack.messages(OPS)) == 1


async def test_envelopes_that_come_again_count_once(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    faults = team.slack.faults
    async with team.bot():
        faults.duplicate_next_envelope(3)
        faults.retry_next_envelope(2)
        request = await team.request(ANN, "delete team/api:1")
        faults.duplicate_next_envelope(3)
        faults.retry_next_envelope(2)
        await team.clicks(BOB, request, "Approve")
        await team.shows(request, "is done")
        await team.asks(ANN, "whoami")
        assert len(team.slack.messages(OPS)) == 1
    events = [entry.event for entry in await team.trail()]
    for once in ("request.created", "request.approved", "tag.deleted"):
        assert events.count(once) == 1, events
    assert "refused" not in events


async def test_pressing_twice_is_told_and_changes_nothing(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        token = _token(request)
        await team.clicks(BOB, request, "Approve")
        await team.shows(request, "is done")
        await team.slack.click_raw(BOB, OPS, request.ts, "approve", token)
        await team.told(BOB, "already decided")
    assert [e.event for e in await team.trail()].count("request.approved") == 1


async def test_buttons_that_are_elsewhere_do_nothing_and_are_taken_away(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot(TWO_CHANNELS):
        request = await team.request(ANN, "delete team/api:1")
        token = _token(request)

        copy = _says(team, SIDE, "U0REGISTRY", request)
        await team.slack.click_raw(BOB, SIDE, copy.ts, "approve", token)
        await team.told(BOB, "belongs to another channel")
        await team.slack.wait_for(lambda: _buttons(team, copy) == [], timeout=20)

        unknown = _says(team, OPS, "U0REGISTRY", request)
        await team.slack.click_raw(BOB, OPS, unknown.ts, "approve", "a token of another store")
        await team.told(BOB, "no request that the bot knows")
        await team.slack.wait_for(lambda: _buttons(team, unknown) == [], timeout=20)

        team.slack.add_user("U0OTHER", "another app", is_bot=True)
        stolen = _says(team, OPS, "U0OTHER", request)
        await team.slack.click_raw(BOB, OPS, stolen.ts, "approve", token)
        await team.told(BOB, "in a message of another app")
        await team.slack.click_raw(BOB, OPS, stolen.ts, "run_0", "delete team/api:1")

        outside = _says(team, LOBBY, "U0REGISTRY", request)
        await team.slack.click_raw(BOB, LOBBY, outside.ts, "approve", token)
        await team.told(BOB, "does not listen in this channel")

        await team.shows(request, "pending")
        assert team.now(request).buttons == request.buttons, "the real one is as it was"
        assert await team.tags("team/api") == ["1"]
    refused = [entry for entry in await team.trail("refused") if entry.actor == BOB]
    assert len(refused) == 5


async def test_somebody_of_another_workspace_is_refused(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    team.slack.add_user("U0FAR", "far", team_id="T0FAR")
    team.slack.change_channel(OPS, members=[ANN, BOB, "U0FAR"])
    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        await team.slack.click_raw("U0FAR", OPS, request.ts, "approve", _token(request))
        await team.told("U0FAR", "Only members of this workspace")
        await team.says("U0FAR", "approve R1")
        await team.shows(request, "pending")
    assert await team.tags("team/api") == ["1"]


async def test_details_pressed_in_a_shared_list_leave_the_list_and_the_request(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        answer = await team.asks(ANN, "requests")
        await team.slack.click(ANN, answer, "Share")
        shared = await team.slack.wait_for_message(OPS, lambda m: "Shared by" in m.all_text)
        await team.clicks(BOB, shared, "Details")
        await team.modal(BOB, "R1", "team/api")
        await team.asks(ANN, "whoami")
        assert "Shared by" in team.now(shared).all_text
        assert "Approve" in team.now(request).buttons
        await team.clicks(BOB, request, "Approve")
        await team.shows(request, "is done")
        assert "Shared by" in team.now(shared).all_text


def _command(team: Team, text: str) -> bytes:
    slack = team.slack
    who, where = slack.state.users[ANN], slack.state.channels[OPS]
    hook, trigger = slack.hooks.issue(ANN, OPS), slack.triggers.issue(ANN)
    form = slack.payloads.command(who, where, "/registry", text, hook, trigger)
    return urllib.parse.urlencode(form).encode()


def _click(team: Team, message: Any, action: str) -> bytes:
    slack = team.slack
    button = {
        "action_id": action,
        "text": {"type": "plain_text", "text": "Approve"},
        "value": _token(message),
    }
    payload = slack.payloads.message_action(
        slack.state.users[BOB],
        slack.state.channels[OPS],
        message,
        message.ts,
        slack.payloads.button_action({"block_id": "b"}, button),
        slack.hooks.issue(BOB, OPS, message.ts),
        slack.triggers.issue(BOB),
    )
    return urllib.parse.urlencode({"payload": json.dumps(payload)}).encode()


def _token(message: Any) -> str:
    rows = [block for block in message.blocks if block["type"] == "actions"]
    return str(next(e["value"] for e in rows[0]["elements"] if e["action_id"] == "approve"))


def _says(team: Team, channel: str, user: str, message: Any) -> Any:
    """A message with the same blocks, in whatever channel, by whatever app."""
    where = team.slack.state.channels[channel]
    return team.slack.state.post(where, user, message.text, message.blocks)


def _buttons(team: Team, message: Any) -> list[str]:
    found = team.slack.state.find(message.channel, message.ts)
    assert found is not None
    return found.buttons
