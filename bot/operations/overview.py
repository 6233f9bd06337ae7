"""What one person wants to see at a glance: their requests, what waits for them, registries."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from bot.operations import browse
from bot.operations.browse import Health
from bot.operations.context import Context
from bot.operations.eligibility import requester, rules_in_force
from bot.rules.approval import Request, State
from bot.rules.policy import Actor
from bot.store.store import Transaction

_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class Overview:
    """The newest requests first; `waiting` are those that this person's approval would help."""

    mine: tuple[Request, ...]
    waiting: tuple[Request, ...]
    health: tuple[Health, ...]


async def overview(ctx: Context, actor: Actor, channels: Iterable[str]) -> Overview:
    """What concerns somebody.

    Parameters
    ----------
    channels : where they are a member; nothing of other channels is told.
    """
    seen = set(channels)
    listed = [channel for channel in ctx.policy.channels if channel.id in seen]
    names = list(dict.fromkeys(name for channel in listed for name in channel.registries))
    await ctx.refresh()
    health = await asyncio.gather(*(_health(ctx, name) for name in names))
    async with ctx.store.reading() as tx:
        open_ = [r for r in await _open(tx, names) if r.channel in seen]
    me = ctx.policy.person(actor.user)
    return Overview(
        tuple(r for r in open_ if ctx.policy.person(r.requester) == me),
        tuple(r for r in open_ if waits_for(ctx, r, actor)),
        tuple(health),
    )


def waits_for(ctx: Context, request: Request, actor: Actor) -> bool:
    """Whether an approval (or the confirmation) of this person would count now."""
    if request.state is not State.PENDING:
        return False
    rules = rules_in_force(ctx.policy, request)
    if not rules:
        return False
    return ctx.policy.vote(rules[0], actor, requester(request), request.approved_by).allowed


async def _open(tx: Transaction, registries: list[str]) -> list[Request]:
    found = [request for name in registries for request in await tx.requests.open_on(name)]
    return sorted(found, key=lambda request: -request.id)


async def _health(ctx: Context, name: str) -> Health:
    """How a registry is; one that takes too long does not hold up the others."""
    try:
        async with asyncio.timeout(_SECONDS):
            [health] = await browse.status(ctx, [ctx.registry(name)])
    except TimeoutError:
        return Health(name, f"does not answer within {_SECONDS:.0f} seconds", "Look at its host.")
    return health
