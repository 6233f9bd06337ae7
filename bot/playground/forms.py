"""What somebody typed and chose in a modal, as `view.state.values` carries it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bot.playground.model import Block, PlaygroundError, View

Offered = Callable[[str], Sequence[Block]]
"""By block_id: the options that the app has suggested for an external menu so far."""

PICKED = {
    "users_select": "selected_user",
    "channels_select": "selected_channel",
    "conversations_select": "selected_conversation",
    "datepicker": "selected_date",
    "timepicker": "selected_time",
    "datetimepicker": "selected_date_time",
}
_ONE = frozenset({"static_select", "radio_buttons", "external_select", "overflow"})
_MANY = frozenset({"multi_static_select", "checkboxes", "multi_external_select"})


def filled(
    view: View, given: Mapping[str, Any], offered: Offered, *, partial: bool = False
) -> dict[str, dict[str, Any]]:
    """The values of a form.

    Parameters
    ----------
    given : by block_id, action_id or label of the input: a text, the label or value of a choice
        (or the option itself), or a list of them. What is left out keeps its initial value.
    partial : the form is not ready yet: required fields may be empty.

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
        made = chosen(element, value, offered(block["block_id"]))
        if not partial:
            _check(block, element, made)
        values[block["block_id"]] = {element["action_id"]: {"type": element["type"], **made}}
    if left:
        raise PlaygroundError(f"the modal has no field {', '.join(sorted(left))}")
    return values


def chosen(element: Block, given: Any, offered: Sequence[Block]) -> dict[str, Any]:
    """What an element holds once `given` was chosen or typed; its initial value where None."""
    kind = element["type"]
    if kind in _ONE:
        initial = element.get("initial_option")
        return {"selected_option": initial if given is None else _option(element, given, offered)}
    if kind in _MANY:
        if given is None:
            return {"selected_options": list(element.get("initial_options", ()))}
        wanted = given if isinstance(given, list | tuple) else [given]
        options = [_option(element, one, offered) for one in wanted]
        if len(options) > element.get("max_selected_items", len(options)):
            raise PlaygroundError(f"at most {element['max_selected_items']} can be chosen")
        return {"selected_options": options}
    if kind in PICKED:
        return {PICKED[kind]: given}
    text = element.get("initial_value") if given is None else str(given)
    return {"value": text or None}


def _check(block: Block, element: Block, made: Mapping[str, Any]) -> None:
    label = block["label"]["text"]
    if not block.get("optional") and not any(made.values()):
        raise PlaygroundError(f"the field {label!r} must not be empty")
    text = made.get("value") or ""
    least, most = element.get("min_length", 0), element.get("max_length", 3000)
    if text and not least <= len(text) <= most:
        raise PlaygroundError(f"{label!r} takes {least} to {most} characters")


def _option(element: Block, wanted: Any, offered: Sequence[Block]) -> Block:
    known: list[Block] = [*element.get("options", ()), *offered]
    for group in element.get("option_groups", ()):
        known += group["options"]
    known += element.get("initial_options", ())
    known += [element["initial_option"]] if "initial_option" in element else []
    for option in known:
        if wanted == option or wanted in (option["value"], option["text"]["text"]):
            return option
    raise PlaygroundError(f"there is no choice {wanted!r}")
