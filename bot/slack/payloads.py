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
        "user": text(body.get("user_id")),
        "team": text(body.get("team_id")),
        "channel": text(body.get("channel_id")),
        "text": text(body.get("text")),
        "response_url": text(body.get("response_url")) or None,
    }


def click(body: Body) -> Row:
    """A pressed button or a choice in a menu: in a message, a modal or the home tab."""
    actions = body.get("actions")
    action = table(actions[0]) if isinstance(actions, list) and actions else {}
    container, view = table(body.get("container")), table(body.get("view"))
    option = table(action.get("selected_option"))
    channel = text(table(body.get("channel")).get("id")) or text(container.get("channel_id"))
    row = {
        **_person(body),
        "channel": channel,
        "action": text(action.get("action_id")),
        "value": text(action.get("value")) or text(option.get("value")),
        "message_ts": text(container.get("message_ts")),
        "ephemeral": bool(container.get("is_ephemeral")),
        "response_url": text(body.get("response_url")) or None,
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
    view = table(body.get("view"))
    form = _form(view)
    return {
        **_person(body),
        "action": f"{text(view.get('callback_id'))}{SENT}",
        "value": form["metadata"].get("value", ""),
        **form,
    }


def suggestion(body: Body) -> Row:
    """What somebody has typed into a menu so far. Nothing in the form itself comes with it."""
    return {
        **_person(body),
        **_form(table(body.get("view"))),
        "action": text(body.get("action_id")),
        "value": text(body.get("value")),
    }


def home(body: Body) -> Row:
    """Somebody opened the home tab, or pressed Refresh on it."""
    event = body.get("event")
    if event is None:
        return _person(body)
    return {"user": text(table(event).get("user")), "team": text(body.get("team_id"))}


def table(value: object) -> Mapping[str, Any]:
    """What should be an object; an empty one where it is something else."""
    return value if isinstance(value, Mapping) else {}


def text(value: object) -> str:
    """What should be text, as a database can keep it; "" where it is something else."""
    if not isinstance(value, str):
        return ""
    # JSON can carry halves of characters, and zeros that PostgreSQL refuses.
    return value.replace("\0", "").encode("utf-8", "replace").decode()


def _person(body: Body) -> Row:
    user, team = table(body.get("user")), table(body.get("team"))
    return {"user": text(user.get("id")), "team": text(user.get("team_id")) or text(team.get("id"))}


def _form(view: Body) -> Row:
    kept = metadata(view)
    return {
        "view": {"view_id": text(view.get("id"))},
        "channel": kept.get("channel", ""),
        "metadata": kept,
        "values": _values(table(view.get("state")).get("values")),
    }


def _values(values: object) -> dict[str, dict[str, Row]]:
    """What stands in the fields, by block and action."""
    return {
        text(block): {text(action): _field(table(held)) for action, held in table(fields).items()}
        for block, fields in table(values).items()
    }


def _field(held: Mapping[str, Any]) -> Row:
    """What is typed or chosen in one field; what else Slack tells of it is not needed."""
    row: Row = {}
    if isinstance(held.get("value"), str):
        row["value"] = text(held["value"])
    if option := table(held.get("selected_option")):
        row["selected_option"] = {"value": text(option.get("value"))}
    if isinstance(options := held.get("selected_options"), list):
        row["selected_options"] = [{"value": text(table(one).get("value"))} for one in options]
    return row


def metadata(view: Body) -> dict[str, str]:
    """What the bot wrote into a view to remember it; nothing where that is not readable."""
    try:
        kept = json.loads(text(view.get("private_metadata")) or "{}")
    except (ValueError, RecursionError):
        return {}
    return {text(k): text(str(v)) for k, v in table(kept).items()}


def key(body: Body, row: Row) -> str:
    """What makes this payload one and the same when it is delivered again."""
    view = table(body.get("view"))
    state = text(view.get("hash"))
    if body.get("type") == "view_submission" and state:
        # One form in one state is sent once, however often somebody presses.
        return f"slack:view:{text(view.get('id'))}:{state}"
    name = text(body.get("trigger_id")) or text(body.get("event_id"))
    if name:
        return f"slack:{name}"
    written = json.dumps(row, sort_keys=True, default=str)
    return f"slack:{hashlib.sha256(written.encode()).hexdigest()}"
