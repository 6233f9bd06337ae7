"""Keep rules: which tags stay, which may go, and why. Keeping wins over deleting, always.

The clock is the creation date in the image's config, not the time of a push: the registry does
not keep that one. So a date that cannot be true (1970, as reproducible builds write it) and a
date that is missing are never taken for old age: such tags are listed apart, are never selected,
and take nobody's place among the newest.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bot.registry.reference import match_repository, match_tag, natural_key, signed_digest
from bot.rules.snapshot import Snapshot

FIRST_BELIEVED = 31_536_000.0
"""1971-01-01: what is dated before was dated by a build that wanted no date."""

EVERYTHING = ("*",)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tag that is looked at.

    `created` is epoch seconds by the image's config (of an index: its newest child), None where
    nothing says so; `protected` names the protection that holds it.
    """

    tag: str
    digest: str
    created: float | None
    protected: str = ""


@dataclass(frozen=True, slots=True)
class Keep:
    """What one entry keeps of the tags that match it: the newest, the young, or (no limit) all.

    Both limits together keep what either of them keeps. `created_within` is in seconds.
    """

    tags: tuple[str, ...] = EVERYTHING
    most_recent_count: int | None = None
    created_within: float | None = None

    @property
    def is_idle(self) -> bool:
        """Whether it cannot keep any tag at all."""
        limits = (self.most_recent_count, self.created_within)
        return any(limit is not None for limit in limits) and not any(limits)

    def matches(self, tag: str) -> bool:
        """Whether it speaks of this tag."""
        return any(match_tag(pattern, tag) for pattern in self.tags)


@dataclass(frozen=True, slots=True)
class Retention:
    """One `[[retention]]` table; `schedule` is "" where nobody is to be told by the clock."""

    name: str
    repositories: tuple[str, ...]
    keep: tuple[Keep, ...]
    mode: str = "preview"
    schedule: str = ""
    channel: str = ""

    def covers(self, repository: str) -> bool:
        """Whether it speaks of this repository."""
        return any(match_repository(pattern, repository) for pattern in self.repositories)


@dataclass(frozen=True, slots=True)
class Judged:
    """A tag and why it stays or may go."""

    candidate: Candidate
    why: str

    @property
    def tag(self) -> str:
        """The tag's name."""
        return self.candidate.tag


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the keep rules say about a repository.

    `expire` is the oldest first; `ancient` (dated before 1971) and `undated` stay because nobody
    knows their age; `signatures` are the signature tags, which follow their image.
    """

    expire: tuple[Judged, ...]
    keep: tuple[Judged, ...]
    ancient: tuple[Candidate, ...]
    undated: tuple[Candidate, ...]
    signatures: tuple[str, ...]


def decide(candidates: Iterable[Candidate], keep: Sequence[Keep], now: float) -> Outcome:
    """Judge tags by keep entries; the order of neither changes the answer.

    Parameters
    ----------
    candidates : every tag that is looked at, each once.
    keep : what stays if any of them says so; without entries only protections keep.
    now : epoch seconds.
    """
    every = sorted(candidates, key=lambda c: natural_key(c.tag))
    signatures = tuple(c.tag for c in every if signed_digest(c.tag) is not None)
    plain = [c for c in every if signed_digest(c.tag) is None]
    dated = [c for c in plain if c.created is not None and c.created >= FIRST_BELIEVED]
    dated.sort(key=_age_key)
    kept_by = _kept(dated, keep, now)
    return Outcome(
        expire=tuple(
            Judged(c, _why_not(c, keep)) for c in dated if not c.protected and c.tag not in kept_by
        ),
        keep=tuple(
            Judged(c, f"protected by {c.protected}" if c.protected else kept_by[c.tag])
            for c in reversed(dated)
            if c.protected or c.tag in kept_by
        ),
        ancient=tuple(c for c in plain if c.created is not None and c.created < FIRST_BELIEVED),
        undated=tuple(c for c in plain if c.created is None),
        signatures=signatures,
    )


def most_that_fit(count: int, ceiling: int, along: Callable[[int], int]) -> int:
    """How many of `count` tags one request can take, the oldest first.

    Parameters
    ----------
    along : how many signature tags go along with the first so many; it never falls.
    """
    if count <= 0:
        return 0
    sizes = range(1, min(count, ceiling) + 1)
    return bisect_right(sizes, ceiling, key=lambda taken: taken + along(taken))


def bytes_of(snapshot: Snapshot, going: Iterable[str]) -> int:
    """How many bytes only the tags `going` need within their repository."""
    gone = set(going)
    stays = snapshot.reach(digest for tag, digest in snapshot.tags.items() if tag not in gone)
    leaves = snapshot.reach(snapshot.tags[tag] for tag in gone) - stays
    kept = snapshot.blobs(stays)
    return sum(size for blob, size in snapshot.blobs(leaves).items() if blob not in kept)


def in_words(entry: Keep) -> str:
    """What an entry keeps: `the 10 newest of main-*`, `what is younger than 14 d`."""
    tags = "" if entry.tags == EVERYTHING else f" of {', '.join(entry.tags)}"
    parts = []
    if entry.most_recent_count is not None:
        parts.append(f"the {entry.most_recent_count:,} newest{tags}")
    if entry.created_within is not None:
        parts.append(f"what is younger than {span(entry.created_within)}{tags}")
    return " and ".join(parts) or f"everything{tags}"


def span(seconds: float) -> str:
    """A duration as people write it: `14 d`, `12 h`, `30 min`."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.10g} {unit}"
    return f"{seconds:.10g} s"


def _age_key(candidate: Candidate) -> tuple[object, ...]:
    # Many images can have the date of one build; their names decide then, as people count.
    return candidate.created, natural_key(candidate.tag)


def _kept(oldest_first: Sequence[Candidate], keep: Sequence[Keep], now: float) -> dict[str, str]:
    """Why each tag stays that stays; by the first entry, in an order of its own."""
    kept: dict[str, str] = {}
    for entry in sorted(keep, key=in_words):
        matching = [c for c in reversed(oldest_first) if entry.matches(c.tag)]
        for place, c in enumerate(matching, 1):
            why = _why(entry, place, now - (c.created or 0.0))
            if why:
                kept.setdefault(c.tag, why)
    return kept


def _why(entry: Keep, place: int, age: float) -> str:
    tags = "" if entry.tags == EVERYTHING else f" of {', '.join(entry.tags)}"
    if entry.most_recent_count is None and entry.created_within is None:
        return f"kept by name{tags}"
    if entry.most_recent_count is not None and place <= entry.most_recent_count:
        return f"among the {entry.most_recent_count:,} newest{tags}"
    if entry.created_within is not None and age < entry.created_within:
        return f"younger than {span(entry.created_within)}"
    return ""


def _why_not(candidate: Candidate, keep: Sequence[Keep]) -> str:
    if not keep:
        return "nothing is to be kept"
    matching = [entry for entry in keep if entry.matches(candidate.tag)]
    parts: list[str] = []
    for entry in sorted(matching, key=in_words):
        tags = "" if entry.tags == EVERYTHING else f" of {', '.join(entry.tags)}"
        if entry.most_recent_count:
            parts.append(f"not among the {entry.most_recent_count:,} newest{tags}")
        if entry.created_within:
            parts.append(f"not younger than {span(entry.created_within)}")
    return ", ".join(dict.fromkeys(parts)) or "no keep rule is about it"
