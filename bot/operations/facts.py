"""What a plan says besides what stands in the repositories named: dates, and who else needs it."""

from collections.abc import Iterable, Sequence

from bot.operations.browse import leaves_of
from bot.operations.context import Context, Registry
from bot.operations.images import ImageReader
from bot.registry.errors import RegistryError
from bot.registry.manifest import Image
from bot.registry.reference import signed_digest
from bot.rules.plan import Facts, Snapshot

Chosen = Sequence[tuple[Snapshot, Sequence[str]]]


async def gather(ctx: Context, registry: Registry, reader: ImageReader, chosen: Chosen) -> Facts:
    """Everything that :class:`Facts` has room for.

    Parameters
    ----------
    chosen : for each repository its snapshot and the digests that the plan names.
    """
    created: dict[str, str] = {}
    untagged: set[str] = set()
    blobs: set[str] = set()
    for snapshot, digests in chosen:
        created |= await _dates(reader, snapshot, digests)
        untagged |= await reader.has(snapshot.repository, _speaking_of(snapshot, digests))
        blobs |= snapshot.blobs(snapshot.reach(digests)).keys()
    async with ctx.store.reading() as tx:
        read = await tx.holdings.read(registry.name)
        named = {snapshot.repository for snapshot, _ in chosen}
        elsewhere = await tx.holdings.needed_elsewhere(registry.name, named, blobs)
    try:
        known = frozenset(await registry.client.repositories())
    except RegistryError:
        # An account that may not list the catalog can still delete.
        return Facts(created, frozenset(untagged), elsewhere, len(read))
    return Facts(created, frozenset(untagged), elsewhere, len(read & known), len(known))


async def _dates(reader: ImageReader, snapshot: Snapshot, digests: Iterable[str]) -> dict[str, str]:
    """When each digest was built, as ISO date; an index is as old as its newest image."""
    leaves = {digest: [i for i, _ in leaves_of(snapshot, digest)] for digest in digests}
    images: dict[str, Image] = {i.digest: i for found in leaves.values() for i in found}
    configs = await reader.configs(snapshot.repository, images)
    moments = {digest: c.created for digest, c in configs.items() if c.created}
    return {
        digest: max(moments[i.digest] for i in found if i.digest in moments).isoformat()
        for digest, found in leaves.items()
        if any(i.digest in moments for i in found)
    }


def _speaking_of(snapshot: Snapshot, digests: Iterable[str]) -> set[str]:
    """The digests that signatures among `digests` speak of and that no tag reaches."""
    wanted = set(digests)
    spoken = (signed_digest(tag) for tag, digest in snapshot.tags.items() if digest in wanted)
    return {str(of) for of in spoken if of is not None and of not in snapshot.manifests}
