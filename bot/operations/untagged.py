"""`gc --delete-untagged`, made safe: proof that nothing which a tag needs would go.

Distribution 2.x deletes every manifest without a tag of its own: the images inside a multi-arch
index, which go on answering as an index whose images are gone, and what an undo window holds.
So the manifests that a dry run with that very flag would delete are compared with everything
that any tag reaches. Only where nothing is in both, the collection may go on.
"""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

from bot.gc.executor import Executor
from bot.operations.bounded import bounded
from bot.operations.context import Context, Registry
from bot.operations.errors import Refusal
from bot.operations.images import ImageReader, parsed
from bot.operations.locked import standing_in_the_way
from bot.registry.client import DeleteSupport
from bot.registry.errors import NotFound, RegistryError
from bot.registry.manifest import Index
from bot.rules.approval import Request, Window
from bot.rules.locks import moment
from bot.rules.snapshot import Snapshot

MULTI_ARCH = 3
"""So many multi-arch images are remembered, to be pulled whole after the collection."""

_NAMED = 3  # images that a refusal names; of more it says how many
_PLAIN = "A plain `/registry gc` keeps every manifest."
_DOCTOR = "`/registry doctor` finds what is broken. A plain `/registry gc` keeps every manifest."


@dataclass(frozen=True, slots=True)
class Proven:
    """What was read to prove that no tag needs what would go: all of the registry.

    `multi_arch` are a few tagged indexes: repository, tag.
    """

    repositories: int
    tags: int
    manifests: int
    multi_arch: tuple[tuple[str, str], ...] = ()

    def counts(self) -> dict[str, int]:
        """How much was read, as plain JSON values."""
        return {name: n for name, n in asdict(self).items() if name != "multi_arch"}


def can_be_proven(collector: Executor) -> bool:
    """Whether all tags can be read while pushes are refused: a stopped registry shows none."""
    return collector.mode != "offline" and not collector.is_live


async def gate(ctx: Context, registry: Registry, collector: Executor) -> None:
    """Refuse `--delete-untagged` where it cannot be proven safe, or would end undo windows.

    Raises
    ------
    Refusal : so it is.
    RegistryError : the registry does not answer.
    """
    if not can_be_proven(collector) and (
        await registry.client.probe_delete(registry.probe_name) is not DeleteSupport.TAG
    ):
        how = (
            "pushes go on during the collection"
            if collector.is_live
            else "the registry is stopped for the collection"
        )
        raise Refusal(
            "--delete-untagged is refused: on distribution 2.x it deletes the images inside "
            f"multi-arch indexes. That none is lost is proven while pushes are refused, but {how}, "
            "and this registry is not proven to be 3.x.",
            'Use `mode = "read-only"` in its gc settings, or run a plain `/registry gc`.',
        )
    async with ctx.store.reading() as tx:
        windows = await tx.windows.open_on(registry.name)
    if windows:
        raise _windows_open(windows)


def _windows_open(windows: Sequence[Window]) -> Refusal:
    names = list(dict.fromkeys(f"R{w.request}" for w in windows))
    several = "undo windows" if len(names) > 1 else "undo window"
    last = max(w.until for w in windows)
    return Refusal(
        f"--delete-untagged would end the {several} of {_few(names)}, open until {moment(last)}.",
        f"Wait until then, or end it now: `/registry purge {names[0]}`. A plain `/registry gc` "
        "leaves it open.",
    )


async def prove(ctx: Context, registry: Registry, eligible: Collection[tuple[str, str]]) -> Proven:
    """Read every tag of every repository, and find none that needs what would go.

    Only while pushes are refused it proves anything beyond this moment.

    Parameters
    ----------
    eligible : what the dry run would delete: repository, digest.

    Raises
    ------
    Refusal : an image would break, or something could not be read, whatever it was.
    """
    going: dict[str, set[str]] = {}
    for repository, digest in eligible:
        going.setdefault(repository, set()).add(digest)
    reader = ImageReader(ctx.store, registry)
    try:
        names = await registry.client.repositories()
        if unlisted := sorted(going.keys() - set(names)):
            raise _unread(
                f"the catalog does not list {unlisted[0] or 'a repository without a name'}, where "
                "manifests would be deleted"
            )

        async def one(name: str) -> _Seen:
            return await _look(reader, registry, name, going.get(name, set()))

        seen = await bounded(one, names)
    except RegistryError as error:
        raise _unread(error.sentence.rstrip(".")) from error
    if lost := [line for repository in seen for line in repository.lost]:
        images = "1 image" if len(lost) == 1 else f"{len(lost)} images"
        raise Refusal(f"--delete-untagged would break {images}: {_few(lost)}.", _PLAIN)
    await _held(ctx, registry, going)
    return Proven(
        len(names),
        sum(repository.tags for repository in seen),
        sum(repository.manifests for repository in seen),
        tuple(itertools.islice((i for r in seen for i in r.multi_arch), MULTI_ARCH)),
    )


