"""Arguments of a call: forms carry JSON in strings, JSON bodies carry it as it is."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from aiohttp import web

from bot.playground.blocks import completed, problems
from bot.playground.model import SlackError

Arguments = dict[str, Any]

LONGEST_POST = 40_000
LONGEST_UPDATE = 4_000


async def read(request: web.Request) -> Arguments:
    """Query, form and JSON body of a call together.

    Raises
    ------
    SlackError : `invalid_json`, `json_not_object`, `invalid_post_type`.
    """
    arguments: Arguments = dict(request.query)
    if request.method != "POST" or not request.can_read_body:
        return arguments
    if request.content_type == "application/json":
        try:
            body = json.loads(await request.text())
        except ValueError as error:
            raise SlackError("invalid_json") from error
        if not isinstance(body, dict):
            raise SlackError("json_not_object")
        arguments.update(body)
    elif request.content_type in {"application/x-www-form-urlencoded", "multipart/form-data"}:
        arguments.update(await request.post())
    else:
        raise SlackError("invalid_post_type")
    return arguments


def needed(arguments: Mapping[str, Any], name: str) -> str:
    """A field that must be there; `invalid_arguments` otherwise."""
    value = arguments.get(name)
    if value is None or value == "":
        raise SlackError("invalid_arguments", [f"missing required field: {name}"])
    return str(value)


def truth(arguments: Mapping[str, Any], name: str, *, default: bool = False) -> bool:
    """A boolean as JSON or forms write it."""
    value = arguments.get(name)
    return default if value is None else value in (True, 1, "1", "true", "True")


def parsed(arguments: Mapping[str, Any], name: str, error: str) -> Any:
    """A structured field, whether it came as JSON or as a string of JSON; None where left out."""
    value = arguments.get(name)
    if isinstance(value, str):
        if not value.strip():
            return None
        try:
            return json.loads(value)
        except ValueError as broken:
            raise SlackError(error) from broken
    return value


def page(arguments: Mapping[str, Any], items: list[Any]) -> tuple[list[Any], dict[str, str]]:
    """One page of a list, and the `response_metadata` that leads to the next."""
    try:
        start = int(arguments.get("cursor") or 0)
        limit = int(arguments.get("limit") or 100)
    except ValueError as error:
        raise SlackError("invalid_cursor") from error
    end = start + max(1, min(limit, 1000))
    return items[start:end], {"next_cursor": str(end) if end < len(items) else ""}


def content(
    arguments: Mapping[str, Any],
    unsupported: Collection[str],
    *,
    longest: int = LONGEST_POST,
) -> tuple[str, tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]]:
    """The checked text, blocks and attachments of a message.

    Parameters
    ----------
    unsupported : block types that this workspace does not know yet.
    longest : characters of text.

    Raises
    ------
    SlackError : `no_text`, `msg_too_long`, `invalid_blocks`, `invalid_blocks_format`,
        `invalid_attachments`.
    """
    text = arguments.get("text") or ""
    if not isinstance(text, str):
        raise SlackError("invalid_arguments", ["must be a string [json-pointer:/text]"])
    blocks = parsed(arguments, "blocks", "invalid_blocks_format") or []
    attachments = parsed(arguments, "attachments", "invalid_attachments") or []
    if not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format")
    if not isinstance(attachments, list) or not all(isinstance(a, dict) for a in attachments):
        raise SlackError("invalid_attachments")
    wrong = problems(blocks, "message", unsupported)
    for n, attachment in enumerate(attachments):
        at = f"/attachments/{n}/blocks"
        wrong += problems(attachment.get("blocks", []), "message", unsupported, at)
    if wrong:
        raise SlackError("invalid_blocks", wrong)
    if len(text) > longest:
        raise SlackError("msg_too_long")
    if not (text.strip() or blocks or attachments):
        raise SlackError("no_text")
    return text, completed(blocks), tuple(attachments)
