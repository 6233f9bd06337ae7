"""What a request is, and which way it may go.

The life of a deletion (and of a collection, an undo, a purge), as one table:

    pending ── approved ── running ── done · partly_done ──(undo window ends)── purged · held
       │           │          │            └── undone (also from purged and held)
       │           │          └── failed · outdated · aborted
       └───────────┴── denied · cancelled · expired · outdated

Nothing here looks at a clock or a database: the store moves a request with a compare-and-set
and asks :func:`may_move` whether the move exists at all.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """Where a request stands."""

    PENDING = "pending"
    APPROVED = "approved"
    RUNNING = "running"
    DONE = "done"
    PARTLY_DONE = "partly done"
    PURGED = "purged"
    HELD = "held"
    UNDONE = "undone"
    DENIED = "denied"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    OUTDATED = "outdated"
    FAILED = "failed"
    ABORTED = "aborted"

    @property
    def is_open(self) -> bool:
        """Whether something is still going to happen without anybody asking again."""
        return self in {State.PENDING, State.APPROVED, State.RUNNING}

    @property
    def has_changed_something(self) -> bool:
        """Whether tags may be gone and could be brought back."""
        return self in {State.DONE, State.PARTLY_DONE, State.PURGED, State.HELD}


_MOVES: Mapping[State, frozenset[State]] = {
    State.PENDING: frozenset(
        {State.APPROVED, State.DENIED, State.CANCELLED, State.EXPIRED, State.OUTDATED}
    ),
    State.APPROVED: frozenset({State.RUNNING, State.CANCELLED, State.EXPIRED, State.OUTDATED}),
    State.RUNNING: frozenset(
        {
            State.DONE,
            State.PARTLY_DONE,
            State.PURGED,
            State.FAILED,
            State.OUTDATED,
            State.ABORTED,
        }
    ),
    State.DONE: frozenset({State.PURGED, State.HELD, State.UNDONE}),
    State.PARTLY_DONE: frozenset({State.PURGED, State.HELD, State.UNDONE}),
    State.PURGED: frozenset({State.UNDONE}),
    State.HELD: frozenset({State.PURGED, State.UNDONE}),
}


def may_move(before: State, after: State) -> bool:
    """Whether a request may go from `before` straight to `after`."""
    return after in _MOVES.get(before, frozenset())


class ItemState(StrEnum):
    """What became of one tag (or, in a purge, of one digest)."""

    WAITING = "waiting"
    ATTEMPTING = "attempting"
    DONE = "done"
    MOVED = "skipped: moved"
    LOCKED = "skipped: locked"
    FAILED = "failed"
    RESTORED = "restored"

    @property
    def is_settled(self) -> bool:
        """Whether nothing more will be tried for this item."""
        return self not in {ItemState.WAITING, ItemState.ATTEMPTING}


class WindowState(StrEnum):
    """What became of a digest whose tags were taken away."""

    OPEN = "open"
    PURGED = "purged"
    HELD = "held"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing a request does.

    `tag` is empty where a digest as such is the object. `placeholder` is the digest of the
    stand-in that an untag on distribution 2.x pushes over the tag; it is written down before
    the push, so that a crash between push and delete can be finished.
    """

    position: int
    repository: str
    tag: str
    digest: str
    state: ItemState = ItemState.WAITING
    placeholder: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """The undo window of one digest: until it ends (epoch seconds), nothing is purged."""

    request: int
    registry: str
    repository: str
    digest: str
    state: WindowState
    until: float
    size: int
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What one person said about a request."""

    user: str
    team: str
    approves: bool
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class PinnedStep:
    """One step as it stood at the last decision: for people to read, it decides nothing.

    `groups` are its groups' names, `needed` the approvals it asks for, `people` the ids of those
    who could give them, `approved` of those who did, and `silent` the groups of which Slack did
    not tell who is in them.
    """

    groups: tuple[str, ...]
    needed: int
    people: tuple[str, ...]
    approved: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()

    @property
    def missing(self) -> int:
        """How many approvals it still needs."""
        return max(0, self.needed - len(self.approved))

    @property
    def name(self) -> str:
        """How messages call it."""
        return " or ".join(self.groups)


@dataclass(frozen=True, slots=True)
class Draft:
    """Everything pinned when a request is made; the store adds the number and the times.

    `plan` is the plan as plain JSON values; `subject` is the request that an undo or a purge
    of a request speaks of; durations are seconds. `most_open` is how many requests that delete or
    collect may be open on the registry beside it; 0 for as many as there are.
    """

    registry: str
    action: str
    requester: str
    team: str
    channel: str
    reason: str
    plan: Mapping[str, Any]
    rule: str
    rule_fingerprint: str
    approval: str
    approvals_needed: int
    approvers: tuple[str, ...]
    allow_self_approval: bool
    expires_after: float
    execute_within: float
    undo_window: float
    items: tuple[Item, ...] = ()
    subject: int | None = None
    steps: tuple[PinnedStep, ...] = ()
    emergency: bool = False
    plan_hash: str = ""
    remind_after: float | None = None
    most_open: int = 0
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the store knows it. Times are epoch seconds of the database's clock."""

    id: int
    token: str
    registry: str
    action: str
    state: State
    requester: str
    team: str
    channel: str
    message_ts: str
    reason: str
    plan: Mapping[str, Any]
    rule: str
    rule_fingerprint: str
    approval: str
    approvals_needed: int
    approvers: tuple[str, ...]
    allow_self_approval: bool
    execute_within: float
    undo_window: float
    created_at: float
    expires_at: float
    decided_at: float | None
    finished_at: float | None
    undo_until: float | None
    subject: int | None
    abort_by: str
    progress: Mapping[str, Any]
    result: Mapping[str, Any]
    steps: tuple[PinnedStep, ...] = ()
    emergency: bool = False
    plan_hash: str = ""
    items: tuple[Item, ...] = ()
    decisions: tuple[Decision, ...] = ()
    windows: tuple[Window, ...] = ()

    @property
    def name(self) -> str:
        """How people call it: `R42`."""
        return f"R{self.id}"

    @property
    def approved_by(self) -> tuple[str, ...]:
        """The people who approved, in the order they did."""
        return tuple(d.user for d in self.decisions if d.approves)
