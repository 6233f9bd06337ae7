"""Logs without secrets, and the numbers behind `/metrics`."""

import logging
import re
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

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


_ACK_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)


class Metrics:
    """The program's numbers, in a collector registry of their own.

    Each attribute is a prometheus metric; exported names have `registry_bot_` in front.
    """

    def __init__(self) -> None:
        own = CollectorRegistry()
        self._own = own

        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(name, text, labels, namespace="registry_bot", registry=own)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, namespace="registry_bot", registry=own)

        self.commands_total = counter(
            "commands_total", "Commands answered, by verb and outcome.", ("verb", "outcome")
        )
        self.refused_by_limit_total = counter(
            "refused_by_limit_total",
            "Commands and clicks not taken in, by limit: person, channel, clicks or waiting.",
            ("limit",),
        )
        self.ack_seconds = Histogram(
            "ack_seconds",
            "Seconds until a command or click was acknowledged; Slack gives up after 3.",
            namespace="registry_bot",
            registry=own,
            buckets=_ACK_BUCKETS,
        )
        self.jobs_total = counter(
            "jobs_total", "Jobs that ended, by kind and outcome.", ("kind", "outcome")
        )
        self.job_queue_depth = gauge("job_queue_depth", "Jobs that are due and wait for a worker.")
        self.letters_total = counter(
            "letters_total",
            "Tries to send a message to Slack, by kind and outcome (sent, later, failed).",
            ("kind", "outcome"),
        )
        self.outbox_pending = gauge("outbox_pending", "Messages that wait to be sent to Slack.")
        self.outbox_oldest_seconds = gauge(
            "outbox_oldest_seconds", "Age in seconds of the oldest message that waits to be sent."
        )
        self.registry_calls_total = counter(
            "registry_calls_total",
            "Calls to a registry's API, by registry and outcome.",
            ("registry", "outcome"),
        )
        self.requests_total = counter(
            "requests_total",
            "Requests that reached a state, by action and state.",
            ("action", "state"),
        )
        self.gc_freed_bytes_total = counter(
            "gc_freed_bytes_total", "Bytes that garbage collections freed, as measured."
        )
        self.socket_connected = gauge(
            "socket_connected", "1 while the Socket Mode connection to Slack is open."
        )
        self.socket_age_seconds = gauge(
            "socket_age_seconds", "Seconds since Slack last said hello on a new connection."
        )
        self.socket_replaced_total = counter(
            "socket_replaced_total", "Connections to Slack that were replaced, by why.", ("why",)
        )

    def render(self) -> bytes:
        """All of them in Prometheus' text format (version 0.0.4, UTF-8)."""
        return generate_latest(self._own)
