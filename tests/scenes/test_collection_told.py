"""What a collection leaves in its thread: the whole log, and loud words where it went wrong."""

import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from bot.store.schema import outbox
from bot.store.store import Store
from tests.support.images import push_image
from tests.support.team import ANN, BOB, OPS, Team

pytestmark = pytest.mark.anyio


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with Team.open(tmp_path) as made:
        await push_image(made.registry.url, "keep", "1")
        image = await push_image(made.registry.url, "a", "1")
        async with httpx.AsyncClient(verify=False) as http:
            await http.delete(f"{made.registry.url}/v2/a/manifests/{image.digest}")
        yield made
        made.check_all_messages()


def replies(team: Team, request: Any) -> list[Any]:
    found: list[Any] = team.slack.thread(OPS, request.ts)
    return found


async def replied(team: Team, request: Any, *words: str) -> Any:
    """The message in the thread that has all these words."""

    def found() -> list[Any]:
        return [m for m in replies(team, request) if all(word in m.all_text for word in words)]

    await team.slack.wait_for(lambda: bool(found()), timeout=30)
    return found()[0]


async def test_the_whole_log_comes_with_the_result(team: Team) -> None:
    async with team.bot():
        request = await team.request(ANN, "gc")
        await team.clicks(BOB, request, "Approve")
        await team.shows(request, "is done", "3 blobs")

        def files() -> list[Any]:
            return [file for reply in replies(team, request) for file in reply.files]

        await team.slack.wait_for(lambda: bool(files()), timeout=20)
        (log,) = files()
        text = log.content.decode()
        assert (log.name, log.title) == ("R1-log.txt", "The full log of R1")
        assert "UTC  Proving that pushes are refused" in text
        assert text.count("3 blobs marked, 3 blobs and 0 manifests eligible for deletion") == 2
        assert text.count("Deleting blob") == 3
    store = await Store.look(team.store_url)
    async with store.reading() as tx:
        rows = await tx.conn.execute(sa.select(outbox.c.payload, outbox.c.state))
        kept = [(row.payload, row.state) for row in rows if row.payload.get("name") == "log"]
    await store.close()
    assert kept == [({"name": "log"}, "sent")], "its text is forgotten once it was sent"
    assert all("Deleting blob" not in str(entry.detail) for entry in await team.trail())


async def test_a_failure_names_what_to_do_and_what_to_type(team: Team) -> None:
    """The collector finds a full disk, the restart fails for a while, and files are not allowed."""
    collect = team.directory / "collect"
    said = "failed to garbage collect: failed to vacuum: no space left on device"
    real = 'exec docker-registry garbage-collect "$@"'
    collect.write_text(
        f"#!/bin/sh\ncase \"$*\" in *--dry-run*) {real};; esac\necho '{said}' >&2\nexit 1\n"
    )
    collect.chmod(0o755)
    team.collect = (str(collect),)
    async with team.bot():
        team.slack.faults.fail("files.getUploadURLExternal", error="missing_scope")
        request = await team.request(ANN, "gc")
        team.registry.fail("read-write", "the new process found no room")
        await team.clicks(BOB, request, "Approve")
        call = await replied(team, request, "could not be made writable again")
        command = shlex.join(team.registry.argv("read-write"))
        assert "The bot keeps trying. To do it by hand, make sure that" in call.all_text
        assert command in call.all_text
        assert "the new process found no room" in call.all_text
        assert f"<@{ANN}> <@{BOB}>" in call.all_text
        await team.shows(request, "The registry may still be read-only")
        assert not await team.is_writable()

        team.registry.fail("read-write", None)
        ended = await team.shows(request, "failed", "no space left on device")
        assert "free some space there, then collect again" in ended.all_text
        assert "may still be read-only" not in ended.all_text
        assert await team.is_writable()
        lost = await replied(team, request, "The full log of R1", "files:write")
        assert "corp.R1-collect.*" in lost.all_text
        assert list((team.directory / "registry-bot-state").glob("corp.R1-collect.*"))
