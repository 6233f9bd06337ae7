"""The one message of a request, and what is said in its thread."""

from bot.operations.context import Context
from bot.rules.approval import Request
from bot.slack.delivery import Later
from bot.slack.letters.base import NOTHING, Way, not_there_yet, nothing, tell
from bot.slack.sending import Sender
from bot.slack.views import notices
from bot.slack.views.request import request as request_message
from bot.slack.views.request import stands
from bot.store.outbox import Letter
from bot.store.store import Transaction


class Requests:
    """Keeps the messages of requests.

    Parameters
    ----------
    ctx : where they are stored.
    sender : says it.
    """

    def __init__(self, ctx: Context, sender: Sender) -> None:
        self._ctx = ctx
        self._sender = sender
        self.message = Way(self._message, self._message_refused)
        self.thread = Way(self._thread, self._thread_refused)
        self.correction = Way(self._correct, nothing)

    async def _get(self, letter: Letter) -> Request:
        async with self._ctx.store.reading() as tx:
            return await tx.requests.get(letter.request_id or 0)

    async def _message(self, letter: Letter) -> str:
        request = await self._get(letter)
        if not request.channel:
            return ""  # asked for outside of Slack, on a registry that no channel serves
        async with self._ctx.store.reading() as tx:
            since = await tx.requests.since_edit(request.id)
        not_too_often(self._ctx, request.message_ts, since)
        shown = request_message(request)
        ts = await self._sender.keep(request.channel, request.message_ts, shown, since)
        async with self._ctx.store.transaction() as tx:
            if not await tx.outbox.is_ours(letter):
                return await self._too_late(tx, request, ts)
            await tx.requests.change(request.id, message_ts=ts)
            await tx.requests.edited(request.id)
        return ts

    async def _too_late(self, tx: Transaction, request: Request, ts: str) -> str:
        """Another process took the letter over and may have said something newer before this."""
        now = await tx.requests.get(request.id)
        if not now.message_ts:
            await tx.requests.change(request.id, message_ts=ts)
        elif now.message_ts != ts:
            await tx.outbox.retire(request.id, request.channel, ts)
        await tx.outbox.refresh(request.id)
        return now.message_ts or ts

    async def _message_refused(self, tx: Transaction, letter: Letter, error: str) -> str:
        """Progress is not told privately: once for every state is enough."""
        request = await tx.requests.get(letter.request_id or 0)
        said = (
            f"{stands(request)}, but I cannot say so in <#{request.channel}> ({error}). "
            f"Invite me there; until then `/registry show {request.name}`, "
            f"`/registry approve {request.name}` and `/registry cancel {request.name}` work."
        )
        return await tell(
            self._ctx,
            tx,
            request.requester,
            request.registry,
            request.channel,
            notices.said(said),
            once=f"{request.name} {request.state}",
        )

    async def _thread(self, letter: Letter) -> str:
        request = await self._get(letter)
        if not request.channel:
            return ""
        shown = notices.notice(request, letter.payload["notice"], letter.payload["data"])
        if shown is None:
            return ""
        if not request.message_ts:
            await not_there_yet(self._ctx, letter, "the request has no message", request=request.id)
        alone = notices.about(request.name, shown)
        return await self._sender.below(request.channel, request.message_ts, shown, alone)

    async def _thread_refused(self, tx: Transaction, letter: Letter, error: str) -> str:
        request = await tx.requests.get(letter.request_id or 0)
        shown = notices.notice(request, letter.payload["notice"], letter.payload["data"])
        if shown is None:
            return NOTHING
        why = f"I cannot say this in <#{request.channel}> ({error})."
        shown = notices.about(f"{request.name}. {why}", shown)
        return await tell(
            self._ctx, tx, request.requester, request.registry, request.channel, shown
        )

    async def _correct(self, letter: Letter) -> str:
        payload = letter.payload
        ts = str(payload["ts"])
        shown = payload.get("message") or notices.said(
            f"This is a second copy of R{letter.request_id}; the other one is kept up to date."
        )
        await self._sender.edit(payload["channel"], ts, shown)
        return ts


def not_too_often(ctx: Context, ts: str, since: float) -> None:
    """Leave a message alone that was edited `since` seconds ago; raises `Later`."""
    if ts and since < ctx.timing.edit:
        raise Later(ctx.timing.edit - since + 0.01, "not more than one edit in 3 s")
