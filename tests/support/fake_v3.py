"""A registry in memory that speaks as distribution 3 does, and that can be told to fail.

Version 3 cannot be installed everywhere; the dialect here is what was measured on 3.1.1.
"""

import json
import re
import uuid
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from tests.support.faults import Faults
from tests.support.images import digest_of

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_NAME = rf"(?P<name>{_COMPONENT}(?:/{_COMPONENT})*)"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"sha256:[0-9a-f]{64}"
_ROUTES = [
    (re.compile(r"/v2/"), "base"),
    (re.compile(r"/v2/_catalog"), "catalog"),
    (re.compile(rf"/v2/{_NAME}/tags/list"), "tags"),
    (re.compile(rf"/v2/{_NAME}/manifests/(?P<ref>{_TAG}|[a-z0-9]+:[A-Fa-f0-9]+)"), "manifest"),
    (re.compile(rf"/v2/{_NAME}/blobs/uploads/(?P<upload>[0-9a-f-]*)"), "upload"),
    (re.compile(rf"/v2/{_NAME}/blobs/(?P<ref>{_DIGEST})"), "blob"),
]


@dataclass(slots=True)
class _Repository:
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    blobs: set[str] = field(default_factory=set)
    # A repository that ever had a manifest stays in the catalog; uploads alone do not show.
    listed: bool = False


