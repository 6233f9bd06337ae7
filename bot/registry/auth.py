"""Logging in at a registry: Basic, or Bearer with tokens from the server it names."""

import asyncio
import base64
import binascii
import json
import re
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from bot.registry.errors import (
    CredentialsUnreadable,
    ProtocolError,
    RateLimited,
    Unauthorized,
    Unreachable,
)

_READ = "pull"
# All at once: a token for a change is fetched once, and a server grants what it may.
_CHANGE = "pull,push,delete"
_REPOSITORY_PATH = re.compile(r"/v2/(.+)/(?:manifests|blobs|tags)/")
# A scheme is a word alone; a parameter is a word with "=" and a value behind it.
_WORD = re.compile(r"([\w!#$%&'*+.^`|~-]+)(?:\s*=\s*(\"(?:[^\"\\]|\\.)*\"|[^\s,\"]+))?[\s,]*")
_DEFAULT_LIFETIME = 60.0


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password; the password does not show in `repr`."""

    username: str
    password: SecretStr = field(repr=False)

    def basic(self) -> str:
        """The value of an `Authorization` header."""
        pair = f"{self.username}:{self.password.get_secret_value()}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


def docker_credentials(url: str, config_path: Path | None = None) -> Credentials | None:
    """The login that `docker login` stored for a registry.

    Parameters
    ----------
    url : the registry's address.
    config_path : docker's `config.json`; default: the one in the home directory.

    Returns
    -------
    None where there is no file or no login for this registry.

    Raises
    ------
    CredentialsUnreadable : the file is broken, or the login is kept by a credential helper,
        which would mean starting another program with our rights.
    """
    path = config_path or Path.home() / ".docker" / "config.json"
    config = _docker_config(path)
    wanted = _host(url)
    for kind in ("credHelpers", "auths"):
        entries = config.get(kind)
        for name, entry in entries.items() if isinstance(entries, dict) else ():
            if _host(name) != wanted:
                continue
            if kind == "credHelpers":
                raise _kept_elsewhere(path, f"the credential helper {str(entry)[:50]}")
            return _docker_login(path, entry, config)
    return None


def _docker_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CredentialsUnreadable(
            f"Docker's configuration {path} cannot be read: {type(error).__name__}.",
            "Repair the file, or give the login as environment variables (credentials = env:NAME).",
        ) from None
    return config if isinstance(config, dict) else {}


def _docker_login(path: Path, entry: object, config: dict[str, Any]) -> Credentials:
    values = entry if isinstance(entry, dict) else {}
    if values.get("identitytoken"):
        raise _kept_elsewhere(path, "an identity token")
    if not values.get("auth") and config.get("credsStore"):
        raise _kept_elsewhere(path, f"the credential store {str(config['credsStore'])[:50]}")
    try:
        pair = base64.b64decode(str(values.get("auth", "")), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        pair = ""
    user, colon, password = pair.partition(":")
    if not colon:
        raise CredentialsUnreadable(
            f"Docker's configuration {path} has an entry for this registry, but no login in it.",
            "Run docker login again, or give the login as environment variables.",
        )
    # Docker pads stored passwords with zero bytes.
    return Credentials(user, SecretStr(password.strip("\0")))


def _kept_elsewhere(path: Path, where: str) -> CredentialsUnreadable:
    return CredentialsUnreadable(
        f"Docker's configuration {path} keeps the login for this registry in {where}, "
        "which the bot does not use.",
        "Give the login as environment variables instead (credentials = env:NAME).",
    )


def _host(address: str) -> str:
    """Host and port of what people and docker write: `host:5000`, `https://host/v1/`."""
    scheme, found, rest = address.partition("://")
    host = (rest if found else address).partition("/")[0].lower()
    return host.removesuffix(":80" if found and scheme == "http" else ":443")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to log in, as offered in a `WWW-Authenticate` header; scheme in lower case."""

    scheme: str
    parameters: dict[str, str]


def challenges(headers: httpx.Headers) -> Iterator[Challenge]:
    """Every offer in the headers of a 401."""
    for line in headers.get_list("WWW-Authenticate"):
        current: Challenge | None = None
        for word, value in _WORD.findall(line):
            if not value:
                if current is not None:
                    yield current
                current = Challenge(word.lower(), {})
            elif current is not None:
                text = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] == '"' else value
                current.parameters[word.lower()] = text
        if current is not None:
            yield current


@dataclass(slots=True)
class _Token:
    header: str
    until: float


