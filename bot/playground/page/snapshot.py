"""What one person sees, as JSON, and what changed in it since they last looked."""

from collections.abc import Iterable, Mapping
from typing import Any

from bot.playground.model import Channel, File, Message, User, View
from bot.playground.workspace import Workspace

Json = dict[str, Any]

_PREVIEW = 1500
_AWAY = object()


def person(user: User, role: str = "") -> Json:
    """Somebody for the lists; `role` says what they are in this team."""
    guest = user.is_restricted or user.is_ultra_restricted
    return {
        "id": user.id,
        "name": user.name,
        "role": role or ("guest" if guest else ""),
        "is_guest": guest,
        "is_bot": user.is_bot,
        "deleted": user.deleted,
    }


def channel(shown: Channel) -> Json:
    """A channel, or the direct message with the bot."""
    return {
        "id": shown.id,
        "name": shown.name,
        "is_private": shown.is_private,
        "is_im": shown.is_im,
        "is_archived": shown.is_archived,
        "members": len(shown.members) + shown.bot_member,
    }


def file(shown: File) -> Json:
    """A file with its beginning, where it is text."""
    beginning = shown.content[: 4 * _PREVIEW]
    text = "" if b"\0" in beginning else beginning.decode("utf-8", "ignore")[:_PREVIEW]
    return {
        "id": shown.id,
        "name": shown.name,
        "title": shown.title,
        "size": len(shown.content),
        "preview": text,
        "is_whole": bool(text) and len(text.encode()) >= len(shown.content),
    }


def message(shown: Message) -> Json:
    """A message with its raw markup: the page makes elements of it, never HTML."""
    return {
        "ts": shown.ts,
        "channel": shown.channel,
        "user": shown.user,
        "text": shown.text,
        "blocks": list(shown.blocks),
        "attachments": list(shown.attachments),
        "thread_ts": shown.thread_ts,
        "edited": shown.edited,
        "ephemeral": shown.ephemeral,
        "files": [file(one) for one in shown.files],
    }


def view(shown: View) -> Json:
    """A modal or home tab."""
    return {
        "id": shown.id,
        "type": shown.type,
        "hash": shown.hash,
        "title": shown.title,
        "submit": shown.submit,
        "close": shown.close,
        "blocks": list(shown.blocks),
        "errors": dict(shown.errors),
    }


class Sight:
    """What one person sees. Messages are frozen, so a changed one is another object."""

    def __init__(self, workspace: Workspace, user: str, roles: Mapping[str, str]) -> None:
        self._workspace = workspace
        self._user = user
        self._roles = roles
        self._messages: dict[tuple[str, str], Message] = {}
        self._rest: dict[str, Any] = {}
        workspace.dm(user)

    def changes(self) -> Json:
        """What is new since the last call, by the keys of the state; everything at first.

        `messages` are new or changed ones, `removed` are [channel, ts]; the other keys come whole.
        """
        made: Json = {}
        seen = {(m.channel, m.ts): m for m in self._visible()}
        changed = [m for key, m in seen.items() if self._messages.get(key) is not m]
        removed = [list(key) for key in self._messages if key not in seen]
        self._messages = seen
        if changed:
            made["messages"] = [message(m) for m in changed]
        if removed:
            made["removed"] = removed
        for name, value in self._others().items():
            if self._rest.get(name, _AWAY) != value:
                self._rest[name] = made[name] = value
        return made

    def whole(self) -> Json:
        """Everything."""
        return {"messages": [message(m) for m in self._visible()], **self._others()}

    def _channels(self) -> list[Channel]:
        return [c for c in self._workspace.state.channels.values() if self._user in c.members]

    def _visible(self) -> Iterable[Message]:
        mine = {c.id for c in self._channels()}
        found = [m for c in mine for m in self._workspace.state.in_channel(c)]
        found += [m for m in self._workspace.ephemerals(self._user) if m.channel in mine]
        return sorted(found, key=lambda m: m.ts)

    def _others(self) -> Json:
        workspace = self._workspace
        home = workspace.home(self._user)
        people = workspace.state.users.values()
        return {
            "people": [person(u, self._roles.get(u.id, "")) for u in people],
            "channels": [channel(c) for c in self._channels()],
            "views": [view(v) for v in workspace.views(self._user)],
            "home": view(home) if home else None,
        }
