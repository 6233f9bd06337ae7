"""chat.*: what the bot says, changes and takes back."""

from collections.abc import Mapping
from typing import Any

from bot.playground.arguments import LONGEST_UPDATE, Arguments, content, needed
from bot.playground.faults import Faults
from bot.playground.model import Message, SlackError
from bot.playground.state import State


class Chat:
    """The methods under `chat.`."""

    def __init__(self, state: State, faults: Faults) -> None:
        self._state = state
        self._faults = faults

    def post(self, arguments: Arguments) -> Mapping[str, Any]:
        """chat.postMessage; a user id as channel means the direct message with them."""
        channel = self._state.writable(needed(arguments, "channel"))
        text, blocks, attachments = content(arguments, self._faults.unsupported_blocks)
        message = self._state.post(
            channel,
            self._state.identity.bot_user_id,
            text,
            blocks,
            thread_ts=self._thread(channel.id, arguments),
            attachments=attachments,
        )
        return {"channel": channel.id, "ts": message.ts, "message": shape(self._state, message)}

    def _thread(self, channel: str, arguments: Arguments) -> str:
        """The ts of the thread's first message, also where a reply was named."""
        ts = str(arguments.get("thread_ts") or "")
        if not ts:
            return ""
        parent = self._state.find(channel, ts)
        if parent is None or parent.ephemeral:
            raise SlackError("thread_not_found")
        return parent.thread_ts or parent.ts

    def post_ephemeral(self, arguments: Arguments) -> Mapping[str, Any]:
        """chat.postEphemeral: for one member of the channel."""
        channel = self._state.writable(needed(arguments, "channel"))
        user = needed(arguments, "user")
        if user not in channel.members:
            raise SlackError("user_not_in_channel")
        text, blocks, attachments = content(arguments, self._faults.unsupported_blocks)
        message = self._state.post(
            channel,
            self._state.identity.bot_user_id,
            text,
            blocks,
            thread_ts=str(arguments.get("thread_ts") or ""),
            only_for=user,
            attachments=attachments,
        )
        return {"message_ts": message.ts}

    def update(self, arguments: Arguments) -> Mapping[str, Any]:
        """chat.update: text without blocks takes the blocks away; blocks alone keep the text."""
        message = self._own(arguments, "cant_update_message")
        text, blocks, attachments = content(
            arguments, self._faults.unsupported_blocks, longest=LONGEST_UPDATE
        )
        if arguments.get("text") is None:
            text = message.text
        message = self._state.edit(message, text=text, blocks=blocks, attachments=attachments)
        return {
            "channel": message.channel,
            "ts": message.ts,
            "text": text,
            "message": shape(self._state, message),
        }

    def delete(self, arguments: Arguments) -> Mapping[str, Any]:
        """chat.delete."""
        message = self._own(arguments, "cant_delete_message")
        self._state.remove(message)
        return {"channel": message.channel, "ts": message.ts}

    def _own(self, arguments: Arguments, refusal: str) -> Message:
        """A message of the bot's own; an ephemeral one is `message_not_found`, as in Slack."""
        channel = self._state.channel(needed(arguments, "channel"))
        message = self._state.find(channel.id, needed(arguments, "ts"))
        if message is None or message.ephemeral:
            raise SlackError("message_not_found")
        if message.user != self._state.identity.bot_user_id:
            raise SlackError(refusal)
        return message


def shape(state: State, message: Message) -> dict[str, Any]:
    """A message as answers and payloads carry it."""
    me = state.identity
    made: dict[str, Any] = {
        "type": "message",
        "user": message.user,
        "ts": message.ts,
        "text": message.text,
        "team": me.team_id,
    }
    if message.user == me.bot_user_id:
        made |= {"bot_id": me.bot_id, "app_id": me.app_id}
    elif message.user in state.users and state.users[message.user].is_bot:
        made |= {"bot_id": f"B{message.user[1:]}", "app_id": f"A{message.user[1:]}"}
    if message.blocks:
        made["blocks"] = list(message.blocks)
    if message.attachments:
        made["attachments"] = list(message.attachments)
    if message.thread_ts:
        made["thread_ts"] = message.thread_ts
    if message.edited:
        made["edited"] = {"user": message.user, "ts": message.ts}
    if message.files:
        made["files"] = [{"id": f.id, "name": f.name, "title": f.title} for f in message.files]
    return made
