"""When something is due: `"sun 03:00"` or `"daily 03:00"`, in a time zone.

Each local day has its occurrence once. A time that the clocks skip (spring) comes as if they had
not been put forward, so by the new clock it is later by what was skipped; a time that they show
twice (autumn) comes at its first showing.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LOOK = 10  # days: a week, and a little for zones that left out a whole one


@dataclass(frozen=True, slots=True)
class Schedule:
    """A weekly or daily time of the clock; `day` counts from Monday, None is every day."""

    day: int | None
    hour: int
    minute: int

    @classmethod
    def parse(cls, text: str) -> "Schedule":
        """Read `sun 03:00` or `daily 03:00`; raises `ValueError` for anything else."""
        day, _, clock = text.partition(" ")
        hour, _, minute = clock.partition(":")
        if day != "daily" and day not in _DAYS:
            raise ValueError(f"{day!r} is no day")
        found = cls(None if day == "daily" else _DAYS.index(day), int(hour), int(minute))
        if not (0 <= found.hour < 24 and 0 <= found.minute < 60):
            raise ValueError(f"{clock!r} is no time")
        return found

    def next_after(self, moment: float, zone: ZoneInfo) -> float:
        """The first occurrence later than `moment` (both epoch seconds)."""
        first = datetime.fromtimestamp(moment, zone).date() - timedelta(days=1)
        due = (
            self._on(first + timedelta(days=n), zone)
            for n in range(_LOOK)
            if self.day is None or (first + timedelta(days=n)).weekday() == self.day
        )
        return min(at for at in due if at > moment)

    def _on(self, day: date, zone: ZoneInfo) -> float:
        # fold=0, the default: the earlier of two, and before a gap the offset that still holds.
        local = datetime(day.year, day.month, day.day, self.hour, self.minute, tzinfo=zone)
        return local.astimezone(UTC).timestamp()
