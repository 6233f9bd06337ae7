"""Connections to an engine: over its socket, or TCP with TLS, and failures in words.

Every call opens a connection of its own: they are few, a local socket costs next to nothing, and
nothing has to be closed when the bot ends.
"""

import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from bot.gc.docker.errors import EngineRefused, EngineUnreachable, refused, unreachable

NEWEST = (1, 44)
"""The newest version of the API that is asked for: later ones may take fields away."""

PATIENCE = 60.0
"""Seconds that an engine may take for each piece of an answer."""

_CONNECT_SECONDS = 10.0
_NETWORK = (httpx.HTTPError, aiohttp.ClientError)


class Connection:
    """One engine's address.

    Parameters
    ----------
    address : `unix:///path` or `tcp://host:port`.
    tls_dir : has ca.pem, cert.pem and key.pem; without it TCP is spoken in the clear.
    seconds : how long each piece of an answer may take.
    """

    def __init__(
        self, address: str, tls_dir: Path | None = None, seconds: float = PATIENCE
    ) -> None:
        self.address = address
        self._tls_dir = tls_dir
        self._seconds = seconds
        self._prefix: str | None = None

    async def json(
        self,
        what: str,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        more: float = 0.0,
        plain: bool = False,
    ) -> Any:
        """Ask and read JSON. `what` completes “could not …”; `plain` leaves the version out.

        `more` seconds are granted for what takes long.
        """
        prefix = "" if plain else await self.prefix()
        async with self.client(self._seconds + more) as http:
            answer = await self.send(http, method, f"{prefix}{path}", params, body)
        if answer.is_error:
            raise refused(what, answer)
        with self.understanding():
            return answer.json() if answer.content else {}

    @contextmanager
    def understanding(self) -> Iterator[None]:
        """Calls an answer strange that is read inside and has another shape than an engine's."""
        try:
            yield
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise EngineRefused(
                f"What answers at {self.address} does not speak as a container engine does.",
                "Correct `socket`.",
            ) from error

    async def send(
        self,
        http: httpx.AsyncClient,
        method: str,
        url: str,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        """One request, whatever is answered. Raises EngineUnreachable."""
        try:
            return await http.request(method, url, params=params, json=body)
        except (*_NETWORK, OSError) as error:
            raise unreachable(error, self.address) from error

    @asynccontextmanager
    async def stream(
        self, what: str, method: str, path: str, **request: Any
    ) -> AsyncIterator[httpx.Response]:
        """An answer that is read as it comes. Raises as `json` does."""
        url = f"{await self.prefix()}{path}"
        try:
            # Nothing may come for hours: whether it still runs is asked apart.
            async with self.client(None) as http, http.stream(method, url, **request) as answer:
                if answer.is_error:
                    await answer.aread()
                    raise refused(what, answer)
                yield answer
        except _NETWORK as error:
            raise unreachable(error, self.address) from error

    async def prefix(self) -> str:
        """The version of the API that is spoken, as the beginning of a path."""
        if self._prefix is None:
            told = await self.json("tell its version", "GET", "/version", plain=True)
            with self.understanding():
                major, minor = (int(part) for part in str(told["ApiVersion"]).split("."))
            used = min((major, minor), NEWEST)
            self._prefix = f"/v{used[0]}.{used[1]}"
        return self._prefix

    def brief(self) -> httpx.AsyncClient:
        """Connections for answers that do not take long."""
        return self.client(self._seconds)

    def client(self, seconds: float | None) -> httpx.AsyncClient:
        """Connections that wait so many seconds for each piece of an answer."""
        tls = self._trust() if self._tls_dir else None
        local = self.address.startswith("unix:")
        _, _, place = self.address.partition("://")

        def session() -> aiohttp.ClientSession:
            connector: aiohttp.BaseConnector
            if local:
                connector = aiohttp.UnixConnector(place)
            else:
                connector = aiohttp.TCPConnector(ssl=tls or True)
            return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

        # Not httpx's own transport: over a unix socket it sometimes answers the same wait twice.
        transport = AiohttpTransport(verify=tls or False, client=session)
        return httpx.AsyncClient(
            transport=transport,
            base_url="http://engine" if local else f"{'https' if tls else 'http'}://{place}",
            headers={"Accept-Encoding": "identity", "User-Agent": "registry-bot"},
            timeout=httpx.Timeout(seconds, connect=_CONNECT_SECONDS),
            trust_env=False,
        )

    def _trust(self) -> ssl.SSLContext:
        directory = self._tls_dir or Path()
        try:
            context = ssl.create_default_context(cafile=str(directory / "ca.pem"))
            context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
        except (OSError, ssl.SSLError) as error:
            raise EngineUnreachable(
                f"The certificates in `tls_dir` {directory} cannot be used: {error}.",
                "It must hold ca.pem, cert.pem and key.pem, as DOCKER_CERT_PATH does.",
            ) from error
        return context
