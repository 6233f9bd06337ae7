"""What is wrong with a blob whose bytes do not come, and so what mends it."""

from enum import StrEnum

from bot.registry.contents import check_blob, label
from bot.registry.errors import Corrupt, NotFound
from bot.registry.failures import failure
from bot.registry.manifest import Descriptor
from bot.registry.reference import Digest, Repository
from bot.registry.transport import Ask, BrokenOff, Transport

_UNKNOWN = -1


class BlobState(StrEnum):
    """How a blob is."""

    WHOLE = "whole"
    MISSING = "missing"
    """The registry knows that it has none: a push brings it back."""
    STALE = "stale"
    """The registry's cache announces it, and no byte is there: only a restart tells the registry,
    and until then pushes skip the blob."""
    SHORT = "short"
    """It is there and ends too early. Pushes skip it: the registry takes it for whole."""
    DAMAGED = "damaged"
    """It has other bytes than those of its digest. Pushes skip it, too."""


async def examine_blob(transport: Transport, name: Repository, blob: Descriptor) -> BlobState:
    """See `RegistryClient.examine_blob`."""
    try:
        await check_blob(transport, name, blob)
    except NotFound:
        # A blob store behind a redirect says no where the registry's cache still says yes.
        believed = await has_blob(transport, name, blob.digest)
        return BlobState.STALE if believed else BlobState.MISSING
    except Corrupt:
        announced = await _announced(transport, name, blob.digest)
        if announced is None:
            return BlobState.MISSING
        if announced not in (blob.size, _UNKNOWN):
            return BlobState.SHORT if announced < blob.size else BlobState.DAMAGED
        # The announced length may be the cache's: what comes tells a lost file from a cut one.
        if not await _byte(transport, name, blob.digest, 0):
            return BlobState.STALE
        last = await _byte(transport, name, blob.digest, blob.size - 1)
        return BlobState.DAMAGED if last else BlobState.SHORT
    return BlobState.WHOLE


async def has_blob(transport: Transport, name: Repository, digest: Digest) -> bool:
    """See `RegistryClient.has_blob`."""
    return await _announced(transport, name, digest) is not None


async def _announced(transport: Transport, name: Repository, digest: Digest) -> int | None:
    """The length that the registry announces; None if it knows that it has no such blob."""
    what = label(name, digest)
    answer = await transport.ask(Ask("HEAD", f"/v2/{name}/blobs/{digest}", what, off_host=True))
    elsewhere = not transport.is_own(answer.url)
    if answer.status == 404 and (elsewhere or answer.says_so):
        # Elsewhere: the registry itself sent us there, so it believes in the blob.
        return _UNKNOWN if elsewhere else None
    if answer.status != 200:
        raise failure(answer, what)
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else _UNKNOWN


async def _byte(transport: Transport, name: Repository, digest: Digest, place: int) -> bool:
    """Whether the registry delivers the byte at this place."""
    ask = Ask(
        "GET",
        f"/v2/{name}/blobs/{digest}",
        label(name, digest),
        {"Range": f"bytes={place}-{place}"},
        # Without ranges everything would come.
        limit=1 << 62,
        enough=1,
        breaks=2,
        off_host=True,
    )
    try:
        answer = await transport.ask(ask)
    except BrokenOff:
        return False
    return answer.status in (200, 206) and bool(answer.body)
