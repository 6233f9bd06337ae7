"""The whole plan of a request in a modal."""

from bot.rules.approval import Request, State
from bot.rules.plan import DeletionPlan
from bot.rules.policy import Action
from bot.slack.limits import code
from bot.slack.views import notices
from bot.slack.views.blocks import Block, context, paragraphs, section, words
from bot.slack.views.modals import View, modal, shortened
from bot.slack.views.request import deciding, what

_DIGESTS = 1000
_ROOM = 40_000
_WHOLE = len("sha256:") + 64


def details(shown: Request) -> View:
    """Everything that is pinned, what became of it, and the buttons of the request."""
    blocks = [section(what(shown))]
    if shown.reason:
        blocks.append(section(f"*Why* {words(shown.reason, 2000)}"))
    blocks += notices.detail_blocks(shown, limit=_DIGESTS, room=_ROOM)
    if shown.state is State.PENDING:
        blocks += deciding(shown)
    blocks += _pinned(shown)
    buttons = notices.decision_row(shown)
    typed = code(f"/registry show {shown.name}")
    kept = shortened(blocks, f"… The rest is too long to be shown here; {typed} is shorter.")
    return modal(
        f"{shown.name}: details",
        [*kept, *buttons],
        metadata={"channel": shown.channel, "value": shown.token},
    )


def _pinned(shown: Request) -> list[Block]:
    """Tag by tag with the whole digest, as it is compared before anything is changed."""
    if not Action(shown.action).has_plan:
        return []
    digests = DeletionPlan.from_json(shown.plan).digests
    lines = [line for planned in digests for line in notices.pinned(planned, _WHOLE)]
    return [
        context("Pinned, and read again before anything is changed:"),
        *(notices.fenced(block) for block in paragraphs(lines)),
    ]
