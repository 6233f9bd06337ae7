"""Cleanups as a team plays them: a preview, its buttons, the request that comes from it."""

from dataclasses import replace

import pytest

from bot.playground.model import File
from tests.support.images import push_image
from tests.support.many import fill_with_aged
from tests.support.team import ANN, BOB, EVE, FAST, OPS, Team

pytestmark = pytest.mark.anyio

RETENTION = """
[[retention]]
name = "ci"
repositories = ["ci/**"]
keep = [{ tags = ["main-*"], most_recent_count = 1 }, { tags = ["*"], created_within = "1d" }]
"""


async def push(team: Team, repo: str, *years: int, name: str = "v") -> None:
    for year in years:
        created = f"{year}-06-01T00:00:00Z"
        await push_image(team.registry.url, repo, f"{name}{year}", created=created)


async def test_preview_request_approve_undo(team: Team) -> None:
    await push(team, "team/api", 2019, 2020, 2021)
    async with team.bot():
        preview = await team.request(ANN, 'cleanup team/api --keep 1 --reason "old builds"')
        shown = await team.shows(preview, "Cleanup preview", "Goes* 2 tags", "not the time of")
        assert shown.buttons == ["Request it", "Discard"]
        for part in ("`v2019` (2019-06-01)", "`v2020`", "among the 1 newest: `v2021`"):
            assert part in shown.all_text
            assert part in shown.text
        assert await team.tags("team/api") == ["v2019", "v2020", "v2021"]

        await team.clicks(EVE, preview, "Request it")
        requested = await team.shows(preview, "R1", f"<@{EVE}> asked for it")
        assert requested.buttons == []
        request = await team.slack.wait_for_message(OPS, lambda m: "Approve" in m.buttons)
        assert f"<@{EVE}> asks to *clean up* 2 tags" in request.all_text
        assert "old builds" in request.all_text
        await team.clicks(EVE, request, "Approve")
        await team.told(EVE, "yourself")
        await team.clicks(BOB, request, "Approve")
        done = await team.shows(request, "is done", "undo until")
        assert done.buttons == ["Undo", "Purge now", "Details"]
        assert await team.tags("team/api") == ["v2021"]

        await team.clicks(ANN, request, "Undo")
        back = await team.slack.wait_for_message(OPS, lambda m: "put back" in m.all_text)
        await team.clicks(ANN, back, "Confirm")
        await team.shows(request, "undone")
        assert await team.tags("team/api") == ["v2019", "v2020", "v2021"]


async def test_a_preview_counts_once(team: Team) -> None:
    await push(team, "team/api", 2019, 2020)
    async with team.bot():
        preview = await team.request(ANN, "cleanup team/api --keep 1")
        await team.shows(preview, "Cleanup preview")
        hold = team.slack.faults.hold("chat.update")  # everybody still sees the buttons
        await team.clicks(ANN, preview, "Request it")
        await team.slack.wait_for_message(OPS, lambda m: "Approve" in m.buttons)
        await team.clicks(BOB, preview, "Request it")
        await team.told(BOB, "asked for already: R1")
        await team.clicks(EVE, preview, "Discard")
        await team.told(EVE, "asked for already: R1")
        hold.release()
        assert (await team.shows(preview, "asked for it: *R1*")).buttons == []


async def test_a_discarded_preview(team: Team) -> None:
    await push(team, "team/api", 2019, 2020)
    async with team.bot():
        preview = await team.request(ANN, "cleanup team/api --keep 1")
        await team.shows(preview, "Cleanup preview")
        hold = team.slack.faults.hold("chat.update")
        await team.clicks(BOB, preview, "Discard")
        await team.told(BOB, "You discarded")
        await team.clicks(ANN, preview, "Request it")
        await team.told(ANN, "was discarded", "cleanup team/api")
        hold.release()
        assert (await team.shows(preview, f"<@{BOB}> discarded it")).buttons == []


