"""What a garbage collection will do, does, and did."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.gc.steps import Step
from bot.operations.emptying import PLANNED
from bot.operations.stale import StaleUploads
from bot.rules.approval import Request, State
from bot.slack.limits import code
from bot.slack.views import emptying
from bot.slack.views.blocks import (
    Block,
    Message,
    button,
    context,
    duration,
    fitting,
    listed,
    many,
    mark_commands,
    message,
    section,
    size,
    step_row,
    when,
    words,
)
from bot.slack.views.uploads import never_ended


def body(shown: Request) -> list[Block]:
    """The preview before it runs, the steps while it runs, the report afterwards."""
    if shown.state in {State.PENDING, State.APPROVED}:
        return _before(shown)
    if shown.state is State.RUNNING:
        return [section(_steps(shown)), *_help(shown)]
    if shown.state in _ENDED and shown.result:
        return [section(_report(shown)), *_help(shown)]
    return []


_ENDED = {State.DONE, State.PARTLY_DONE, State.FAILED, State.ABORTED}


def _before(shown: Request) -> list[Block]:
    plan = shown.plan
    seen = plan.get("preview")
    lines = []
    if seen:
        found = _found(seen).replace("Preview:", "*Preview*")
        lines.append(f"{found} It may differ a little when it runs.")
    elif plan.get("note"):
        lines.append(mark_commands(plan["note"][:1000]))
    if seen and seen["manifests"]:
        lines.append(f"*Untagged manifests* {_digests(seen['manifests'])}")
    if plan["delete_untagged"]:
        lines.append(
            ":warning: *Deletes untagged manifests*, also those that only something outside the "
            f"registry pulls by digest. {_proof(seen or {})}"
        )
    if plan["unsafe"]:
        lines.append(
            ":warning: *unsafe_allow_live_gc is set*: pushes during the collection can be "
            "accepted and then be broken, without any error."
        )
    elif plan["mode"] == "offline":
        lines.append("The registry is *stopped* while it runs: no pulls and no pushes.")
    else:
        lines.append("Pushes are refused while it runs; pulls go on, apart from two restarts.")
    blocks = [section("\n".join(lines))]
    if plan["windows"]:
        blocks.append(section("*Open undo windows* keep their bytes until they end:"))
        blocks += [_window(plan, number, count) for number, count in plan["windows"][:5]]
        if len(plan["windows"]) > 5:
            rest = len(plan["windows"]) - 5
            blocks.append(context(f"and {rest} more: {code('/registry requests')}"))
    blocks += emptying.before(shown)
    if plan.get("replaces"):
        blocks.append(context(f"It takes the place of R{plan['replaces']}."))
    return blocks


def _proof(seen: Mapping[str, Any]) -> str:
    """Whether a tag needs one of the untagged manifests, as far as the preview could tell."""
    again = "All are read again while pushes are refused; if one needs any, nothing is collected."
    if seen.get("proof"):
        return f"No tag needs one (read: {_read(seen['proof'])}). {again}"
    if seen.get("unproven"):
        return f"Whether a tag needs one is not known yet, as {seen['unproven']}. {again}"
    return "Attestations that refer to an image by subject go, too: nothing is read to spare them."


def _read(proof: Mapping[str, int]) -> str:
    repositories = many(proof["repositories"], "repository", "repositories")
    return f"{many(proof['tags'], 'tag')} in {repositories}"


def _digests(digests: Sequence[str]) -> str:
    return listed([code(digest[:19]) for digest in digests], 1000)


def _window(plan: Mapping[str, Any], number: int, count: int) -> Block:
    """One open window with the button that ends it; the request is named by its number."""
    until = plan.get("until", {}).get(str(number))
    ends = f" until {when(until)}" if until else ""
    return {
        **section(f"*R{number}* {size(count)}{ends}"),
        "accessory": button("Purge now", f"purge_now_{number}", f"R{number}"),
    }


def _steps(shown: Request) -> str:
    now = shown.progress.get("step")
    steps = [step for step in Step if step is not Step.EMPTY or shown.plan.get(PLANNED)]
    reached = steps.index(Step(now)) if now else -1
    lines = []
    for number, step in enumerate(steps):
        mark = (
            ":white_check_mark:"
            if number < reached
            else (":arrow_forward:" if number == reached else ":white_small_square:")
        )
        extra = ""
        if step is Step.COLLECT and number == reached:
            extra = _counts(shown.progress)
        lines.append(f"{mark} {step.label}{extra}")
    if shown.abort_by:
        lines.append(f":octagonal_sign: <@{shown.abort_by}> asked to abort it")
    return "\n".join(lines)


def _counts(progress: Mapping[str, Any]) -> str:
    parts = []
    if "marked" in progress:
        parts.append(f"{progress['marked']:,} marked")
    if progress.get("planned"):
        parts.append(f"{many(progress['planned']['blobs'], 'blob')} to delete")
    return f" ({', '.join(parts)})" if parts else ""


def _help(shown: Request) -> list[Block]:
    why = shown.progress.get("help")
    if not why:
        return []
    help_ = mark_commands(str(why)[:1500])
    return [section(f":rotating_light: *The registry may still be read-only.* {help_}")]


def _report(shown: Request) -> str:
    result = shown.result
    lines = []
    if shown.state in {State.FAILED, State.ABORTED} and result.get("freed_blobs") is None:
        lines.append("Nothing is known to have been freed.")
    elif result.get("unknown"):
        lines.append(
            "It ran, but nobody saw it end: what it freed is not known. It was to free "
            f"{many(result['planned_blobs'], 'blob')}."
        )
    else:
        bytes_ = result.get("freed_bytes")
        measured = (
            f"*{size(bytes_)}* ({bytes_:,} bytes, measured)"
            if bytes_ is not None
            else f"bytes not measured: {mark_commands(_why_unmeasured(result.get('unmeasured')))}"
        )
        lines.append(f"*Freed* {many(result.get('freed_blobs') or 0, 'blob')}, {measured}")
    if result.get("manifests") and shown.state is State.DONE:
        lines.append(f"*Deleted* {many(result['manifests'], 'untagged manifest')}")
    if result.get("proof"):
        lines.append(f"*Proof* no tag needed them (read: {_read(result['proof'])})")
    lines += emptying.after(shown)
    left = result.get("left_blobs")
    if left:
        are, them = ("is", "it") if left == 1 else ("are", "them")
        lines.append(
            f"{many(left, 'blob')} of the plan {are} still there; the next collection takes {them}."
        )
    if result.get("collecting") is not None:
        lines.append(f"*Time* {duration(result['collecting'])} collecting")
    if result.get("without_pushes") is not None:
        lines.append(f"*Without pushes* {duration(result['without_pushes'])}")
    if result.get("canary"):
        lines.append(_canary(result["canary"]))
    before, after = result.get("disk_before"), result.get("disk_after")
    if before and after:
        lines.append(f"*Disk* {_disk(before)} before, {_disk(after)} after")
    lines += _uploads(result)
    if result.get("taken_over"):
        lines.append("The bot was restarted on the way; the outcome above was checked afterwards.")
    return "\n".join(lines)


def _uploads(result: Mapping[str, Any]) -> list[str]:
    """Uploads that never ended: their bytes are what a collection leaves behind."""
    if "uploads" not in result:
        return []
    if result["uploads"] is None:
        return [f"Uploads that never ended were not counted: {_OUT_OF_REACH}."]
    told = never_ended(StaleUploads(**result["uploads"]))
    return [told] if told else []


_OUT_OF_REACH = "the bot cannot read the storage itself"
_NOT_LOOKED_FOR = "Empty repositories and uploads that never ended were not looked for"


def _why_unmeasured(why: str | None) -> str:
    return (why or "`storage_root` is not set")[:500]


def _canary(found: Mapping[str, Any]) -> str:
    """What pulling images whole has shown."""
    pulled = f"{many(found['images'], 'image')} pulled whole, {size(found['read'])}"
    glanced = found["glanced"]
    rest = f"; of {many(glanced, 'large layer')} only the end was read" if glanced else ""
    broken = found["broken"]
    if not broken:
        return f"*Afterwards* {pulled}, every byte right{rest}"
    are = many(len(broken), "image is", "images are")
    return f":rotating_light: *Afterwards* {pulled}: {are} broken{rest}"


def _disk(usage: list[int]) -> str:
    used, total = usage
    return f"{size(used)} of {size(total)} ({used / total:.0%})" if total else size(used)


def text(shown: Request) -> str:
    """The same in a few words; "" where there is nothing to add."""
    result = shown.result
    if shown.state in {State.PENDING, State.APPROVED}:
        return f"{_found(shown.plan.get('preview'))} {emptying.text_before(shown)}".strip()
    if shown.state is State.RUNNING and shown.progress.get("step"):
        return f"Now: {Step(shown.progress['step']).label}."
    if shown.state not in _ENDED:
        return ""
    if result.get("unknown"):
        return "What it freed is not known."
    if result.get("freed_bytes") is not None:
        return (
            f"Freed {many(result['freed_blobs'], 'blob')}, {size(result['freed_bytes'])} "
            f"({result['freed_bytes']:,} bytes)."
        )
    if result.get("freed_blobs") is not None:
        return f"Freed {many(result['freed_blobs'], 'blob')}."
    return ""


def _found(seen: Mapping[str, Any] | None) -> str:
    """What the preview of a request found."""
    if not seen:
        return ""
    bytes_ = size(seen["bytes"]) if seen["bytes"] is not None else "bytes unknown"
    manifests = f", {many(len(seen['manifests']), 'manifest')}" if seen["manifests"] else ""
    return f"Preview: {many(seen['blobs'], 'blob')}, {bytes_}{manifests}."


def dry_run(
    registry: str,
    seen: Any,
    windows: list[tuple[str, int, float]],
    ask: str = "gc",
    *,
    empty: Mapping[str, Any] | None = None,
    uploads: StaleUploads | None = None,
) -> Message:
    """The answer to `gc --dry-run`.

    Parameters
    ----------
    ask : the command that asks for what it showed.
    empty, uploads : what else is in the storage; None where that is out of reach.
    """
    why = mark_commands(_why_unmeasured(seen.unmeasured))
    bytes_ = size(seen.size) if seen.size is not None else f"bytes unknown ({why})"
    sentence = (
        f"A collection of {words(registry, 80)} would free {many(seen.blobs, 'blob')}, {bytes_}."
    )
    blocks = [section(f"{sentence} Nothing was changed.")]
    if seen.manifests:
        names = _digests(seen.manifests)
        blocks.append(
            section(f"It would delete {many(len(seen.manifests), 'untagged manifest')}: {names}")
        )
    if seen.proof:
        blocks.append(section(f"No tag needs them (read: {_read(seen.proof.counts())})."))
    if windows:
        lines = [f"*{name}* {size(n)} until {when(until)}" for name, n, until in windows]
        count = fitting(lines, 2000)
        rest = f"\nand {len(lines) - count} more" if count < len(lines) else ""
        blocks.append(
            section("Open undo windows keep their bytes:\n" + "\n".join(lines[:count]) + rest)
        )
    blocks += emptying.found(empty) if empty else []
    if uploads and (never := never_ended(uploads)):
        blocks.append(section(never))
    if empty is None or uploads is None:
        blocks.append(context(f"{_NOT_LOOKED_FOR}: {_OUT_OF_REACH}."))
    blocks += step_row([ask], {ask: "Ask for it"})
    blocks.append(context(f"{code(f'/registry {ask}')} asks for it."))
    return message(f"{sentence} Nothing was changed.", blocks)
