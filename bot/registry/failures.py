"""From an answer that is no success to the error that says what to do."""

import errno
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from bot.registry.auth import challenges
from bot.registry.errors import (
    DeleteDisabled,
    Forbidden,
    NotFound,
    ProtocolError,
    RateLimited,
    ReadOnly,
    RegistryError,
    StorageFull,
    Unauthorized,
    Unreachable,
    Unsupported,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `body` is whole unless only a part was asked for."""

    method: str
    url: httpx.URL
    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def media_type(self) -> str:
        """The content type without parameters."""
        return str(self.headers.get("Content-Type", "")).partition(";")[0].strip()

    @property
    def codes(self) -> tuple[str, ...]:
        """The registry's error codes, such as `NAME_UNKNOWN`; empty where there are none."""
        return tuple(code for code, _ in _errors(self.body))

    @property
    def says_so(self) -> bool:
        """Whether this comes from the registry itself, and not from something before it.

        The answer to HEAD has no body to tell it by; a registry's has at least one of these.
        """
        if self.method != "HEAD":
            return bool(self.codes)
        version = self.headers.get("Docker-Distribution-Api-Version")
        return bool(version) or self.media_type == "application/json"

    @property
    def is_read_only(self) -> bool:
        """Whether this is maintenance mode's 405, which unlike others is text and has `Allow`."""
        allowed = {m.strip().upper() for m in self.headers.get("Allow", "").split(",")}
        return (
            self.status == 405
            and self.media_type == "text/plain"
            and "GET" in allowed
            and self.method not in allowed
        )


def failure(answer: Answer, what: str) -> RegistryError:
    """The error for an answer.

    Parameters
    ----------
    answer : any answer that is not what was hoped for.
    what : the thing asked for, as in "team/api:1.0", to begin a sentence with.
    """
    if answer.is_read_only:
        return ReadOnly(
            "The registry is in read-only mode.",
            "A garbage collection may be running; otherwise switch maintenance.readonly off.",
        )
    if answer.status == 401:
        return _not_logged_in(answer, what)
    if answer.status == 403:
        return _forbidden(what)
    if answer.status == 404 and answer.says_so:
        return NotFound(f"{what} is not in the registry.", "Check the name, or list what is there.")
    if "MANIFEST_BLOB_UNKNOWN" in answer.codes or "BLOB_UNKNOWN" in answer.codes:
        return NotFound(
            f"Parts of {what} are no longer in the registry.",
            "A garbage collection removed them: push the image again from where it was built.",
        )
    if answer.status in (405, 501) or "UNSUPPORTED" in answer.codes:
        return _refused(answer, what)
    return _server(answer, what)


def _not_logged_in(answer: Answer, what: str) -> RegistryError:
    errors = {offer.parameters.get("error") for offer in challenges(answer.headers)}
    if "insufficient_scope" in errors:
        return _forbidden(what)
    return Unauthorized(
        "The registry does not accept the bot's login.",
        "Check the credentials of this registry in the bot's settings.",
    )


def _forbidden(what: str) -> Forbidden:
    return Forbidden(
        f"The bot's account may not do this with {what}.",
        "Give it the rights pull, push and delete, and registry:catalog:* to list repositories.",
    )


def _refused(answer: Answer, what: str) -> RegistryError:
    if answer.method == "DELETE" and answer.codes:
        return DeleteDisabled(
            "The registry does not allow deletes.",
            "Set storage.delete.enabled to true in its configuration and restart it.",
        )
    return Unsupported(
        f"The registry cannot do this with {what}{_said(answer)}",
        "A pull-through cache or a proxy in front of it may refuse changes.",
    )


def _server(answer: Answer, what: str) -> RegistryError:
    if answer.status == 429:
        return RateLimited(
            "The registry gets too many requests.", "Wait a moment.", retry_after(answer.headers)
        )
    if answer.status in (502, 503, 504):
        return Unreachable(
            f"The registry is not available: {answer.url.host} answered {answer.status}.",
            "Look at the registry and the proxy in front of it, then try again.",
        )
    if answer.status >= 500 and _is_full(answer.body):
        return StorageFull(
            f"The registry has no room for {what}: the disk of its storage is full.",
            "`/registry gc` frees what was deleted; otherwise give it a larger disk.",
        )
    if b"HTTP request to an HTTPS server" in answer.body:
        return ProtocolError(
            f"{answer.url.host} speaks TLS, and its address here begins with http.",
            "Write https:// in the registry's url.",
        )
    hint = "Look at the registry's log." if answer.status >= 500 else _PROTOCOL_HINT
    return ProtocolError(f"The registry answered {answer.status} for {what}{_said(answer)}", hint)


_PROTOCOL_HINT = "Check that the registry's url leads to a registry, not to another web server."


def _said(answer: Answer) -> str:
    """The registry's first error, clipped: it may repeat anything that was sent to it."""
    errors = _errors(answer.body)
    if not errors:
        return "."
    code, message = errors[0]
    text = f"{code}: {message}" if message else code
    text = "".join(c if c.isprintable() else " " for c in text)
    return f" ({text[:199]}…)." if len(text) > 200 else f" ({text})."


def _errors(body: bytes) -> tuple[tuple[str, str], ...]:
    return tuple((str(e["code"]), str(e.get("message") or "")) for e in _told(body))


def _is_full(body: bytes) -> bool:
    """Whether the filesystem's own words or number for a full disk are in an error's detail."""
    todo: list[Any] = [error.get("detail") for error in _told(body)]
    while todo:
        match todo.pop():
            case {"Err": errno.ENOSPC | errno.EDQUOT}:  # version 2 gives the bare number
                return True
            case dict() as more:
                todo += more.values()
            case str() as text if any(words in text for words in _FULL):
                return True
    return False


_FULL = ("no space left on device", "disk quota exceeded")


def _told(body: bytes) -> list[dict[str, Any]]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return []
    listed = value.get("errors") if isinstance(value, dict) else None
    return [
        error
        for error in (listed if isinstance(listed, list) else ())
        if isinstance(error, dict) and isinstance(error.get("code"), str)
    ]


def retry_after(headers: httpx.Headers) -> float | None:
    """Seconds that the registry asks us to wait, from a number or a date; None without any."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
