"""Who typed or clicked, and whether they may be answered at all: never from names or values."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.operations.errors import Refusal
from bot.rules.policy import Actor, Policy

_LIFE = 60.0  # seconds that an answer of Slack's about a person or channel is believed
_CACHE = 5000
_PAGES = 20  # of somebody's channels, about a thousand each


@dataclass(frozen=True, slots=True)
class Where:
    """The person and channel of something that came in."""

    user: str
    team: str
    channel: str


class People:
    """Checks people and channels with Slack.

    Parameters
    ----------
    client : with the bot's token.
    policy : knows the listed channels.
    team : the workspace that the bot is installed in.
    """

    def __init__(self, client: AsyncWebClient, policy: Policy, team: str) -> None:
        self._client = client
        self._policy = policy
        self._team = team
        self._known: dict[tuple[str, str], tuple[float, Mapping[str, Any]]] = {}

    async def actor(self, where: Where, *, changes: bool) -> Actor:
        """The person as the policy knows them.

        Parameters
        ----------
        changes : whether something may be changed; then shared channels are refused too.

        Raises
        ------
        Refusal : a guest, a bot, somebody from elsewhere, an unlisted channel, or Slack does not
            say who it is.
        """
        self._refuse_other_teams(where.team)
        if self._policy.channel(where.channel) is None:
            listed = ", ".join(f"<#{c.id}>" for c in self._policy.channels[:3])
            raise Refusal(
                "The registry bot does not listen in this channel.",
                f"Use one that is listed in its settings under [[channels]] ({listed})."
                if listed
                else "No channel is listed in its settings under [[channels]] yet.",
                names_people=True,
            )
        user = await self._ask("user", where.user)
        self._refuse_outsiders(user)
        if changes:
            channel = await self._ask("channel", where.channel)
            if channel.get("is_ext_shared") or channel.get("is_pending_ext_shared"):
                raise Refusal(
                    "This channel is shared with another company; nothing is changed from here.",
                    "Use a channel of your own workspace.",
                )
        return Actor(where.user, where.team, is_full_member=True)

    async def member(self, where: Where) -> Actor:
        """The person, wherever they are: for what belongs to no channel, such as the home tab.

        Raises
        ------
        Refusal : as for `actor`, apart from the channel.
        """
        self._refuse_other_teams(where.team)
        self._refuse_outsiders(await self._ask("user", where.user))
        return Actor(where.user, where.team, is_full_member=True)

    async def channels_of(self, user: str) -> frozenset[str]:
        """The listed channels that somebody is a member of, as far as the bot can see them.

        Raises
        ------
        Refusal : Slack does not say.
        """
        mine = (await self._ask("channels", user))["ids"]
        return frozenset(c.id for c in self._policy.channels if c.id in mine)

    def _refuse_other_teams(self, team: str) -> None:
        if team != self._team:
            raise Refusal(
                "Only members of this workspace can use the registry bot.",
                "Ask somebody of the team that runs the registry.",
            )

    def _refuse_outsiders(self, user: Mapping[str, Any]) -> None:
        if user.get("deleted"):
            raise Refusal("This account is deactivated.", "")
        if user.get("is_bot") or user.get("id") == "USLACKBOT":
            raise Refusal("Bots and workflows cannot use the registry bot.", "Type it yourself.")
        if user.get("is_restricted") or user.get("is_ultra_restricted"):
            raise Refusal(
                "Guests cannot use the registry bot.", "Ask a full member of the workspace."
            )
        if user.get("is_stranger") or user.get("team_id", self._team) != self._team:
            raise Refusal(
                "Only members of this workspace can use the registry bot.",
                "Ask somebody of the team that runs the registry.",
            )

    async def _ask(self, kind: str, key: str) -> Mapping[str, Any]:
        known = self._known.get((kind, key))
        if known and time.monotonic() - known[0] < _LIFE:
            return known[1]
        try:
            if kind == "user":
                answer = (await self._client.users_info(user=key))["user"]
            elif kind == "channels":
                answer = {"ids": await self._channels(key)}
            else:
                answer = (await self._client.conversations_info(channel=key))["channel"]
        except (SlackApiError, aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Refusal(
                f"Slack does not tell the bot {_WHAT[kind]} at the moment ({_code(error)}).",
                "Nothing was changed. Try again in a minute.",
            ) from error
        if len(self._known) >= _CACHE:
            self._known.clear()
        self._known[kind, key] = (time.monotonic(), answer)
        return answer  # type: ignore[no-any-return]

    async def _channels(self, user: str) -> frozenset[str]:
        found: set[str] = set()
        more = ""
        for _ in range(_PAGES):
            answer = await self._client.users_conversations(
                user=user, types="public_channel,private_channel", limit=999, cursor=more
            )
            found.update(str(channel["id"]) for channel in answer["channels"])
            more = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
            if not more:
                break
        return frozenset(found)


_WHAT = {
    "user": "who you are",
    "channel": "what channel this is",
    "channels": "which channels you are in",
}


def _code(error: Exception) -> str:
    if isinstance(error, SlackApiError):
        return str(error.response.get("error", "error"))
    return type(error).__name__
