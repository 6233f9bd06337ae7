"""What the engine's client reads, and how it calls what goes wrong."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from aiohttp import web

from bot.gc.docker.engine import Engine
from bot.gc.docker.errors import EngineRefused, EngineUnreachable, NotThere
from bot.gc.docker.frames import frames
from tests.support.certificates import authority, server_certificate

pytestmark = pytest.mark.anyio

STREAM = b"\x01\0\0\0\0\0\0\x05hello\x02\0\0\0\0\0\0\x03bad\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\x01!"


async def _in(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@pytest.mark.parametrize("size", [1, 3, 8, 9, 1000])
async def test_frames_may_be_cut_anywhere(size: int) -> None:
    pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    told = {1: b"", 2: b""}
    async for kind, piece in frames(_in(pieces)):
        told[kind] += piece
    assert told == {1: b"hello!", 2: b"bad"}


async def test_a_stream_that_breaks_off_ends() -> None:
    assert [piece async for piece in frames(_in([STREAM[:10]]))] == [(1, b"he")]
    assert [piece async for piece in frames(_in([STREAM[:4]]))] == []


class Server:
    """Answers as an engine would, to a few questions."""

    def __init__(self) -> None:
        self.app = web.Application()
        self.app.router.add_get("/version", self._version)
        self.app.router.add_get("/v1.41/containers/{name}/json", self._inspect)
        self.version = "1.41"

    async def listen(
        self, tls: ssl.SSLContext | None = None, path: str = ""
    ) -> tuple[web.AppRunner, int]:
        runner = web.AppRunner(self.app, access_log=None, handle_signals=False)
        await runner.setup()
        site: web.BaseSite
        if path:
            site = web.UnixSite(runner, path)
        else:
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        return runner, 0 if path else runner.addresses[0][1]

    async def _version(self, _: web.Request) -> web.Response:
        return web.json_response({"Version": "20.10.24", "ApiVersion": self.version})

    async def _inspect(self, request: web.Request) -> web.Response:
        if request.match_info["name"] == "broken":
            return web.json_response({"message": "driver failed"}, status=500)
        return web.json_response({"message": "No such container: x"}, status=404)


async def test_over_tls_with_certificates_of_both_sides(tmp_path: Path) -> None:
    ca = authority(tmp_path)
    certificate, key = server_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(ca))
    tls.load_cert_chain(certificate, key)
    tls.verify_mode = ssl.CERT_REQUIRED
    mine = tmp_path / "mine"
    mine.mkdir()
    for name, source in (("ca.pem", ca), ("cert.pem", certificate), ("key.pem", key)):
        (mine / name).write_bytes(Path(source).read_bytes())
    runner, port = await Server().listen(tls)
    try:
        assert await Engine(f"tcp://127.0.0.1:{port}", mine).version() == "20.10.24"
        with pytest.raises(EngineUnreachable):
            await Engine(f"tcp://127.0.0.1:{port}").version()
        (mine / "ca.pem").write_bytes(Path(authority(tmp_path / "other")).read_bytes())
        with pytest.raises(EngineUnreachable, match="TLS with the container engine"):
            await Engine(f"tcp://127.0.0.1:{port}", mine).version()
        (mine / "key.pem").write_text("nothing")
        with pytest.raises(EngineUnreachable, match="`tls_dir`"):
            await Engine(f"tcp://127.0.0.1:{port}", mine).version()
    finally:
        await runner.cleanup()


async def test_errors_are_told_with_the_engine_s_words(tmp_path: Path) -> None:
    path = f"{tmp_path}/s"
    runner, _ = await Server().listen(path=path)
    try:
        engine = Engine(f"unix://{path}")
        with pytest.raises(NotThere, match="No such container: x"):
            await engine.inspect("x")
        with pytest.raises(EngineRefused, match="could not look at the container broken: driver"):
            await engine.inspect("broken")
    finally:
        await runner.cleanup()


async def test_what_is_no_engine_is_called_so(tmp_path: Path) -> None:
    path = f"{tmp_path}/s"
    server = Server()
    server.version = "?"
    runner, _ = await server.listen(path=path)
    try:
        with pytest.raises(EngineRefused, match="does not speak as a container engine"):
            await Engine(f"unix://{path}").inspect("x")
    finally:
        await runner.cleanup()


async def test_a_socket_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EngineUnreachable, match="the socket does not exist"):
        await Engine(f"unix://{tmp_path}/nowhere").version()


async def test_a_socket_that_nobody_listens_on(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{tmp_path}/s")
    with pytest.raises(EngineUnreachable, match="seems to be down"):
        await Engine(f"unix://{tmp_path}/s").version()


async def test_an_engine_that_hangs_up(tmp_path: Path) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_unix_server(hang_up, f"{tmp_path}/s")
    async with server:
        with pytest.raises(EngineUnreachable, match="The connection to the container engine"):
            await Engine(f"unix://{tmp_path}/s").version()
