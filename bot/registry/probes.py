"""Harmless questions about what a registry can do at this moment."""

import secrets
from enum import StrEnum

import httpx

from bot.registry.errors import ProtocolError, RegistryError
from bot.registry.failures import Answer, failure
from bot.registry.reference import Repository
from bot.registry.transport import Ask, Transport


class DeleteSupport(StrEnum):
    """What a registry lets us delete: nothing, nothing now, digests, or tags too."""

    OFF = "off"
    READ_ONLY = "read-only"
    DIGEST = "digest"
    TAG = "tag"


class UploadSupport(StrEnum):
    """Whether a registry takes pushes at this moment."""

    ACCEPTED = "accepted"
    READ_ONLY = "read-only"


async def ping(transport: Transport, url: str) -> None:
    """See `RegistryClient.ping`."""
    answer = await transport.ask(Ask("GET", "/v2/", "the registry"))
    # Some proxies strip the header; then at least it must not be a web page.
    version = answer.headers.get("Docker-Distribution-Api-Version")
    if answer.status == 200 and (version or answer.media_type == "application/json"):
        return
    if answer.status in (200, 404):
        raise ProtocolError(
            f"No registry answers at {url}.",
            "Check the registry's url: another web server seems to be there.",
        )
    raise _unexpected(answer, "the registry")


async def probe_delete(transport: Transport, name: Repository) -> DeleteSupport:
    """See `RegistryClient.probe_delete`."""
    tag = f"registry-bot-probe-{secrets.token_hex(8)}"
    ask = Ask("DELETE", f"/v2/{name}/manifests/{tag}", f"a delete in {name}")
    answer = await transport.ask(ask)
    if answer.is_read_only:
        return DeleteSupport.READ_ONLY
    if answer.status == 405 and answer.codes:
        return DeleteSupport.OFF
    if answer.status == 400 and "DIGEST_INVALID" in answer.codes:
        return DeleteSupport.DIGEST
    if answer.status == 404 and "MANIFEST_UNKNOWN" in answer.codes:
        return DeleteSupport.TAG
    raise _unexpected(answer, ask.what)


async def probe_upload(transport: Transport, name: Repository) -> UploadSupport:
    """See `RegistryClient.probe_upload`."""
    ask = Ask("POST", f"/v2/{name}/blobs/uploads/", f"an upload to {name}", repeat=False)
    async with transport.fresh() as fresh:
        answer = await fresh.ask(ask)
        if answer.is_read_only:
            return UploadSupport.READ_ONLY
        if answer.status != 202:
            raise _unexpected(answer, ask.what)
        await _cancel(fresh, answer)
    return UploadSupport.ACCEPTED


async def _cancel(transport: Transport, answer: Answer) -> None:
    """Leave no upload behind. What was to be learned is known, so failing does no harm."""
    try:
        location = answer.url.join(answer.headers.get("Location", ""))
        # Path and query alone: behind a proxy a registry may not know its own address.
        await transport.ask(Ask("DELETE", location.raw_path.decode(), "the upload"))
    except (RegistryError, httpx.InvalidURL):
        return


def _unexpected(answer: Answer, what: str) -> RegistryError:
    """An error for an answer that may even be a success, only not one that was foreseen."""
    if answer.status < 400:
        return ProtocolError(
            f"The registry answered {answer.status} to {what}, which it should not.",
            "Check that the registry's url leads to a registry.",
        )
    return failure(answer, what)
