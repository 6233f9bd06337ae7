"""Ways in which the registry in memory can be told to fail."""

import re
from dataclasses import dataclass, field

from aiohttp import web

from tests.support.images import digest_of


@dataclass(slots=True)
class Fault:
    """What happens to the next `times` requests that `pattern` fits."""

    pattern: re.Pattern[str]
    kind: str
    times: int
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Faults:
    """Switches for faults.

    A pattern is searched in "METHOD /path?query"; the first that fits and has turns left is used.
    """

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def fail(
        self,
        pattern: str,
        status: int,
        *,
        times: int = 1,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        """Answer the next calls with this status, headers and body, and do nothing."""
        self._add(pattern, "fail", times, status, headers or {}, body)

    def truncate(self, pattern: str, times: int = 1) -> None:
        """Announce the whole body, send half of it, and hang up."""
        self._add(pattern, "truncate", times)

    def drop(self, pattern: str, times: int = 1) -> None:
        """Hang up without an answer, before anything is done."""
        self._add(pattern, "drop", times)

    def lose_answer(self, pattern: str, times: int = 1) -> None:
        """Do what was asked, then hang up without an answer."""
        self._add(pattern, "lose", times)

    def header(self, pattern: str, name: str, value: str, times: int = 1) -> None:
        """Replace a header of the answer; "" takes it away."""
        self._add(pattern, "header", times, headers={name: value})

    def wrong_digest(self, pattern: str, times: int = 1) -> None:
        """Announce a digest that is not that of the content."""
        self.header(pattern, "Docker-Content-Digest", digest_of(b"something else"), times)

    def link(self, pattern: str, target: str, times: int = 1) -> None:
        """Name `target` as the next page, whatever it is."""
        self.header(pattern, "Link", f'<{target}>; rel="next"', times)

    def _add(
        self,
        pattern: str,
        kind: str,
        times: int,
        status: int = 0,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        self._faults.append(Fault(re.compile(pattern), kind, times, status, headers or {}, body))

    def take(self, line: str) -> Fault | None:
        """The fault for a request, one of its turns used up."""
        for fault in self._faults:
            if fault.times > 0 and fault.pattern.search(line):
                fault.times -= 1
                return fault
        return None


def hang_up(request: web.Request) -> web.Response:
    """Close the connection at once."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def half(request: web.Request, response: web.Response) -> web.StreamResponse:
    """Send the head and the first half of a response, then close the connection."""
    body = bytes(response.body) if isinstance(response.body, bytes | bytearray) else b""
    partial = web.StreamResponse(status=response.status, headers=response.headers)
    partial.content_length = len(body)
    await partial.prepare(request)
    await partial.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return partial
