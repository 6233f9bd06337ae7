"""What the kinds of letters share: whom to tell instead, and where."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

from bot.operations.context import Context
from bot.slack.delivery import Later, Refused, backoff, is_in_slack
from bot.slack.views.blocks import Message
from bot.store.outbox import Letter
from bot.store.store import Transaction

NOTHING = "nothing can be done"


@dataclass(frozen=True, slots=True)
class Way:
    """One kind of letter.

    `deliver` says it and returns the `ts` of the message ("" where it has none). It raises
    `Later`, `Refused`, `SlackApiError`, `OSError` or `aiohttp.ClientError`.

    `refused` is told Slack's word for its refusal, in the transaction that closes the letter; it
    writes what is said otherwise, and returns in a few words for the log what that is.
    """

    deliver: Callable[[Letter], Awaitable[str]]
    refused: Callable[[Transaction, Letter, str], Awaitable[str]]


async def nothing(tx: Transaction, letter: Letter, error: str) -> str:  # noqa: ARG001
    """Nobody is waiting for it, or nobody can be told."""
    return NOTHING


async def not_there_yet(
    ctx: Context, letter: Letter, none: str, *, request: int = 0, preview: int = 0
) -> NoReturn:
    """Wait for the message of a request or preview that a letter belongs below.

    Raises
    ------
    Later : it is still to be written.
    Refused : none will come; `none` says so.
    """
    async with ctx.store.reading() as tx:
        if await tx.outbox.is_coming(request, preview=preview):
            raise Later(backoff(letter), "the message it belongs to is not there yet")
    raise Refused(none)


def another_channel(ctx: Context, registry: str, channel: str) -> str:
    """The first other channel that serves a registry; "" if there is none."""
    listed = (c.id for c in ctx.policy.channels if registry in c.registries)
    return next((found for found in listed if found and found != channel), "")


async def tell(
    ctx: Context,
    tx: Transaction,
    user: str,
    registry: str,
    channel: str,
    shown: Message,
    once: str = "",
) -> str:
    """Say to one person what cannot be said in a channel; to another channel if it was nobody.

    Parameters
    ----------
    registry : what it is about.
    channel : the one that does not take it.
    once : said once under this name; "" says it each time.
    """
    if once and await tx.outbox.has_been_said(once):
        return "that was told already"
    if is_in_slack(user):
        where = {"user": user, "channel": channel}
        await tx.outbox.answer({**where, "message": shown}, None, once)
        return "the person is told"
    other = another_channel(ctx, registry, channel)
    if not other:
        return NOTHING
    await tx.outbox.post({"user": "", "channel": other, "message": shown}, once)
    return "another channel is told"
