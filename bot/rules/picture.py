"""One repository during a deletion: what goes, what stays, and because of what."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.registry.manifest import Index
from bot.registry.reference import natural_key, signed_digest
from bot.rules.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Leaving:
    """What goes from one repository: tags, and each digest that the plan names."""

    snapshot: Snapshot
    tags: frozenset[str]
    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known besides the pictures of the repositories named.

    `created` is when each image was built, as ISO date, by digest; `untagged` are digests that
    the registry has without a tag. `elsewhere` are the blobs and manifests that other repositories
    need, as the bot last read them (None: not looked at); it has read `read` of `known`
    repositories (0: nobody could tell how many there are).
    """

    created: Mapping[str, str] = field(default_factory=dict)
    untagged: frozenset[str] = frozenset()
    elsewhere: frozenset[str] | None = None
    read: int = 0
    known: int = 0


class Picture:
    """What is asked again and again about one repository, worked out once.

    `staying` is everything that the tags that stay reach, `lost` what the plan's digests reach
    besides.
    """

    def __init__(self, leaving: Leaving) -> None:
        snapshot = leaving.snapshot
        self.snapshot = snapshot
        self.going = leaving.tags
        self.planned = frozenset(leaving.digests)
        self.staying = snapshot.reach(
            digest for tag, digest in snapshot.tags.items() if tag not in leaving.tags
        )
        self.lost = snapshot.reach(leaving.digests) - self.staying
        self._tags: dict[str, list[str]] = {}
        self._signatures: dict[str, list[str]] = {}
        for tag in sorted(snapshot.tags, key=natural_key):
            self._tags.setdefault(snapshot.tags[tag], []).append(tag)
            of = signed_digest(tag)
            if of is not None:
                self._signatures.setdefault(of, []).append(tag)
        self._above: dict[str, list[str]] = {}
        for digest in sorted(snapshot.manifests):
            if isinstance(snapshot.manifests[digest], Index):
                for below in snapshot.reach([digest]) - {digest}:
                    self._above.setdefault(below, []).append(digest)
        everything = {*snapshot.manifests, *snapshot.tags.values(), *snapshot.missing}
        self._hexes = sorted(digest.partition(":")[2] for digest in everything)

    def tags_on(self, digest: str) -> Sequence[str]:
        """Every tag on a digest, in natural order."""
        return self._tags.get(digest, ())

    def kept_on(self, digest: str) -> tuple[str, ...]:
        """The tags on a digest that stay."""
        return tuple(tag for tag in self.tags_on(digest) if tag not in self.going)

    def above(self, digest: str) -> Sequence[str]:
        """Every index that needs a digest, directly or through another."""
        return self._above.get(digest, ())

    def signatures(self, digest: str) -> Sequence[str]:
        """The signature tags that speak of a digest."""
        return self._signatures.get(digest, ())

    def holder(self, digest: str, *, but_not: str = "") -> str:
        """The tag of an index that stays and contains a digest; "" if there is none.

        Parameters
        ----------
        but_not : an index that does not count.
        """
        for above in self.above(digest):
            if above != but_not and self.kept_on(above):
                return self.kept_on(above)[0]
        return ""

    def begins_with(self, text: str) -> str:
        """The hash of a digest of this repository that begins with `text`; "" if none does."""
        place = bisect_left(self._hexes, text)
        found = self._hexes[place] if place < len(self._hexes) else ""
        return found if found.startswith(text) else ""
