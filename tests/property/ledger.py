"""A second opinion: who agreed to what, kept beside the bot and without any of its code.

It is told what people do and what policies say, in the words of the manual. From that alone it
knows which tags may be missing after a job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Key = tuple[str, str]
"""A repository and a tag."""

CONFIRMED = "confirmed by the requester alone"


@dataclass(frozen=True)
class Terms:
    """A policy as plain data.

    `groups` are people by name, `steps` the groups and how many of their people must agree; the
    ids in `twins` are second ids of the people they point to; `protected` tags of `repository`
    never go.
    """

    groups: tuple[tuple[str, frozenset[str]], ...]
    steps: tuple[tuple[tuple[str, ...], int], ...]
    own: bool = False
    protected: frozenset[str] = frozenset()
    twins: tuple[tuple[str, str], ...] = ()

    @property
    def rule(self) -> object:
        """What the rule itself says. Who is in its groups is not part of it."""
        return self.steps, self.own

    def person(self, user: str) -> str:
        return dict(self.twins).get(user, user)

    def members(self, names: Sequence[str]) -> set[str]:
        groups = dict(self.groups)
        return {self.person(user) for name in names for user in groups[name]}

    def may_vote(self, user: str, requester: str) -> bool:
        if not self.own and self.person(user) == self.person(requester):
            return False
        return any(self.person(user) in self.members(names) for names, _ in self.steps)

    def is_complete(self, votes: Sequence[str], requester: str) -> bool:
        """Whether every seat of every step can have a person of its own. By trying all ways."""
        people = {self.person(v) for v in votes if self.may_vote(v, requester)}
        seats = [self.members(names) for names, needed in self.steps for _ in range(needed)]
        return _seated(seats, people)


def _seated(seats: Sequence[set[str]], people: set[str]) -> bool:
    if not seats:
        return True
    return any(_seated(seats[1:], people - {one}) for one in seats[0] & people)


@dataclass
class Asked:
    """One request: what it named on which digest, and what became of it.

    `on_digests` are all tags that were on these digests. `begun` is set once a job has changed
    something for it, rightly; from then on it is only finished.
    """

    id: int
    kind: str
    requester: str
    rule: object
    named: Mapping[Key, str]
    on_digests: Mapping[Key, str]
    votes: list[str] = field(default_factory=list)
    approved: bool = False
    begun: bool = False
    over: bool = False
    subject: "Asked | None" = None


class Ledger:
    """The tags as they must be, and every request."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.tags: dict[Key, str] = {}
        self.asked: dict[int, Asked] = {}
        self.locked: set[str] = set()

    def on_digests(self, repository: str, digests: set[str]) -> dict[Key, str]:
        return {k: d for k, d in self.tags.items() if k[0] == repository and d in digests}

    def add(self, asked: Asked) -> None:
        self.asked[asked.id] = asked

    def approve(self, asked: Asked, user: str) -> None:
        """Somebody presses Approve. It counts only where the manual says that it does."""
        if asked.over or asked.approved:
            return
        if asked.rule == CONFIRMED:
            asked.approved = self.terms.person(user) == self.terms.person(asked.requester)
            return
        if self.terms.rule != asked.rule:
            asked.over = True  # outdated by this very click
        elif self.terms.may_vote(user, asked.requester):
            asked.votes.append(user)
            asked.approved = self.terms.is_complete(asked.votes, asked.requester)

    def may_begin(self, asked: Asked) -> bool:
        """Whether it may change something, as the world is now."""
        if asked.over or not asked.approved or asked.kind not in {"delete", "purge"}:
            return False
        if asked.rule != CONFIRMED and not (
            asked.rule == self.terms.rule and self.terms.is_complete(asked.votes, asked.requester)
        ):
            return False
        repositories = {repository for repository, _ in asked.named}
        if repositories & self.locked or any(self.is_protected(key) for key in asked.named):
            return False
        digests = set(asked.named.values())
        now = {k: d for r in repositories for k, d in self.on_digests(r, digests).items()}
        return now == dict(asked.on_digests)

    def is_protected(self, key: Key) -> bool:
        return key[0] == "team/app" and key[1] in self.terms.protected

    def wrong(self, seen: Mapping[Key, str], ran: Asked | None, known: set[str]) -> list[str]:
        """What cannot be explained in the tags that the registry has now; the rest is noted.

        Parameters
        ----------
        seen : what the registry says.
        ran : the request for which a job has just run, if one has.
        known : the digests of all images that were ever pushed: any other is a stand-in.
        """
        may = ran is not None and (ran.begun or self.may_begin(ran))
        found = []
        for key in sorted({*seen, *self.tags}):
            was, now = self.tags.get(key), seen.get(key)
            if was == now:
                continue
            named = ran is not None and ran.named.get(key)
            if now is None and may and named == was:
                del self.tags[key]
            elif was is None and now is not None and self._may_return(key, now, ran):
                self.tags[key] = now
            elif not (now is not None and now not in known and self._half_way(key, was, ran, may)):
                found.append(f"{key[0]}:{key[1]} was on {was}, is on {now}; ran: {ran}")
        return found

    def _may_return(self, key: Key, digest: str, ran: Asked | None) -> bool:
        back = ran is not None and ran.kind == "undo" and ran.approved and ran.subject
        return bool(back) and back.named.get(key) == digest  # type: ignore[union-attr]

    def _half_way(self, key: Key, was: str | None, ran: Asked | None, may: bool) -> bool:
        """Whether a job that was killed may have left its placeholder on this tag."""
        begun = [a for a in self.asked.values() if a.begun and not a.over]
        return any(a.named.get(key) == was for a in (*begun, *([ran] if ran and may else [])))
