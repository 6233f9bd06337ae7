"""The audit trail in the channel: who did what, files, the posted head, and what it holds up."""

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from bot.__main__ import main
from bot.slack.letters import channels
from bot.store.store import Store
from tests.support.images import push_image
from tests.support.team import ANN, BOB, CAT, EVE, OPS, Team

pytestmark = pytest.mark.anyio

AUDIT = "C0AUDIT"
ANCHORED = f'[audit]\nanchor_channel = "{AUDIT}"\n'


async def _do(directory: Path, *statements: str) -> None:
    """What somebody with the database's file at hand does to it."""

    def work() -> None:
        with contextlib.closing(sqlite3.connect(directory / "bot.db", timeout=20)) as raw:
            for statement in statements:
                raw.execute(statement)
            raw.commit()

    await asyncio.to_thread(work)  # the bot goes on meanwhile, and lets it in


async def test_who_did_what_is_found_and_sent(tmp_path: Path) -> None:
    async with Team.open(tmp_path) as team:
        for tag in ("1", "2"):
            await push_image(team.registry.url, "team/api", tag, layers=[tag.encode()])
        async with team.bot():
            first = await team.request(ANN, 'delete team/api:1 --reason "=old"')
            await team.clicks(EVE, first, "Approve")
            await team.told(EVE, "not among the approvers")
            await team.clicks(BOB, first, "Approve")
            await team.shows(first, "is done")
            second = await team.request(CAT, "delete team/api:2")
            await team.clicks(BOB, second, "Deny")

            everything = await team.asks(ANN, "audit")
            for said in ("asked to delete: =old", "approved", "about to delete", "was refused"):
                assert said in everything.all_text, said
            about = await team.asks(ANN, "audit team/api:1")
            assert "deleted the tag" in about.all_text
            assert "team/api:2" not in about.all_text
            hers = await team.asks(BOB, f"audit <@{EVE}|eve> --since 1h")
            assert f"1 entry by <@{EVE}> of the last 1h" in hers.text
            assert "was refused" in hers.all_text
            assert "R1 team/api:1@" in hers.all_text
            await team.asks(EVE, "delete team/api:9 team/web:8")
            gone = await team.asks(BOB, "audit team/api:9")
            assert "was refused: delete: team/api has no tag 9" in gone.all_text
            of_request = await team.asks(ANN, "audit r1 --on corp")
            assert "R2" not in of_request.all_text
            nothing = await team.asks(ANN, "audit @local:ann")
            assert "nothing here by local:ann" in nothing.all_text
            assert "does not say who" in (await team.asks(ANN, "audit @nobody")).all_text

            told = await team.asks(ANN, "audit team/api --export jsonl")
            assert "comes as a direct message" in told.all_text
            direct = team.slack.dm(ANN)
            await team.slack.wait_for(
                lambda: any(m.files for m in team.slack.messages(direct)), timeout=20
            )
            (file,) = [f for m in team.slack.messages(direct) for f in m.files]
            lines = file.content.decode().splitlines()
            assert [json.loads(line)["event"] for line in lines][:2] == [
                "request.created",
                "refused",
            ]
            exported = tmp_path / "audit.jsonl"
            exported.write_bytes(file.content)
            assert main(["audit", "verify", "--file", str(exported), "--extract"]) == 0
            exported.write_bytes(file.content.replace(ANN.encode(), EVE.encode(), 1))
            assert main(["audit", "verify", "--file", str(exported), "--extract"]) == 1
            assert "is whole" in (await team.asks(ANN, "audit verify")).all_text
        team.check_all_messages()


