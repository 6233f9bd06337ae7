"""The registry in memory against what was measured on 3.1.1, so that tests built on it mean
something."""

import httpx
import pytest

from bot.registry.manifest import DOCKER_LIST, OCI_INDEX
from tests.support.fake_v3 import FakeV3
from tests.support.images import Pushed, digest_of, push_image, push_index

pytestmark = pytest.mark.anyio


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
    async with httpx.AsyncClient(verify=False) as http:
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
    async with httpx.AsyncClient(verify=False) as http:
        answer = await http.request(method, fake.url + path)
    assert answer.status_code == status
    if code:
        assert answer.json()["errors"][0]["code"] == code
    else:
        assert answer.headers["Content-Type"].startswith("text/plain")


async def test_the_fakes_listings(fake: FakeV3) -> None:
    pushed = await push_image(fake.url, "a", "1", layers=[b"x"])
    await push_image(fake.url, "a", "2", layers=[b"x"])
    async with httpx.AsyncClient(base_url=fake.url, verify=False) as http:
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
