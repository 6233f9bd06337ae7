"""What registries, proxies and networks do to a client."""

import asyncio
import gc
import secrets
import time

import httpx
import pytest

from bot.registry.client import RegistryClient, UploadSupport
from bot.registry.errors import (
    Corrupt,
    NotFound,
    ProtocolError,
    RateLimited,
    RegistryError,
    Unreachable,
)
from bot.registry.manifest import OCI_MANIFEST, Descriptor, Image, RawManifest
from bot.registry.reference import Digest
from tests.support.fake_v3 import FakeV3
from tests.support.images import digest_of, push_image

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_passing_trouble_is_waited_out(fake: FakeV3, v3: RegistryClient, status: int) -> None:
    pushed = await push_image(fake.url, "a", "1")
    raw = RawManifest.of(pushed.media_type, pushed.body)
    wait = {"Retry-After": "0"}
    fake.log.clear()
    for method in ("HEAD", "GET", "PUT", "DELETE"):
        fake.fail(f"^{method} ", status, times=2, headers=wait)
    assert (await v3.head("a", "1")).digest == pushed.digest
    assert await v3.tags("a") == ["1"]
    await v3.put_manifest("a", "2", raw)
    await v3.delete_manifest("a", pushed.digest)
    assert len(fake.log) == 12


async def test_a_lost_connection_is_tried_again(fake: FakeV3, v3: RegistryClient) -> None:
    pushed = await push_image(fake.url, "a", "1")
    for method in ("HEAD", "GET", "PUT"):
        fake.drop(f"^{method} ", times=2)
    await v3.head("a", "1")
    raw = await v3.manifest("a", "1")
    await v3.put_manifest("a", "2", raw)
    assert fake.repositories["a"].tags == {"1": pushed.digest, "2": pushed.digest}


async def test_a_delete_whose_answer_got_lost(fake: FakeV3, v3: RegistryClient) -> None:
    pushed = await push_image(fake.url, "a", "1")
    fake.lose_answer("^DELETE ")
    with pytest.raises(NotFound):
        await v3.delete_manifest("a", pushed.digest)
    assert fake.repositories["a"].tags == {}


@pytest.mark.parametrize("fault", ["drop", "503"])
async def test_an_upload_is_begun_only_once(fake: FakeV3, v3: RegistryClient, fault: str) -> None:
    if fault == "drop":
        fake.lose_answer("^POST ", times=9)
    else:
        fake.fail("^POST ", 503, times=9)
    with pytest.raises(Unreachable):
        await v3.probe_upload("a")
    assert len(fake.log) == 1


async def test_an_upload_that_cannot_be_cancelled_was_accepted(
    fake: FakeV3, v3: RegistryClient
) -> None:
    fake.fail("^DELETE ", 404)
    assert await v3.probe_upload("a") is UploadSupport.ACCEPTED


@pytest.mark.parametrize(("status", "times"), [(200, 1), (500, 1), (404, 1), (301, 1)])
async def test_unclear_answers_prove_nothing(
    fake: FakeV3, v3: RegistryClient, status: int, times: int
) -> None:
    fake.fail("^POST |^DELETE ", status, times=times * 2)
    with pytest.raises(RegistryError):
        await v3.probe_upload("a")
    with pytest.raises(RegistryError):
        await v3.probe_delete("a")


async def test_a_proxys_405_is_not_read_only(fake: FakeV3, v3: RegistryClient) -> None:
    fake.fail("^POST ", 405, headers={"Content-Type": "text/html", "Allow": "GET, HEAD"})
    with pytest.raises(RegistryError):
        await v3.probe_upload("a")


async def test_we_are_asked_to_wait_too_long(fake: FakeV3, v3: RegistryClient) -> None:
    fake.fail("^GET ", 429, times=9, headers={"Retry-After": "60"})
    started = time.monotonic()
    with pytest.raises(RateLimited) as caught:
        await v3.ping()
    assert caught.value.retry_after == 60
    assert time.monotonic() - started < 2
    assert len(fake.log) == 1


