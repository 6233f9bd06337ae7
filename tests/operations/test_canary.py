"""The canary: chosen before a collection, pulled whole afterwards, on a real registry."""

import random
from pathlib import Path

import pytest

from bot.operations import canary
from bot.rules.policy import Protection
from tests.support.images import push_image, push_index
from tests.support.proxy import Proxy
from tests.support.real_registry import RealRegistry
from tests.support.rig import Rig, policy

pytestmark = pytest.mark.anyio


async def _chosen(rig: Rig) -> tuple[canary.Chosen, ...]:
    return await canary.choose(rig.ctx, rig.registry, random.Random(1))


async def test_protected_tags_come_first_and_others_are_sampled(
    registry: RealRegistry, tmp_path
) -> None:
    for number in range(canary.SAMPLE + 5):
        await push_image(registry.url, "ci/x", f"pr-{number}", layers=[b"%d" % number])
    await push_image(registry.url, "prod/api", "1")
    rules = policy(protected=[Protection(("prod/**",), ())])
    async with Rig.open(tmp_path, registry.url, rules=rules) as rig:
        chosen = await _chosen(rig)
    assert [c.name for c in chosen if c.repository == "prod/api"] == ["prod/api:1"]
    assert len(chosen) == canary.SAMPLE + 1


async def test_every_byte_is_read(rig: Rig, registry: RealRegistry) -> None:
    layers = [b"x" * 300_000, b"y" * 200_000]
    child = await push_image(registry.url, "a", "", layers=layers, platform=("linux", "amd64"))
    await push_index(registry.url, "a", "multi", [child])
    chosen = await _chosen(rig)
    sung = await canary.sing(rig.registry, chosen)
    assert sung.images == 1
    assert sung.broken == ()
    assert sung.read >= 300_000
    assert sung.glanced == 0


async def test_what_is_broken_before_is_not_chosen(rig: Rig, registry: RealRegistry) -> None:
    await push_image(registry.url, "a", "good", layers=[b"good"])
    bad = await push_image(registry.url, "a", "bad", layers=[b"b" * 5000])
    registry.blob_path(bad.layer_digests[0]).unlink()
    registry.restart()
    assert [c.tag for c in await _chosen(rig)] == ["good"]


@pytest.mark.parametrize("damage", ["gone", "short", "changed"])
async def test_a_layer_that_a_collection_broke_is_found(
    rig: Rig, registry: RealRegistry, damage: str
) -> None:
    pushed = await push_image(registry.url, "a", "1", layers=[b"z" * 400_000])
    chosen = await _chosen(rig)
    path = registry.blob_path(pushed.layer_digests[0])
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        # One byte in the middle: no HEAD, no last byte shows it.
        path.write_bytes(
            data[:-1] if damage == "short" else data[:50] + bytes([data[50] ^ 1]) + data[51:]
        )
    sung = await canary.sing(rig.registry, chosen)
    assert len(sung.broken) == 1
    assert sung.broken[0].startswith("a:1: ")


async def test_too_much_is_glanced_at(rig: Rig, registry: RealRegistry) -> None:
    await push_image(registry.url, "a", "1", layers=[b"a" * 300_000])
    sung = await canary.sing(rig.registry, await _chosen(rig), most=0)
    assert sung.read == 0
    assert sung.glanced > 0
    assert sung.broken == ()


async def test_a_manifest_that_is_gone_is_broken(rig: Rig, registry: RealRegistry) -> None:
    pushed = await push_image(registry.url, "a", "1")
    chosen = await _chosen(rig)
    await rig.registry.client.delete_manifest("a", pushed.digest)
    sung = await canary.sing(rig.registry, chosen)
    assert "a:1" in sung.broken[0]


async def test_a_registry_that_drips_is_not_waited_for(
    registry: RealRegistry, tmp_path: Path
) -> None:
    await push_image(registry.url, "a", "1", layers=[b"a" * 300_000])
    await push_image(registry.url, "a", "2", layers=[b"b" * 300_000])
    async with Proxy.open(registry.url) as faults, Rig.open(tmp_path, faults.url) as rig:
        chosen = await _chosen(rig)
        faults.drip(r"/blobs/", 5.0, times=100)
        sung = await canary.sing(rig.registry, chosen, within=0.5)
    assert [line[: len("a:1")] for line in sung.broken] == ["a:1", "a:2"]
    assert all("did not come whole in the time" in line for line in sung.broken)
