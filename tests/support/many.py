"""Many tags at once, for tables that do not fit."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx

from tests.support.images import Pushed, digest_of, push_blob
from tests.support.real_registry import RealRegistry

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


async def fill_with_aged(registry: RealRegistry, repo: str, count: int, *, images: int) -> None:
    """Give a repository `count` tags, `b00000` the oldest, on so many images of 20 builds.

    Layer and configs are pushed. The manifests and tags are laid down in the storage as pushes
    would leave them: thousands of pushes take longer than the test that wants to see them.
    """
    async with httpx.AsyncClient(verify=False) as http:
        layer = await _blob(http, registry.url, repo, b"one layer for all of them")
        configs = [
            await _blob(http, registry.url, repo, _config(f"{2000 + year}-01-01T00:00:00Z"))
            for year in range(20)
        ]
    bodies = [_manifest(configs[n * 20 // images], layer, n) for n in range(images)]
    below = registry.root / f"docker/registry/v2/repositories/{repo}/_manifests"
    for body in bodies:
        digest = digest_of(body)
        _write(registry.blob_path(digest), body)
        _write(_link(below / "revisions", digest), digest.encode())
    for n in range(count):
        digest = digest_of(bodies[n * images // count])
        tag = below / f"tags/b{n:05}"
        _write(tag / "current/link", digest.encode())
        _write(_link(tag / "index", digest), digest.encode())


def _link(directory: Path, digest: str) -> Path:
    algorithm, _, hex_ = digest.partition(":")
    return directory / algorithm / hex_ / "link"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _manifest(config: dict[str, Any], layer: dict[str, Any], n: int) -> bytes:
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": config,
        "layers": [layer],
        "annotations": {"n": str(n)},
    }
    return json.dumps(manifest).encode()


async def _blob(http: httpx.AsyncClient, url: str, repo: str, body: bytes) -> dict[str, Any]:
    digest = await push_blob(http, url, repo, body)
    kind = "config.v1+json" if body.startswith(b"{") else "layer.v1.tar"
    return {
        "mediaType": f"application/vnd.oci.image.{kind}",
        "digest": digest,
        "size": len(body),
    }


def _config(created: str) -> bytes:
    return json.dumps({"created": created, "os": "linux", "architecture": "amd64"}).encode()


async def tag_as(url: str, repo: str, pushed: Pushed, tags: Iterable[str]) -> None:
    """Put more tags on a manifest that is there."""
    async with httpx.AsyncClient(verify=False) as http:
        for tag in tags:
            answer = await http.put(
                f"{url}/v2/{repo}/manifests/{tag}",
                content=pushed.body,
                headers={"Content-Type": pushed.media_type},
            )
            answer.raise_for_status()
