"""What somebody typed and chose in a modal, as `view.state.values` carries it."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.playground.model import PlaygroundError, View

_SELECTED = {
    "users_select": "selected_user",
    "channels_select": "selected_channel",
    "conversations_select": "selected_conversation",
    "datepicker": "selected_date",
    "timepicker": "selected_time",
    "datetimepicker": "selected_date_time",
}
_ONE = frozenset({"static_select", "radio_buttons"})
_MANY = frozenset({"multi_static_select", "checkboxes"})


def filled(view: View, given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The values of a form.

    Parameters
    ----------
    given : by block_id, action_id or label of the input: a text, the label or value of a choice,
        or a list of them. What is left out keeps its initial value.

    Raises
    ------
    PlaygroundError : a required field is empty, a text is too long or short, a choice or field
        does not exist; the real client would not let the person submit.
    """
    left = dict(given)
    values: dict[str, dict[str, Any]] = {}
    for block in view.blocks:
        if block.get("type") != "input":
            continue
        element = block["element"]
        names = (block["block_id"], element["action_id"], block["label"]["text"])
        value = next((left.pop(name) for name in names if name in left), None)
        values[block["block_id"]] = {element["action_id"]: _value(block, element, value)}
    if left:
        raise PlaygroundError(f"the modal has no field {', '.join(sorted(left))}")
    return values


def _value(block: Mapping[str, Any], element: Mapping[str, Any], given: Any) -> dict[str, Any]:
    kind = element["type"]
    made: dict[str, Any]
    if kind in _ONE:
        chosen = element.get("initial_option") if given is None else _option(element, given)
        made = {"selected_option": chosen}
    elif kind in _MANY:
        many = element.get("initial_options", []) if given is None else _options(element, given)
        made = {"selected_options": many}
    elif kind in _SELECTED:
        made = {_SELECTED[kind]: given}
    else:
        text = element.get("initial_value") if given is None else str(given)
        _length(block, element, text or "")
        made = {"value": text or None}
    if not block.get("optional") and not any(made.values()):
        raise PlaygroundError(f"the field {block['label']['text']!r} must not be empty")
    return {"type": kind, **made}


def _length(block: Mapping[str, Any], element: Mapping[str, Any], text: str) -> None:
    least, most = element.get("min_length", 0), element.get("max_length", 3000)
    if text and not least <= len(text) <= most:
        raise PlaygroundError(f"{block['label']['text']!r} takes {least} to {most} characters")


def _options(element: Mapping[str, Any], given: Sequence[str] | str) -> list[Any]:
    wanted = [given] if isinstance(given, str) else list(given)
    return [_option(element, one) for one in wanted]


def _option(element: Mapping[str, Any], wanted: Any) -> Any:
    offered = list(element.get("options", ()))
    for group in element.get("option_groups", ()):
        offered += group["options"]
    for option in offered:
        if wanted in (option["value"], option["text"]["text"]):
            return option
    raise PlaygroundError(f"there is no choice {wanted!r}")
