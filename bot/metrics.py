"""The numbers behind `/metrics`. The README explains each; a test holds it to that."""

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from bot.rules.policy import Action
from bot.store.requests import Reached

_ACK_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)


class Metrics:
    """One process's numbers, in a collector registry of their own.

    What happened is counted by the process in which it happened, from its start; what is so now
    is set right before it is shown (see :class:`bot.health.Health`). Exported names have
    `registry_bot_` in front.
    """

    def __init__(self) -> None:
        own = CollectorRegistry()
        self._own = own

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, namespace="registry_bot", registry=own)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, namespace="registry_bot", registry=own)

        self._commands = counter(
            "commands_total",
            "Commands and clicks answered, by verb and outcome.",
            "verb",
            "outcome",
        )
        self._refused = counter(
            "refused_by_limit_total",
            "Commands and clicks not taken in, by limit: person, channel, clicks or waiting.",
            "limit",
        )
        self._ack = Histogram(
            "ack_seconds",
            "Seconds from a payload of Slack's to its acknowledgement; Slack gives up after 3.",
            namespace="registry_bot",
            registry=own,
            buckets=_ACK_BUCKETS,
        )
        self._jobs = counter("jobs_total", "Runs of jobs, by kind and outcome.", "kind", "outcome")
        self._letters = counter(
            "letters_total",
            "Tries to send a message to Slack, by kind and outcome.",
            "kind",
            "outcome",
        )
        self._calls = counter(
            "registry_calls_total",
            "HTTP requests to a registry, by registry and outcome.",
            "registry",
            "outcome",
        )
        self._requests = counter(
            "requests_total",
            "Requests that reached a state, by action and state.",
            "action",
            "state",
        )
        self._freed = counter(
            "gc_freed_bytes_total", "Bytes that garbage collections freed, as measured."
        )
        self._replaced = counter(
            "socket_replaced_total", "Connections to Slack that were replaced, by why.", "why"
        )
        self._queue = gauge("job_queue_depth", "Jobs that are due and wait for a worker.")
        self._running = gauge("jobs_running", "Jobs that some process is working on.")
        self._pending = gauge("outbox_pending", "Messages that wait to be sent to Slack.")
        self._oldest = gauge(
            "outbox_oldest_seconds", "Age in seconds of the oldest message that waits to be sent."
        )
        self._store = gauge("store_up", "1 if the store answered right now.")
        self._connected = gauge(
            "socket_connected", "1 while the Socket Mode connection to Slack is open."
        )
        self._age = gauge(
            "socket_age_seconds", "Seconds since Slack last said hello on a new connection."
        )

    def command(self, verb: str, outcome: str) -> None:
        """A command or click was answered."""
        self._commands.labels(verb, outcome).inc()

    def refused(self, limit: str) -> None:
        """A command or click was not taken in."""
        self._refused.labels(limit).inc()

    def ack(self, seconds: float) -> None:
        """A payload was acknowledged so long after it had come; or it never was."""
        self._ack.observe(seconds)

    def job(self, kind: str, outcome: str) -> None:
        """A job has left the worker."""
        self._jobs.labels(kind, outcome).inc()

    def letter(self, kind: str, outcome: str) -> None:
        """Somebody has tried to send a message to Slack."""
        self._letters.labels(kind, outcome).inc()

    def call(self, registry: str, outcome: str) -> None:
        """A registry has answered a request, or has not."""
        self._calls.labels(registry, outcome).inc()

    def reached(self, request: Reached) -> None:
        """A request has come into a state, and that is committed."""
        self._requests.labels(request.action, request.state).inc()
        freed = request.result.get("freed_bytes")
        if request.action == Action.GC and freed is not None:
            self._freed.inc(freed)

    def replaced(self, why: str) -> None:
        """A connection to Slack was replaced."""
        self._replaced.labels(why).inc()

    def stored(self, queue: int, running: int, pending: int, oldest: float) -> None:
        """What the store says now."""
        self._store.set(1)
        self._queue.set(queue)
        self._running.set(running)
        self._pending.set(pending)
        self._oldest.set(oldest)

    def store_away(self) -> None:
        """Nobody knows what the store would say."""
        self._store.set(0)
        for gauge in (self._queue, self._running, self._pending, self._oldest):
            gauge.set(math.nan)

    def socket(self, connected: bool, age: float) -> None:
        """How the connection to Slack is now."""
        self._connected.set(connected)
        self._age.set(age)

    def render(self) -> bytes:
        """All of them in Prometheus' text format (version 0.0.4, UTF-8)."""
        return generate_latest(self._own)
