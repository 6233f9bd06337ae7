"""A token server as registries know it: basic auth in, a signed JWT with rights out."""

import base64
import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from aiohttp import BasicAuth, web

from tests.support.certificates import openssl
from tests.support.planted import login, remember


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One request for a token: who asked (None without credentials), and for which scopes."""

    user: str | None
    service: str
    scopes: tuple[str, ...]


class TokenServer:
    """Hands out tokens on a free port of the loopback.

    Parameters
    ----------
    folder : for its key and certificate.
    users : password by user.
    grants : for a user the actions that are granted, whatever the name; default: all asked.
    lifetime : seconds that a token is good for.

    `requests` lists what was asked; `refuse` makes it answer with that status instead.
    """

    service = "test-registry"
    issuer = "test-issuer"

    def __init__(
        self,
        folder: Path,
        users: dict[str, str],
        *,
        grants: dict[str, frozenset[str]] | None = None,
        lifetime: int = 300,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.bundle = folder / "token.pem"
        self._key = folder / "token.key"
        self.users = {user: login(user, password) for user, password in users.items()}
        self.grants = grants or {}
        self.lifetime = lifetime
        self.requests: list[TokenRequest] = []
        self.refuse: int | None = None
        self.port = 0
        self._runner: web.AppRunner | None = None
        openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-sha256"),
            *("-subj", "/CN=test tokens", "-keyout", self._key, "-out", self.bundle),
        )

    @property
    def realm(self) -> str:
        """The address that registries announce."""
        return f"http://127.0.0.1:{self.port}/token"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/token", self._token)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _token(self, request: web.Request) -> web.Response:
        user, good = self._user(request.headers.get("Authorization"))
        scopes = tuple(s for value in request.query.getall("scope", []) for s in value.split())
        self.requests.append(TokenRequest(user, request.query.get("service", ""), scopes))
        if self.refuse is not None:
            return web.json_response({"details": "refused"}, status=self.refuse)
        if not good:
            return web.json_response({"details": "incorrect username or password"}, status=401)
        access = [self._access(user, scope) for scope in scopes]
        token = self.sign(user or "", access, self.lifetime)
        return web.json_response({"token": token, "expires_in": self.lifetime})

    def _user(self, header: str | None) -> tuple[str | None, bool]:
        if header is None:
            return None, not self.users
        try:
            login = BasicAuth.decode(header)
        except ValueError:
            return None, False
        return login.login, self.users.get(login.login) == login.password

    def _access(self, user: str | None, scope: str) -> dict[str, Any]:
        kind, rest = scope.split(":", 1)
        name, actions = rest.rsplit(":", 1)
        granted = self.grants.get(user or "")
        kept = [a for a in actions.split(",") if granted is None or a in granted]
        return {"type": kind, "name": name, "actions": kept}

    def sign(self, user: str, access: list[dict[str, Any]], lifetime: int) -> str:
        """A token for these rights, as the registry wants it."""
        now = int(time.time())
        der = openssl("x509", "-in", self.bundle, "-outform", "DER")
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        claims = {
            "iss": self.issuer,
            "sub": user,
            "aud": self.service,
            "exp": now + lifetime,
            "nbf": now - 10,
            "iat": now,
            "jti": uuid.uuid4().hex,
            "access": access,
        }
        signed = f"{_b64(json.dumps(header).encode())}.{_b64(json.dumps(claims).encode())}"
        signature = openssl("dgst", "-sha256", "-sign", self._key, data=signed.encode())
        return f"{signed}.{remember(_b64(signature))}"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
