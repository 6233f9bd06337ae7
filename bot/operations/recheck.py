"""Reads everything pinned again, right before the first change."""

from bot.operations.context import Context
from bot.operations.deletion import rebuild
from bot.operations.errors import Refusal
from bot.operations.images import ImageReader
from bot.rules.approval import Request
from bot.rules.plan import DeletionPlan
from bot.rules.policy import Target


async def recheck(ctx: Context, request: Request) -> str:
    """What stands in the way of a deletion or purge by now; "" if all is as it was approved.

    Raises
    ------
    RegistryError : the registry does not answer.
    """
    registry = ctx.registry(request.registry)
    plan = DeletionPlan.from_json(request.plan)
    try:
        now = await rebuild(registry, ImageReader(ctx.store, registry), plan)
    except Refusal as refusal:
        return refusal.sentence
    if now.fingerprint != plan.fingerprint:
        return _what_moved(plan, now)
    return _protected_now(ctx, plan)


def _what_moved(then: DeletionPlan, now: DeletionPlan) -> str:
    """In words, how the registry differs from what was approved."""
    before = {(d.repository, t): d.digest for d in then.digests for t in d.tags}
    after = {(d.repository, t): d.digest for d in now.digests for t in d.tags}
    for (repository, tag), digest in before.items():
        current = after.get((repository, tag))
        if current is None:
            return f"{repository}:{tag} is gone"
        if current != digest:
            return f"{repository}:{tag} moved from {digest[:19]} to {current[:19]}"
    kept = {(d.repository, d.digest): set(d.tags) | set(d.kept_tags) for d in then.digests}
    for d in now.digests:
        on_it = set(d.tags) | set(d.kept_tags)
        changed = sorted(on_it ^ kept.get((d.repository, d.digest), set()))
        if changed:
            return (
                f"the tags on {d.repository}@{d.digest[:19]} have changed: {', '.join(changed[:5])}"
            )
    return "the registry has changed"


def _protected_now(ctx: Context, plan: DeletionPlan) -> str:
    """Which protection covers a tag of the plan by today's settings; "" if none does."""
    for repository, tag, _ in plan.tags:
        protection = ctx.policy.protection_of(Target(plan.registry, repository, tag))
        if protection is not None:
            return f"{repository}:{tag} is protected now ({protection.name})"
    return ""
