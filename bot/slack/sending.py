"""Sends messages so that Slack takes them: in simpler words if need be, anew if one is gone."""

from collections.abc import Iterator, Mapping
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.delivery import GONE, NOT_TAKEN, Later, code_of
from bot.slack.limits import cut
from bot.slack.views.blocks import Message, without_new_blocks

log = structlog.get_logger()

_SHORT = 500
_ANEW = 60.0
_SILENT: Mapping[str, Any] = {"unfurl_links": False, "unfurl_media": False}


class Sender:
    """Every method raises `SlackApiError`, `OSError` or `aiohttp.ClientError` where it fails.

    Parameters
    ----------
    client : with the bot's token and no retry handlers: retrying is the outbox's job.
    """

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client

    async def post(self, channel: str, shown: Message, thread: str = "") -> str:
        """Say something to a channel, or to the person with this id; the `ts` of the message.

        Parameters
        ----------
        thread : `ts` of the message below which it is said.
        """
        return str((await self._post(channel, shown, thread))["ts"])

    async def below(self, channel: str, thread: str, shown: Message, alone: Message) -> str:
        """Say something in a thread, or to the channel as `alone` where there is none any more.

        The `ts` of the message.
        """
        try:
            return await self.post(channel, shown, thread)
        except SlackApiError as error:
            if code_of(error) not in GONE:
                raise
        return await self.post(channel, alone)

    async def direct(self, user: str, shown: Message) -> tuple[str, str]:
        """Say something to a person; the id of their conversation and the `ts` of the message."""
        answer = await self._post(user, shown)
        return str(answer["channel"]), str(answer["ts"])

    async def _post(self, channel: str, shown: Message, thread: str = "") -> Any:
        below = {"thread_ts": thread} if thread else {}
        return await _simpler(
            self._client.chat_postMessage, shown, channel=channel, **below, **_SILENT
        )

    async def ephemeral(self, channel: str, user: str, shown: Message) -> None:
        """Say something in a channel that one person of it sees."""
        await _simpler(self._client.chat_postEphemeral, shown, channel=channel, user=user)

    async def edit(self, channel: str, ts: str, shown: Message) -> None:
        """Let a message say something else."""
        await _simpler(self._client.chat_update, shown, channel=channel, ts=ts)

    async def keep(self, channel: str, ts: str, shown: Message, since: float) -> str:
        """Edit the one message of something, or post it where there is none; its `ts`.

        Parameters
        ----------
        since : seconds since this was last done. A message that cannot be edited is posted anew,
            but where that happens to each one the channel gets no more than one in a minute.
        """
        if ts:
            try:
                await self.edit(channel, ts, shown)
            except SlackApiError as error:
                if code_of(error) not in GONE:
                    raise
                if since < _ANEW:
                    raise Later(_ANEW - since, code_of(error)) from error
                log.warning("a message is posted again", channel=channel, error=code_of(error))
            else:
                return ts
        return await self.post(channel, shown)

    async def fill(self, where: Mapping[str, str], view: dict[str, Any]) -> None:
        """Show something else in a modal."""
        await self._client.views_update(**where, view=view)


def simpler(shown: Message) -> Iterator[Message]:
    """A message as it is meant, then in older blocks, as text, and as the beginning of that."""
    yield shown
    older = without_new_blocks(shown)
    if older["blocks"] != shown.get("blocks"):
        yield older
    yield {"text": shown["text"]}
    if len(shown["text"]) > _SHORT:
        yield {"text": cut(shown["text"], _SHORT)}


async def _simpler(call: Any, shown: Message, **where: Any) -> Any:
    refused: SlackApiError | None = None
    for attempt in simpler(shown):
        try:
            return await call(**where, **attempt)
        except SlackApiError as error:
            if code_of(error) not in NOT_TAKEN:
                raise
            log.warning("Slack refused a form of a message", error=str(error.response.data)[:500])
            refused = error
    assert refused is not None  # noqa: S101 - there is always a first form
    raise refused
