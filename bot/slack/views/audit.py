"""The audit trail as people read it: a table, a file, what a check found, and a posted head."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bot.slack.limits import code
from bot.slack.views.blocks import (
    Message,
    Person,
    context,
    fitting,
    many,
    message,
    paragraphs,
    rows_that_fit,
    section,
    table,
    when,
    words,
)
from bot.slack.views.files import File
from bot.slack.views.reading import share_row
from bot.slack.views.spreadsheet import Cell, csv_of
from bot.store.chain import FIELDS, AuditEntry, Head, Report, as_line, moment

MOST = 10_000
"""So many entries go into one file at most; `registry-bot audit export` has no limit."""

_CHANNEL = re.compile(r"[CG][A-Z0-9]{2,20}")
_HEAD = ["#", "When (UTC)", "Who", "What", "About", "Rule"]
_WORDS = {
    "request.created": "asked to",
    "request.approved": "approved",
    "request.denied": "denied",
    "request.cancelled": "cancelled",
    "request.abort_asked": "asked to abort",
    "request.expired": "expired",
    "request.outdated": "outdated",
    "request.started": "started",
    "request.failed": "failed",
    "request.finished": "ended",
    "tag.delete_attempted": "about to delete",
    "tag.deleted": "deleted the tag",
    "tag.not_deleted": "did not delete",
    "tag.restore_attempted": "about to put back",
    "tag.restored": "put back",
    "tag.not_restored": "did not put back",
    "digest.delete_attempted": "about to delete for good",
    "digest.deleted": "deleted for good",
    "digest.not_deleted": "did not delete",
    "digest.purged": "purged",
    "digest.held": "held",
    "window.ended": "undo window ended",
    "gc.step": "collection:",
    "gc.proven": "proved that no tag needs what --delete-untagged deletes, tags read:",
    "gc.unproven": "did not collect with --delete-untagged",
    "gc.taken_over": "took the collection over at",
    "gc.restore_failed": "could not make the registry writable",
    "gc.finished": "collection ended",
    "lock.set": "locked",
    "lock.ended": "unlocked",
    "lock.expired": "lock ended",
    "refused": "was refused",
    "audit.begun": "began to post heads",
    "audit.anchored": "posted the head",
}


def entries(found: Sequence[AuditEntry], total: int, about: str, command: str) -> Message:
    """The answer to `audit`, the newest entry first.

    Parameters
    ----------
    found : the newest of them, as many as a file holds.
    total : how many there are.
    about : what was asked for, for a sentence.
    """
    about = _said(about)
    if not total:
        return message(f"The audit trail has nothing here {about}".rstrip() + ".")
    rows = [_row(entry) for entry in found[:100]]
    shown = rows_that_fit(_HEAD, rows)
    count = many(total, "entry", "entries")
    notes = []
    if shown < total:
        narrow = f"{code('--since 7d')} narrows it, {code('--export jsonl')} sends a file."
        notes.append(f"The newest {shown:,} of {total:,} are shown. {narrow}")
    told = [
        f"#{entry.id} {when(entry.at)} {_who(entry.actor)} {words(row[3], 200)} "
        f"{words(row[4], 200)}"
        for entry, row in zip(found[:10], rows, strict=False)
    ]
    return message(
        "\n".join([f"{count} {about}, newest first:".replace(" ,", ","), *told]),
        [
            section(f"*{count}* {about}, newest first".replace("  ", " ")),
            table(_HEAD, rows, right=[0]),
            *([context(*notes)] if notes else []),
            *share_row(command),
        ],
    )


def fits(found: Sequence[AuditEntry]) -> int:
    """How many of the entries the table shows."""
    return rows_that_fit(_HEAD, [_row(entry) for entry in found[:100]])


def sent(total: int, form: str, about: str) -> str:
    """That a file comes."""
    checked = (
        f" {code('registry-bot audit verify --extract --file audit.jsonl')} checks it."
        if form == "jsonl"
        else ""
    )
    count = many(total, "entry", "entries")
    return f"{count} {_said(about)}: the file comes as a direct message.{checked}".replace(
        " :", ":"
    )


def _row(entry: AuditEntry) -> list[str]:
    at = datetime.fromtimestamp(entry.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return [
        str(entry.id), at, Person(entry.actor), _what(entry), _about(entry), entry.rule
    ]  # fmt: skip


_BY = re.compile(r"^by (\S+)")


def _said(about: str) -> str:
    """What was asked for, for mrkdwn; a person at its beginning is mentioned."""
    by = _BY.match(about)
    told = words(about[by.end() :] if by else about, 400) if about else ""
    return f"by {_who(by[1])} {told}".strip() if by else told


def _who(actor: str) -> str:
    """Somebody as a mention, where Slack knows them."""
    return f"<@{actor}>" if Person(actor).is_in_slack else words(actor, 80)


def _what(entry: AuditEntry) -> str:
    """The event in words, with what makes it this one."""
    said = _WORDS.get(entry.event) or entry.event.replace(".", " ").replace("_", " ")
    detail = entry.detail
    extra = {
        "request.created": detail.get("action"),
        "request.finished": detail.get("state"),
        "gc.step": detail.get("step"),
        "gc.proven": detail.get("tags"),
        "gc.taken_over": detail.get("step"),
        "gc.finished": detail.get("state"),
        "window.ended": detail.get("state"),
        "audit.anchored": detail.get("entry"),
    }.get(entry.event)
    why = detail.get("why") or detail.get("reason") or detail.get("detail")
    if entry.event == "refused":
        why = f"{detail.get('what', '')}: {detail.get('why', '')}"
    parts = [said, *([str(extra)] if extra else [])]
    return " ".join(parts) + (f": {why}" if why else "")


def _about(entry: AuditEntry) -> str:
    name = [f"R{entry.request_id}"] if entry.request_id else []
    if entry.repository:
        tag = f":{entry.tag}" if entry.tag else ""
        digest = f"@{entry.digest[:19]}" if entry.digest else ""
        name.append(f"{entry.repository}{tag}{digest}")
    elif entry.registry:
        name.append(entry.registry)
    return " ".join(name)


CSV_HEAD = ("id", "time", *FIELDS[2:])


def csv_cells(values: Mapping[str, Any]) -> list[Cell]:
    """One entry as a row of `CSV_HEAD`; what cannot be checked in a spreadsheet is only told."""
    try:
        time = datetime.fromtimestamp(values["at"], UTC).isoformat(timespec="milliseconds")
    except (TypeError, ValueError, OverflowError, OSError):
        time = str(values["at"])
    rest: list[Cell] = []
    for name in FIELDS[2:]:
        value = values[name]
        plain = value if value is None or isinstance(value, str | int) else json.dumps(value)
        rest.append(plain)
    return [int(values["id"]), time, *rest]


def file(found: Sequence[Mapping[str, Any]], form: str, about: str) -> File:
    """Entries as a file, the oldest first.

    Parameters
    ----------
    form : `jsonl`, which can be checked again, or `csv`.
    """
    title = f"Audit trail {about}".strip()
    if form == "csv":
        return File("audit.csv", title, csv_of(CSV_HEAD, map(csv_cells, found)))
    return File("audit.jsonl", title, "".join(f"{as_line(values)}\n" for values in found))


def checked(report: Report, *, anchored: bool) -> Message:
    """The answer to `audit verify`.

    Parameters
    ----------
    anchored : whether the head is posted to a channel at all.
    """
    count = many(report.entries, "entry", "entries")
    facts = []
    if report.last:
        facts.append(f"Head {code(str(report.last), 120)}")
    if report.posted:
        known = _CHANNEL.fullmatch(report.posted.channel)
        there = f" in <#{report.posted.channel}>" if known else ""
        fits = "" if not report.is_whole else ", and it fits"
        facts.append(
            f"Last posted head {code(str(report.posted), 120)} {when(report.posted.at or 0)}"
            f"{there}{fits}. The channel has what nobody can change here: compare with it."
        )
    elif not anchored:
        facts.append(
            "The head is posted nowhere: whoever can cut the end off the database can hide it. "
            f"{code('[audit] anchor_channel')} in the settings posts it daily."
        )
    if report.is_whole:
        told = f"The audit trail is whole: {count}, none changed, none missing."
        return message(
            "\n".join([told, *facts]),
            [section(f":white_check_mark: {told}"), *paragraphs(facts)],
        )
    first = words(str(report.problems[0]), 500)
    told = f"The audit trail is NOT whole. First: {first}."
    rest = [f"• {words(str(problem), 300)}" for problem in report.problems[1:]]
    rest = rest[: fitting(rest, 3000)]
    advice = (
        "Change nothing. Keep a copy of the store as it is, compare it with the last export and "
        f"backup, and see {code('registry-bot audit verify')} on its host."
    )
    return message(
        "\n".join([told, *rest, *facts, advice]),
        [section(f":rotating_light: {told}"), *paragraphs([*rest, *facts, advice])],
    )


def posted(data: Mapping[str, Any]) -> Message:
    """The head of the trail, as it is posted to the anchor channel."""
    head = Head(int(data["entry"]), str(data["hash"]))
    told = (
        f"Audit trail: {many(int(data['count']), 'entry', 'entries')}, head {code(str(head), 120)}"
    )
    lost = data.get("lost")
    warning = (
        f":rotating_light: The head posted before, {code(str(lost), 120)}, is not in the trail any "
        f"more: {code('/registry audit verify')}"
        if lost
        else ""
    )
    check = f"registry-bot audit verify --head {head}"
    return message(
        "\n".join(part for part in (f"{told} at {moment(data['at'])}.", warning) if part),
        [
            section(f"{told}, {when(float(data['at']))}"),
            *([section(warning)] if warning else []),
            context(f"{code(check, 200)} proves that nothing up to it was changed or cut off."),
        ],
    )


def not_posted(channel: str, why: str) -> str:
    """That a head waits to be posted, and what helps."""
    return (
        f"The head of the audit trail cannot be posted to <#{channel}> ({words(why, 100)}): invite "
        "the bot there. It tries again every few minutes."
    )
