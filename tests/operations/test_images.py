"""Reading a whole repository: complete, told as it goes, and never in everybody's way."""

import asyncio

import pytest

from bot.operations.bounded import AT_ONCE, bounded
from bot.operations.images import ImageReader
from bot.registry.manifest import Descriptor
from tests.support.images import push_image, push_index
from tests.support.many import tag_as
from tests.support.real_registry import RealRegistry
from tests.support.rig import Rig

pytestmark = pytest.mark.anyio


async def test_results_come_in_the_order_of_the_things() -> None:
    async def work(number: int) -> int:
        await asyncio.sleep(0.001 * (number % 3))
        return number * 2

    assert await bounded(work, range(20)) == [number * 2 for number in range(20)]
    assert await bounded(work, []) == []


async def test_the_first_failure_stops_the_rest() -> None:
    begun: list[int] = []

    async def work(number: int) -> None:
        begun.append(number)
        if number == 2:
            raise ValueError(number)
        await asyncio.sleep(0.001 if number < 2 else 60)

    with pytest.raises(ValueError, match="2"):
        await bounded(work, range(100))
    assert len(begun) <= 3 * AT_ONCE


async def test_a_reader_keeps_a_few_requests_under_way(rig: Rig, registry: RealRegistry) -> None:
    children = [
        await push_image(registry.url, "a", "", layers=[b"amd"]),
        await push_image(registry.url, "a", "", layers=[b"arm"], platform=("linux", "arm64")),
    ]
    multi = await push_index(registry.url, "a", "multi", children)
    await tag_as(registry.url, "a", multi, [f"b{number}" for number in range(200)])
    client, counts = rig.registry.client, [0, 0]
    head = client.head

    async def counted(repository: str, reference: str) -> Descriptor:
        counts[0] += 1
        counts[1] = max(counts)
        try:
            return await head(repository, reference)
        finally:
            counts[0] -= 1

    client.head = counted  # type: ignore[method-assign]
    told: list[tuple[int, int]] = []
    begun = asyncio.Event()

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        if done == 20:
            begun.set()

    reader = ImageReader(rig.store, rig.registry)
    whole = asyncio.create_task(reader.snapshot("a", progress))
    await begun.wait()
    await client.tags("a")  # somebody else's command
    assert told[-1][0] < 150, "it did not wait until everything was read"

    snapshot = await whole

    assert len(snapshot.tags) == 201
    assert set(snapshot.manifests) == {multi.digest, *(child.digest for child in children)}
    assert counts == [0, AT_ONCE]
    assert [done for done, _ in told] == list(range(1, 201 + 1 + 2 + 1))
    assert told[0] == (1, 201)
    assert told[-1] == (204, 204)
