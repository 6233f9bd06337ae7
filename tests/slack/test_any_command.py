"""Whatever is typed or pressed: it ends, with an answer, inside Slack's limits."""

import asyncio
import contextlib
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bot.rules.approval import Request
from bot.rules.policy import Actor
from bot.rules.preview import Preview
from bot.slack import dispatch, payloads, submissions
from bot.slack.answering import Incoming
from bot.slack.app import CLICK, COMMAND, SUBMISSION
from bot.slack.dispatch import Dispatcher
from bot.slack.limits import problems
from bot.slack.people import Where
from bot.slack.verbs import SYNONYMS, VERBS
from bot.store.store import Transaction
from tests.slack.test_any_payload import PAYLOADS
from tests.support.examples import examples
from tests.support.fake_v3 import FakeV3
from tests.support.images import push_image, push_index
from tests.support.rig import ANN, CHANNEL, TEAM, Rig

NAMES = st.sampled_from(
    [
        *("a", "a:1", "a:*", "a:nope", "team/api", "team/api:multi", "team/api:pr-*", "gone:1"),
        *("a@sha256:000000000000", "A:1", "a:", ":", "@", "/", "a/", "//", "a:1:2", "--", "-", "—"),
        *(
            "R1",
            "R0",
            "r99",
            "1",
            f"<@{ANN}>",
            "@U1",
            "@bot",
            "<@",
            "verify",
            "VERIFY",
            "http://a/b",
        ),
        *("registry.corp:5000/a:1", "<https://a.b|a.b>", "`a:1`", "“a:1”", "&amp;", "\u00a0", "\0"),
        *("a:" + "x" * 128, "a" * 255, "a" * 256, "٣", "🐳", "\ud800", "*", "[", "a:[", "a:[!]"),
    ]
)
VALUES = NAMES | st.sampled_from(
    [
        *(
            "0",
            "-1",
            "1",
            "99999999999999999999",
            "1h",
            "0h",
            "30d",
            "999999999d",
            "1.5h",
            "٣d",
            "h",
        ),
        *(
            "name",
            "size",
            "created",
            "jsonl",
            "csv",
            "corp",
            "80%",
            '"',
            '"a b"',
            "'",
            "“why”",
            "=",
        ),
    ]
)
FLAGS = st.sampled_from(sorted({flag.name for verb in VERBS.values() for flag in verb.known_flags}))
FLAG = st.builds(
    lambda dash, name, sign, value: f"{dash}{name}{sign}{value}",
    st.sampled_from(["--", "--", "--", "—", "–", "-"]),
    FLAGS | st.text(max_size=5),
    st.sampled_from([" ", "=", ""]),
    VALUES | st.just(""),
)
WORD = NAMES | FLAG | st.text(max_size=12)
VERB = st.sampled_from([*VERBS, *VERBS, *SYNONYMS]) | st.text(max_size=8)
TYPED = st.builds(
    lambda verb, words, between: between.join([verb, *words]),
    VERB,
    st.lists(WORD, max_size=4),
    st.sampled_from([" ", " ", "  ", "\u00a0", "\n"]),
) | st.text(max_size=40)


class People:
    """Everybody is Ann."""

    async def actor(self, where: Where, *, changes: bool) -> Actor:
        return Actor(ANN, TEAM)


class Desk:
    """The dispatch before a registry in memory, and what it has said."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.said: list[object] = []
        self.dispatcher = Dispatcher(rig.ctx, People(), say=self._say)

    async def _say(self, tx: Transaction, incoming: Incoming, said: object) -> None:
        self.said.append(said)

    async def takes(self, kind: str, row: dict[str, Any]) -> None:
        """Carry out what came in, as the worker does."""
        self.said.clear()
        async with self.rig.store.transaction() as tx:
            job = await tx.jobs.begin(kind, row, "me", 60.0)
        work = {
            COMMAND: self.dispatcher.command,
            CLICK: self.dispatcher.click,
            SUBMISSION: self.dispatcher.submission,
        }
        async with asyncio.timeout(30):
            await work[kind](job)


@pytest.fixture
def unforeseen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the one place for errors did not foresee, with its traceback."""
    found: list[str] = []
    monkeypatch.setattr(
        dispatch.log, "exception", lambda *_, **__: found.append(traceback.format_exc())
    )
    return found


@pytest.fixture
def at_desk(tmp_path: Path) -> Iterator[tuple[Desk, asyncio.Runner]]:
    async def open_(stack: contextlib.AsyncExitStack) -> Desk:
        fake = await stack.enter_async_context(FakeV3())
        for tag in ("1", "2", "pr-1"):
            await push_image(fake.url, "a", tag)
        child = await push_image(fake.url, "team/api", "")
        await push_index(fake.url, "team/api", "multi", [child])
        return Desk(await stack.enter_async_context(Rig.open(tmp_path, fake.url)))

    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        try:
            yield runner.run(open_(stack)), runner
        finally:
            runner.run(stack.aclose())


def within_limits(said: object) -> list[str]:
    """What Slack would not take of an answer; requests and previews have messages of their own."""
    if said is None or isinstance(said, Request | Preview):
        return []
    assert isinstance(said, Mapping)
    return problems({"text": said["text"], "blocks": said["blocks"]})


def test_every_command_is_answered(
    at_desk: tuple[Desk, asyncio.Runner], unforeseen: list[str]
) -> None:
    desk, runner = at_desk

    @examples(80)
    @given(TYPED)
    def test(text: str) -> None:
        unforeseen.clear()
        row = payloads.command(
            {"user_id": ANN, "team_id": TEAM, "channel_id": CHANNEL, "text": text}
        )
        runner.run(desk.takes(COMMAND, row))
        assert unforeseen == []
        assert len(desk.said) == 1
        assert within_limits(desk.said[0]) == []

    test()


def test_everything_pressed_or_sent_is_answered(
    at_desk: tuple[Desk, asyncio.Runner], unforeseen: list[str]
) -> None:
    desk, runner = at_desk

    @examples(80)
    @given(st.sampled_from([CLICK, SUBMISSION]), PAYLOADS)
    def test(kind: str, body: dict[str, Any]) -> None:
        unforeseen.clear()
        row = payloads.click(body)
        if kind == SUBMISSION:
            row, answer = submissions.received(payloads.submission(body))
            if answer.get("response_action") == "errors":
                return
        runner.run(desk.takes(kind, row))
        assert unforeseen == []
        assert len(desk.said) <= 1
        assert all(within_limits(said) == [] for said in desk.said)

    test()
