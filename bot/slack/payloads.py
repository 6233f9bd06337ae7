"""What Slack sends, as the rows that jobs carry. Pure: nothing is asked of anybody here.

A row has `user`, `team` and `channel`, and where something was pressed or sent also `action` and
`value`. `view` says which modal shows the answer, by `view_id` or `external_id`; `metadata` is
what the bot itself put into a view's private_metadata, and `values` what stands in its form.
`foreign` stands in a row whose button is in a message of another app.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

Body = Mapping[str, Any]
Row = dict[str, Any]

SENT = "_sent"
"""The end of the action of a submitted modal: its callback_id stands before it."""

STEP = "run_"
"""The beginning of the action of a next step: its value is the command that it stands for."""


def command(body: Body) -> Row:
    """A slash command."""
    return {
        "user": body.get("user_id", ""),
        "team": body.get("team_id", ""),
        "channel": body.get("channel_id", ""),
        "text": body.get("text", ""),
        "response_url": body.get("response_url"),
    }


def click(body: Body) -> Row:
    """A pressed button or a choice in a menu: in a message, a modal or the home tab."""
    action = (body.get("actions") or [{}])[0]
    container = body.get("container") or {}
    view = body.get("view") or {}
    option = action.get("selected_option") or {}
    row = {
        **_person(body),
        "channel": (body.get("channel") or {}).get("id") or container.get("channel_id", ""),
        "action": action.get("action_id", ""),
        "value": action.get("value") or option.get("value", ""),
        "message_ts": container.get("message_ts", ""),
        "ephemeral": bool(container.get("is_ephemeral")),
        "response_url": body.get("response_url"),
    }
    if view.get("type") == "home":
        row["home"] = True
    elif view:
        row |= _form(view)
    return row


def is_foreign(body: Body, bot_id: str) -> bool:
    """Whether something was pressed in a message of another app.

    Parameters
    ----------
    bot_id : of this app's bot.
    """
    shown = body.get("message") or {}
    author, app = shown.get("bot_id"), shown.get("app_id")
    return bool((author and author != bot_id) or (app and app != body.get("api_app_id", app)))


def submission(body: Body) -> Row:
    """A submitted modal."""
    view = body.get("view") or {}
    form = _form(view)
    return {
        **_person(body),
        "action": f"{view.get('callback_id', '')}{SENT}",
        "value": form["metadata"].get("value", ""),
        **form,
    }


def suggestion(body: Body) -> Row:
    """What somebody has typed into a menu so far. Nothing in the form itself comes with it."""
    return {
        **_person(body),
        **_form(body.get("view") or {}),
        "action": body.get("action_id", ""),
        "value": str(body.get("value") or ""),
    }


def home(body: Body) -> Row:
    """Somebody opened the home tab, or pressed Refresh on it."""
    event = body.get("event")
    if event is None:
        return _person(body)
    return {"user": event.get("user", ""), "team": body.get("team_id", "")}


def _person(body: Body) -> Row:
    user, team = body.get("user") or {}, body.get("team") or {}
    return {"user": user.get("id", ""), "team": user.get("team_id") or team.get("id", "")}


def _form(view: Body) -> Row:
    kept = metadata(view)
    return {
        "view": {"view_id": view.get("id", "")},
        "channel": kept.get("channel", ""),
        "metadata": kept,
        "values": (view.get("state") or {}).get("values") or {},
    }


def metadata(view: Body) -> dict[str, str]:
    """What the bot wrote into a view to remember it; nothing where that is not readable."""
    try:
        kept = json.loads(view.get("private_metadata") or "{}")
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in kept.items()} if isinstance(kept, dict) else {}


def key(body: Body, row: Row) -> str:
    """What makes this payload one and the same when it is delivered again."""
    view = body.get("view") or {}
    if body.get("type") == "view_submission" and view.get("hash"):
        # One form in one state is sent once, however often somebody presses.
        return f"slack:view:{view.get('id')}:{view['hash']}"
    name = body.get("trigger_id") or body.get("event_id")
    if name:
        return f"slack:{name}"
    text = json.dumps(row, sort_keys=True, default=str)
    return f"slack:{hashlib.sha256(text.encode()).hexdigest()}"