async def prove_again(
    ctx: Context,
    request: Request,
    registry: Registry,
    collector: Executor,
    eligible: Collection[tuple[str, str]],
) -> Proven | None:
    """The proof of an approved collection, while pushes are refused; None where none is needed.

    What may have come since it was approved stands in the way, too: undo windows and locks.

    Raises
    ------
    Refusal : as `gate` and `prove`.
    """
    async with ctx.store.reading() as tx:
        lock = await standing_in_the_way(tx, request)
        windows = await tx.windows.open_on(registry.name)
    if lock is not None:
        raise Refusal(f"{lock.sentence}.")
    if windows:
        raise _windows_open(windows)
    return await prove(ctx, registry, eligible) if can_be_proven(collector) else None


@dataclass(frozen=True, slots=True)
class _Seen:
    """One repository: how much was read, its multi-arch images, and what would break."""

    tags: int
    manifests: int
    multi_arch: tuple[tuple[str, str], ...]
    lost: tuple[str, ...]


async def _look(reader: ImageReader, registry: Registry, name: str, going: set[str]) -> _Seen:
    try:
        listed = await registry.client.tags(name)
    except NotFound:
        if going:
            raise _unread(f"the tags of {name} are not there") from None
        listed = []  # nothing goes there; what never had a tag is listed, too
    snapshot = await reader.snapshot(name, only=listed)
    if gone := set(listed) - snapshot.tags.keys():
        # Beside a live registry it may have been deleted between the two requests.
        gone &= set(await registry.client.tags(name))
    if gone:
        raise _unread(f"the tag {name}:{min(gone)} is listed, but its manifest is not there")
    needed = snapshot.reach(snapshot.tags.values())
    if unread := needed - snapshot.manifests.keys():
        raise _unread(_above(snapshot, min(unread)))
    tags = _lost(snapshot, going) if needed & going else []
    lost = [*tags, *await _lost_referrers(reader, snapshot, needed, going)]
    return _Seen(
        len(snapshot.tags),
        len(snapshot.manifests),
        tuple(
            (name, tag)
            for tag, digest in snapshot.tags.items()
            if isinstance(found := snapshot.manifests[digest], Index) and found.children
        )[:MULTI_ARCH],
        tuple(lost),
    )


def _above(snapshot: Snapshot, digest: str) -> str:
    """What cannot be read, with a tag that needs it."""
    tags = [tag for tag, top in snapshot.tags.items() if digest in snapshot.reach([top])]
    kind = "not there" if digest in snapshot.missing else "of a kind that the bot cannot read"
    return f"the manifest {digest[:19]} of {snapshot.repository}:{min(tags)} is {kind}"


def _lost(snapshot: Snapshot, going: set[str]) -> list[str]:
    """The tags that need a manifest which would go, each with the first of these."""
    return [
        f"{snapshot.repository}:{tag} needs {min(hit)[:19]}"
        for tag, digest in sorted(snapshot.tags.items())
        if (hit := snapshot.reach([digest]) & going)
    ]


async def _lost_referrers(
    reader: ImageReader, snapshot: Snapshot, needed: Collection[str], going: set[str]
) -> list[str]:
    """The signatures and the like that would go although what they speak of stays.

    What cannot be read among them cannot be pulled either: nothing is lost with it.
    """
    found, _ = await reader.read(snapshot.repository, going)
    speaking = {
        str(manifest.subject): digest
        for digest, raw in sorted(found.items())
        if digest in going and (manifest := parsed(raw)) is not None and manifest.subject in needed
    }
    return [
        f"{snapshot.repository}@{subject[:19]} loses {digest[:19]}, which refers to it"
        for subject, digest in speaking.items()
    ]


async def _held(ctx: Context, registry: Registry, going: Mapping[str, set[str]]) -> None:
    """Refuse where the end of an undo window has kept what would go now."""
    async with ctx.store.reading() as tx:
        held = await tx.windows.held_on(registry.name)
    for window in held:
        if window.digest in going.get(window.repository, ()):
            raise Refusal(
                f"--delete-untagged would delete {window.repository}@{window.digest[:19]}, which "
                f"the end of R{window.request}'s undo window kept for {window.holder}.",
                f"{_PLAIN} `/registry purge R{window.request}` asks to end it again.",
            )


def _unread(why: str) -> Refusal:
    return Refusal(
        f"--delete-untagged is refused: that no image breaks could not be proven, because {why}.",
        _DOCTOR,
    )


def _few(names: Sequence[str]) -> str:
    """The first of these, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
