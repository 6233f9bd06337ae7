"""The interactive elements inside blocks, and their limits."""

from collections.abc import Callable, Mapping
from typing import Any

from bot.playground.checking import ID, Checker

Check = Callable[[Checker, Mapping[str, Any], str], None]

_STYLES = ("primary", "danger")
_SELECT_FIELDS = frozenset(
    {"action_id", "options", "option_groups", "initial_option", "initial_options", "confirm"}
    | {"focus_on_load", "placeholder", "max_selected_items"}
)
_INPUT_FIELDS = frozenset(
    {"action_id", "initial_value", "multiline", "min_length", "max_length", "placeholder"}
    | {"dispatch_action_config", "focus_on_load"}
)


def element(check: Checker, value: Any, at: str, allowed: Mapping[str, Check]) -> None:
    """An element of one of the `allowed` types."""
    if not check.mapping(value, at):
        return
    kind = value.get("type")
    if kind not in allowed:
        check.add(f"unsupported type: {kind}", f"{at}/type")
        return
    check.string(value.get("action_id"), f"{at}/action_id", ID)
    confirm(check, value.get("confirm"), f"{at}/confirm")
    allowed[kind](check, value, at)


def confirm(check: Checker, value: Any, at: str) -> None:
    """A confirm dialog."""
    if value is None or not check.mapping(value, at):
        return
    check.keys(value, at, ("title", "text", "confirm", "deny"), ("style",))
    check.plain(value.get("title"), f"{at}/title", 100)
    check.text(value.get("text"), f"{at}/text", 300)
    check.plain(value.get("confirm"), f"{at}/confirm", 30)
    check.plain(value.get("deny"), f"{at}/deny", 30)
    check.one_of(value.get("style"), f"{at}/style", _STYLES)


def button(check: Checker, value: Mapping[str, Any], at: str) -> None:
    """A button."""
    optional = ("action_id", "url", "value", "style", "confirm", "accessibility_label")
    check.keys(value, at, ("text",), optional)
    check.plain(value.get("text"), f"{at}/text", 75)
    check.string(value.get("value"), f"{at}/value", 2000, 0)
    check.string(value.get("accessibility_label"), f"{at}/accessibility_label", 75)
    check.one_of(value.get("style"), f"{at}/style", _STYLES)
    check.url(value.get("url"), f"{at}/url")


def image(check: Checker, value: Mapping[str, Any], at: str) -> None:
    """A small image."""
    check.keys(value, at, ("alt_text",), ("image_url", "slack_file"))
    if ("image_url" in value) == ("slack_file" in value):
        check.add("must provide exactly one of image_url, slack_file", at)
    check.url(value.get("image_url"), f"{at}/image_url")
    check.string(value.get("alt_text"), f"{at}/alt_text", 2000)


def option(check: Checker, value: Any, at: str, *, mrkdwn: bool = False) -> None:
    """One choice."""
    if not check.mapping(value, at):
        return
    check.keys(value, at, ("text", "value"), ("description", "url"))
    kinds = ("plain_text", "mrkdwn") if mrkdwn else ("plain_text",)
    check.text(value.get("text"), f"{at}/text", 75, kinds)
    check.text(value.get("description"), f"{at}/description", 75, kinds)
    check.string(value.get("value"), f"{at}/value", 150)
    check.url(value.get("url"), f"{at}/url")


def _choices(most: int, *, least: int = 1, mrkdwn: bool = False) -> Check:
    """Overflow, checkboxes, radio buttons: a list of options."""

    def run(check: Checker, value: Mapping[str, Any], at: str) -> None:
        optional = ("action_id", "confirm", "initial_option", "initial_options", "focus_on_load")
        check.keys(value, at, ("options",), optional)
        for where, choice in check.items(value.get("options"), f"{at}/options", most, least):
            option(check, choice, where, mrkdwn=mrkdwn)

    return run


def static_select(check: Checker, value: Mapping[str, Any], at: str) -> None:
    """A menu with its own options, in groups or not."""
    check.keys(value, at, (), _SELECT_FIELDS)
    check.plain(value.get("placeholder"), f"{at}/placeholder", 150)
    if ("options" in value) == ("option_groups" in value):
        check.add("must provide exactly one of options, option_groups", at)
    if "options" in value:
        for where, choice in check.items(value["options"], f"{at}/options", 100):
            option(check, choice, where)
    if "option_groups" in value:
        for where, group in check.items(value["option_groups"], f"{at}/option_groups", 100):
            _group(check, group, where)


def _group(check: Checker, value: Any, at: str) -> None:
    if not check.mapping(value, at):
        return
    check.keys(value, at, ("label", "options"), ())
    check.plain(value.get("label"), f"{at}/label", 75)
    for where, choice in check.items(value.get("options"), f"{at}/options", 100):
        option(check, choice, where)


def plain_text_input(check: Checker, value: Mapping[str, Any], at: str) -> None:
    """A field to type in."""
    check.keys(value, at, (), _INPUT_FIELDS)
    check.plain(value.get("placeholder"), f"{at}/placeholder", 150)
    check.string(value.get("initial_value"), f"{at}/initial_value", 3000, 0)
    check.boolean(value.get("multiline"), f"{at}/multiline")
    for name in ("min_length", "max_length"):
        length = value.get(name)
        if length is not None and not (isinstance(length, int) and 0 <= length <= 3000):
            check.add("must be between 0 and 3000", f"{at}/{name}")


def _loose(check: Checker, value: Mapping[str, Any], at: str) -> None:
    """Pickers of people, channels, dates: only what they share is checked."""
    check.plain(value.get("placeholder"), f"{at}/placeholder", 150)


_PICKERS = {
    f"{many}{what}_select": _loose
    for many in ("", "multi_")
    for what in ("users", "conversations", "channels", "external")
}
_DATES = dict.fromkeys(("datepicker", "timepicker", "datetimepicker"), _loose)
_SELECTS: dict[str, Check] = {"static_select": static_select, **_PICKERS}
_CHECKBOXES: dict[str, Check] = {
    "checkboxes": _choices(10, mrkdwn=True),
    "radio_buttons": _choices(10, mrkdwn=True),
}
_MULTI: dict[str, Check] = {"multi_static_select": static_select}
ACTIONS: dict[str, Check] = {
    "button": button,
    "overflow": _choices(5),
    "workflow_button": _loose,
    **{k: v for k, v in _SELECTS.items() if not k.startswith("multi_")},
    **_CHECKBOXES,
    **_DATES,
}
ACCESSORIES: dict[str, Check] = {**ACTIONS, **_SELECTS, **_MULTI, "image": image}
INPUTS: dict[str, Check] = {
    **_SELECTS,
    **_MULTI,
    **_CHECKBOXES,
    **_DATES,
    "plain_text_input": plain_text_input,
    "email_text_input": _loose,
    "url_text_input": _loose,
    "number_input": _loose,
    "rich_text_input": _loose,
    "file_input": _loose,
}
