"""What stays and why, for every digest of a plan. Names stand in backticks."""

import re
from collections.abc import Iterator, Sequence

from bot.registry.manifest import Index, Platform
from bot.registry.reference import signed_digest
from bot.rules.picture import Facts, Picture
from bot.rules.planned import Attached, Below, Note
from bot.rules.signing import kind_of, without

_NAMED = 5
_LIKE_A_DIGEST = re.compile(r"[0-9a-f]{6,64}")
_FIRST_REAL_YEAR = 1971


def notes(picture: Picture, digest: str, facts: Facts, *, at_once: bool) -> tuple[Note, ...]:
    """Everything that approvers should know about one digest.

    Parameters
    ----------
    at_once : it is purged, without an undo window.
    """
    return (
        _fate(picture, digest, at_once=at_once),
        *_signs(picture, digest, facts),
        *_names(picture, digest),
        *_date(facts.created.get(digest, "")),
    )


def _fate(picture: Picture, digest: str, *, at_once: bool) -> Note:
    kept = picture.kept_on(digest)
    if kept:
        are = "is" if len(kept) == 1 else "are"
        return Note("stays", f"the image stays: {_listed(kept)} {are} on it")
    holder = picture.holder(digest)
    if holder:
        return Note("stays", f"the image stays: the multi-arch image `{holder}` contains it")
    if at_once:
        return Note("at once", "goes at once, without an undo window")
    return Note("until", "stays until its undo window ends")


def _signs(picture: Picture, digest: str, facts: Facts) -> Iterator[Note]:
    for tag in picture.tags_on(digest):
        of = signed_digest(tag)
        if of is None or tag not in picture.going:
            continue
        kind = kind_of(tag)
        if of in picture.staying:
            yield Note(
                "signs", f"deleting only the {kind} leaves {_who(picture, of)} {without(tag)}"
            )
        elif of in picture.lost:
            yield Note("signs", f"the {kind} of {_who(picture, of)}, which goes as well")
        elif of in facts.untagged or of in picture.snapshot.manifests:
            yield Note("signs", f"the {kind} of an image that has no tag any more: {of[:19]}")
        else:
            yield Note("signs", f"the {kind} of an image that is not there any more: {of[:19]}")


def _who(picture: Picture, digest: str) -> str:
    """An image by its tags, by the index around it, or by its digest."""
    tags = picture.kept_on(digest) or tuple(picture.tags_on(digest))
    if tags:
        return _listed(tags)
    over = [tag for above in picture.above(digest) for tag in picture.tags_on(above)]
    return f"{digest[:19]} inside {_listed(over)}" if over else digest[:19]


def _names(picture: Picture, digest: str) -> Iterator[Note]:
    for tag in picture.tags_on(digest):
        if tag in picture.going and _LIKE_A_DIGEST.fullmatch(tag):
            found = picture.begins_with(tag)
            if found:
                other = "" if digest.endswith(found) else ", which is another image"
                yield Note(
                    "name",
                    f"tag `{tag}` is also the beginning of digest sha256:{found[:12]}{other}: "
                    "the tag is meant",
                )


def _date(created: str) -> Iterator[Note]:
    if created and int(created[:4]) < _FIRST_REAL_YEAR:
        yield Note(
            "date", f"dated {created[:10]}: the build wrote no real date, its age is unknown"
        )


def below(picture: Picture, digest: str, *, at_once: bool) -> tuple[Below, ...]:
    """The manifests inside an index, in its order, with what becomes of each."""
    found: dict[str, Below] = {}
    todo = [digest]
    while todo:
        index = picture.snapshot.manifests.get(todo.pop(0))
        for child in index.children if isinstance(index, Index) else ():
            if child.digest in found or child.digest == digest:
                continue
            outcome, why = _child(picture, digest, child.digest, at_once=at_once)
            size = sum(picture.snapshot.blobs(picture.snapshot.reach([child.digest])).values())
            found[child.digest] = Below(
                child.digest, _platform(child.platform), child.media_type, size, outcome, why
            )
            todo.append(child.digest)
    return tuple(found.values())


def _platform(platform: Platform | None) -> str:
    if platform is None:
        return ""
    # BuildKit lists attestations as children of an unknown platform.
    return "attestation" if platform.os == "unknown" else str(platform)


def _child(picture: Picture, index: str, digest: str, *, at_once: bool) -> tuple[str, str]:
    if digest in picture.snapshot.missing:
        return "missing", "is not in the registry"
    own = picture.kept_on(digest)
    if own:
        return "stays", f"keeps its own {'tag' if len(own) == 1 else 'tags'} {_listed(own)}"
    holder = picture.holder(digest, but_not=index)
    if holder:
        return "stays", f"is in the multi-arch image `{holder}` as well"
    if index in picture.staying:
        return "stays", "stays with its index"
    going = [tag for tag in picture.tags_on(digest) if tag in picture.going]
    if going:
        return "goes", f"goes by this request as well: {_listed(going)}"
    return "goes", "goes with its index" + ("" if at_once else " when the undo window ends")


def attached(picture: Picture, digest: str) -> tuple[Attached, ...]:
    """The signature tags of a digest and of everything below it."""
    found: dict[str, Attached] = {}
    for of in sorted(picture.snapshot.reach([digest]), key=lambda d: (d != digest, d)):
        for tag in picture.signatures(of):
            goes = tag in picture.going
            orphaned = not goes and of in picture.lost
            found[tag] = Attached(tag, picture.snapshot.tags[tag], kind_of(tag), of, goes, orphaned)
    return tuple(found.values())


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_NAMED])
    rest = len(names) - _NAMED
    return f"{shown} and {rest} more" if rest > 0 else shown
