"""views.*: the modals that each person has open, and their home tab."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.playground.arguments import Arguments, needed, parsed
from bot.playground.blocks import completed, problems
from bot.playground.checking import ID, Checker
from bot.playground.faults import Faults
from bot.playground.model import Block, PlaygroundError, SlackError, View
from bot.playground.state import State
from bot.playground.tokens import Triggers

_DEEPEST = 3
_FIELDS = frozenset(
    {"blocks", "title", "submit", "close", "private_metadata", "callback_id", "external_id"}
    | {"clear_on_close", "notify_on_close", "submit_disabled"}
)


class Modals:
    """The methods under `views.`, and what the app's answer to a submission does."""

    def __init__(self, state: State, triggers: Triggers, faults: Faults) -> None:
        self._state = state
        self._triggers = triggers
        self._faults = faults
        self._stacks: dict[str, list[View]] = {}
        self._homes: dict[str, View] = {}
        self._offered: dict[tuple[str, str], list[Block]] = {}

    def stack(self, user: str) -> list[View]:
        """The open modals of a person; the last one is on top."""
        return list(self._stacks.get(user, ()))

    def home(self, user: str) -> View | None:
        """The home tab that was published for a person."""
        return self._homes.get(user)

    def offer(self, place: str, block_id: str, options: Sequence[Block]) -> None:
        """Remember what the app has suggested for an external menu."""
        known = self._offered.setdefault((place, block_id), [])
        known += [option for option in options if option not in known]

    def offered(self, place: str, block_id: str) -> Sequence[Block]:
        """Everything that was suggested for an external menu so far."""
        return tuple(self._offered.get((place, block_id), ()))

    def find(self, user: str, view_id: str) -> View:
        """A view of a person as it stands now; `PlaygroundError` when it is not open."""
        home = self._homes.get(user)
        for view in [*self.stack(user), *([home] if home else [])]:
            if view.id == view_id:
                return view
        raise PlaygroundError(f"{user} has no view {view_id} open")

    def open(self, arguments: Arguments) -> Mapping[str, Any]:
        """views.open."""
        asked = self._checked(arguments, "modal")
        user = self._triggers.redeem(needed(arguments, "trigger_id"))
        view = self._make(user, asked)
        self._stacks[user] = [replace(view, root_view_id=view.id)]
        return self._answer(user)

    def push(self, arguments: Arguments) -> Mapping[str, Any]:
        """views.push: on top of the open modal, three at most."""
        asked = self._checked(arguments, "modal")
        user = self._triggers.redeem(needed(arguments, "trigger_id"))
        self._push(user, asked)
        return self._answer(user)

    def _push(self, user: str, asked: Mapping[str, Any]) -> None:
        stack = self._stacks.get(user, [])
        if not stack:
            raise SlackError("not_found")
        if len(stack) >= _DEEPEST:
            raise SlackError("push_limit_reached")
        view = self._make(user, asked)
        root, top = stack[0].id, stack[-1].id
        stack.append(replace(view, root_view_id=root, previous_view_id=top))

    def update(self, arguments: Arguments) -> Mapping[str, Any]:
        """views.update by view_id or external_id; `hash_conflict` when it changed meanwhile."""
        asked = self._checked(arguments, "modal")
        wanted = str(arguments.get("view_id") or "")
        external = str(arguments.get("external_id") or "")
        for stack in self._stacks.values():
            for n, view in enumerate(stack):
                if view.id == wanted or (external and view.external_id == external):
                    if arguments.get("hash") not in (None, "", view.hash):
                        raise SlackError("hash_conflict")
                    stack[n] = self._replaced(view, asked)
                    self._state.changes.tell()
                    return {"view": shape(self._state, stack[n])}
        raise SlackError("not_found")

    def publish(self, arguments: Arguments) -> Mapping[str, Any]:
        """views.publish: somebody's home tab."""
        asked = self._checked(arguments, "home")
        user = self._state.user(needed(arguments, "user_id")).id
        view = self._make(user, asked)
        old = self._homes.get(user)
        self._homes[user] = replace(view, id=old.id if old else view.id)
        self._state.changes.tell()
        return {"view": shape(self._state, self._homes[user])}

    def close(self, view: View) -> None:
        """Take a modal and what lies on top of it away."""
        stack = self._stacks.get(view.user, [])
        places = [n for n, open_ in enumerate(stack) if open_.id == view.id]
        if places:
            del stack[places[0] :]
            self._state.changes.tell()

    def submitted(self, view: View, answer: Mapping[str, Any]) -> str:
        """Do what the app answered to a submission; the error that the person sees, or ""."""
        action = answer.get("response_action")
        try:
            if action == "clear":
                self._stacks.pop(view.user, None)
            elif action == "errors":
                self._show_errors(view, answer.get("errors"))
            elif action in {"update", "push"}:
                asked = self._checked(answer, "modal")
                if action == "push":
                    self._push(view.user, asked)
                else:
                    self._swap(view, self._replaced(view, asked))
            elif action is None:
                self.close(view)
            else:
                return "invalid_command_response"
        except SlackError:
            return "invalid_command_response"
        self._state.changes.tell()
        return ""

    def _show_errors(self, view: View, errors: Any) -> None:
        known = {b.get("block_id") for b in view.blocks if b.get("type") == "input"}
        if not isinstance(errors, Mapping) or not errors or not errors.keys() <= known:
            raise SlackError("invalid_arguments")
        self._swap(view, replace(view, errors={str(k): str(v) for k, v in errors.items()}))

    def _swap(self, old: View, new: View) -> None:
        stack = self._stacks.get(old.user, [])
        self._stacks[old.user] = [new if view.id == old.id else view for view in stack]

    def _replaced(self, view: View, asked: Mapping[str, Any]) -> View:
        made = self._make(view.user, asked)
        return replace(
            made,
            id=view.id,
            root_view_id=view.root_view_id,
            previous_view_id=view.previous_view_id,
        )

    def _answer(self, user: str) -> Mapping[str, Any]:
        self._state.changes.tell()
        return {"view": shape(self._state, self._stacks[user][-1])}

    def _checked(self, arguments: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
        view = parsed(arguments, "view", "invalid_arguments")
        if not isinstance(view, Mapping):
            raise SlackError("invalid_arguments", ["missing required field: view"])
        wrong = _problems(view, kind)
        wrong += problems(view.get("blocks"), kind, self._faults.unsupported_blocks, "/view/blocks")
        if wrong:
            raise SlackError("invalid_arguments", wrong)
        return view

    def _make(self, user: str, asked: Mapping[str, Any]) -> View:
        return View(
            id=f"V{self._state.number():07d}",
            user=user,
            type=str(asked["type"]),
            callback_id=str(asked.get("callback_id") or ""),
            title=_plain(asked.get("title")),
            blocks=completed(asked["blocks"]),
            hash=secrets.token_hex(6),
            private_metadata=str(asked.get("private_metadata") or ""),
            external_id=str(asked.get("external_id") or ""),
            submit=_plain(asked.get("submit")),
            close=_plain(asked.get("close")),
            notify_on_close=bool(asked.get("notify_on_close")),
            clear_on_close=bool(asked.get("clear_on_close")),
        )


def _plain(value: Any) -> str:
    return str(value["text"]) if value else ""


def _problems(view: Mapping[str, Any], kind: str) -> list[str]:
    """What is wrong with a view apart from its blocks."""
    check = Checker(kind)
    if view.get("type") != kind:
        check.add(f"must be {kind}", "/view/type")
    check.keys(view, "/view", ("blocks", "title") if kind == "modal" else ("blocks",), _FIELDS)
    for name in ("title", "submit", "close"):
        check.plain(view.get(name), f"/view/{name}", 24)
    check.string(view.get("private_metadata"), "/view/private_metadata", 3000, 0)
    for name in ("callback_id", "external_id"):
        check.string(view.get(name), f"/view/{name}", ID, 0)
    blocks = view.get("blocks")
    asks = isinstance(blocks, list) and any(
        isinstance(b, Mapping) and b.get("type") == "input" for b in blocks
    )
    if kind == "modal" and asks and not view.get("submit"):
        check.add("submit is required when an input block is within blocks", "/view/submit")
    return check.problems


def shape(state: State, view: View, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A view as answers and payloads carry it."""
    me = state.identity
    made: dict[str, Any] = {
        "id": view.id,
        "team_id": me.team_id,
        "type": view.type,
        "blocks": list(view.blocks),
        "private_metadata": view.private_metadata,
        "callback_id": view.callback_id,
        "external_id": view.external_id,
        "state": {"values": dict(values or {})},
        "hash": view.hash,
        "clear_on_close": view.clear_on_close,
        "notify_on_close": view.notify_on_close,
        "root_view_id": view.root_view_id or view.id,
        "previous_view_id": view.previous_view_id or None,
        "app_id": me.app_id,
        "app_installed_team_id": me.team_id,
        "bot_id": me.bot_id,
    }
    for name, text in (("title", view.title), ("submit", view.submit), ("close", view.close)):
        made[name] = {"type": "plain_text", "text": text, "emoji": True} if text else None
    return made
