"""Whether bytes really come, on a real registry whose storage was damaged behind its back."""

import secrets

import httpx
import pytest

from bot.registry.client import RegistryClient
from bot.registry.errors import Corrupt
from bot.registry.manifest import Image
from tests.support.real_registry import RealRegistry, digest_of, push_image

pytestmark = pytest.mark.anyio


@pytest.fixture
def repo() -> str:
    return f"team/b{secrets.token_hex(4)}"


async def test_blobs_small_and_large(
    client: RegistryClient, shared_registry: RealRegistry, repo: str
) -> None:
    layers = [secrets.token_bytes(n) for n in (0, 1, 1000, 128 * 1024, 128 * 1024 + 1, 900_000)]
    await push_image(shared_registry.url, repo, "1", layers=layers)
    image = (await client.manifest(repo, "1")).parse()
    assert isinstance(image, Image)
    for blob in image.blobs:
        await client.check_blob(repo, blob)


@pytest.mark.parametrize("size", [2048, 900_000])
async def test_a_blob_that_the_registry_only_believes_to_have(
    client: RegistryClient, shared_registry: RealRegistry, repo: str, size: int
) -> None:
    layer = secrets.token_bytes(size)
    await push_image(shared_registry.url, repo, "1", layers=[layer])
    image = (await client.manifest(repo, "1")).parse()
    assert isinstance(image, Image)
    shared_registry.blob_path(digest_of(layer)).unlink()
    async with httpx.AsyncClient() as http:
        head = await http.head(f"{shared_registry.url}/v2/{repo}/blobs/{digest_of(layer)}")
    assert head.status_code == 200, "the cache must still announce it, or this proves nothing"
    with pytest.raises(Corrupt):
        await client.check_blob(repo, image.layers[0])


@pytest.mark.parametrize("size", [2048, 900_000])
async def test_a_blob_that_was_cut_off(
    client: RegistryClient, shared_registry: RealRegistry, repo: str, size: int
) -> None:
    layer = secrets.token_bytes(size)
    await push_image(shared_registry.url, repo, "1", layers=[layer])
    image = (await client.manifest(repo, "1")).parse()
    assert isinstance(image, Image)
    with shared_registry.blob_path(digest_of(layer)).open("r+b") as file:
        file.truncate(size // 2)
    with pytest.raises(Corrupt):
        await client.check_blob(repo, image.layers[0])


async def test_a_blob_with_other_bytes(
    client: RegistryClient, shared_registry: RealRegistry, repo: str
) -> None:
    layer = secrets.token_bytes(500)
    await push_image(shared_registry.url, repo, "1", layers=[layer])
    image = (await client.manifest(repo, "1")).parse()
    assert isinstance(image, Image)
    shared_registry.blob_path(digest_of(layer)).write_bytes(bytes(500))
    with pytest.raises(Corrupt):
        await client.check_blob(repo, image.layers[0])


async def test_a_manifest_with_other_bytes(
    client: RegistryClient, shared_registry: RealRegistry, repo: str
) -> None:
    pushed = await push_image(shared_registry.url, repo, "1")
    path = shared_registry.blob_path(pushed.digest)
    path.write_bytes(path.read_bytes().replace(b'"layers"', b'"LAYERS"'))
    with pytest.raises(Corrupt):
        await client.manifest(repo, pushed.digest)
