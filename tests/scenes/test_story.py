"""The scenes that the project is for, played by people in a channel over Socket Mode."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.images import pull, push_image
from tests.support.team import ANN, BOB, CAT, EVE, GUEST, LOBBY, OPS, Team

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["socket", "http"])
async def team(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Team]:
    async with Team.open(tmp_path, request.param) as made:
        yield made
        made.check_all_messages()


async def test_list_delete_approve_collect(team: Team) -> None:
    url = team.registry.url
    await push_image(url, "team/api", "1.5.0", layers=[b"stays"])
    before = team.registry.blob_digests()
    await push_image(url, "team/api", "1.4.0", layers=[os.urandom(100_000)])
    async with team.bot():
        table = await team.asks(ANN, "tags team/api")
        assert "1.4.0" in table.all_text
        assert "Share" in table.buttons

        request = await team.request(ANN, 'delete team/api:1.4.0 --reason "old"')
        assert request.buttons == ["Approve", "Deny", "Details", "Cancel"]
        assert f"<@{BOB}>" in request.text
        await team.clicks(BOB, request, "Approve")
        done = await team.shows(request, "is done", "undo until")
        assert "Approve" not in done.buttons
        assert await team.tags("team/api") == ["1.5.0"]

        await team.clicks(ANN, request, "Purge now")
        await team.slack.wait_for_message(OPS, lambda m: "end the undo window" in m.all_text)
        ending = next(m for m in team.slack.messages(OPS) if "end the undo window" in m.all_text)
        await team.clicks(BOB, ending, "Approve")
        await team.shows(request, "purged")

        garbage = team.registry.blob_digests() - before
        size = sum(team.registry.blob_path(d).stat().st_size for d in garbage)
        collecting = await team.request(ANN, "gc")
        await team.clicks(CAT, collecting, "Approve")
        report = await team.shows(collecting, "Freed", f"{size:,} bytes")
        assert "done" in report.all_text
        assert team.registry.blob_digests() == before
        assert await team.is_writable()
        await pull(url, "team/api", "1.5.0")


async def test_undo_brings_it_back(team: Team) -> None:
    pushed = await push_image(team.registry.url, "scratch/x", "1")
    async with team.bot():
        request = await team.request(ANN, "delete scratch/x:1")
        assert request.buttons == ["Confirm", "Cancel"]
        await team.clicks(ANN, request, "Confirm")
        await team.shows(request, "is done")
        await team.clicks(EVE, request, "Undo")
        back = await team.slack.wait_for_message(OPS, lambda m: "put back" in m.all_text)
        await team.clicks(EVE, back, "Confirm")
        await team.shows(back, "restored")
        await team.shows(request, "undone")
    await pull(team.registry.url, "scratch/x", pushed.digest)
    assert await team.tags("scratch/x") == ["1"]


async def test_a_retag_in_between_is_told_to_both(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1", layers=[b"old"])
    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        await push_image(team.registry.url, "team/api", "1", layers=[b"new"])
        await team.clicks(BOB, request, "Approve")
        outdated = await team.shows(request, "outdated", "Nothing was deleted")
        assert "Request again" in outdated.buttons
        await team.slack.wait_for(
            lambda: any(
                f"<@{ANN}>" in m.text and f"<@{BOB}>" in m.text
                for m in team.slack.thread(OPS, request.ts)
            ),
            timeout=10,
        )
        assert await team.tags("team/api") == ["1"]
        await team.clicks(ANN, request, "Request again")
        again = await team.slack.wait_for_message(
            OPS, lambda m: m.ts != request.ts and "Approve" in m.buttons
        )
        await team.clicks(BOB, again, "Approve")
        await team.shows(again, "is done")
        assert await team.tags("team/api") == []


async def test_a_hundred_clicks_are_one_run(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        people = [BOB, CAT, EVE]
        clicks = [team.clicks(people[n % 3], request, "Approve") for n in range(100)]
        await asyncio.gather(*clicks)
        await team.shows(request, "is done")
        told = lambda: sum(len(team.slack.ephemerals(user)) for user in people)  # noqa: E731
        await team.slack.wait_for(lambda: told() >= 100, timeout=60)
        assert told() == 100
        said = [m.all_text for user in people for m in team.slack.ephemerals(user)]
        assert sum("it starts now" in text for text in said) == 1
        assert sum("not among the approvers" in t or "already" in t for t in said) == 99


async def test_who_may_not(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    await push_image(team.registry.url, "prod/api", "1")
    async with team.bot():
        assert "Guests" in (await team.asks(GUEST, "tags team/api")).all_text
        assert "does not listen" in (await team.asks(ANN, "tags team/api", LOBBY)).all_text
        assert "protected" in (await team.asks(ANN, "delete prod/api:1")).all_text
        request = await team.request(ANN, "delete team/api:1")
        await team.clicks(ANN, request, "Approve")
        await team.told(ANN, "yourself")
        await team.clicks(EVE, request, "Approve")
        await team.told(EVE, "not among the approvers")
        await team.clicks(GUEST, request, "Approve")
        await team.told(GUEST, "Guests")
        await team.denies(BOB, request, "still in use")
        await team.shows(request, "denied", "still in use")
        await team.says(BOB, "approve r1")
        await team.told(BOB, "already denied")
        assert await team.tags("team/api") == ["1"]


HOSTILE = [
    ("delete <!channel>", "is not a repository name"),
    ("delete `team/api`", "whole repository"),
    ("delete ../../etc:latest", "is not a repository name"),
    ("delete team/api:1 --forse", "no flag --forse"),
    ("x" * 10_000, "10,000 characters"),
    ("delet team/api:1", "Did you mean"),
    ("gc —dry-rum", "--dry-run"),
    ("delete team/api:“1”", "is not a tag"),
    ("tags team/apo", "team/api"),
    ("lock team/api", "needs --reason"),
    ("incident start", "not here yet"),
    ("show R999", "no request R999"),
    ("undo team/api:1", "takes a request"),
]


async def test_hostile_and_mistaken_input_is_answered_and_does_nothing(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        for text, expected in HOSTILE:
            answer = await team.asks(ANN, text)
            assert expected in answer.all_text, (text[:60], answer.all_text)
            assert "<!channel>" not in answer.text
        assert team.slack.messages(OPS) == []
        assert await team.tags("team/api") == ["1"]
        dry = await team.asks(ANN, "gc —dry-run")
        assert "would free" in dry.all_text


async def test_every_read_answers(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1.4.0")
    async with team.bot():
        for text, expected in [
            ("help", "registry-bot understands"),
            ("help delete", "take tags away"),
            ("whoami", ANN),
            ("status", "answers"),
            ("repos", "team/api"),
            ("tags team/api", "1.4.0"),
            ("inspect team/api:1.4.0", "docker pull"),
            ("requests", "Nothing is open"),
        ]:
            answer = await team.asks(ANN, text)
            assert expected in f"{answer.text} {answer.all_text}", (text, answer.all_text)
        table = await team.asks(ANN, "tags team/api")
        await team.slack.click(ANN, table, "Share")
        shared = await team.slack.wait_for_message(OPS, lambda m: "Shared by" in m.all_text)
        assert "1.4.0" in shared.all_text


async def test_one_slow_call_to_slack_holds_nobody_up(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        hold = team.slack.faults.hold("chat.update")
        await team.clicks(BOB, request, "Approve")
        assert CAT in (await team.asks(CAT, "whoami")).all_text
        assert "R1 is" in team.now(request).text
        assert "done" not in team.now(request).all_text
        hold.release()
        await team.shows(request, "is done")
