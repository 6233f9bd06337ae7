"""What goes wrong on purpose, so that tests can see the bot live through it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

_T = TypeVar("_T")
When = Callable[[str, Mapping[str, Any]], bool]
"""Whether a call is meant, by its method and its arguments."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One planned failure of a call.

    `status` 0 cuts the connection without an answer. With `after` the call takes effect and only
    its answer is lost.
    """

    status: int = 200
    error: str = "internal_error"
    retry_after: int = 1
    after: bool = False


class Hold:
    """A call that waits at the door: `arrived` tells it came, `release` lets it in."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self._released = asyncio.Event()

    def release(self) -> None:
        """Let the call (and every later one that waits here) go on."""
        self._released.set()

    async def wait(self) -> None:
        """Stand at the door."""
        self.arrived.set()
        await self._released.wait()


@dataclass(frozen=True, slots=True)
class Envelope:
    """How the next payload travels.

    `copies` of the same envelope go out at once, `late` seconds after the person did something;
    after that come `retries`, each a new envelope with the same payload that says which it is.
    """

    copies: int = 1
    late: float = 0.0
    retries: int = 0


AT_ONCE = Envelope()
"""As almost all of them travel."""


@dataclass(slots=True)
class Faults:
    """Planned failures. `method` is a Web API method, `response_url`, or `*` for every call.

    `unsupported_blocks` are block types that this workspace does not know yet: messages with
    them answer `invalid_blocks`.
    """

    unsupported_blocks: set[str] = field(default_factory=set)
    drop: Callable[[], int] = lambda: 0
    _fail: dict[str, list[Fault]] = field(default_factory=dict)
    _delay: dict[str, list[float]] = field(default_factory=dict)
    _hold: dict[str, list[Hold]] = field(default_factory=dict)
    _rules: list[tuple[When, Fault]] = field(default_factory=list)
    _envelope: Envelope = AT_ONCE

    def fail(
        self,
        method: str,
        times: int = 1,
        status: int = 200,
        error: str = "",
        retry_after: int = 1,
        *,
        after: bool = False,
    ) -> None:
        """Let the next `times` calls of `method` fail.

        Parameters
        ----------
        status : 200 (an answer with `ok: false`), 429, a 5xx, or 0 to cut the connection.
        error : the word in the answer; by default it suits the status.
        retry_after : seconds in the header `Retry-After`, for 429.
        after : let the call take effect first, and lose only its answer.
        """
        planned = [Fault(status, _word(status, error), retry_after, after)] * times
        self._fail.setdefault(method, []).extend(planned)

    def fail_where(self, when: When, status: int = 200, error: str = "") -> None:
        """Let every call fail for which `when(method, arguments)` is true, until `clear`."""
        self._rules.append((when, Fault(status, _word(status, error))))

    def delay(self, method: str, seconds: float, times: int = 1) -> None:
        """Let the next `times` calls of `method` wait `seconds` before anything happens."""
        self._delay.setdefault(method, []).extend([seconds] * times)

    def hold(self, method: str) -> Hold:
        """Stop the next call of `method` at the door until it is released."""
        hold = Hold()
        self._hold.setdefault(method, []).append(hold)
        return hold

    def drop_sockets(self) -> int:
        """Cut every Socket Mode connection without a goodbye; how many there were."""
        return self.drop()

    def duplicate_next_envelope(self, copies: int = 2) -> None:
        """Deliver the next payload so often, with the same envelope id."""
        self._envelope = replace(self._envelope, copies=copies)

    def delay_next_envelope(self, seconds: float) -> None:
        """Deliver the next payload late; what the person sees does not wait for it."""
        self._envelope = replace(self._envelope, late=seconds)

    def retry_next_envelope(self, times: int = 1) -> None:
        """Deliver the next payload again after its first delivery, as one that was not acked."""
        self._envelope = replace(self._envelope, retries=times)

    def clear(self) -> None:
        """Forget everything that was planned."""
        self.unsupported_blocks.clear()
        for planned in (self._fail, self._delay):
            planned.clear()
        for holds in self._hold.values():
            for hold in holds:
                hold.release()
        self._hold.clear()
        self._rules.clear()
        self._envelope = AT_ONCE

    def take_failure(self, method: str, arguments: Mapping[str, Any]) -> Fault | None:
        """The failure planned for this call."""
        for when, fault in self._rules:
            if when(method, arguments):
                return fault
        return _take(self._fail, method)

    async def wait(self, method: str) -> None:
        """Spend the delay or hold planned for this call."""
        if seconds := _take(self._delay, method):
            await asyncio.sleep(seconds)
        if hold := _take(self._hold, method):
            await hold.wait()

    def take_envelope(self) -> Envelope:
        """How the payload that goes out now travels."""
        planned, self._envelope = self._envelope, AT_ONCE
        return planned


def _word(status: int, error: str) -> str:
    return error or {429: "ratelimited", 503: "service_unavailable"}.get(status, "internal_error")


def _take(planned: dict[str, list[_T]], method: str) -> _T | None:
    for key in (method, "*"):
        if planned.get(key):
            return planned[key].pop(0)
    return None
