"""How much a person and a channel may ask for within a minute."""

import pytest

from bot.rules import rates
from bot.rules.rates import MINUTE, RESERVED, Limits, Rates

LIMITS = Limits(commands_per_minute=10, channel_commands_per_minute=20, clicks_per_minute=12)


def _flood(rates_: Rates, *people: str, channel: str = "C1", now: float = 0.0) -> int:
    """Every one of these people sends as much as they can; how much was taken."""
    return sum(
        rates_.command(person, channel, now) is None
        for person in people
        for _ in range(LIMITS.commands_per_minute + 5)
    )


def test_a_person_is_told_how_long_to_wait() -> None:
    limited = Rates(LIMITS)
    for second in range(10):
        assert limited.command("U1", "C1", second) is None
    exceeded = limited.command("U1", "C2", 48.5)
    assert exceeded is not None
    assert (exceeded.limit, exceeded.most, exceeded.seconds) == ("person", 10, 12)
    assert limited.command("U1", "C2", MINUTE) is None, "the first of them is a minute old"
    assert limited.command("U1", "C2", MINUTE) is not None, "the second is not"


def test_what_is_refused_does_not_count() -> None:
    limited = Rates(LIMITS)
    assert _flood(limited, "U1") == 10
    for second in range(1, 60):
        assert limited.command("U1", "C1", second) is not None
    assert limited.command("U1", "C1", MINUTE) is None


def test_others_are_not_kept_out_by_a_flood_in_their_channel() -> None:
    limited = Rates(LIMITS)
    assert _flood(limited, "U1", "U2") == 20
    taken = [limited.command("U3", "C1", 1.0) for _ in range(RESERVED + 1)]
    assert taken[:-1] == [None] * RESERVED
    assert taken[-1] is not None
    assert taken[-1].limit == "channel"
    assert limited.command("U3", "C1", 1.0, urgent=True) is None
    assert limited.command("U3", "C2", 1.0) is None, "another channel is not full"


def test_urgent_or_not_ones_own_flood_ends() -> None:
    limited = Rates(LIMITS)
    assert _flood(limited, "U1") == 10
    exceeded = limited.command("U1", "C1", 1.0, urgent=True)
    assert exceeded is not None
    assert exceeded.limit == "person"


def test_clicks_have_a_count_of_their_own() -> None:
    limited = Rates(LIMITS)
    assert _flood(limited, "U1", "U2", "U3") == 20 + RESERVED
    assert [limited.click("U1", 1.0) for _ in range(12)] == [None] * 12
    exceeded = limited.click("U1", 1.0)
    assert exceeded is not None
    assert (exceeded.limit, exceeded.most) == ("clicks", 12)
    assert limited.click("U2", 1.0) is None


def test_a_wait_is_never_told_as_nothing() -> None:
    limited = Rates(Limits(commands_per_minute=1))
    assert limited.command("U1", "C1", 0.0) is None
    exceeded = limited.command("U1", "C1", 59.999)
    assert exceeded is not None
    assert exceeded.seconds == 1


def test_memory_is_bounded_whoever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "_KEYS", 100)
    limited = Rates(LIMITS)
    for number in range(1000):
        assert limited.command(f"U{number}", f"C{number}", 0.0) is None
        assert limited.click(f"U{number}", 0.0) is None
    kept = (limited._people, limited._channels, limited._clicks)
    assert [len(recent._known) for recent in kept] == [100, 100, 100]
    assert _flood(limited, "U999") == 9, "whoever came last is still known"
