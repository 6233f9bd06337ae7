"""What is let in: so much of one person and one channel, and first what cannot wait.

Each process counts for itself. What is refused is answered at once, with the acknowledgement where
that can speak, and nothing is stored for it.
"""

import time
from collections.abc import Callable

import structlog

from bot.rules.rates import Exceeded, Limits, Rates
from bot.slack.commands import CommandError, parse
from bot.slack.payloads import SENT, STEP, Row
from bot.slack.verbs import Kind, available

log = structlog.get_logger()

CROWDED = "I have very much to do at the moment and did not take that. Try again in a minute."

_QUIET = 5.0  # seconds; a click has no acknowledgement that could say something
_REMEMBERED = 1000

_APPROVING = {verb.name for verb in available() if verb.kind is Kind.APPROVE}
_URGENT_VERBS = _APPROVING | {"cancel", "lock", "undo"}
_URGENT_CLICKS = {"approve", "confirm", "deny", f"deny{SENT}", "cancel", "abort", "undo"}


def is_urgent(row: Row) -> bool:
    """Whether somebody decides, stops something, or has an emergency: that goes before the rest."""
    action = str(row.get("action", ""))
    if action in _URGENT_CLICKS:
        return True
    text = row.get("text") or (row.get("value") if action.startswith(STEP) else "")
    try:
        command = parse(str(text or ""))
    except CommandError:
        return False
    return command.verb in _URGENT_VERBS or bool(command.flags.get("emergency"))


class Gate:
    """Says no to what is too much, in words.

    Parameters
    ----------
    limits : how much that is.
    count : told the name of a limit each time that it refuses something.
    clock : seconds that never go back.

    `waiting` is how many commands and clicks may wait for their turn.
    """

    def __init__(
        self,
        limits: Limits,
        count: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rates = Rates(limits)
        self._count = count
        self._clock = clock
        self._told: dict[str, float] = {}
        self.waiting = limits.waiting_commands

    def command(self, row: Row) -> str:
        """Why a command is not taken; "" where it is."""
        exceeded = self._rates.command(
            str(row["user"]), str(row["channel"]), self._clock(), urgent=is_urgent(row)
        )
        return self._refused(exceeded, row) if exceeded else ""

    def click(self, row: Row) -> str:
        """Why a click or a sent form is not taken; "" where it is."""
        exceeded = self._rates.click(str(row["user"]), self._clock())
        return self._refused(exceeded, row) if exceeded else ""

    def tells(self, row: Row) -> bool:
        """Whether the person should hear of a refused click: not of each in a row of them."""
        now = self._clock()
        known = self._told.get(str(row["user"]), -_QUIET)
        if now - known < _QUIET:
            return False
        while len(self._told) >= _REMEMBERED:
            self._told.pop(next(iter(self._told)))
        self._told[str(row["user"])] = now
        return True

    def crowded(self) -> str:
        """Count something that was not taken because too much is waiting; what to say."""
        self._count("waiting")
        return CROWDED

    def _refused(self, exceeded: Exceeded, row: Row) -> str:
        self._count(exceeded.limit)
        log.debug("refused by a limit", limit=exceeded.limit, user=row["user"])
        again = f"try again in {_seconds(exceeded.seconds)}"
        if exceeded.limit == "channel":
            return (
                f"{exceeded.most} commands came from this channel within a minute; {again}. "
                "Decisions, `undo`, `lock` and emergencies still go through, and so does a command "
                "now and then."
            )
        sent = "sent {} commands" if exceeded.limit == "person" else "pressed {} buttons"
        return f"You have {sent.format(exceeded.most)} within a minute; {again}."


def _seconds(count: int) -> str:
    return "1 second" if count == 1 else f"{count} seconds"
