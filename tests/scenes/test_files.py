"""Tables that do not fit into a message come as files, and nothing waits behind a file."""

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiohttp import web

from bot.store.schema import outbox
from bot.store.store import Store
from tests.support.images import push_image
from tests.support.many import tag_as
from tests.support.team import ANN, BOB, OPS, Team

pytestmark = pytest.mark.anyio

TAGS = [f"build-{number:03d}" for number in range(120)]


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with Team.open(tmp_path) as made:
        pushed = await push_image(made.registry.url, "team/api", TAGS[0])
        await tag_as(made.registry.url, "team/api", pushed, TAGS[1:])
        yield made
        made.check_all_messages()


def files_of(team: Team, user: str) -> list[Any]:
    return [f for m in team.slack.messages(team.slack.dm(user)) for f in m.files]


async def a_file(team: Team, user: str) -> Any:
    await team.slack.wait_for(lambda: bool(files_of(team, user)), timeout=20)
    return files_of(team, user)[-1]


async def rows_in(team: Team) -> list[Any]:
    store = await Store.open(f"sqlite:///{team.directory}/bot.db")
    async with store.reading() as tx:
        rows = (await tx.conn.execute(sa.select(outbox))).mappings().all()
    await store.close()
    return [row for row in rows if row["kind"] == "file"]


async def test_all_rows_come_as_a_file_to_who_asked(team: Team) -> None:
    async with team.bot():
        answer = await team.asks(ANN, "tags team/api --sort name")
        assert "The first 99 of 120 are shown. All of them come as a CSV file" in answer.all_text
        sent = await a_file(team, ANN)
        rows = list(csv.reader(io.StringIO(sent.content.decode())))
        assert rows[0] == ["tag", "digest", "size bytes", "created", "platforms", "same image as"]
        assert [row[0] for row in rows[1:]] == TAGS[::-1]
        assert rows[1][1].startswith("sha256:")
        assert rows[1][3:5] == ["2024-01-01T00:00:00+00:00", "linux/amd64"]
        assert rows[1][5].split() == TAGS[:-1]
        assert sent.name == "tags-team-api.csv"
        lines = team.slack.messages(team.slack.dm(ANN))
        assert "Tags of team/api on corp" in lines[0].text
        assert team.slack.messages(OPS) == []
    (letter,) = await rows_in(team)
    assert letter["state"] == "sent"
    assert "content" not in letter["payload"], "it is forgotten once it was sent"


async def test_a_limit_below_the_table_sends_no_file(team: Team) -> None:
    async with team.bot():
        short = await team.asks(ANN, "tags team/api --limit 40")
        assert "CSV" not in short.all_text
        await team.asks(ANN, "tags team/api --limit 110")
        sent = await a_file(team, ANN)
        assert len(sent.content.decode().splitlines()) == 111
        assert len(files_of(team, ANN)) == 1


async def test_what_is_shared_brings_no_second_file(team: Team) -> None:
    async with team.bot():
        answer = await team.asks(ANN, "tags team/api")
        await a_file(team, ANN)
        await team.slack.click(ANN, answer, "Share")
        await team.slack.wait_for(lambda: bool(team.slack.messages(OPS)), timeout=20)
        assert "CSV" not in team.slack.messages(OPS)[0].all_text
        await team.told(ANN, "Shared with the channel")
        assert len(files_of(team, ANN)) == 1


async def test_without_the_scope_a_sentence_says_so_and_nothing_waits(team: Team) -> None:
    async with team.bot():
        team.slack.faults.fail("files.getUploadURLExternal", error="missing_scope")
        await team.says(ANN, "tags team/api")
        told = await team.told(ANN, "could not be attached", "files:write")
        assert "Tags of team/api on corp" in told.text
        # The line in the direct message does not announce a file that never comes.
        dm = team.slack.dm(ANN)
        await team.slack.wait_for(
            lambda: ["could not" in m.text for m in team.slack.messages(dm)] == [True], timeout=10
        )
        assert files_of(team, ANN) == []
        (letter,) = await rows_in(team)
        assert (letter["state"], letter["error"]) == ("failed", "missing_scope")
        assert "content" not in letter["payload"]


