"""Blocks that ask for a click."""

from typing import Any


def approval(value: str = "r1", **more: Any) -> list[dict[str, Any]]:
    """A question with the button Approve; `more` goes into the button."""
    button = {
        "type": "button",
        "text": {"type": "plain_text", "text": "Approve"},
        "action_id": "approve",
        "value": value,
        **more,
    }
    return [
        {"type": "section", "text": {"type": "mrkdwn", "text": "Delete?"}},
        {"type": "actions", "block_id": "b1", "elements": [button]},
    ]
