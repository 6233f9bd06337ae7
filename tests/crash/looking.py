"""Everything as it stands in the end, read once: the store, the registry, its log, the channel."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.rules.approval import Request
from bot.store import trail
from bot.store.audit import AuditEntry
from bot.store.chain import Report
from bot.store.store import Store
from tests.crash.people import Played
from tests.crash.world import World
from tests.support.images import pull

Tag = tuple[str, str]
_DULL = {"plan", "hash", "previous_hash", "plan_hash", "token", "rule_fingerprint", "response_url"}
_EMPTY = ("", None, "{}", "[]")
_DONE = re.compile(
    rb'"(PUT|DELETE) /v2/(\S+)/manifests/(\S+) HTTP/1\.1" (?:201|202) ', re.MULTILINE
)
_ACCEPT = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json"
)


@dataclass(frozen=True, slots=True)
class Change:
    """A manifest that the registry took or gave up, as its own log has it."""

    method: str
    repository: str
    reference: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is in the end.

    Parameters
    ----------
    tags : what the registry says, by repository and tag, with the digest.
    changes : every change of a manifest that was not one of those who push all along.
    broken : what cannot be pulled, of everything that has a tag.
    """

    world: World
    played: Played
    requests: tuple[Request, ...]
    trail: tuple[AuditEntry, ...]
    chain: Report
    tags: Mapping[Tag, str]
    changes: tuple[Change, ...]
    broken: tuple[str, ...]
    writable: bool

    @property
    def originals(self) -> dict[str, str]:
        """The digests of the beginning, and what each of their images is."""
        return {image.digest: f"{r}:{t}" for (r, t), image in self.world.images.items()}

    def entries(self, request: Request, *events: str) -> list[AuditEntry]:
        """The lines about a request, or those of some events."""
        return [
            e
            for e in self.trail
            if e.request_id == request.id and (e.event in events or not events)
        ]

    def messages(self, request: Request) -> list[Any]:
        """Its one message in the channel."""
        known = self.world.slack.messages(request.channel)
        return [message for message in known if message.ts == request.message_ts]


async def look(world: World, played: Played) -> Seen:
    """Read everything. The registry is started anew first, so that no cache can hide a loss."""
    await world.stop_pushing()
    writable = world.team.registry.status() == "read-write" and await world.team.is_writable()
    await asyncio.to_thread(world.team.registry.start, "read-write")
    pushed = {(push.repository, push.tag): push.image for push in world.pushes}
    tags = await _tags(world, {**world.images, **pushed})
    broken = []
    for (repository, tag), _ in tags.items():
        try:
            await pull(world.team.registry.url, repository, tag)
        except AssertionError as error:
            broken.append(str(error))
    store = await Store.look(world.database.url)
    try:
        async with store.reading() as tx:
            numbers = await tx.conn.execute(sa.text("SELECT id FROM requests ORDER BY id"))
            requests = [await tx.requests.get(number) for (number,) in numbers.all()]
            entries = await tx.audit.entries(limit=10_000)
            chain = await trail.check(tx.conn)
            (world.team.directory / "store.txt").write_text(await _rows(tx.conn))
    finally:
        await store.close()
    return Seen(
        world,
        played,
        tuple(requests),
        tuple(entries),
        chain,
        tags,
        tuple(_changes(world)),
        tuple(broken),
        writable,
    )


async def _rows(conn: AsyncConnection) -> str:
    """All that a reader needs who wants to know how it came to that."""
    lines = []
    for table in ("audit", "jobs", "outbox", "requests", "items", "windows"):
        lines += [f"\n{table}"]
        for row in await conn.execute(sa.text(f"SELECT * FROM {table}")):
            kept = {k: v for k, v in row._mapping.items() if k not in _DULL and v not in _EMPTY}
            lines.append(" ".join(f"{name}={value}" for name, value in kept.items()))
    return "\n".join(lines)


async def _tags(world: World, known: Mapping[Tag, Any]) -> dict[Tag, str]:
    found = {}
    async with httpx.AsyncClient(verify=False) as http:
        for repository, tag in known:
            url = f"{world.team.registry.url}/v2/{repository}/manifests/{tag}"
            answer = await http.head(url, headers={"Accept": _ACCEPT})
            if answer.status_code == 200:
                found[repository, tag] = answer.headers["Docker-Content-Digest"]
    return found


def _changes(world: World) -> list[Change]:
    log = (world.team.registry.state / "registry.log").read_bytes()
    found = [Change(*(part.decode() for part in match)) for match in _DONE.findall(log)]
    first = len(world.images)  # the first were those of the beginning
    return [change for change in found[first:] if not change.repository.startswith("pushed/")]
