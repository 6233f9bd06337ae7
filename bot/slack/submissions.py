"""Submitted modals: what can be seen to be wrong at once, and what stands there meanwhile. Pure."""

from collections.abc import Mapping
from typing import Any

from bot.slack.payloads import SENT, Row
from bot.slack.views import modals
from bot.slack.views.modals import View

Answer = dict[str, Any]
"""What acknowledges a submission."""


def received(row: Row) -> tuple[Row, Answer]:
    """The row to store, completed by what was filled in, and the acknowledgement.

    With `errors` as its action the form stays open, and there is nothing to store.
    """
    if row["action"] == f"deny{SENT}":
        reason = typed(row, "reason")
        if not reason:
            return row, errors(reason="Say why not: whoever asked wants to know.")
        return {**row, "reason": reason}, update(modals.working("Deny"))
    return row, {}


def typed(row: Row, block: str) -> str:
    """What was typed into the field of a block, on one line; "" where nothing was."""
    held: Mapping[str, Any] = next(iter((row["values"].get(block) or {}).values()), {})
    return " ".join(str(held.get("value") or "").split())


def errors(**by_block: str) -> Answer:
    """Say below each field what is wrong with it."""
    return {"response_action": "errors", "errors": by_block}


def update(view: View) -> Answer:
    """Show something else in the modal."""
    return {"response_action": "update", "view": view}
