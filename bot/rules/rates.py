"""How much one person, or one channel, may ask of the bot within a minute. Pure: told the time."""

import math
from collections import OrderedDict, deque
from dataclasses import dataclass

MINUTE = 60.0

RESERVED = 5
"""So many commands a minute a person may send in a channel that others have filled."""

_KEYS = 5000  # people or channels remembered; whoever was silent longest is forgotten first


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken in, as `[limits]` sets it.

    `waiting_commands` is how many commands and clicks may wait for their turn, of all people;
    `jobs_per_registry` how many requests for a deletion or collection may be open.
    """

    commands_per_minute: int = 100
    channel_commands_per_minute: int = 1000
    clicks_per_minute: int = 300
    waiting_commands: int = 1000
    jobs_per_registry: int = 100


@dataclass(frozen=True, slots=True)
class Exceeded:
    """A limit that was met: whose (`person`, `channel` or `clicks`), and seconds until it ends."""

    limit: str
    most: int
    wait: float

    @property
    def seconds(self) -> int:
        """The wait in whole seconds, at least one."""
        return max(1, math.ceil(self.wait))


class _Recent:
    """The moments of the last minute, for each of many keys; at most `most` of each are kept."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._known: OrderedDict[str, deque[float]] = OrderedDict()

    def count(self, key: str, now: float) -> int:
        return len(self._moments(key, now))

    def wait(self, key: str, now: float) -> float:
        """Seconds until there is room for one more; 0 where there is."""
        moments = self._moments(key, now)
        return moments[0] + MINUTE - now if len(moments) >= self.most else 0.0

    def note(self, key: str, now: float) -> None:
        moments = self._known.setdefault(key, deque(maxlen=self.most))
        moments.append(now)
        self._known.move_to_end(key)
        while len(self._known) > _KEYS:
            self._known.popitem(last=False)

    def _moments(self, key: str, now: float) -> deque[float]:
        moments = self._known.get(key, deque())
        while moments and moments[0] <= now - MINUTE:
            moments.popleft()
        return moments


class Rates:
    """Counts what is taken in; what is refused does not count.

    Moments are seconds on any clock that never goes back.
    """

    def __init__(self, limits: Limits) -> None:
        self._people = _Recent(limits.commands_per_minute)
        self._channels = _Recent(limits.channel_commands_per_minute)
        self._clicks = _Recent(limits.clicks_per_minute)

    def command(
        self, user: str, channel: str, now: float, *, urgent: bool = False
    ) -> Exceeded | None:
        """Count a command, or say which limit it meets.

        A full channel keeps nobody out who did not fill it, and nothing `urgent`: the flood of
        one must not stand in the way of another's approval.
        """
        if wait := self._people.wait(user, now):
            return Exceeded("person", self._people.most, wait)
        spared = urgent or self._people.count(user, now) < RESERVED
        wait = self._channels.wait(channel, now)
        if wait and not spared:
            return Exceeded("channel", self._channels.most, wait)
        self._people.note(user, now)
        self._channels.note(channel, now)
        return None

    def click(self, user: str, now: float) -> Exceeded | None:
        """Count a pressed button or a sent form, or say that it is one too many."""
        if wait := self._clicks.wait(user, now):
            return Exceeded("clicks", self._clicks.most, wait)
        self._clicks.note(user, now)
        return None
