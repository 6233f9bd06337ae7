"""What is in the workspace: people, channels, messages; and the news that something changed."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bot.playground.model import Block, Channel, File, Message, SlackError, User


class Clock:
    """The workspace's time, which tests can put forward; acks are measured in real time."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass for triggers, response_urls and rate limits."""
        self._ahead += seconds


class Changes:
    """Wakes everybody who waits for something to change. Nothing polls."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def tell(self) -> None:
        """Something changed."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_for(self, predicate: Callable[[], Any], timeout: float) -> Any:
        """The first true value of `predicate`, asked now and after each change.

        Raises
        ------
        TimeoutError : it stayed false for `timeout` seconds.
        """
        async with asyncio.timeout(timeout):
            while True:
                changed = self._changed
                if value := predicate():
                    return value
                await changed.wait()


@dataclass(frozen=True, slots=True)
class Identity:
    """The workspace and the app that is installed in it."""

    team_id: str = "T0PLAY"
    team_domain: str = "playground"
    app_id: str = "A0REGISTRY"
    bot_id: str = "B0REGISTRY"
    bot_user_id: str = "U0REGISTRY"
    bot_name: str = "registrybot"


@dataclass(slots=True)
class State:
    """People, channels and messages. Methods that the app's calls reach raise `SlackError`."""

    identity: Identity = field(default_factory=Identity)
    clock: Clock = field(default_factory=Clock)
    changes: Changes = field(default_factory=Changes)
    users: dict[str, User] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    usergroups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _messages: dict[str, dict[str, Message]] = field(default_factory=dict)
    _last_ts: int = 0
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        me = self.identity
        self.users[me.bot_user_id] = User(me.bot_user_id, me.bot_name, me.team_id, is_bot=True)

    def number(self) -> int:
        """A number that is used once: for ids."""
        return next(self._numbers)

    def user(self, user: str) -> User:
        """Somebody by id; `user_not_found`."""
        if user not in self.users:
            raise SlackError("user_not_found")
        return self.users[user]

    def dm(self, user: str) -> Channel:
        """The direct message between the bot and a person, opened on first use."""
        made = "D" + self.user(user).id[1:]
        if made not in self.channels:
            self.channels[made] = Channel(made, "directmessage", frozenset({user}), is_im=True)
        return self.channels[made]

    def channel(self, channel: str) -> Channel:
        """A channel as the bot can see it, by id, or by user id for a direct message.

        Private channels without the bot do not exist for it: `channel_not_found`.
        """
        if channel in self.users and channel != self.identity.bot_user_id:
            return self.dm(channel)
        found = self.channels.get(channel)
        if found is None or (found.is_private and not found.bot_member):
            raise SlackError("channel_not_found")
        return found

    def writable(self, channel: str) -> Channel:
        """A channel that the bot may post in; else `not_in_channel`, `is_archived`."""
        found = self.channel(channel)
        if not found.bot_member:
            raise SlackError("not_in_channel")
        if found.is_archived:
            raise SlackError("is_archived")
        return found

    def next_ts(self) -> str:
        """A timestamp later than every other."""
        self._last_ts = max(self._last_ts + 1, int(self.clock.now() * 1_000_000))
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def post(
        self,
        channel: Channel,
        user: str,
        text: str,
        blocks: Sequence[Block] = (),
        *,
        thread_ts: str = "",
        only_for: str = "",
        files: Iterable[File] = (),
        attachments: Sequence[Block] = (),
    ) -> Message:
        """Put a message in a channel; `only_for` makes it ephemeral."""
        everybody = channel.members | ({self.identity.bot_user_id} if channel.bot_member else set())
        message = Message(
            ts=self.next_ts(),
            channel=channel.id,
            user=user,
            text=text,
            blocks=tuple(blocks),
            thread_ts=thread_ts,
            ephemeral=bool(only_for),
            seen_by=frozenset({only_for}) if only_for else frozenset(everybody),
            files=tuple(files),
            attachments=tuple(attachments),
        )
        self._messages.setdefault(channel.id, {})[message.ts] = message
        self.changes.tell()
        return message

    def find(self, channel: str, ts: str) -> Message | None:
        """A message as it stands now, ephemeral ones too."""
        return self._messages.get(channel, {}).get(ts)

    def edit(self, message: Message, **changes: Any) -> Message:
        """Replace parts of a message and mark it as edited."""
        edited = replace(message, edited=True, **changes)
        self._messages[message.channel][message.ts] = edited
        self.changes.tell()
        return edited

    def remove(self, message: Message) -> None:
        """Delete a message."""
        self._messages.get(message.channel, {}).pop(message.ts, None)
        self.changes.tell()

    def in_channel(self, channel: str) -> list[Message]:
        """All messages of a channel that everybody there sees, replies too, oldest first."""
        return [m for m in self._messages.get(channel, {}).values() if not m.ephemeral]

    def only_for(self, user: str) -> list[Message]:
        """All ephemeral messages that somebody sees, oldest first."""
        found = [
            m
            for messages in self._messages.values()
            for m in messages.values()
            if m.ephemeral and user in m.seen_by
        ]
        return sorted(found, key=lambda m: m.ts)
