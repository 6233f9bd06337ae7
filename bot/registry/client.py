"""What a registry can do, one method for each thing.

Everything that people or other programs named is checked before it is sent: a malformed digest
makes registries answer 500, and a slash too many would ask for something else.
"""

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Self

import httpx

from bot.registry import blobs, contents, probes
from bot.registry.auth import Credentials, RegistryAuth
from bot.registry.blobs import BlobState
from bot.registry.errors import NotFound, Unsupported
from bot.registry.failures import failure
from bot.registry.listing import all_pages
from bot.registry.manifest import Descriptor, Image, ImageConfig, RawManifest, parse_config
from bot.registry.network import trust
from bot.registry.probes import DeleteSupport, UploadSupport
from bot.registry.reference import (
    Digest,
    InvalidReference,
    Repository,
    Tag,
    natural_key,
    signature_tags,
)
from bot.registry.transport import Transport

__all__ = ["BlobState", "DeleteSupport", "RegistryClient", "UploadSupport"]


class RegistryClient:
    """One registry. Use it as an asynchronous context manager, or call `aclose`.

    Every method raises the errors of `bot.registry.errors`, and `InvalidReference` for names
    that no registry can have. Idempotent requests are repeated on 429, 502 to 504 and lost
    connections.

    Parameters
    ----------
    url : `https://host:port`; plain HTTP is used only where it says so.
    credentials : None for anonymous use.
    ca_file : PEM file with certificates to trust besides the usual ones.
    deadline : seconds for one request with its repeats; in listings for each page.
    concurrency : how many requests may be under way at once.
    on_call : told how each request ended (see :class:`bot.registry.transport.Transport`).

    Raises
    ------
    ValueError : `url` is no address of a registry.
    TlsFailure : `ca_file` cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        credentials: Credentials | None = None,
        ca_file: Path | None = None,
        deadline: float = 20.0,
        concurrency: int = 8,
        on_call: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.url = _checked(url)
        turns = asyncio.Semaphore(concurrency)
        auth = RegistryAuth(credentials, self.url)
        self._transport = Transport(self.url, auth, trust(ca_file), deadline, turns, on_call)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def ping(self) -> None:
        """Check that a registry answers and accepts the login."""
        await probes.ping(self._transport, self.url)

    async def probe_delete(self, repository: str) -> DeleteSupport:
        """Find out what may be deleted, by deleting a tag that cannot exist.

        Works on a repository that does not exist; needs the right to delete in it.
        """
        return await probes.probe_delete(self._transport, Repository.parse(repository))

    async def probe_upload(self, repository: str) -> UploadSupport:
        """Find out whether pushes are accepted, by beginning one and cancelling it.

        Uses a connection of its own, so that the answer comes from the process that runs now.

        Raises
        ------
        RegistryError : anything but a clear answer of these two, 5xx and lost connections
            included: nothing is known then.
        """
        return await probes.probe_upload(self._transport, Repository.parse(repository))

    async def repositories(self) -> list[str]:
        """Every repository's name, sorted, from all pages; emptied ones stay in it.

        Names that no repository can have are left out: nothing could be asked about them.
        """
        found = await all_pages(self._transport, "/v2/_catalog", "repositories", "the catalog")
        return sorted(name for name in found if _is_valid(Repository, name))

    async def tags(self, repository: str) -> list[str]:
        """A repository's tags in natural order, oldest version first.

        Raises
        ------
        NotFound : there is no such repository. One whose tags are all gone gives [].
        """
        name = Repository.parse(repository)
        found = await all_pages(self._transport, f"/v2/{name}/tags/list", "tags", name)
        return sorted((tag for tag in found if _is_valid(Tag, tag)), key=natural_key)

    async def head(self, repository: str, reference: str) -> Descriptor:
        """Media type, digest and size in bytes of what a tag or digest stands for.

        Raises
        ------
        NotFound : there is none.
        """
        name, ref = Repository.parse(repository), contents.parse_tag_or_digest(reference)
        return await contents.head_manifest(self._transport, name, ref)

    async def manifest(self, repository: str, reference: str) -> RawManifest:
        """A manifest's exact bytes.

        Raises
        ------
        NotFound : there is none.
        Corrupt : the bytes do not match the digest that was asked for or announced.
        """
        name, ref = Repository.parse(repository), contents.parse_tag_or_digest(reference)
        return await contents.get_manifest(self._transport, name, ref)

    async def config(self, repository: str, image: Image) -> ImageConfig:
        """What an image's config says.

        Raises
        ------
        NotFound, Corrupt : the config's blob is not there, or not what it should be.
        InvalidManifest : it is no JSON object.
        """
        name = Repository.parse(repository)
        return parse_config(
            await contents.small_blob(self._transport, name, image.config, contents.CONFIG_LIMIT)
        )

    async def check_blob(self, repository: str, descriptor: Descriptor) -> None:
        """Make sure that the registry delivers a blob's bytes.

        Small blobs are read whole and hashed; of others the last byte is read, which a file
        that was cut off does not have. HEAD proves nothing: after a garbage collection the
        registry's cache goes on announcing blobs that are gone.

        Raises
        ------
        NotFound : the blob is not there.
        Corrupt : it has other bytes, another length, or does not come.
        """
        await contents.check_blob(self._transport, Repository.parse(repository), descriptor)

    async def pull_blob(
        self, repository: str, descriptor: Descriptor, *, deadline: float = 600.0
    ) -> None:
        """Read a blob whole, as a pull does, and check its sha256. Nothing of it is kept.

        Parameters
        ----------
        deadline : seconds for all of it; the client's own is for small answers.

        Raises
        ------
        NotFound : the blob is not there.
        Corrupt : it has other bytes, another length, or breaks off twice.
        """
        await contents.pull_blob(
            self._transport, Repository.parse(repository), descriptor, deadline
        )

    async def examine_blob(self, repository: str, descriptor: Descriptor) -> BlobState:
        """As `check_blob`, and where bytes do not come, what is wrong: a few requests more."""
        return await blobs.examine_blob(self._transport, Repository.parse(repository), descriptor)

    async def has_blob(self, repository: str, digest: str) -> bool:
        """Whether a repository announces a blob. Alone it proves nothing of the blob's bytes."""
        name = Repository.parse(repository)
        return await blobs.has_blob(self._transport, name, Digest.parse(digest))

    async def signatures(
        self, repository: str, digest: str, tags: Collection[str] | None = None
    ) -> list[str]:
        """The signature tags of a digest that exist.

        Parameters
        ----------
        tags : the repository's tags, where they are known already; else each is asked for.
        """
        names = signature_tags(Digest.parse(digest))
        if tags is not None:
            return [name for name in names if name in tags]

        async def exists(tag: str) -> bool:
            try:
                await self.head(repository, tag)
            except NotFound:
                return False
            return True

        there = await asyncio.gather(*(exists(name) for name in names))
        return [name for name, found in zip(names, there, strict=True) if found]

    async def put_manifest(self, repository: str, reference: str, raw: RawManifest) -> None:
        """Push a manifest under a tag or its digest, byte for byte.

        Raises
        ------
        NotFound : something that it lists (a blob or a child) is not there.
        Corrupt : the registry stored other bytes than these.
        ReadOnly : pushes are switched off.
        Unreachable : no answer came, and it may be there: a tag is set once only.
        """
        name, ref = Repository.parse(repository), contents.parse_tag_or_digest(reference)
        answer = await contents.ask_manifest(self._transport, "PUT", name, ref, raw)
        if answer.status != 201:
            raise failure(answer, contents.label(name, ref))
        stored = answer.headers.get("Docker-Content-Digest")
        if stored is None:
            stored = (await contents.head_manifest(self._transport, name, ref)).digest
        if stored != raw.digest:
            raise contents.corrupt(contents.label(name, ref))

    async def delete_manifest(self, repository: str, digest: str) -> None:
        """Delete a digest, and with it every tag on it.

        Raises
        ------
        NotFound : it is gone already.
        DeleteDisabled, ReadOnly : nothing can be deleted, or not now.
        Unreachable : no answer came, and it may be gone: this is asked once only.
        """
        name, ref = Repository.parse(repository), Digest.parse(digest)
        answer = await contents.ask_manifest(self._transport, "DELETE", name, ref)
        if answer.status != 202:
            raise failure(answer, contents.label(name, ref))

    async def delete_tag(self, repository: str, tag: str) -> None:
        """Delete one tag and nothing else; only registries with `DeleteSupport.TAG` can.

        Raises
        ------
        NotFound : the tag is not there.
        Unsupported : this registry deletes digests only; nothing was changed.
        Unreachable : no answer came, and it may be gone: this is asked once only.
        """
        name, ref = Repository.parse(repository), Tag.parse(tag)
        answer = await contents.ask_manifest(self._transport, "DELETE", name, ref)
        if answer.status == 400 and "DIGEST_INVALID" in answer.codes:
            raise Unsupported(
                "This registry cannot delete a single tag.", "Version 3 of the registry can."
            )
        if answer.status != 202:
            raise failure(answer, contents.label(name, ref))


def _is_valid(kind: type[Repository] | type[Tag], text: str) -> bool:
    try:
        kind.parse(text)
    except InvalidReference:
        return False
    return True


def _checked(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
        raise ValueError("A registry's url is https://host:port, without user and password.")
    if parsed.path not in ("", "/") or parsed.query or parsed.fragment:
        raise ValueError("A registry's url has no path: its API is always under /v2/.")
    return url.rstrip("/")
