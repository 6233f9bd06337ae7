"""Modals: the frame around blocks, what stands in them while the bot works, Deny's form."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.rules.approval import Request
from bot.slack.limits import code, cut, plain
from bot.slack.views.blocks import Block, Message, section, without_new_blocks
from bot.slack.views.request import stands, summary

View = dict[str, Any]

MOST_BLOCKS = 100
REASON = 1000
"""The longest reason, in characters."""

_ALL = 100_000  # characters: Slack refuses views of more than 250 kB
_TITLE = 24


@dataclass(frozen=True, slots=True)
class Modal:
    """An answer that stands in a modal.

    `instead` says it to somebody whose modal is gone, or was never opened; None says nothing.
    """

    view: View
    instead: Message | None


def modal(
    title: str,
    blocks: Sequence[Block],
    *,
    submit: str = "",
    callback: str = "",
    metadata: Mapping[str, str] | None = None,
) -> View:
    """A modal inside Slack's limits.

    Parameters
    ----------
    callback : what a submission is called; goes with `submit`, the word on its button.
    metadata : comes back with everything that is pressed in it; `channel` says where it belongs.
    """
    made: View = {
        "type": "modal",
        "title": _plain(title, _TITLE),
        "close": _plain("Cancel" if submit else "Close", _TITLE),
        "private_metadata": json.dumps(metadata or {}, ensure_ascii=False),
        "blocks": list(blocks[:MOST_BLOCKS]) or [section("There is nothing to show.")],
    }
    if submit:
        made |= {"submit": _plain(submit, _TITLE), "callback_id": callback}
    return made


def _plain(text: str, limit: int) -> Block:
    return {"type": "plain_text", "text": plain(text, limit)}


def note(title: str, text: str, metadata: Mapping[str, str] | None = None) -> View:
    """A modal with a sentence of the bot's own."""
    return modal(title, [section(text)], metadata=metadata)


def loading(title: str) -> View:
    """What is opened at once, before anybody knows what belongs into it."""
    return note(title, ":hourglass_flowing_sand: Loading…")


def working(title: str) -> View:
    """What a submitted form turns into, until the answer is there."""
    return note(title, ":hourglass_flowing_sand: Working on it…")


def of_message(said: Message, channel: str, title: str = "Registry") -> View:
    """An answer that was made for a channel, in a modal."""
    blocks = [b for b in without_new_blocks(said)["blocks"] if b["type"] in _STAND_IN_MODALS]
    return modal(title, blocks, metadata={"channel": channel})


_STAND_IN_MODALS = {"section", "header", "divider", "context", "actions", "image", "rich_text"}


def asked_for(made: Request) -> Message:
    """What somebody sees who has just made a request: its own message is in the channel."""
    text = f"{stands(made)}. Its message is in <#{made.channel}>."
    return {"text": text, "blocks": [section(f":inbox_tray: {text}")]}


def deny_form(shown: Request) -> View:
    """Asks for the reason."""
    return modal(
        f"Deny {shown.name}",
        [
            section(cut(summary(shown), 2900)),
            field(
                "reason",
                "Why not?",
                {
                    "type": "plain_text_input",
                    "action_id": "reason",
                    "multiline": True,
                    "min_length": 1,
                    "max_length": REASON,
                    "placeholder": _plain("It is told to everybody in the thread.", 150),
                },
            ),
        ],
        submit="Deny",
        callback="deny",
        metadata={"channel": shown.channel, "value": shown.token},
    )


def type_the_denial(shown: Request) -> Message:
    """For somebody who pressed Deny and for whom Slack opened no form."""
    typed = f'/registry deny {shown.name} --reason "…"'
    text = f"Slack did not open the form for your reason. Type {code(typed)}"
    return {"text": text, "blocks": [section(text)]}


def field(
    block: str, label: str, element: Block, *, optional: bool = False, hint: str = ""
) -> Block:
    """An input with its label."""
    made: Block = {
        "type": "input",
        "block_id": block,
        "label": _plain(label, 150),
        "element": element,
    }
    if optional:
        made["optional"] = True
    if hint:
        made["hint"] = _plain(hint, 500)
    return made


def shortened(blocks: Sequence[Block], more: str) -> list[Block]:
    """As many of these blocks as a view takes beside one more; `more` speaks of the rest."""
    used = 0
    for number, block in enumerate(blocks):
        used += len(json.dumps(block))
        if used > _ALL or number == MOST_BLOCKS - 2:
            return [*blocks[:number], section(more)]
    return list(blocks)
