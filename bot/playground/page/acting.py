"""Gestures that a page has beyond the workspace's own: menus, and choices the app suggests."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.playground.forms import filled
from bot.playground.model import Block, Delivery, Message, PlaygroundError, View, buttons_of, label
from bot.playground.sockets import INTERACTIVE
from bot.playground.workspace import Workspace

Shown = Message | View

_EXTERNAL = {"external_select": "selected_option", "multi_external_select": "selected_options"}
_TEXTS = {
    "datepicker": "selected_date",
    "timepicker": "selected_time",
    "datetimepicker": "selected_date_time",
    "users_select": "selected_user",
    "channels_select": "selected_channel",
    "conversations_select": "selected_conversation",
}


async def press(
    workspace: Workspace, user: str, shown: Shown, block_id: str, action_id: str
) -> Delivery:
    """Press the one button with these ids; whatever dialog there was has been accepted."""
    nth = 0
    for block, button in buttons_of(shown.blocks):
        if block.get("block_id") == block_id and button.get("action_id") == action_id:
            return await workspace.click(user, shown, action_id, nth=nth)
        nth += action_id in (label(button), button.get("action_id"))
    raise PlaygroundError("That button is not there any more.")


async def choose(
    workspace: Workspace, user: str, shown: Shown, block_id: str, action_id: str, value: Any
) -> Delivery:
    """Choose in a menu, picker or list of boxes that stands in a message, modal or home tab.

    Parameters
    ----------
    value : an option, a list of options, or the text of a picker.
    """
    element = find(shown, block_id, action_id)
    kind = str(element["type"])
    action = {
        "type": kind,
        "action_id": action_id,
        "block_id": block_id,
        "action_ts": workspace.state.next_ts(),
        **_chosen(kind, value),
    }
    who, trigger = workspace.state.users[user], workspace.triggers.issue(user)
    if isinstance(shown, View):
        payload = workspace.payloads.view_action(who, shown, action, trigger)
    else:
        where = workspace.state.channels[shown.channel]
        hook = workspace.hooks.issue(user, shown.channel, shown.ts)
        payload = workspace.payloads.message_action(
            who, where, shown, shown.ts, action, hook, trigger
        )
    return await workspace.line.send(INTERACTIVE, payload, workspace.faults.copies())


def _chosen(kind: str, value: Any) -> dict[str, Any]:
    if kind in _TEXTS:
        return {_TEXTS[kind]: value}
    if isinstance(value, list):
        return {"selected_options": value}
    return {"selected_option": value}


async def suggest(
    workspace: Workspace, user: str, shown: Shown, block_id: str, action_id: str, typed: str
) -> list[Block]:
    """Ask the app for the choices of an external menu; groups are flattened."""
    find(shown, block_id, action_id)
    who = workspace.state.users[user]
    if isinstance(shown, View):
        base = workspace.payloads.closed(who, shown)
    else:
        where = workspace.state.channels[shown.channel]
        base = workspace.payloads.message_action(who, where, shown, shown.ts, {}, "", "")
    payload = {key: value for key, value in base.items() if key not in _NOT_SUGGESTED}
    payload |= {
        "type": "block_suggestion",
        "block_id": block_id,
        "action_id": action_id,
        "value": typed,
    }
    delivery = await workspace.line.send(INTERACTIVE, payload)
    body = delivery.ack_body
    offered = list(body.get("options") or ())
    for group in body.get("option_groups") or ():
        offered += group.get("options", ())
    return offered


_NOT_SUGGESTED = frozenset({"actions", "is_cleared", "response_url", "state", "trigger_id"})


async def submit(
    workspace: Workspace, user: str, shown: View, values: Mapping[str, Any]
) -> Delivery:
    """Submit a modal.

    Parameters
    ----------
    values : by block_id: a text, the value of a choice, or a list of them; for external menus
        the option itself, as the app offered it.
    """
    external = [
        b for b in shown.blocks if b.get("type") == "input" and b["element"]["type"] in _EXTERNAL
    ]
    if not external:
        return await workspace.submit(user, shown, values)
    plain = dict(values)
    for block in external:
        plain[block["block_id"]] = _spoken(values.get(block["block_id"]))
    state = filled(shown, plain)
    for block in external:
        element, given = block["element"], values.get(block["block_id"])
        kind = element["type"]
        state[block["block_id"]] = {element["action_id"]: {"type": kind, _EXTERNAL[kind]: given}}
    trigger = workspace.triggers.issue(user)
    payload = workspace.payloads.submission(workspace.state.users[user], shown, state, trigger)
    delivery = await workspace.line.send(INTERACTIVE, payload, workspace.faults.copies())
    if delivery.acked:
        workspace.modals.submitted(shown, delivery.ack_body)
    return delivery


def _spoken(given: Any) -> str:
    """What was chosen as a text, so that an empty required menu is noticed as such."""
    options: Sequence[Any] = given if isinstance(given, list) else [given] if given else []
    return ", ".join(str(one["value"]) for one in options)


def find(shown: Shown, block_id: str, action_id: str) -> Block:
    """The element with these ids; `PlaygroundError` where it is gone."""
    for block in _all(shown.blocks):
        held = [block.get("accessory"), block.get("element"), *block.get("elements", ())]
        for element in held:
            if (
                isinstance(element, Mapping)
                and block.get("block_id") == block_id
                and element.get("action_id") == action_id
            ):
                return element
    raise PlaygroundError("That is not there any more.")


def _all(blocks: Sequence[Block]) -> list[Block]:
    return [one for block in blocks for one in (block, *_all(block.get("child_blocks", ())))]
