"""Uploads that never ended, in words."""

from bot.operations.stale import StaleUploads
from bot.slack.limits import code
from bot.slack.views.blocks import many, mark_commands, size


def never_ended(found: StaleUploads) -> str:
    """How many there are, their bytes, and what removes them; "" where there are none."""
    if found.problem:
        why = mark_commands(found.problem[:500])
        return f"Uploads that never ended could not be counted: {why}"
    if not found.count:
        return ""
    where = many(found.repositories, "repository", "repositories")
    return (
        f"{many(found.count, 'upload')} in {where} never ended (nothing written for a day): "
        f"{size(found.size)} that no collection frees. The registry removes them itself where "
        f"{code('storage.maintenance.uploadpurging')} is enabled in its configuration, by default "
        "after 168h."
    )
