"""The bot is killed at the worst moments; whoever comes next tells the truth and ends the work."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.images import Pushed, pull, push_image
from tests.support.proxy import Proxy
from tests.support.slow_collect import held_at
from tests.support.team import ANN, BOB, OPS, Team

pytestmark = pytest.mark.anyio


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with Team.open(tmp_path) as made:
        yield made
        made.check_all_messages()


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


async def test_in_a_collection_that_outlives_it(team: Team) -> None:
    gate = team.directory / "gate"
    team.collect = team.registry.slow_collect(gate)
    url = team.registry.url
    await push_image(url, "keep", "1", layers=[b"stays"])
    await push_image(url, "scratch/x", "1", layers=[os.urandom(50_000)])
    await team.spawn()
    gone = await team.request(ANN, "delete scratch/x:1")
    await team.clicks(ANN, gone, "Confirm")
    await team.shows(gone, "is done")
    purge = await team.request(ANN, 'purge keep:1 --reason "make garbage"')
    await team.clicks(BOB, purge, "Approve")
    await team.shows(purge, "purged")
    collecting = await team.request(ANN, "gc")
    await team.clicks(BOB, collecting, "Approve")
    await held_at(gate)

    team.kill()
    stop, pushed, refused = asyncio.Event(), list[Pushed](), [0]
    pushers = [asyncio.create_task(_push(url, n, stop, pushed, refused)) for n in range(3)]
    await team.spawn()
    await team.shows(collecting, "still at work")
    assert pushed == [], "a push was accepted beside a collection"
    assert not await team.is_writable()

    gate.touch()
    report = await team.shows(collecting, "Freed", "restarted on the way")
    assert "done" in report.all_text
    async with asyncio.timeout(20):
        while len(pushed) < 10:
            await asyncio.sleep(0.05)
    stop.set()
    await asyncio.gather(*pushers)
    assert await team.is_writable()
    assert refused[0] > 0
    team.registry.start("read-write")  # without the cache that could hide a missing layer
    for image in pushed:
        await pull(url, "pushed", image.digest)


async def _push(
    url: str, number: int, stop: asyncio.Event, pushed: list[Pushed], refused: list[int]
) -> None:
    """Push image after image that share a layer with what is being collected."""
    count = 0
    while not stop.is_set():
        count += 1
        layers = [b"stays", f"{number}-{count}".encode()]
        try:
            pushed.append(await push_image(url, "pushed", f"{number}-{count}", layers=layers))
        except Exception:
            refused[0] += 1
            await asyncio.sleep(0.02)


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