async def test_an_outdated_cleanup_is_looked_for_again(team: Team) -> None:
    await push(team, "team/api", 2019, 2020)
    async with team.bot():
        preview = await team.request(ANN, "cleanup team/api --keep 1")
        await team.shows(preview, "Cleanup preview")
        await team.clicks(ANN, preview, "Request it")
        request = await team.slack.wait_for_message(OPS, lambda m: "Approve" in m.buttons)
        await push_image(
            team.registry.url, "team/api", "v2019", created="2024-06-01T00:00:00Z", layers=[b"x"]
        )
        await team.clicks(BOB, request, "Approve")
        await team.shows(request, "outdated", "v2019 moved")
        await team.clicks(ANN, request, "Request again")
        again = await team.slack.wait_for_message(
            OPS, lambda m: m.ts != preview.ts and "Request it" in m.buttons
        )
        assert "Goes* 1 tag, the oldest first: `v2020`" in again.all_text


async def test_what_is_answered_at_once(team: Team) -> None:
    await push(team, "team/api", 2019)
    await push(team, "prod/api", 2019, 2020)
    async with team.bot(RETENTION):
        for text, said in (
            ("cleanup team/api", "No [[retention]] rule covers team/api"),
            ("cleanup team/apo --keep 1", "team/api"),
            ("cleanup team/api --keep 0", "every tag of team/api"),
            ("cleanup team/api:v2019 --keep 1", "cleanup takes a repository"),
            ("cleanup team/api --match w*", "No tag of team/api matches"),
            ("cleanup team/api --older-than soon", "30m, 12h or 7d"),
            ("cleanup", "needs a repository"),
        ):
            answer = await team.asks(ANN, text)
            assert said in f"{answer.text}", (text, answer.text)
        assert team.slack.messages(OPS) == []
        held = await team.request(ANN, "cleanup prod/api --match v*")
        empty = await team.shows(held, "Nothing to clean up", "protected by `prod/**`")
        assert empty.buttons == []


async def test_the_retention_rules_are_used(team: Team) -> None:
    await push(team, "ci/app", 2019, 2020, name="main-")
    await push(team, "ci/app", 2018, name="pr-")
    async with team.bot(RETENTION):
        preview = await team.request(ANN, "cleanup ci/app")
        shown = await team.shows(preview, "Cleanup preview", "Goes* 2 tags")
        assert "by retention rule `ci`" in shown.all_text
        assert "`pr-2018` (2018-06-01), `main-2019`" in shown.all_text


async def test_five_thousand_tags_block_nobody(team: Team) -> None:
    count = 5000
    await fill_with_aged(team.registry, "ci/big", count, images=1000)
    await push(team, "team/small", 2024)
    async with team.bot(timing=replace(FAST, edit=0.5)):
        preview = await team.request(ANN, "cleanup ci/big --keep 100")
        assert "Looking at 5,000 tags" in preview.all_text
        await team.shows(preview, " of 5,000")
        first = team.now(preview).text
        for text, said in (("tags team/small", "v2024"), ("status", "answers")):
            answer = await team.asks(BOB, text)
            assert said in answer.all_text
            assert "Looking at" in team.now(preview).all_text, "it was over before the answer"
        await team.slack.wait_for(lambda: team.now(preview).text != first, timeout=20)
        assert "Looking at" in team.now(preview).text, "nobody was told how far it is"
        shown = await team.shows(preview, "Cleanup preview", timeout=120)
        assert "Goes* 500 tags, the oldest first: `b00000` (2000-01-01)" in shown.all_text
        assert "4,400 more tags would go" in shown.all_text
        assert "*Stays* 100 tags" in shown.all_text

        def files() -> list[File]:
            return [file for m in team.slack.thread(OPS, preview.ts) for file in m.files]

        await team.slack.wait_for(lambda: bool(files()), timeout=20)
        assert files()[0].content.count(b"\n") == count + 1
