"""What a cleanup looks for, and the look itself: it reads a repository and changes nothing."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from bot.operations.browse import leaves_of
from bot.operations.context import Context, Registry
from bot.operations.errors import Refusal
from bot.operations.images import ImageReader, OnProgress
from bot.registry.manifest import Image
from bot.registry.reference import match_tag, signed_digest
from bot.rules.plan import Snapshot
from bot.rules.policy import Target
from bot.rules.preview import Result, Row, Spec, Stays
from bot.rules.retention import (
    Candidate,
    Judged,
    Keep,
    Outcome,
    bytes_of,
    decide,
    most_that_fit,
)
from bot.rules.signing import following

_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Looked:
    """A repository as it was looked at.

    `goes` is what one request can take, the oldest first, `along` the signature tags that follow
    these, and `above` what would go as well without the ceiling. `held` are the signature tags
    that a protection holds: they stay whatever happens to their image.
    """

    snapshot: Snapshot
    outcome: Outcome
    unmatched: int
    goes: tuple[Judged, ...]
    along: tuple[str, ...]
    above: tuple[Judged, ...]
    held: frozenset[str]


def typed(repository: str, *, keep: int | None, young: float | None, match: str) -> Spec:
    """What somebody typed, as keep entries; without any of the three nothing is kept.

    Parameters
    ----------
    keep : so many of the newest stay.
    young : what is younger than so many seconds stays.
    match : only tags that match this are looked at.

    Raises
    ------
    Refusal : it would take every tag of the repository.
    """
    if not keep and young is None and not match:
        raise Refusal(
            f"--keep 0 alone would take every tag of {repository}.",
            "Say which tags are meant, such as `--match pr-*`, or what is old, such as "
            "`--older-than 30d`.",
        )
    entry = Keep(most_recent_count=keep or None, created_within=young)
    return Spec(() if entry == Keep() else (entry,), match)


def by_rules(ctx: Context, repository: str) -> Spec:
    """What the retention rules say about a repository; refuses where none does.

    Several rules together keep whatever one of them keeps.
    """
    rules = [rule for rule in ctx.retention if rule.covers(repository)]
    if not rules:
        raise Refusal(
            f"No [[retention]] rule covers {repository}, so say what is to stay.",
            f"Type for example `/registry cleanup {repository} --keep 10 --older-than 30d`: the "
            "10 newest stay, and what is younger than 30 days.",
        )
    keep = dict.fromkeys(entry for rule in rules for entry in rule.keep)
    return Spec(tuple(keep), rules=tuple(rule.name for rule in rules))


def refuse_if_changed(ctx: Context, repository: str, spec: Spec) -> None:
    """Refuse what the retention rules said where they say something else by now."""
    if not spec.rules:
        return
    try:
        same = by_rules(ctx, repository) == spec
    except Refusal:
        same = False
    if not same:
        raise Refusal(
            f"The retention rules for {repository} have changed since this was looked at.",
            f"Look again with `/registry cleanup {repository}`.",
        )


async def tags_meant(reader: ImageReader, repository: str, match: str) -> int:
    """How many tags there are to look at; refuses an unknown repository, and a glob that is off."""
    plain = [tag for tag in await reader.tags(repository) if signed_digest(tag) is None]
    if not plain:
        raise Refusal(f"{repository} has no tags.", "There is nothing to clean up in it.")
    wanted = [tag for tag in plain if not match or match_tag(match, tag)]
    if not wanted:
        raise Refusal(
            f"No tag of {repository} matches {match}.",
            f"`/registry tags {repository}` lists all {len(plain)}.",
            tuple(get_close_matches(match, plain, 3, 0.4)),
        )
    return len(wanted)


async def look(
    ctx: Context,
    registry: Registry,
    repository: str,
    spec: Spec,
    on_progress: OnProgress | None = None,
) -> Looked:
    """Read a repository and judge its tags.

    Raises
    ------
    Refusal : the repository is gone.
    RegistryError : the registry does not answer.
    """
    reader = ImageReader(ctx.store, registry)
    seen = [0, 0]

    def reading(done: int, total: int) -> None:
        seen[:] = done, total
        if on_progress:
            on_progress(done, total)

    def dating(done: int, total: int) -> None:
        if on_progress:
            on_progress(seen[0] + done, seen[1] + total)

    snapshot = await reader.snapshot(repository, reading)
    plain = [tag for tag in snapshot.tags if signed_digest(tag) is None]
    wanted = [tag for tag in plain if not spec.match or match_tag(spec.match, tag)]
    dates = await _dates(reader, snapshot, {snapshot.tags[tag] for tag in wanted}, dating)
    meant = set(wanted)
    candidates = [
        Candidate(tag, digest, dates.get(digest), _held(ctx, registry, repository, tag))
        for tag, digest in snapshot.tags.items()
        if tag in meant or signed_digest(tag) is not None
    ]
    async with ctx.store.reading() as tx:
        now = await tx.now()
    # Thousands of tags are judged in the time of some answers: let others have theirs.
    return await asyncio.to_thread(
        _judge, snapshot, candidates, spec, now, ctx.max_tags, len(plain) - len(wanted)
    )


async def _dates(
    reader: ImageReader, snapshot: Snapshot, digests: set[str], on_progress: OnProgress
) -> dict[str, float | None]:
    """When each image was built by its config; an index is as old as its newest child."""
    below = {digest: [image for image, _ in leaves_of(snapshot, digest)] for digest in digests}
    images: dict[str, Image] = {i.digest: i for found in below.values() for i in found}
    configs = await reader.configs(snapshot.repository, images, on_progress)
    created = {d: c.created.timestamp() for d, c in configs.items() if c.created is not None}
    return {
        digest: max((created[i.digest] for i in images if i.digest in created), default=None)
        for digest, images in below.items()
    }


def _held(ctx: Context, registry: Registry, repository: str, tag: str) -> str:
    protection = ctx.policy.protection_of(Target(registry.name, repository, tag))
    return protection.name if protection else ""


def _judge(
    snapshot: Snapshot,
    candidates: list[Candidate],
    spec: Spec,
    now: float,
    ceiling: int,
    unmatched: int,
) -> Looked:
    outcome = decide(candidates, spec.keep, now)
    expire = outcome.expire
    held = frozenset(c.tag for c in candidates if c.protected and signed_digest(c.tag) is not None)
    tags = [judged.tag for judged in expire]
    count, along = within(ceiling, snapshot, held, tags)
    return Looked(snapshot, outcome, unmatched, expire[:count], along, expire[count:], held)


def within(
    ceiling: int, snapshot: Snapshot, held: frozenset[str], tags: Sequence[str]
) -> tuple[int, tuple[str, ...]]:
    """How many of `tags` one request can take, and the signature tags that follow these."""

    def along(count: int) -> tuple[str, ...]:
        return tuple(t for t in following(snapshot, tags[:count]) if t not in held)

    count = most_that_fit(len(tags), ceiling, lambda taken: len(along(taken)))
    return count, along(count)


def result_of(looked: Looked, note: str = "") -> Result:
    """What a preview shows of a look."""
    outcome = looked.outcome
    reasons: dict[str, list[str]] = {}
    for kept in outcome.keep:
        reasons.setdefault(kept.why, []).append(kept.tag)
    return Result(
        tags=len(looked.snapshot.tags) - len(outcome.signatures),
        goes=tuple(
            Row(j.tag, j.candidate.digest, j.candidate.created or 0.0, j.why) for j in looked.goes
        ),
        along=looked.along,
        above=len(looked.above),
        stays=tuple(_stays(why, tags) for why, tags in reasons.items()),
        unmatched=looked.unmatched,
        ancient=_stays("dated before 1971", [c.tag for c in outcome.ancient]),
        undated=_stays("without a creation date", [c.tag for c in outcome.undated]),
        signatures=len(outcome.signatures),
        size=bytes_of(looked.snapshot, [*(j.tag for j in looked.goes), *looked.along]),
        note=note,
    )


def _stays(why: str, tags: Sequence[str]) -> Stays:
    return Stays(why, len(tags), tuple(tags[:_EXAMPLES]))


def rows(looked: Looked) -> list[tuple[str, str, str, float | None, str]]:
    """Every tag that was looked at: outcome, tag, digest, when it was built, and why."""
    outcome = looked.outcome
    return [
        *(("goes", *_row(j)) for j in looked.goes),
        *(("would go next time", *_row(j)) for j in looked.above),
        *(("stays", *_row(j)) for j in outcome.keep),
        *(("stays", c.tag, c.digest, c.created, "dated before 1971") for c in outcome.ancient),
        *(("stays", c.tag, c.digest, None, "no creation date") for c in outcome.undated),
        *(
            ("goes", tag, looked.snapshot.tags[tag], None, "follows its image")
            for tag in looked.along
        ),
    ]


def _row(judged: Judged) -> tuple[str, str, float | None, str]:
    return judged.tag, judged.candidate.digest, judged.candidate.created, judged.why
