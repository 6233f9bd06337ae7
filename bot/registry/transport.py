"""Requests to one registry: bounded, repeated where that is safe, and failing in our words."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import httpx

from bot.registry.auth import RegistryAuth, origin
from bot.registry.errors import ProtocolError, RateLimited, RegistryError, TlsFailure, Unreachable
from bot.registry.failures import Answer, failure, retry_after
from bot.registry.network import ERROR_LIMIT, PROXY_HINT, connections, network_failure

_ATTEMPTS = 5
_FIRST_PAUSE = 0.2
_REDIRECTS = 5
_REPEATED = frozenset({429, 502, 503, 504})
_NETWORK = (httpx.TransportError, aiohttp.ClientError, OSError)


class BrokenOff(Unreachable):
    """An answer began well and then stopped: perhaps the network, perhaps a lost blob."""


class _Again(Exception):
    """A failure that may pass; `wait` is what the registry asked for, in seconds."""

    def __init__(self, error: RegistryError, wait: float | None = None) -> None:
        super().__init__()
        self.error = error
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Ask:
    """One request.

    `path` begins with a slash, or is a whole address on the registry's own host. `what` names
    the thing for people. `limit` is the most bytes that a good answer may have; with `enough`
    reading stops after that many. `repeat` says that asking twice does no harm; after so many
    `breaks` in the middle of an answer that is no use either. `off_host` lets a redirect lead
    elsewhere, without credentials. `sink` is called for each good answer and gives what takes
    its bytes; the answer then has no body. `deadline` (seconds) replaces that of the transport.
    """

    method: str
    path: str
    what: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    limit: int = ERROR_LIMIT
    enough: int | None = None
    repeat: bool = True
    breaks: int = _ATTEMPTS
    off_host: bool = False
    sink: Callable[[], Callable[[bytes], None]] | None = None
    deadline: float | None = None


class Transport:
    """The connections to one registry.

    Parameters
    ----------
    url : the registry's address, without a path.
    auth : logs in where the registry asks for it.
    tls : which certificates to trust.
    deadline : seconds for one `ask`, repeats included; waiting for a turn is not.
    turns : bounds the requests under way at once.
    on_call : told how each request to the registry itself ended: with its status, such as `404`,
        `no answer`, or `broken off`.
    """

    def __init__(
        self,
        url: str,
        auth: RegistryAuth,
        tls: ssl.SSLContext,
        deadline: float,
        turns: asyncio.Semaphore,
        on_call: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._url = httpx.URL(url)
        self._auth = auth
        self._tls = tls
        self._deadline = deadline
        self._turns = turns
        self._on_call = on_call
        self._http = connections(tls)

    def is_own(self, url: httpx.URL) -> bool:
        """Whether an address is the registry's, and not one that it has sent us to."""
        return origin(url) == origin(self._url)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    @asynccontextmanager
    async def fresh(self) -> AsyncIterator["Transport"]:
        """The same registry over connections that nobody used before.

        A kept connection may lead to a registry process that a restart is about to replace.
        """
        other = Transport(
            str(self._url), self._auth, self._tls, self._deadline, self._turns, self._on_call
        )
        try:
            yield other
        finally:
            await other.aclose()

    async def ask(self, ask: Ask) -> Answer:
        """Send a request and read the answer, whatever its status.

        Raises
        ------
        Unreachable : no answer within the deadline, or 502-504 to the last attempt.
        TlsFailure : the certificate is not trusted.
        RateLimited : 429 to the last attempt, or for longer than the deadline.
        BrokenOff : the body stopped too early, each time.
        ProtocolError : more bytes than `limit`, a redirect that is not allowed, no HTTP.
        """
        async with self._turns:
            deadline = self._deadline if ask.deadline is None else ask.deadline
            last: RegistryError = self._too_slow(deadline)
            try:
                async with asyncio.timeout(deadline) as timeout:
                    attempt = breaks = 0
                    while True:
                        attempt += 1
                        try:
                            return await self._attempt(ask)
                        except _Again as again:
                            last = again.error
                            pause = again.wait
                        breaks += isinstance(last, BrokenOff)
                        if pause is None:
                            pause = _FIRST_PAUSE * 2.0 ** (attempt - 1)
                        end = timeout.when() or 0.0
                        late = asyncio.get_running_loop().time() + pause >= end
                        enough = attempt == _ATTEMPTS or breaks == ask.breaks
                        if late or enough or not ask.repeat:
                            raise last
                        await asyncio.sleep(pause)
            except TimeoutError:
                raise last from None

    def _too_slow(self, deadline: float) -> Unreachable:
        return Unreachable(
            f"{self._url.host} did not answer within {deadline:g} seconds.",
            "Look at whether the registry is overloaded or the network is down, then try again.",
        )

    async def _attempt(self, ask: Ask) -> Answer:
        try:
            answer = await self._follow(ask)
        except TlsFailure:
            raise
        except RateLimited as error:
            raise _Again(error, error.retry_after) from None
        except Unreachable as error:
            raise _Again(error) from None
        except _NETWORK as error:
            found = network_failure(error, self._url.host)
            if type(found) is Unreachable:
                raise _Again(found) from error
            raise found from error
        if answer.status in _REPEATED:
            raise _Again(failure(answer, ask.what), retry_after(answer.headers))
        return answer

    async def _follow(self, ask: Ask) -> Answer:
        url = self._url.join(ask.path)
        for _ in range(_REDIRECTS + 1):
            answer = await self._send(ask, url)
            if answer.status not in (301, 302, 303, 307, 308):
                return answer
            url = self._target(ask, answer)
        raise ProtocolError(f"The registry redirects {ask.what} without an end.", PROXY_HINT)

    def _target(self, ask: Ask, answer: Answer) -> httpx.URL:
        """Where a redirect leads; refuses those that could leak or misdirect a request."""
        try:
            target = answer.url.join(answer.headers.get("Location", ""))
        except httpx.InvalidURL:
            target = httpx.URL("")
        away = not self.is_own(target)
        usable = target.scheme in ("http", "https") and bool(target.host)
        lost_tls = answer.url.scheme == "https" and target.scheme != "https"
        changes = ask.method not in ("GET", "HEAD")
        if not usable or lost_tls or changes or (away and not ask.off_host):
            raise ProtocolError(
                f"The registry redirects {ask.what} to another place, which is not followed.",
                PROXY_HINT,
            )
        return target

    async def _send(self, ask: Ask, url: httpx.URL) -> Answer:
        home = self.is_own(url)
        request = self._http.build_request(
            ask.method,
            url,
            headers=dict(ask.headers),
            content=ask.content,
            extensions={"limit": ask.limit, "timeout": self._http.timeout.as_dict()},
        )
        outcome = "no answer"
        try:
            response = await self._http.send(
                request, auth=self._auth if home else None, stream=True, follow_redirects=False
            )
            outcome = "broken off"
            try:
                body = b"" if ask.method == "HEAD" else await _body(response, ask)
            finally:
                await response.aclose()
            outcome = str(response.status_code)
        finally:
            if home:
                self._on_call(outcome)
        return Answer(ask.method, url, response.status_code, response.headers, body)


async def _body(response: httpx.Response, ask: Ask) -> bytes:
    """The body, or at least its first `enough` bytes."""
    body = bytearray()
    take = ask.sink() if ask.sink is not None and response.is_success else None
    try:
        async for chunk in response.aiter_raw():
            if take is not None:
                take(chunk)
                continue
            body += chunk
            if response.is_success and ask.enough is not None and len(body) >= ask.enough:
                break
    except _NETWORK as error:
        raise BrokenOff(
            f"The registry's answer for {ask.what} breaks off.",
            "Look at the registry's log; after a garbage collection it needs a restart.",
        ) from error
    return bytes(body)