async def test_a_file_that_is_retried_holds_up_no_letter(team: Team) -> None:
    async with team.bot():
        held = team.slack.faults.hold("files.completeUploadExternal")
        await team.asks(ANN, "tags team/api")
        await held.arrived.wait()
        await team.request(ANN, "delete team/api:build-000")
        await team.asks(ANN, "whoami")
        assert files_of(team, ANN) == []
        held.release()
        await a_file(team, ANN)


async def test_another_try_announces_it_once(team: Team) -> None:
    async with team.bot():
        team.slack.faults.fail("files.completeUploadExternal", status=503)
        await team.asks(ANN, "tags team/api")
        await a_file(team, ANN)
        lines = [m.text for m in team.slack.messages(team.slack.dm(ANN)) if m.text]
        assert len(lines) == 1


async def test_the_bytes_go_to_the_address_given_without_the_token(team: Team) -> None:
    """The address may be another host: what is sent there carries no credentials."""
    seen: list[dict[str, str]] = []
    status = [500, 200]

    async def take(request: web.Request) -> web.Response:
        seen.append({**request.headers, "body": (await request.read()).decode()})
        if status.pop(0) == 200:
            team.slack._files.receive(request.match_info["key"], seen[-1]["body"].encode())
            return web.Response(text="OK")
        return web.Response(status=500, text="not now")

    app = web.Application(client_max_size=10_000_000)
    app.add_routes([web.post("/elsewhere/{key}", take)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    team.slack._files.base = f"http://127.0.0.1:{runner.addresses[0][1]}/elsewhere/"
    try:
        async with team.bot():
            await team.says(ANN, "tags team/api")
            sent = await a_file(team, ANN)
    finally:
        await runner.cleanup()
    assert sent.content.decode() == seen[1]["body"]
    assert len(seen) == 2, "only the outbox tries again"
    for request in seen:
        assert "Authorization" not in request
        assert team.slack.bot_token not in str(request)


async def a_thread_file(team: Team, message: Any) -> Any:
    def found() -> list[Any]:
        return [f for m in team.slack.thread(OPS, message.ts) for f in m.files]

    await team.slack.wait_for(lambda: bool(found()), timeout=20)
    return found()[-1]


async def test_a_plan_of_more_than_a_screenful_has_its_table_in_the_thread(team: Team) -> None:
    async with team.bot():
        request = await team.request(ANN, "delete team/api:build-*")
        assert "*In short* 120 tags on 1 digest in 1 repository" in request.all_text
        assert "the CSV file in the thread" in request.all_text
        sent = await a_thread_file(team, request)
        rows = list(csv.DictReader(io.StringIO(sent.content.decode())))
        assert sent.name == "R1-plan.csv"
        assert [(row["tag"], row["goes/stays"]) for row in rows] == [(t, "goes") for t in TAGS]
        await push_image(team.registry.url, "team/web", "1")
        small = await team.request(ANN, "delete team/web:1")
        await team.clicks(ANN, small, "Cancel")
        await team.shows(small, "cancelled")
        assert [f for m in team.slack.thread(OPS, small.ts) for f in m.files] == []


async def test_a_plan_whose_table_is_refused_says_so_in_the_thread(team: Team) -> None:
    async with team.bot():
        team.slack.faults.fail("files.getUploadURLExternal", error="missing_scope")
        request = await team.request(ANN, "delete team/api:build-*")
        await team.slack.wait_for(
            lambda: any("files:write" in m.text for m in team.slack.thread(OPS, request.ts)),
            timeout=20,
        )
        await team.clicks(BOB, request, "Approve")
        await team.shows(request, "approved")
