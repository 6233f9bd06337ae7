"""From what somebody typed to the tags and digests that are meant."""

from collections.abc import Sequence

from bot.operations.browse import resolve, unknown_tag, with_untagged
from bot.operations.errors import Refusal
from bot.operations.images import ImageReader
from bot.registry.reference import Reference, match_tag, natural_key, signed_digest
from bot.rules.plan import Snapshot, needed_from_outside
from bot.rules.signing import following

_LISTED = 12


async def tags_of(
    reader: ImageReader, references: Sequence[Reference]
) -> list[tuple[Snapshot, Sequence[str]]]:
    """The tags that references mean, for each repository with its snapshot.

    Raises
    ------
    Refusal : a repository, tag or digest is not there, or a whole repository is named.
    """
    snapshots: dict[str, Snapshot] = {}
    chosen: dict[str, dict[str, None]] = {}
    for reference in references:
        name = reference.repository
        if reference.tag is None and reference.digest is None:
            raise await _bare(reader, name)
        if name not in snapshots:
            snapshots[name] = await reader.snapshot(name)
        tags = await _tags_meant(reader, snapshots[name], reference)
        chosen.setdefault(name, {}).update(dict.fromkeys(tags))
    return [(snapshots[name], tuple(tags)) for name, tags in chosen.items()]


async def _bare(reader: ImageReader, name: str) -> Refusal:
    tags = [tag for tag in await reader.tags(name) if signed_digest(tag) is None]
    if not tags:
        return Refusal(f"{name} has no tags.", "There is nothing to delete in it.")
    listed = ", ".join(tags[:_LISTED]) + (
        f" and {len(tags) - _LISTED} more" if len(tags) > _LISTED else ""
    )
    return Refusal(
        f"{name} is a whole repository; say which of its tags: {listed}.",
        f"Type {name}:TAG, or {name}:* for every tag.",
        tuple(f"{name}:{tag}" for tag in sorted(tags, key=natural_key, reverse=True)[:3]),
        wrong=name,
    )


async def _tags_meant(
    reader: ImageReader, snapshot: Snapshot, reference: Reference
) -> tuple[str, ...]:
    if reference.tag and reference.is_glob:
        # Signature tags follow their image: a pattern never picks them.
        tags = tuple(
            t for t in snapshot.tags if match_tag(reference.tag, t) and signed_digest(t) is None
        )
        if not tags:
            raise unknown_tag(snapshot, reference.tag)
        return tags
    if reference.tag:
        if reference.tag not in snapshot.tags:
            raise unknown_tag(snapshot, reference.tag)
        return (reference.tag,)
    digest = await resolve(reader, snapshot, reference)
    tags = snapshot.tags_on(digest)
    if not tags:
        raise Refusal(
            f"No tag of {snapshot.repository} is on {digest[:19]}.",
            f"To delete the digest itself: `/registry purge {snapshot.repository}@{digest[:19]} "
            '--reason "…"`.',
        )
    return tags


def purged_along(snapshot: Snapshot, digests: Sequence[str]) -> tuple[str, ...]:
    """The signature tags that follow, as far as nothing else is on their digest.

    A purge takes every tag on a digest: one signature can be that of two images.
    """
    going = [tag for tag, digest in snapshot.tags.items() if digest in digests]
    tags = following(snapshot, going, digests)
    return tuple(tag for tag in tags if set(snapshot.tags_on(snapshot.tags[tag])) <= set(tags))


async def digests_of(
    reader: ImageReader, references: Sequence[Reference]
) -> list[tuple[Snapshot, Sequence[str]]]:
    """The digests that references mean, for each repository with its snapshot; as for tags."""
    snapshots: dict[str, Snapshot] = {}
    chosen: dict[str, dict[str, None]] = {}
    for reference in references:
        name = reference.repository
        if reference.tag is None and reference.digest is None:
            raise await _bare(reader, name)
        snapshot = snapshots.get(name) or await reader.snapshot(name)
        if reference.is_glob:
            tags = await _tags_meant(reader, snapshot, reference)
            digests = [snapshot.tags[tag] for tag in tags]
        else:
            digests = [await resolve(reader, snapshot, reference)]
            snapshot = await with_untagged(reader, snapshot, digests[0])
        snapshots[name] = snapshot
        chosen.setdefault(name, {}).update(dict.fromkeys(digests))
    return [(snapshots[name], tuple(digests)) for name, digests in chosen.items()]


def refuse_needed(chosen: Sequence[tuple[Snapshot, Sequence[str]]]) -> None:
    """Refuse to purge what a tagged index outside the request contains."""
    for snapshot, digests in chosen:
        for digest in digests:
            parent = needed_from_outside(snapshot, digest, digests)
            if parent:
                raise Refusal(
                    f"{snapshot.repository}@{digest[:19]} is part of the multi-arch image "
                    f"{snapshot.repository}:{parent.tags[0]}, which would break.",
                    f"Purge {snapshot.repository}:{parent.tags[0]} as well, or only the tag: "
                    f"`/registry delete`.",
                )
