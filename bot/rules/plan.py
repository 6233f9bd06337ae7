"""From what somebody typed to everything that would happen: the deletion plan.

The plan is what approvers see and what is compared with the registry again before the first
change. It is plain data (strings, numbers, tuples), so that it can be stored as JSON and read
back by a later version or another process.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import TypeAdapter

from bot.registry.manifest import Image, Index
from bot.registry.reference import Digest, natural_key, signature_tags


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one repository looked like at one moment.

    `manifests` holds the parsed manifest of every tag and, below indexes, of every child that
    could be read; `sizes` the length in bytes of each manifest itself; `missing` the children
    that an index lists and the registry does not have.
    """

    repository: str
    tags: Mapping[str, str]
    manifests: Mapping[str, Image | Index]
    sizes: Mapping[str, int]
    missing: frozenset[str] = frozenset()

    def tags_on(self, digest: str) -> tuple[str, ...]:
        """Every tag on a digest, in natural order."""
        return tuple(sorted((t for t, d in self.tags.items() if d == digest), key=natural_key))

    def reach(self, digests: Iterable[str]) -> frozenset[str]:
        """These digests and everything below them."""
        seen: set[str] = set()
        todo = list(digests)
        while todo:
            digest = todo.pop()
            if digest in seen:
                continue
            seen.add(digest)
            manifest = self.manifests.get(digest)
            if isinstance(manifest, Index):
                todo.extend(child.digest for child in manifest.children)
        return frozenset(seen)

    def parents(self, digest: str) -> tuple[str, ...]:
        """Every index of this repository that needs `digest`, directly or through another."""
        return tuple(
            sorted(
                above
                for above, manifest in self.manifests.items()
                if above != digest and isinstance(manifest, Index) and digest in self.reach([above])
            )
        )

    def blobs(self, digests: Iterable[str]) -> dict[str, int]:
        """Digest and bytes of all that is stored for these manifests, themselves included."""
        blobs: dict[str, int] = {}
        for digest in digests:
            manifest = self.manifests.get(digest)
            if manifest is None:
                continue
            blobs[digest] = self.sizes.get(digest, 0)
            if isinstance(manifest, Image):
                blobs.update({blob.digest: blob.size for blob in manifest.blobs})
        return blobs


