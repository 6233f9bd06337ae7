"""What a lock stands in the way of: asked wherever something is about to be planned or deleted.

Always inside the transaction that goes on: what is written there and a lock exclude each other.
"""

from bot.operations.errors import Refusal
from bot.rules.approval import Draft, Request
from bot.rules.locks import Lock, in_the_way, moment
from bot.rules.policy import Action
from bot.store.store import Transaction


async def standing_in_the_way(tx: Transaction, wanted: Draft | Request) -> Lock | None:
    """The lock that forbids what is asked for, or was approved; None if it may go on."""
    return in_the_way(
        await tx.locks.active(wanted.registry),
        Action(wanted.action),
        _repositories(wanted),
        untagged=bool(wanted.plan.get("delete_untagged")),
    )


async def lock_on(tx: Transaction, request: Request, repository: str) -> Lock | None:
    """The lock that keeps a request from touching one repository now."""
    locks = await tx.locks.active(request.registry)
    return in_the_way(locks, Action(request.action), [repository])


def _repositories(wanted: Draft | Request) -> list[str]:
    """What a request touches: the repositories of its items, or of the windows that it ends."""
    if wanted.action == Action.PURGE_REQUEST:
        return list(dict.fromkeys(str(window[0]) for window in wanted.plan["windows"]))
    return list(dict.fromkeys(item.repository for item in wanted.items))


def refusal(lock: Lock, before: str = "") -> Refusal:
    """The refusal of what a lock forbids: who, why, until when, and how to end it."""
    # Only our own mention may come alive in it, whatever the reason says.
    reason = lock.reason.replace("<", "‹")
    sentence = (
        f"{before} {lock.what} is locked by <@{lock.actor}> since {moment(lock.at)} and "
        f"{lock.ends} ({lock.name}: {reason})."
    )
    return Refusal(
        sentence.strip(),
        f"`{lock.unlock}` asks to end it. What is deleted already can still be undone.",
        names_people=True,
    )
