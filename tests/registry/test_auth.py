"""Challenges, scopes, docker's configuration, and where credentials may go."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from bot.registry.auth import (
    Credentials,
    RegistryAuth,
    challenges,
    docker_credentials,
    origin,
    scope_of,
)
from bot.registry.client import RegistryClient
from bot.registry.errors import (
    CredentialsUnreadable,
    ProtocolError,
    RateLimited,
    Unauthorized,
)
from tests.support.fake_v3 import FakeV3

ROBOT = Credentials("robot", SecretStr("fake-secret"))


def test_a_password_does_not_show() -> None:
    assert "fake-secret" not in f"{ROBOT!r} {ROBOT}"
    assert ROBOT.basic() == "Basic " + base64.b64encode(b"robot:fake-secret").decode()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Basic realm="x"', [("basic", {"realm": "x"})]),
        (
            'Bearer realm="https://a/t",service="s",scope="repository:a:pull,push"',
            [
                (
                    "bearer",
                    {"realm": "https://a/t", "service": "s", "scope": "repository:a:pull,push"},
                )
            ],
        ),
        (
            'Bearer realm="a, b", Basic realm="c"',
            [("bearer", {"realm": "a, b"}), ("basic", {"realm": "c"})],
        ),
        (
            'BEARER Realm = "q\\"uote" , error=invalid_token',
            [("bearer", {"realm": 'q"uote', "error": "invalid_token"})],
        ),
        ("Negotiate, Basic realm=x", [("negotiate", {}), ("basic", {"realm": "x"})]),
        ("", []),
        ("=", []),
    ],
)
def test_challenges(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    headers = httpx.Headers({"WWW-Authenticate": header})
    assert [(c.scheme, c.parameters) for c in challenges(headers)] == expected


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v2/", ""),
        ("GET", "/v2/_catalog?n=5", "registry:catalog:*"),
        ("GET", "/v2/a/b/tags/list", "repository:a/b:pull"),
        ("HEAD", "/v2/a/manifests/x", "repository:a:pull"),
        ("PUT", "/v2/a/manifests/x", "repository:a:pull,push,delete"),
        ("DELETE", "/v2/a/manifests/x", "repository:a:pull,push,delete"),
        ("POST", "/v2/a/blobs/uploads/", "repository:a:pull,push,delete"),
        ("GET", "/v2/a/manifests/b/manifests/x", "repository:a/manifests/b:pull"),
    ],
)
def test_scopes(method: str, path: str, scope: str) -> None:
    assert scope_of(httpx.Request(method, f"https://r{path}")) == scope


def test_origins() -> None:
    assert origin(httpx.URL("https://A.b/x")) == origin(httpx.URL("https://a.b:443/"))
    assert origin(httpx.URL("https://a.b")) != origin(httpx.URL("http://a.b"))
    assert origin(httpx.URL("https://a.b:5000")) != origin(httpx.URL("https://a.b"))


def write(path: Path, config: object) -> Path:
    file = path / "config.json"
    file.write_text(json.dumps(config))
    return file


def login(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    ("key", "url"),
    [
        ("registry.corp:5000", "https://registry.corp:5000"),
        ("https://registry.corp:5000", "https://registry.corp:5000/"),
        ("https://registry.corp/v1/", "https://registry.corp"),
        ("registry.corp", "https://registry.corp:443"),
        ("Registry.Corp", "https://registry.corp"),
    ],
)
def test_dockers_login(tmp_path: Path, key: str, url: str) -> None:
    config = {"auths": {"other": login("x", "y"), key: login("robot", "pass:word")}}
    found = docker_credentials(url, write(tmp_path, config))
    assert found == Credentials("robot", SecretStr("pass:word"))


@pytest.mark.parametrize("config", [{}, [], {"auths": None}, {"auths": {"b:1": login("a", "b")}}])
def test_no_login_for_this_registry(tmp_path: Path, config: object) -> None:
    assert docker_credentials("https://b:2", write(tmp_path, config)) is None
    assert docker_credentials("https://b:2", tmp_path / "missing.json") is None


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({"credHelpers": {"r.corp": "vault"}}, "vault"),
        ({"credHelpers": {"r.corp": "vault"}, "auths": {"r.corp": login("a", "b")}}, "vault"),
        ({"credsStore": "desktop", "auths": {"r.corp": {}}}, "desktop"),
        ({"auths": {"r.corp": {"identitytoken": "t", "auth": "eDo="}}}, "identity token"),
        ({"auths": {"r.corp": {}}}, "no login"),
        ({"auths": {"r.corp": {"auth": "!!"}}}, "no login"),
        ({"auths": {"r.corp": {"auth": "/////w=="}}}, "no login"),
        ({"auths": {"r.corp": None}}, "no login"),
    ],
)
def test_logins_that_cannot_be_used_say_so(
    tmp_path: Path, config: dict[str, Any], part: str
) -> None:
    with pytest.raises(CredentialsUnreadable, match=part) as caught:
        docker_credentials("https://r.corp", write(tmp_path, config))
    assert caught.value.hint


def test_a_broken_configuration(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text("{")
    with pytest.raises(CredentialsUnreadable, match="cannot be read"):
        docker_credentials("https://r.corp", file)


class Flow:
    """Drives the flow for one request, the test being the network."""

    def __init__(self, auth: RegistryAuth, url: str, method: str = "GET") -> None:
        self.flow = auth.async_auth_flow(httpx.Request(method, url))

    async def first(self) -> httpx.Request:
        return await anext(self.flow)

    async def reply(self, request: httpx.Request, status: int, **more: Any) -> httpx.Request:
        return await self.flow.asend(httpx.Response(status, request=request, **more))


def bearer(realm: str) -> dict[str, str]:
    return {"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'}


@pytest.mark.anyio
async def test_nothing_is_sent_to_other_hosts() -> None:
    auth = RegistryAuth(ROBOT, "https://r.corp")
    flow = Flow(auth, "https://r.corp/v2/")
    request = await flow.reply(await flow.first(), 401, headers={"WWW-Authenticate": "Basic"})
    assert request.headers["Authorization"] == ROBOT.basic()
    for other in ("https://s.corp/v2/", "http://r.corp/v2/", "https://r.corp:8443/v2/"):
        flow = Flow(auth, other)
        request = await flow.first()
        assert "Authorization" not in request.headers
        with pytest.raises(StopAsyncIteration):
            await flow.reply(request, 401, headers={"WWW-Authenticate": "Basic"})


@pytest.mark.anyio
@pytest.mark.parametrize("realm", ["http://tokens.corp/t", "", "/t", "ftp://x/t", "https://", "::"])
async def test_credentials_go_to_no_doubtful_token_server(realm: str) -> None:
    flow = Flow(RegistryAuth(ROBOT, "https://r.corp"), "https://r.corp/v2/")
    with pytest.raises(ProtocolError):
        await flow.reply(await flow.first(), 401, headers=bearer(realm))


@pytest.mark.anyio
async def test_the_token_request() -> None:
    flow = Flow(RegistryAuth(ROBOT, "http://r.corp"), "http://r.corp/v2/a/tags/list")
    first = await flow.first()
    request = await flow.reply(first, 401, headers=bearer("http://u:p@tokens.corp/t?x=1"))
    assert request.url.host == "tokens.corp"
    assert dict(request.url.params) == {
        "x": "1",
        "scope": "repository:a:pull",
        "service": "s",
        "account": "robot",
    }
    assert request.headers["Authorization"] == ROBOT.basic()
    again = await flow.reply(request, 200, json={"access_token": "abc"})
    assert again is first
    assert again.headers["Authorization"] == "Bearer abc"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "more", "expected"),
    [
        (401, {}, Unauthorized),
        (403, {}, Unauthorized),
        (429, {}, RateLimited),
        (404, {}, ProtocolError),
        (200, {"text": "<html>"}, ProtocolError),
        (200, {"json": []}, ProtocolError),
        (200, {"json": {"token": ""}}, ProtocolError),
        (200, {"json": {"token": "a\r\nX: y"}}, ProtocolError),
        (302, {"json": {"token": "abc"}}, ProtocolError),
    ],
)
async def test_answers_without_a_token(
    status: int, more: dict[str, Any], expected: type[Exception]
) -> None:
    flow = Flow(RegistryAuth(ROBOT, "https://r.corp"), "https://r.corp/v2/")
    request = await flow.reply(await flow.first(), 401, headers=bearer("https://t.corp/t"))
    with pytest.raises(expected):
        await flow.reply(request, status, **more)


@pytest.mark.anyio
async def test_a_second_refusal_goes_to_the_caller() -> None:
    flow = Flow(RegistryAuth(ROBOT, "https://r.corp"), "https://r.corp/v2/")
    request = await flow.reply(await flow.first(), 401, headers=bearer("https://t.corp/t"))
    request = await flow.reply(request, 200, json={"token": "abc", "expires_in": 300})
    with pytest.raises(StopAsyncIteration):
        await flow.reply(request, 401, headers=bearer("https://t.corp/t"))


@pytest.mark.anyio
async def test_a_wrong_password_is_not_tried_twice() -> None:
    auth = RegistryAuth(ROBOT, "https://r.corp")
    basic = {"WWW-Authenticate": "Basic"}
    flow = Flow(auth, "https://r.corp/v2/")
    await flow.reply(await flow.first(), 401, headers=basic)
    flow = Flow(auth, "https://r.corp/v2/")
    request = await flow.first()
    assert request.headers["Authorization"] == ROBOT.basic()
    with pytest.raises(StopAsyncIteration):
        await flow.reply(request, 401, headers=basic)


@pytest.mark.anyio
async def test_a_redirect_to_another_host_gets_no_credentials(fake: FakeV3) -> None:
    async with FakeV3() as store, RegistryClient(fake.url, credentials=ROBOT) as client:
        basic = {"WWW-Authenticate": 'Basic realm="x"'}
        fake.fail("GET /v2/$", 401, headers=basic)
        await client.ping()
        assert fake.authorizations == [None, ROBOT.basic()]
        fake.fail("GET /v2/", 307, headers={"Location": f"{store.url}/v2/"})
        with pytest.raises(ProtocolError, match="not followed"):
            await client.ping()
        assert store.log == []
