"""What a run of the crash test prints: a line for each seed, and in the end what has happened."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.crash.replicas import Nursery
from tests.support.postgres import Postgres, programs

PLAYED = "played"


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """Where bots are born quickly."""
    with Nursery() as made:
        yield made


@pytest.fixture(scope="module")
def crashing() -> Iterator[Postgres | None]:
    """A PostgreSQL server that may crash: nobody else uses it. None where there is none."""
    if programs() is None:
        yield None
        return
    with Postgres(crashes=True) as server:
        yield server


def pytest_runtest_logreport(report: Any) -> None:
    """Tell each seed as soon as it was played, where somebody wants to watch."""
    if os.environ.get("CRASH_LINES") and report.when == "call":
        happened = ", ".join(f"{name} {n}" for name, n in sorted(_happened(report).items()) if n)
        print(f"{report.nodeid.rpartition('::')[2]} {report.outcome}: {happened}", flush=True)
        if report.failed:
            print(report.longreprtext, flush=True)


def _happened(report: Any) -> Counter[str]:
    """What happened in one schedule, by name."""
    found = Counter[str]()
    for name, value in getattr(report, "user_properties", ()):
        if name == PLAYED:
            found.update(json.loads(value))
    return found


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How often what has happened: a schedule in which nothing happens proves nothing."""
    reports = [r for way in ("passed", "failed") for r in terminalreporter.stats.get(way, ())]
    played = [happened for report in reports if (happened := _happened(report))]
    if not played:
        return
    total = sum(played, Counter[str]())
    terminalreporter.write_sep("-", f"{len(played)} schedules")
    width = max(map(len, total))
    for name, times in sorted(total.items()):
        terminalreporter.write_line(f"{name:<{width}} {times:>7}")
