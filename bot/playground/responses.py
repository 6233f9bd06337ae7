"""What a response_url and the body of an ack do."""

from collections.abc import Mapping
from typing import Any

from bot.playground.arguments import content, truth
from bot.playground.faults import Faults
from bot.playground.model import Message, SlackError
from bot.playground.state import State
from bot.playground.tokens import Hook, Hooks


class Responses:
    """Answers to a command or click, which need no token and no membership of the bot."""

    def __init__(self, state: State, hooks: Hooks, faults: Faults) -> None:
        self._state = state
        self._hooks = hooks
        self._faults = faults

    def post(self, key: str, body: Mapping[str, Any]) -> None:
        """One use of a response_url; a refused body does not count.

        Only a click's URL can replace or delete its message; for a command's, `replace_original`
        has no meaning and a new message comes.

        Raises
        ------
        SlackError : 404 when the URL is too old or used up, 400 for a body that is not taken.
        """
        hook = self._hooks.get(key)
        try:
            self._apply(hook, body)
        except SlackError as error:
            raise SlackError(error.code, error.messages, status=400) from error
        hook.used += 1

    def _apply(self, hook: Hook, body: Mapping[str, Any]) -> None:
        original = self._state.find(hook.channel, hook.message_ts) if hook.message_ts else None
        if truth(body, "delete_original"):
            self._state.remove(self._own(original))
            return
        if truth(body, "replace_original") and hook.message_ts:
            replaced = self._own(original)
            text, blocks, attachments = content(body, self._faults.unsupported_blocks)
            self._state.edit(replaced, text=text, blocks=blocks, attachments=attachments)
            return
        self.answer(hook.user, hook.channel, body)

    def _own(self, original: Message | None) -> Message:
        if original is None or original.user != self._state.identity.bot_user_id:
            raise SlackError("message_not_found")
        return original

    def answer(self, user: str, channel: str, body: Mapping[str, Any]) -> Message:
        """Post an answer, for the one person unless `response_type` is `in_channel`."""
        kind = body.get("response_type", "ephemeral")
        if kind not in {"ephemeral", "in_channel"}:
            raise SlackError("invalid_arguments", ["must be ephemeral or in_channel"])
        if channel not in self._state.channels:
            raise SlackError("channel_not_found")
        text, blocks, attachments = content(body, self._faults.unsupported_blocks)
        return self._state.post(
            self._state.channels[channel],
            self._state.identity.bot_user_id,
            text,
            blocks,
            thread_ts=str(body.get("thread_ts") or ""),
            only_for=user if kind == "ephemeral" else "",
            attachments=attachments,
        )
