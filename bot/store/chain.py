"""Checks the audit trail: the content of each entry, its link to the one before, and the gaps.

Works on entries as they were read, from a database or from an exported file, one after the other:
nothing is held in memory but the heads that were posted.
"""

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

ANCHORED = "audit.anchored"
"""The event that a head was posted: `detail` has its `entry` and `hash`."""

_MOST = 20  # problems told; the first is what matters


def chain_hash(values: Mapping[str, Any]) -> str:
    """The hash of one line over all its values and the hash of the line before it."""
    covered = {k: v for k, v in values.items() if k not in {"id", "hash"}}
    text = json.dumps(covered, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the trail. `at` is epoch seconds; `hash` covers the line and the one before."""

    id: int
    at: float
    event: str
    actor: str
    team: str
    channel: str
    registry: str
    request_id: int | None
    repository: str
    tag: str
    digest: str
    rule: str
    plan_hash: str
    detail: Mapping[str, Any]
    previous_hash: str
    hash: str


FIELDS = tuple(field.name for field in fields(AuditEntry))
"""What an entry has, in the order of a file's columns."""


def as_line(values: Mapping[str, Any]) -> str:
    """One entry as a line of JSON, with all that a check needs."""
    return json.dumps({name: values[name] for name in FIELDS}, separators=(",", ":"), default=str)


@dataclass(frozen=True, slots=True)
class Head:
    """The number and hash of an entry, as posted (or copied from where it was posted).

    `at` is when that was, in epoch seconds, and `channel` where; both are for people.
    """

    entry: int
    hash: str
    at: float | None = None
    channel: str = ""

    def __str__(self) -> str:
        return f"{self.entry}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Raw:
    """An entry as it was read; `wrong` says why it cannot be one ("" if it can)."""

    number: int
    values: Mapping[str, Any]
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that does not fit. `entry` is None where it is about no entry of the trail."""

    entry: int | None
    what: str
    at: float | None = None
    event: str = ""

    def __str__(self) -> str:
        if self.entry is None:
            return self.what
        facts = [moment(self.at)] if self.at is not None else []
        facts += [self.event] if self.event else []
        about = f" ({', '.join(facts)})" if facts else ""
        return f"entry {self.entry}{about}: {self.what}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found. `first` and `last` are the entries at both ends, if there are any."""

    entries: int
    first: Head | None
    last: Head | None
    posted: Head | None
    problems: tuple[Problem, ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing was found."""
        return not self.problems


class Chain:
    """The check. Give it every entry in the order of the numbers, then ask for the report.

    Parameters
    ----------
    heads : heads known from elsewhere; each entry is compared with them.
    posted : the heads that the database says were posted, where there is one; each must stand in
        the trail too.
    gapless : whether numbers are never left out, as in SQLite. In PostgreSQL a transaction that
        failed leaves one out; then only the link tells whether something is missing.
    extract : the entries were chosen: only those beside each other are linked.
    """

    def __init__(
        self,
        heads: Iterable[Head] = (),
        posted: Sequence[Head] | None = None,
        *,
        gapless: bool = False,
        extract: bool = False,
    ) -> None:
        self._gapless = gapless
        self._extract = extract
        self._entries = 0
        self._first: Head | None = None
        self._last: Head | None = None
        self._problems: list[Problem] = []
        self._posted = posted
        known = list(posted or ())
        self._unsaid = {(head.entry, head.hash): head for head in known}
        self._wanted: dict[int, list[Head]] = {}
        for head in [*heads, *known]:
            self._wanted.setdefault(head.entry, []).append(head)
        for before, after in itertools.pairwise(known):
            if after.entry <= before.entry:
                self.add(
                    f"the list of posted heads was changed: entry {after.entry} stands behind "
                    f"entry {before.entry}"
                )

    @property
    def is_full(self) -> bool:
        """Whether so much is wrong that it is not worth going on."""
        return len(self._problems) >= _MOST

    def add(self, what: str, entry: Raw | int | None = None) -> None:
        """Something does not fit."""
        if self.is_full:
            return
        if not isinstance(entry, Raw):
            self._problems.append(Problem(entry, what))
            return
        at, event = entry.values.get("at"), entry.values.get("event")
        self._problems.append(
            Problem(
                entry.number,
                what,
                float(at) if isinstance(at, int | float) else None,
                event if isinstance(event, str) else "",
            )
        )

    def take(self, raw: Raw) -> None:
        """Check the next entry."""
        if not raw.wrong:
            self._link(raw)
        self._content(raw)
        held = str(raw.values.get("hash", ""))
        for head in self._wanted.pop(raw.number, ()):
            if head.hash != held:
                self.add(f"its hash is not the one that was posted{_when(head)}", raw)
        if raw.values.get("event") == ANCHORED and self._posted is not None:
            self._said(raw)
        at = raw.values.get("at")
        self._last = Head(raw.number, held, float(at) if isinstance(at, int | float) else None)
        self._first = self._first or self._last
        self._entries += 1

    def _content(self, raw: Raw) -> None:
        if raw.wrong:
            self.add(raw.wrong, raw)
            return
        try:
            right = chain_hash(raw.values) == raw.values.get("hash")
        except (TypeError, ValueError):
            right = False
        if not right:
            self.add("its content was changed after it was written", raw)

    def _link(self, raw: Raw) -> None:
        before = self._last or Head(0, "")
        linked = raw.values.get("previous_hash") == before.hash
        gap = raw.number - before.entry - 1
        if gap < 0:
            self.add(f"it stands behind entry {before.entry}, out of its order", raw)
        elif self._extract and (gap or before.entry == 0):
            return
        elif gap and not linked:
            self.add(f"{_missing(before.entry + 1, raw.number - 1)} missing", before.entry + 1)
        elif gap and self._gapless:
            self.add(
                f"{_missing(before.entry + 1, raw.number - 1)} missing, and the chain was joined "
                "again over the gap",
                before.entry + 1,
            )
        elif not linked:
            self.add(
                f"it is not linked to entry {before.entry}: one of the two was replaced"
                if before.entry
                else "it is linked to something before the first entry",
                raw,
            )

    def _said(self, raw: Raw) -> None:
        detail = raw.values.get("detail")
        said = detail if isinstance(detail, Mapping) else {}
        entry, held = said.get("entry"), said.get("hash")
        known = isinstance(entry, int) and isinstance(held, str)
        key = (int(entry or 0), str(held)) if known else (0, "")
        if self._unsaid.pop(key, None) is None:
            self.add(
                f"it says that entry {entry} was posted as the head, and the list of posted heads "
                "does not have that",
                raw,
            )

    def report(self, counted: int | None = None) -> Report:
        """What was found.

        Parameters
        ----------
        counted : the highest number that the database ever gave, where it knows.
        """
        end = self._last.entry if self._last else 0
        cut = [head for number in self._wanted for head in self._wanted[number] if number > end]
        if cut:
            head = max(cut, key=lambda one: one.entry)
            self.add(
                f"{_missing(end + 1, head.entry)} missing at the end: entry {head.entry} was the "
                f"head that was posted{_when(head)}",
                end + 1,
            )
        elif counted is not None and counted > end:
            self.add(
                f"{_missing(end + 1, counted)} missing at the end: the database has counted to "
                f"{counted}",
                end + 1,
            )
        elif counted is not None and counted < end:
            self.add(f"the database has counted to {counted} only, and the trail goes to {end}")
        inside = [heads[0] for number, heads in self._wanted.items() if number <= end]
        if not self._extract:
            for head in inside:
                self.add(
                    f"it is missing, and was the head that was posted{_when(head)}", head.entry
                )
        for head in self._unsaid.values():
            if head.entry <= end:
                self.add(
                    f"the list of posted heads has entry {head.entry}, and the trail does not say "
                    "that it was posted"
                )
        return Report(
            self._entries,
            self._first,
            self._last,
            self._posted[-1] if self._posted else None,
            tuple(self._problems),
        )


def moment(epoch: float | None) -> str:
    """A moment in UTC, to the second; a broken one is no reason to fail."""
    try:
        return datetime.fromtimestamp(epoch or 0.0, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "an impossible time"


def _missing(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"


def _when(head: Head) -> str:
    if head.at is None:
        return ""
    return f" on {moment(head.at)}" + (f" in {head.channel}" if head.channel else "")
