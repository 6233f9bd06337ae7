"""Answers to reads: repositories, tags, one image, status, lists of requests."""

from collections.abc import Sequence

from bot.operations.browse import (
    Health,
    Inspection,
    Repositories,
    Tags,
    is_suspicious_date,
)
from bot.rules.approval import Request, WindowState
from bot.slack.limits import code, escape
from bot.slack.views.blocks import (
    TABLE_ROWS,
    Block,
    Message,
    actions,
    button,
    context,
    day,
    many,
    message,
    section,
    size,
    table,
    when,
)

_LISTED = 10


def share_row(command: str) -> list[Block]:
    """The button that shows an answer to the whole channel, by asking again."""
    return [actions(button("Share", "share", command))] if 0 < len(command) <= 1900 else []


def repositories(result: Repositories, command: str) -> Message:
    """The answer to `repos`."""
    where = f" that start with {code(result.prefix)}" if result.prefix else ""
    hidden = (
        f"{many(result.hidden_empty, 'empty repository', 'empty repositories')} hidden: "
        f"{code('/registry repos --all')} shows them."
        if result.hidden_empty
        else ""
    )
    if not result.rows:
        text = f"{escape(result.registry)} has no repositories{where}. {hidden}".strip()
        return message(text, [section(text)])
    sized = any(row.size is not None for row in result.rows)
    head = ["Repository", "Tags", *(["Size"] if sized else [])]
    rows = [[row.name, str(row.tags), *([size(row.size)] if sized else [])] for row in result.rows]
    count = many(len(rows), "repository", "repositories")
    title = f"*{count}* on {escape(result.registry)}{where}"
    cut_off = _cut_off(len(rows), "`/registry repos PREFIX` narrows it.")
    notes = [n for n in (hidden, cut_off, sized_note(sized)) if n]
    names = ", ".join(f"{row.name} ({row.tags})" for row in result.rows[:_LISTED])
    return message(
        f"{count} on {result.registry}: {escape(names)}. {hidden}".strip(),
        [
            section(title),
            table(head, rows, right=[1, 2] if sized else [1]),
            *([context(*notes)] if notes else []),
            *share_row(command),
        ],
    )


def sized_note(sized: bool) -> str:
    """What the size column means."""
    return "Sizes count what tags reach, each layer once in its repository." if sized else ""


def _cut_off(total: int, advice: str) -> str:
    if total <= TABLE_ROWS:
        return ""
    return f"The first {TABLE_ROWS} of {total:,} are shown. {advice}"


def tags(result: Tags, command: str) -> Message:
    """The answer to `tags`."""
    name = code(result.repository)
    if not result.rows:
        text = f"{name} has no tags."
        return message(text, [section(text)])
    rows = [
        [
            row.tag,
            row.digest[7:19],
            size(row.size),
            day(row.created) + ("?" if is_suspicious_date(row.created) else ""),
            ", ".join(row.platforms),
            ", ".join(row.sharing[:3]) + (" …" if len(row.sharing) > 3 else ""),
        ]
        for row in result.rows
    ]
    order = "newest first" if result.sort == "created" else "by name"
    shown = min(len(rows), TABLE_ROWS)
    of = f" of {result.total:,}" if result.total > shown else ""
    notes = [
        f"{many(result.signatures, 'signature tag')} not listed: "
        f"{code('--match sha256-*')} shows them."
        if result.signatures
        else "",
        _cut_off(len(rows), f"{code('--match')} and {code('--limit')} narrow it."),
        "A date with ? is older than 1971: the build wrote no real one."
        if any(is_suspicious_date(row.created) for row in result.rows)
        else "",
    ]
    notes = [note for note in notes if note]
    listed = ", ".join(f"{row.tag} ({row.digest[7:19]})" for row in result.rows[:_LISTED])
    return message(
        f"{result.repository}: {many(result.total, 'tag')}{of and f', {shown} shown'}: "
        f"{escape(listed)}",
        [
            section(f"{name} on {escape(result.registry)}: *{shown}{of}* tags, {order}"),
            table(
                ["Tag", "Digest", "Size", "Created (UTC)", "Platforms", "Same image as"],
                rows,
                right=[2],
            ),
            *([context(*notes)] if notes else []),
            *share_row(command),
        ],
    )


_KINDS = {
    "application/vnd.oci.image.index.v1+json": "OCI index (multi-arch)",
    "application/vnd.oci.image.manifest.v1+json": "OCI image",
    "application/vnd.docker.distribution.manifest.list.v2+json": "Docker list (multi-arch)",
    "application/vnd.docker.distribution.manifest.v2+json": "Docker image",
}


