"""Who is who and where: auth, users, conversations, user groups."""

from collections.abc import Mapping
from typing import Any

from bot.playground.arguments import Arguments, needed, page, truth
from bot.playground.model import Channel, SlackError, User
from bot.playground.state import State


class Directory:
    """The methods that only look things up."""

    def __init__(self, state: State) -> None:
        self._state = state

    def api_test(self, arguments: Arguments) -> Mapping[str, Any]:
        """api.test gives the arguments back."""
        if error := arguments.get("error"):
            raise SlackError(str(error))
        return {"args": dict(arguments)}

    def auth_test(self, arguments: Arguments) -> Mapping[str, Any]:  # noqa: ARG002
        """auth.test: who the token is."""
        me = self._state.identity
        return {
            "url": f"https://{me.team_domain}.slack.com/",
            "team": me.team_domain,
            "user": me.bot_name,
            "team_id": me.team_id,
            "user_id": me.bot_user_id,
            "bot_id": me.bot_id,
            "is_enterprise_install": False,
        }

    def user(self, arguments: Arguments) -> Mapping[str, Any]:
        """users.info."""
        return {"user": self._user(self._state.user(needed(arguments, "user")))}

    def users(self, arguments: Arguments) -> Mapping[str, Any]:
        """users.list, in pages."""
        found, more = page(arguments, [self._user(u) for u in self._state.users.values()])
        return {"members": found, "response_metadata": more}

    def _user(self, user: User) -> dict[str, Any]:
        return {
            "id": user.id,
            "team_id": user.team_id,
            "name": user.name,
            "real_name": user.name.title(),
            "deleted": user.deleted,
            "is_bot": user.is_bot,
            "is_app_user": False,
            "is_admin": False,
            "is_owner": False,
            "is_restricted": user.is_restricted,
            "is_ultra_restricted": user.is_ultra_restricted,
            "is_stranger": user.is_stranger,
            "tz": "Etc/UTC",
            "tz_offset": 0,
            "profile": {"display_name": user.name, "real_name": user.name.title()},
        }

    def conversation(self, arguments: Arguments) -> Mapping[str, Any]:
        """conversations.info."""
        channel = self._state.channel(needed(arguments, "channel"))
        return {"channel": self._conversation(channel)}

    def conversations(self, arguments: Arguments) -> Mapping[str, Any]:
        """conversations.list: of the `types` asked for, public channels by default."""
        return self._listed(arguments, "")

    def conversations_of(self, arguments: Arguments) -> Mapping[str, Any]:
        """users.conversations: where somebody (by default the bot) is a member.

        Of private channels only those that the bot is in, too.
        """
        me = self._state.identity.bot_user_id
        return self._listed(arguments, self._state.user(str(arguments.get("user") or me)).id)

    def _listed(self, arguments: Arguments, member: str) -> Mapping[str, Any]:
        me = self._state.identity.bot_user_id
        types = set(str(arguments.get("types") or "public_channel").replace(" ", "").split(","))
        archived = not truth(arguments, "exclude_archived")
        seen = [
            self._conversation(c)
            for c in self._state.channels.values()
            if _type(c) in types
            and (c.bot_member or not c.is_private)
            and (archived or not c.is_archived)
            and (not member or member in c.members or (member == me and c.bot_member))
        ]
        found, more = page(arguments, seen)
        return {"channels": found, "response_metadata": more}

    def members(self, arguments: Arguments) -> Mapping[str, Any]:
        """conversations.members, in pages, the bot among them."""
        channel = self._state.channel(needed(arguments, "channel"))
        everybody = sorted(channel.members)
        if channel.bot_member:
            everybody.append(self._state.identity.bot_user_id)
        found, more = page(arguments, everybody)
        return {"members": found, "response_metadata": more}

    def _conversation(self, channel: Channel) -> dict[str, Any]:
        team = self._state.identity.team_id
        made: dict[str, Any] = {
            "id": channel.id,
            "is_channel": not channel.is_private and not channel.is_im,
            "is_group": channel.is_private,
            "is_im": channel.is_im,
            "is_mpim": False,
            "is_private": channel.is_private or channel.is_im,
            "is_archived": channel.is_archived,
            "is_shared": channel.is_ext_shared,
            "is_org_shared": False,
            "is_ext_shared": channel.is_ext_shared,
            "is_pending_ext_shared": False,
            "context_team_id": team,
            "shared_team_ids": [team],
        }
        if channel.is_im:
            return made | {"user": next(iter(channel.members))}
        return made | {
            "name": channel.name,
            "name_normalized": channel.name,
            "is_member": channel.bot_member,
            "is_general": False,
            "num_members": len(channel.members) + channel.bot_member,
        }

    def usergroup(self, arguments: Arguments) -> Mapping[str, Any]:
        """usergroups.users.list."""
        group = needed(arguments, "usergroup")
        if group not in self._state.usergroups:
            raise SlackError("no_such_subteam")
        return {"users": list(self._state.usergroups[group])}


def _type(channel: Channel) -> str:
    if channel.is_im:
        return "im"
    return "private_channel" if channel.is_private else "public_channel"
