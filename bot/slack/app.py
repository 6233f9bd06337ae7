"""Bolt's listeners: each stores one row and acknowledges. Everything else happens later.

Slack waits three seconds and then shows an error; Bolt sends nothing after that. So a row is
written first, then the acknowledgement is sent, and where the store does not answer within two
seconds the person is told that the command was not recorded.
"""

import asyncio
import hashlib
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot.store.store import Store

log = structlog.get_logger()

COMMAND = "command"
CLICK = "click"

_STORE_SECONDS = 2.0
_NOT_RECORDED = (
    "I could not record that in time, so do not count on it. Look at `/registry requests`, then "
    "try again."
)

Ack = Callable[..., Awaitable[Any]]


def build_app(
    client: AsyncWebClient,
    store: Store,
    identity: Mapping[str, Any],
    *,
    signing_secret: str | None = None,
    on_ack: Callable[[str, float], None] = lambda *_: None,
) -> AsyncApp:
    """The app with all its listeners, for Socket Mode and HTTP alike.

    Parameters
    ----------
    identity : the answer of `auth.test`, so that no listener has to ask Slack who we are.
    signing_secret : checks requests in HTTP mode; Socket Mode has none to check.
    on_ack : told the kind of payload and the seconds until its acknowledgement.
    """

    async def authorize(**_: Any) -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=identity.get("enterprise_id"),
            team_id=identity.get("team_id"),
            bot_user_id=identity.get("user_id"),
            bot_id=identity.get("bot_id"),
            bot_token=client.token,
        )

    app = AsyncApp(
        client=client,
        authorize=authorize,
        signing_secret=signing_secret or "socket mode signs nothing",
        request_verification_enabled=signing_secret is not None,
        process_before_response=False,
    )
    intake = _Intake(store, on_ack)
    everything = re.compile(r"[\s\S]*")
    app.command(everything)(intake.command)
    app.action(everything)(intake.action)
    app.view(everything)(intake.acknowledge)
    app.view_closed(everything)(intake.acknowledge)
    app.options(everything)(intake.options)
    app.shortcut(everything)(intake.acknowledge)
    app.event(everything)(intake.acknowledge)
    app.error(_failed)
    return app


async def _failed(error: Exception, body: Mapping[str, Any]) -> None:
    log.error("a listener failed", kind=body.get("type", "command"), exc_info=error)


class _Intake:
    """Writes down what came in."""

    def __init__(self, store: Store, on_ack: Callable[[str, float], None]) -> None:
        self._store = store
        self._on_ack = on_ack

    async def command(self, ack: Ack, body: Mapping[str, Any]) -> None:
        start = time.monotonic()
        payload = {
            "user": body.get("user_id", ""),
            "team": body.get("team_id", ""),
            "channel": body.get("channel_id", ""),
            "text": body.get("text", ""),
            "response_url": body.get("response_url"),
        }
        recorded = await self._record(COMMAND, _key(body, payload), payload)
        await ack() if recorded else await ack(text=_NOT_RECORDED, response_type="ephemeral")
        self._on_ack(COMMAND, time.monotonic() - start)

    async def action(self, ack: Ack, body: Mapping[str, Any], respond: Ack) -> None:
        start = time.monotonic()
        payload = _click(body)
        recorded = await self._record(CLICK, _key(body, payload), payload)
        await ack()
        self._on_ack(CLICK, time.monotonic() - start)
        if not recorded:
            await respond(text=_NOT_RECORDED, response_type="ephemeral", replace_original=False)

    async def acknowledge(self, ack: Ack) -> None:
        await ack()

    async def options(self, ack: Ack) -> None:
        await ack(options=[])

    async def _record(self, kind: str, key: str, payload: Mapping[str, Any]) -> bool:
        try:
            async with asyncio.timeout(_STORE_SECONDS):
                async with self._store.transaction() as tx:
                    # False means that Slack (or a finger) sent the same thing twice: that one is
                    # recorded already, which is all the acknowledgement says.
                    await tx.jobs.add(kind, payload, dedupe=key)
        except Exception:
            log.exception("not recorded", kind=kind)
            return False
        return True


def _click(body: Mapping[str, Any]) -> dict[str, Any]:
    action = (body.get("actions") or [{}])[0]
    user, team = body.get("user") or {}, body.get("team") or {}
    container = body.get("container") or {}
    return {
        "user": user.get("id", ""),
        "team": user.get("team_id") or team.get("id", ""),
        "channel": (body.get("channel") or {}).get("id") or container.get("channel_id", ""),
        "action": action.get("action_id", ""),
        "value": action.get("value", ""),
        "message_ts": container.get("message_ts", ""),
        "ephemeral": bool(container.get("is_ephemeral")),
        "response_url": body.get("response_url"),
    }


def _key(body: Mapping[str, Any], payload: Mapping[str, Any]) -> str:
    """What makes this payload one and the same when it is delivered again."""
    trigger = body.get("trigger_id")
    if trigger:
        return f"slack:{trigger}"
    text = json.dumps(payload, sort_keys=True, default=str)
    return f"slack:{hashlib.sha256(text.encode()).hexdigest()}"
