"""Answers that are wrong, endless, or lead astray."""

import asyncio
import secrets

import pytest

from bot.registry.client import RegistryClient
from bot.registry.errors import Corrupt, NotFound, ProtocolError, Unreachable
from bot.registry.manifest import OCI_MANIFEST, Descriptor, Image, RawManifest
from bot.registry.reference import Digest
from tests.support.fake_v3 import FakeV3
from tests.support.images import digest_of, push_image

pytestmark = pytest.mark.anyio


async def test_cookies_are_not_kept(fake: FakeV3, v3: RegistryClient) -> None:
    fake.header("GET /v2/$", "Set-Cookie", "n=\xf9; Path=/")
    await v3.ping()
    await v3.ping()


@pytest.mark.parametrize("reference", ["1", "digest"])
async def test_a_wrong_digest_in_the_header(
    fake: FakeV3, v3: RegistryClient, reference: str
) -> None:
    pushed = await push_image(fake.url, "a", "1")
    reference = pushed.digest if reference == "digest" else reference
    fake.wrong_digest("GET .*manifests")
    with pytest.raises(Corrupt):
        await v3.manifest("a", reference)
    fake.header("GET .*manifests", "Docker-Content-Digest", "sha256:12")
    with pytest.raises(Corrupt):
        await v3.manifest("a", reference)


async def test_the_digest_may_be_missing(fake: FakeV3, v3: RegistryClient) -> None:
    pushed = await push_image(fake.url, "a", "1")
    fake.header("manifests", "Docker-Content-Digest", "", times=2)
    assert (await v3.head("a", "1")).digest == pushed.digest
    fake.header("HEAD .*manifests", "Docker-Content-Digest", digest_of(b"x"))
    with pytest.raises(Corrupt):
        await v3.head("a", pushed.digest)


async def test_a_push_that_was_stored_differently(fake: FakeV3, v3: RegistryClient) -> None:
    pushed = await push_image(fake.url, "a", "1")
    raw = RawManifest.of(pushed.media_type, pushed.body)
    fake.wrong_digest("^PUT ")
    with pytest.raises(Corrupt):
        await v3.put_manifest("a", "2", raw)


async def test_a_body_that_breaks_off_once(fake: FakeV3, v3: RegistryClient) -> None:
    pushed = await push_image(fake.url, "a", "1")
    fake.truncate("^GET ")
    assert (await v3.manifest("a", "1")).digest == pushed.digest


async def test_bodies_that_always_break_off(fake: FakeV3, v3: RegistryClient) -> None:
    layer = secrets.token_bytes(1000)
    await push_image(fake.url, "a", "1", layers=[layer])
    image = (await v3.manifest("a", "1")).parse()
    assert isinstance(image, Image)
    fake.truncate("^GET .*/blobs/", times=99)
    with pytest.raises(Corrupt):
        await v3.check_blob("a", image.layers[0])
    with pytest.raises(Corrupt):
        await v3.config("a", image)
    fake.truncate("^GET .*/manifests/", times=99)
    with pytest.raises(Unreachable, match="breaks off"):
        await v3.manifest("a", "1")


async def test_answers_without_an_end(fake: FakeV3, v3: RegistryClient) -> None:
    fake.fail("manifests", 200, body=bytes(4 * 1024 * 1024 + 1))
    with pytest.raises(ProtocolError, match="more than"):
        await v3.manifest("a", "1")
    fake.fail("tags", 500, body=bytes(64 * 1024 + 1))
    with pytest.raises(ProtocolError, match="more than"):
        await v3.tags("a")
    fake.fail("_catalog", 200, body=bytes(32 * 1024 * 1024 + 1))
    with pytest.raises(ProtocolError, match="more than"):
        await v3.repositories()
    descriptor = Descriptor("x", Digest(digest_of(b"x")), 5)
    fake.fail("blobs", 200, body=bytes(9 * 1024 * 1024))
    with pytest.raises(ProtocolError, match="more than"):
        await v3.check_blob("a", descriptor)


