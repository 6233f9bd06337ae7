"""What is said about collections that were not let run to their end, by every executor."""

from bot.gc.errors import CollectionAborted, CommandFailed


def already_running() -> CommandFailed:
    """There is one already."""
    return CommandFailed(
        "A collection of this registry is already running.",
        "Wait until it is over: two at once would work on the same storage.",
    )


def aborted(*, gone: bool) -> CollectionAborted:
    """Somebody asked for its end; `gone` is whether it has ended."""
    if gone:
        return CollectionAborted(
            "The collection was aborted: its process is gone.",
            "What it had not deleted yet stays until the next collection.",
        )
    return CollectionAborted(
        "The collection was aborted, but it may still be running where it was started.",
        "Stop it there; the registry must stay read-only until it is gone.",
        gone=False,
    )


def timed_out(limit: float, *, gone: bool) -> CommandFailed:
    """It took longer than `limit` seconds; `gone` is whether it has ended."""
    if gone:
        return CommandFailed(
            f"The collection took longer than {limit:g} s and was killed.",
            "Raise `timeout` in the registry's gc settings, then collect again: what was not "
            "deleted yet is freed then.",
        )
    return CommandFailed(
        f"The collection took longer than {limit:g} s, and may still be running where it was "
        "started.",
        "Stop it there; the registry must stay read-only until it is gone.",
    )
