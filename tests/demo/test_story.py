"""The whole story, as somebody plays it on the page; the registry is asked itself."""

import re

import httpx
import pytest

from tests.demo.driving import ANN, BOB, GENERAL, GUS, Demo, words_of
from tests.support.images import pull

pytestmark = pytest.mark.anyio


async def test_what_is_there_shows_the_point(demo: Demo) -> None:
    answer = await demo.asks(ANN, "tags team/api --sort name")
    places = [re.search(rf"(?<![\w.]){re.escape(v)}(?![\w.])", answer) for v in _VERSIONS]
    assert all(places), answer
    starts = [place.start() for place in places if place]
    assert starts == sorted(starts, reverse=starts[0] > starts[-1]), answer
    assert "amd64" in (web := await demo.asks(ANN, "inspect team/web:2.0"))
    assert "arm64" in web
    signed = await demo.asks(ANN, "inspect team/api:1.10.0")
    assert re.search(r"sha256-[0-9a-f]{64}\.sig", signed)
    assert "1970" in await demo.asks(ANN, "inspect team/tools:hermetic")
    assert await demo.tags("team/retired") == []
    pile = await demo.tags("ci/api")
    assert pile == [f"pr-{number}" for number in range(101, 141)]


_VERSIONS = ("1.4.0", "1.9.0", "1.10.0")


async def test_every_image_is_whole(demo: Demo) -> None:
    for repository in ("team/api", "team/web", "team/tools", "prod/api", "ci/api"):
        for tag in await demo.tags(repository) or ():
            await pull(demo.registry, repository, tag)


async def test_delete_approve_undo_purge_collect(demo: Demo) -> None:
    request = await demo.requests(ANN, 'delete team/api:1.9.0 --reason "the old line"')
    assert "1.9.0" in words_of(request)
    await demo.clicks(ANN, request, "Approve")
    await demo.until(ANN, lambda m: m["ephemeral"] and "wants somebody else" in words_of(m))
    assert "1.9.0" in (await demo.tags("team/api") or ())
    await demo.clicks(BOB, request, "Approve")
    await demo.shows(request, "is done")
    assert "1.9.0" not in (await demo.tags("team/api") or ())
    await demo.clicks(ANN, request, "Undo")
    undo = await demo.until(ANN, lambda m: "R2 is pending" in words_of(m))
    await demo.clicks(ANN, undo, "Confirm")
    await demo.shows(request, "undone")
    await pull(demo.registry, "team/api", "1.9.0")

    again = await demo.requests(ANN, "delete team/api:1.9.0")
    await demo.clicks(BOB, again, "Approve")
    await demo.shows(again, "R3 is done")
    purge = await demo.requests(ANN, 'purge R3 --reason "for good"')
    await demo.clicks(BOB, purge, "Approve")
    await demo.shows(purge, "is done")

    before = demo.blobs()
    full = sum(path.stat().st_size for path in before)
    collection = await demo.requests(ANN, 'gc --reason "room"')
    await demo.clicks(BOB, collection, "Approve")
    report = await demo.shows(collection, "is done", "Freed")
    assert demo.blobs() < before
    freed = full - sum(path.stat().st_size for path in demo.blobs())
    assert freed > 60_000
    assert f"{freed:,} bytes" in report
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:
        upload = await http.post(f"{demo.registry}/v2/probe/uploads/blobs/uploads/")
    assert upload.status_code == 202
    await pull(demo.registry, "team/api", "1.4.0")


async def test_the_pile_goes_with_one_confirmation(demo: Demo) -> None:
    request = await demo.requests(ANN, "delete ci/api:pr-10*")
    await demo.clicks(ANN, request, "Confirm")
    await demo.shows(request, "is done")
    assert await demo.tags("ci/api") == [f"pr-{number}" for number in range(110, 141)]


async def test_what_is_protected_is_refused(demo: Demo) -> None:
    assert "prod/**" in await demo.asks(ANN, "delete prod/api:3.2.1")
    assert await demo.tags("prod/api") == ["3.2.1"]


async def test_a_guest_and_a_channel_that_is_not_listed_are_refused(demo: Demo) -> None:
    assert "guest" in (await demo.asks(GUS, "tags team/api")).lower()
    assert "1.10.0" not in await demo.asks(ANN, "tags team/api", GENERAL)
