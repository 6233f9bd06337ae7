"""What is wrong in a repository, which tags suffer from it, and what mends it."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bot.registry.manifest import Image, Index
from bot.registry.reference import natural_key, signed_digest
from bot.rules.plan import Snapshot


class Fault(StrEnum):
    """The kinds of faults, the worst first."""

    STALE_CACHE = "stale cache"
    SHORT_BLOB = "short layer"
    DAMAGED_BLOB = "damaged layer"
    MISSING_BLOB = "missing layer"
    UNREADABLE_BLOB = "unreadable layer"
    MISSING_CHILD = "missing image of an index"
    UNREADABLE = "unreadable manifest"
    GHOST_TAG = "ghost tag"
    STALE_SIGNATURE = "signature of nothing"
    EMPTY_REPOSITORY = "empty repository"

    @property
    def is_harmless(self) -> bool:
        """Whether everything that is there can be pulled all the same."""
        return self in {Fault.STALE_SIGNATURE, Fault.EMPTY_REPOSITORY}

    @property
    def meaning(self) -> str:
        """What it means, as a sentence."""
        return _MEANINGS[self]


_MEANINGS = {
    Fault.STALE_CACHE: "The registry announces the layer from its cache, and its bytes are gone.",
    Fault.SHORT_BLOB: "The layer is in the storage, and ends too early.",
    Fault.DAMAGED_BLOB: "The layer is in the storage with other bytes than it should have.",
    Fault.MISSING_BLOB: "The registry does not have the layer (or config).",
    Fault.UNREADABLE_BLOB: "The registry fails when it is asked for the layer.",
    Fault.MISSING_CHILD: "The index lists an image that is not there: its platform cannot pull.",
    Fault.UNREADABLE: "The registry cannot read the manifest, or delivers other bytes.",
    Fault.GHOST_TAG: "The tag is listed, and there is nothing behind it.",
    Fault.STALE_SIGNATURE: "The image that was signed is not there any more.",
    Fault.EMPTY_REPOSITORY: "The repository has no tags.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    `subject` is the tag or digest that it is about ("" for a whole repository); `tags` are those
    that cannot be pulled wholly because of it; `detail` is what the registry said.
    """

    fault: Fault
    repository: str
    subject: str = ""
    tags: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen in one repository.

    `snapshot` has what could be read. `ghosts` are the listed tags that lead nowhere,
    `unreadable` the tags and digests whose manifests cannot be read, with what was said;
    `blobs` the faults of layers and configs by digest; `unsigned` the signature tags whose image
    is not there.
    """

    snapshot: Snapshot
    ghosts: frozenset[str] = frozenset()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    blobs: Mapping[str, Fault] = field(default_factory=dict)
    unsigned: frozenset[str] = frozenset()


def findings(seen: Seen) -> tuple[Finding, ...]:
    """Everything wrong in a repository, the worst first.

    A fault that no tag suffers from (any more) is left out: nobody would pull it.
    """
    snapshot = seen.snapshot
    name = snapshot.repository
    above, platforms = _tags_above(snapshot), _platforms(snapshot)

    def about(fault: Fault, subject: str, digests: Iterable[str], detail: str = "") -> Finding:
        tags = {tag for digest in digests for tag in above.get(digest, ())}
        named = {platform for digest in digests for platform in platforms.get(digest, ())}
        return Finding(fault, name, subject, _ordered(tags), tuple(sorted(named)), detail)

    holders = _holders(snapshot, seen.blobs)
    found = [about(fault, blob, holders.get(blob, ())) for blob, fault in seen.blobs.items()]
    found += [about(Fault.MISSING_CHILD, digest, [digest]) for digest in snapshot.missing]
    for subject, said in seen.unreadable.items():
        if ":" in subject:
            found.append(about(Fault.UNREADABLE, subject, [subject], said))
        else:
            found.append(Finding(Fault.UNREADABLE, name, subject, (subject,), detail=said))
    found += [Finding(Fault.GHOST_TAG, name, tag, (tag,)) for tag in seen.ghosts]
    found += [Finding(Fault.STALE_SIGNATURE, name, tag, (tag,)) for tag in seen.unsigned]
    return in_order(finding for finding in found if finding.tags)


def in_order(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst first, then by name."""
    worst = list(Fault)
    return tuple(
        sorted(found, key=lambda f: (worst.index(f.fault), f.repository, natural_key(f.subject)))
    )


