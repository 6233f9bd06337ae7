"""Whatever has a Share button can be shared."""

from pathlib import Path

import pytest

from tests.support.images import push_image
from tests.support.team import ANN, BOB, OPS, Team

pytestmark = pytest.mark.anyio

READS = ("repos", "tags a", "inspect a:1", "status", "requests --all", "locks", "doctor a")


async def test_every_answer_with_the_button_can_be_shared(tmp_path: Path) -> None:
    async with Team.open(tmp_path) as team:
        await push_image(team.registry.url, "a", "1")
        async with team.bot():
            made = await team.request(ANN, 'lock a --reason "moving"')
            await team.clicks(BOB, made, "Approve")
            await team.shows(made, "done")
            for text in READS:
                answer = await team.asks(ANN, text)
                assert "Share" in answer.buttons, text
                heard = len(team.slack.ephemerals(ANN))
                await team.slack.click(ANN, answer, "Share")
                note = f"`/registry {text.split()[0]}`"
                await team.slack.wait_for_message(OPS, lambda m, note=note: note in m.all_text)
                await team.slack.wait_for(lambda n=heard: len(team.slack.ephemerals(ANN)) > n)
        team.check_all_messages()
