"""A server that answers anything, and what to answer: mostly something like HTTP."""

import asyncio
import json

import hypothesis.strategies as st

from bot.registry.manifest import OCI_INDEX, OCI_MANIFEST
from tests.support.examples import DEEP, JSON
from tests.support.images import digest_of

BODY = b'{"schemaVersion":2}'
DIGEST = digest_of(BODY)


def bodies(values: st.SearchStrategy[object]) -> st.SearchStrategy[bytes]:
    """Any bytes, and these values as JSON."""
    odd = [b"", BODY, b"\xff", b"null", DEEP.encode()]
    written = (JSON | values).map(lambda value: json.dumps(value).encode())
    return st.binary(max_size=80) | st.sampled_from(odd) | written


VALUES = st.text(
    st.characters(min_codepoint=9, max_codepoint=255, exclude_characters="\r\n"), max_size=30
) | st.sampled_from(
    [
        *("0", "-1", "9" * 30, "gzip", "text/plain", "application/json", "GET, HEAD", "chunked"),
        *("/", "//", "http://[", "http://127.0.0.1:1/", "?", "\xe9", "bytes 0-0/19", DIGEST),
        *('<>; rel="next"', '</v2/_catalog?n=1000>; rel="next"', "<http://[>; rel=next"),
        *('Bearer realm="http://[",scope="x"', "Bearer", "Basic", 'Bearer realm="', "=,=,="),
        *(OCI_MANIFEST, OCI_INDEX, "Wed, 21 Oct 2099 99:99:99", "1e5", "٣"),
    ]
)
NAMES = st.sampled_from(
    [
        *("Content-Type", "Content-Length", "Content-Encoding", "Content-Range", "Location"),
        *("Docker-Content-Digest", "WWW-Authenticate", "Retry-After", "Allow", "Transfer-Encoding"),
        *("Docker-Distribution-Api-Version", "Connection", "Upgrade", "Set-Cookie", "Link", "X"),
    ]
)
STATUSES = st.sampled_from(
    [
        *(100, 101, 199, 200, 200, 200, 201, 202, 204, 206, 301, 302, 304, 307, 308, 399, 400),
        *(401, 401, 403, 404, 405, 416, 418, 429, 500, 501, 502, 503, 599, 600, 999),
    ]
)


@st.composite
def answers(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> bytes:
    """Something like an HTTP answer; its length is mostly right."""
    body = draw(bodies)
    headers = draw(st.lists(st.tuples(NAMES, VALUES), max_size=5))
    if draw(st.integers(0, 3)):
        headers.append(("Content-Length", str(len(body))))
    head = [f"HTTP/1.1 {draw(STATUSES)} Said", *(f"{name}: {value}" for name, value in headers)]
    return "".join(f"{line}\r\n" for line in [*head, ""]).encode("latin-1", "replace") + body


class Anything:
    """A server that gives the next answers, whatever is asked, and then hangs up."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