async def test_a_401_without_an_end(fake: FakeV3, v3: RegistryClient) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="{fake.url}/token"'}
    fake.fail("/v2/", 401, headers=challenge, body=bytes(65 * 1024))
    fake.fail("/token", 200, body=bytes(65 * 1024))
    with pytest.raises(ProtocolError, match="more than"):
        await v3.ping()


async def test_a_compressed_answer_is_refused(fake: FakeV3, v3: RegistryClient) -> None:
    fake.fail("tags", 200, headers={"Content-Encoding": "gzip"}, body=b"\x1f\x8b")
    with pytest.raises(ProtocolError, match="compressed"):
        await v3.tags("a")


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:1/v2/_catalog?last=x",
        "https://{host}/v2/_catalog?last=x",
        "//evil.corp/v2/_catalog",
        "http://[",
        "file:///etc/passwd",
    ],
)
async def test_the_next_page_is_never_elsewhere(
    fake: FakeV3, v3: RegistryClient, target: str
) -> None:
    await push_image(fake.url, "a", "1")
    fake.log.clear()
    fake.link("_catalog", target.format(host=fake.url.removeprefix("http://")))
    with pytest.raises(ProtocolError, match="another host"):
        await v3.repositories()
    assert len(fake.log) == 1


async def test_pages_that_go_round(fake: FakeV3, v3: RegistryClient) -> None:
    await push_image(fake.url, "a", "1")
    fake.link("_catalog", "/v2/_catalog?n=1000", times=99)
    with pytest.raises(ProtocolError, match="never ends"):
        await v3.repositories()
    fake.link("tags", "/v2/a/tags/list?other", times=99)
    with pytest.raises(ProtocolError, match="never ends"):
        await v3.tags("a")


async def test_empty_pages_that_go_round(fake: FakeV3, v3: RegistryClient) -> None:
    round_ = {"Link": '</v2/_catalog?x>; rel="next"'}
    fake.fail("_catalog", 200, times=99, headers=round_, body=b'{"repositories":[]}')
    with pytest.raises(ProtocolError, match="never ends"):
        await v3.repositories()
    assert len(fake.log) == 2


async def test_the_same_page_under_ever_new_names(fake: FakeV3, v3: RegistryClient) -> None:
    for n in range(50):
        on = {"Link": f'</v2/_catalog?x={n}>; rel="next"'}
        fake.fail("_catalog", 200, headers=on, body=b'{"repositories":["a"]}')
    with pytest.raises(ProtocolError, match="never ends"):
        await v3.repositories()
    assert len(fake.log) == 2


async def test_a_link_may_be_absolute_or_for_something_else(
    fake: FakeV3, v3: RegistryClient
) -> None:
    await push_image(fake.url, "b", "1")
    await push_image(fake.url, "a", "1")
    pages = f'<{fake.url}/v2/_catalog?n=1,5>; rel="last", <{fake.url}/v2/_catalog?last=a>; rel=next'
    body = b'{"repositories":["a"]}'
    fake.fail("_catalog", 200, headers={"Link": pages}, body=body)
    assert await v3.repositories() == ["a", "b"]


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"tags":"x"}', b'{"tags":[1]}', b"[" * 100_000]
)
async def test_listings_that_are_none(fake: FakeV3, v3: RegistryClient, body: bytes) -> None:
    fake.fail("tags", 200, body=body)
    with pytest.raises(ProtocolError):
        await v3.tags("a")


async def test_names_that_nobody_can_ask_for_are_left_out(fake: FakeV3, v3: RegistryClient) -> None:
    fake.fail("_catalog", 200, body=b'{"repositories":["ok","../x","A b",""]}')
    assert await v3.repositories() == ["ok"]
    fake.fail("tags", 200, body=b'{"tags":["ok","-bad","a/b"]}')
    assert await v3.tags("a") == ["ok"]


