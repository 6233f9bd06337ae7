"""Two people and a lock, in a channel."""

from pathlib import Path

import pytest

from tests.support.images import push_image
from tests.support.team import ANN, BOB, CAT, OPS, Team

pytestmark = pytest.mark.anyio


async def test_a_lock_story(tmp_path: Path) -> None:
    async with Team.open(tmp_path) as team:
        await push_image(team.registry.url, "team/api", "1")
        async with team.bot():
            approved = await team.request(ANN, "delete team/api:1")
            lock = await team.request(BOB, 'lock team/api --reason "we <!here> move" --for 2h')
            assert "lock `team/api` on corp for 2 h" in lock.text
            await team.clicks(CAT, lock, "Approve")
            await team.shows(lock, "is done")
            await team.slack.wait_for(
                lambda: any("is locked until" in m.text for m in team.slack.thread(OPS, lock.ts))
            )

            listed = await team.asks(ANN, "locks")
            assert f"<@{BOB}> (R2)" in listed.all_text
            refused = await team.asks(ANN, "delete team/api:1")
            assert f"team/api is locked by <@{BOB}>" in refused.all_text
            assert "/registry unlock team/api" in refused.all_text
            twice = await team.asks(ANN, 'lock team/api --reason "me too"')
            assert "Nothing to do: team/api is locked by" in twice.all_text
            await team.clicks(CAT, approved, "Approve")
            outdated = await team.shows(approved, "outdated", "team/api is locked", "R2: we")
            assert "Nothing was deleted" in outdated.all_text
            assert await team.tags("team/api") == ["1"]

            unlock = await team.request(ANN, "unlock team/api")
            assert "The lock is R2" in unlock.all_text
            await team.clicks(BOB, unlock, "Approve")
            await team.shows(unlock, "is done")
            await team.slack.wait_for(
                lambda: any(f"<@{ANN}> unlocked" in m.text for m in team.slack.thread(OPS, lock.ts))
            )
            assert "Nothing is locked" in (await team.asks(CAT, "locks")).all_text
            again = await team.request(ANN, "delete team/api:1")
            await team.clicks(BOB, again, "Approve")
            await team.shows(again, "is done")
        team.check_all_messages()
