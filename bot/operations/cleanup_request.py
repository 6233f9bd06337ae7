"""From a preview to a request: made again from the registry, for exactly the previewed tags."""

from dataclasses import dataclass, replace

from bot.operations import cleanup, requesting
from bot.operations.context import Asked, Context
from bot.operations.deletion import untag_plan
from bot.operations.errors import Refusal
from bot.operations.images import ImageReader
from bot.rules.approval import Draft, Item
from bot.rules.plan import DeletionPlan
from bot.rules.policy import Action, Target
from bot.rules.preview import Preview, as_json


@dataclass(frozen=True, slots=True)
class _Left:
    """What of a preview is left to ask for, and what happened to the rest."""

    tags: tuple[str, ...]
    gone: tuple[str, ...]
    moved: tuple[str, ...]
    kept: tuple[str, ...]

    @property
    def in_words(self) -> str:
        """What was left out, for people; "" if nothing was."""
        told = [
            f"{len(tags):,} {what} ({', '.join(tags[:3])}{', …' if len(tags) > 3 else ''})"
            for tags, what in (
                (self.gone, "gone"),
                (self.moved, "moved"),
                (self.kept, "to be kept by now"),
            )
            if tags
        ]
        return ", ".join(told)


async def request_cleanup(
    ctx: Context, asked: Asked, preview: Preview, looked: cleanup.Looked | None = None
) -> Draft:
    """Ask for what a preview shows; nothing is stored or changed yet.

    Tags that moved or vanished since are left out, and so are those that the keep rules keep by
    now. A protection that came in between refuses.

    Parameters
    ----------
    looked : what the repository is like at this moment, for whoever has just looked.

    Raises
    ------
    Refusal : nothing is left, the rules have changed, or the policy forbids it.
    RegistryError : the registry does not answer.
    """
    registry = ctx.registry(preview.registry)
    cleanup.refuse_if_changed(ctx, preview.repository, preview.spec)
    if looked is None:
        looked = await cleanup.look(ctx, registry, preview.repository, preview.spec)
    left = _left(preview, looked)
    if not left.tags:
        raise Refusal(
            f"Nothing that this preview shows is left to delete: {left.in_words}.",
            f"Look again with `/registry cleanup {preview.repository}`.",
        )
    count, along = cleanup.within(ctx.max_tags, looked.snapshot, looked.held, left.tags)
    going = [*left.tags[:count], *along]
    # Signatures follow their image: the rule that lets it go lets them go.
    targets = [Target(registry.name, preview.repository, tag) for tag in left.tags[:count]]
    rules = requesting.judge(ctx, asked, Action.CLEANUP, targets)
    reader, chosen = ImageReader(ctx.store, registry), [(looked.snapshot, going)]
    plan = await untag_plan(ctx, registry, reader, chosen, action=Action.CLEANUP)
    plan = replace(plan, along=tuple((preview.repository, tag) for tag in along))
    about = {
        "repository": preview.repository,
        "spec": as_json(preview.spec),
        "left_out": left.in_words,
    }
    return requesting.draft(
        ctx,
        asked,
        registry,
        Action.CLEANUP,
        rules,
        plan={**plan.as_json(), "cleanup": about},
        items=_items(plan),
    )


def _items(plan: DeletionPlan) -> list[Item]:
    return [Item(n, repo, tag, digest) for n, (repo, tag, digest) in enumerate(plan.tags)]


def _left(preview: Preview, looked: cleanup.Looked) -> _Left:
    now = looked.snapshot.tags
    expire = {judged.tag for judged in looked.outcome.expire}
    protected = {j.tag for j in looked.outcome.keep if j.candidate.protected}
    wanted = preview.result.goes
    gone = tuple(row.tag for row in wanted if row.tag not in now)
    moved = tuple(row.tag for row in wanted if now.get(row.tag, row.digest) != row.digest)
    there = [row.tag for row in wanted if now.get(row.tag) == row.digest]
    return _Left(
        # A protected one stays in: the policy refuses, and names the protection.
        tags=tuple(tag for tag in there if tag in expire or tag in protected),
        gone=gone,
        moved=moved,
        kept=tuple(tag for tag in there if tag not in expire and tag not in protected),
    )
