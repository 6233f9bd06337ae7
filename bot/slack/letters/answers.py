"""Answers: to one person, by whatever way still leads to them."""

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError

from bot.slack.delivery import (
    NOT_TAKEN,
    Later,
    Meaning,
    backoff,
    code_of,
    is_in_slack,
    meaning,
    seconds,
)
from bot.slack.letters.base import Way, nothing
from bot.slack.sending import Sender, simpler
from bot.slack.views import notices
from bot.slack.views.blocks import Message
from bot.store.outbox import RESPONSE_URL_LIFE, Letter

log = structlog.get_logger()

_HOOK_TRIES = 4  # an address that does not answer so often is left for another way


class Answers:
    """Tells people what only they see.

    Parameters
    ----------
    sender : says it by the Web API.
    session : says it to a response_url; asked for only while there is one.
    hooks : the beginning that a response_url must have.
    """

    def __init__(
        self, sender: Sender, session: Callable[[], aiohttp.ClientSession], hooks: str
    ) -> None:
        self._sender = sender
        self._session = session
        self._hooks = hooks
        self.answer = Way(self._deliver, nothing)

    async def _deliver(self, letter: Letter) -> str:
        payload = letter.payload
        if not is_in_slack(payload["user"]):
            return ""
        modal = payload.get("modal")
        if modal and await self._fill(modal):
            return ""
        shown: Message | None = payload["message"]
        if shown is None:
            return ""
        url = self._url(letter)
        if url and await self._hook(letter, url, shown):
            return ""
        refused: SlackApiError | None = None
        for way in self._ways(letter, shown):
            try:
                return await way()
            except SlackApiError as error:
                if meaning(error) is not Meaning.REFUSED:
                    raise
                log.info("an answer takes another way", letter=letter.id, error=code_of(error))
                refused = error
        assert refused is not None  # noqa: S101 - there is always the direct message
        raise refused

    def _ways(self, letter: Letter, shown: Message) -> list[Callable[[], Awaitable[str]]]:
        """Where they asked, then their direct messages; the other way round for a late answer.

        What one person sees in a channel is gone when they look again hours later.
        """
        user, channel = letter.payload["user"], letter.payload.get("channel")
        is_late = letter.age >= RESPONSE_URL_LIFE
        if is_late:
            shown = notices.late(shown, time.time() - letter.age)
        direct = partial(self._sender.post, user, shown)
        if not channel:
            return [direct]
        there = partial(self._in_channel, channel, user, shown)
        return [direct, there] if is_late else [there, direct]

    async def _in_channel(self, channel: str, user: str, shown: Message) -> str:
        await self._sender.ephemeral(channel, user, shown)
        return ""

    async def _fill(self, modal: Mapping[str, Any]) -> bool:
        """Show an answer in the modal that waits for it; False where it cannot be shown there."""
        try:
            await self._sender.fill(modal["where"], modal["view"])
        except SlackApiError as error:
            if meaning(error) is not Meaning.REFUSED:
                raise
            if code_of(error) != "not_found":  # They closed it, or it was never open.
                log.warning("Slack refused a view", error=str(error.response.data)[:500])
            return False
        return True

    def _url(self, letter: Letter) -> str:
        """The response_url, while Slack honours it."""
        url = letter.response_url or ""
        usable = letter.age < RESPONSE_URL_LIFE and letter.attempts <= _HOOK_TRIES
        return url if usable and url.startswith(self._hooks) else ""

    async def _hook(self, letter: Letter, url: str, shown: Message) -> bool:
        """Whether Slack took it; False where another way must be found."""
        status, word = 0, ""
        for form in simpler(shown):
            body = {"response_type": "ephemeral", "replace_original": False, **form}
            async with self._session().post(url, json=body) as response:
                status, headers = response.status, response.headers
                word = _word(status, await response.text())
            if status == 429:
                raise Later(seconds(headers.get("Retry-After")) or backoff(letter), "429")
            if status >= 500:
                raise Later(backoff(letter), str(status))
            if not word:
                return True
            if word not in NOT_TAKEN:
                break
        log.info("a response_url was not taken", letter=letter.id, status=status, error=word)
        return False


def _word(status: int, text: str) -> str:
    """Why a response_url did not take something; "" if it did. Slack answers `ok`, or JSON."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    if isinstance(told, Mapping):
        word = "" if told.get("ok") else str(told.get("error") or "refused")
    else:
        word = "" if text.strip() in {"ok", ""} else text.strip()
    word = next((known for known in sorted(NOT_TAKEN) if known in word), word[:80])
    return word or ("" if status == 200 else str(status))
