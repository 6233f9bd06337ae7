"""Logs without secrets."""

import logging
import re
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote

import structlog

REDACTED = "[redacted]"

_SHORTEST_SECRET = 4
_DEPTH = 8
_SECRET_KEY = re.compile(
    r"authorization|password|response_url|signing_secret|secret|(?:\w+_)?token|cookie",
    re.IGNORECASE,
)
# Each keeps what its first group found, so that a line still says what was there.
_PATTERNS = (
    re.compile(r"()\bx(?:ox[a-z]|oxe\.xox[a-z]|app)-[A-Za-z0-9-]+"),
    re.compile(r"(https?://hooks\.slack(?:-gov)?\.com/)[^\s\"'<>\\]+", re.IGNORECASE),
    # The address of a Socket Mode connection lets in whoever has it.
    re.compile(r"([?&]ticket=)[^\s\"'<>&\\]+", re.IGNORECASE),
    re.compile(
        r"(\bauthorization\\?[\"']?\s*[:=,]\s*b?\\?[\"']?)(?:[A-Za-z]+\s+)?[^\s\"',}\\]+",
        re.IGNORECASE,
    ),
    re.compile(r"(\b(?:bearer|basic)\s+)[A-Za-z0-9+/_.~-]{16,}=*", re.IGNORECASE),
    re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/@:\"']*:)[^\s/@\"']+(?=@)", re.IGNORECASE),
)

Event = MutableMapping[str, Any]


class Redactor:
    """A structlog processor that takes secrets out of every value of an event.

    Parameters
    ----------
    secrets : values to hide wherever they stand, also inside an address. Shorter ones than four
        characters are hidden only where a pattern knows them: they would blacken every line.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}
        known |= {quote(secret, safe="") for secret in known}
        # Longest first: a secret may begin with another one.
        words = sorted(known, key=lambda word: (-len(word), word))
        self._known = re.compile("|".join(map(re.escape, words))) if words else None

    def __call__(self, _logger: Any, _method: str, event: Event) -> Event:
        """Redact a whole event; the signature is structlog's."""
        return {self.text(str(key)): self._entry(key, value) for key, value in event.items()}

    def text(self, text: str) -> str:
        """`text` without secrets."""
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        for pattern in _PATTERNS:
            text = pattern.sub(rf"\g<1>{REDACTED}", text)
        return text

    def _entry(self, key: object, value: object, depth: int = 0) -> object:
        if value and isinstance(key, str) and _SECRET_KEY.fullmatch(key):
            return REDACTED
        return self._value(value, depth)

    def _value(self, value: object, depth: int) -> object:
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, bytes):
            return self.text(value.decode(errors="replace"))
        if depth < _DEPTH and isinstance(value, Mapping):
            return {
                self.text(str(key)): self._entry(key, item, depth + 1)
                for key, item in value.items()
            }
        if depth < _DEPTH and isinstance(value, list | tuple | set | frozenset):
            return [self._value(item, depth + 1) for item in value]
        # Anything else would be written as its repr later, past this check.
        return self.text(repr(value))


def configure_logging(
    level: str = "info",
    json: bool = True,
    secrets: Iterable[str] = (),
    *,
    stream: Any = None,
) -> None:
    """Write all logs, those of libraries included, to one stream, without secrets.

    Parameters
    ----------
    level : debug, info, warning, error or critical, in any case.
    json : one JSON object a line; otherwise lines for people.
    secrets : values that must never be written (see :class:`Redactor`).
    stream : where to write; default: standard error.

    Raises
    ------
    ValueError : there is no such level.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"{level!r} is no log level: write debug, info, warning or error.")
    shared: list[Callable[..., Any]] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                Redactor(secrets),
                _renderer(json),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    # slack_sdk logs whole payloads when debugging, and those hold what people wrote.
    for name in ("slack_sdk", "slack_bolt", "aiosqlite"):
        logging.getLogger(name).setLevel(max(number, logging.INFO))
    # Bolt warns at every start that it ignores the token it found in the environment, as it should.
    logging.getLogger("slack_bolt.AsyncApp").setLevel(max(number, logging.ERROR))
    # One line for each request would bury the rest, and upload addresses hold their own state.
    for name in ("httpcore", "httpx"):
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _renderer(json: bool) -> Callable[..., Any]:
    if json:
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    # Tracebacks are text by now: a prettier one would show the values of local variables.
    return structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