class FakeV3(Faults):
    """`async with FakeV3() as fake:` and it answers at `fake.url`.

    Parameters
    ----------
    delete, read_only : the settings of the same names; may be changed while it runs.

    `log` lists every request as "METHOD /path?query"; `authorizations` the header of each.
    """

    def __init__(self, *, delete: bool = True, read_only: bool = False) -> None:
        super().__init__()
        self.delete = delete
        self.read_only = read_only
        self.repositories: dict[str, _Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.uploads: dict[str, bytes] = {}
        self.log: list[str] = []
        self.authorizations: list[str | None] = []
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.log.append(f"{request.method} {request.path_qs}")
        self.authorizations.append(request.headers.get("Authorization"))
        return await self.play(request, self._serve)

    async def _serve(self, request: web.Request) -> web.Response:
        response = await self._dispatch(request)
        response.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
        return response

    async def _dispatch(self, request: web.Request) -> web.Response:
        for pattern, name in _ROUTES:
            found = pattern.fullmatch(request.path)
            if found:
                answer: web.Response = await getattr(self, f"_{name}")(request, **found.groupdict())
                return answer
        return web.Response(status=404, text="404 page not found\n")

    async def _base(self, request: web.Request) -> web.Response:
        return web.json_response({})

    async def _catalog(self, request: web.Request) -> web.Response:
        size = _number(request, 100)
        if size is None or size > 1000:
            return _error(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested")
        names = sorted(name for name, repo in self.repositories.items() if repo.listed)
        names = [n for n in names if n > request.query.get("last", "")]
        return _listing("repositories", names, size, "/v2/_catalog")

    async def _tags(self, request: web.Request, name: str) -> web.Response:
        repository = self.repositories.get(name)
        if repository is None or not repository.listed:
            return _error(404, "NAME_UNKNOWN", "repository name not known to registry", name)
        size = _number(request, len(repository.tags))
        if size is None:
            return _error(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested")
        tags = [t for t in sorted(repository.tags) if t > request.query.get("last", "")]
        if not tags:
            return web.json_response({"name": name, "tags": None})
        # More than the ceiling is not refused here, it silently becomes the ceiling.
        size = min(size, 1000) if "n" in request.query else size
        return _listing("tags", tags, size, f"/v2/{name}/tags/list", name=name)

    async def _manifest(self, request: web.Request, name: str, ref: str) -> web.Response:
        writes = request.method in ("PUT", "DELETE")
        if writes and self.read_only:
            return _read_only()
        if request.method == "DELETE" and not self.delete:
            return _error(405, "UNSUPPORTED", "The operation is unsupported.")
        if ":" in ref and not re.fullmatch(_DIGEST, ref):
            return _error(500, "UNKNOWN", "unknown error", "invalid checksum digest length")
        if request.method == "PUT":
            return await self._put_manifest(request, name, ref)
        repository = self.repositories.get(name, _Repository())
        if request.method == "DELETE":
            return _delete_manifest(repository, ref)
        digest = ref if ":" in ref else repository.tags.get(ref, "")
        if digest not in repository.manifests:
            return _error(404, "MANIFEST_UNKNOWN", "manifest unknown", f"unknown tag={ref}")
        return _negotiated(request, repository, digest)

    async def _put_manifest(self, request: web.Request, name: str, ref: str) -> web.Response:
        body = await request.read()
        digest = digest_of(body)
        if ":" in ref and ref != digest:
            return _error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        try:
            manifest = json.loads(body)
        except ValueError:
            return _error(400, "MANIFEST_INVALID", "manifest invalid")
        repository = self.repositories.setdefault(name, _Repository())
        blobs = [manifest["config"], *manifest["layers"]] if "config" in manifest else []
        missing = [b["digest"] for b in blobs if b["digest"] not in repository.blobs]
        for child in manifest.get("manifests", []):
            if child["digest"] not in repository.manifests:
                missing.append(child["digest"])
        if missing:
            return _error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", missing[0])
        repository.manifests[digest] = (request.content_type, body)
        repository.listed = True
        if ":" not in ref:
            repository.tags[ref] = digest
        location = f"{self.url}/v2/{name}/manifests/{digest}"
        headers = {"Docker-Content-Digest": digest, "Location": location}
        return web.Response(status=201, headers=headers)

    async def _blob(self, request: web.Request, name: str, ref: str) -> web.Response:
        repository = self.repositories.get(name, _Repository())
        if ref not in repository.blobs or ref not in self.blobs:
            return _error(404, "BLOB_UNKNOWN", "blob unknown to registry", ref)
        data = self.blobs[ref]
        headers = {
            "Docker-Content-Digest": ref,
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        }
        part = request.http_range
        if part.start is None and part.stop is None:
            return web.Response(body=data, headers=headers)
        start, stop = part.start or 0, min(part.stop or len(data), len(data))
        if start >= len(data):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        return web.Response(status=206, body=data[start:stop], headers=headers)

    async def _upload(self, request: web.Request, name: str, upload: str) -> web.Response:
        if self.read_only:
            return _read_only()
        if request.method == "POST" and not upload:
            upload = str(uuid.uuid4())
            self.uploads[upload] = b""
            return self._upload_state(name, upload)
        if upload not in self.uploads:
            return _error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        if request.method == "DELETE":
            del self.uploads[upload]
            return web.Response(status=204)
        self.uploads[upload] += await request.read()
        if request.method == "PATCH":
            return self._upload_state(name, upload)
        data = self.uploads.pop(upload)
        digest = request.query.get("digest", "")
        if digest != digest_of(data):
            return _error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        self.blobs[digest] = data
        self.repositories.setdefault(name, _Repository()).blobs.add(digest)
        location = f"{self.url}/v2/{name}/blobs/{digest}"
        headers = {"Docker-Content-Digest": digest, "Location": location}
        return web.Response(status=201, headers=headers)

    def _upload_state(self, name: str, upload: str) -> web.Response:
        headers = {
            "Location": f"{self.url}/v2/{name}/blobs/uploads/{upload}?_state=opaque%3D",
            "Docker-Upload-UUID": upload,
            "Range": f"0-{max(0, len(self.uploads[upload]) - 1)}",
        }
        return web.Response(status=202, headers=headers)


def _delete_manifest(repository: _Repository, ref: str) -> web.Response:
    if ":" not in ref:
        if repository.tags.pop(ref, None) is None:
            path = f"/docker/registry/v2/repositories/_manifests/tags/{ref}/current/link"
            return _error(404, "MANIFEST_UNKNOWN", "manifest unknown", path)
        return web.Response(status=202)
    if repository.manifests.pop(ref, None) is None:
        return _error(404, "MANIFEST_UNKNOWN", "manifest unknown")
    for tag in [tag for tag, digest in repository.tags.items() if digest == ref]:
        del repository.tags[tag]
    return web.Response(status=202)


def _negotiated(request: web.Request, repository: _Repository, digest: str) -> web.Response:
    media_type, body = repository.manifests[digest]
    accepted = {
        part.partition(";")[0].strip()
        for line in request.headers.getall("Accept", [])
        for part in line.split(",")
    }
    by_tag = not request.path.endswith(digest)
    if media_type == OCI_MANIFEST and OCI_MANIFEST not in accepted:
        message = "OCI manifest found, but accept header does not support OCI manifests"
        return _error(404, "MANIFEST_UNKNOWN", message)
    if media_type == DOCKER_LIST and DOCKER_LIST not in accepted:
        child = _amd64(body) if by_tag and DOCKER_MANIFEST in accepted else None
        if child not in repository.manifests:
            return _error(400, "MANIFEST_INVALID", "manifest invalid")
        digest = str(child)
        media_type, body = repository.manifests[digest]
    if request.headers.get("If-None-Match", "").strip('"') == digest:
        return web.Response(status=304)
    headers = {
        "Docker-Content-Digest": digest,
        "ETag": f'"{digest}"',
        "Content-Type": media_type,
    }
    return web.Response(body=body, headers=headers)


def _amd64(body: bytes) -> str | None:
    for child in json.loads(body)["manifests"]:
        platform = child.get("platform", {})
        if platform.get("os") == "linux" and platform.get("architecture") == "amd64":
            return str(child["digest"])
    return None


def _number(request: web.Request, default: int) -> int | None:
    text = request.query.get("n")
    if text is None:
        return default
    return int(text) if text.isdecimal() else None


def _listing(key: str, entries: list[str], size: int, path: str, **more: str) -> web.Response:
    page = entries[:size]
    response = web.json_response({**more, key: page})
    if page and len(entries) > size:
        last = page[-1].replace("/", "%2F")
        response.headers["Link"] = f'<{path}?last={last}&n={size}>; rel="next"'
    return response


def _error(status: int, code: str, message: str, detail: Any = None) -> web.Response:
    error = {"code": code, "message": message}
    if detail is not None:
        error["detail"] = detail
    return web.json_response({"errors": [error]}, status=status)


def _read_only() -> web.Response:
    headers = {"Allow": "GET, HEAD"}
    return web.Response(status=405, text="Method not allowed\n", headers=headers)
