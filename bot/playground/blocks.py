"""Block Kit validation: as strict as the limits that Slack documents, with JSON pointers."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bot.playground import newer_blocks
from bot.playground.checking import ID, Checker
from bot.playground.elements import ACCESSORIES, ACTIONS, INPUTS, Check, element, image

_MOST = {"message": 50, "modal": 100, "home": 100}


def problems(
    blocks: Any, surface: str = "message", unsupported: Collection[str] = (), at: str = "/blocks"
) -> list[str]:
    """What Slack would not take, each with a JSON pointer; empty when all is well.

    Parameters
    ----------
    blocks : as they came in the call.
    surface : "message", "modal" or "home".
    unsupported : block types that this workspace does not know yet.
    """
    check = Checker(surface)
    found = check.items(blocks, at, _MOST[surface], 0 if surface == "message" else 1)
    for where, value in found:
        _block(check, value, where, unsupported)
    _unique(check, found)
    return check.problems


def completed(blocks: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """The blocks with the ids that Slack makes up where the app gave none."""
    return tuple(_completed(block) for block in blocks)


def _completed(block: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(block)
    made.setdefault("block_id", secrets.token_urlsafe(4))
    for name in ("elements", "actions"):
        if isinstance(made.get(name), list) and made["type"] in {"actions", "card", "carousel"}:
            made[name] = [
                _completed(e) if e.get("type") == "card" else _with_action(e) for e in made[name]
            ]
    for name in ("accessory", "element"):
        if name in made:
            made[name] = _with_action(made[name])
    if "child_blocks" in made:
        made["child_blocks"] = list(completed(made["child_blocks"]))
    return made


def _with_action(value: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(value)
    if made.get("type") != "image":
        made.setdefault("action_id", secrets.token_urlsafe(4))
    return made


def _block(check: Checker, value: Any, at: str, unsupported: Collection[str]) -> None:
    if not check.mapping(value, at):
        return
    kind = value.get("type")
    surfaces, run = _KINDS.get(kind, ((), None)) if isinstance(kind, str) else ((), None)
    if run is None or kind in unsupported or check.surface not in surfaces:
        check.add(f"unsupported type: {kind}", f"{at}/type")
        return
    check.string(value.get("block_id"), f"{at}/block_id", ID)
    run(check, value, at)


def _unique(check: Checker, found: Sequence[tuple[str, Any]]) -> None:
    """block_ids are unique in a message, action_ids in a block."""
    seen: set[str] = set()
    for where, value in found:
        if not isinstance(value, Mapping):
            continue
        block_id = value.get("block_id")
        if isinstance(block_id, str):
            if block_id in seen:
                check.add(f"block_id {block_id!r} already exists", where)
            seen.add(block_id)
        held = value.get("elements")
        if value.get("type") != "actions" or not isinstance(held, list):
            continue
        ids = [e.get("action_id") for e in held if isinstance(e, Mapping) and "action_id" in e]
        for twice in sorted({str(i) for i in ids if ids.count(i) > 1}):
            check.add(f"action_id {twice!r} already exists for block_id", f"{where}/elements")


def _section(check: Checker, value: Mapping[str, Any], at: str) -> None:
    check.keys(value, at, (), ("block_id", "text", "fields", "accessory", "expand"))
    if value.get("text") is None and not value.get("fields"):
        check.add("must provide at least one of text, fields", at)
    check.text(value.get("text"), f"{at}/text", 3000)
    if value.get("fields") is not None:
        for where, field in check.items(value["fields"], f"{at}/fields", 10):
            if check.mapping(field, where):
                check.text(field, where, 2000)
    if value.get("accessory") is not None:
        element(check, value["accessory"], f"{at}/accessory", ACCESSORIES)
    check.boolean(value.get("expand"), f"{at}/expand")


def _header(check: Checker, value: Mapping[str, Any], at: str) -> None:
    check.keys(value, at, ("text",), ("block_id", "level"))
    check.plain(value.get("text"), f"{at}/text", 150)


def _divider(check: Checker, value: Mapping[str, Any], at: str) -> None:
    check.keys(value, at, (), ("block_id",))


def _context(check: Checker, value: Mapping[str, Any], at: str) -> None:
    check.keys(value, at, ("elements",), ("block_id",))
    for where, held in check.items(value.get("elements"), f"{at}/elements", 10):
        if isinstance(held, Mapping) and held.get("type") == "image":
            element(check, held, where, {"image": image})
        elif check.mapping(held, where):
            check.text(held, where, 2000)


def _actions(check: Checker, value: Mapping[str, Any], at: str) -> None:
    check.keys(value, at, ("elements",), ("block_id",))
    for where, held in check.items(value.get("elements"), f"{at}/elements", 25):
        element(check, held, where, ACTIONS)


def _image(check: Checker, value: Mapping[str, Any], at: str) -> None:
    check.keys(value, at, ("alt_text",), ("block_id", "image_url", "slack_file", "title"))
    check.plain(value.get("title"), f"{at}/title", 2000)
    check.string(value.get("alt_text"), f"{at}/alt_text", 2000)
    check.url(value.get("image_url"), f"{at}/image_url")
    if ("image_url" in value) == ("slack_file" in value):
        check.add("must provide exactly one of image_url, slack_file", at)


def _input(check: Checker, value: Mapping[str, Any], at: str) -> None:
    check.keys(value, at, ("label", "element"), ("block_id", "hint", "optional", "dispatch_action"))
    check.plain(value.get("label"), f"{at}/label", 2000)
    check.plain(value.get("hint"), f"{at}/hint", 2000)
    check.boolean(value.get("optional"), f"{at}/optional")
    if "element" in value:
        element(check, value["element"], f"{at}/element", INPUTS)


_INSIDE = ("section", "header", "divider", "context", "actions", "image", "rich_text", "markdown")

_CONTAINER_FIELDS = frozenset(
    {"block_id", "title", "rich_text_title", "subtitle", "width", "icon"}
    | {"is_collapsible", "default_collapsed", "has_header_divider"}
)


def _container(check: Checker, value: Mapping[str, Any], at: str) -> None:
    check.keys(value, at, ("child_blocks",), _CONTAINER_FIELDS)
    check.text(value.get("title"), f"{at}/title", 150)
    check.text(value.get("subtitle"), f"{at}/subtitle", 150)
    for where, child in check.items(value.get("child_blocks"), f"{at}/child_blocks", 10):
        if isinstance(child, Mapping) and child.get("type") not in _INSIDE:
            check.add(f"unsupported type: {child.get('type')}", f"{where}/type")
        else:
            _block(check, child, where, ())


_ALL = ("message", "modal", "home")
_MESSAGE = ("message",)
_SEEN = ("message", "home")
_KINDS: dict[str, tuple[tuple[str, ...], Check]] = {
    "section": (_ALL, _section),
    "header": (_ALL, _header),
    "divider": (_ALL, _divider),
    "context": (_ALL, _context),
    "actions": (_ALL, _actions),
    "image": (_ALL, _image),
    "input": (_ALL, _input),
    "rich_text": (_ALL, newer_blocks.rich_text),
    "markdown": (_MESSAGE, newer_blocks.markdown),
    "table": (_SEEN, newer_blocks.table),
    "data_table": (_SEEN, newer_blocks.data_table),
    "data_visualization": (_SEEN, newer_blocks.chart),
    "plan": (_MESSAGE, newer_blocks.plan),
    "task_card": (_MESSAGE, newer_blocks.task_card),
    "alert": (("modal",), newer_blocks.alert),
    "card": (("message", "modal"), newer_blocks.card),
    "carousel": (_MESSAGE, newer_blocks.carousel),
    "container": (_MESSAGE, _container),
}