def inspection(result: Inspection, command: str) -> Message:
    """The answer to `inspect`."""
    name = f"{result.repository}@{result.digest}"
    lines = [
        f"*Digest* {code(result.digest)}",
        f"*Type* {_KINDS.get(result.media_type, '')} {code(result.media_type or 'unknown')}",
        f"*Size* {size(result.size)}",
        f"*Tags* {_codes(result.tags) or 'none: it is reachable by digest only'}",
    ]
    if result.parents:
        parents = ", ".join(
            _codes([f"{result.repository}:{t}" for t in p.tags]) or code(p.digest[:19])
            for p in result.parents[:_LISTED]
        )
        lines.append(f"*Part of* {parents}")
    signed = _codes(result.signatures) if result.signatures else "none found"
    lines.append(f"*Signatures and attestations* {signed}")
    rows = [
        [p.platform, p.digest[7:19], size(p.size), str(p.layers), day(p.created)]
        for p in result.platforms
    ]
    pull = f"docker pull {result.host}/{name}"
    missing = [p for p in result.platforms if p.missing]
    return message(
        f"{result.repository}:{result.asked} is {result.digest}, {size(result.size)}. {pull}",
        [
            section(
                f"{code(f'{result.repository}:{result.asked}')} on {escape(result.registry)}"
                if not result.asked.startswith("sha256:")
                else f"{code(result.repository)} on {escape(result.registry)}"
            ),
            section("\n".join(lines)),
            *(
                [table(["Platform", "Digest", "Size", "Layers", "Created (UTC)"], rows, [2, 3])]
                if rows
                else []
            ),
            *(
                [
                    section(
                        f":warning: {many(len(missing), 'image')} of this index is missing: "
                        "pulling it fails on that platform."
                    )
                ]
                if missing
                else []
            ),
            section(f"```{escape(pull)}```"),
            *share_row(command),
        ],
    )


def _codes(names: Sequence[str]) -> str:
    shown = ", ".join(code(name) for name in names[:_LISTED])
    return shown + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def status(rows: Sequence[Health], version: str, command: str) -> Message:
    """The answer to `status`."""
    blocks: list[Block] = []
    texts = []
    for row in rows:
        if row.problem:
            head = f":red_circle: *{escape(row.registry)}*: {escape(row.problem)}"
            texts.append(f"{row.registry}: {row.problem}")
            details = [escape(row.hint)] if row.hint else []
        else:
            head = f":large_green_circle: *{escape(row.registry)}* answers"
            texts.append(f"{row.registry} answers")
            details = [f"Deletion: {escape(row.deletes)}"]
        details.append(f"Garbage collection: {escape(row.collection)}")
        if row.busy:
            details.append(f"At work: {escape(row.busy)}")
        details.append(
            f"{many(row.open_requests, 'open request')}, "
            f"{many(row.open_windows, 'open undo window')}"
            + (f" holding {size(row.window_bytes)}" if row.open_windows else "")
        )
        blocks += [section(head), context(*details)]
    blocks.append(context(f"registry-bot {version}"))
    return message(escape("; ".join(texts)), [*blocks, *share_row(command)])


def request_list(requests: Sequence[Request], *, everything: bool, command: str) -> Message:
    """The answer to `requests`."""
    if not requests:
        text = (
            "There are no requests here."
            if everything
            else f"Nothing is open here. {code('/registry requests --all')} shows what was."
        )
        return message(text)
    lines = [_request_line(request) for request in requests[:40]]
    title = "Requests" if everything else "Open requests and undo windows"
    return message(
        f"{title}: " + ", ".join(f"{r.name} {r.action} {r.state}" for r in requests[:40]),
        [
            section(f"*{title}*, newest first"),
            *(section("\n".join(lines[n : n + 8])) for n in range(0, len(lines), 8)),
            *share_row(command),
        ],
    )


def _request_line(request: Request) -> str:
    subject = f" of R{request.subject}" if request.subject else ""
    names = [f"{i.repository}:{i.tag}" if i.tag else i.digest[:19] for i in request.items]
    what = ", ".join(code(name) for name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    open_windows = [w for w in request.windows if w.state is WindowState.OPEN]
    until = (
        f", undo until {when(request.undo_until)}" if open_windows and request.undo_until else ""
    )
    return (
        f"*{request.name}* {escape(request.action)}{subject} {what}{more} by "
        f"<@{request.requester}>: {request.state}{until}"
    )
