"""The tests' own tools must notice what they are there to notice."""

from pathlib import Path

import httpx
import pytest

from tests.support.fake_v3 import FakeV3
from tests.support.real_registry import RealRegistry, pull, push_image, push_index

pytestmark = pytest.mark.anyio


async def test_a_registrys_storage(tmp_path: Path) -> None:
    with RealRegistry(tmp_path / "r") as registry:
        pushed = await push_image(registry.url, "a", "1", layers=[b"x" * 100])
        expected = {pushed.digest, pushed.config_digest, *pushed.layer_digests}
        assert registry.blob_digests() == expected
        assert registry.blob_path(pushed.digest).read_bytes() == pushed.body
        sizes = (registry.blob_path(digest).stat().st_size for digest in expected)
        assert registry.disk_bytes() == sum(sizes)


async def test_a_restart_keeps_port_and_images(tmp_path: Path) -> None:
    with RealRegistry(tmp_path / "r") as registry:
        url, pid = registry.url, registry.pid
        await push_image(url, "a", "1")
        registry.restart(read_only=True)
        assert registry.url == url
        assert registry.pid != pid
        await pull(url, "a", "1")
        async with httpx.AsyncClient(verify=False) as http:
            assert (await http.post(f"{url}/v2/a/blobs/uploads/")).status_code == 405
            registry.restart()
            assert (await http.post(f"{url}/v2/a/blobs/uploads/")).status_code == 405
    assert registry.pid is None


async def test_a_registry_that_cannot_start(tmp_path: Path) -> None:
    with RealRegistry(tmp_path / "one") as one:
        two = RealRegistry(tmp_path / "two", port=one.port)
        with pytest.raises(RuntimeError, match="address already in use"):
            two.start()


@pytest.mark.parametrize("what", ["layer", "config", "manifest", "child", "bytes"])
async def test_a_pull_notices_damage(tmp_path: Path, what: str) -> None:
    with RealRegistry(tmp_path / "r", cache=None) as registry:
        image = await push_image(registry.url, "a", "1")
        child = await push_image(registry.url, "a", "", platform=("linux", "arm64"))
        await push_index(registry.url, "a", "index", [child])
        await pull(registry.url, "a", "1")
        await pull(registry.url, "a", "index")
        digest = {
            "layer": image.layer_digests[0],
            "bytes": image.layer_digests[0],
            "config": image.config_digest,
            "manifest": image.digest,
            "child": child.digest,
        }[what]
        path = registry.blob_path(digest)
        path.write_bytes(bytes(path.stat().st_size)) if what == "bytes" else path.unlink()
        with pytest.raises(AssertionError):
            await pull(registry.url, "a", "index" if what == "child" else "1")


async def test_the_fake_carries_whole_images(fake: FakeV3) -> None:
    image = await push_image(fake.url, "a", "1", media="docker")
    await push_index(fake.url, "a", "list", [image], "docker")
    await pull(fake.url, "a", "list")
    fake.truncate("GET .*/blobs/")
    with pytest.raises(AssertionError):
        await pull(fake.url, "a", "list")
