"""Occurrences by the clock on the wall, summer time included."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.rules.schedule import Schedule

BERLIN = "Europe/Berlin"

TABLE = [
    # schedule, zone, now, next: ISO, with offsets
    ("daily 03:00", "UTC", "2026-05-04T02:59:59+00:00", "2026-05-04T03:00:00+00:00"),
    ("daily 03:00", "UTC", "2026-05-04T03:00:00+00:00", "2026-05-05T03:00:00+00:00"),
    ("daily 00:00", "UTC", "2026-12-31T12:00:00+00:00", "2027-01-01T00:00:00+00:00"),
    ("sun 03:00", "UTC", "2026-05-04T03:00:00+00:00", "2026-05-10T03:00:00+00:00"),
    ("sun 03:00", "UTC", "2026-05-10T03:00:00+00:00", "2026-05-17T03:00:00+00:00"),
    ("mon 03:00", "UTC", "2026-05-04T02:00:00+00:00", "2026-05-04T03:00:00+00:00"),
    # It is Monday in Auckland while it is Sunday in Greenwich.
    ("mon 03:00", "Pacific/Auckland", "2026-05-03T14:00:00+00:00", "2026-05-04T03:00:00+12:00"),
    ("daily 03:00", BERLIN, "2026-01-15T12:00:00+01:00", "2026-01-16T03:00:00+01:00"),
    ("daily 03:00", BERLIN, "2026-07-15T12:00:00+02:00", "2026-07-16T03:00:00+02:00"),
    # Spring, 29 March 2026: 02:00 becomes 03:00, so 02:30 is not there.
    ("daily 02:30", BERLIN, "2026-03-28T12:00:00+01:00", "2026-03-29T03:30:00+02:00"),
    ("daily 02:30", BERLIN, "2026-03-29T03:30:00+02:00", "2026-03-30T02:30:00+02:00"),
    ("daily 03:00", BERLIN, "2026-03-28T12:00:00+01:00", "2026-03-29T03:00:00+02:00"),
    # Autumn, 25 October 2026: 02:30 comes twice, and counts once.
    ("daily 02:30", BERLIN, "2026-10-24T12:00:00+02:00", "2026-10-25T02:30:00+02:00"),
    ("daily 02:30", BERLIN, "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"),
    ("daily 02:30", BERLIN, "2026-10-25T02:15:00+01:00", "2026-10-26T02:30:00+01:00"),
    ("sun 02:30", BERLIN, "2026-10-25T02:31:00+02:00", "2026-11-01T02:30:00+01:00"),
    # Samoa went over the date line: there was no 30 December 2011, a Friday.
    ("fri 03:00", "Pacific/Apia", "2011-12-29T12:00:00-10:00", "2011-12-31T03:00:00+14:00"),
    ("daily 03:00", "Pacific/Apia", "2011-12-31T03:00:00+14:00", "2012-01-01T03:00:00+14:00"),
]


@pytest.mark.parametrize(("text", "zone", "now", "then"), TABLE)
def test_the_next_one(text: str, zone: str, now: str, then: str) -> None:
    due = Schedule.parse(text).next_after(datetime.fromisoformat(now).timestamp(), ZoneInfo(zone))
    assert datetime.fromtimestamp(due, UTC) == datetime.fromisoformat(then)


@pytest.mark.parametrize("text", ["", "daily", "daily 3", "someday 03:00", "sun 24:00", "sun 1:60"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no|invalid literal"):
        Schedule.parse(text)


@given(
    st.integers(1_577_836_800, 1_893_456_000),
    st.sampled_from(["UTC", BERLIN, "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"]),
    st.sampled_from(["daily", "mon", "thu", "sun"]),
    st.integers(0, 23),
    st.integers(0, 59),
)
def test_one_a_day_or_one_a_week(now: int, zone: str, day: str, hour: int, minute: int) -> None:
    schedule = Schedule.parse(f"{day} {hour:02}:{minute:02}")
    moment, dates = float(now), []
    for _ in range(10):
        due = schedule.next_after(moment, ZoneInfo(zone))
        assert due > moment
        assert schedule.next_after(due - 1, ZoneInfo(zone)) == due
        moment = due
        dates.append(datetime.fromtimestamp(due, ZoneInfo(zone)).date())
    step = timedelta(days=1 if day == "daily" else 7)
    assert [b - a for a, b in pairwise(dates)] == [step] * 9
