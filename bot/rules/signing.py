"""Signatures, attestations and bills of materials: tags that follow an image."""

from collections.abc import Iterable

from bot.registry.reference import signed_digest
from bot.rules.snapshot import Snapshot

_KINDS = {".sig": "signature", ".att": "attestation", ".sbom": "bill of materials"}


def kind_of(tag: str) -> str:
    """What a signature tag holds, in words."""
    _, dot, suffix = tag.rpartition(".")
    return _KINDS.get(dot + suffix, "signatures and attestations")


def without(tag: str) -> str:
    """How an image is without what a signature tag holds: `unsigned`."""
    return "unsigned" if kind_of(tag) == "signature" else f"without its {kind_of(tag)}"


def following(
    snapshot: Snapshot, going: Iterable[str], digests: Iterable[str] = ()
) -> tuple[str, ...]:
    """The signature tags whose image is lost when these tags go.

    An image is lost with its last tag, unless an index that stays contains it. A signature of a
    signature follows as well; one that speaks of nothing tagged in this repository follows nobody.

    Parameters
    ----------
    going : tags.
    digests : manifests without a tag that go as well.
    """
    gone = set(going)
    start = [*(snapshot.tags[tag] for tag in gone if tag in snapshot.tags), *digests]
    signed = {tag: str(of) for tag in snapshot.tags if (of := signed_digest(tag)) is not None}
    found: list[str] = []
    while True:
        stays = snapshot.reach(digest for tag, digest in snapshot.tags.items() if tag not in gone)
        lost = snapshot.reach(start) - stays
        more = [tag for tag, of in signed.items() if tag not in gone and of in lost]
        if not more:
            return tuple(sorted(found))
        found += more
        gone |= set(more)
        start += [snapshot.tags[tag] for tag in more]
