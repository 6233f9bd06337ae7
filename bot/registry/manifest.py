"""Manifests: what a tag stands for, as bytes and as a picture of them."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Self

from bot.registry.reference import Digest, InvalidReference

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

# All four, always: with fewer a registry hides OCI images, or hands out the amd64 child of a
# list under the list's tag, and a delete by that digest hits the wrong manifest.
ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST))

_INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
_IMAGES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
_UNTAG_KEY = "registry-bot.untag"


class InvalidManifest(ValueError):
    """The bytes are not a manifest or config that we can read. The message says why."""


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image runs on; `str()` gives `linux/arm64/v8`."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A pointer to a blob or manifest; `size` in bytes."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None

    @property
    def is_foreign(self) -> bool:
        """Whether it is a layer that by its type lives elsewhere (Windows base layers)."""
        return ".foreign." in self.media_type or ".nondistributable." in self.media_type


@dataclass(frozen=True, slots=True)
class Image:
    """A manifest of one platform's image (or of any artifact that has a config and layers)."""

    digest: Digest
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Digest | None = None

    @property
    def size(self) -> int:
        """Bytes of config and layers as transferred, a repeated layer counted once."""
        return sum({d.digest: d.size for d in (self.config, *self.layers)}.values())

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Config and layers that the registry stores, each once. Foreign layers are not there."""
        stored = {d.digest: d for d in (self.config, *self.layers) if not d.is_foreign}
        return tuple(stored.values())


@dataclass(frozen=True, slots=True)
class Index:
    """A list of manifests, usually one for each platform."""

    digest: Digest
    media_type: str
    children: tuple[Descriptor, ...]
    subject: Digest | None = None


@dataclass(frozen=True, slots=True)
class RawManifest:
    """A manifest exactly as stored; its bytes must never be written differently."""

    digest: Digest
    media_type: str
    body: bytes

    @classmethod
    def of(cls, media_type: str, body: bytes) -> Self:
        """A manifest of these bytes, its digest computed."""
        return cls(Digest(f"sha256:{hashlib.sha256(body).hexdigest()}"), media_type, body)

    def parse(self) -> Image | Index:
        """Read the bytes.

        Raises
        ------
        InvalidManifest : not JSON, another media type than the four (schema 1, say), a media
            type inside that contradicts the one outside, or broken descriptors.
        """
        value = _json_object(self.body)
        inner = value.get("mediaType")
        if inner is not None and inner != self.media_type:
            raise InvalidManifest("The manifest's own media type contradicts its label.")
        if "manifests" in value and ("layers" in value or "config" in value):
            raise InvalidManifest("The manifest is an image and an index at the same time.")
        if self.media_type in _INDEXES:
            children = tuple(_descriptor(child) for child in _list(value, "manifests"))
            return Index(self.digest, self.media_type, children, _subject(value))
        if self.media_type in _IMAGES:
            return Image(
                self.digest,
                self.media_type,
                _descriptor(value.get("config")),
                tuple(_descriptor(layer) for layer in _list(value, "layers")),
                _subject(value),
            )
        raise InvalidManifest(f"Manifests of type {self.media_type[:100]} are not supported.")


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What an image's config says; `created` is what the build claimed, in UTC."""

    created: datetime | None = None
    platform: Platform | None = None
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def parse_config(body: bytes) -> ImageConfig:
    """Read an image's config. What is missing or odd in it is left out, not an error.

    Raises
    ------
    InvalidManifest : it is not a JSON object at all.
    """
    value = _json_object(body)
    inner = value.get("config")
    labels = inner.get("Labels") if isinstance(inner, dict) else None
    kept = {}
    if isinstance(labels, dict):
        kept = {key: text for key, text in labels.items() if isinstance(text, str)}
    return ImageConfig(_created(value.get("created")), _platform(value), MappingProxyType(kept))


def untag_placeholder(
    real: RawManifest,
    platform: Platform | None,
    unique: str,
    *,
    missing: Collection[str] = (),
) -> RawManifest:
    """The index that is pushed over a tag, so that deleting it removes that tag alone.

    It contains the real manifest (or its children, if it is an index itself), so that a pull
    in the moment between push and delete still gets the image, and it needs no blob.

    Parameters
    ----------
    real : what the tag stands for.
    platform : the platform of `real`, so that clients find it in the index; None if unknown
        or if `real` is an index.
    unique : makes the digest unlike any other, or the delete would take other tags with it.
    missing : digests of children that the registry lost; it would refuse an index with them.
    """
    lost = set(missing)
    entries = [d for d in _entries(real, platform) if d["digest"] not in lost]
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": entries,
        "annotations": {_UNTAG_KEY: unique},
    }
    return RawManifest.of(OCI_INDEX, json.dumps(value, separators=(",", ":")).encode())


def is_untag_placeholder(raw: RawManifest) -> bool:
    """Whether it was made by `untag_placeholder`, by this process or by any other."""
    try:
        annotations = _json_object(raw.body).get("annotations")
    except InvalidManifest:
        return False
    return isinstance(annotations, dict) and _UNTAG_KEY in annotations


def _entries(real: RawManifest, platform: Platform | None) -> list[dict[str, Any]]:
    if real.media_type in _INDEXES:
        parsed = real.parse()
        if isinstance(parsed, Index):
            return [_as_json(child) for child in parsed.children]
    return [_as_json(Descriptor(real.media_type, real.digest, len(real.body), platform))]


def _as_json(descriptor: Descriptor) -> dict[str, Any]:
    value: dict[str, Any] = {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }
    if descriptor.platform is not None:
        platform = descriptor.platform
        value["platform"] = {"architecture": platform.architecture, "os": platform.os}
        if platform.variant:
            value["platform"]["variant"] = platform.variant
    return value


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidManifest("It is not JSON.") from None
    if not isinstance(value, dict):
        raise InvalidManifest("It is not a JSON object.")
    return value


def _list(value: Mapping[str, Any], key: str) -> list[Any]:
    found = value.get(key)
    # Go writes an empty list as null.
    if found is None and key in value:
        return []
    if not isinstance(found, list):
        raise InvalidManifest(f"The manifest has no list of {key}.")
    return found


def _subject(value: Mapping[str, Any]) -> Digest | None:
    subject = value.get("subject")
    return _descriptor(subject).digest if subject is not None else None


def _descriptor(value: object) -> Descriptor:
    if not isinstance(value, dict):
        raise InvalidManifest("A descriptor is missing.")
    media_type, size, digest = value.get("mediaType"), value.get("size"), value.get("digest")
    if not isinstance(media_type, str) or not isinstance(digest, str):
        raise InvalidManifest("A descriptor lacks its media type or digest.")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise InvalidManifest("A descriptor's size is not a number of bytes.")
    try:
        return Descriptor(media_type, Digest.parse(digest), size, _platform(value.get("platform")))
    except InvalidReference as error:
        raise InvalidManifest(str(error)) from None


def _platform(value: object) -> Platform | None:
    if not isinstance(value, dict):
        return None
    os, architecture = value.get("os"), value.get("architecture")
    if not (isinstance(os, str) and isinstance(architecture, str) and os and architecture):
        return None
    variant = value.get("variant")
    return Platform(os, architecture, variant if isinstance(variant, str) else "")


def _created(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    # Go's zero time means that nobody set it.
    return moment if moment.year > 1 else None
