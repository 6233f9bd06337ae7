"""Connections: what they trust, how much they accept, and how their failures are called."""

import functools
import ssl
from collections.abc import AsyncIterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from bot.registry.errors import ProtocolError, RegistryError, TlsFailure, Unreachable

ERROR_LIMIT = 64 * 1024
PROXY_HINT = (
    "Check the registry's url and the proxy in front of it: it must pass on the Host and "
    "X-Forwarded-Proto headers."
)
_CONNECT_TIMEOUT = 10.0
_REACH_HINT = "Check the registry's url in the settings and that it runs, then try again."


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """The usual authorities and those of `ca_file` (PEM).

    Raises
    ------
    TlsFailure : `ca_file` cannot be read or holds no certificate.
    """
    if ca_file is None:
        return _usual()
    context = httpx.create_ssl_context()
    try:
        context.load_verify_locations(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise TlsFailure(
            f"The file {ca_file} holds no certificates that can be read.",
            "ca_file must name a PEM file with the certificate of the signing authority.",
        ) from None
    return context


@functools.cache
def _usual() -> ssl.SSLContext:
    """One for all registries: reading the usual authorities takes longer than many answers."""
    return httpx.create_ssl_context()


def connections(tls: ssl.SSLContext) -> httpx.AsyncClient:
    """A new pool of connections.

    A request's extension "limit" is the most bytes of body that a success may have; errors and
    token servers get `ERROR_LIMIT`. More is a `ProtocolError`.
    """

    def session() -> aiohttp.ClientSession:
        # The caller bounds its requests; token servers and blob stores come on top.
        connector = aiohttp.TCPConnector(ssl=tls, limit=0)
        made = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        # It would send a PUT or a DELETE once more where the answer is lost, and say nothing of it.
        # There is no public switch (aiohttp 3.13); tests count what arrives.
        made._retry_connection = False  # noqa: SLF001
        return made

    return httpx.AsyncClient(
        transport=_BoundedTransport(verify=tls, client=session),
        timeout=httpx.Timeout(None, connect=_CONNECT_TIMEOUT),
        headers={"Accept-Encoding": "identity", "User-Agent": "registry-bot"},
        # Kept cookies would travel with every later request, or fail them all where they are odd.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        trust_env=False,
    )


class _BoundedTransport(AiohttpTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        limit = request.extensions.get("limit", ERROR_LIMIT)
        if not response.is_success:
            limit = ERROR_LIMIT
        host = request.url.host
        if response.headers.get("Content-Encoding", "identity") != "identity":
            await response.aclose()
            # We asked for none: a small answer could unfold into any size.
            raise ProtocolError(f"{host} compressed its answer.", PROXY_HINT)
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _BoundedStream(response.stream, limit, host)
        return response


class _BoundedStream(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, limit: int, host: str) -> None:
        self._stream = stream
        self._limit = limit
        self._host = host

    async def __aiter__(self) -> AsyncIterator[bytes]:
        length = 0
        async for chunk in self._stream:
            length += len(chunk)
            if length > self._limit:
                raise ProtocolError(
                    f"{self._host} answered with more than {self._limit} bytes.",
                    "Check that the registry's url leads to a registry.",
                )
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def network_failure(error: Exception, host: str) -> RegistryError:
    """Our error for one of the network's; `Unreachable` itself means that it may pass.

    Parameters
    ----------
    error : what httpx, aiohttp or the operating system raised.
    host : where the request went, unless the error knows better (a token server, say).
    """
    if isinstance(error, httpx.RequestError):
        host = error.request.url.host
    chain = _chain(error)
    if any(isinstance(e, ssl.SSLError | aiohttp.ClientSSLError) for e in chain):
        return _tls_failure(host, chain)
    if any(isinstance(e, aiohttp.ClientResponseError | httpx.UnsupportedProtocol) for e in chain):
        return ProtocolError(f"{host} does not speak HTTP.", PROXY_HINT)
    if any(isinstance(e, aiohttp.ClientConnectorDNSError) for e in chain):
        return Unreachable(f"There is no host called {host}.", _REACH_HINT)
    if any(isinstance(e, ConnectionRefusedError) for e in chain):
        return Unreachable(f"{host} refuses connections.", _REACH_HINT)
    if any(isinstance(e, TimeoutError) for e in chain):
        return Unreachable(f"{host} does not answer in time.", _REACH_HINT)
    return Unreachable(f"The connection to {host} was lost.", _REACH_HINT)


def _chain(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    return chain


def _tls_failure(host: str, chain: list[BaseException]) -> TlsFailure:
    text = " ".join(str(error) for error in chain)
    if "WRONG_VERSION_NUMBER" in text or "record layer failure" in text.lower():
        return TlsFailure(
            f"{host} does not speak TLS.",
            "If it is meant to have none, write http:// in the registry's url.",
        )
    return TlsFailure(
        f"The certificate of {host} is not trusted.",
        "Name the file of the authority that signed it as ca_file, and check the host's name.",
    )