class RegistryAuth(httpx.Auth):
    """Answers the registry's challenges, and remembers what it learned.

    A token is kept for each scope until shortly before it expires. A 401 is answered once, with
    a fresh token; a second 401 goes to the caller. Requests to other hosts pass untouched.

    Parameters
    ----------
    credentials : None for anonymous use.
    registry_url : the only place that these credentials are for, besides the token server
        that it names.
    """

    def __init__(self, credentials: Credentials | None, registry_url: str) -> None:
        self._credentials = credentials
        self._registry = httpx.URL(registry_url)
        self._basic = False
        self._tokens: dict[str, _Token] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """What httpx calls for each request; see the class."""
        if origin(request.url) != origin(self._registry):
            yield request
            return
        scope = scope_of(request)
        sent = self._known(scope)
        if sent is not None:
            request.headers["Authorization"] = sent
        response = yield request
        if response.status_code != 401:
            return
        offers = {offer.scheme: offer for offer in challenges(response.headers)}
        if "bearer" in offers:
            offer = offers["bearer"]
            # One fetch for everybody who waits for the same rights.
            async with self._locks.setdefault(scope, asyncio.Lock()):
                header = self._known(scope)
                if header is None or header == sent:
                    token = yield self._token_request(offer, scope)
                    await token.aread()
                    header = self._keep(scope, token)
            request.headers["Authorization"] = header
            yield request
        elif "basic" in offers and self._credentials is not None and sent is None:
            self._basic = True
            request.headers["Authorization"] = self._credentials.basic()
            yield request

    def _known(self, scope: str) -> str | None:
        if self._basic and self._credentials is not None:
            return self._credentials.basic()
        token = self._tokens.get(scope)
        return token.header if token is not None and token.until > time.monotonic() else None

    def _token_request(self, offer: Challenge, scope: str) -> httpx.Request:
        realm = self._realm(offer)
        parameters = {"scope": scope or offer.parameters.get("scope", "")}
        parameters["service"] = offer.parameters.get("service", "")
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if self._credentials is not None:
            parameters["account"] = self._credentials.username
            headers["Authorization"] = self._credentials.basic()
        wanted = {key: value for key, value in parameters.items() if value}
        return httpx.Request("GET", realm.copy_merge_params(wanted), headers=headers)

    def _realm(self, offer: Challenge) -> httpx.URL:
        try:
            realm = httpx.URL(offer.parameters.get("realm", ""))
        except httpx.InvalidURL:
            realm = httpx.URL("")
        if realm.scheme not in ("http", "https") or not realm.host:
            raise ProtocolError(
                "The registry asks for a token, but names no usable server that gives one.",
                "Its setting auth.token.realm must be a full address.",
            )
        if realm.scheme == "http" and self._registry.scheme != "http":
            raise ProtocolError(
                f"The registry sends logins to {realm.host} over plain HTTP, so the bot does "
                "not log in.",
                "Set auth.token.realm of the registry to an https address.",
            )
        return realm.copy_with(userinfo=b"", fragment=None)

    def _keep(self, scope: str, answer: httpx.Response) -> str:
        host = answer.request.url.host
        if answer.status_code in (400, 401, 403):
            raise Unauthorized(
                f"The token server {host} does not accept the bot's login.",
                "Check the credentials of this registry in the bot's settings.",
            )
        if answer.status_code == 429:
            raise RateLimited(f"The token server {host} gets too many requests.", "Wait a moment.")
        if answer.status_code >= 500:
            raise Unreachable(
                f"The token server {host} answered {answer.status_code}.",
                "Look at its log, then try again.",
            )
        token, lifetime = _token(answer)
        if token is None:
            raise ProtocolError(
                f"The token server {host} answered {answer.status_code} without a token.",
                "Check the registry's setting auth.token.realm.",
            )
        # A token must not run out on its way to the registry.
        until = time.monotonic() + lifetime - min(10.0, lifetime / 5)
        self._tokens[scope] = _Token(f"Bearer {token}", until)
        return f"Bearer {token}"


def _token(answer: httpx.Response) -> tuple[str | None, float]:
    try:
        value = answer.json()
    except (ValueError, RecursionError):
        return None, 0.0
    if answer.status_code != 200 or not isinstance(value, dict):
        return None, 0.0
    token = value.get("token") or value.get("access_token")
    lifetime = value.get("expires_in")
    if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
        return None, 0.0
    if isinstance(lifetime, int | float) and lifetime > 0:
        return token, float(lifetime)
    return token, _DEFAULT_LIFETIME


def scope_of(request: httpx.Request) -> str:
    """The rights that a request needs; "" for the base of the API."""
    path = request.url.path
    if path.endswith("/v2/_catalog"):
        return "registry:catalog:*"
    found = _REPOSITORY_PATH.search(path)
    if found is None:
        return ""
    actions = _READ if request.method in ("GET", "HEAD") else _CHANGE
    return f"repository:{found[1]}:{actions}"


def origin(url: httpx.URL) -> tuple[str, str, int]:
    """Scheme, host and port, so that an explicit default port makes no difference."""
    default = {"http": 80, "https": 443}.get(url.scheme, 0)
    return url.scheme, url.host, url.port or default
