"""Manifests and blobs: asking for them, and believing only their digests."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from bot.registry.errors import Corrupt, NotFound, ProtocolError
from bot.registry.failures import Answer, failure
from bot.registry.manifest import ACCEPT, Descriptor, RawManifest
from bot.registry.network import PROXY_HINT
from bot.registry.reference import Digest, InvalidReference, Repository, Tag
from bot.registry.transport import Ask, BrokenOff, Transport

CONFIG_LIMIT = 8 * 1024 * 1024
_MANIFEST_LIMIT = 4 * 1024 * 1024
_SMALL_BLOB = 128 * 1024
# A signed schema 1 manifest's digest leaves the signatures out: it is not that of the bytes.
_SIGNED_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"


def parse_tag_or_digest(text: str) -> Tag | Digest:
    """What stands behind a repository in a manifest's address; raises `InvalidReference`."""
    return Digest.parse(text) if ":" in text else Tag.parse(text)


def label(name: str, reference: str) -> str:
    """`team/api:1.0` or `team/api@sha256:…`, for sentences."""
    return f"{name}{'@' if ':' in reference else ':'}{reference}"


async def ask_manifest(
    transport: Transport,
    method: str,
    name: Repository,
    reference: Tag | Digest,
    raw: RawManifest | None = None,
) -> Answer:
    """Send a request about a manifest, with `raw` as its body; the answer may be any.

    A tag is never set twice, and nothing is deleted twice, for one call: where an answer is lost,
    somebody may push the same tag before the second attempt, which would take their image away.
    Only whoever asked can look again.
    """
    harmless = method in {"GET", "HEAD"} or (method == "PUT" and isinstance(reference, Digest))
    headers = {"Accept": ACCEPT}
    if raw is not None:
        headers["Content-Type"] = raw.media_type
    return await transport.ask(
        Ask(
            method,
            f"/v2/{name}/manifests/{reference}",
            label(name, reference),
            headers,
            raw.body if raw is not None else None,
            limit=_MANIFEST_LIMIT,
            repeat=harmless,
        )
    )


async def head_manifest(
    transport: Transport, name: Repository, reference: Tag | Digest
) -> Descriptor:
    """See `RegistryClient.head`."""
    answer = await ask_manifest(transport, "HEAD", name, reference)
    # Who blocks HEAD, or answers it with a page of its own, may still let GET pass.
    strange = answer.status == 404 and not answer.says_so
    if answer.status != 200 and not strange:
        raise failure(answer, label(name, reference))
    digest = None if strange else _announced(answer, name, reference)
    length = answer.headers.get("Content-Length", "")
    if digest is None or not length.isdecimal() or not answer.media_type:
        raw = await get_manifest(transport, name, reference)
        return Descriptor(raw.media_type, raw.digest, len(raw.body))
    return Descriptor(answer.media_type, digest, int(length))


async def get_manifest(
    transport: Transport, name: Repository, reference: Tag | Digest
) -> RawManifest:
    """See `RegistryClient.manifest`."""
    answer = await ask_manifest(transport, "GET", name, reference)
    if answer.status != 200:
        raise failure(answer, label(name, reference))
    announced = _announced(answer, name, reference)
    digest = reference if isinstance(reference, Digest) else announced
    if digest is not None and answer.media_type != _SIGNED_SCHEMA1:
        _verify(answer.body, digest, label(name, reference))
    if not _is_labelled_right(answer):
        raise ProtocolError(
            f"The registry answered with something else than the manifest of "
            f"{label(name, reference)}.",
            PROXY_HINT,
        )
    if digest is None:
        return RawManifest.of(answer.media_type, answer.body)
    return RawManifest(digest, answer.media_type, answer.body)


def _is_labelled_right(answer: Answer) -> bool:
    """Whether the content type can be that of the body.

    No digest covers the type, and what is kept under a wrong one could never be put back.
    """
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return False
    inner = value.get("mediaType")
    if isinstance(inner, str):
        return inner == answer.media_type
    # Written without a type inside, as OCI allows; the plain one is schema 1's.
    if answer.media_type == "application/json":
        return value.get("schemaVersion") != 2
    return answer.media_type.endswith(("json", "+prettyjws"))


