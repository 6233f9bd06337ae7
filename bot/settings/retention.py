"""From `[[retention]]` to keep rules."""

from bot.rules.retention import Keep, Retention
from bot.settings import file
from bot.settings.problems import Findings, suggestion
from bot.settings.reading import Document, Entry


def build_retention(document: Document, findings: Findings) -> tuple[Retention, ...]:
    """The retention rules of the file; what cannot work goes to `findings`."""
    names: set[str] = set()
    for entry in document.retention:
        if entry.table.name in names and "name" not in entry.broken:
            findings.problem(f"{entry.key}.name", "is there twice", "Change one of the names.")
        names.add(entry.table.name)
    return tuple(_retention(entry, document, findings) for entry in document.retention)


def _retention(
    entry: Entry[file.RetentionTable], document: Document, findings: Findings
) -> Retention:
    table, key = entry.table, entry.key
    keep = tuple(Keep(tuple(k.tags), k.most_recent_count, k.created_within) for k in table.keep)
    if "keep" not in entry.broken and all(one.is_idle for one in keep):
        findings.warn(f"{key}.keep", "this list keeps nothing: every tag would expire.")
    if table.channel is not None and table.channel not in document.channel_ids:
        findings.problem(
            f"{key}.channel",
            f"is {table.channel}, which is not among [[channels]]",
            suggestion(table.channel, sorted(document.channel_ids)),
        )
    if table.schedule is None and "schedule" not in entry.broken and table.mode == "request":
        findings.warn(f"{key}.mode", "without a schedule nothing is asked for.")
    return Retention(
        table.name,
        tuple(table.repositories),
        keep,
        table.mode,
        table.schedule or "",
        table.channel or "",
    )
