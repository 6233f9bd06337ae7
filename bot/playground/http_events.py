"""HTTP mode: signed POSTs to the app, as Slack sends them to a request URL."""

import asyncio
import hashlib
import hmac
import json
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any

import aiohttp

from bot.playground.faults import AT_ONCE, Envelope
from bot.playground.model import Delivery
from bot.playground.sockets import COMMAND, EVENT

_FORM = "application/x-www-form-urlencoded"


class HttpEvents:
    """Delivers by HTTP.

    Parameters
    ----------
    signing_secret : signs every body (`X-Slack-Signature`, version v0).
    events_url : the app's request URL; None or "" stands for "not reachable". May be set later.
    """

    def __init__(self, signing_secret: str, events_url: str | None) -> None:
        self.ack_window = 3.0
        self.events_url = events_url
        self._secret = signing_secret
        self._session: aiohttp.ClientSession | None = None
        self._working: set[asyncio.Future[None]] = set()

    async def send(
        self, kind: str, payload: Mapping[str, Any], travels: Envelope = AT_ONCE
    ) -> Delivery:
        """POST a payload; 200 within the window is the ack.

        Parameters
        ----------
        travels : copies go out at the same time, and the first answer counts; retries have
            Slack's headers for them.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        first = loop.create_future()
        sending = asyncio.ensure_future(self._send(kind, payload, travels, first))
        self._working.add(sending)
        sending.add_done_callback(self._working.discard)
        try:
            # A late one is given up by the person before it has left.
            patience = self.ack_window if travels.late else None
            answer: Delivery = await asyncio.wait_for(asyncio.shield(first), patience)
        except TimeoutError:
            return Delivery(False, loop.time() - began, error="operation_timeout")
        return answer

    async def _send(
        self,
        kind: str,
        payload: Mapping[str, Any],
        travels: Envelope,
        first: "asyncio.Future[Delivery]",
    ) -> None:
        await asyncio.sleep(travels.late)
        answers = await asyncio.gather(*(self._post(kind, payload) for _ in range(travels.copies)))
        first.set_result(answers[0])
        for attempt in range(1, 1 + travels.retries):
            await self._post(kind, payload, attempt)

    async def _post(self, kind: str, payload: Mapping[str, Any], attempt: int = 0) -> Delivery:
        loop = asyncio.get_running_loop()
        began = loop.time()
        if not self.events_url:
            return Delivery(False, error="dispatch_failed")
        content_type, body = _encoded(kind, payload)
        try:
            async with (
                asyncio.timeout(self.ack_window),
                self._open().post(
                    self.events_url,
                    data=body,
                    headers={"Content-Type": content_type, **self.signed(body), **_retry(attempt)},
                ) as answer,
            ):
                text = await answer.text()
                status, is_json = answer.status, answer.content_type == "application/json"
        except TimeoutError:
            return Delivery(False, loop.time() - began, error="operation_timeout")
        except aiohttp.ClientError:
            return Delivery(False, loop.time() - began, error="dispatch_failed")
        took = loop.time() - began
        if status != 200:
            return Delivery(False, took, error="dispatch_failed")
        try:
            acked = json.loads(text) if is_json and text else {"text": text} if text else {}
        except ValueError:
            return Delivery(True, took, error="invalid_command_response")
        return Delivery(True, took, acked if isinstance(acked, dict) else {})

    def signed(self, body: bytes, timestamp: int | None = None) -> dict[str, str]:
        """The headers that prove a body came from Slack at `timestamp` (now by default)."""
        stamp = str(int(time.time()) if timestamp is None else timestamp)
        base = b"v0:" + stamp.encode() + b":" + body
        digest = hmac.new(self._secret.encode(), base, hashlib.sha256).hexdigest()
        return {
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": f"v0={digest}",
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
        }

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session

    async def close(self) -> None:
        """Close the connections to the app."""
        for sending in self._working:
            sending.cancel()
        if self._session is not None:
            await self._session.close()


def _retry(attempt: int) -> dict[str, str]:
    if not attempt:
        return {}
    return {"X-Slack-Retry-Num": str(attempt), "X-Slack-Retry-Reason": "http_timeout"}


def _encoded(kind: str, payload: Mapping[str, Any]) -> tuple[str, bytes]:
    """Commands are forms, clicks a form with one JSON field, events JSON."""
    if kind == EVENT:
        return "application/json", json.dumps(payload).encode()
    form = payload if kind == COMMAND else {"payload": json.dumps(payload)}
    return _FORM, urllib.parse.urlencode(form).encode()
