"""Setting the workspace up, looking at it, and waiting for something to happen in it."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from bot.playground.modals import Modals
from bot.playground.model import Channel, Message, PlaygroundError, User, View
from bot.playground.state import State

Wanted = Callable[[Message], Any] | str


class Looking:
    """People, channels, and what stands in them."""

    state: State
    modals: Modals

    def add_user(self, id: str, name: str, **flags: Any) -> User:  # noqa: A002
        """Add somebody, or replace them.

        Parameters
        ----------
        flags : is_restricted, is_ultra_restricted, is_bot, deleted, is_stranger (booleans), and
            team_id for somebody of another workspace.
        """
        flags.setdefault("team_id", self.state.identity.team_id)
        self.state.users[id] = User(id, name, **flags)
        self.state.changes.tell()
        return self.state.users[id]

    def change_user(self, id: str, **flags: Any) -> User:  # noqa: A002
        """Change flags of somebody who is there, such as `deleted=True`."""
        self.state.users[id] = replace(self.state.users[id], **flags)
        self.state.changes.tell()
        return self.state.users[id]

    def add_channel(
        self,
        id: str,  # noqa: A002
        name: str,
        members: Iterable[str],
        is_private: bool = False,
        is_ext_shared: bool = False,
        bot_member: bool = True,
    ) -> Channel:
        """Add a channel, or replace it (its messages stay). `members` are people by id."""
        unknown = sorted(set(members) - self.state.users.keys())
        if unknown:
            raise PlaygroundError(f"add {', '.join(unknown)} with add_user first")
        people = frozenset(members) - {self.state.identity.bot_user_id}
        channel = Channel(id, name, people, is_private, is_ext_shared, bot_member=bot_member)
        self.state.channels[id] = channel
        self.state.changes.tell()
        return channel

    def change_channel(self, id: str, **changes: Any) -> Channel:  # noqa: A002
        """Change a channel that is there: members, bot_member, is_archived, is_ext_shared …"""
        if "members" in changes:
            changes["members"] = frozenset(changes["members"])
        self.state.channels[id] = replace(self.state.channels[id], **changes)
        self.state.changes.tell()
        return self.state.channels[id]

    def add_usergroup(self, id: str, users: Iterable[str]) -> None:  # noqa: A002
        """Add a user group such as `S0OPS`."""
        self.state.usergroups[id] = tuple(users)

    def dm(self, user: str) -> str:
        """The id of the direct message between somebody and the bot."""
        return self.state.dm(user).id

    def messages(self, channel: str) -> list[Message]:
        """The top-level messages of a channel (or, by user id, of a direct message)."""
        return [m for m in self._all(channel) if m.thread_ts in {"", m.ts}]

    def thread(self, channel: str, ts: str) -> list[Message]:
        """The replies to a message."""
        return [m for m in self._all(channel) if m.thread_ts == ts and m.ts != ts]

    def _all(self, channel: str) -> list[Message]:
        return self.state.in_channel(self.dm(channel) if channel in self.state.users else channel)

    def ephemerals(self, user: str) -> list[Message]:
        """What only this person sees, in all channels, oldest first."""
        return self.state.only_for(user)

    def message(self, message: Message) -> Message | None:
        """A message as it stands now; None when it was deleted."""
        return self.state.find(message.channel, message.ts)

    def views(self, user: str) -> list[View]:
        """The modals that somebody has open; the last one is on top."""
        return self.modals.stack(user)

    def home(self, user: str) -> View | None:
        """Somebody's home tab."""
        return self.modals.home(user)

    async def wait_for(self, predicate: Callable[[], Any], timeout: float = 10) -> Any:
        """The first true value of `predicate`; it is asked now and after every change here.

        Changes elsewhere do not wake it.

        Raises
        ------
        TimeoutError : nothing came in `timeout` seconds.
        """
        return await self.state.changes.wait_for(predicate, timeout)

    async def wait_for_message(self, channel: str, wanted: Wanted, timeout: float = 10) -> Message:
        """The first message in a channel, threads included, that is `wanted`.

        Parameters
        ----------
        wanted : a predicate, or a piece of its text.

        Raises
        ------
        TimeoutError : telling what is in the channel instead.
        """
        return await self._wait(lambda: self._all(channel), wanted, timeout, f"in {channel}")

    async def wait_for_ephemeral(self, user: str, wanted: Wanted, timeout: float = 10) -> Message:
        """The first ephemeral message of a person that is `wanted`; see `wait_for_message`."""
        return await self._wait(lambda: self.ephemerals(user), wanted, timeout, f"for {user}")

    async def _wait(
        self, where: Callable[[], list[Message]], wanted: Wanted, timeout: float, place: str
    ) -> Message:
        def found() -> Message | None:
            return next((m for m in where() if _is(m, wanted)), None)

        try:
            message: Message = await self.wait_for(found, timeout)
        except TimeoutError as error:
            there = "\n---\n".join(m.all_text for m in where()) or "nothing"
            raise TimeoutError(
                f"no such message {place} in {timeout:g} s; there is:\n{there}"
            ) from (error)
        return message


def _is(message: Message, wanted: Wanted) -> Any:
    return wanted in message.all_text if isinstance(wanted, str) else wanted(message)
