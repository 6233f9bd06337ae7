"""The client on version 3, whose dialect differs."""

import secrets

import httpx
import pytest

from bot.registry.client import DeleteSupport, RegistryClient, UploadSupport
from bot.registry.errors import DeleteDisabled, NotFound, ReadOnly
from bot.registry.manifest import DOCKER_LIST, OCI_INDEX, Image
from tests.support.fake_v3 import FakeV3
from tests.support.images import Pushed, digest_of, pull, push_image, push_index

pytestmark = pytest.mark.anyio


async def test_probes(fake: FakeV3, v3: RegistryClient) -> None:
    await v3.ping()
    assert await v3.probe_delete("no/such") is DeleteSupport.TAG
    assert await v3.probe_upload("no/such") is UploadSupport.ACCEPTED
    assert fake.uploads == {}
    fake.delete = False
    assert await v3.probe_delete("no/such") is DeleteSupport.OFF
    fake.read_only = True
    assert await v3.probe_delete("no/such") is DeleteSupport.READ_ONLY
    assert await v3.probe_upload("no/such") is UploadSupport.READ_ONLY


async def test_a_tag_goes_and_its_sibling_stays(fake: FakeV3, v3: RegistryClient) -> None:
    pushed = await push_image(fake.url, "team/api", "goes", layers=[b"x"])
    await push_image(fake.url, "team/api", "stays", layers=[b"x"])
    await v3.delete_tag("team/api", "goes")
    assert await v3.tags("team/api") == ["stays"]
    assert (await v3.head("team/api", pushed.digest)).digest == pushed.digest
    await pull(fake.url, "team/api", "stays")
    with pytest.raises(NotFound):
        await v3.delete_tag("team/api", "goes")


async def test_a_digest_takes_its_tags_along(fake: FakeV3, v3: RegistryClient) -> None:
    pushed = await push_image(fake.url, "a", "1", layers=[b"x"])
    await push_image(fake.url, "a", "2", layers=[b"x"])
    await v3.delete_manifest("a", pushed.digest)
    assert await v3.tags("a") == []
    assert await v3.repositories() == []


async def test_refused_changes(fake: FakeV3, v3: RegistryClient) -> None:
    pushed = await push_image(fake.url, "a", "1")
    raw = await v3.manifest("a", "1")
    fake.delete = False
    with pytest.raises(DeleteDisabled):
        await v3.delete_tag("a", "1")
    with pytest.raises(DeleteDisabled):
        await v3.delete_manifest("a", pushed.digest)
    fake.read_only = True
    with pytest.raises(ReadOnly):
        await v3.put_manifest("a", "2", raw)
    with pytest.raises(ReadOnly):
        await v3.delete_tag("a", "1")


async def test_many_tags_come_in_pages(fake: FakeV3, v3: RegistryClient) -> None:
    pushed = await push_image(fake.url, "a", "t0", layers=[b"x"])
    tags = fake.repositories["a"].tags
    tags.update({f"t{n}": pushed.digest for n in range(2500)})
    fake.log.clear()
    assert await v3.tags("a") == [f"t{n}" for n in range(2500)]
    assert len(fake.log) == 3


async def test_many_repositories_come_in_pages(fake: FakeV3, v3: RegistryClient) -> None:
    await push_image(fake.url, "a/b", "1")
    one = fake.repositories.pop("a/b")
    names = sorted(f"team{n % 7}/r{n}" for n in range(2345))
    fake.repositories.update(dict.fromkeys(names, one))
    assert await v3.repositories() == names


async def test_the_catalogs_ceiling_may_be_lower(fake: FakeV3, v3: RegistryClient) -> None:
    await push_image(fake.url, "a", "1")
    body = b'{"errors":[{"code":"PAGINATION_NUMBER_INVALID","message":"too many"}]}'
    fake.fail(r"_catalog\?n=1000", 400, body=body)
    assert await v3.repositories() == ["a"]
    assert fake.log[-1] == "GET /v2/_catalog"


@pytest.mark.parametrize("media", ["oci", "docker"])
async def test_each_kind_resolves_to_its_own_digest(
    fake: FakeV3, v3: RegistryClient, media: str
) -> None:
    image = await push_image(fake.url, "a", "image", media=media)
    index = await push_index(fake.url, "a", "index", [image], media)
    for tag, pushed in (("image", image), ("index", index)):
        head = await v3.head("a", tag)
        assert (head.digest, head.size) == (pushed.digest, len(pushed.body))
        assert (await v3.manifest("a", tag)).body == pushed.body


async def test_undo(fake: FakeV3, v3: RegistryClient) -> None:
    await push_image(fake.url, "a", "1")
    raw = await v3.manifest("a", "1")
    await v3.delete_manifest("a", raw.digest)
    await v3.put_manifest("a", "1", raw)
    assert await v3.manifest("a", "1") == raw
    fake.repositories["a"].blobs.clear()
    await v3.delete_manifest("a", raw.digest)
    with pytest.raises(NotFound, match="no longer"):
        await v3.put_manifest("a", "1", raw)


