"""Bolt's listeners: each stores one row and acknowledges. Everything else happens later.

Slack waits three seconds and then shows an error; Bolt sends nothing after that. So a row is
written first, then the acknowledgement is sent, and where the store does not answer in time the
person is told that it was not recorded. The one thing that comes before the row is opening a
modal: its trigger lives no longer than the acknowledgement may take.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.rules.rates import Limits
from bot.slack import payloads, submissions
from bot.slack.gate import Gate, is_urgent
from bot.slack.opening import FORM, Opener, title_for
from bot.slack.payloads import Body, Row
from bot.slack.recording import Outcome, Recorder
from bot.slack.views import modals
from bot.store.store import Store

log = structlog.get_logger()

COMMAND = "command"
CLICK = "click"
SUBMISSION = "submission"
HOME = "home"
URGENT = "urgent"
"""Any of these where somebody decides, or stops something: it never waits for the others."""
ORDINARY = (COMMAND, CLICK, SUBMISSION, HOME)

_STORE_SECONDS = 2.0
_ALL_SECONDS = 2.7  # from the payload to the acknowledgement, whatever opening a modal took
_NOT_RECORDED = (
    "I could not record that in time, so do not count on it. Look at `/registry requests`, then "
    "try again."
)

Ack = Callable[..., Awaitable[Any]]
Suggest = Callable[[Body], Awaitable[Sequence[Mapping[str, Any]]]]


async def _nothing(_: Body) -> Sequence[Mapping[str, Any]]:
    return ()


def build_app(
    client: AsyncWebClient,
    store: Store,
    identity: Mapping[str, Any],
    *,
    signing_secret: str | None = None,
    suggest: Suggest = _nothing,
    gate: Gate | None = None,
) -> AsyncApp:
    """The app with all its listeners, for Socket Mode and HTTP alike.

    Parameters
    ----------
    identity : the answer of `auth.test`, so that no listener has to ask Slack who we are.
    signing_secret : checks requests in HTTP mode; Socket Mode has none to check.
    suggest : the choices of an external menu; answers within the three seconds, raises nothing.
    gate : what is let in; the default limits where there is none.
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
    bot_id = str(identity.get("bot_id", ""))
    intake = _Intake(store, Opener(client), suggest, gate or Gate(Limits()), bot_id)
    everything = re.compile(r"[\s\S]*")
    app.command(everything)(intake.command)
    app.action(everything)(intake.action)
    app.view(everything)(intake.submission)
    app.view_closed(everything)(intake.acknowledge)
    app.options(everything)(intake.options)
    app.shortcut(everything)(intake.acknowledge)
    app.event("app_home_opened")(intake.home)
    app.event(everything)(intake.acknowledge)
    app.error(_failed)
    return app


async def _failed(error: Exception, body: Mapping[str, Any]) -> BoltResponse:
    kind = payloads.text(payloads.table(body).get("type")) or "command"
    log.error("a listener failed", kind=kind, exc_info=error)
    return BoltResponse(status=400)


class _Intake:
    """Writes down what came in."""

    def __init__(
        self,
        store: Store,
        opener: Opener,
        suggest: Suggest,
        gate: Gate,
        bot_id: str = "",
    ) -> None:
        self._gate = gate
        self._bot_id = bot_id
        self._recorder = Recorder(store, gate.waiting)
        self._opener = opener
        self._suggest = suggest

    async def command(self, ack: Ack, body: Body) -> None:
        start = time.monotonic()
        row = payloads.command(body)
        opened: Mapping[str, str] = {}
        trouble = self._gate.command(row)
        if not trouble:
            opened = await self._open(body, row)
            if opened:
                row["action"] = FORM
            trouble = await self._record(COMMAND, payloads.key(body, row), row, start)
        await ack(text=trouble, response_type="ephemeral") if trouble else await ack()
        if opened and trouble:
            await self._opener.replace(opened, modals.note("Registry", trouble))

    async def action(self, ack: Ack, body: Body, respond: Ack) -> None:
        start = time.monotonic()
        row = payloads.click(body)
        if self._bot_id and payloads.is_foreign(body, self._bot_id):
            row["foreign"] = True
        kind = HOME if row["action"] == "home_refresh" else CLICK
        trouble = too_many = self._gate.click(row)
        if not trouble:
            await self._open(body, row)
            trouble = await self._record(kind, payloads.key(body, row), row, start)
        silent = bool(too_many) and not self._gate.tells(row)
        # Without an acknowledgement Slack itself shows them that the click is lost.
        if not trouble or silent or await self._tells(row, respond, trouble, start):
            await ack()

    async def _tells(self, row: Row, respond: Ack, trouble: str, start: float) -> bool:
        """Tell whoever pressed that it came to nothing; False where they may not hear of it."""
        left = start + _ALL_SECONDS - time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, left)):
                if row.get("view"):
                    return await self._opener.replace(row["view"], modals.note("Registry", trouble))
                if not row["response_url"]:
                    return False
                answer = await respond(
                    text=trouble, response_type="ephemeral", replace_original=False
                )
        except Exception as error:
            log.warning("nobody was told of a lost click", error=type(error).__name__)
            return False
        return bool(answer.status_code == 200)

    async def submission(self, ack: Ack, body: Body) -> None:
        start = time.monotonic()
        row = payloads.submission(body)
        if trouble := self._gate.click(row):
            answer = submissions.refused(row, trouble)
        else:
            row, answer = submissions.received(row)
            if answer.get("response_action") != "errors" and (
                trouble := await self._record(SUBMISSION, payloads.key(body, row), row, start)
            ):
                answer = submissions.update(modals.note("Registry", trouble))
        await ack(**answer)

    async def home(self, ack: Ack, body: Body, event: Body) -> None:
        start = time.monotonic()
        row = payloads.home(body)
        if event.get("tab") == "home" and not self._gate.click(row):
            await self._record(HOME, payloads.key(body, row), row, start)
        await ack()

    async def acknowledge(self, ack: Ack) -> None:
        await ack()

    async def options(self, ack: Ack, body: Body) -> None:
        await ack(options=list(await self._suggest(body)))

    async def _open(self, body: Body, row: Row) -> Mapping[str, str]:
        """Open the modal that answers this, if one does; the row says where it is."""
        title, trigger = title_for(row), body.get("trigger_id")
        opened = await self._opener.open(str(trigger), title) if title and trigger else {}
        if opened:
            row["view"] = opened
        return opened

    async def _record(self, kind: str, key: str, row: Row, start: float) -> str:
        """Store it; what to say where it is not recorded, "" where it is."""
        left = start + _ALL_SECONDS - time.monotonic()
        urgent = is_urgent(row)
        outcome = await self._recorder.record(
            URGENT if urgent else kind,
            key,
            row,
            min(_STORE_SECONDS, left),
            among=(URGENT,) if urgent else ORDINARY,
        )
        if outcome is Outcome.CROWDED:
            return self._gate.crowded()
        return "" if outcome is Outcome.RECORDED else _NOT_RECORDED
