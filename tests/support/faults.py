"""Ways in which a registry, or whatever stands before it, can be told to misbehave.

One vocabulary for both: the registry in memory (`fake_v3`) and the proxy before a real one
(`proxy`) are `Faults`, and let `play` decide what becomes of each request.
"""

import asyncio
import re
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from tests.support.images import digest_of

ALWAYS = 1 << 60
"""So often that it does not end before `heal`."""

Serve = Callable[[web.Request], Awaitable[web.Response]]
"""Does what a request asks for, and gives the whole answer."""
Act = Callable[[web.Request, Serve], Awaitable[web.StreamResponse]]
"""What happens to a request instead."""


@dataclass(slots=True)
class _Fault:
    pattern: re.Pattern[str]
    act: Act
    times: int
    used: Counter[str] = field(default_factory=Counter)


class Faults:
    """Switches for faults.

    A pattern is searched in "METHOD /path?query" and in "METHOD /path"; the first that fits and
    has turns left is used. Each fault happens `times` times, by default once; with `each` so
    often to every single address.
    """

    def __init__(self) -> None:
        self._faults: list[_Fault] = []
        self.each = False

    async def play(self, request: web.Request, serve: Serve) -> web.StreamResponse:
        """Answer a request: as `serve` does, or as the next fault wants it."""
        lines = [f"{request.method} {path}" for path in (request.path_qs, request.path)]
        key = lines[0] if self.each else ""
        for fault in self._faults:
            if fault.used[key] < fault.times and any(map(fault.pattern.search, lines)):
                fault.used[key] += 1
                try:
                    return await fault.act(request, serve)
                except ConnectionError:  # nobody listens any more
                    return hang_up(request)
        return await serve(request)

    def plan(self, pattern: str, act: Act, times: int = 1) -> None:
        """Let `act` answer the next requests that the pattern fits."""
        self._faults.append(_Fault(re.compile(pattern), act, times))

    def heal(self) -> None:
        """Forget everything that was planned."""
        self._faults.clear()

    # Other answers.

    def fail(
        self,
        pattern: str,
        status: int,
        *,
        times: int = 1,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        """Answer with this status, headers and body, and do nothing."""

        async def act(request: web.Request, serve: Serve) -> web.StreamResponse:
            await request.read()
            return web.Response(status=status, headers=headers, body=body)

        self.plan(pattern, act, times)

    def page(self, pattern: str, status: int = 200, times: int = 1) -> None:
        """Answer with a page for browsers, as captive portals and proxies do."""
        body = b"<!DOCTYPE html><title>Welcome</title><p>Please log in to go on."
        self.fail(pattern, status, times=times, headers={"Content-Type": "text/html"}, body=body)

    def redirect(self, pattern: str, target: str, status: int = 307, times: int = 1) -> None:
        """Send whoever asks to the same path at `target`, another server's address."""

        async def act(request: web.Request, serve: Serve) -> web.StreamResponse:
            await request.read()
            location = f"{target}{request.path_qs}"
            return web.Response(status=status, headers={"Location": location})

        self.plan(pattern, act, times)

    def swap(self, pattern: str, body: bytes, times: int = 1) -> None:
        """Give the right answer with another body; its headers stay, the length is right."""
        self._rewrite(pattern, lambda _: body, {}, times)

    def flip(self, pattern: str, times: int = 1) -> None:
        """Turn the last bit of each byte in the middle third of the body."""

        def change(body: bytes) -> bytes:
            a, b = len(body) // 3, len(body) - len(body) // 3
            return body[:a] + bytes(byte ^ 1 for byte in body[a:b]) + body[b:]

        self._rewrite(pattern, change, {}, times)

    def header(self, pattern: str, name: str, value: str, times: int = 1) -> None:
        """Replace a header of the answer; "" takes it away."""
        self._rewrite(pattern, None, {name: value}, times)

    def wrong_digest(self, pattern: str, times: int = 1) -> None:
        """Announce a digest that is not that of the content."""
        self.header(pattern, "Docker-Content-Digest", digest_of(b"something else"), times)

    def link(self, pattern: str, target: str, times: int = 1) -> None:
        """Name `target` as the next page, whatever it is."""
        self.header(pattern, "Link", f'<{target}>; rel="next"', times)

    def bomb(self, pattern: str, size: int, times: int = 1) -> None:
        """Answer with few bytes that unfold to `size`, and say that they are compressed."""
        packer = zlib.compressobj(9, wbits=31)
        body = b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush()
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        self.fail(pattern, 200, times=times, headers=headers, body=body)

    # Connections.

    def drop(self, pattern: str, times: int = 1) -> None:
        """Hang up without an answer, before anything is done."""

        async def act(request: web.Request, serve: Serve) -> web.StreamResponse:
            return hang_up(request)

        self.plan(pattern, act, times)

    def lose_answer(self, pattern: str, times: int = 1) -> None:
        """Do what was asked, then hang up without an answer."""

        async def act(request: web.Request, serve: Serve) -> web.StreamResponse:
            await serve(request)
            return hang_up(request)

        self.plan(pattern, act, times)

    def truncate(self, pattern: str, times: int = 1) -> None:
        """Announce the whole body, send half of it, and hang up."""

        async def act(request: web.Request, serve: Serve) -> web.StreamResponse:
            return await _half(request, await serve(request))

        self.plan(pattern, act, times)

    def http10(self, pattern: str, *, cut: bool = False, times: int = 1) -> None:
        """Answer as HTTP/1.0 does, where only the connection's end tells that of the body.

        With `cut` only half of the body comes, and nobody can see it.
        """

        async def act(request: web.Request, serve: Serve) -> web.StreamResponse:
            answer = await serve(request)
            body = _body(answer)
            head = _head(answer, "1.0", without="content-length")
            return _raw(request, head + (body[: len(body) // 2] if cut else body))

        self.plan(pattern, act, times)

    def garbage(self, pattern: str, times: int = 1) -> None:
        """Answer with bytes that are no HTTP."""

        async def act(request: web.Request, serve: Serve) -> web.StreamResponse:
            return _raw(request, b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n")

        self.plan(pattern, act, times)

    def endless(self, pattern: str, times: int = 1) -> None:
        """Answer 200 with a body that never ends, as fast as it is taken."""

        async def act(request: web.Request, serve: Serve) -> web.StreamResponse:
            await serve(request)
            answer = web.StreamResponse(headers={"Content-Type": "application/json"})
            await answer.prepare(request)
            while True:
                await answer.write(b" " * (1 << 16))

        self.plan(pattern, act, times)

    # Time.

    def delay(self, pattern: str, seconds: float, times: int = 1) -> None:
        """Wait before anything is done."""

        async def act(request: web.Request, serve: Serve) -> web.StreamResponse:
            await asyncio.sleep(seconds)
            return await serve(request)

        self.plan(pattern, act, times)

    def drip(self, pattern: str, pause: float, *, head: bool = False, times: int = 1) -> None:
        """Send the answer's body (or all of it, with `head`) a byte at a time.

        Parameters
        ----------
        pause : seconds between two bytes.
        """

        async def act(request: web.Request, serve: Serve) -> web.StreamResponse:
            answer = await serve(request)
            start = _head(answer, "1.1")
            slow = _body(answer)
            if head:
                start, slow = b"", start + slow
            for piece in (start, *(slow[i : i + 1] for i in range(len(slow)))):
                if request.transport is None or request.transport.is_closing():
                    break
                request.transport.write(piece)
                await asyncio.sleep(pause)
            return _raw(request, b"")

        self.plan(pattern, act, times)

    def stall(self, pattern: str, times: int = 1) -> asyncio.Event:
        """Let requests wait until the event that is returned is set."""
        go_on = asyncio.Event()

        async def act(request: web.Request, serve: Serve) -> web.StreamResponse:
            await go_on.wait()
            return await serve(request)

        self.plan(pattern, act, times)
        return go_on

    def trap(
        self, pattern: str, spring: Callable[[], None], *, after: bool = False, times: int = 1
    ) -> None:
        """Call `spring` and hang up: before anything is done, or after."""

        async def act(request: web.Request, serve: Serve) -> web.StreamResponse:
            await request.read()
            if after:
                await serve(request)
            spring()
            return hang_up(request)

        self.plan(pattern, act, times)

    def _rewrite(
        self,
        pattern: str,
        change: Callable[[bytes], bytes] | None,
        headers: Mapping[str, str],
        times: int,
    ) -> None:
        async def act(request: web.Request, serve: Serve) -> web.StreamResponse:
            answer = await serve(request)
            for name, value in headers.items():
                answer.headers.popall(name, None)
                if value:
                    answer.headers[name] = value
            if change is not None:
                answer.body = change(_body(answer))
            return answer

        self.plan(pattern, act, times)


def hang_up(request: web.Request) -> web.Response:
    """Close the connection at once."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _body(answer: web.Response) -> bytes:
    return bytes(answer.body) if isinstance(answer.body, bytes | bytearray) else b""


def _head(answer: web.Response, version: str, without: str = "") -> bytes:
    headers = {k.title(): v for k, v in answer.headers.items() if k.lower() != without}
    if not without:
        headers.setdefault("Content-Length", str(len(_body(answer))))
    lines = [f"HTTP/{version} {answer.status} {answer.reason}", *map(": ".join, headers.items())]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


def _raw(request: web.Request, answer: bytes) -> web.Response:
    """Send these bytes as they are, then close the connection."""
    if request.transport is not None:
        request.transport.write(answer)
        request.transport.close()
    return web.Response()


async def _half(request: web.Request, answer: web.Response) -> web.StreamResponse:
    """Send the head and the first half of an answer, or nothing of a head; then hang up."""
    body = _body(answer)
    if request.method == "HEAD":
        return hang_up(request)
    partial = web.StreamResponse(status=answer.status, headers=answer.headers)
    partial.content_length = len(body)
    await partial.prepare(request)
    await partial.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return partial
