"""Retention and audit: understood and checked, though their features are to come.

A file written for a later version is judged by that version's rules already, so that an upgrade
never meets a setting that was wrong all along.
"""

from bot.settings import file
from bot.settings.problems import Findings, suggestion
from bot.settings.reading import Document, Entry


def check_extras(document: Document, findings: Findings) -> None:
    """Report what is wrong with `[[retention]]` and `[audit]`, or not there yet."""
    names: set[str] = set()
    for entry in document.retention:
        _retention(entry, document, findings)
        if entry.table.name in names and "name" not in entry.broken:
            findings.problem(f"{entry.key}.name", "is there twice", "Change one of the names.")
        names.add(entry.table.name)


def _retention(entry: Entry[file.RetentionTable], document: Document, findings: Findings) -> None:
    table, key = entry.table, entry.key
    findings.not_yet(key, "Nothing expires because of it, and nothing is posted.")
    if "keep" not in entry.broken and not any(_keeps(keep) for keep in table.keep):
        findings.warn(f"{key}.keep", "this list keeps nothing: every tag would expire.")
    if table.channel is not None and table.channel not in document.channel_ids:
        findings.problem(
            f"{key}.channel",
            f"is {table.channel}, which is not among [[channels]]",
            suggestion(table.channel, sorted(document.channel_ids)),
        )


def _keeps(keep: file.KeepTable) -> bool:
    """Whether an entry can keep any tag at all."""
    return keep.most_recent_count != 0 and keep.created_within != 0
