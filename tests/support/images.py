"""Small images, pushed and pulled without the bot's own client: another opinion in its tests."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

_MANIFESTS = {
    "oci": "application/vnd.oci.image.manifest.v1+json",
    "docker": "application/vnd.docker.distribution.manifest.v2+json",
}
_INDEXES = {
    "oci": "application/vnd.oci.image.index.v1+json",
    "docker": "application/vnd.docker.distribution.manifest.list.v2+json",
}
_CONFIGS = {
    "oci": "application/vnd.oci.image.config.v1+json",
    "docker": "application/vnd.docker.container.image.v1+json",
}
_LAYERS = {
    "oci": "application/vnd.oci.image.layer.v1.tar+gzip",
    "docker": "application/vnd.docker.image.rootfs.diff.tar.gzip",
}
_ACCEPT = ", ".join([*_MANIFESTS.values(), *_INDEXES.values()])


@dataclass(frozen=True, slots=True)
class Pushed:
    """A manifest that was pushed: an image, or an index (without config and layers)."""

    digest: str
    config_digest: str
    layer_digests: tuple[str, ...]
    body: bytes
    media_type: str
    platform: tuple[str, ...] | None = None


async def push_image(
    url: str,
    repo: str,
    tag: str,
    *,
    layers: Sequence[bytes] | None = None,
    created: str = "2024-01-01T00:00:00Z",
    platform: tuple[str, ...] = ("linux", "amd64"),
    media: str = "oci",
    labels: dict[str, str] | None = None,
    **client: Any,
) -> Pushed:
    """Push a small image under a tag (or its digest, with tag "").

    Parameters
    ----------
    layers : the bytes of each layer; by default one that no other tag or platform has.
    platform : os, architecture and perhaps a variant.
    media : "oci" or "docker".
    client : goes to `httpx.AsyncClient` (auth, verify).
    """
    if layers is None:
        layers = [f"layer of {repo}:{tag} for {'/'.join(platform)} ".encode() * 40]
    layer_digests = tuple(digest_of(layer) for layer in layers)
    config = _config(created, platform, labels or {}, layer_digests)
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFESTS[media],
        "config": _descriptor(_CONFIGS[media], config),
        "layers": [_descriptor(_LAYERS[media], layer) for layer in layers],
    }
    body = json.dumps(manifest).encode()
    async with _http(url, client) as http:
        for blob in dict.fromkeys([*layers, config]):
            await push_blob(http, url, repo, blob)
        await _put_manifest(http, url, repo, tag, _MANIFESTS[media], body)
    return Pushed(
        digest_of(body), digest_of(config), layer_digests, body, _MANIFESTS[media], platform
    )


async def push_artifact(url: str, repo: str, tag: str, **client: Any) -> Pushed:
    """Push something that is no image: its config says nothing, a date least of all."""
    payload = f"chart {repo}:{tag}".encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFESTS["oci"],
        "artifactType": "application/vnd.cncf.helm.config.v1+json",
        "config": _descriptor("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [_descriptor("application/vnd.cncf.helm.chart.content.v1.tar+gzip", payload)],
    }
    body = json.dumps(manifest).encode()
    async with _http(url, client) as http:
        for blob in (payload, b"{}"):
            await push_blob(http, url, repo, blob)
        await _put_manifest(http, url, repo, tag, _MANIFESTS["oci"], body)
    return Pushed(digest_of(body), digest_of(b"{}"), (digest_of(payload),), body, _MANIFESTS["oci"])


async def push_index(
    url: str,
    repo: str,
    tag: str,
    children: Sequence[Pushed],
    media: str = "oci",
    **client: Any,
) -> Pushed:
    """Push an index (or Docker manifest list) of manifests that are there already."""
    entries = []
    for child in children:
        entry = _descriptor(child.media_type, child.body)
        if child.platform:
            names = ("os", "architecture", "variant")
            entry["platform"] = dict(zip(names, child.platform, strict=False))
        entries.append(entry)
    index = {"schemaVersion": 2, "mediaType": _INDEXES[media], "manifests": entries}
    body = json.dumps(index).encode()
    async with _http(url, client) as http:
        await _put_manifest(http, url, repo, tag, _INDEXES[media], body)
    return Pushed(digest_of(body), "", (), body, _INDEXES[media])


async def pull(url: str, repo: str, ref: str, **client: Any) -> None:
    """Pull everything below a tag or digest; raises `AssertionError` where a byte is wrong."""
    async with _http(url, client) as http:
        await _pull(http, url, repo, ref)


async def _pull(http: httpx.AsyncClient, url: str, repo: str, ref: str) -> None:
    what = f"{repo} {ref}"
    answer = await http.get(f"{url}/v2/{repo}/manifests/{ref}", headers={"Accept": _ACCEPT})
    assert answer.status_code == 200, f"{what}: {answer.status_code} {answer.text[:200]}"
    digest = digest_of(answer.content)
    assert answer.headers["Docker-Content-Digest"] == digest, f"{what}: wrong digest"
    assert not ref.startswith("sha256:") or ref == digest, f"{what}: other bytes"
    manifest = answer.json()
    for child in manifest.get("manifests", []):
        await _pull(http, url, repo, child["digest"])
    if "config" in manifest:
        for blob in (manifest["config"], *manifest["layers"]):
            await _pull_blob(http, url, repo, blob)


async def _pull_blob(http: httpx.AsyncClient, url: str, repo: str, blob: dict[str, Any]) -> None:
    what = f"{repo} blob {blob['digest']}"
    try:
        answer = await http.get(f"{url}/v2/{repo}/blobs/{blob['digest']}")
    except httpx.HTTPError as error:  # a ghost in the registry's cache: header, then nothing
        raise AssertionError(f"{what}: {error}") from error
    assert answer.status_code == 200, f"{what}: {answer.status_code}"
    assert len(answer.content) == blob["size"], f"{what}: {len(answer.content)} bytes"
    assert digest_of(answer.content) == blob["digest"], f"{what}: other bytes"


async def push_blob(http: httpx.AsyncClient, url: str, repo: str, blob: bytes) -> str:
    """Upload one blob; gives its digest."""
    digest = digest_of(blob)
    answer = await http.post(f"{url}/v2/{repo}/blobs/uploads/")
    assert answer.status_code == 202, f"{answer.status_code} {answer.text[:200]}"
    where = httpx.URL(answer.headers["Location"])
    answer = await http.put(
        (answer.url.join(where)).copy_merge_params({"digest": digest}),
        content=blob,
        headers={"Content-Type": "application/octet-stream"},
    )
    assert answer.status_code == 201, f"{answer.status_code} {answer.text[:200]}"
    return digest


async def _put_manifest(
    http: httpx.AsyncClient, url: str, repo: str, tag: str, media_type: str, body: bytes
) -> None:
    answer = await http.put(
        f"{url}/v2/{repo}/manifests/{tag or digest_of(body)}",
        content=body,
        headers={"Content-Type": media_type},
    )
    assert answer.status_code == 201, f"{answer.status_code} {answer.text[:200]}"


def _http(url: str, options: dict[str, Any]) -> httpx.AsyncClient:
    # Loading the usual authorities takes longer than a push; plain HTTP needs none.
    verify = {} if url.startswith("https") else {"verify": False}
    return httpx.AsyncClient(**{**verify, **options})


def digest_of(data: bytes) -> str:
    """The sha256 digest of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def _config(
    created: str, platform: tuple[str, ...], labels: dict[str, str], layers: tuple[str, ...]
) -> bytes:
    value: dict[str, Any] = {
        "created": created,
        "os": platform[0],
        "architecture": platform[1],
        "config": {"Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": list(layers)},
    }
    if platform[2:]:
        value["variant"] = platform[2]
    return json.dumps(value).encode()
