"""Whatever is sent to the bot, signed or not: it is answered in time, and nothing breaks on it.

What comes in is stored as it is and carried out later, so the same payloads go on to the dispatch.
"""

import asyncio
import contextlib
import io
import json
import urllib.parse
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import hypothesis.strategies as st
from hypothesis import given
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground.http_events import HttpEvents
from bot.slack import server
from bot.slack.app import build_app
from bot.slack.wire import Wire
from bot.store.store import Store
from tests.support.examples import DEEP, JSON, examples, shaped
from tests.support.rig import ANN, CHANNEL, TEAM

NOWHERE = "http://127.0.0.1:1/"
SECRET = "not-a-real-signing-secret"
FORM, PLAIN = "application/x-www-form-urlencoded", "application/json"

TEXTS = st.text(max_size=30) | st.sampled_from(["", ANN, TEAM, CHANNEL, "help", "delete a:1", "\0"])
WORDS = st.sampled_from(
    [
        *("approve", "deny", "details", "cancel", "confirm", "undo", "share", "form", "deny_sent"),
        *("run_1", "run_", "home_refresh", "form_sent", "plan_sent", "verb", "repository", "tags"),
        *("reviewed", "purge_now", "abort", "again", "request_cleanup", "1", "R1", "delete a:1"),
    ]
)
ANY = JSON | WORDS | shaped("id", "value", "type", "channel", "user")
PERSON = st.fixed_dictionaries({"id": st.just(ANN), "team_id": st.just(TEAM)}) | ANY
VIEW = st.fixed_dictionaries(
    {},
    optional={
        "id": TEXTS,
        "type": st.sampled_from(["modal", "home"]) | ANY,
        "hash": ANY,
        "callback_id": WORDS | ANY,
        "private_metadata": ANY.map(json.dumps) | TEXTS | ANY,
        "state": st.fixed_dictionaries({"values": shaped("verb", "repository", "reason", "value")})
        | ANY,
    },
)
ACTION = st.fixed_dictionaries(
    {"action_id": WORDS | TEXTS | ANY},
    optional={"value": WORDS | ANY, "selected_option": ANY, "type": TEXTS, "block_id": TEXTS},
)
TYPES = (
    st.sampled_from(
        [
            *("block_actions", "view_submission", "view_closed", "block_suggestion", "shortcut"),
            *("message_action", "event_callback", "url_verification", "interactive_message"),
            *("dialog_submission", "app_rate_limited", "workflow_step_edit"),
        ]
    )
    | ANY
)
PAYLOADS = st.fixed_dictionaries(
    {"type": TYPES},
    optional={
        "user": PERSON,
        "team": ANY,
        "channel": st.just({"id": CHANNEL}) | ANY,
        "container": ANY,
        "view": VIEW | ANY,
        "actions": st.lists(ACTION, max_size=2) | ANY,
        "action_id": WORDS | ANY,
        "value": ANY,
        "trigger_id": ANY,
        "callback_id": WORDS | ANY,
        "event": st.fixed_dictionaries(
            {"type": st.sampled_from(["app_home_opened", "message"]) | ANY},
            optional={"tab": st.just("home") | ANY, "user": ANY},
        )
        | ANY,
        "event_id": ANY,
        "response_url": ANY,
        "challenge": ANY,
        "authorizations": ANY,
        "is_enterprise_install": ANY,
        "enterprise": ANY,
        "message": ANY,
        "state": ANY,
    },
)
COMMANDS = st.fixed_dictionaries(
    {"command": st.just("/registry") | TEXTS},
    optional={
        **dict.fromkeys(("text", "user_id", "team_id", "channel_id", "trigger_id"), TEXTS),
        **dict.fromkeys(("response_url", "payload", "ssl_check", "type"), TEXTS),
    },
)


def dumped(value: object) -> bytes:
    return json.dumps(value).encode()


def quoted(fields: dict[str, str]) -> bytes:
    return urllib.parse.urlencode(fields, errors="replace").encode()


