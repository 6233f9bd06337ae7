"""The page's requests: look, listen to changes, and every gesture as the chosen person."""

import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from bot.playground.model import (
    Delivery,
    File,
    Message,
    PlaygroundError,
    User,
    View,
    buttons_of,
    label,
)
from bot.playground.page.snapshot import Sight, person
from bot.playground.page.traffic import Recorder
from bot.playground.workspace import Workspace

Body = Mapping[str, Any]
Gesture = Callable[[str, Body], Awaitable[Any]]

_KEEP_ALIVE = 15.0


class Api:
    """Everything under `/api/`.

    Parameters
    ----------
    commands : usage and summary of each verb, for the composer's hints.
    roles : by user id, what somebody is in this team.
    """

    def __init__(
        self,
        workspace: Workspace,
        recorder: Recorder,
        commands: Sequence[tuple[str, str]],
        roles: Mapping[str, str],
    ) -> None:
        self._workspace = workspace
        self._recorder = recorder
        self._commands = [list(pair) for pair in commands]
        self._roles = dict(roles)
        self._closing = False

    def routes(self) -> list[web.RouteDef]:
        """What the server serves."""
        gestures: dict[str, Gesture] = {
            "command": self._command,
            "say": self._say,
            "click": self._click,
            "choose": self._choose,
            "submit": self._submit,
            "close": self._close,
            "type-ahead": self._suggest,
            "home": self._home,
        }
        posts = [web.post(f"/api/{name}", _handler(self, run)) for name, run in gestures.items()]
        return [
            web.get("/api/people", self._people),
            web.get("/api/state", self._state),
            web.get("/api/events", self._events),
            web.get("/api/traffic", self._traffic),
            web.get("/api/file/{id}", self._file),
            *posts,
        ]

    def close(self) -> None:
        """Let every listening page go."""
        self._closing = True
        self._workspace.state.changes.tell()

    def person(self, user: Any) -> User:
        """Somebody the page can act as; `PlaygroundError` for others and for bots."""
        known = self._workspace.state.users.get(str(user))
        if known is None or known.is_bot:
            raise PlaygroundError(f"nobody here is {str(user)[:40]!r}")
        return known

    async def _people(self, request: web.Request) -> web.Response:  # noqa: ARG002
        """Who may be chosen, before anybody is."""
        everybody = self._workspace.state.users.values()
        chosen = [person(u, self._roles.get(u.id, "")) for u in everybody if not u.is_bot]
        return _json({"people": chosen})

    async def _state(self, request: web.Request) -> web.Response:
        user = self.person(request.query.get("user", ""))
        sight = Sight(self._workspace, user.id, self._roles)
        return _json({**self._frame(user), **sight.whole()})

    def _frame(self, user: User) -> dict[str, Any]:
        return {
            "user": user.id,
            "team": self._workspace.state.identity.team_domain,
            "bot": self._workspace.bot_user_id,
            "home_channel": self._workspace.dm(user.id),
            "commands": self._commands,
            "traffic": self._recorder.count,
        }

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Server-Sent Events: everything at first, then what changed, as soon as it changes."""
        user = self.person(request.query.get("user", ""))
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await stream.prepare(request)
        sight = Sight(self._workspace, user.id, self._roles)
        seen = -1

        def news() -> Any:
            nonlocal seen
            if self._closing:
                return {"closing": True}
            changed = sight.changes()
            if seen != self._recorder.count:
                seen = changed["traffic"] = self._recorder.count
            return changed

        with contextlib.suppress(ConnectionResetError):  # the browser went away
            await _push(stream, "state", {**self._frame(user), **news()})
            while not self._closing:
                try:
                    changed = await self._workspace.wait_for(news, _KEEP_ALIVE)
                except TimeoutError:
                    await stream.write(b": still here\n\n")
                    continue
                if not self._closing:
                    await _push(stream, "change", changed)
        return stream

    async def _traffic(self, request: web.Request) -> web.Response:
        self.person(request.query.get("user", ""))
        return _json({"count": self._recorder.count, "entries": self._recorder.entries()})

    async def _file(self, request: web.Request) -> web.Response:
        user = self.person(request.query.get("user", ""))
        found = self._find_file(user.id, request.match_info["id"])
        if found is None:
            raise web.HTTPNotFound(text="There is no such file, or you do not see it.")
        return web.Response(
            body=found.content,
            content_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="{_file_name(found.name)}"'},
        )

    def _find_file(self, user: str, wanted: str) -> File | None:
        state = self._workspace.state
        seen = [
            *self._workspace.ephemerals(user),
            *(m for c in state.channels.values() if user in c.members for m in self._all(c.id)),
        ]
        return next((f for m in seen for f in m.files if f.id == wanted), None)

    def _all(self, channel: str) -> list[Message]:
        return self._workspace.state.in_channel(channel)

    async def _command(self, user: str, body: Body) -> Any:
        command, _, text = _text(body, "text").strip().partition(" ")
        known = {usage.split()[0] for usage, _ in self._commands} or {"/registry"}
        if command not in known:
            raise PlaygroundError(f"{command[:40]} is not a command here; try {min(known)}")
        return await self._workspace.command(user, _text(body, "channel"), text, command)

    async def _say(self, user: str, body: Body) -> Any:
        text, thread = _text(body, "text"), str(body.get("thread_ts") or "")
        channel = _text(body, "channel")
        if thread and self._workspace.state.find(channel, thread) is None:
            raise PlaygroundError("That thread is gone.")
        said = self._workspace.payloads.escaped(text)
        return {"ts": self._workspace.say(user, channel, said, thread).ts}

    async def _click(self, user: str, body: Body) -> Any:
        shown = self._shown(user, body)
        ids = _text(body, "block_id"), _text(body, "action_id")
        return await _press(self._workspace, user, shown, *ids)

    async def _choose(self, user: str, body: Body) -> Any:
        shown = self._shown(user, body)
        ids = _text(body, "block_id"), _text(body, "action_id")
        values = _values(body)
        return await self._workspace.choose(user, shown, ids, body.get("value"), values)

    async def _suggest(self, user: str, body: Body) -> Any:
        shown = self._shown(user, body)
        ids = _text(body, "block_id"), _text(body, "action_id")
        typed = str(body.get("value") or "")
        return {"options": await self._workspace.suggest(user, shown, ids, typed)}

    async def _submit(self, user: str, body: Body) -> Any:
        return await self._workspace.submit(user, self._view(user, body), _values(body))

    async def _close(self, user: str, body: Body) -> Any:
        return await self._workspace.close_view(user, self._view(user, body)) or {}

    async def _home(self, user: str, body: Body) -> Any:  # noqa: ARG002
        return await self._workspace.open_home(user)

    def _view(self, user: str, body: Body) -> View:
        return self._workspace.modals.find(user, _text(body, "view"))

    def _shown(self, user: str, body: Body) -> Message | View:
        """The message or view that the gesture is about, if this person sees it."""
        if body.get("view"):
            return self._view(user, body)
        channel, ts = _text(body, "channel"), _text(body, "ts")
        found = self._workspace.state.find(channel, ts)
        if found is None:
            raise PlaygroundError("That message is gone.")
        where = self._workspace.state.channels[channel]
        if user not in where.members or (found.ephemeral and user not in found.seen_by):
            raise PlaygroundError("You do not see that message.")
        return found


async def _press(
    workspace: Workspace, user: str, shown: Message | View, block_id: str, action_id: str
) -> Delivery:
    """Press the one button with these ids; whatever dialog there was has been accepted."""
    nth = 0
    for block, button in buttons_of(shown.blocks):
        if block.get("block_id") == block_id and button.get("action_id") == action_id:
            return await workspace.click(user, shown, action_id, nth=nth)
        nth += action_id in (label(button), button.get("action_id"))
    raise PlaygroundError("That button is not there any more.")


def _handler(api: Api, run: Gesture) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            body = await request.json()
        except ValueError as error:
            raise PlaygroundError("the body is not JSON") from error
        if not isinstance(body, dict):
            raise PlaygroundError("the body must be an object")
        done = await run(api.person(body.get("user")).id, body)
        if isinstance(done, Delivery):
            done = {"acked": done.acked, "took": done.ack_seconds, "error": done.error}
        return _json(done)

    return handle


@web.middleware
async def errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Tell the page in a sentence what cannot be done."""
    try:
        return await handler(request)
    except PlaygroundError as error:
        return _json({"error": str(error)}, status=400)


async def _push(stream: web.StreamResponse, name: str, data: Any) -> None:
    await stream.write(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())


def _json(data: Any, status: int = 200) -> web.Response:
    return web.json_response(data, status=status)


def _values(body: Body) -> Mapping[str, Any]:
    """What stands in a form, by block_id."""
    values = body.get("values") or {}
    if not isinstance(values, Mapping):
        raise PlaygroundError("values must be an object")
    return values


def _text(body: Body, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise PlaygroundError(f"{name} is missing")
    return value


def _file_name(name: str) -> str:
    """A file's name that cannot break out of the header."""
    kept = [c if c.isascii() and (c.isalnum() or c in "._- ") else "_" for c in name]
    return "".join(kept) or "file"
