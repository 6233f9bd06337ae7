"""Everything that lets somebody in once, for a while, or always."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.playground.model import SlackError
from bot.playground.state import Clock


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a workspace hands to the owner of an app; new for every workspace."""

    bot: str = field(default_factory=lambda: f"xoxb-play-{secrets.token_hex(12)}")
    app: str = field(default_factory=lambda: f"xapp-1-play-{secrets.token_hex(16)}")
    signing_secret: str = field(default_factory=lambda: secrets.token_hex(16))
    verification: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    def check(self, method: str, headers: Mapping[str, str], arguments: dict[str, Any]) -> None:
        """Refuse a call without the right token; takes `token` out of the arguments.

        Raises
        ------
        SlackError : `not_authed`, `invalid_auth`, `not_allowed_token_type`.
        """
        given = str(arguments.pop("token", ""))
        scheme, _, bearer = headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            given = bearer.strip()
        if method == "api.test":
            return
        if not given:
            raise SlackError("not_authed")
        if given not in {self.bot, self.app}:
            raise SlackError("invalid_auth")
        if (method == "apps.connections.open") != (given == self.app):
            raise SlackError("not_allowed_token_type")


class Triggers:
    """trigger_ids: three seconds, one use."""

    def __init__(self, clock: Clock) -> None:
        self.life = 3.0
        self._clock = clock
        self._issued: dict[str, tuple[str, float]] = {}
        self._used: set[str] = set()

    def issue(self, user: str) -> str:
        """A trigger for something that a person just did."""
        trigger = f"{secrets.randbelow(10**13)}.{secrets.randbelow(10**13)}.{secrets.token_hex(16)}"
        self._issued[trigger] = (user, self._clock.now())
        return trigger

    def redeem(self, trigger: str) -> str:
        """Whose trigger it is.

        Raises
        ------
        SlackError : `invalid_trigger_id`, `exchanged_trigger_id` (used before),
            `expired_trigger_id`.
        """
        if trigger not in self._issued:
            raise SlackError("invalid_trigger_id")
        if trigger in self._used:
            raise SlackError("exchanged_trigger_id")
        user, since = self._issued[trigger]
        if self._clock.now() - since > self.life:
            raise SlackError("expired_trigger_id")
        self._used.add(trigger)
        return user


@dataclass(slots=True)
class Hook:
    """Where the posts of one response_url go, and how often it was used.

    `message_ts` is the message whose button was clicked; empty for a command.
    """

    user: str
    channel: str
    since: float
    message_ts: str = ""
    used: int = 0


class Hooks:
    """response_urls: five posts in thirty minutes."""

    def __init__(self, clock: Clock) -> None:
        self.life = 1800.0
        self.uses = 5
        self.base = ""
        self._clock = clock
        self._hooks: dict[str, Hook] = {}

    def issue(self, user: str, channel: str, message_ts: str = "") -> str:
        """A response_url for something that a person did in a channel."""
        key = secrets.token_urlsafe(24)
        self._hooks[key] = Hook(user, channel, self._clock.now(), message_ts)
        return self.base + key

    def get(self, key: str) -> Hook:
        """The hook, while it may be used.

        Raises
        ------
        SlackError : `no_hook`, `expired_url`, `used_url`; status 404.
        """
        hook = self._hooks.get(key)
        if hook is None:
            raise SlackError("no_hook", status=404)
        if self._clock.now() - hook.since > self.life:
            raise SlackError("expired_url", status=404)
        if hook.used >= self.uses:
            raise SlackError("used_url", status=404)
        return hook


class Tickets:
    """The one-use tickets in the addresses that `apps.connections.open` gives out."""

    def __init__(self, clock: Clock) -> None:
        self.life = 30.0
        self._clock = clock
        self._open: dict[str, float] = {}

    def issue(self) -> str:
        """A ticket for one connection."""
        ticket = secrets.token_urlsafe(24)
        self._open[ticket] = self._clock.now()
        return ticket

    def redeem(self, ticket: str) -> bool:
        """Whether it is good; it is not good twice."""
        since = self._open.pop(ticket, None)
        return since is not None and self._clock.now() - since <= self.life
