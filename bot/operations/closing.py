"""How a request ends that was not carried out: a change of state, and all that goes with it."""

from collections.abc import Mapping
from typing import Any

from bot.operations.context import Asked
from bot.operations.requesting import EXPIRE, REMIND
from bot.rules.approval import Request, State
from bot.store.audit import BOT
from bot.store.store import Transaction


async def decided(tx: Transaction, request: Request) -> None:
    """Nobody is waited for any more."""
    for kind in (EXPIRE, REMIND):
        await tx.jobs.drop(kind, request.id)


async def close(
    tx: Transaction,
    request: Request,
    state: State,
    *,
    why: str = "",
    told: Mapping[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
    asked: Asked | None = None,
) -> bool:
    """End a request that is still in the state it was read in; False if it has moved on.

    The audit trail, the request's message and its thread tell of it.

    Parameters
    ----------
    why : kept with the request as the reason.
    told : what the line in the thread needs to know.
    detail : what the audit trail says besides `why`.
    asked : who ended it, and where; by default the bot itself.
    """
    result = {"result": {**request.result, "why": why}} if why else {}
    now = await tx.now()
    if not await tx.requests.move(request.id, [request.state], state, finished_at=now, **result):
        return False
    await decided(tx, request)
    await tx.audit.about(
        request,
        f"request.{state}",
        actor=asked.actor.user if asked else BOT,
        team=asked.actor.team if asked else "",
        channel=asked.channel if asked else "",
        detail={**({"why": why} if why else {}), **(detail or {})},
    )
    await tx.outbox.refresh(request.id)
    await tx.outbox.thread(request.id, str(state), dict(told or {}))
    return True
