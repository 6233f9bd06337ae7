"""What one repository looked like at one moment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bot.registry.manifest import Image, Index
from bot.registry.reference import natural_key


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
