"""The plan of a deletion, as plain data: what approvers see and what is compared again.

Strings, numbers and tuples only, so that it can be stored as JSON and read back by a later
version or another process. Fields that came later have defaults: older plans stay readable.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True)
class Parent:
    """An index that contains a digest of the plan, and the tags on that index."""

    digest: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Below:
    """A manifest inside an index of the plan, and what becomes of it.

    `platform` is `linux/arm64`, or `attestation`, or "" where nobody can tell. `outcome` is
    "goes", "stays" or "missing"; `why` goes on from "the child …" and has names in backticks.
    """

    digest: str
    platform: str
    media_type: str
    size: int
    outcome: str
    why: str


@dataclass(frozen=True, slots=True)
class Attached:
    """A signature tag that speaks of a digest of the plan or of one below it.

    `kind` is what it is in words, `of` the digest that it speaks of. `goes` says that the plan
    takes it away; if not, `orphaned` says that its image goes without it.
    """

    tag: str
    digest: str
    kind: str
    of: str
    goes: bool
    orphaned: bool


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence about one digest, with names in backticks.

    `kind` is "stays", "until" (its window ends), "at once", "signs" (it is a signature itself),
    "name" (a tag that could be taken for a digest) or "date".
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class PlannedDigest:
    """One digest that the request touches.

    `tags` are those that go, `kept_tags` the others on the same digest, `signatures` the
    signature tags that speak of it and stay. `size` is in bytes, children included; `own` is
    what only this digest and those after it in the plan use in the repositories of the plan,
    `everywhere` the same over all repositories that the bot has read (None: not counted).
    `children` are the manifests below it that no tag that stays needs and that the plan does not
    name itself; two indexes of the plan that share a child both have it. `signs` is the digest
    that it speaks of, where it is a signature.
    """

    repository: str
    digest: str
    media_type: str
    is_index: bool
    tags: tuple[str, ...]
    kept_tags: tuple[str, ...]
    parents: tuple[Parent, ...]
    signatures: tuple[str, ...]
    platforms: tuple[str, ...]
    children: tuple[str, ...]
    missing_children: tuple[str, ...]
    size: int
    own: int = 0
    everywhere: int | None = None
    signs: str = ""
    below: tuple[Below, ...] = ()
    attached: tuple[Attached, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def frees(self) -> int:
        """The best that is known of the bytes that it frees in the end."""
        return self.own if self.everywhere is None else self.everywhere


@dataclass(frozen=True, slots=True)
class DeletionPlan:
    """What a `delete`, `cleanup` or `purge` will do. Bytes are estimates, and labelled.

    `unique_bytes` are counted within the repositories named; `unique_everywhere` over the
    `repositories_read` of `repositories_known` that the bot has read (0 known: nobody could tell).
    `along` names the signatures that go because their image does, as repository and tag.
    """

    action: str
    registry: str
    digests: tuple[PlannedDigest, ...]
    unique_bytes: int
    method: str = ""
    warnings: tuple[str, ...] = field(default=())
    unique_everywhere: int | None = None
    repositories_read: int = 0
    repositories_known: int = 0
    along: tuple[tuple[str, str], ...] = ()

    @property
    def tags(self) -> tuple[tuple[str, str, str], ...]:
        """Repository, tag and digest of every tag that goes."""
        return tuple((d.repository, tag, d.digest) for d in self.digests for tag in d.tags)

    @property
    def repositories(self) -> tuple[str, ...]:
        """The repositories it touches, each once."""
        return tuple(dict.fromkeys(d.repository for d in self.digests))

    @property
    def orphans(self) -> tuple[tuple[str, str], ...]:
        """Repository and tag of the signatures that would be left without their image."""
        found = ((d.repository, a.tag) for d in self.digests for a in d.attached if a.orphaned)
        return tuple(dict.fromkeys(found))

    @property
    def coverage(self) -> str:
        """Where bytes were counted: `in the 12 of 14 repositories that the bot has read`."""
        read, known = self.repositories_read, self.repositories_known
        if not read:
            return ""
        if not known:
            return f"in the {read:,} repositories that the bot has read"
        if read >= known:
            return (
                f"in all {known:,} repositories" if known > 1 else "in the one repository there is"
            )
        return f"in the {read:,} of {known:,} repositories that the bot has read"

    @property
    def fingerprint(self) -> str:
        """A hash over what is pinned: registry, repositories, digests and the tags on them."""
        pinned = [
            self.action,
            self.registry,
            sorted(
                [d.repository, d.digest, sorted(d.tags), sorted(d.kept_tags)] for d in self.digests
            ),
        ]
        return hashlib.sha256(json.dumps(pinned).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "DeletionPlan":
        """Read a stored plan; raises pydantic's `ValidationError` where it is not one."""
        return _ADAPTER.validate_python(value)


_ADAPTER = TypeAdapter(DeletionPlan)
