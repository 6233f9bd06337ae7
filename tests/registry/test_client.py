"""The client on a real registry, version 2."""

import json
import secrets
from pathlib import Path

import pytest

from bot.registry.client import DeleteSupport, RegistryClient, UploadSupport
from bot.registry.errors import (
    DeleteDisabled,
    NotFound,
    ReadOnly,
    Unreachable,
    Unsupported,
)
from bot.registry.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Image,
    Index,
    Platform,
    RawManifest,
    untag_placeholder,
)
from bot.registry.reference import InvalidReference, signature_tags
from tests.support.real_registry import RealRegistry, digest_of, pull, push_image, push_index

pytestmark = pytest.mark.anyio


@pytest.fixture
def repo() -> str:
    return f"team/r{secrets.token_hex(4)}"


async def test_ping(client: RegistryClient) -> None:
    await client.ping()


async def test_probing_a_repository_that_does_not_exist(
    client: RegistryClient, repo: str, shared_registry: RealRegistry
) -> None:
    assert await client.probe_delete(repo) is DeleteSupport.DIGEST
    assert await client.probe_upload(repo) is UploadSupport.ACCEPTED
    assert repo not in await client.repositories()
    uploads = shared_registry.root / f"docker/registry/v2/repositories/{repo}/_uploads"
    # The registry itself leaves folders and a hash state behind, but no upload.
    assert uploads.exists()
    assert list(uploads.rglob("startedat")) == []


async def test_tags_are_all_there_in_natural_order(
    client: RegistryClient, shared_registry: RealRegistry, repo: str
) -> None:
    for tag in ("1.10", "1.9", "1.9-rc1", "latest"):
        await push_image(shared_registry.url, repo, tag, layers=[b"same"])
    assert await client.tags(repo) == ["latest", "1.9-rc1", "1.9", "1.10"]


async def test_a_repository_without_tags_and_an_unknown_one(
    client: RegistryClient, shared_registry: RealRegistry, repo: str
) -> None:
    pushed = await push_image(shared_registry.url, repo, "only")
    await client.delete_manifest(repo, pushed.digest)
    assert await client.tags(repo) == []
    assert repo in await client.repositories()
    with pytest.raises(NotFound, match="no repository"):
        await client.tags(f"{repo}/nothing")


async def test_an_image(client: RegistryClient, shared_registry: RealRegistry, repo: str) -> None:
    pushed = await push_image(
        shared_registry.url, repo, "1", layers=[b"x", b"yy"], platform=("linux", "arm64", "v8")
    )
    head = await client.head(repo, "1")
    raw = await client.manifest(repo, "1")
    assert (head.digest, head.size, head.media_type) == (
        pushed.digest,
        len(pushed.body),
        OCI_MANIFEST,
    )
    assert raw == RawManifest.of(OCI_MANIFEST, pushed.body)
    assert await client.manifest(repo, pushed.digest) == raw
    image = raw.parse()
    assert isinstance(image, Image)
    config = await client.config(repo, image)
    assert (config.platform, config.created and config.created.year) == (
        Platform("linux", "arm64", "v8"),
        2024,
    )


async def test_each_kind_resolves_to_its_own_digest(
    client: RegistryClient, shared_registry: RealRegistry, repo: str
) -> None:
    url = shared_registry.url
    oci = await push_image(url, repo, "oci")
    docker = await push_image(url, repo, "docker", media="docker")
    index = await push_index(url, repo, "index", [oci])
    # A client that accepts schema 2 only is handed the amd64 child under the list's tag.
    list_ = await push_index(url, repo, "list", [docker], "docker")
    expected = {
        "oci": (oci.digest, OCI_MANIFEST),
        "docker": (docker.digest, DOCKER_MANIFEST),
        "index": (index.digest, OCI_INDEX),
        "list": (list_.digest, DOCKER_LIST),
    }
    for tag, pair in expected.items():
        head = await client.head(repo, tag)
        raw = await client.manifest(repo, tag)
        assert (head.digest, head.media_type) == (raw.digest, raw.media_type) == pair
        assert isinstance(raw.parse(), Index if tag in ("index", "list") else Image)


@pytest.mark.parametrize("reference", ["nope", digest_of(b"nope")])
async def test_what_is_not_there(client: RegistryClient, repo: str, reference: str) -> None:
    with pytest.raises(NotFound):
        await client.head(repo, reference)
    with pytest.raises(NotFound):
        await client.manifest(repo, reference)


async def test_nothing_malformed_is_sent(client: RegistryClient) -> None:
    raw = RawManifest.of(OCI_MANIFEST, b"{}")
    with pytest.raises(InvalidReference):
        await client.tags("../v2/_catalog")
    with pytest.raises(InvalidReference):
        await client.manifest("a", "sha256:12")
    with pytest.raises(InvalidReference):
        await client.head("a", "x/../../b")
    with pytest.raises(InvalidReference):
        await client.put_manifest("A", "x", raw)
    with pytest.raises(InvalidReference):
        await client.delete_manifest("a", "latest")
    with pytest.raises(InvalidReference):
        await client.delete_tag("a", digest_of(b""))


async def test_untagging_leaves_the_sibling_and_the_image(
    client: RegistryClient, shared_registry: RealRegistry, repo: str
) -> None:
    pushed = await push_image(shared_registry.url, repo, "goes", layers=[b"shared"])
    again = await push_image(shared_registry.url, repo, "stays", layers=[b"shared"])
    assert again.digest == pushed.digest
    raw = await client.manifest(repo, "goes")
    placeholder = untag_placeholder(raw, Platform("linux", "amd64"), secrets.token_hex(8))
    await client.put_manifest(repo, "goes", placeholder)
    await pull(shared_registry.url, repo, "goes")
    await client.delete_manifest(repo, placeholder.digest)
    assert await client.tags(repo) == ["stays"]
    await pull(shared_registry.url, repo, "stays")
    assert (await client.head(repo, "stays")).digest == pushed.digest


