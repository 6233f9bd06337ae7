"""The one message of a preview."""

from bot.operations.context import Context
from bot.slack.letters.base import Way, tell
from bot.slack.letters.requests import not_too_often
from bot.slack.limits import code
from bot.slack.sending import Sender
from bot.slack.views import notices
from bot.slack.views.cleanup import preview as preview_message
from bot.store.outbox import Letter
from bot.store.store import Transaction


class Previews:
    """Keeps the messages of previews.

    Parameters
    ----------
    ctx : where they are stored.
    sender : says it.
    """

    def __init__(self, ctx: Context, sender: Sender) -> None:
        self._ctx = ctx
        self._sender = sender
        self.message = Way(self._message, self._message_refused)

    async def _message(self, letter: Letter) -> str:
        number = int(letter.payload["preview"])
        async with self._ctx.store.reading() as tx:
            preview = await tx.previews.get(number)
            since = await tx.previews.since_edit(number)
        if not preview.channel:
            return ""
        not_too_often(self._ctx, preview.message_ts, since)
        shown = preview_message(preview)
        ts = await self._sender.keep(preview.channel, preview.message_ts, shown, since)
        async with self._ctx.store.transaction() as tx:
            await tx.previews.change(number, message_ts=ts)
            await tx.previews.edited(number)
        return ts

    async def _message_refused(self, tx: Transaction, letter: Letter, error: str) -> str:
        """What a cleanup would take is for the channel; that it cannot be shown is for one."""
        preview = await tx.previews.get(int(letter.payload["preview"]))
        said = (
            f"I cannot show the cleanup preview of {code(preview.repository)} in "
            f"<#{preview.channel}> ({error}). Invite me there, then ask again."
        )
        return await tell(
            self._ctx,
            tx,
            preview.actor,
            preview.registry,
            preview.channel,
            notices.said(said),
            once=f"{preview.name} refused",
        )
