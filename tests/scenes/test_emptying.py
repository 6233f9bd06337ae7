"""A collection is asked for, empty repositories are added to it, and it runs."""

import httpx
import pytest

from tests.support.images import pull, push_image
from tests.support.team import ANN, BOB, OPS, Team

pytestmark = pytest.mark.anyio


async def test_the_button_makes_another_request_with_its_own_approval(team: Team) -> None:
    url = team.registry.url
    await push_image(url, "team/app/sub", "1")
    pushed = await push_image(url, "team/app", "1")
    async with httpx.AsyncClient(verify=False) as http:
        await http.delete(f"{url}/v2/team/app/manifests/{pushed.digest}")
    async with team.bot():
        looked = await team.asks(ANN, "gc --dry-run")
        assert "*1 empty repository*: `team/app`" in looked.all_text
        assert "Ask for it" in looked.buttons
        first = await team.request(ANN, 'gc --reason "weekly"')
        label = "Remove 1 empty repository too"
        assert label in first.buttons
        await team.clicks(BOB, first, label)
        await team.told(BOB, "only they can change")
        assert label in team.now(first).buttons

        known = {message.ts for message in team.slack.messages(OPS)}
        await team.clicks(ANN, first, label)
        second = await team.slack.wait_for_message(
            OPS, lambda m: m.ts not in known and "Removes 1 empty repository" in m.all_text
        )
        await team.shows(first, "cancelled")
        assert "weekly" in second.all_text
        assert "It takes the place of R1" in second.all_text
        assert label not in second.buttons

        await team.clicks(BOB, second, "Approve")
        done = await team.shows(second, "is done", "Removed* 1 empty repository")
        assert "`team/app`" in done.all_text
        async with httpx.AsyncClient(verify=False) as http:
            catalog = (await http.get(f"{url}/v2/_catalog")).json()["repositories"]
        assert catalog == ["team/app/sub"]
        await pull(url, "team/app/sub", "1")
        assert await team.is_writable()
