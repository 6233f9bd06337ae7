"""Reading: repositories, tags, one image, and how things stand."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches

from bot.operations.bounded import bounded
from bot.operations.context import Context, Registry
from bot.operations.errors import Refusal
from bot.operations.images import ImageReader, parsed
from bot.registry.client import DeleteSupport
from bot.registry.errors import NotFound, RegistryError
from bot.registry.manifest import Image, Index
from bot.registry.reference import Reference, match_tag, natural_key, signed_digest
from bot.rules.plan import Parent, Snapshot

_EPOCH_END = datetime(1971, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RepositoryRow:
    """A repository, how many tags it has, and (if asked for) its bytes."""

    name: str
    tags: int
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Repositories:
    """The answer to `repos`."""

    registry: str
    rows: tuple[RepositoryRow, ...]
    hidden_empty: int
    prefix: str


@dataclass(frozen=True, slots=True)
class TagRow:
    """A tag as people look for it. `sharing` are the other tags on its digest."""

    tag: str
    digest: str
    size: int | None
    created: datetime | None
    platforms: tuple[str, ...]
    sharing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tags:
    """The answer to `tags`; `total` counts what matched before `--limit`."""

    registry: str
    repository: str
    rows: tuple[TagRow, ...]
    total: int
    signatures: int
    sort: str


@dataclass(frozen=True, slots=True)
class PlatformRow:
    """One platform of an image: digest, bytes, layers and when it was built."""

    platform: str
    digest: str
    size: int | None
    layers: int
    created: datetime | None
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Inspection:
    """The answer to `inspect`."""

    registry: str
    host: str
    repository: str
    asked: str
    digest: str
    media_type: str
    platforms: tuple[PlatformRow, ...]
    size: int
    tags: tuple[str, ...]
    parents: tuple[Parent, ...]
    signatures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Health:
    """One registry in the answer to `status`; `purged`: a collection would free something."""

    registry: str
    problem: str = ""
    hint: str = ""
    deletes: str = ""
    collection: str = ""
    busy: str = ""
    open_requests: int = 0
    open_windows: int = 0
    window_bytes: int = 0
    purged: bool = False
    locks: int = 0


async def repositories(
    ctx: Context, registry: Registry, prefix: str = "", *, by_size: bool = False, all_: bool = False
) -> Repositories:
    """List repositories; those without tags are counted instead of shown, unless `all_`."""
    reader = ImageReader(ctx.store, registry)
    names = [n for n in await registry.client.repositories() if n.startswith(prefix)]

    async def one(name: str) -> RepositoryRow:
        try:
            if by_size:
                return _sized(await reader.snapshot(name))
            tags = await registry.client.tags(name)
            if not tags:
                await reader.remember(name, ())
            return RepositoryRow(name, len(tags))
        except (NotFound, Refusal):
            # An upload that never ended leaves a name without a repository behind it.
            return RepositoryRow(name, 0, 0 if by_size else None)

    rows = await bounded(one, names)
    shown = [row for row in rows if all_ or row.tags]
    shown.sort(key=lambda row: (-(row.size or 0), row.name) if by_size else (0, row.name))
    return Repositories(registry.name, tuple(shown), len(rows) - len(shown), prefix)


def _sized(snapshot: Snapshot) -> RepositoryRow:
    digests = snapshot.reach(snapshot.tags.values())
    return RepositoryRow(
        snapshot.repository, len(snapshot.tags), sum(snapshot.blobs(digests).values())
    )


async def tags(
    ctx: Context,
    registry: Registry,
    repository: str,
    *,
    match: str = "",
    by_name: bool = False,
    limit: int = 0,
) -> Tags:
    """List tags, newest first, or by name. Signature tags are counted, not listed.

    Parameters
    ----------
    match : a glob; a glob that names signature tags shows them.
    limit : at most so many rows; 0 for all.
    """
    reader = ImageReader(ctx.store, registry)
    snapshot = await reader.snapshot(repository)
    wanted = [tag for tag in snapshot.tags if not match or match_tag(match, tag)]
    signatures = [tag for tag in wanted if signed_digest(tag) is not None]
    if not match.startswith("sha256-"):
        wanted = [tag for tag in wanted if signed_digest(tag) is None]
    if not wanted and match:
        plain = [tag for tag in snapshot.tags if signed_digest(tag) is None]
        raise Refusal(
            f"No tag of {repository} matches {match}.",
            f"`/registry tags {repository}` lists all {len(plain)}.",
            tuple(get_close_matches(match, plain, 3, 0.4)),
            wrong=match,
        )
    rows = await _rows(reader, snapshot, wanted)
    rows.sort(key=lambda row: natural_key(row.tag), reverse=True)
    if not by_name:
        rows.sort(key=lambda row: row.created.timestamp() if row.created else 0.0, reverse=True)
    shown = rows[:limit] if limit else rows
    return Tags(
        registry.name,
        repository,
        tuple(shown),
        len(rows),
        len(signatures) if not match.startswith("sha256-") else 0,
        "name" if by_name else "created",
    )


async def some_tags(
    ctx: Context, registry: Registry, repository: str, names: Sequence[str]
) -> list[TagRow]:
    """These tags of a repository, without a look at its others; those that are gone are left out.

    `sharing` says nothing here: whoever shares an image may be among the others.
    """
    reader = ImageReader(ctx.store, registry)
    snapshot = await reader.snapshot(repository, only=names)
    return await _rows(reader, snapshot, [name for name in names if name in snapshot.tags])


async def _rows(reader: ImageReader, snapshot: Snapshot, wanted: Sequence[str]) -> list[TagRow]:
    platforms = {tag: leaves_of(snapshot, snapshot.tags[tag]) for tag in wanted}
    images: dict[str, Image] = {
        image.digest: image for leaves in platforms.values() for image, _ in leaves
    }
    configs = await reader.configs(snapshot.repository, images)
    rows = []
    for tag in wanted:
        digest = snapshot.tags[tag]
        leaves = platforms[tag]
        dates = [c.created for i, _ in leaves if (c := configs.get(i.digest)) and c.created]
        labels = (
            label or (configs[image.digest].platform if image.digest in configs else "")
            for image, label in leaves
        )
        rows.append(
            TagRow(
                tag,
                digest,
                sum(snapshot.blobs(snapshot.reach([digest])).values()) or None,
                max(dates) if dates else None,
                tuple(dict.fromkeys(label for label in labels if label)),
                tuple(t for t in snapshot.tags_on(digest) if t != tag),
            )
        )
    return rows


def leaves_of(snapshot: Snapshot, digest: str) -> list[tuple[Image, str]]:
    """The images at and below a digest, with the platform that an index gives them."""
    manifest = snapshot.manifests.get(digest)
    if isinstance(manifest, Image):
        return [(manifest, "")]
    if not isinstance(manifest, Index):
        return []
    found: list[tuple[Image, str]] = []
    for child in manifest.children:
        if child.platform and child.platform.os == "unknown":
            continue  # BuildKit's attestations: not something anybody runs
        below = snapshot.manifests.get(child.digest)
        if isinstance(below, Image):
            found.append((below, str(child.platform) if child.platform else ""))
        elif isinstance(below, Index):
            found += leaves_of(snapshot, child.digest)
    return found


async def resolve(reader: ImageReader, snapshot: Snapshot, reference: Reference) -> str:
    """The digest that a reference without globs means; refuses what is not there."""
    repository = reference.repository
    if reference.tag:
        digest = snapshot.tags.get(reference.tag)
        if digest is None:
            raise unknown_tag(snapshot, reference.tag)
        return digest
    wanted = reference.digest or ""
    known = {d for d in (*snapshot.manifests, *snapshot.tags.values()) if d.startswith(wanted)}
    if len(known) > 1:
        raise Refusal(
            f"{wanted} is the beginning of {len(known)} digests in {repository}.",
            "Give more characters of it.",
        )
    if known:
        return known.pop()
    if reference.is_digest_prefix:
        raise Refusal(
            f"Nothing tagged in {repository} has a digest that begins with {wanted}.",
            "An untagged manifest needs its full digest.",
        )
    raws, _ = await reader.read(repository, [wanted])
    if wanted not in raws:
        raise Refusal(
            f"{repository} has no manifest {wanted}.", f"`/registry tags {repository}` lists it."
        )
    return wanted


def unknown_tag(snapshot: Snapshot, tag: str) -> Refusal:
    """The refusal for a tag that is not there."""
    plain = [t for t in snapshot.tags if signed_digest(t) is None]
    return Refusal(
        f"{snapshot.repository} has no tag {tag}.",
        f"`/registry tags {snapshot.repository}` lists all {len(plain)}.",
        tuple(get_close_matches(tag, plain, 3, 0.4)),
        wrong=f"{snapshot.repository}:{tag}",
    )


async def inspect(ctx: Context, registry: Registry, reference: Reference) -> Inspection:
    """Everything about one image or index."""
    if reference.tag is None and reference.digest is None:
        raise Refusal(
            f"{reference.repository} is a repository, not an image.",
            f"`/registry tags {reference.repository}` lists its tags; "
            f"then `/registry inspect {reference.repository}:TAG`.",
        )
    reader = ImageReader(ctx.store, registry)
    snapshot = await reader.snapshot(reference.repository)
    digest = await resolve(reader, snapshot, reference)
    snapshot = await with_untagged(reader, snapshot, digest)
    manifest = snapshot.manifests.get(digest)
    signatures = await registry.client.signatures(reference.repository, digest, list(snapshot.tags))
    return Inspection(
        registry=registry.name,
        host=registry.client.url.split("://", 1)[-1].rstrip("/"),
        repository=reference.repository,
        asked=reference.tag or digest,
        digest=digest,
        media_type=manifest.media_type if manifest else "",
        platforms=await _platforms(reader, snapshot, digest),
        size=sum(snapshot.blobs(snapshot.reach([digest])).values()),
        tags=snapshot.tags_on(digest),
        parents=tuple(Parent(p, snapshot.tags_on(p)) for p in snapshot.parents(digest)),
        signatures=tuple(signatures),
    )


async def with_untagged(reader: ImageReader, snapshot: Snapshot, digest: str) -> Snapshot:
    """The snapshot together with a manifest that no tag of it reaches, and what is below."""
    if digest in snapshot.manifests:
        return snapshot
    raws, missing = await reader.read(snapshot.repository, [digest])
    return Snapshot(
        snapshot.repository,
        snapshot.tags,
        {**snapshot.manifests, **{d: m for d, raw in raws.items() if (m := parsed(raw))}},
        {**snapshot.sizes, **{d: len(raw.body) for d, raw in raws.items()}},
        snapshot.missing | missing,
    )


async def _platforms(
    reader: ImageReader, snapshot: Snapshot, digest: str
) -> tuple[PlatformRow, ...]:
    leaves = leaves_of(snapshot, digest)
    configs = await reader.configs(snapshot.repository, {i.digest: i for i, _ in leaves})
    rows = []
    for image, label in leaves:
        config = configs.get(image.digest)
        rows.append(
            PlatformRow(
                label or (config.platform if config else "") or "unknown",
                image.digest,
                image.size,
                len(image.layers),
                config.created if config else None,
            )
        )
    gone = snapshot.reach([digest]) & snapshot.missing
    rows += [PlatformRow("missing", d, None, 0, None, missing=True) for d in sorted(gone)]
    return tuple(rows)


async def status(ctx: Context, registries: Sequence[Registry]) -> tuple[Health, ...]:
    """How each registry is, what holds its lock, and what waits on it."""
    return tuple(await asyncio.gather(*(_health(ctx, registry) for registry in registries)))


DELETES = {
    DeleteSupport.OFF: "switched off: set storage.delete.enabled in the registry",
    DeleteSupport.READ_ONLY: "refused: the registry is read-only",
    DeleteSupport.DIGEST: "by digest (distribution 2.x); single tags by the untag sequence",
    DeleteSupport.TAG: "by tag and by digest (distribution 3.x)",
}
"""How a registry deletes, in words that follow a colon."""


async def _health(ctx: Context, registry: Registry) -> Health:
    async with ctx.store.reading() as tx:
        running = await tx.jobs.running_exclusive(registry.name)
        open_requests = await tx.requests.open_on(registry.name)
        windows = await tx.windows.open_on(registry.name)
        locks = await tx.locks.active(registry.name)
        purged = await tx.jobs.ended_since(registry.name, ["purge", "end window"], "collect")
    refusal = registry.collector.refusal() if registry.collector else registry.gc_note
    problem = hint = deletes = ""
    try:
        await registry.client.ping()
        deletes = DELETES[await registry.client.probe_delete(registry.probe_name)]
    except RegistryError as error:
        problem, hint = error.sentence, error.hint
    return Health(
        registry.name,
        problem,
        hint,
        deletes,
        refusal or "ready",
        f"{running[0]} of R{running[1]}" if running and running[1] else "",
        len(open_requests),
        len(windows),
        sum(window.size for window in windows),
        purged and not refusal,
        len(locks),
    )


def is_suspicious_date(created: datetime | None) -> bool:
    """Whether a build date is one of those that reproducible builds write (1970)."""
    return created is not None and created < _EPOCH_END