async def test_we_wait_as_long_as_we_are_asked_to(fake: FakeV3, v3: RegistryClient) -> None:
    fake.fail("^GET ", 503, headers={"Retry-After": "1"})
    started = time.monotonic()
    await v3.ping()
    assert time.monotonic() - started >= 1


async def test_trouble_that_does_not_pass(fake: FakeV3, v3: RegistryClient) -> None:
    fake.fail("^GET ", 503, times=99, headers={"Retry-After": "0"})
    with pytest.raises(Unreachable, match="503"):
        await v3.ping()
    assert len(fake.log) == 5


async def test_a_registry_that_never_answers() -> None:
    stopped = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stopped.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, RegistryClient(f"http://127.0.0.1:{port}", deadline=0.2) as client:
        started = time.monotonic()
        with pytest.raises(Unreachable, match=r"within 0\.2 seconds"):
            await client.ping()
        assert time.monotonic() - started < 2
        stopped.set()


@pytest.mark.parametrize("text", [b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 banana\r\n\r\n", b"\0" * 90])
async def test_something_that_is_no_web_server(text: bytes) -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(other, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, RegistryClient(f"http://127.0.0.1:{port}", deadline=0.5) as client:
        with pytest.raises(RegistryError) as caught:
            await client.ping()
    assert caught.value.hint


async def test_a_host_that_does_not_exist() -> None:
    async with RegistryClient("https://registry.invalid", deadline=1) as client:
        with pytest.raises(Unreachable):
            await client.ping()


@pytest.mark.parametrize("status", [200, 404])
async def test_another_web_server(fake: FakeV3, v3: RegistryClient, status: int) -> None:
    fake.fail("^GET ", status, headers={"Content-Type": "text/html"}, body=b"<html>Hello")
    with pytest.raises(ProtocolError, match="No registry answers"):
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


async def test_no_more_at_once_than_agreed(fake: FakeV3) -> None:
    await push_image(fake.url, "a", "1")
    running = most = 0
    inner = fake._dispatch

    async def counting(request: object) -> object:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return await inner(request)  # type: ignore[arg-type]

    fake._dispatch = counting  # type: ignore[assignment,method-assign]
    async with RegistryClient(fake.url, concurrency=3, deadline=0.5) as client:
        # Ten times longer than a deadline: waiting for a turn does not count.
        await asyncio.gather(*(client.head("a", "1") for _ in range(300)))
    assert most == 3


async def test_cancelling_leaves_the_client_usable(fake: FakeV3) -> None:
    await push_image(fake.url, "a", "1")
    async with RegistryClient(fake.url, concurrency=1) as client:
        fake.fail("HEAD ", 503, headers={"Retry-After": "10"})
        task = asyncio.create_task(client.head("a", "1"))
        while fake.log[-1].startswith("PUT"):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.head("a", "1")


async def test_nothing_is_left_open(fake: FakeV3) -> None:
    client = RegistryClient(fake.url)
    await client.ping()
    await client.probe_upload("a")
    await client.aclose()
    gc.collect()
    with pytest.raises(RuntimeError):
        await client.ping()


async def test_a_token_is_asked_for_again_after_a_restart_of_its_server(
    fake: FakeV3, v3: RegistryClient
) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="{fake.url}/token"'}
    fake.fail("GET /v2/$", 401, headers=challenge, times=2)
    fake.fail("/token", 503, headers={"Retry-After": "0"})
    fake.fail("/token", 200, body=b'{"token":"abc"}')
    await v3.ping()
    assert fake.authorizations[-1] == "Bearer abc"


async def test_httpx_itself_would_have_followed(fake: FakeV3) -> None:
    """The redirect in the tests above is a real one."""
    fake.fail("GET /x", 302, headers={"Location": "/v2/"})
    async with httpx.AsyncClient(follow_redirects=True) as http:
        assert (await http.get(f"{fake.url}/x")).status_code == 200
