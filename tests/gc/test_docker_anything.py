"""Whatever answers at the engine's socket: only the client's own errors come of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bot.gc.docker.engine import Engine
from bot.gc.docker.errors import EngineRefused, EngineUnreachable
from bot.gc.errors import CommandFailed
from tests.support.anything import Anything, answers, bodies
from tests.support.examples import examples, shaped


async def _all(stream: Any) -> list[Any]:
    return [one async for one in stream]


CALLS: dict[str, Callable[[Engine], Awaitable[Any]]] = {
    "version": lambda e: e.version(),
    "inspect": lambda e: e.inspect("c"),
    "containers": lambda e: e.containers({"label": ["x"]}),
    "volumes": lambda e: e.volumes(),
    "create": lambda e: e.create("c", {}),
    "connect": lambda e: e.connect("n", "c", {}),
    "start": lambda e: e.start("c", "it"),
    "stop": lambda e: e.stop("c", "it", 1.0),
    "kill": lambda e: e.kill("c"),
    "remove": lambda e: e.remove("c", "it"),
    "commands": lambda e: e.commands("c"),
    "logs": lambda e: _all(e.logs("c", follow=True)),
    "execute": lambda e: e.execute("c", ["df"]),
    "file sizes": lambda e: _all(e.file_sizes("c", ["/a", "/b"])),
    "exists": lambda e: e.exists("c", "/a"),
    "read file": lambda e: e.read_file("c", "/a"),
}
VERSION = b'HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{"ApiVersion":"1.41"}'
TOLD = bodies(
    shaped("Id", "State", "Running", "Config", "Labels", "HostConfig", "Name", "Options")
    | shaped("ApiVersion", "Version", "Volumes", "Processes", "ExitCode", "message", "Id")
)


def test_only_its_own_errors_come_of_it() -> None:
    server = Anything()

    async def ask(call: str) -> Exception | None:
        engine = Engine(f"tcp://127.0.0.1:{port}", seconds=5.0)
        try:
            async with asyncio.timeout(30):
                await CALLS[call](engine)
        except CommandFailed as error:
            return error
        return None

    with asyncio.Runner() as runner:
        listening = runner.run(asyncio.start_server(server.talk, "127.0.0.1", 0))
        port = listening.sockets[0].getsockname()[1]

        @examples(120)
        @given(
            st.sampled_from(sorted(CALLS)),
            st.booleans(),
            st.lists(answers(TOLD) | st.binary(), min_size=1, max_size=3),
        )
        def test(call: str, is_engine: bool, given_: list[bytes]) -> None:
            server.answers = [VERSION, *given_] if is_engine else given_
            error = runner.run(ask(call))
            assert error is None or isinstance(error, EngineRefused | EngineUnreachable)
            assert error is None or error.sentence

        test()
        listening.close()


@pytest.mark.parametrize("status", [200, 404, 500])
def test_a_bottomless_answer_is_told(status: int) -> None:
    """More brackets than Python's parser can hold: it does not call that a ValueError."""
    body = b"[" * 100_000
    head = f"HTTP/1.1 {status} So\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    async def ask() -> None:
        server = Anything()
        server.answers = [VERSION, head + body]
        async with await asyncio.start_server(server.talk, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            with pytest.raises(EngineRefused):
                await Engine(f"tcp://127.0.0.1:{port}", seconds=5.0).execute("c", ["df"])

    asyncio.run(ask())
