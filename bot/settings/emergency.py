"""`[emergency]`: what the requester may decide alone when it burns, and who hears of it."""

from bot.rules.policy import ANYONE, Action, Emergency
from bot.settings.groups import check_groups
from bot.settings.problems import Findings
from bot.settings.reading import Document

_POSSIBLE = (Action.DELETE, Action.GC, Action.PURGE_REQUEST)
"""What `--emergency` can be written behind."""


def build_emergency(document: Document, findings: Findings) -> Emergency:
    """The table as a value; what cannot work goes to `findings`."""
    table = document.emergency.table
    if "purge" in table.actions:
        findings.problem(
            "emergency.actions",
            "holds plain “purge”, which one person alone could use to delete images for good",
            'Write "purge request": it ends the undo window of a deletion that was approved.',
        )
    check_groups(table.requesters, "emergency.requesters", document, findings, anyone=True)
    check_groups(table.notify, "emergency.notify", document, findings)
    if table.enabled:
        _warn(document, findings)
    return Emergency(
        enabled=table.enabled,
        actions=frozenset(Action(name) for name in table.actions) - {Action.PURGE},
        requesters=tuple(table.requesters),
        min_reason_length=table.min_reason_length,
        notify=tuple(table.notify),
    )


def _warn(document: Document, findings: Findings) -> None:
    table, broken = document.emergency.table, document.emergency.broken
    if not table.requesters and "requesters" not in broken:
        findings.warn("emergency.requesters", "nobody is named, so nobody can use --emergency.")
    if ANYONE in table.requesters:
        findings.warn(
            "emergency.requesters", "every full member in a channel of the bot decides alone."
        )
    if not table.notify and "notify" not in broken:
        findings.warn("emergency.notify", "nobody is told of an emergency but the channel.")
    useless = sorted(set(table.actions) - {*_POSSIBLE, Action.PURGE})
    if useless:
        findings.warn(
            "emergency.actions",
            f"{', '.join(useless)} cannot be asked for with --emergency; delete, gc and purge "
            "REQUEST can.",
        )
