"""Somebody asks the doctor, does what it says, and asks again."""

import csv
import io

import pytest

from tests.support.images import push_image
from tests.support.many import tag_as
from tests.support.team import ANN, BOB, OPS, Team

pytestmark = pytest.mark.anyio


async def test_a_ghost_is_found_shared_and_mended(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    await push_image(team.registry.url, "scratch/x", "1")
    tags = team.registry.root / "docker/registry/v2/repositories/team/api/_manifests/tags"
    (tags / "1/current/link").unlink()
    async with team.bot():
        answer = await team.asks(ANN, "doctor")
        assert "1 problem" in answer.all_text
        assert "team/api" in answer.all_text
        assert f"docker push 127.0.0.1:{team.registry.port}/team/api:1" in answer.all_text
        assert team.slack.messages(OPS) == []

        await team.slack.click(ANN, answer, "Share")
        await team.slack.wait_for(lambda: bool(team.slack.messages(OPS)), timeout=20)
        shared = team.slack.messages(OPS)[0].all_text
        assert "1 problem" in shared
        assert f"Shared by <@{ANN}>" in shared

        await push_image(team.registry.url, "team/api", "1")
        healed = await team.asks(BOB, "doctor team/api")
        assert "Nothing is broken" in healed.all_text


async def test_what_does_not_fit_comes_as_a_file(team: Team) -> None:
    pushed = await push_image(team.registry.url, "team/api", "t000")
    names = [f"t{number:03d}" for number in range(110)]
    await tag_as(team.registry.url, "team/api", pushed, names)
    tags = team.registry.root / "docker/registry/v2/repositories/team/api/_manifests/tags"
    for name in names:
        (tags / name / "current/link").unlink()
    async with team.bot():
        answer = await team.asks(ANN, "doctor team/api")
        assert "The first 99 of 110 are shown" in answer.all_text
        dm = team.slack.dm(ANN)
        await team.slack.wait_for(lambda: any(m.files for m in team.slack.messages(dm)), timeout=20)
        (sent,) = [file for m in team.slack.messages(dm) for file in m.files]
        rows = list(csv.reader(io.StringIO(sent.content.decode())))
        assert [row[2] for row in rows[1:]] == names


async def test_an_image_is_not_a_repository(team: Team) -> None:
    async with team.bot():
        answer = await team.asks(ANN, "doctor team/api:1")
        assert "doctor takes a repository" in answer.all_text
