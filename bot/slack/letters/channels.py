"""What is said to a whole channel: shared answers, the bot's own words, the head of the trail."""

from typing import Any

from slack_sdk.errors import SlackApiError

from bot.operations.context import Context
from bot.slack.delivery import Later, Meaning, code_of, meaning
from bot.slack.letters.base import (
    NOTHING,
    Way,
    another_channel,
    not_there_yet,
    nothing,
    tell,
)
from bot.slack.sending import Sender
from bot.slack.views import announcements, audit, notices
from bot.slack.views.blocks import Message
from bot.store.outbox import Letter
from bot.store.store import Transaction

_UNINVITED = 300.0


class Channels:
    """Speaks to channels.

    Parameters
    ----------
    ctx : where it is stored.
    sender : says it.
    """

    def __init__(self, ctx: Context, sender: Sender) -> None:
        self._ctx = ctx
        self._sender = sender
        self.post = Way(self._post, self._post_refused)
        self.announcement = Way(self._announce, self._announcement_refused)
        self.anchor = Way(self._anchor, nothing)

    async def _post(self, letter: Letter) -> str:
        return await self._sender.post(letter.payload["channel"], letter.payload["message"])

    async def _post_refused(self, tx: Transaction, letter: Letter, error: str) -> str:
        user, channel = letter.payload["user"], letter.payload["channel"]
        said = f"I could not post in <#{channel}> ({error}). Invite me there, try again."
        return await tell(self._ctx, tx, user, "", channel, notices.said(said))

    async def _announce(self, letter: Letter) -> str:
        payload = letter.payload
        shown = _words(payload)
        if not payload["preview"]:
            return await self._sender.post(payload["channel"], shown)
        async with self._ctx.store.reading() as tx:
            preview = await tx.previews.get(int(payload["preview"]))
        if not preview.message_ts:
            await not_there_yet(self._ctx, letter, "the preview has no message", preview=preview.id)
        return await self._sender.below(payload["channel"], preview.message_ts, shown, shown)

    async def _announcement_refused(self, tx: Transaction, letter: Letter, error: str) -> str:
        payload = letter.payload
        if payload["preview"]:
            preview = await tx.previews.get(int(payload["preview"]))
            registry, user = preview.registry, preview.actor
            return await tell(self._ctx, tx, user, registry, preview.channel, _words(payload))
        registry = str(payload["data"].get("registry", ""))
        other = another_channel(self._ctx, registry, payload["channel"])
        if not other:
            return NOTHING
        why = f"Meant for <#{payload['channel']}>, where I cannot say it ({error})."
        message = notices.about(why, _words(payload))
        await tx.outbox.post({"user": "", "channel": other, "message": message})
        return "another channel is told"

    async def _anchor(self, letter: Letter) -> str:
        shown, channel = audit.posted(letter.payload["data"]), letter.payload["channel"]
        try:
            return await self._sender.post(channel, shown)
        except SlackApiError as error:
            if meaning(error) is not Meaning.REFUSED:
                raise
            # Somebody may invite the bot: what `status` and `check` ask them to do.
            raise Later(_UNINVITED, code_of(error)) from error


def _words(payload: Any) -> Message:
    return announcements.announcement(payload["notice"], payload["data"])