async def small_blob(
    transport: Transport, name: Repository, blob: Descriptor, limit: int = _SMALL_BLOB
) -> bytes:
    """A whole blob of at most `limit` bytes, its digest checked.

    Raises
    ------
    NotFound, Corrupt : it is not there, or not what it should be.
    """
    answer = await _ask_blob(transport, name, blob, {}, limit)
    what = label(name, blob.digest)
    if len(answer.body) != blob.size:
        raise corrupt(what)
    _verify(answer.body, blob.digest, what)
    return answer.body


async def check_blob(transport: Transport, name: Repository, blob: Descriptor) -> None:
    """See `RegistryClient.check_blob`."""
    if blob.size <= _SMALL_BLOB:
        await small_blob(transport, name, blob)
        return
    last = blob.size - 1
    # A registry that knows no ranges sends everything: one byte of it is enough, too.
    answer = await _ask_blob(
        transport, name, blob, {"Range": f"bytes={last}-{last}"}, blob.size, enough=1
    )
    total = answer.headers.get("Content-Length", "")
    if answer.status == 206:
        total = answer.headers.get("Content-Range", "").rpartition("/")[2]
    if total != str(blob.size) or not answer.body:
        raise corrupt(label(name, blob.digest))


async def pull_blob(
    transport: Transport, name: Repository, blob: Descriptor, deadline: float
) -> None:
    """See `RegistryClient.pull_blob`."""
    digest = Digest.parse(blob.digest)
    hasher, received = hashlib.new(digest.algorithm), 0

    def begin() -> Callable[[bytes], None]:
        nonlocal hasher, received
        hasher, received = hashlib.new(digest.algorithm), 0
        return take

    def take(chunk: bytes) -> None:
        nonlocal received
        hasher.update(chunk)
        received += len(chunk)

    await _ask_blob(transport, name, blob, {}, blob.size, sink=begin, deadline=deadline)
    if received != blob.size or hasher.hexdigest() != digest.hex:
        raise corrupt(label(name, blob.digest))


async def _ask_blob(
    transport: Transport,
    name: Repository,
    blob: Descriptor,
    headers: dict[str, str],
    limit: int,
    **how: Any,
) -> Answer:
    what = label(name, blob.digest)
    path = f"/v2/{name}/blobs/{Digest.parse(blob.digest)}"
    try:
        # A network that breaks off comes back; a blob that was lost breaks off each time.
        answer = await transport.ask(
            Ask("GET", path, what, headers, limit=limit, breaks=2, off_host=True, **how)
        )
    except BrokenOff:
        raise corrupt(what) from None
    if answer.status == 416:
        raise corrupt(what)
    if answer.status == 404 and (answer.says_so or not transport.is_own(answer.url)):
        # A blob store that the registry redirects to has no error codes of its own.
        raise NotFound(f"{what} is not in the registry.", "Push the image again.")
    if answer.status not in (200, 206):
        raise failure(answer, what)
    return answer


def corrupt(what: str) -> Corrupt:
    """The error for bytes that are not those of their digest."""
    return Corrupt(
        f"The registry does not deliver the right bytes for {what}.",
        "Its storage may be damaged, or it needs a restart after a garbage collection.",
    )


def _announced(answer: Answer, name: str, reference: Tag | Digest) -> Digest | None:
    """The digest in the answer's header, which must be the one that was asked for."""
    header = answer.headers.get("Docker-Content-Digest")
    if header is None:
        return None
    try:
        digest = Digest.parse(header)
    except InvalidReference:
        raise corrupt(label(name, reference)) from None
    if isinstance(reference, Digest) and digest != reference:
        raise corrupt(label(name, reference))
    return digest


def _verify(body: bytes, digest: Digest, what: str) -> None:
    if hashlib.new(digest.algorithm, body).hexdigest() != digest.hex:
        raise corrupt(what)
