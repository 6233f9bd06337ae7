"""Menus: what the app suggests while somebody types, and what they choose."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.playground.checking import Checker
from bot.playground.elements import option as check_option
from bot.playground.forms import chosen
from bot.playground.gestures import Gestures
from bot.playground.model import Block, Delivery, Message, PlaygroundError, View
from bot.playground.sockets import INTERACTIVE

Shown = Message | View

_SHORTEST = 3  # characters that must be typed before Slack asks the app, unless it says otherwise
_MOST = 100


class Choosing(Gestures):
    """Gestures with menus, in messages, modals and home tabs.

    A `field` is named by its label, block_id or action_id, or by (block_id, action_id).
    """

    async def suggest(
        self, user: str, shown: Shown, field: str | tuple[str, str], typed: str = ""
    ) -> list[Block]:
        """Type into an external menu: the choices that the app offers, groups flattened.

        Nothing is offered before as many characters are typed as the menu wants.

        Raises
        ------
        PlaygroundError : there is no such menu, or Slack would not take what the app offers.
        """
        who, shown = self._person(user), self._seen(user, shown)
        block, element = _field(shown, field)
        if not element["type"].endswith("external_select"):
            raise PlaygroundError(f"{field} asks the app for nothing")
        if len(typed) < element.get("min_query_length", _SHORTEST):
            return []
        payload = self.payloads.suggestion(who, shown, block, element, typed)
        delivery = await self.line.send(INTERACTIVE, payload)
        if delivery.error:
            raise PlaygroundError(f"the suggestions failed: {delivery.error}")
        offered = _offered(delivery.ack_body)
        self.modals.offer(_place(shown), block["block_id"], offered)
        return offered

    async def choose(
        self,
        user: str,
        shown: Shown,
        field: str | tuple[str, str],
        choice: Any,
        values: Mapping[str, Any] | None = None,
    ) -> Delivery:
        """Choose in a menu that tells the app at once.

        Parameters
        ----------
        choice : label or value of an option, the option itself, a list of them, or the text of
            a picker.
        values : what else stands in the form by now; see `forms.filled`.

        Raises
        ------
        PlaygroundError : there is no such menu or choice, or the menu tells nobody before the
            form is submitted.
        """
        who, shown = self._person(user), self._seen(user, shown)
        block, element = _field(shown, field)
        if block["type"] == "input" and not block.get("dispatch_action"):
            raise PlaygroundError(f"{field} has no dispatch_action: choosing there sends nothing")
        offered = self.modals.offered(_place(shown), block["block_id"])
        action = {
            "type": element["type"],
            "action_id": element["action_id"],
            "block_id": block["block_id"],
            "action_ts": self.state.next_ts(),
            **chosen(element, choice, offered),
        }
        trigger = self.triggers.issue(user)
        if isinstance(shown, View):
            form = dict(values or {})
            if block["type"] == "input":
                form[block["block_id"]] = choice
            state = self._form(shown, form, partial=True)
            payload = self.payloads.view_action(who, shown, action, trigger, state)
        else:
            where = self.state.channels[shown.channel]
            hook = self.hooks.issue(user, shown.channel, shown.ts)
            payload = self.payloads.message_action(
                who, where, shown, shown.ts, action, hook, trigger
            )
        return await self._send(INTERACTIVE, payload)


def _place(shown: Shown) -> str:
    return shown.id if isinstance(shown, View) else f"{shown.channel}:{shown.ts}"


def _offered(body: Mapping[str, Any]) -> list[Block]:
    """The options of an answer; like Slack, all or none of them are taken."""
    check = Checker("message")
    options = list(body.get("options") or ())
    for group in body.get("option_groups") or ():
        options += group.get("options", ())
    if len(options) > _MOST:
        check.add(f"no more than {_MOST} items allowed", "/options")
    for number, one in enumerate(options):
        check_option(check, one, f"/options/{number}")
    if check.problems:
        raise PlaygroundError(f"Slack refuses these suggestions: {'; '.join(check.problems)}")
    return options


def _field(shown: Shown, wanted: str | tuple[str, str]) -> tuple[Block, Block]:
    """A menu and its block; `PlaygroundError` where there is none, or where there are several."""
    found = []
    for block in _all(shown.blocks):
        held = [block.get("accessory"), block.get("element"), *block.get("elements", ())]
        for element in held:
            if not isinstance(element, Mapping) or "action_id" not in element:
                continue
            ids = block.get("block_id"), element["action_id"]
            label = block.get("label", {}).get("text")
            if wanted == ids or wanted in (*ids, label):
                found.append((block, element))
    if len(found) != 1:
        raise PlaygroundError(f"there are {len(found)} fields {wanted!r}")
    return found[0]


def _all(blocks: Sequence[Block]) -> list[Block]:
    return [one for block in blocks for one in (block, *_all(block.get("child_blocks", ())))]
