"""Delivers what the store says must be said: at least once, in order, inside Slack's rules."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.operations.context import Context
from bot.slack.delivery import (
    Later,
    Refused,
    backoff,
    code_of,
    is_in_slack,
    retry_after,
    seconds,
)
from bot.slack.limits import code
from bot.slack.uploads import Uploads
from bot.slack.views import announcements, audit, notices
from bot.slack.views.blocks import Message, without_new_blocks
from bot.slack.views.cleanup import preview as preview_message
from bot.slack.views.request import request as request_message
from bot.store.outbox import (
    ANCHOR,
    ANNOUNCE,
    ANSWER,
    FILE,
    POST,
    PREVIEW,
    REQUEST,
    RESPONSE_URL_LIFE,
    RETIRE,
    THREAD,
    Letter,
)
from bot.store.store import Transaction

log = structlog.get_logger()

_IDLE = 1.0
_AT_ONCE = 8  # letters under way; those with the same key still go one after the other
_GIVE_UP_ANSWER = 1800.0  # an answer that is half an hour late helps nobody
_GIVE_UP_FILE = 3600.0
_GIVE_UP = 2 * 86400.0
_UNINVITED = 300.0
_TRANSIENT = {
    "ratelimited",
    "rate_limited",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "team_added_to_org",
}
_SILENT: dict[str, Any] = {"unfurl_links": False, "unfurl_media": False}


class Notifier:
    """The loop that empties the outbox.

    Parameters
    ----------
    ctx : where the outbox is.
    client : with the bot's token and no retry handlers: retrying is this loop's job.
    hooks : the beginning that a response_url must have.
    worker : the name of this process.
    """

    def __init__(self, ctx: Context, client: AsyncWebClient, hooks: str, worker: str) -> None:
        self._ctx = ctx
        self._client = client
        self._hooks = hooks
        self._worker = worker
        self._uploads = Uploads(ctx, client)
        self._stopping = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None

    def stop(self) -> None:
        """Deliver what is due, then end."""
        self._stopping.set()
        self._ctx.store.spoke.set()

    async def run(self) -> None:
        """Deliver until stopped."""
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=15), trust_env=True
        ) as session:
            self._session = session
            await self._loop()

    async def _loop(self) -> None:
        """Hand letters to tasks, a few at a time: one slow call must not hold up every answer."""
        sending: set[asyncio.Task[None]] = set()
        while True:
            self._ctx.store.spoke.clear()
            letter = None
            try:
                if len(sending) < _AT_ONCE:
                    letter = await self._ctx.store.claim_letter(
                        self._worker, self._ctx.timing.letter
                    )
            except Exception:
                log.exception("the outbox cannot be read")
                await asyncio.sleep(_IDLE)
            if letter is not None:
                task = asyncio.create_task(self._send(letter))
                sending.add(task)
                task.add_done_callback(sending.discard)
                task.add_done_callback(lambda _: self._ctx.store.spoke.set())
            elif self._stopping.is_set() and not sending:
                return
            else:
                await self._wait()

    async def _send(self, letter: Letter) -> None:
        try:
            await self._deliver(letter)
        except Exception:
            # Its lease runs out, and it is tried again.
            log.exception("delivery failed", letter=letter.id, kind=letter.kind)

    async def _wait(self) -> None:
        delay = _IDLE
        with contextlib.suppress(Exception):
            async with self._ctx.store.reading() as tx:
                until = await tx.outbox.seconds_until_next()
            delay = min(_IDLE, max(until if until is not None else _IDLE, 0.05))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ctx.store.spoke.wait(), delay)

    async def _deliver(self, letter: Letter) -> None:
        deliver = {
            ANSWER: self._answer,
            REQUEST: self._request,
            THREAD: self._thread,
            POST: self._post,
            RETIRE: self._retire,
            PREVIEW: self._preview,
            ANNOUNCE: self._announce,
            FILE: self._uploads.deliver,
            ANCHOR: self._anchor,
        }[letter.kind]
        try:
            ts = await deliver(letter)
        except Later as later:
            await self._later(letter, later.delay, later.why)
        except Refused as refused:
            await self._failed(letter, refused.code)
        except SlackApiError as error:
            await self._refused(letter, error)
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            await self._later(letter, backoff(letter), type(error).__name__)
        else:
            async with self._ctx.store.transaction() as tx:
                await tx.outbox.sent(letter, ts)

    async def _refused(self, letter: Letter, error: SlackApiError) -> None:
        status = getattr(error.response, "status_code", None)
        if status is None:
            # The SDK could not read the answer, and hands out the bare response.
            await self._later(letter, backoff(letter), "no answer that can be read")
            return
        code = code_of(error)
        if status == 429 or code in _TRANSIENT:
            await self._later(letter, retry_after(error) or backoff(letter), code or "429")
        elif status >= 500:
            await self._later(letter, backoff(letter), str(status))
        else:
            log.warning("Slack refused a message", letter=letter.id, error=code)
            if letter.kind == ANCHOR:
                # Somebody may invite the bot: what `status` and `check` ask them to do.
                await self._later(letter, _UNINVITED, code)
            else:
                await self._failed(letter, code)

    async def _later(self, letter: Letter, delay: float, why: str) -> None:
        limit = _GIVE_UP_ANSWER if letter.kind == ANSWER else _GIVE_UP
        if letter.kind == FILE and letter.age > _GIVE_UP_FILE:
            await self._failed(letter, f"too old: {why}")
            return
        async with self._ctx.store.transaction() as tx:
            if letter.age > limit:
                await tx.outbox.failed(letter, f"too old: {why}")
            else:
                await tx.outbox.later(letter, delay, why)

    async def _failed(self, letter: Letter, error: str) -> None:
        """Close it, and tell privately what cannot be told where it belongs."""
        if letter.kind == FILE:
            await self._uploads.refused(letter, error)
            return
        async with self._ctx.store.transaction() as tx:
            await tx.outbox.failed(letter, error)
            if letter.kind == PREVIEW:
                await self._preview_failed(tx, letter, error)
            if letter.kind not in {REQUEST, POST} or letter.payload.get("fallback"):
                return
            if letter.kind == POST:
                user, channel = letter.payload["user"], letter.payload["channel"]
                said = f"I could not post in <#{channel}> ({error}). Invite me there, try again."
            else:
                request = await tx.requests.get(letter.request_id or 0)
                if request.message_ts:
                    return
                user, channel = request.requester, request.channel
                said = (
                    f"{request.name} is {request.state}, but I cannot post in <#{channel}> "
                    f"({error}). Invite me there; until then `/registry show {request.name}`, "
                    f"`/registry approve {request.name}` and `/registry cancel {request.name}` "
                    "work."
                )
            await tx.outbox.answer(
                {"user": user, "channel": channel, "message": notices.said(said)}, None
            )

    async def _answer(self, letter: Letter) -> str:
        payload = letter.payload
        if not is_in_slack(payload["user"]):
            return ""
        modal = payload.get("modal")
        if modal and await self._fill(modal):
            return ""
        shown: Message | None = payload["message"]
        if shown is None:
            return ""
        url = letter.response_url
        if url and letter.age < RESPONSE_URL_LIFE and url.startswith(self._hooks):
            body = {"response_type": "ephemeral", "replace_original": False, **shown}
            if await self._hook(url, body):
                return ""
        if payload.get("channel"):
            try:
                await self._with_fallback(
                    self._client.chat_postEphemeral,
                    shown,
                    channel=payload["channel"],
                    user=payload["user"],
                )
            except SlackApiError as error:
                if code_of(error) not in _NOT_THERE:
                    raise
            else:
                return ""
        answer = await self._with_fallback(
            self._client.chat_postMessage, shown, channel=payload["user"], **_SILENT
        )
        return str(answer["ts"])

    async def _fill(self, modal: Mapping[str, Any]) -> bool:
        """Show an answer in the modal that waits for it; False where it cannot be shown there."""
        try:
            await self._client.views_update(**modal["where"], view=modal["view"])
        except SlackApiError as error:
            code = str(error.response.get("error", "")) if error.response else ""
            if code in _TRANSIENT or getattr(error.response, "status_code", 200) != 200:
                raise
            if code != "not_found":  # They closed it, or it was never open.
                log.warning("Slack refused a view", error=str(error.response.data)[:500])
            return False
        return True

    async def _hook(self, url: str, body: Mapping[str, Any]) -> bool:
        """Whether Slack took it; False where another way must be found."""
        assert self._session is not None  # noqa: S101 - only used while running
        async with self._session.post(url, json=body) as response:
            text = (await response.text())[:500]
            if response.status == 429:
                raise Later(seconds(response.headers.get("Retry-After")) or 1.0, "429")
            if response.status >= 500:
                raise Later(2.0, str(response.status))
            if response.status == 200 and "invalid_blocks" not in text:
                return True
        if "invalid_blocks" in text and any(b["type"] == "table" for b in body["blocks"]):
            return await self._hook(url, {**body, **without_new_blocks(body)})
        log.info("response_url not taken", status=response.status)
        return False

    async def _request(self, letter: Letter) -> str:
        number = letter.request_id or 0
        async with self._ctx.store.reading() as tx:
            request = await tx.requests.get(number)
            if not request.channel:
                return ""  # asked for outside of Slack, on a registry that no channel serves
            since = await tx.requests.since_edit(number)
        self._not_too_often(request.message_ts, since)
        ts = await self._bring_up_to_date(
            request_message(request), request.channel, request.message_ts
        )
        async with self._ctx.store.transaction() as tx:
            await tx.requests.change(number, message_ts=ts)
            await tx.requests.edited(number)
        return ts

    def _not_too_often(self, ts: str, since: float) -> None:
        """Leave a message alone that was edited `since` seconds ago; raises `Later`."""
        if ts and since < self._ctx.timing.edit:
            raise Later(self._ctx.timing.edit - since + 0.01, "not more than one edit in 3 s")

    async def _bring_up_to_date(self, shown: Message, channel: str, ts: str) -> str:
        """Edit the one message of something, or post it where there is none; its `ts`."""
        if ts:
            await self._with_fallback(self._client.chat_update, shown, channel=channel, ts=ts)
            return ts
        answer = await self._with_fallback(
            self._client.chat_postMessage, shown, channel=channel, **_SILENT
        )
        return str(answer["ts"])

    async def _thread(self, letter: Letter) -> str:
        async with self._ctx.store.reading() as tx:
            request = await tx.requests.get(letter.request_id or 0)
        if not request.channel:
            return ""
        if not request.message_ts:
            raise Later(backoff(letter), "the message it belongs to is not there yet")
        shown = notices.notice(request, letter.payload["notice"], letter.payload["data"])
        if shown is None:
            return ""
        answer = await self._with_fallback(
            self._client.chat_postMessage,
            shown,
            channel=request.channel,
            thread_ts=request.message_ts,
            **_SILENT,
        )
        return str(answer["ts"])

    async def _preview(self, letter: Letter) -> str:
        number = int(letter.payload["preview"])
        async with self._ctx.store.reading() as tx:
            preview = await tx.previews.get(number)
            since = await tx.previews.since_edit(number)
        if not preview.channel:
            return ""
        self._not_too_often(preview.message_ts, since)
        ts = await self._bring_up_to_date(
            preview_message(preview), preview.channel, preview.message_ts
        )
        async with self._ctx.store.transaction() as tx:
            await tx.previews.change(number, message_ts=ts)
            await tx.previews.edited(number)
        return ts

    async def _preview_failed(self, tx: Transaction, letter: Letter, error: str) -> None:
        preview = await tx.previews.get(int(letter.payload["preview"]))
        if preview.message_ts or not is_in_slack(preview.actor):
            return
        said = (
            f"I cannot show the cleanup preview of {code(preview.repository)} in "
            f"<#{preview.channel}> ({error}). Invite me there, then ask again."
        )
        where = {"user": preview.actor, "channel": preview.channel}
        await tx.outbox.answer({**where, "message": notices.said(said)}, None)

    async def _announce(self, letter: Letter) -> str:
        payload, where = letter.payload, dict(_SILENT)
        if payload["preview"]:
            async with self._ctx.store.reading() as tx:
                preview = await tx.previews.get(int(payload["preview"]))
            if not preview.message_ts:
                raise Later(backoff(letter), "the message it belongs to is not there yet")
            where["thread_ts"] = preview.message_ts
        shown = announcements.announcement(payload["notice"], payload["data"])
        answer = await self._with_fallback(
            self._client.chat_postMessage, shown, channel=payload["channel"], **where
        )
        return str(answer["ts"])

    async def _post(self, letter: Letter) -> str:
        answer = await self._with_fallback(
            self._client.chat_postMessage,
            letter.payload["message"],
            channel=letter.payload["channel"],
            **_SILENT,
        )
        return str(answer["ts"])

    async def _anchor(self, letter: Letter) -> str:
        shown, channel = audit.posted(letter.payload["data"]), letter.payload["channel"]
        answer = await self._with_fallback(
            self._client.chat_postMessage, shown, channel=channel, **_SILENT
        )
        return str(answer["ts"])

    async def _retire(self, letter: Letter) -> str:
        name, ts = f"R{letter.request_id}", str(letter.payload["ts"])
        shown = notices.said(f"This is a second copy of {name}; the other one is kept up to date.")
        await self._client.chat_update(channel=letter.payload["channel"], ts=ts, **shown)
        return ts

    async def _with_fallback(self, call: Any, shown: Message, **where: Any) -> Any:
        """Send; where Slack does not take the blocks, send the same in older blocks, then text."""
        for attempt in (shown, without_new_blocks(shown)):
            try:
                return await call(**where, **attempt)
            except SlackApiError as error:
                if code_of(error) not in _BAD_BLOCKS:
                    raise
                log.warning("Slack refused the blocks", error=str(error.response.data)[:500])
        return await call(**where, text=shown["text"])


_BAD_BLOCKS = {"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"}
_NOT_THERE = {
    "user_not_in_channel",
    "not_in_channel",
    "channel_not_found",
    "messages_tab_disabled",
    "is_archived",
}