def _holders(snapshot: Snapshot, blobs: Container[str]) -> dict[str, list[str]]:
    """For each of these blobs the images that need it."""
    holders: dict[str, list[str]] = {}
    for digest, manifest in snapshot.manifests.items():
        if isinstance(manifest, Image):
            for blob in manifest.blobs:
                if blob.digest in blobs:
                    holders.setdefault(blob.digest, []).append(digest)
    return holders


def _tags_above(snapshot: Snapshot) -> dict[str, set[str]]:
    """For each digest the tags that reach it."""
    on: dict[str, list[str]] = {}
    for tag, digest in snapshot.tags.items():
        on.setdefault(digest, []).append(tag)
    above: dict[str, set[str]] = {}
    for digest, tags in on.items():
        for below in snapshot.reach([digest]):
            above.setdefault(below, set()).update(tags)
    return above


def _platforms(snapshot: Snapshot) -> dict[str, set[str]]:
    """The platforms that indexes give to what they list."""
    platforms: dict[str, set[str]] = {}
    for manifest in snapshot.manifests.values():
        if isinstance(manifest, Index):
            for child in manifest.children:
                # BuildKit lists attestations as children of an unknown platform.
                if child.platform and child.platform.os != "unknown":
                    platforms.setdefault(child.digest, set()).add(str(child.platform))
    return platforms


def _ordered(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags in natural order, signature tags behind the others."""
    return tuple(sorted(tags, key=lambda tag: (signed_digest(tag) is not None, natural_key(tag))))


# Over the API a manifest that was lost looks like one whose push was skipped for the cache's sake.
_IF_IT_STAYS = (
    "If that does not help, the registry's cache makes pushes skip what a collection removed: "
    "restart the registry, then push."
)


def advice(finding: Finding, host: str) -> str:
    """What mends it, as sentences with commands in backticks.

    Parameters
    ----------
    host : the registry's, as it stands before a repository in `docker push`.
    """
    name = finding.repository
    image = f"{name}:{finding.tags[0]}" if finding.tags else name
    push, delete = f"`docker push {host}/{image}`", f"`/registry delete {image}`"
    match finding.fault:
        case Fault.STALE_CACHE:
            return (
                "Restart the registry: until then its cache makes pushes skip the layer. "
                f"Then push again: {push}"
            )
        case Fault.SHORT_BLOB | Fault.DAMAGED_BLOB:
            return (
                "A push alone skips it, because the registry takes it for whole. Move "
                f"`{blob_file(finding.subject)}` out of the registry's storage, restart the "
                f"registry, then push again: {push}"
            )
        case Fault.MISSING_BLOB:
            return f"Push again, from where the image still is: {push}. Or take it away: {delete}"
        case Fault.UNREADABLE_BLOB:
            algorithm, _, digits = finding.subject.partition(":")
            link = f"docker/registry/v2/repositories/{name}/_layers/{algorithm}/{digits}/link"
            return (
                "The registry's log says what it cannot read, most often an empty link: move "
                f"`{link}` out of its storage, then push again: {push}"
            )
        case Fault.MISSING_CHILD:
            return (
                f"Push it again with all its platforms: {push}. {_IF_IT_STAYS} Or take the index "
                f"away: {delete}"
            )
        case Fault.UNREADABLE:
            file = f"`{blob_file(finding.subject)}`" if ":" in finding.subject else "its file"
            return (
                f"Push again: {push}; that mends a damaged link. If it stays unreadable, the "
                f"manifest itself is damaged: move {file} out of the registry's storage (its log "
                "names what it cannot read), restart the registry, then push again."
            )
        case Fault.GHOST_TAG:
            return (
                f"Push it again: {push}. {_IF_IT_STAYS} To be rid of the tag, push any image "
                f"under it, then {delete}"
            )
        case Fault.STALE_SIGNATURE:
            return f"Take it away: {delete}"
        case Fault.EMPTY_REPOSITORY:
            return (
                "It does no harm: `/registry repos` hides it, and a push fills it again. "
                "`/registry gc` offers to remove it, where the bot can read the storage."
            )


def blob_file(digest: str) -> str:
    """Where a filesystem storage keeps the bytes of a blob or manifest."""
    algorithm, _, name = digest.partition(":")
    return f"docker/registry/v2/blobs/{algorithm}/{name[:2]}/{name}/data"


def by_fault(found: Sequence[Finding]) -> dict[Fault, list[Finding]]:
    """Findings of each kind, in their order."""
    groups: dict[Fault, list[Finding]] = {}
    for finding in found:
        groups.setdefault(finding.fault, []).append(finding)
    return groups
