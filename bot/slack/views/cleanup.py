"""The one message of a preview: what would go, what stays and why, and what nobody can date."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from bot.rules.approval import Request
from bot.rules.policy import Action
from bot.rules.preview import TYPED, Preview, PreviewState, Result, Row, Spec, Stays, spec_from_json
from bot.rules.retention import in_words
from bot.slack.limits import code, escape
from bot.slack.views.blocks import (
    Message,
    actions,
    button,
    context,
    listed,
    many,
    mark_commands,
    message,
    paragraphs,
    section,
    size,
    stop,
    words,
)
from bot.slack.views.files import File
from bot.slack.views.spreadsheet import csv_of

_SHOWN = 10
_REASONS = 8
_CLOCK = (
    "Age is the creation date in the image's config (of a multi-arch image: of its newest part), "
    "not the time of the push."
)


def preview(shown: Preview) -> Message:
    """The message as it stands now; the same for everybody in the channel."""
    where = f"{code(shown.repository)} on {words(shown.registry, 80)}"
    say = {
        PreviewState.LOOKING: _looking,
        PreviewState.FAILED: _failed,
        PreviewState.REPLACED: _replaced,
    }.get(shown.state, _found)
    return say(shown, where)


def _looking(shown: Preview, where: str) -> Message:
    done, of = shown.progress.get("done"), shown.progress.get("of")
    tags = shown.progress.get("tags")
    how_many = many(tags, "tag") if tags else "the tags"
    line = f":mag: Looking at {how_many} of {where}…"
    if of:
        line += f" {done:,} of {of:,}"
    told = f"{_asked(shown)} {terms(shown.spec)} Nothing is changed."
    return message(f"{line} {told}", [section(line), context(told)])


def _failed(shown: Preview, where: str) -> Message:
    why = stop(mark_commands(shown.result.note[:800]))
    line = f":x: The cleanup preview of {where} has failed: {why} Nothing was changed."
    return message(line, [section(line), context(_asked(shown))])


def _replaced(_: Preview, where: str) -> Message:
    line = f"This preview of {where} has been replaced by a newer one of the same rule."
    return message(line, [section(line)])


def _found(shown: Preview, where: str) -> Message:
    result = shown.result
    lines = [f"{_headline(shown)} of {where}. {_standing(shown)}".strip()]
    lines.append(f"{_asked(shown)} {terms(shown.spec)}")
    if shown.reason:
        lines.append(f"*Why* {words(shown.reason, 500)}")
    if result.note:
        lines.append(f":information_source: {stop(mark_commands(result.note[:800]))}")
    blocks = paragraphs(lines)
    facts = [*_goes(result), *_stays(result), *_apart(result)]
    blocks += [section(fact) for fact in facts]
    small = [_CLOCK]
    if result.signatures:
        small.append(
            f"{many(result.signatures, 'signature tag')} not counted: each follows its image."
        )
    blocks.append(context(*small))
    if shown.state is PreviewState.READY:
        blocks.append(
            actions(
                button("Request it", "cleanup_request", shown.token, style="primary"),
                button("Discard", "cleanup_discard", shown.token),
            )
        )
    return message("\n".join([*lines, *facts, *small]), blocks)


_HEADLINES = {
    PreviewState.READY: ":broom: *Cleanup preview*",
    PreviewState.EMPTY: ":white_check_mark: *Nothing to clean up*",
    PreviewState.REQUESTED: ":broom: *Cleanup, requested*",
    PreviewState.DISCARDED: ":broom: *Cleanup preview, discarded*",
}


def _headline(shown: Preview) -> str:
    return _HEADLINES[shown.state]


def _standing(shown: Preview) -> str:
    by = str(shown.progress.get("by", ""))
    if shown.state is PreviewState.REQUESTED:
        return f"<@{by}> asked for it: *R{shown.request_id}*."
    if shown.state is PreviewState.DISCARDED:
        return f"<@{by}> discarded it; nothing was changed."
    return "Nothing is changed yet." if shown.state is PreviewState.READY else ""


def _asked(shown: Preview) -> str:
    if shown.origin == TYPED:
        return f"Asked for by <@{shown.actor}>."
    return f"Scheduled by the retention rule {code(shown.origin)}."


def terms(spec: Spec) -> str:
    """What is looked for, in a sentence: what is kept, and of which tags."""
    rules = ", ".join(code(name) for name in spec.rules)
    among = f" among the tags that match {code(spec.match)}" if spec.match else ""
    by = f" by retention rule {rules}" if rules else ""
    if not spec.keep:
        return f"Keeps none{among}{by}."
    kept = [words(in_words(entry), 300) for entry in spec.keep]
    return f"Keeps {listed(kept, 1000)}{among}{by}."


def cleanup_terms(shown: Request) -> str:
    """What stands behind "asks to clean up": which repository, by what, what was left out."""
    about = shown.plan.get("cleanup")
    if shown.action != Action.CLEANUP or not about:
        return ""
    told = f", {code(about['repository'])}. {terms(spec_from_json(about['spec']))}"
    if about.get("left_out"):
        told += f" Left out since the preview: {words(about['left_out'], 500)}."
    return told


def _goes(result: Result) -> list[str]:
    if not result.goes:
        return []
    some = [f"{code(row.tag)} ({_day(row.created)})" for row in result.goes[:_SHOWN]]
    rest = len(result.goes) - len(some)
    more = f" and {rest:,} more, up to {_day(result.goes[-1].created)}" if rest else ""
    lines = [f"*Goes* {many(len(result.goes), 'tag')}, the oldest first: {', '.join(some)}{more}"]
    lines += _reasons(result.goes)
    if result.along:
        names = listed([code(tag) for tag in result.along[:3]], 400)
        rest = len(result.along) - 3
        lines.append(
            f"• with them {many(len(result.along), 'signature tag')} of images that lose their "
            f"last tag: {names}" + (f" and {rest:,} more" if rest > 0 else "")
        )
    lines.append(
        f"• frees about {size(result.size)} in the end, an estimate within this repository"
    )
    found = ["\n".join(lines)]
    if result.above:
        found.append(
            f"*Above the ceiling* {many(result.above, 'more tag')} would go, and one request takes "
            f"{len(result.goes) + len(result.along):,} of them. Look again when these are gone."
        )
    return found


def _reasons(rows: Sequence[Row]) -> list[str]:
    counted = Counter(row.why for row in rows).most_common()
    lines = [f"• {count:,}: {words(why, 200)}" for why, count in counted[:_REASONS]]
    if len(counted) > _REASONS:
        lines.append(f"• {many(len(counted) - _REASONS, 'more reason')}")
    return lines


def _stays(result: Result) -> list[str]:
    count = sum(group.count for group in result.stays)
    lines = [f"*Stays* {many(count, 'tag')}"] if count else []
    lines += [f"• {_group(group)}" for group in result.stays[:_REASONS]]
    if len(result.stays) > _REASONS:
        lines.append(f"• {many(len(result.stays) - _REASONS, 'more reason')}")
    if result.unmatched:
        lines.append(f"• {result.unmatched:,} not looked at: the pattern does not match")
    return ["\n".join(lines)] if lines else []


def _apart(result: Result) -> list[str]:
    lines = []
    if result.ancient.count:
        lines.append(
            f"• {_group(result.ancient)}. Builds that set no date of their own write 1970: that "
            "is not old age"
        )
    if result.undated.count:
        lines.append(f"• {_group(result.undated)}. Nobody can tell how old these are")
    return (
        ["\n".join(["*Listed apart*, never selected and never counted", *lines])] if lines else []
    )


def _group(group: Stays) -> str:
    names = ", ".join(code(tag) for tag in group.examples)
    rest = group.count - len(group.examples)
    return f"{group.count:,} {words(group.why, 200)}: {names}" + (
        f" and {rest:,} more" if rest > 0 else ""
    )


def _day(epoch: float) -> str:
    return escape(datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%d"))


def file_of(shown: Preview, rows: Sequence[Sequence[str | float | None]]) -> File:
    """Every tag that was looked at, as a file."""
    head = ("outcome", "tag", "digest", "created", "why")
    table = [
        (str(outcome), str(tag), str(digest), _moment(created), str(why))
        for outcome, tag, digest, created, why in rows
    ]
    name = f"cleanup-{shown.repository.replace('/', '-')}.csv"
    return File(name, f"Every tag of {shown.repository} that was looked at", csv_of(head, table))


def _moment(created: str | float | None) -> str:
    if not isinstance(created, int | float):
        return ""
    try:
        return datetime.fromtimestamp(created, UTC).isoformat()
    except (ValueError, OverflowError):
        return ""


def discarded(shown: Preview) -> Message:
    """The answer to whoever discarded a preview."""
    line = f"You discarded the preview of {code(shown.repository)}; nothing was changed."
    return message(line, [section(line)])
