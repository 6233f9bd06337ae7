"""What is in the playground's registry: a few repositories that show why the bot is careful."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from bot.demo.images import (
    Layer,
    Manifest,
    digest_of,
    image,
    index,
    layer,
    signature,
    signature_tag,
)

_AT_ONCE = 8
_DEADLINE = 20.0
_OLDEST = datetime(2024, 1, 9, 7, 40, tzinfo=UTC)


class CannotFill(Exception):
    """The registry did not take an image; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class Put:
    """A manifest that goes to a repository under some tags; under none, only by its digest."""

    repository: str
    manifest: Manifest
    tags: tuple[str, ...] = ()


def contents() -> list[list[Put]]:
    """Everything that is pushed, in groups: what an index needs comes in an earlier group."""
    base = layer("base", 90_000)
    arm_base = layer("base for arm64", 90_000)
    web = [
        image("2026-02-03T10:15:00Z", [base, layer("team/web:2.0 amd64", 40_000)]),
        image("2026-02-03T10:17:30Z", [arm_base, layer("team/web:2.0 arm64", 42_000)], "arm64"),
    ]
    newest = _api("1.10.0", "2026-01-20T14:05:00Z", base)
    first = [Put("team/web", child) for child in web]
    second = [
        Put("team/web", index(web), ("2.0",)),
        Put("team/web", image("2025-08-14T09:00:00Z", [base, layer("web:1.9", 38_000)]), ("1.9",)),
        # `latest` is where somebody forgot it, as it goes.
        Put("team/api", _api("1.4.0", "2025-03-11T08:30:00Z", base), ("1.4.0", "1.4", "latest")),
        Put("team/api", _api("1.9.0", "2025-11-05T16:45:00Z", base), ("1.9.0",)),
        Put("team/api", newest, ("1.10.0",)),
        Put("team/api", signature("team/api", newest.digest), (signature_tag(newest.digest),)),
        # Reproducible builds have no other date than this.
        Put("team/tools", image("1970-01-01T00:00:00Z", [layer("tools", 30_000)]), ("hermetic",)),
        Put("prod/api", _api("3.2.1", "2026-02-10T12:00:00Z", base), ("3.2.1",)),
        Put("team/retired", _EMPTIED, ("0.1",)),
        *_ci_pile(base),
    ]
    return [first, second]


_EMPTIED = image("2024-06-01T00:00:00Z", [layer("team/retired", 5_000)])


def _api(version: str, created: str, base: Layer) -> Manifest:
    return image(created, [base, layer(f"team/api:{version}", 60_000)])


def _ci_pile(base: Layer) -> Iterator[Put]:
    """The images of pull requests that nobody has looked at for a long time."""
    for number in range(101, 141):
        # Within about a year, and a higher number is not always a newer one.
        made = _OLDEST + timedelta(days=number * 37 % 400, hours=number % 9)
        own = layer(f"ci/api:pr-{number}", 6_000 + number * 37 % 9_000)
        yield Put("ci/api", image(f"{made:%Y-%m-%dT%H:%M:%SZ}", [base, own]), (f"pr-{number}",))


async def fill(url: str) -> None:
    """Push everything to an empty registry; a second time changes nothing.

    Parameters
    ----------
    url : its address, with plain HTTP.

    Raises
    ------
    CannotFill : it does not take what it is given.
    """
    limit = asyncio.Semaphore(_AT_ONCE)
    async with httpx.AsyncClient(
        base_url=f"{url}/v2/",
        timeout=_DEADLINE,
        trust_env=False,
        verify=False,  # noqa: S501
    ) as http:
        pushed: set[tuple[str, str]] = set()

        async def put(one: Put) -> None:
            async with limit:
                await _push(http, one, pushed)

        try:
            for group in contents():
                # The base layer first: images pushed at once would each upload it.
                await asyncio.gather(*(put(one) for one in _firsts(group)))
                await asyncio.gather(*(put(one) for one in group))
            await http.delete(f"team/retired/manifests/{_EMPTIED.digest}")
        except httpx.HTTPError as error:
            raise CannotFill(f"The registry broke off: {error or type(error).__name__}.") from error


def _firsts(group: list[Put]) -> list[Put]:
    """The first of each repository."""
    return list({one.repository: one for one in reversed(group)}.values())


async def _push(http: httpx.AsyncClient, one: Put, pushed: set[tuple[str, str]]) -> None:
    for blob in one.manifest.blobs:
        digest = digest_of(blob)
        if (one.repository, digest) not in pushed:
            await _push_blob(http, one.repository, blob, digest)
            pushed.add((one.repository, digest))
    for tag in one.tags or (one.manifest.digest,):
        answer = await http.put(
            f"{one.repository}/manifests/{tag}",
            content=one.manifest.body,
            headers={"Content-Type": one.manifest.media_type},
        )
        _expect(answer, 201)


async def _push_blob(http: httpx.AsyncClient, repository: str, blob: bytes, digest: str) -> None:
    begun = await http.post(f"{repository}/blobs/uploads/")
    _expect(begun, 202)
    where = begun.url.join(begun.headers["Location"]).copy_merge_params({"digest": digest})
    _expect(await http.put(where, content=blob), 201)


def _expect(answer: httpx.Response, status: int) -> None:
    if answer.status_code != status:
        raise CannotFill(
            f"The registry answered {answer.status_code} to {answer.request.method} "
            f"{answer.request.url.path}: {answer.text[:200]}"
        )
