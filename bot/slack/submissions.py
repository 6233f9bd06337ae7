"""Submitted modals: what can be seen to be wrong at once, and what stands there meanwhile. Pure."""

from typing import Any

from bot.slack import form
from bot.slack.payloads import SENT, Row
from bot.slack.views import modals
from bot.slack.views.form import PLAN
from bot.slack.views.modals import View

Answer = dict[str, Any]
"""What acknowledges a submission."""


def received(row: Row) -> tuple[Row, Answer]:
    """The row to store, completed by what was filled in, and the acknowledgement.

    With `errors` as its action the form stays open, and there is nothing to store.
    """
    if row["action"] == f"deny{SENT}":
        reason = form.typed(row["values"], "reason")
        if not reason:
            return row, errors(reason="Say why not: whoever asked wants to know.")
        return {**row, "reason": reason}, update(modals.working("Deny"))
    if row["action"] == f"{form.CALLBACK}{SENT}":
        return _filled_in(row)
    if row["action"] == f"{PLAN}{SENT}":
        kept = row["metadata"]
        agreed = {"text": kept.get("text", ""), "agreed": kept.get("plan", "")}
        return {**row, **agreed}, update(modals.working("Registry"))
    return row, {}


def _filled_in(row: Row) -> tuple[Row, Answer]:
    text, problems = form.command(row["values"], row["metadata"])
    if problems:
        return row, errors(**problems)
    row = {**row, "text": text}
    if form.is_read(text):
        # What was read is an answer like any other: it stands in the channel, and the form goes.
        del row["view"]
        return row, {}
    # Nobody has agreed to a plan yet: it is shown first.
    return {**row, "agreed": ""}, update(modals.working("Registry"))


def refused(row: Row, why: str) -> Answer:
    """Keep what somebody has filled in, and say why it was not taken."""
    fields = list(row["values"])
    return errors(**{fields[-1]: why}) if fields else update(modals.note("Registry", why))


def errors(**by_block: str) -> Answer:
    """Say below each field what is wrong with it."""
    return {"response_action": "errors", "errors": by_block}


def update(view: View) -> Answer:
    """Show something else in the modal."""
    return {"response_action": "update", "view": view}
