"""Delivers files: into the thread of a request, or to one person."""

import re

from slack_sdk.errors import SlackRequestError
from slack_sdk.web.async_client import AsyncWebClient

from bot.operations.context import Context
from bot.slack.delivery import Later, Refused, backoff, is_in_slack
from bot.slack.letters.base import Way, not_there_yet
from bot.slack.sending import Sender
from bot.slack.views import cleanup, files, notices
from bot.store.outbox import Letter
from bot.store.store import Transaction

_NOWHERE = "it has no message to stand below"
_STATUS = re.compile(r"status: (\d+)")


class Uploads:
    """Sends what the outbox calls a file.

    Parameters
    ----------
    ctx : where the outbox is.
    client : with the bot's token. The SDK asks it for an address, sends the bytes there without
        the token, and then tells Slack where to show them.
    sender : says to a person that a file comes.
    """

    def __init__(self, ctx: Context, client: AsyncWebClient, sender: Sender) -> None:
        self._ctx = ctx
        self._client = client
        self._sender = sender
        self.file = Way(self._deliver, self._refused)

    async def _deliver(self, letter: Letter) -> str:
        """Send one file; the id that Slack gave it.

        Raises
        ------
        Later : it cannot be sent now.
        Refused, SlackApiError : Slack does not take it.
        OSError, aiohttp.ClientError : no connection.
        """
        if "preview" in letter.payload:
            return await self._below_preview(letter)
        if letter.request_id is None:
            return await self._to_person(letter)
        return await self._in_thread(letter)

    async def _in_thread(self, letter: Letter) -> str:
        async with self._ctx.store.reading() as tx:
            request = await tx.requests.get(letter.request_id or 0)
        name, content = str(letter.payload["name"]), letter.payload.get("content")
        made = files.of_request(request, name, content) if request.channel else None
        if made is None:
            return ""
        if not request.message_ts:
            await not_there_yet(self._ctx, letter, _NOWHERE, request=request.id)
        return await self._upload(letter, made, request.channel, request.message_ts)

    async def _below_preview(self, letter: Letter) -> str:
        async with self._ctx.store.reading() as tx:
            preview = await tx.previews.get(int(letter.payload["preview"]))
        if not preview.channel:
            return ""
        if not preview.message_ts:
            await not_there_yet(self._ctx, letter, _NOWHERE, preview=preview.id)
        made = cleanup.file_of(preview, letter.payload["rows"])
        return await self._upload(letter, made, preview.channel, preview.message_ts)

    async def _to_person(self, letter: Letter) -> str:
        payload = letter.payload
        if not is_in_slack(payload["user"]):
            return ""
        made = files.File(payload["name"], payload["title"], payload["content"])
        if "dm" not in payload:
            # Files go to conversations, and only a message to a person tells which is theirs.
            dm, ts = await self._sender.direct(payload["user"], notices.file_comes(made.title))
            async with self._ctx.store.transaction() as tx:
                letter = await tx.outbox.note(letter, dm=dm, ts=ts)
        return await self._upload(letter, made, letter.payload["dm"])

    async def _upload(
        self, letter: Letter, made: files.File, channel: str, thread_ts: str | None = None
    ) -> str:
        try:
            answer = await self._client.files_upload_v2(
                filename=made.name,
                title=made.title,
                content=made.content,
                channel=channel,
                thread_ts=thread_ts,
            )
        except SlackRequestError as error:
            # The address for the bytes did not take them; the SDK has only words for that.
            found = _STATUS.search(str(error))
            status = int(found[1]) if found else 0
            if status == 429 or status >= 500:
                raise Later(backoff(letter), f"upload: {status}") from error
            raise Refused(f"upload refused with {status}") from error
        return str(answer["files"][0]["id"])

    async def _refused(self, tx: Transaction, letter: Letter, error: str) -> str:
        """Say so where the file was expected."""
        payload = await tx.outbox.payload(letter)
        if letter.request_id is not None:
            refused = {"why": error, "name": payload["name"]}
            await tx.outbox.thread(letter.request_id, "file refused", refused)
            return "the thread is told"
        if "preview" in payload:
            preview = await tx.previews.get(int(payload["preview"]))
            data = {"why": error, "title": f"the list of {preview.repository}"}
            await tx.outbox.announce(preview.channel, "file refused", data, preview=preview.id)
            return "the thread is told"
        said = notices.said(notices.file_refused(payload["title"], error))
        where = {"user": payload["user"], "channel": payload["channel"]}
        await tx.outbox.answer({**where, "message": said}, None)
        if "dm" in payload:
            # The line that announced it must not stand there alone.
            await tx.outbox.correct(payload["dm"], payload["ts"], said)
        return "the person is told"
