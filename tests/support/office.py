"""A post office: an outbox, a workspace that answers as it is told, and the loop between them."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from slack_sdk.web.async_client import AsyncWebClient

from bot.operations.context import Context, Timing
from bot.playground import Workspace
from bot.rules.approval import Draft, Request
from bot.rules.policy import Channel, Policy
from bot.rules.preview import PreviewDraft, Spec
from bot.slack.notifier import Notifier
from bot.store.schema import outbox
from bot.store.store import Store
from tests.support.clock import pass_by
from tests.support.shown import ANN, everything, made

LOBBY = "C0LOBBY"
_LETTER = 600.0  # seconds; no try may run out on a slow machine
_PLAN = made("delete", digests=[everything(n, (f"v{n}",)) for n in range(13)])
"""Too long for a message: it has a file."""


class Office:
    """Letters are put into `store`; `deliver` brings them to `slack`.

    `log` has what became of each try, as the metrics count it.
    """

    def __init__(self, slack: Workspace, store: Store) -> None:
        self.slack = slack
        self.store = store
        policy = Policy(channels=(Channel(LOBBY, ("corp",)),))
        timing = Timing(edit=0.0, letter=_LETTER)
        self.ctx = Context(store, policy, {}, 500, ZoneInfo("UTC"), timing)
        self.log: list[tuple[str, str]] = []
        self._client = AsyncWebClient(
            token=slack.bot_token, base_url=slack.api_url, retry_handlers=[]
        )
        self.notifier = self._notifier()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, directory: Path) -> AsyncIterator["Office"]:
        async with await Workspace.start() as slack:
            slack.limits.enabled = False
            slack.add_user(ANN, "ann")
            slack.add_channel(LOBBY, "lobby", [ANN])
            store = await Store.open(f"sqlite:///{directory}/bot.db")
            try:
                yield cls(slack, store)
            finally:
                await store.close()

    def _notifier(self) -> Notifier:
        return Notifier(
            self.ctx, self._client, self.slack.hooks_url, "office", lambda *t: self.log.append(t)
        )

    async def deliver(self, rounds: int = 1, *, between: float = 3600.0) -> None:
        """Deliver all that is due; then let `between` seconds pass by, and again."""
        for n in range(rounds):
            if n:
                await pass_by(self.store, between)
            self.notifier._again = 0.0  # its pause is over as well
            self.notifier.stop()
            await self.notifier.run()

    async def waiting(self) -> list[str]:
        """The kinds of letters that are not closed."""
        query = sa.select(outbox.c.kind).where(outbox.c.state == "queued").order_by(outbox.c.id)
        async with self.store.reading() as tx:
            return list((await tx.conn.execute(query)).scalars())

    def desk(self, number: int, user: str = "") -> "Desk":
        """A channel that serves the registry, and somebody in it, or `user` outside of Slack."""
        who, channel = user or f"U0{number:03}", f"C0{number:03}"
        if not user:
            self.slack.add_user(who, f"u{number}")
        self.slack.add_channel(channel, f"c{number}", [] if user else [who])
        return Desk(self, who, channel)

    async def create(self, channel: str, user: str, why: str) -> Request:
        """A request that nobody has told of yet."""
        wanted = dataclasses.replace(_PLAN, channel=channel, requester=user, reason=why)
        fields = {f.name: getattr(wanted, f.name) for f in dataclasses.fields(wanted)}
        names = {f.name for f in dataclasses.fields(Draft)} - {"token"}
        draft = Draft(**{k: v for k, v in fields.items() if k in names}, expires_after=3600.0)
        async with self.store.transaction() as tx:
            return await tx.requests.create(draft)

    def heard(self, user: str, *words: str) -> int:
        """How many of the messages that one person alone sees have all these words."""
        direct = self.slack.messages(self.slack.dm(user))
        return _count([*self.slack.ephemerals(user), *direct], words)

    def said(self, channel: str, *words: str) -> int:
        """How many messages of a channel and its threads have all these words."""
        seen = list(self.slack.messages(channel))
        return _count([*seen, *(r for m in seen for r in self.slack.thread(channel, m.ts))], words)


class Desk:
    """One person, who writes letters of every kind in a channel of their own.

    `old` and `new` name a request whose message is there already, and one without.
    """

    def __init__(self, office: Office, user: str, channel: str) -> None:
        self._office = office
        self._store = office.store
        self.user = user
        self.channel = channel
        self.old, self.new, self._copy = "", "", 0

    async def has_requests(self) -> None:
        """Two requests get their messages by the next delivery; the other is a second copy."""
        old = await self._office.create(self.channel, self.user, "an old request")
        copy = await self._office.create(self.channel, self.user, "its second copy")
        self.old, self._copy = old.name, copy.id
        async with self._store.transaction() as tx:
            await tx.outbox.refresh(old.id)
            await tx.outbox.refresh(copy.id)

    async def answers(self, *texts: str) -> None:
        """Answers to a command, one after the other, each with a response_url."""
        async with self._store.transaction() as tx:
            for text in texts:
                told = {"user": self.user, "channel": self.channel, "message": message(text)}
                url = self._office.slack.hooks.issue(self.user, self.channel)
                await tx.outbox.answer(told, url, self.user)

    async def posts(self, text: str) -> None:
        """Something for everybody in the channel."""
        async with self._store.transaction() as tx:
            told = {"user": self.user, "channel": self.channel, "message": message(text)}
            await tx.outbox.post(told)

    async def edits(self) -> None:
        """The message of the old request, something below it, and its second copy."""
        if not self.old:
            return
        number = int(self.old[1:])
        async with self._store.transaction() as tx:
            await tx.outbox.refresh(number)
            await tx.outbox.thread(number, "cancelled", {"by": "U0BOB"})
            copy = await tx.requests.get(self._copy)
            await tx.outbox.retire(number, self.channel, copy.message_ts)

    async def writes_everything(self) -> None:
        """Letters of every kind, with something behind them where there is an order."""
        await self.edits()
        new = await self._office.create(self.channel, self.user, "a new request")
        self.new = new.name
        where = {"user": self.user, "channel": self.channel}
        draft = PreviewDraft("corp", "team/api", self.user, "T0TEAM", self.channel, "", Spec(()))
        async with self._store.transaction() as tx:
            for text in ("the reply", "behind it"):
                await tx.outbox.answer({**where, "message": message(text)}, None, self.user)
            await tx.outbox.refresh(new.id)
            await tx.outbox.thread(new.id, "cancelled", {"by": "U0BOB"})
            await tx.outbox.file_in_thread(new.id)
            await tx.outbox.post({**where, "message": message("a shared answer")})
            preview = await tx.previews.create(draft)
            assert preview is not None
            await tx.outbox.preview(preview.id)
            await tx.outbox.file_of_preview(preview.id, [["goes", "v1", "sha256:1", 0.0, "old"]])
            data = {"rule": "ci", "registry": "corp", "why": "It was away."}
            await tx.outbox.announce(self.channel, "retention failed", data)
            await tx.outbox.file_to(self.user, self.channel, "t.csv", "Tags of team/api", "v1")

    def speaks_in_channel(self, method: str, arguments: Mapping[str, Any]) -> bool:
        """Whether a call says something in this channel."""
        return self.channel in (arguments.get("channel"), arguments.get("channel_id"))

    def speaks(self, method: str, arguments: Mapping[str, Any]) -> bool:
        """Whether a call says something in this channel, or to this person."""
        direct = {self.user, f"D{self.user[1:]}"}
        to = {arguments.get("channel"), arguments.get("channel_id"), arguments.get("user")}
        return bool(to & {self.channel, *direct})

    def speaks_with_blocks(self, method: str, arguments: Mapping[str, Any]) -> bool:
        """Whether it is more than text."""
        return bool(arguments.get("blocks")) and self.speaks(method, arguments)

    def returns(self, method: str, arguments: Mapping[str, Any]) -> bool:
        """Whether a call needs a message of this channel that is there already."""
        needs = method == "chat.update" or bool(arguments.get("thread_ts"))
        return needs and self.speaks_in_channel(method, arguments)

    def heard(self, *words: str) -> int:
        """How many of the messages that this person alone sees have all these words."""
        return self._office.heard(self.user, *words)

    def said(self, *words: str) -> int:
        """How many messages of the channel and its threads have all these words."""
        return self._office.said(self.channel, *words)


def _count(messages: list[Any], words: tuple[str, ...]) -> int:
    return sum(all(word in m.all_text for word in words) for m in messages)


def message(text: str) -> Mapping[str, Any]:
    """A message with a block that is as long as its text."""
    block = {"type": "section", "text": {"type": "mrkdwn", "text": text}}
    return {"text": text, "blocks": [block]}
