"""What people do: type a command, click, submit, close, open the home tab."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.playground.faults import Faults
from bot.playground.forms import filled
from bot.playground.looking import Looking
from bot.playground.model import (
    Block,
    Channel,
    Delivery,
    Message,
    PlaygroundError,
    SlackError,
    User,
    View,
    buttons_of,
    label,
)
from bot.playground.payloads import Payloads
from bot.playground.responses import Responses
from bot.playground.sockets import COMMAND, EVENT, INTERACTIVE, Line
from bot.playground.tokens import Hooks, Triggers


class Gestures(Looking):
    """Every gesture waits until the app acked it, or the person saw an error."""

    line: Line
    payloads: Payloads
    triggers: Triggers
    hooks: Hooks
    responses: Responses
    faults: Faults

    async def command(
        self, user: str, channel: str, text: str, command: str = "/registry"
    ) -> Delivery:
        """Type a slash command.

        Whether the account is deactivated or a guest's is not looked at: the app must.

        Raises
        ------
        PlaygroundError : the person or channel does not exist, or they are not a member.
        """
        who, where = self._place(user, channel)
        hook = self.hooks.issue(user, channel)
        typed = self.payloads.escaped(text)
        trigger = self.triggers.issue(user)
        payload = self.payloads.command(who, where, command, typed, hook, trigger)
        delivery = await self._send(COMMAND, payload)
        if delivery.acked and delivery.ack_body:
            try:
                self.responses.answer(user, channel, delivery.ack_body)
            except SlackError:
                delivery = replace(delivery, error="invalid_command_response")
        if delivery.error:
            said = f'{command} failed with the error "{delivery.error}"'
            self.state.post(where, "USLACKBOT", said, only_for=user)
        return delivery

    async def click(
        self,
        user: str,
        message: Message | View,
        button: str,
        *,
        nth: int | None = None,
        accept: bool = True,
    ) -> Delivery:
        """Click a button in a message, modal or home tab as it stands now.

        Parameters
        ----------
        button : its label or action_id.
        nth : which one, from 0, where several are called the same.
        accept : what the person says when a confirm dialog comes; with False nothing is sent and
            the delivery's error is `declined`.

        Raises
        ------
        PlaygroundError : they cannot see the message, it is gone, there is no such button, or
            there are several.
        """
        who = self._person(user)
        shown = self._seen(user, message)
        block, found = _button(shown, button, nth)
        if "confirm" in found and not accept:
            return Delivery(False, error="declined")
        action = self.payloads.button_action(block, found)
        trigger = self.triggers.issue(user)
        if isinstance(shown, View):
            state = self._form(shown, {}, partial=True)
            payload = self.payloads.view_action(who, shown, action, trigger, state)
        else:
            where = self.state.channels[shown.channel]
            hook = self.hooks.issue(user, shown.channel, shown.ts)
            payload = self.payloads.message_action(
                who, where, shown, shown.ts, action, hook, trigger
            )
        return await self._send(INTERACTIVE, payload)

    async def click_raw(
        self,
        user: str,
        channel: str,
        message_ts: str,
        action_id: str,
        value: str = "",
        *,
        block_id: str = "raw",
        text: str = "Button",
    ) -> Delivery:
        """Send a click without any check here: a stale, forged or replayed one.

        The button need not exist, nor the message; the person need not be a member.
        """
        who = self._person(user)
        where = self.state.channels.get(channel) or Channel(channel, "unknown", frozenset())
        block: Block = {"block_id": block_id}
        button: Block = {
            "action_id": action_id,
            "text": {"type": "plain_text", "text": text},
            "value": value,
        }
        payload = self.payloads.message_action(
            who,
            where,
            self.state.find(channel, message_ts),
            message_ts,
            self.payloads.button_action(block, button),
            self.hooks.issue(user, channel, message_ts),
            self.triggers.issue(user),
        )
        return await self._send(INTERACTIVE, payload)

    async def submit(
        self, user: str, view: View, values: Mapping[str, Any] | None = None
    ) -> Delivery:
        """Fill a modal in and submit it.

        Parameters
        ----------
        values : by label, block_id or action_id of each input; see `forms.filled`.

        Raises
        ------
        PlaygroundError : the modal is not on top, has no submit button, or does not accept the
            values.
        """
        shown = self._on_top(user, view)
        if not shown.submit:
            raise PlaygroundError("the modal has no submit button")
        state = self._form(shown, values or {})
        payload = self.payloads.submission(
            self._person(user), shown, state, self.triggers.issue(user)
        )
        delivery = await self._send(INTERACTIVE, payload)
        if delivery.acked:
            error = self.modals.submitted(shown, delivery.ack_body)
            delivery = replace(delivery, error=delivery.error or error)
        return delivery

    async def close_view(self, user: str, view: View) -> Delivery | None:
        """Close a modal; the delivery of `view_closed` where the app wanted to know."""
        shown = self._on_top(user, view)
        self.modals.close(shown)
        if not shown.notify_on_close:
            return None
        return await self._send(INTERACTIVE, self.payloads.closed(self._person(user), shown))

    async def open_home(self, user: str) -> Delivery:
        """Open the app's home tab."""
        self._person(user)
        event = {
            "type": "app_home_opened",
            "user": user,
            "channel": self.dm(user),
            "tab": "home",
            "event_ts": self.state.next_ts(),
        }
        return await self.event(event)

    async def event(self, event: Mapping[str, Any]) -> Delivery:
        """Send an event of the Events API; it is retried only where `faults` say so."""
        return await self._send(EVENT, self.payloads.event(event))

    def say(self, user: str, channel: str, text: str, thread_ts: str = "") -> Message:
        """Write an ordinary message; the app is not told."""
        _, where = self._place(user, channel)
        return self.state.post(where, user, text, thread_ts=thread_ts)

    async def _send(self, kind: str, payload: Mapping[str, Any]) -> Delivery:
        return await self.line.send(kind, payload, self.faults.take_envelope())

    def _form(
        self, view: View, values: Mapping[str, Any], *, partial: bool = False
    ) -> dict[str, Any]:
        """What stands in a form; external menus know what the app has suggested."""

        def offered(block_id: str) -> Sequence[Block]:
            return self.modals.offered(view.id, block_id)

        return filled(view, values, offered, partial=partial)

    def _person(self, user: str) -> User:
        if user not in self.state.users:
            raise PlaygroundError(f"nobody here is {user}; add them with add_user")
        return self.state.users[user]

    def _place(self, user: str, channel: str) -> tuple[User, Channel]:
        who = self._person(user)
        where = self.state.channels.get(channel)
        if where is None:
            raise PlaygroundError(f"there is no channel {channel}; add it with add_channel")
        if user not in where.members:
            raise PlaygroundError(f"{user} is not a member of {channel}")
        return who, where

    def _seen(self, user: str, shown: Message | View) -> Message | View:
        """The message or view as it stands now, if this person sees it."""
        if isinstance(shown, View):
            return self.modals.find(user, shown.id)
        current = self.state.find(shown.channel, shown.ts)
        if current is None:
            raise PlaygroundError(f"the message {shown.ts} is gone")
        if current.ephemeral and user not in current.seen_by:
            raise PlaygroundError(f"{user} does not see this ephemeral message")
        if not current.ephemeral:
            self._place(user, current.channel)
        return current

    def _on_top(self, user: str, view: View) -> View:
        shown = self.modals.find(user, view.id)
        stack = self.modals.stack(user)
        if not stack or stack[-1].id != shown.id:
            raise PlaygroundError(f"{view.id} is not the modal on top")
        return shown


def _button(shown: Message | View, wanted: str, nth: int | None) -> tuple[Block, Block]:
    found = [
        (block, button)
        for block, button in buttons_of(shown.blocks)
        if wanted in (label(button), button.get("action_id"))
    ]
    if not found:
        raise PlaygroundError(f"there is no button {wanted!r}; there are {shown.buttons}")
    if nth is None and len(found) > 1:
        raise PlaygroundError(f"there are {len(found)} buttons {wanted!r}; say nth=")
    if (nth or 0) >= len(found):
        raise PlaygroundError(f"there are only {len(found)} buttons {wanted!r}")
    return found[nth or 0]
