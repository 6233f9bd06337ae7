"""The answer to `doctor`: what is broken, whom it hurts, and what mends it."""

from collections.abc import Sequence

from bot.operations.doctor import Report
from bot.rules.health import Fault, Finding, advice, by_fault
from bot.slack.limits import code
from bot.slack.views.blocks import (
    Message,
    context,
    duration,
    fitting,
    listed,
    many,
    mark_commands,
    message,
    paragraphs,
    rows_that_fit,
    section,
    stop,
    table,
    words,
)
from bot.slack.views.reading import share_row
from bot.slack.views.uploads import never_ended

_HEAD = ["Problem", "Repository", "What", "Tags", "Platforms"]
_TAGS = 5
_ROOM = 1200
_TEXT = 300


def report(seen: Report, command: str) -> Message:
    """The answer, with Share where `command` is given."""
    problems = [finding for finding in seen.findings if not finding.fault.is_harmless]
    groups = by_fault(seen.findings)
    verdict = _verdict(seen, len(problems))
    told = [f"{_title(fault, found)} {advice_on(found, seen)}" for fault, found in groups.items()]
    rows = _rows(seen)
    notes = [
        *_unfinished(seen),
        never_ended(seen.uploads) if seen.uploads else "",
        f"{many(seen.unknown, 'manifest')} of a type that the bot does not know: not checked."
        if seen.unknown
        else "",
        _scope(seen),
    ]
    notes = [note for note in notes if note]
    icon = ":red_circle:" if problems else ":large_green_circle:"
    shown = rows_that_fit(_HEAD, rows)
    cut_off = _cut_off(shown, len(rows), command) if is_cut_off(seen) else ""
    in_short = [_in_short(fault, found) for fault, found in groups.items()]
    return message(
        "\n".join([verdict, *in_short, *told, *([cut_off] if cut_off else []), *notes]),
        [
            section(f"{icon} {verdict}"),
            *([table(_HEAD, rows)] if rows else []),
            *([context(cut_off)] if cut_off else []),
            *paragraphs(told),
            *([context(*notes)] if notes else []),
            *share_row(command),
        ],
    )


def is_cut_off(seen: Report) -> bool:
    """Whether there are more findings than a message shows."""
    rows = _rows(seen)
    cut = rows_that_fit(_HEAD, rows) < len(rows)
    return cut or any(len(f.tags) > _TAGS for f in seen.findings) or _empty(seen)[1] > 0


def _verdict(seen: Report, problems: int) -> str:
    where = code(seen.repository) + " on " if seen.repository else ""
    name = f"{where}{words(seen.registry, 80)}"
    if problems:
        return f"*{many(problems, 'problem')}* in {name}"
    if not seen.is_whole or seen.refused:
        return f"Nothing that was looked at in {name} is broken."
    return f"Nothing is broken in {name}: every tag leads to an image, every layer is there."


def _scope(seen: Report) -> str:
    parts = [many(seen.tags, "tag"), many(seen.manifests, "manifest")]
    parts.append(many(seen.blobs, "layer or config", "layers and configs"))
    if not seen.repository:
        parts.insert(0, many(seen.looked, "repository", "repositories"))
    return (
        f"Looked at {', '.join(parts)} in {duration(seen.seconds)}. Of large layers the last byte "
        "was read, small ones whole."
    )


def _unfinished(seen: Report) -> list[str]:
    told = []
    if seen.repository and not seen.is_whole:
        told.append(
            f"The time was over after {seen.checks:,} of at least {seen.known_checks:,} checks: "
            "there may be more."
        )
    elif not seen.is_whole:
        told.append(
            f"Looked at {seen.looked:,} of {seen.repositories:,} repositories in the time there "
            f"was; {code('/registry doctor REPO')} looks at one."
        )
    if seen.refused:
        name, why = seen.refused[0]
        rest = f" and {len(seen.refused) - 1:,} more" if len(seen.refused) > 1 else ""
        told.append(f"Could not look at {code(name, 150)}{rest}: {mark_commands(why[:300])}")
    return told


def _title(fault: Fault, found: Sequence[Finding]) -> str:
    return f"*{_count(fault, found)}* {fault.meaning}"


def _count(fault: Fault, found: Sequence[Finding]) -> str:
    name = fault.value
    return f"{name.capitalize()} ({len(found):,})."


def _in_short(fault: Fault, found: Sequence[Finding]) -> str:
    names = [_name(finding) for finding in found]
    return f"{_count(fault, found)} {listed([code(name, 300) for name in names], _TEXT)}"


def _name(finding: Finding) -> str:
    if not finding.subject:
        return finding.repository
    if ":" not in finding.subject:
        return f"{finding.repository}:{finding.subject}"
    return f"{finding.repository}@{finding.subject[:19]}"


def advice_on(found: Sequence[Finding], seen: Report) -> str:
    """What mends findings of one kind, said for the first of them."""
    first = found[0]
    if first.fault is Fault.EMPTY_REPOSITORY:
        return f"{_empty(seen)[0]}. {mark_commands(advice(first, seen.host))}"
    example = f"For {code(_name(first), 300)}: " if len(found) > 1 else ""
    said = f" The registry said: {stop(words(first.detail, 200))}" if first.detail else ""
    return f"{example}{mark_commands(stop(advice(first, seen.host)))}{said}"


def _empty(seen: Report) -> tuple[str, int]:
    """The empty repositories that there is room for, and how many are left out."""
    empty = [f.repository for f in seen.findings if f.fault is Fault.EMPTY_REPOSITORY]
    names = [code(name, 150) for name in empty]
    shown = max(1, fitting(names, _ROOM, between=2))
    return listed(names, _ROOM), max(0, len(names) - shown)


def _rows(seen: Report) -> list[list[str]]:
    return [
        [
            finding.fault.value,
            finding.repository,
            _what(finding),
            _some(finding.tags),
            ", ".join(finding.platforms),
        ]
        for finding in seen.findings
        if finding.fault is not Fault.EMPTY_REPOSITORY
    ]


def _what(finding: Finding) -> str:
    return finding.subject[7:19] if ":" in finding.subject else finding.subject


def _some(tags: Sequence[str]) -> str:
    rest = len(tags) - _TAGS
    return ", ".join(tags[:_TAGS]) + (f" and {rest:,} more" if rest > 0 else "")


def _cut_off(shown: int, total: int, command: str) -> str:
    rows = f"The first {shown:,} of {total:,} are shown. " if shown < total else ""
    file = "Everything comes as a CSV file in a direct message." if command else ""
    return f"{rows}{file}".strip()
