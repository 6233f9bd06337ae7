"""`delete` and `purge`: from references to a plan, and from a plan to a request."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from bot.operations import requesting
from bot.operations.browse import with_untagged
from bot.operations.choosing import digests_of, purged_along, refuse_needed, tags_of
from bot.operations.context import Asked, Context, Registry
from bot.operations.errors import Refusal
from bot.operations.facts import gather
from bot.operations.images import ImageReader
from bot.registry.client import DeleteSupport, UploadSupport
from bot.registry.errors import Forbidden, RegistryError, Unauthorized
from bot.registry.reference import (
    Reference,
    parse_reference,
)
from bot.rules.approval import Draft, Item, Request
from bot.rules.plan import (
    DeletionPlan,
    Snapshot,
    plan_purge,
    plan_untag,
)
from bot.rules.policy import Action, Target
from bot.rules.signing import following

UNTAG_BY_TAG = "tag"
UNTAG_BY_PLACEHOLDER = "placeholder"


async def request_delete(
    ctx: Context,
    asked: Asked,
    registry: Registry,
    references: Sequence[Reference],
    *,
    with_signatures: bool = False,
) -> Draft:
    """Plan to take tags away; nothing is stored or changed yet.

    Parameters
    ----------
    with_signatures : take the signature tags along whose image loses its last tag.

    Raises
    ------
    Refusal : a reference is not there or names too much, the policy forbids it, or the
        registry could not do it.
    RegistryError : the registry does not answer.
    """
    reader = ImageReader(ctx.store, registry)
    chosen = await tags_of(reader, references)
    return await request_untag(
        ctx, asked, registry, reader, chosen, with_signatures=with_signatures
    )


async def request_untag(
    ctx: Context,
    asked: Asked,
    registry: Registry,
    reader: ImageReader,
    chosen: Sequence[tuple[Snapshot, Sequence[str]]],
    *,
    action: Action = Action.DELETE,
    with_signatures: bool = False,
) -> Draft:
    """The same for tags that were chosen already: for each repository its snapshot and tags.

    Signatures that are taken along follow their image: the rule that lets the image go lets them
    go, but a protection of theirs keeps them.
    """
    targets = [Target(registry.name, s.repository, tag) for s, tags in chosen for tag in tags]
    along: dict[str, tuple[str, ...]] = {}
    if with_signatures:
        along = {s.repository: following(s, tags) for s, tags in chosen}
        chosen = [(s, (*tags, *along[s.repository])) for s, tags in chosen]
        _refuse_protected(ctx, registry, along)
    _refuse_too_many(ctx, sum(len(tags) for _, tags in chosen))
    rules = requesting.judge(ctx, asked, action, targets)
    plan = await untag_plan(ctx, registry, reader, chosen, action=action)
    plan = replace(plan, along=_pairs(along))
    items = [Item(n, repo, tag, digest) for n, (repo, tag, digest) in enumerate(plan.tags)]
    return requesting.draft(ctx, asked, registry, action, rules, plan=plan.as_json(), items=items)


async def untag_plan(
    ctx: Context,
    registry: Registry,
    reader: ImageReader,
    chosen: Sequence[tuple[Snapshot, Sequence[str]]],
    *,
    action: Action = Action.DELETE,
) -> DeletionPlan:
    """The whole plan to take these tags away, with all that is known of them.

    Raises
    ------
    Refusal : the registry could not do it.
    """
    digests = [(s, tuple(dict.fromkeys(s.tags[tag] for tag in tags))) for s, tags in chosen]
    _refuse_unreadable(digests)
    facts = await gather(ctx, registry, reader, digests)
    make = partial(plan_untag, registry.name, chosen, action=action, facts=facts)
    # Hundreds of digests among thousands take a second: others get their turn meanwhile.
    plan = await asyncio.to_thread(make)
    plan = replace(plan, method=await untag_method(registry, plan))
    return replace(plan, warnings=untag_warnings(plan))


def _refuse_unreadable(chosen: Sequence[tuple[Snapshot, Sequence[str]]]) -> None:
    """Nothing is deleted by a digest that is announced for a tag and that cannot be read."""
    for snapshot, digests in chosen:
        for digest in digests:
            tags = snapshot.tags_on(digest)
            if tags and digest in snapshot.missing:
                raise Refusal(
                    f"The registry announces {digest[:19]} for {snapshot.repository}:{tags[0]}, "
                    "and has no such manifest.",
                    "Look at the registry, and at any proxy or cache in front of it; "
                    f"`/registry doctor {snapshot.repository}` tells more.",
                )


def _pairs(along: Mapping[str, Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((repository, tag) for repository, tags in along.items() for tag in tags)


def _refuse_protected(ctx: Context, registry: Registry, along: Mapping[str, Sequence[str]]) -> None:
    for repository, tags in along.items():
        for tag in tags:
            protection = ctx.policy.protection_of(Target(registry.name, repository, tag))
            if protection is not None:
                raise Refusal(
                    f"The signature tag {repository}:{tag} is protected ({protection.name}).",
                    "Ask again without --with-signatures: the signature stays then.",
                )


def _refuse_too_many(ctx: Context, count: int) -> None:
    if count > ctx.max_tags:
        raise Refusal(
            f"That is {count} tags; one request may delete {ctx.max_tags}.",
            "Narrow the pattern, or ask for them in several requests.",
        )


def _targets(plan: DeletionPlan) -> list[Target]:
    return [Target(plan.registry, repository, tag) for repository, tag, _ in plan.tags]


async def untag_method(registry: Registry, plan: DeletionPlan) -> str:
    """How single tags can go on this registry; refuses where no way exists."""
    support = await deletable(registry, plan)
    if support is DeleteSupport.TAG:
        return UNTAG_BY_TAG
    purge = (
        f'`/registry purge {plan.digests[0].repository}:{plan.digests[0].tags[0]} --reason "…"` '
        "needs no push, but deletes the digest with every tag on it."
    )
    for repository in plan.repositories:
        try:
            accepted = await registry.client.probe_upload(repository)
        except (Unauthorized, Forbidden) as error:
            raise Refusal(
                f"Deleting one tag on this registry (distribution 2.x) needs the right to push to "
                f"{repository}, and the bot's account has none.",
                f"Give the account push on it. Otherwise: {purge}",
            ) from error
        except RegistryError as error:
            raise Refusal(
                "Deleting one tag on this registry (distribution 2.x) pushes a small placeholder, "
                f"and the registry does not accept uploads now: {error.sentence}",
                f"{error.hint} Otherwise: {purge}".strip(),
            ) from error
        if accepted is UploadSupport.READ_ONLY:
            raise _read_only()
    return UNTAG_BY_PLACEHOLDER


async def deletable(registry: Registry, plan: DeletionPlan) -> DeleteSupport:
    """What the registry can delete; refuses if nothing, before anybody approves it."""
    support = DeleteSupport.DIGEST
    for repository in plan.repositories:
        support = await registry.client.probe_delete(repository)
        if support is DeleteSupport.OFF:
            raise Refusal(
                "This registry has deletion switched off.",
                "Set `storage.delete.enabled: true` in the registry's configuration "
                "(REGISTRY_STORAGE_DELETE_ENABLED=true) and restart it.",
            )
        if support is DeleteSupport.READ_ONLY:
            raise _read_only()
    return support


def _read_only() -> Refusal:
    return Refusal(
        "The registry is read-only at the moment, probably for a garbage collection.",
        "Try again when it has ended; `/registry status` tells.",
    )


def untag_warnings(plan: DeletionPlan) -> tuple[str, ...]:
    """What approvers should know of the way in which tags go on this registry."""
    warnings = []
    if plan.method == UNTAG_BY_PLACEHOLDER:
        warnings.append(
            "This registry is distribution 2.x: each tag is overwritten by a placeholder, which "
            "is then deleted. Whoever listens to its notifications sees one push a tag."
        )
    return (*warnings, *_missing(plan))


def _missing(plan: DeletionPlan) -> tuple[str, ...]:
    broken = [d for d in plan.digests if d.missing_children]
    return tuple(
        f"{d.repository}@{d.digest[:19]} lists {len(d.missing_children)} images that the registry "
        "does not have: it is broken already, and an undo cannot bring it back."
        for d in broken
    )


async def request_purge(
    ctx: Context,
    asked: Asked,
    registry: Registry,
    references: Sequence[Reference],
    *,
    with_signatures: bool = False,
) -> Draft:
    """Plan to delete digests with every tag on them, without an undo window.

    Parameters
    ----------
    with_signatures : take the signatures along whose image goes.

    Raises
    ------
    Refusal : as for `delete`; also where a tagged index outside the request needs a digest.
    RegistryError : the registry does not answer.
    """
    if not asked.reason:
        raise Refusal(
            "A purge needs a reason: it has no undo window.", 'Add --reason "why it must go".'
        )
    reader = ImageReader(ctx.store, registry)
    chosen = await digests_of(reader, references)
    named = plan_purge(registry.name, chosen)
    targets = _targets(named)
    untagged = [Target(registry.name, d.repository, None) for d in named.digests if not d.tags]
    along: dict[str, tuple[str, ...]] = {}
    if with_signatures:
        along = {s.repository: purged_along(s, digests) for s, digests in chosen}
        _refuse_protected(ctx, registry, along)
        chosen = [
            (s, (*digests, *(s.tags[tag] for tag in along[s.repository]))) for s, digests in chosen
        ]
    _refuse_unreadable(chosen)
    refuse_needed(chosen)
    rules = requesting.judge(ctx, asked, Action.PURGE, [*targets, *untagged])
    facts = await gather(ctx, registry, reader, chosen)
    plan = await asyncio.to_thread(partial(plan_purge, registry.name, chosen, facts=facts))
    _refuse_too_many(ctx, max(len(plan.tags), len(plan.digests)))
    await deletable(registry, plan)
    plan = replace(plan, warnings=_missing(plan), along=_pairs(along))
    items = [Item(n, d.repository, "", d.digest) for n, d in enumerate(plan.digests)]
    return requesting.draft(
        ctx, asked, registry, Action.PURGE, rules, plan=plan.as_json(), items=items
    )


async def request_again(
    ctx: Context,
    asked: Asked,
    registry: Registry,
    request: Request,
    *,
    with_signatures: bool = False,
) -> Draft:
    """The same deletion, planned anew; signatures go along where they did.

    Parameters
    ----------
    with_signatures : take them along also where they did not.

    Raises
    ------
    Refusal : as for the request itself; or it is no deletion of named images.
    """
    plan = DeletionPlan.from_json(request.plan)
    again = with_signatures or bool(plan.along)
    if request.action == Action.DELETE:
        named = [
            f"{d.repository}:{tag}"
            for d in plan.digests
            for tag in d.tags
            if (d.repository, tag) not in plan.along
        ]
    elif request.action == Action.PURGE:
        named = [
            f"{d.repository}@{d.digest}"
            for d in plan.digests
            if not any((d.repository, tag) in plan.along for tag in d.tags)
        ]
    else:
        raise Refusal(f"Ask for it again with `/registry {request.action}`.", "")
    references = [parse_reference(name) for name in named]
    ask = request_delete if request.action == Action.DELETE else request_purge
    return await ask(ctx, asked, registry, references, with_signatures=again)


async def rebuild(registry: Registry, reader: ImageReader, plan: DeletionPlan) -> DeletionPlan:
    """The same plan, made from what the registry has now. Compare fingerprints.

    Tags that are gone are missing in it; a purged digest that is gone has no tags.
    """
    chosen: list[tuple[Snapshot, Sequence[str]]] = []
    for repository in plan.repositories:
        snapshot = await reader.snapshot(repository)
        if plan.action != Action.PURGE:
            tags = [tag for repo, tag, _ in plan.tags if repo == repository]
            chosen.append((snapshot, [tag for tag in tags if tag in snapshot.tags]))
            _refuse_unreadable([(snapshot, [snapshot.tags[tag] for tag in chosen[-1][1]])])
        else:
            digests = [d.digest for d in plan.digests if d.repository == repository]
            for digest in digests:
                snapshot = await with_untagged(reader, snapshot, digest)
            chosen.append((snapshot, digests))
            _refuse_unreadable([chosen[-1]])
            refuse_needed([chosen[-1]])
    if plan.action == Action.PURGE:
        return await asyncio.to_thread(plan_purge, registry.name, chosen)
    make = partial(plan_untag, registry.name, chosen, action=plan.action)
    return await asyncio.to_thread(make)
