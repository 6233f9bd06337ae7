"""The home tab: my requests, what waits for me, how the registries are."""

from collections.abc import Sequence

from bot.operations.overview import Overview
from bot.rules.approval import Request
from bot.slack.limits import code
from bot.slack.views.blocks import (
    Block,
    actions,
    button,
    context,
    divider,
    header,
    many,
    mark_commands,
    section,
    when,
)
from bot.slack.views.modals import View
from bot.slack.views.reading import health_blocks, request_line, with_details

REFRESH = "home_refresh"

_ROWS = 20
_REGISTRIES = 15


def home(shown: Overview, now: float) -> View:
    """The tab of somebody who may use the bot."""
    blocks: list[Block] = [
        header("Waits for you"),
        *_requests(shown.waiting, "Nothing waits for your approval."),
        divider(),
        header("Your open requests"),
        *_requests(shown.mine, f"You have none. {code('/registry')} opens a form to make one."),
        divider(),
        header("Registries"),
    ]
    for row in shown.health[:_REGISTRIES]:
        blocks += health_blocks(row)
    if not shown.health:
        blocks.append(section("You are in no channel in which the registry bot listens."))
    rest = len(shown.health) - _REGISTRIES
    if rest > 0:
        blocks.append(section(f"and {rest} more: {code('/registry status')} in their channel"))
    blocks.append(actions(button("Refresh", REFRESH, "")))
    blocks.append(context(f"As of {when(now)}. {code('/registry help')} says what you may do."))
    return {"type": "home", "blocks": blocks}


def refused(sentence: str, hint: str) -> View:
    """The tab of somebody who may not."""
    lines = [line for line in (mark_commands(sentence), mark_commands(hint)) if line]
    return {
        "type": "home",
        "blocks": [header("Registry"), section("\n".join(lines))],
    }


def _requests(requests: Sequence[Request], none: str) -> list[Block]:
    if not requests:
        return [section(none)]
    blocks = [with_details(request, request_line(request)) for request in requests[:_ROWS]]
    rest = len(requests) - len(blocks)
    if rest:
        blocks.append(context(f"and {many(rest, 'older request')}: {code('/registry requests')}"))
    return blocks
