"""Limits of what stands inside blocks: texts, buttons, menus, inputs, confirm dialogs.

Each check yields a sentence for every problem that it finds, and raises nothing.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Problems = Iterator[str]
Check = Callable[[Mapping[str, Any]], Problems]

_STYLES = ("primary", "danger")


def listed(value: Any) -> Sequence[Any]:
    """The value if it is a list; nothing at all otherwise."""
    return value if isinstance(value, list | tuple) else ()


def counted(things: Sequence[Any], least: int, most: int, what: str) -> Problems:
    """There must be `least` to `most` of them."""
    if not least <= len(things) <= most:
        span = f"are {least} to {most}" if least else f"are {most}"
        yield f"{len(things)} {what}, allowed {span}"


def string(
    value: Any, limit: int, what: str, *, least: int = 1, optional: bool = False
) -> Problems:
    """A string of `least` to `limit` characters. Spaces alone count as empty."""
    if value is None and optional:
        return
    if value is None:
        yield f"{what} is missing"
    elif not isinstance(value, str):
        yield f"{what} is not a string"
    elif least and not value.strip():
        yield f"{what} is empty"
    elif len(value) > limit:
        yield f"{what} has {len(value)} characters, allowed are {limit}"


def text_object(value: Any, limit: int, what: str, *, only: str = "") -> Problems:
    """A text object: plain_text or mrkdwn, or `only` one of them."""
    if value is None:
        yield f"{what} is missing"
        return
    kind = value.get("type") if isinstance(value, Mapping) else None
    if kind not in ("mrkdwn", "plain_text"):
        yield f"{what} is not a text object"
        return
    if only and kind != only:
        yield f"{what} must be {only}"
    yield from string(value.get("text"), limit, what)


def plain(value: Any, limit: int, what: str, *, optional: bool = False) -> Problems:
    """A plain_text object."""
    if value is not None or not optional:
        yield from text_object(value, limit, what, only="plain_text")


def url(value: Any, what: str, *, optional: bool = False) -> Problems:
    """A web address."""
    yield from string(value, 3000, what, optional=optional)
    if isinstance(value, str) and value and not re.match(r"https?://[^\s/]", value):
        yield f"{what} is not a web address"


def one_of(value: Any, allowed: Sequence[str], what: str, *, optional: bool = True) -> Problems:
    """One of a few words."""
    if value not in allowed and not (value is None and optional):
        yield f"{what} is none of {', '.join(allowed)}"


def element(value: Any, allowed: Mapping[str, Check]) -> Problems:
    """An element of one of the types in `allowed`."""
    if not isinstance(value, Mapping):
        yield "an element is not an object"
        return
    kind = value.get("type")
    check = allowed.get(kind) if isinstance(kind, str) else None
    if check is None:
        yield f"an element of the type {kind!r} cannot stand here"
        return
    if kind != "image":
        # Slack would make one up, and no listener would ever hear of it.
        yield from string(value.get("action_id"), 255, f"{kind}: action_id")
    if value.get("confirm") is not None:
        yield from confirm(value["confirm"])
    yield from check(value)


def elements(value: Any, least: int, most: int, allowed: Mapping[str, Check]) -> Problems:
    """A list of elements whose action_ids differ."""
    given = listed(value)
    yield from counted(given, least, most, "elements")
    ids = [e["action_id"] for e in given if isinstance(e, Mapping) and e.get("action_id")]
    for twice in sorted({str(i) for i in ids if ids.count(i) > 1}):
        yield f"action_id {twice} is used twice"
    for one in given:
        yield from element(one, allowed)


def confirm(value: Any) -> Problems:
    """A confirm dialog."""
    if not isinstance(value, Mapping):
        yield "confirm is not an object"
        return
    yield from plain(value.get("title"), 100, "confirm title")
    yield from text_object(value.get("text"), 300, "confirm text")
    yield from plain(value.get("confirm"), 30, "confirm button")
    yield from plain(value.get("deny"), 30, "deny button")
    yield from one_of(value.get("style"), _STYLES, "confirm style")


def button(value: Mapping[str, Any]) -> Problems:
    """A button."""
    yield from plain(value.get("text"), 75, "button text")
    yield from string(value.get("value"), 2000, "button value", least=0, optional=True)
    yield from url(value.get("url"), "button url", optional=True)
    yield from one_of(value.get("style"), _STYLES, "button style")
    yield from string(value.get("accessibility_label"), 75, "button label", optional=True)


def image(value: Mapping[str, Any]) -> Problems:
    """An image, as a block or beside a text."""
    if (value.get("image_url") is None) == (value.get("slack_file") is None):
        yield "an image needs an image_url or a slack_file, and not both"
    yield from url(value.get("image_url"), "image_url", optional=True)
    yield from string(value.get("alt_text"), 2000, "alt_text")


def _options(value: Any, most: int, what: str, *, mrkdwn: bool = False) -> Problems:
    given = listed(value)
    yield from counted(given, 1, most, what)
    only = "" if mrkdwn else "plain_text"
    for option in given:
        if not isinstance(option, Mapping):
            yield "an option is not an object"
            continue
        yield from text_object(option.get("text"), 75, "option text", only=only)
        yield from string(option.get("value"), 150, "option value")
        if option.get("description") is not None:
            yield from text_object(option["description"], 75, "option description", only=only)


def _choices(most: int, *, mrkdwn: bool = False) -> Check:
    """Overflow menus, checkboxes, radio buttons."""

    def check(value: Mapping[str, Any]) -> Problems:
        yield from _options(value.get("options"), most, "options", mrkdwn=mrkdwn)

    return check


def _select(value: Mapping[str, Any]) -> Problems:
    yield from plain(value.get("placeholder"), 150, "placeholder", optional=True)
    if ("options" in value) == ("option_groups" in value):
        yield "a menu needs options or option_groups, and not both"
    elif "options" in value:
        yield from _options(value["options"], 100, "options")
    else:
        groups = listed(value["option_groups"])
        yield from counted(groups, 1, 100, "option groups")
        for group in groups:
            held = group if isinstance(group, Mapping) else {}
            yield from plain(held.get("label"), 75, "group label")
            yield from _options(held.get("options"), 100, "options")


def _external(value: Mapping[str, Any]) -> Problems:
    yield from plain(value.get("placeholder"), 150, "placeholder", optional=True)
    query = value.get("min_query_length")
    if query is not None and not isinstance(query, int):
        yield "min_query_length is not a number"


def _typed(value: Mapping[str, Any]) -> Problems:
    yield from plain(value.get("placeholder"), 150, "placeholder", optional=True)
    initial = value.get("initial_value")
    yield from string(initial, 3000, "initial_value", least=0, optional=True)
    for name in ("min_length", "max_length"):
        length = value.get(name)
        if length is not None and not (isinstance(length, int) and 0 <= length <= 3000):
            yield f"{name} is not a number from 0 to 3000"


_MENUS: Mapping[str, Check] = {"static_select": _select, "external_select": _external}
_MULTI: Mapping[str, Check] = {
    "multi_static_select": _select,
    "multi_external_select": _external,
}
_LISTS: Mapping[str, Check] = {
    "checkboxes": _choices(10, mrkdwn=True),
    "radio_buttons": _choices(10, mrkdwn=True),
}
BUTTONS: Mapping[str, Check] = {"button": button}
ACTIONS: Mapping[str, Check] = {**BUTTONS, **_MENUS, **_LISTS, "overflow": _choices(5)}
ACCESSORIES: Mapping[str, Check] = {**ACTIONS, **_MULTI, "image": image}
INPUTS: Mapping[str, Check] = {**_MENUS, **_MULTI, **_LISTS, "plain_text_input": _typed}
