"""Networks and registries in trouble: waiting, trying again, giving up."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable

import pytest

from bot.registry.client import RegistryClient, UploadSupport
from bot.registry.errors import (
    ProtocolError,
    RateLimited,
    RegistryError,
    Unreachable,
)
from bot.registry.manifest import RawManifest
from tests.support.fake_v3 import FakeV3
from tests.support.images import Pushed, push_image

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_passing_trouble_is_waited_out(fake: FakeV3, v3: RegistryClient, status: int) -> None:
    pushed = await push_image(fake.url, "a", "1")
    raw = RawManifest.of(pushed.media_type, pushed.body)
    wait = {"Retry-After": "0"}
    fake.log.clear()
    for method in ("HEAD", "GET", "PUT"):
        fake.fail(f"^{method} ", status, times=2, headers=wait)
    assert (await v3.head("a", "1")).digest == pushed.digest
    assert await v3.tags("a") == ["1"]
    await v3.put_manifest("a", pushed.digest, raw)
    assert len(fake.log) == 9


async def test_a_lost_connection_is_tried_again(fake: FakeV3, v3: RegistryClient) -> None:
    pushed = await push_image(fake.url, "a", "1")
    for method in ("HEAD", "GET", "PUT"):
        fake.drop(f"^{method} ", times=2)
    await v3.head("a", "1")
    raw = await v3.manifest("a", "1")
    await v3.put_manifest("a", pushed.digest, raw)
    assert fake.repositories["a"].tags == {"1": pushed.digest}


ONCE: dict[str, Callable[[RegistryClient, Pushed], Awaitable[None]]] = {
    "set a tag": lambda c, p: c.put_manifest("a", "1", RawManifest.of(p.media_type, p.body)),
    "delete a tag": lambda c, _: c.delete_tag("a", "1"),
    "delete a digest": lambda c, p: c.delete_manifest("a", p.digest),
}


@pytest.mark.parametrize("trouble", ["429", "502", "503", "504", "drop", "lose"])
@pytest.mark.parametrize("call", ONCE)
async def test_what_takes_a_tag_is_asked_once(
    fake: FakeV3, v3: RegistryClient, call: str, trouble: str
) -> None:
    """Somebody may push that tag before a second attempt, which would take their image away."""
    pushed = await push_image(fake.url, "a", "1")
    await v3.head("a", "1")  # a connection that is used again
    fake.log.clear()
    if trouble.isdigit():
        fake.fail("^(PUT|DELETE) ", int(trouble), headers={"Retry-After": "0"})
    else:
        {"drop": fake.drop, "lose": fake.lose_answer}[trouble]("^(PUT|DELETE) ")
    with pytest.raises((Unreachable, RateLimited)):
        await ONCE[call](v3, pushed)
    assert len(fake.log) == 1


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
