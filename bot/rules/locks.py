"""Locks: what may not be deleted for the time being, whoever agrees. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.rules.rule import Action

_LONGEST = 200  # characters of a reason inside of a sentence


@dataclass(frozen=True, slots=True)
class Lock:
    """One lock. An empty `repository` stands for every repository of the registry.

    `request_id` is the request that set it, and gives it its name. Times are epoch seconds;
    without `until` it holds until somebody unlocks.
    """

    id: int
    registry: str
    repository: str
    reason: str
    actor: str
    team: str
    channel: str
    request_id: int
    at: float
    until: float | None

    @property
    def name(self) -> str:
        """How people call it: `R7`, after the request that set it."""
        return f"R{self.request_id}"

    @property
    def what(self) -> str:
        """What it holds, for a sentence."""
        return self.repository or f"every repository of {self.registry}"

    @property
    def unlock(self) -> str:
        """The command that ends it."""
        return f"/registry unlock {self.repository or '--all'}"

    @property
    def ends(self) -> str:
        """Until when, for a sentence."""
        return f"until {moment(self.until)}" if self.until else "until somebody unlocks it"

    @property
    def sentence(self) -> str:
        """What is locked, since when and until when, by which request and why; names nobody."""
        reason = self.reason if len(self.reason) <= _LONGEST else f"{self.reason[: _LONGEST - 1]}…"
        return (
            f"{self.what} is locked since {moment(self.at)} and {self.ends} ({self.name}: {reason})"
        )


def moment(epoch: float) -> str:
    """A moment where Slack's own dates cannot stand."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d %H:%M UTC")


def covering(locks: Iterable[Lock], repository: str) -> Lock | None:
    """The lock that holds a repository: its own before one of the whole registry."""
    held = [lock for lock in locks if lock.repository in {repository, ""}]
    return min(held, key=lambda lock: (lock.repository == "", lock.id), default=None)


def in_the_way(
    locks: Iterable[Lock], action: Action, repositories: Iterable[str], *, untagged: bool = False
) -> Lock | None:
    """The lock that forbids an action; None if it may go on.

    Parameters
    ----------
    locks : all that hold on the registry.
    repositories : those that the action would touch.
    untagged : a collection that deletes untagged manifests touches every repository.
    """
    held = list(locks)
    if action is Action.GC:
        whole = [lock for lock in held if not lock.repository]
        return next(iter(whole or (held if untagged else [])), None)
    if not action.deletes:
        return None
    found = (covering(held, repository) for repository in repositories)
    return next((lock for lock in found if lock is not None), None)
