"""Small images, made of nothing but their names: the same ones on every machine."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest with the blobs that it needs; an index has none of its own.

    `platform` is the architecture, where the manifest is for one.
    """

    media_type: str
    body: bytes
    blobs: tuple[bytes, ...] = ()
    platform: str = ""

    @property
    def digest(self) -> str:
        """Its sha256 digest."""
        return digest_of(self.body)


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as it is stored, and the digest of its contents before compression."""

    data: bytes
    diff_id: str


def digest_of(data: bytes) -> str:
    """The sha256 digest of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@cache
def layer(name: str, size: int) -> Layer:
    """A real layer: an archive with one file of `size` bytes that cannot be compressed."""
    content = hashlib.shake_256(name.encode()).digest(size)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo(f"opt/{name.replace('/', '-').replace(':', '-')}.bin")
        entry.size, entry.mode = size, 0o644
        tar.addfile(entry, io.BytesIO(content))
    raw = archive.getvalue()
    return Layer(gzip.compress(raw, compresslevel=1, mtime=0), digest_of(raw))


def image(created: str, layers: Sequence[Layer], architecture: str = "amd64") -> Manifest:
    """An image for Linux, with the time it was made as its configuration tells it (RFC 3339)."""
    config = _json(
        {
            "created": created,
            "os": "linux",
            "architecture": architecture,
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [one.diff_id for one in layers]},
            "history": [{"created": created, "created_by": "registry-bot demo"} for _ in layers],
        }
    )
    blobs = tuple(one.data for one in layers)
    body = _manifest(config, [_descriptor(_LAYER, data) for data in blobs])
    return Manifest(IMAGE, body, (*blobs, config), architecture)


def index(children: Sequence[Manifest]) -> Manifest:
    """A multi-arch image of images that are in the same repository."""
    entries = [
        _descriptor(child.media_type, child.body)
        | {"platform": {"os": "linux", "architecture": child.platform}}
        for child in children
    ]
    return Manifest(INDEX, _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}))


def signature(repository: str, signed: str) -> Manifest:
    """What cosign stores beside an image: a statement about its digest, here signed by nobody."""
    statement = _json(
        {
            "critical": {
                "identity": {"docker-reference": repository},
                "image": {"docker-manifest-digest": signed},
                "type": "cosign container image signature",
            },
            "optional": {"note": "an example of the playground: no key has signed this"},
        }
    )
    config = _json({"rootfs": {"type": "layers", "diff_ids": [digest_of(statement)]}})
    body = _manifest(config, [_descriptor(_SIMPLE_SIGNING, statement)])
    return Manifest(IMAGE, body, (statement, config))


def signature_tag(signed: str) -> str:
    """The tag under which tools look for the signature of a digest."""
    return f"{signed.replace(':', '-')}.sig"


def _manifest(config: bytes, layers: list[dict[str, Any]]) -> bytes:
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": _descriptor(_CONFIG, config),
            "layers": layers,
        }
    )


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