@pytest.mark.parametrize("media", ["oci", "docker"])
async def test_untagging_an_index(
    client: RegistryClient, shared_registry: RealRegistry, repo: str, media: str
) -> None:
    url = shared_registry.url
    children = [
        await push_image(url, repo, "", platform=("linux", arch), media=media)
        for arch in ("amd64", "arm64")
    ]
    await push_index(url, repo, "stays", children, media)
    index = await push_index(url, repo, "goes", children, media)
    raw = await client.manifest(repo, "goes")
    placeholder = untag_placeholder(raw, None, "unique")
    await client.put_manifest(repo, "goes", placeholder)
    await client.delete_manifest(repo, placeholder.digest)
    assert await client.tags(repo) == ["stays"]
    assert (await client.head(repo, index.digest)).digest == index.digest
    await pull(url, repo, "stays")


async def test_putting_a_deleted_manifest_back(
    client: RegistryClient, shared_registry: RealRegistry, repo: str
) -> None:
    pushed = await push_image(shared_registry.url, repo, "1")
    raw = await client.manifest(repo, "1")
    await client.delete_manifest(repo, raw.digest)
    with pytest.raises(NotFound):
        await client.delete_manifest(repo, raw.digest)
    await client.put_manifest(repo, "1", raw)
    assert (await client.manifest(repo, "1")).body == pushed.body
    await pull(shared_registry.url, repo, "1")


async def test_putting_an_index_without_its_children(client: RegistryClient, repo: str) -> None:
    child = {"mediaType": OCI_MANIFEST, "digest": digest_of(b"gone"), "size": 4}
    body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child]})
    with pytest.raises(NotFound, match="no longer in the registry"):
        await client.put_manifest(repo, "1", RawManifest.of(OCI_INDEX, body.encode()))


async def test_version_2_cannot_delete_a_tag(
    client: RegistryClient, shared_registry: RealRegistry, repo: str
) -> None:
    await push_image(shared_registry.url, repo, "1")
    with pytest.raises(Unsupported):
        await client.delete_tag(repo, "1")
    assert await client.tags(repo) == ["1"]


async def test_signatures(client: RegistryClient, shared_registry: RealRegistry, repo: str) -> None:
    pushed = await push_image(shared_registry.url, repo, "1")
    raw = await client.manifest(repo, "1")
    _, sig, att, _ = signature_tags(raw.digest)
    for tag in (sig, att):
        await push_image(shared_registry.url, repo, tag)
    assert await client.signatures(repo, pushed.digest) == [sig, att]
    tags = await client.tags(repo)
    assert await client.signatures(repo, pushed.digest, tags) == [sig, att]
    assert await client.signatures(repo, pushed.digest, ["1"]) == []


async def test_more_repositories_than_a_page(tmp_path: Path) -> None:
    with RealRegistry(tmp_path / "r") as registry:
        names = {f"bulk/r{n:04}" for n in range(1005)}
        root = registry.root / "docker/registry/v2/repositories"
        for name in names:
            (root / name / "_layers").mkdir(parents=True)
        async with RegistryClient(registry.url) as client:
            assert await client.repositories() == sorted(names)


async def test_an_empty_registry_has_no_repositories(tmp_path: Path) -> None:
    with RealRegistry(tmp_path / "r") as registry:
        async with RegistryClient(registry.url) as client:
            assert await client.repositories() == []


async def test_deletes_switched_off(tmp_path: Path) -> None:
    with RealRegistry(tmp_path / "r", delete=False) as registry:
        pushed = await push_image(registry.url, "a", "1")
        async with RegistryClient(registry.url) as client:
            assert await client.probe_delete("a") is DeleteSupport.OFF
            with pytest.raises(DeleteDisabled):
                await client.delete_manifest("a", pushed.digest)
        await pull(registry.url, "a", "1")


async def test_read_only_and_back(tmp_path: Path) -> None:
    with RealRegistry(tmp_path / "r") as registry:
        pushed = await push_image(registry.url, "a", "1")
        async with RegistryClient(registry.url) as client:
            raw = await client.manifest("a", "1")
            registry.restart(read_only=True)
            assert await client.probe_upload("a") is UploadSupport.READ_ONLY
            assert await client.probe_delete("a") is DeleteSupport.READ_ONLY
            with pytest.raises(ReadOnly):
                await client.put_manifest("a", "2", raw)
            with pytest.raises(ReadOnly):
                await client.delete_manifest("a", pushed.digest)
            assert await client.tags("a") == ["1"]
            registry.restart(read_only=False)
            assert await client.probe_upload("a") is UploadSupport.ACCEPTED


async def test_a_registry_that_is_gone(tmp_path: Path) -> None:
    registry = RealRegistry(tmp_path / "r")
    registry.start()
    registry.stop()
    async with RegistryClient(registry.url, deadline=0.5) as client:
        with pytest.raises(Unreachable, match="refuses connections"):
            await client.ping()
        with pytest.raises(Unreachable):
            await client.probe_upload("a")


@pytest.mark.parametrize(
    "url",
    [
        *("", "registry.corp:5000", "ftp://registry.corp", "https://", "http://[::1"),
        *("https://user:word@registry.corp", "https://registry.corp/v2/", "https://a.b/?x=1"),
    ],
)
def test_what_is_no_address_of_a_registry(url: str) -> None:
    with pytest.raises(ValueError, match="registry's url"):
        RegistryClient(url)