async def test_the_head_is_posted_to_a_channel_that_nobody_here_can_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "_UNINVITED", 0.3)
    async with Team.open(tmp_path) as team:
        team.slack.add_channel(AUDIT, "audit", [ANN, BOB], bot_member=False)
        async with team.bot(ANCHORED):
            for _ in range(100):
                status = await team.asks(ANN, "status")
                if "not_in_channel" in status.all_text:
                    break
            assert f"cannot be posted to <#{AUDIT}>" in status.all_text
            team.slack.change_channel(AUDIT, bot_member=True)
            posted = await team.slack.wait_for_message(AUDIT, lambda m: "head" in m.all_text)
            assert "--head 1:" in posted.all_text
            verified = await team.asks(ANN, "audit verify")
            assert "it fits" in verified.all_text
            await team.slack.wait_for(lambda: len(team.slack.messages(AUDIT)) == 1)
            assert "cannot be posted" not in (await team.asks(ANN, "status")).all_text
        async with team.bot(ANCHORED):  # a second start posts none before the next day
            assert "it fits" in (await team.asks(ANN, "audit verify")).all_text
            assert len(team.slack.messages(AUDIT)) == 1

        await _do(tmp_path, "DROP TRIGGER audit_no_delete", "DELETE FROM audit")
        async with team.bot(ANCHORED):
            broken = await team.asks(ANN, "audit verify")
            assert "NOT whole" in broken.all_text
            assert "missing at the end: entry 1 was the head that was posted" in broken.all_text


async def test_every_line_about_a_request_says_all_that_it_can(tmp_path: Path) -> None:
    async with Team.open(tmp_path) as team:
        for tag in ("1", "2"):
            await push_image(team.registry.url, "team/api", tag, layers=[tag.encode()])
        async with team.bot():
            request = await team.request(ANN, "delete team/api:*")
            await team.clicks(EVE, request, "Approve")
            await team.told(EVE, "not among the approvers")
            await team.clicks(BOB, request, "Approve")
            await team.shows(request, "is done")
        store = await Store.look(f"sqlite:///{tmp_path}/bot.db")
        async with store.reading() as tx:
            entries = await tx.audit.entries(request_id=1)
        await store.close()
    assert {entry.event for entry in entries} == {
        *("request.created", "refused", "request.approved", "request.started"),
        *("tag.delete_attempted", "tag.deleted", "request.finished"),
    }
    (plan_hash,) = {entry.plan_hash for entry in entries}
    assert len(plan_hash) == 64
    for entry in entries:
        assert (entry.registry, entry.rule, entry.channel) == ("corp", "default", OPS), entry
        assert entry.team
        assert entry.digest or entry.detail.get("digests") or entry.event.startswith("request.")
        if entry.actor == "bot":
            assert (entry.detail["requester"], entry.detail["approvers"]) == (ANN, [BOB])
    approved = next(entry for entry in entries if entry.event == "request.approved")
    assert (approved.actor, len(approved.detail["digests"])) == (BOB, 2)


async def test_nothing_is_deleted_while_the_audit_trail_cannot_be_written(tmp_path: Path) -> None:
    async with Team.open(tmp_path) as team:
        await push_image(team.registry.url, "team/api", "1")
        async with team.bot():
            request = await team.request(ANN, "delete team/api:1")
            await _do(
                tmp_path,
                "CREATE TRIGGER no_room BEFORE INSERT ON audit "
                "BEGIN SELECT RAISE(ABORT, 'no room for the audit'); END",
            )
            await team.clicks(BOB, request, "Approve")
            told = await team.told(BOB, "audit trail cannot be written")
            assert "nothing is changed or deleted" in told.all_text
            assert "no room for the audit" in told.all_text
            refused = await team.asks(ANN, "delete team/api:1")
            assert "audit trail cannot be written" in refused.all_text
            await team.clicks(EVE, request, "Approve")  # a refusal that cannot be written down
            await team.told(EVE, "audit trail cannot be written")
            assert "Approve" in team.now(request).buttons
            assert await team.tags("team/api") == ["1"]

            await _do(tmp_path, "DROP TRIGGER no_room")
            await team.clicks(BOB, request, "Approve")
            await team.shows(request, "is done")
            assert await team.tags("team/api") == []
