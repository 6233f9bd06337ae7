"""A few images that are pushed again and again, and a policy made of plain terms."""

import http.client
import json
from collections.abc import Mapping
from email.message import Message
from typing import Any, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from bot.rules.policy import Action, Approval, Channel, Group, Policy, Protection, Rule, Step
from tests.property.ledger import Key, Terms
from tests.support.images import digest_of

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
ACCEPT = f"{IMAGE}, {INDEX}"
REPOSITORIES = ("team/app", "scratch/x")


class Shelf:
    """Three images: two plain ones, and an index of one of them and a child of its own."""

    zone = ZoneInfo("UTC")

    def __init__(self, url: str) -> None:
        # Thousands of tiny requests one after the other: a plain connection is the fastest way.
        self._http = http.client.HTTPConnection(urlsplit(url).netloc)
        self._bodies: dict[str, tuple[str, bytes]] = {}
        blobs = [self._image(name) for name in ("plain", "other", "child")]
        children = [self._bodies[name] for name in ("plain", "child")]
        self._bodies["index"] = INDEX, _json(manifests=[_about(*child) for child in children])
        for repository in REPOSITORIES:
            for blob in {blob for pair in blobs for blob in pair}:
                self._upload(repository, blob)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def _ask(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[int, Message, bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._http.request(method, path, body, named)
        answer = self._http.getresponse()
        return answer.status, answer.headers, answer.read()

    @property
    def digests(self) -> set[str]:
        """Every digest that is ever pushed here."""
        return {digest_of(body) for _, body in self._bodies.values()}

    def _image(self, name: str) -> tuple[bytes, bytes]:
        layer = f"the layer of {name}".encode() * 50
        config = json.dumps(
            {
                "created": "2024-01-01T00:00:00Z",
                "os": "linux",
                "architecture": "amd64",
                "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
            }
        ).encode()
        body = _json(config=_about(CONFIG, config), layers=[_about(LAYER, layer)])
        self._bodies[name] = IMAGE, body
        return layer, config

    def _upload(self, repository: str, blob: bytes) -> None:
        _, headers, _ = self._ask("POST", f"/v2/{repository}/blobs/uploads/")
        where = urlsplit(headers["Location"])
        path = f"{where.path}?{where.query}&digest={digest_of(blob)}"
        status, _, said = self._ask("PUT", path, blob, Content_Type="application/octet-stream")
        assert status == 201, said

    def name(self, digest: str) -> str:
        """Which image a digest is."""
        names = (name for name, (_, body) in self._bodies.items() if digest_of(body) == digest)
        return next(names, "plain")

    def push(self, repository: str, tag: str, name: str) -> str:
        """Push an image with all below it; gives its digest."""
        below = ("plain", "child") if name == "index" else ()
        for part in below:
            self._put(repository, digest_of(self._bodies[part][1]), part)
        self._put(repository, tag, name)
        return digest_of(self._bodies[name][1])

    def _put(self, repository: str, reference: str, name: str) -> None:
        media, body = self._bodies[name]
        path = f"/v2/{repository}/manifests/{reference}"
        status, _, said = self._ask("PUT", path, body, Content_Type=media)
        assert status == 201, said

    def tags(self) -> dict[Key, str]:
        """What the registry has, by repository and tag."""
        found = {}
        for repository in REPOSITORIES:
            status, _, body = self._ask("GET", f"/v2/{repository}/tags/list")
            for tag in (json.loads(body).get("tags") or []) if status == 200 else []:
                path = f"/v2/{repository}/manifests/{tag}"
                status, headers, _ = self._ask("HEAD", path, Accept=ACCEPT)
                if status == 200:
                    found[repository, tag] = headers["Docker-Content-Digest"]
        return found

    def empty(self) -> None:
        """Take every tag away, with its image."""
        for repository, digest in {(key[0], digest) for key, digest in self.tags().items()}:
            self._ask("DELETE", f"/v2/{repository}/manifests/{digest}")

    def pull_all(self, tags: Mapping[Key, str]) -> None:
        """Read every tag with all below it, byte for byte."""
        for repository, digest in {(key[0], digest) for key, digest in tags.items()}:
            self._pull(repository, digest)

    def _pull(self, repository: str, digest: str) -> None:
        path = f"/v2/{repository}/manifests/{digest}"
        status, _, body = self._ask("GET", path, Accept=ACCEPT)
        assert status == 200, f"{repository}@{digest}: {body!r}"
        assert digest_of(body) == digest
        manifest = json.loads(body)
        for child in manifest.get("manifests", ()):
            self._pull(repository, child["digest"])
        for blob in (*manifest.get("layers", ()), *filter(None, [manifest.get("config")])):
            _, _, got = self._ask("GET", f"/v2/{repository}/blobs/{blob['digest']}")
            assert digest_of(got) == blob["digest"], f"{repository} {blob}"


def _json(**parts: Any) -> bytes:
    media = INDEX if "manifests" in parts else IMAGE
    return json.dumps({"schemaVersion": 2, "mediaType": media, **parts}).encode()


def _about(media: str, body: bytes) -> dict[str, Any]:
    return {"mediaType": media, "digest": digest_of(body), "size": len(body)}


def policy_of(terms: Terms) -> Policy:
    """The same as the bot takes it from its settings."""
    anyone = ("anyone",)
    alone = Rule("scratch", frozenset({Action.DELETE}), ("scratch/**",), (), anyone,
                 approval=Approval.CONFIRM)  # fmt: skip
    back = Rule("restoring", frozenset({Action.UNDO}), (), (), anyone, approval=Approval.CONFIRM)
    others = Rule(
        "default",
        frozenset({Action.DELETE, Action.PURGE, Action.PURGE_REQUEST}),
        requesters=anyone,
        steps=tuple(Step(names, needed) for names, needed in terms.steps),
        allow_self_approval=terms.own,
    )
    return Policy(
        groups={name: Group(name, users) for name, users in terms.groups},
        rules=(alone, back, others),
        protections=(Protection(("team/app",), tuple(sorted(terms.protected))),)
        if terms.protected
        else (),
        channels=(Channel("C0OPS", ("corp",)),),
        local_accounts={local.removeprefix("local:"): slack for local, slack in terms.twins},
    )
