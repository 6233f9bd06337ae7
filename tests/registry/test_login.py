"""Logging in at real registries: basic, tokens, TLS."""

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.registry.auth import Credentials
from bot.registry.client import DeleteSupport, RegistryClient, UploadSupport
from bot.registry.errors import Forbidden, TlsFailure, Unauthorized, Unreachable
from tests.support.certificates import authority
from tests.support.real_registry import PASSWORD, RealRegistry, push_image
from tests.support.token_server import TokenServer

pytestmark = pytest.mark.anyio

ROBOT = Credentials("robot", SecretStr(PASSWORD))
STRANGER = Credentials("robot", SecretStr("a wrong one"))


async def test_basic(tmp_path: Path) -> None:
    with RealRegistry(tmp_path / "r", htpasswd=("robot", PASSWORD)) as registry:
        await push_image(registry.url, "a", "1", auth=("robot", PASSWORD))
        async with RegistryClient(registry.url, credentials=ROBOT) as client:
            await client.ping()
            assert await client.tags("a") == ["1"]
            assert await client.probe_upload("a") is UploadSupport.ACCEPTED
            assert await client.probe_delete("a") is DeleteSupport.DIGEST
        for credentials in (None, STRANGER):
            async with RegistryClient(registry.url, credentials=credentials) as client:
                with pytest.raises(Unauthorized):
                    await client.ping()
                with pytest.raises(Unauthorized):
                    await client.head("a", "1")


async def test_a_stranger_is_refused_before_read_only_shows(tmp_path: Path) -> None:
    registry = RealRegistry(tmp_path / "r", htpasswd=("robot", PASSWORD), read_only=True)
    with registry:
        async with RegistryClient(registry.url, credentials=STRANGER) as client:
            with pytest.raises(Unauthorized):
                await client.probe_upload("a")
        async with RegistryClient(registry.url, credentials=ROBOT) as client:
            assert await client.probe_upload("a") is UploadSupport.READ_ONLY


async def test_tokens_are_asked_for_once_for_each_scope(tmp_path: Path) -> None:
    async with TokenServer(tmp_path / "t", {"robot": PASSWORD}) as tokens:
        with RealRegistry(tmp_path / "r", token=tokens) as registry:
            async with RegistryClient(registry.url, credentials=ROBOT) as client:
                await client.ping()
                assert await client.repositories() == []
                assert await client.probe_upload("team/api") is UploadSupport.ACCEPTED
                assert await client.probe_delete("team/api") is DeleteSupport.DIGEST
                await asyncio.gather(
                    *(client.signatures("team/api", f"sha256:{n:064x}") for n in range(5))
                )
    scopes = [scope for request in tokens.requests for scope in request.scopes]
    assert scopes == [
        "registry:catalog:*",
        "repository:team/api:pull,push,delete",
        "repository:team/api:pull",
    ]
    assert {(r.user, r.service) for r in tokens.requests} == {("robot", tokens.service)}


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


async def test_a_token_is_renewed_before_it_expires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("bot.registry.auth.time", clock)
    async with TokenServer(tmp_path / "t", {"robot": PASSWORD}, lifetime=300) as tokens:
        with RealRegistry(tmp_path / "r", token=tokens) as registry:
            async with RegistryClient(registry.url, credentials=ROBOT) as client:
                for moment, asked in ((0, 1), (289, 1), (291, 2), (579, 2), (582, 3)):
                    clock.now = 1000.0 + moment
                    await client.repositories()
                    assert len(tokens.requests) == asked


async def test_a_token_that_the_registry_forgot_is_renewed_once(tmp_path: Path) -> None:
    async with TokenServer(tmp_path / "t", {"robot": PASSWORD}) as tokens:
        with RealRegistry(tmp_path / "r", token=tokens) as registry:
            async with RegistryClient(registry.url, credentials=ROBOT) as client:
                await client.repositories()
                tokens.service = "renamed"
                registry.restart()
                await client.repositories()
                tokens.issuer = "somebody else"
                registry.restart()
                tokens.issuer = "not the same"
                with pytest.raises(Unauthorized):
                    await client.repositories()
    assert len(tokens.requests) == 3


async def test_a_wrong_password_at_the_token_server(tmp_path: Path) -> None:
    async with TokenServer(tmp_path / "t", {"robot": PASSWORD}) as tokens:
        with RealRegistry(tmp_path / "r", token=tokens) as registry:
            async with RegistryClient(registry.url, credentials=STRANGER) as client:
                with pytest.raises(Unauthorized, match="token server"):
                    await client.ping()


async def test_a_token_server_that_is_down(tmp_path: Path) -> None:
    async with TokenServer(tmp_path / "t", {"robot": PASSWORD}) as tokens:
        with RealRegistry(tmp_path / "r", token=tokens) as registry:
            url = registry.url
            async with RegistryClient(url, credentials=ROBOT, deadline=0.5) as client:
                tokens.refuse = 503
                with pytest.raises(Unreachable, match="token server"):
                    await client.ping()


async def test_an_account_that_may_only_read(tmp_path: Path) -> None:
    grants = {"robot": frozenset({"pull"})}
    async with TokenServer(tmp_path / "t", {"robot": PASSWORD}, grants=grants) as tokens:
        with RealRegistry(tmp_path / "r", token=tokens) as registry:
            async with RegistryClient(registry.url, credentials=ROBOT) as client:
                await client.ping()
                with pytest.raises(Forbidden):
                    await client.repositories()
                with pytest.raises(Forbidden):
                    await client.probe_delete("team/api")
                with pytest.raises(Forbidden):
                    await client.probe_upload("team/api")


async def test_anonymous_tokens(tmp_path: Path) -> None:
    async with TokenServer(tmp_path / "t", {}) as tokens:
        with RealRegistry(tmp_path / "r", token=tokens) as registry:
            async with RegistryClient(registry.url) as client:
                assert await client.repositories() == []
    assert tokens.requests[0].user is None


async def test_tls_with_an_own_authority(tmp_path: Path) -> None:
    with RealRegistry(tmp_path / "r", tls=True, htpasswd=("robot", PASSWORD)) as registry:
        async with RegistryClient(
            registry.url, credentials=ROBOT, ca_file=registry.ca_file
        ) as client:
            await client.ping()
            assert await client.probe_upload("a") is UploadSupport.ACCEPTED


async def test_tls_that_nobody_vouches_for(tmp_path: Path) -> None:
    with RealRegistry(tmp_path / "r", tls=True) as registry:
        for ca_file in (None, authority(tmp_path / "other")):
            async with RegistryClient(registry.url, ca_file=ca_file) as client:
                with pytest.raises(TlsFailure, match="not trusted"):
                    await client.ping()


async def test_http_and_https_mixed_up(tmp_path: Path) -> None:
    with RealRegistry(tmp_path / "r", tls=True) as registry:
        async with RegistryClient(registry.url.replace("https", "http")) as client:
            with pytest.raises(Exception, match="speaks TLS") as caught:
                await client.ping()
            assert "https://" in getattr(caught.value, "hint", "")
    with RealRegistry(tmp_path / "p") as registry:
        async with RegistryClient(registry.url.replace("http", "https")) as client:
            with pytest.raises(TlsFailure, match="does not speak TLS"):
                await client.ping()


def test_a_ca_file_that_is_none(tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("nothing")
    for path in (empty, tmp_path / "missing.pem"):
        with pytest.raises(TlsFailure, match="certificates"):
            RegistryClient("https://registry.corp", ca_file=path)