@dataclass(frozen=True, slots=True)
class Parent:
    """An index that contains a digest of the plan, and the tags on that index."""

    digest: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlannedDigest:
    """One digest that the request touches.

    `tags` are those that go, `kept_tags` the others on the same digest, `signatures` the
    signature tags that speak of it and stay. `size` is in bytes, children included;
    `own` is what only this digest and those after it in the plan use. `children`
    are the manifests below it that no tag that stays needs and that the plan does not name
    itself; two indexes of the plan that share a child both have it.
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


@dataclass(frozen=True, slots=True)
class DeletionPlan:
    """What a `delete` or `purge` will do. Bytes are an estimate within the repositories named."""

    action: str
    registry: str
    digests: tuple[PlannedDigest, ...]
    unique_bytes: int
    method: str = ""
    warnings: tuple[str, ...] = field(default=())

    @property
    def tags(self) -> tuple[tuple[str, str, str], ...]:
        """Repository, tag and digest of every tag that goes."""
        return tuple((d.repository, tag, d.digest) for d in self.digests for tag in d.tags)

    @property
    def repositories(self) -> tuple[str, ...]:
        """The repositories it touches, each once."""
        return tuple(dict.fromkeys(d.repository for d in self.digests))

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


def plan_untag(registry: str, chosen: Sequence[tuple[Snapshot, Sequence[str]]]) -> DeletionPlan:
    """Plan to take the chosen tags away and to keep every other tag.

    Parameters
    ----------
    registry : the registry's name in the settings.
    chosen : for each repository its snapshot and the tags to go (all in the snapshot).
    """
    leaving: list[_Leaving] = []
    for snapshot, tags in chosen:
        going = frozenset(tags)
        by_digest = dict.fromkeys(snapshot.tags[tag] for tag in sorted(going, key=natural_key))
        leaving.append(_Leaving(snapshot, going, tuple(by_digest)))
    return _plan("delete", registry, leaving)


def plan_purge(registry: str, chosen: Sequence[tuple[Snapshot, Sequence[str]]]) -> DeletionPlan:
    """Plan to delete digests with every tag on them.

    Parameters
    ----------
    registry : the registry's name in the settings.
    chosen : for each repository its snapshot and the digests to go.
    """
    leaving: list[_Leaving] = []
    for snapshot, digests in chosen:
        each = dict.fromkeys(digests)
        going = frozenset(tag for tag, digest in snapshot.tags.items() if digest in each)
        leaving.append(_Leaving(snapshot, going, tuple(each)))
    return _plan("purge", registry, leaving, "digest")


def needed_from_outside(snapshot: Snapshot, digest: str, going: Iterable[str]) -> Parent | None:
    """The tagged index outside `going` (digests) that contains `digest`, if there is one."""
    leaving = set(going)
    for above in snapshot.parents(digest):
        tags = snapshot.tags_on(above)
        if above not in leaving and tags:
            return Parent(above, tags)
    return None


@dataclass(frozen=True, slots=True)
class _Leaving:
    """What goes from one repository: tags, and each digest that the plan names."""

    snapshot: Snapshot
    tags: frozenset[str]
    digests: tuple[str, ...]


def _planned(leaving: _Leaving, digest: str, own: int) -> PlannedDigest:
    snapshot, going = leaving.snapshot, leaving.tags
    manifest = snapshot.manifests.get(digest)
    on_digest = snapshot.tags_on(digest)
    staying = snapshot.reach(d for tag, d in snapshot.tags.items() if tag not in going)
    below = snapshot.reach([digest]) - {digest}
    return PlannedDigest(
        repository=snapshot.repository,
        digest=digest,
        media_type=manifest.media_type if manifest else "",
        is_index=isinstance(manifest, Index),
        tags=tuple(tag for tag in on_digest if tag in going),
        kept_tags=tuple(tag for tag in on_digest if tag not in going),
        parents=tuple(Parent(p, snapshot.tags_on(p)) for p in snapshot.parents(digest)),
        signatures=tuple(
            tag
            for tag in signature_tags(Digest(digest))
            if tag in snapshot.tags and tag not in going
        ),
        platforms=_platforms(manifest),
        children=tuple(sorted(below - staying - snapshot.missing - set(leaving.digests))),
        missing_children=tuple(sorted(below & snapshot.missing)),
        size=sum(snapshot.blobs(snapshot.reach([digest])).values()),
        own=own,
    )


def _platforms(manifest: Image | Index | None) -> tuple[str, ...]:
    if not isinstance(manifest, Index):
        return ()
    return tuple(
        dict.fromkeys(
            str(child.platform)
            for child in manifest.children
            # BuildKit lists attestations as children of an unknown platform.
            if child.platform and child.platform.os != "unknown"
        )
    )


def _own_bytes(leaving: Iterable[_Leaving]) -> dict[tuple[str, str], int]:
    """What each digest frees, by repository and digest; a shared blob counts for the first.

    Repositories share one storage: what another one keeps is not freed, nor anything twice.
    """
    parts = list(leaving)
    counted: set[str] = set()
    for part in parts:
        tags = part.snapshot.tags
        staying = part.snapshot.reach(d for tag, d in tags.items() if tag not in part.tags)
        counted |= part.snapshot.blobs(staying).keys()
    own: dict[tuple[str, str], int] = {}
    for part in parts:
        for digest in part.digests:
            blobs = part.snapshot.blobs(part.snapshot.reach([digest]))
            fresh = {blob: size for blob, size in blobs.items() if blob not in counted}
            counted |= fresh.keys()
            own[part.snapshot.repository, digest] = sum(fresh.values())
    return own


def _plan(
    action: str, registry: str, leaving: Sequence[_Leaving], method: str = ""
) -> DeletionPlan:
    own = _own_bytes(leaving)
    planned = tuple(
        _planned(part, digest, own[part.snapshot.repository, digest])
        for part in leaving
        for digest in part.digests
    )
    return DeletionPlan(action, registry, planned, sum(own.values()), method)