async def test_large_blobs_are_read_at_their_end(fake: FakeV3, v3: RegistryClient) -> None:
    layer = secrets.token_bytes(400_000)
    await push_image(fake.url, "a", "1", layers=[layer])
    image = (await v3.manifest("a", "1")).parse()
    assert isinstance(image, Image)
    await v3.check_blob("a", image.layers[0])
    fake.blobs.clear()
    with pytest.raises(NotFound):
        await v3.check_blob("a", image.layers[0])


# The fake itself: what was measured on 3.1.1, so that tests built on it mean something.


@pytest.mark.parametrize(
    ("tag", "accept", "status", "digest"),
    [
        ("image", "*/*", 404, ""),
        ("image", "application/vnd.docker.distribution.manifest.v2+json", 404, ""),
        ("image", "application/vnd.oci.image.manifest.v1+json", 200, "image"),
        ("index", "*/*", 200, "index"),
        ("docker", "*/*", 200, "docker"),
        ("docker", OCI_INDEX, 200, "docker"),
        ("list", "*/*", 400, ""),
        ("list", OCI_INDEX, 400, ""),
        ("list", "application/vnd.docker.distribution.manifest.v2+json", 200, "docker"),
        ("list", DOCKER_LIST, 200, "list"),
    ],
)
async def test_the_fakes_accept_rules(
    fake: FakeV3, tag: str, accept: str, status: int, digest: str
) -> None:
    pushed: dict[str, Pushed] = {}
    pushed["image"] = await push_image(fake.url, "a", "image")
    pushed["index"] = await push_index(fake.url, "a", "index", [pushed["image"]])
    pushed["docker"] = await push_image(fake.url, "a", "docker", media="docker")
    pushed["list"] = await push_index(fake.url, "a", "list", [pushed["docker"]], "docker")
    async with httpx.AsyncClient() as http:
        url = f"{fake.url}/v2/a/manifests/{tag}"
        answer = await http.get(url, headers={"Accept": accept})
    assert answer.status_code == status
    if digest:
        assert answer.headers["Docker-Content-Digest"] == pushed[digest].digest


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v2/_catalog?n=1001", 400, "PAGINATION_NUMBER_INVALID"),
        ("GET", "/v2/_catalog?n=-1", 400, "PAGINATION_NUMBER_INVALID"),
        ("GET", "/v2/a/tags/list?n=abc", 400, "PAGINATION_NUMBER_INVALID"),
        ("GET", "/v2/nope/tags/list", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/a/manifests/sha256:12", 500, "UNKNOWN"),
        ("DELETE", "/v2/a/manifests/sha256:12", 500, "UNKNOWN"),
        ("DELETE", "/v2/a/manifests/nope", 404, "MANIFEST_UNKNOWN"),
        ("DELETE", f"/v2/a/manifests/{digest_of(b'')}", 404, "MANIFEST_UNKNOWN"),
        ("DELETE", "/v2/a", 404, ""),
        ("DELETE", "/v2/a/tags/1", 404, ""),
        ("GET", "/v2/No/Such/tags/list", 404, ""),
        ("GET", "/v2/a/manifests/-bad", 404, ""),
        ("GET", f"/v2/a/referrers/{digest_of(b'')}", 404, ""),
    ],
)
async def test_the_fakes_refusals(
    fake: FakeV3, method: str, path: str, status: int, code: str
) -> None:
    await push_image(fake.url, "a", "1")
    async with httpx.AsyncClient() as http:
        answer = await http.request(method, fake.url + path)
    assert answer.status_code == status
    if code:
        assert answer.json()["errors"][0]["code"] == code
    else:
        assert answer.headers["Content-Type"].startswith("text/plain")


async def test_the_fakes_listings(fake: FakeV3) -> None:
    pushed = await push_image(fake.url, "a", "1", layers=[b"x"])
    await push_image(fake.url, "a", "2", layers=[b"x"])
    async with httpx.AsyncClient(base_url=fake.url) as http:
        page = await http.get("/v2/a/tags/list?n=1")
        assert page.json() == {"name": "a", "tags": ["1"]}
        assert page.headers["Link"] == '</v2/a/tags/list?last=1&n=1>; rel="next"'
        whole = await http.get("/v2/a/tags/list")
        assert whole.json()["tags"] == ["1", "2"]
        assert "Link" not in whole.headers
        assert (await http.get("/v2/a/tags/list?n=0")).json()["tags"] == []
        assert (await http.get("/v2/a/tags/list?last=2&n=5")).json()["tags"] is None
        assert (await http.get("/v2/_catalog?n=0")).json() == {"repositories": []}
        answer = await http.get(
            f"/v2/a/manifests/{pushed.digest}",
            headers={"Accept": pushed.media_type, "If-None-Match": f'"{pushed.digest}"'},
        )
        assert answer.status_code == 304
        assert "Docker-Content-Digest" not in answer.headers
        await http.delete(f"/v2/a/manifests/{pushed.digest}")
        assert (await http.get("/v2/a/tags/list")).json()["tags"] is None
