"""The bot is killed at the worst moments; whoever comes next tells the truth and ends the work."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from tests.support.images import pull, push_image
from tests.support.proxy import Proxy
from tests.support.team import ANN, BOB, OPS, Team

pytestmark = pytest.mark.anyio


@pytest.fixture
async def proxy(team: Team) -> AsyncIterator[Proxy]:
    async with Proxy.open(team.registry.url) as made:
        team.registry_url = made.url
        yield made


async def test_between_request_and_click(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    await team.spawn()
    request = await team.request(ANN, "delete team/api:1")
    team.kill()
    await team.spawn()
    await team.clicks(BOB, request, "Approve")
    await team.shows(request, "is done")
    assert await team.tags("team/api") == []


MOMENTS = {
    "between approval and the first look": ("GET", r"/tags/list$", False),
    "before the placeholder is pushed": ("PUT", r"/manifests/1$", False),
    "after the placeholder was pushed, before the answer": ("PUT", r"/manifests/1$", True),
    "between the two calls of the untag": ("DELETE", r"/manifests/sha256:", False),
    "after the placeholder was deleted, before the answer": ("DELETE", r"/manifests/sha256:", True),
}


@pytest.mark.parametrize("moment", MOMENTS)
async def test_in_the_middle_of_an_untag(team: Team, proxy: Proxy, moment: str) -> None:
    first = await push_image(team.registry.url, "team/api", "1", layers=[b"same"])
    second = await push_image(team.registry.url, "team/api", "2", layers=[b"other"])
    await team.spawn()
    request = await team.request(ANN, "delete team/api:1")
    method, path, after = MOMENTS[moment]
    proxy.arm(method, path, team.kill, after=after)

    delivery = asyncio.ensure_future(team.slack.click(BOB, team.now(request), "Approve"))
    async with asyncio.timeout(20):
        await proxy.sprung.wait()
    await delivery
    await team.spawn()

    await team.shows(request, "is done", "undo until")
    assert await team.tags("team/api") == ["2"]
    await pull(team.registry.url, "team/api", first.digest)
    await pull(team.registry.url, "team/api", second.digest)
    tries = [line for line in proxy.seen if re.search(r"^PUT .*/manifests/1$", line)]
    assert len(tries) <= 2


async def test_a_message_that_was_posted_twice(team: Team) -> None:
    """The bot dies between posting and noting it; the copy that people use becomes the one."""
    await push_image(team.registry.url, "team/api", "1")
    await team.spawn()
    team.slack.faults.fail("chat.postMessage", status=0, after=True)
    first = await team.request(ANN, "delete team/api:1")
    second = await team.slack.wait_for_message(
        OPS, lambda m: m.ts != first.ts and "Approve" in m.buttons
    )
    await team.clicks(BOB, first, "Approve")
    await team.shows(first, "is done")
    retired = await team.shows(second, "second copy")
    assert retired.buttons == []
