"""One tag of a request: written down before it is touched, and after."""

from bot.operations.context import Context, Registry
from bot.operations.locked import lock_on
from bot.registry.errors import NotFound
from bot.rules.approval import Item, ItemState, Request
from bot.store.jobs import Job


async def still_ours(ctx: Context, job: Job) -> None:
    """The fence guards our tables, not the registry: look again before each outside act.

    Raises
    ------
    LeaseLost : another process has taken the job over.
    """
    async with ctx.store.transaction(job):
        pass


async def digest_of(registry: Registry, item: Item) -> str | None:
    """What the tag points to now; None if it is not there."""
    try:
        return (await registry.client.head(item.repository, item.tag)).digest
    except NotFound:
        return None


async def attempting(
    ctx: Context, job: Job, request: Request, item: Item, event: str, placeholder: str = ""
) -> str:
    """Write down that the tag is about to be changed, so that a crash leaves an open attempt.

    Returns
    -------
    The lock that forbids it, in words, and then nothing was written; "" to go on.
    """
    async with ctx.store.transaction(job) as tx:
        lock = await lock_on(tx, request, item.repository)
        if lock is not None:
            return lock.sentence
        await tx.requests.set_item(
            request.id, item.position, ItemState.ATTEMPTING, placeholder=placeholder
        )
        await tx.audit.about(
            request,
            event,
            repository=item.repository,
            tag=item.tag,
            digest=item.digest,
            detail={"placeholder": placeholder} if placeholder else {},
        )
    return ""


async def settled(
    ctx: Context,
    job: Job,
    request: Request,
    item: Item,
    event: str,
    state: ItemState,
    detail: str,
) -> None:
    """Write down what became of the tag."""
    async with ctx.store.transaction(job) as tx:
        await tx.requests.set_item(request.id, item.position, state, detail=detail)
        await tx.audit.about(
            request,
            event,
            repository=item.repository,
            tag=item.tag,
            digest=item.digest,
            detail={"outcome": state, "detail": detail},
        )
        await tx.outbox.refresh(request.id)