# By names: hypothesis prints its examples.
LARGE = {
    b"<deep>": DEEP.encode(),
    b"<deep form>": quoted({"payload": DEEP}),
    b"<many fields>": b"&" * 70_000,
    b"<too large>": b"x" * (1 << 20) + b"x",
}
SENT = st.one_of(
    PAYLOADS.map(lambda p: (FORM, quoted({"payload": json.dumps(p)}))),
    PAYLOADS.map(lambda p: (PLAIN, dumped(p))),
    COMMANDS.map(lambda c: (FORM, quoted(c))),
    st.tuples(st.sampled_from([FORM, PLAIN, "text/plain", "multipart/form-data", ""]), st.binary()),
    st.sampled_from(
        [
            *((FORM, name) for name in LARGE),
            *((PLAIN, name) for name in LARGE),
            (FORM, b"payload=%ff"),
            (FORM, b"payload=1"),
            (PLAIN, b"[]"),
            (PLAIN, b'"x"'),
            (PLAIN + "; charset=utf-16", b"{}"),
            (PLAIN + "; charset=nonsense", b"{}"),
        ]
    ),
)


class Desk:
    """The app with a store of its own, without Slack."""

    def __init__(self, store: Store) -> None:
        self.store = store
        # Nobody listens there: what Slack would be asked fails at once.
        client = AsyncWebClient(token="xoxb-not-a-real-token", base_url=NOWHERE, retry_handlers=[])
        identity = {"team_id": TEAM, "user_id": "U0BOT", "bot_id": "B0BOT"}
        self.app = build_app(client, store, identity, signing_secret=SECRET)
        self.socket_app = build_app(client, store, identity)
        self.wire = Wire(self.socket_app, client, "xapp-not-a-real-token", 10.0)
        self.signer = HttpEvents(SECRET, None)


@contextlib.asynccontextmanager
async def desk(directory: Path) -> AsyncIterator[Desk]:
    store = await Store.open(f"sqlite:///{directory}/bot.db")
    try:
        yield Desk(store)
    finally:
        await store.close()


def test_every_request_over_http_is_answered(tmp_path: Path) -> None:
    async def nothing() -> str:
        return ""

    async def no_numbers() -> bytes:
        return b""

    async def ask(content_type: str, body: bytes, signed: bool) -> tuple[int, str]:
        body = LARGE.get(body, body)
        headers = {"Content-Type": content_type} if content_type else {}
        headers |= made.signer.signed(body if signed else body + b"!")
        async with (
            asyncio.timeout(20),
            http.post(url, data=io.BytesIO(body), headers=headers) as answer,
        ):
            return answer.status, await answer.text(errors="replace")

    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()

        async def open_() -> tuple[Desk, str, aiohttp.ClientSession]:
            made = await stack.enter_async_context(desk(tmp_path))
            address = await server.serve_http(
                stack,
                "127.0.0.1",
                0,
                alive=lambda: "",
                ready=nothing,
                metrics=no_numbers,
                events=server.events(made.app, lambda _: None),
            )
            http = await stack.enter_async_context(aiohttp.ClientSession())
            return made, f"http://{address}/slack/events", http

        made, url, http = runner.run(open_())

        @examples(80)
        @given(SENT, st.booleans() | st.just(True))
        def test(sent: tuple[str, bytes], signed: bool) -> None:
            status, text = runner.run(ask(*sent, signed))
            assert status < 500, text
            assert signed or status in (400, 401, 413), text
            assert "Traceback" not in text

        try:
            test()
        finally:
            runner.run(stack.aclose())


def test_every_envelope_over_a_socket_is_handled(tmp_path: Path) -> None:
    frames = st.one_of(
        st.text(max_size=20),
        JSON.map(json.dumps),
        st.just("<deep>"),
        st.fixed_dictionaries(
            {
                "envelope_id": st.text(max_size=5) | ANY,
                "type": st.sampled_from(["slash_commands", "interactive", "events_api"]) | ANY,
                "payload": PAYLOADS | COMMANDS | ANY,
            },
            optional={"accepts_response_payload": ANY, "retry_attempt": ANY, "retry_reason": ANY},
        ).map(json.dumps),
    )

    async def deliver(frame: str) -> None:
        made.wire._take(frame)
        async with asyncio.timeout(20):
            await asyncio.gather(*made.wire._handling)

    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        made = runner.run(stack.enter_async_context(desk(tmp_path)))

        @examples(80)
        @given(frames)
        def test(frame: str) -> None:
            runner.run(deliver(DEEP if frame == "<deep>" else frame))

        try:
            test()
        finally:
            runner.run(stack.aclose())
