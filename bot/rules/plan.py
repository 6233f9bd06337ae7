"""From what somebody typed to everything that would happen: the deletion plan."""

from collections.abc import Iterable, Sequence

from bot.registry.manifest import Image, Index
from bot.registry.reference import natural_key, signed_digest
from bot.rules import staying
from bot.rules.picture import Facts, Leaving, Picture
from bot.rules.planned import Attached, Below, DeletionPlan, Note, Parent, PlannedDigest
from bot.rules.snapshot import Snapshot

__all__ = [
    "Attached",
    "Below",
    "DeletionPlan",
    "Facts",
    "Note",
    "Parent",
    "PlannedDigest",
    "Snapshot",
    "needed_from_outside",
    "plan_purge",
    "plan_untag",
]

_NOTHING = Facts()


def plan_untag(
    registry: str,
    chosen: Sequence[tuple[Snapshot, Sequence[str]]],
    *,
    action: str = "delete",
    facts: Facts = _NOTHING,
) -> DeletionPlan:
    """Plan to take the chosen tags away and to keep every other tag.

    Parameters
    ----------
    registry : the registry's name in the settings.
    chosen : for each repository its snapshot and the tags to go (all in the snapshot).
    action : what asks for it: "delete" or "cleanup".
    facts : what else is known; without it some of the plan stays unsaid.
    """
    leaving: list[Leaving] = []
    for snapshot, tags in chosen:
        going = frozenset(tags)
        # Signatures stand behind the images that they speak of.
        ordered = sorted(going, key=lambda tag: (signed_digest(tag) is not None, natural_key(tag)))
        by_digest = dict.fromkeys(snapshot.tags[tag] for tag in ordered)
        leaving.append(Leaving(snapshot, going, tuple(by_digest)))
    return _plan(action, registry, leaving, facts)


def plan_purge(
    registry: str,
    chosen: Sequence[tuple[Snapshot, Sequence[str]]],
    *,
    facts: Facts = _NOTHING,
) -> DeletionPlan:
    """Plan to delete digests with every tag on them.

    Parameters
    ----------
    registry : the registry's name in the settings.
    chosen : for each repository its snapshot and the digests to go.
    facts : what else is known; without it some of the plan stays unsaid.
    """
    leaving: list[Leaving] = []
    for snapshot, digests in chosen:
        each = dict.fromkeys(digests)
        going = frozenset(tag for tag, digest in snapshot.tags.items() if digest in each)
        leaving.append(Leaving(snapshot, going, tuple(each)))
    return _plan("purge", registry, leaving, facts, "digest")


def needed_from_outside(snapshot: Snapshot, digest: str, going: Iterable[str]) -> Parent | None:
    """The tagged index outside `going` (digests) that contains `digest`, if there is one."""
    leaving = set(going)
    for above in snapshot.parents(digest):
        tags = snapshot.tags_on(above)
        if above not in leaving and tags:
            return Parent(above, tags)
    return None


def _plan(
    action: str,
    registry: str,
    leaving: Sequence[Leaving],
    facts: Facts,
    method: str = "",
) -> DeletionPlan:
    pictures = [Picture(part) for part in leaving]
    counted = _counted(pictures, leaving)
    planned = tuple(
        _planned(picture, digest, counted[picture.snapshot.repository, digest], facts, action)
        for picture, part in zip(pictures, leaving, strict=True)
        for digest in part.digests
    )
    everywhere = None if facts.elsewhere is None else sum(d.everywhere or 0 for d in planned)
    return DeletionPlan(
        action,
        registry,
        planned,
        sum(d.own for d in planned),
        method,
        unique_everywhere=everywhere,
        repositories_read=facts.read,
        repositories_known=facts.known,
    )


def _counted(
    pictures: Sequence[Picture], leaving: Sequence[Leaving]
) -> dict[tuple[str, str], dict[str, int]]:
    """What each digest frees, by repository and digest; a shared blob counts for the first.

    Repositories share one storage: what another one keeps is not freed, nor anything twice.
    """
    counted: set[str] = set()
    for picture in pictures:
        counted |= picture.snapshot.blobs(picture.staying).keys()
    found: dict[tuple[str, str], dict[str, int]] = {}
    for part in leaving:
        for digest in part.digests:
            blobs = part.snapshot.blobs(part.snapshot.reach([digest]))
            fresh = {blob: size for blob, size in blobs.items() if blob not in counted}
            counted |= fresh.keys()
            found[part.snapshot.repository, digest] = fresh
    return found


def _planned(
    picture: Picture, digest: str, frees: dict[str, int], facts: Facts, action: str
) -> PlannedDigest:
    snapshot, going = picture.snapshot, picture.going
    manifest = snapshot.manifests.get(digest)
    under = snapshot.reach([digest]) - {digest}
    at_once = action == "purge"
    signs = next((str(of) for tag in picture.tags_on(digest) if (of := signed_digest(tag))), "")
    elsewhere = facts.elsewhere
    return PlannedDigest(
        repository=snapshot.repository,
        digest=digest,
        media_type=manifest.media_type if manifest else "",
        is_index=isinstance(manifest, Index),
        tags=tuple(tag for tag in picture.tags_on(digest) if tag in going),
        kept_tags=picture.kept_on(digest),
        parents=tuple(Parent(p, tuple(picture.tags_on(p))) for p in picture.above(digest)),
        signatures=tuple(tag for tag in picture.signatures(digest) if tag not in going),
        platforms=_platforms(manifest),
        children=tuple(sorted(under - picture.staying - snapshot.missing - picture.planned)),
        missing_children=tuple(sorted(under & snapshot.missing)),
        size=sum(snapshot.blobs(snapshot.reach([digest])).values()),
        own=sum(frees.values()),
        everywhere=None
        if elsewhere is None
        else sum(size for blob, size in frees.items() if blob not in elsewhere),
        signs=signs,
        below=staying.below(picture, digest, at_once=at_once),
        attached=staying.attached(picture, digest),
        notes=staying.notes(picture, digest, facts, at_once=at_once),
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
