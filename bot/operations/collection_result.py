"""What a collection did: measured where the storage is in reach, never guessed."""

from collections.abc import Mapping
from typing import Any

from bot.gc.errors import GcError
from bot.gc.executor import Executor
from bot.gc.report import GcReport
from bot.gc.steps import Step


async def outcome(
    collector: Executor,
    name: str,
    progress: Mapping[str, Any],
    report: GcReport | None,
    why: str,
) -> dict[str, Any]:
    """The result as plain JSON values; None stands for what nobody knows.

    Parameters
    ----------
    name : names the collection's files, its plan among them.
    progress : the steps with their times, and what was planned.
    report : what it printed, proven complete; None if it was not.
    why : what went wrong, for people; "" if nothing did.
    """
    planned = collector.read_note(name) if progress.get("planned") else None
    times = progress.get("times", {})
    usage = await collector.disk()
    present = await _present(collector, planned)
    result: dict[str, Any] = {
        "why": why,
        "planned_blobs": (progress.get("planned") or {}).get("blobs", 0),
        "manifests": (progress.get("planned") or {}).get("manifests", 0),
        "proof": progress.get("proof"),
        "freed_blobs": None,
        "freed_bytes": None,
        "left_blobs": 0,
        "unknown": False,
        "unmeasured": "",
        "disk_before": progress.get("disk_before"),
        "disk_after": list(usage) if usage else None,
        "taken_over": bool(progress.get("taken_over")),
        # The images are pulled while pushes are taken again.
        "without_pushes": _seconds(times, Step.SWITCH, Step.CANARY)
        or _seconds(times, Step.SWITCH, Step.REPORT),
        "collecting": _seconds(
            times, Step.COLLECT, Step.EMPTY if Step.EMPTY.value in times else Step.RESTART
        ),
    }
    if planned is not None and present is not None:
        gone = [blob for blob in planned if blob not in present]
        result["freed_blobs"] = len(gone)
        result["freed_bytes"] = sum(planned[blob] for blob in gone)
        result["left_blobs"] = len(present)
    elif report is not None and not result["taken_over"]:
        result["freed_blobs"] = len(report.eligible_blobs)
    elif result["planned_blobs"]:
        # Nobody saw it end, and the storage is out of reach: say that we do not know.
        result["unknown"] = True
    if result["freed_bytes"] is None:
        result["unmeasured"] = collector.unmeasured
    return result


async def _present(collector: Executor, planned: Mapping[str, int] | None) -> set[str] | None:
    """The planned blobs that are still there; None where nobody can tell."""
    if planned is None:
        return None
    try:
        sizes = await collector.blob_sizes(list(planned))
    except GcError:
        return None  # the registry is in order again: a report without bytes is better than none
    return None if sizes is None else set(sizes)


def _seconds(times: Mapping[str, float], start: Step, end: Step) -> float | None:
    if start.value in times and end.value in times:
        return float(times[end.value] - times[start.value])
    return None
