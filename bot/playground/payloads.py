"""What the app is sent, in the shapes that Slack uses."""

import re
from collections.abc import Mapping
from typing import Any

from bot.playground import modals
from bot.playground.chat import shape
from bot.playground.model import Block, Channel, Message, User, View
from bot.playground.state import State

Payload = dict[str, Any]

_NAME = re.compile(r"(?<!\S)([@#])([\w.\-]+)")
_LINK = re.compile(r"(?<![\S])(https?://[^\s<>|]+)")


class Payloads:
    """Makes payloads.

    Parameters
    ----------
    verification : the old verification token, which apps must not trust.
    """

    def __init__(self, state: State, verification: str) -> None:
        self._state = state
        self._token = verification

    def escaped(self, typed: str) -> str:
        """What a command's text becomes with `should_escape`.

        `&`, `<`, `>` turn into entities; `@name` and `#name` of somebody and something known
        into `<@U1|name>` and `<#C1|name>`; written-out web addresses into `<https://…>`.
        """
        text = typed.strip().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        text = _LINK.sub(lambda found: f"<{found[1]}>", text)
        return _NAME.sub(self._mention, text)

    def _mention(self, found: "re.Match[str]") -> str:
        sign, name = found[1], found[2]
        known: Mapping[str, User | Channel]
        known = self._state.users if sign == "@" else self._state.channels
        for one in known.values():
            if name in (one.name, one.id):
                return f"<{sign}{one.id}|{one.name}>"
        return found[0]

    def command(
        self, user: User, channel: Channel, command: str, text: str, hook: str, trigger: str
    ) -> Payload:
        """A slash command; all values are strings, as in a form."""
        me = self._state.identity
        return {
            "token": self._token,
            "team_id": user.team_id,
            "team_domain": me.team_domain,
            "channel_id": channel.id,
            "channel_name": _shown_name(channel),
            "user_id": user.id,
            "user_name": user.name,
            "command": command,
            "text": text,
            "api_app_id": me.app_id,
            "is_enterprise_install": "false",
            "response_url": hook,
            "trigger_id": trigger,
        }

    def _base(self, kind: str, user: User) -> Payload:
        me = self._state.identity
        return {
            "type": kind,
            "user": {
                "id": user.id,
                "username": user.name,
                "name": user.name,
                "team_id": user.team_id,
            },
            "api_app_id": me.app_id,
            "token": self._token,
            "team": {"id": me.team_id, "domain": me.team_domain},
            "enterprise": None,
            "is_enterprise_install": False,
        }

    def message_action(
        self,
        user: User,
        channel: Channel,
        message: Message | None,
        ts: str,
        action: Mapping[str, Any],
        hook: str,
        trigger: str,
    ) -> Payload:
        """block_actions in a message. Ephemeral messages are not kept, so theirs has no `message`.

        Parameters
        ----------
        message : None for one that is no longer there.
        ts : of the message.
        """
        hidden = message is not None and message.ephemeral
        container = {
            "type": "message",
            "message_ts": ts,
            "channel_id": channel.id,
            "is_ephemeral": hidden,
        }
        if message is not None and message.thread_ts:
            container["thread_ts"] = message.thread_ts
        payload = self._base("block_actions", user) | {
            "container": container,
            "trigger_id": trigger,
            "channel": {"id": channel.id, "name": _shown_name(channel)},
            "state": {"values": {}},
            "response_url": hook,
            "actions": [dict(action)],
        }
        if message is not None and not hidden:
            payload["message"] = shape(self._state, message)
        return payload

    def view_action(
        self, user: User, view: View, action: Mapping[str, Any], trigger: str, values: Payload
    ) -> Payload:
        """block_actions in a modal or home tab; `values` is what stands in the form by now."""
        return self._base("block_actions", user) | {
            "container": {"type": "view", "view_id": view.id},
            "trigger_id": trigger,
            "view": modals.shape(self._state, view, values),
            "actions": [dict(action)],
        }

    def suggestion(
        self, user: User, shown: Message | View, block: Block, element: Block, typed: str
    ) -> Payload:
        """block_suggestion. A view comes without what stands in the form: an app must not lean
        on it."""
        payload = self._base("block_suggestion", user) | {
            "action_id": element["action_id"],
            "block_id": block["block_id"],
            "value": typed,
        }
        if isinstance(shown, View):
            container = {"type": "view", "view_id": shown.id}
            return payload | {"container": container, "view": modals.shape(self._state, shown)}
        where = self._state.channels[shown.channel]
        payload |= {
            "container": {
                "type": "message",
                "message_ts": shown.ts,
                "channel_id": where.id,
                "is_ephemeral": shown.ephemeral,
            },
            "channel": {"id": where.id, "name": _shown_name(where)},
        }
        return payload if shown.ephemeral else payload | {"message": shape(self._state, shown)}

    def submission(self, user: User, view: View, values: Payload, trigger: str) -> Payload:
        """view_submission."""
        return self._base("view_submission", user) | {
            "trigger_id": trigger,
            "view": modals.shape(self._state, view, values),
            "response_urls": [],
        }

    def closed(self, user: User, view: View) -> Payload:
        """view_closed."""
        return self._base("view_closed", user) | {
            "view": modals.shape(self._state, view),
            "is_cleared": False,
        }

    def event(self, event: Mapping[str, Any]) -> Payload:
        """An Events API callback."""
        me = self._state.identity
        return {
            "token": self._token,
            "team_id": me.team_id,
            "api_app_id": me.app_id,
            "event": dict(event),
            "type": "event_callback",
            "event_id": f"Ev{self._state.number():08d}",
            "event_time": int(self._state.clock.now()),
            "authorizations": [
                {
                    "enterprise_id": None,
                    "team_id": me.team_id,
                    "user_id": me.bot_user_id,
                    "is_bot": True,
                    "is_enterprise_install": False,
                }
            ],
        }

    def button_action(self, block: Block, button: Block) -> Payload:
        """One entry of `actions`."""
        text = {"emoji": True, **button["text"]}
        action: Payload = {
            "action_id": button["action_id"],
            "block_id": block["block_id"],
            "text": text,
            "type": "button",
            "action_ts": self._state.next_ts(),
        }
        for name in ("value", "style", "confirm"):
            if name in button:
                action[name] = button[name]
        return action


def _shown_name(channel: Channel) -> str:
    """Slack does not tell apps the names of private channels in payloads."""
    return "privategroup" if channel.is_private else channel.name
