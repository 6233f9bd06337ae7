"""The whole log of a collection, as a file: its steps with their times, and all that it printed."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from bot.gc.executor import Executor
from bot.gc.steps import Step
from bot.operations.context import Context
from bot.rules.approval import Request

LIMIT = 1 << 20
"""Bytes of each output that are told; there are four."""

_LONGEST_LINE = 2000
# A registry tells its configuration in some errors, and scripts what they were called with.
_CONFIGURED = re.compile(
    r"((?<![a-z])(?:password|passwd|secret(?:_?access)?(?:_?key)?|access_?key(?:_?id)?"
    r"|account_?key|token)"
    r"\\?[\"']?\s*[:=]\s*)\\?[\"']?[^\s\"',}]+",
    re.IGNORECASE,
)


async def written(ctx: Context, collector: Executor, request: Request, job: str, why: str) -> str:
    """The text of the file. It can be made wherever the outputs of `job` are, also after a crash.

    Parameters
    ----------
    request : with its progress as it is now.
    why : what went wrong; "" if nothing did.
    """
    return await asyncio.to_thread(_written, ctx, collector, request, job, why)


def _written(ctx: Context, collector: Executor, request: Request, job: str, why: str) -> str:
    parts = [
        f"{request.name}: garbage collection of {request.registry}",
        *_steps(request.progress),
        *([f"It did not go through: {why}"] if why else []),
    ]
    outputs = collector.transcript(job, LIMIT)
    for title, text in outputs:
        parts += ["", f"== {title} ==", _clipped(text) or "(nothing)"]
    if missing := _missing(request.progress, [title for title, _ in outputs]):
        parts += ["", missing]
    whole = "\n".join(parts).replace("\0", "\N{REPLACEMENT CHARACTER}")
    return _CONFIGURED.sub(r"\g<1>[redacted]", ctx.redact(whole)) + "\n"


def _steps(progress: Mapping[str, Any]) -> Iterator[str]:
    times = progress.get("times", {})
    for step in Step:
        if step.value in times:
            moment = datetime.fromtimestamp(times[step.value], UTC)
            yield f"{moment:%Y-%m-%d %H:%M:%S} UTC  {step.label}"


def _missing(progress: Mapping[str, Any], titles: list[str]) -> str:
    """That an output should be here, and is not."""
    for step, what in ((Step.DRY_RUN, "dry run"), (Step.COLLECT, "collection")):
        if step.value in progress.get("times", {}) and not any(what in one for one in titles):
            return (
                f"The output of the {what} was lost: it stayed with another process, or nothing "
                "was started."
            )
    return ""


def _clipped(text: str) -> str:
    lines = text.rstrip().splitlines()
    return "\n".join(
        line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…" for line in lines
    )