async def test_a_blob_may_come_from_another_host(fake: FakeV3) -> None:
    layer = secrets.token_bytes(300_000)
    await push_image(fake.url, "a", "1", layers=[layer])
    digest = digest_of(layer)
    descriptor = Descriptor("x", Digest(digest), len(layer))
    async with FakeV3() as store, RegistryClient(fake.url) as client:
        await push_image(store.url, "s", "1", layers=[layer])
        store.authorizations.clear()
        where = f"{store.url}/v2/s/blobs/{digest}"
        fake.fail("GET .*/blobs/", 307, headers={"Location": where})
        await client.check_blob("a", descriptor)
        assert store.authorizations == [None]
        fake.fail("GET .*/blobs/", 307, headers={"Location": where})
        store.fail("GET .*/blobs/", 404, body=b"<Error><Code>NoSuchKey</Code></Error>")
        with pytest.raises(NotFound):
            await client.check_blob("a", descriptor)


async def test_a_store_without_ranges_is_not_read_to_its_end(
    fake: FakeV3, v3: RegistryClient
) -> None:
    size = 20 * 1024 * 1024
    descriptor = Descriptor("x", Digest(digest_of(b"x")), size)
    fake.fail("GET .*/blobs/", 200, body=bytes(size))
    await v3.check_blob("a", descriptor)
    fake.fail("GET .*/blobs/", 200, body=bytes(size - 1))
    with pytest.raises(Corrupt):
        await v3.check_blob("a", descriptor)
    fake.fail("GET .*/blobs/", 206, headers={"Content-Range": "bytes 0-0/7"}, body=b"x")
    with pytest.raises(Corrupt):
        await v3.check_blob("a", descriptor)


async def test_one_byte_is_enough() -> None:
    stopped = asyncio.Event()

    async def stingy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\nx")
        await stopped.wait()
        writer.close()

    server = await asyncio.start_server(stingy, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, RegistryClient(f"http://127.0.0.1:{port}", deadline=2) as client:
        await client.check_blob("a", Descriptor("x", Digest(digest_of(b"x")), 20_000_000))
        stopped.set()


async def test_redirects_that_are_not_followed(fake: FakeV3, v3: RegistryClient) -> None:
    await push_image(fake.url, "a", "1")
    raw = await v3.manifest("a", "1")
    elsewhere = {"Location": "http://127.0.0.1:1/v2/a/manifests/1"}
    fake.fail("GET .*manifests", 302, headers=elsewhere)
    with pytest.raises(ProtocolError, match="another place"):
        await v3.manifest("a", "1")
    fake.fail("^PUT ", 307, headers={"Location": "/v2/b/manifests/1"})
    with pytest.raises(ProtocolError, match="another place"):
        await v3.put_manifest("a", "2", raw)
    fake.fail("GET .*manifests", 302, times=99, headers={"Location": "/v2/a/manifests/1"})
    with pytest.raises(ProtocolError, match="without an end"):
        await v3.manifest("a", "1")


async def test_a_redirect_on_the_same_host(fake: FakeV3, v3: RegistryClient) -> None:
    pushed = await push_image(fake.url, "a", "1")
    fake.fail("GET .*manifests/2", 302, headers={"Location": "/v2/a/manifests/1"})
    assert (await v3.manifest("a", "2")).digest == pushed.digest


async def test_schema_1_is_handed_on_as_it_is(fake: FakeV3, v3: RegistryClient) -> None:
    # Its digest leaves the signatures out, so the bytes cannot be compared with it.
    kind = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    headers = {"Content-Type": kind, "Docker-Content-Digest": digest_of(b"payload")}
    fake.fail("manifests", 200, headers=headers, body=b"{}")
    raw = await v3.manifest("a", "1")
    assert (raw.digest, raw.media_type) == (digest_of(b"payload"), kind)
    headers["Content-Type"] = OCI_MANIFEST
    fake.fail("manifests", 200, headers=headers, body=b"{}")
    with pytest.raises(Corrupt):
        await v3.manifest("a", "1")
