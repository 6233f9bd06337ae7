"""Answers to reads: repositories, tags, one image, status, lists of requests."""

from collections.abc import Mapping, Sequence

from bot.operations.browse import (
    Health,
    Inspection,
    Repositories,
    TagRow,
    Tags,
    is_suspicious_date,
)
from bot.rules.approval import Request, WindowState
from bot.slack.limits import code, escape, plain
from bot.slack.views.blocks import (
    Block,
    Message,
    actions,
    button,
    context,
    day,
    fitting,
    listed,
    many,
    mark_commands,
    message,
    paragraphs,
    rows_that_fit,
    section,
    size,
    step_row,
    steps,
    table,
    when,
    words,
)

_LISTED = 10
_HEALTHS = 20  # two blocks each


def share_row(command: str, next_: Mapping[str, str] | None = None) -> list[Block]:
    """The button that shows an answer to the whole channel, by asking again.

    Parameters
    ----------
    next_ : what one may want to do next: label by command.
    """
    # What is shared has no command, and no next steps either: they were somebody's own.
    if not 0 < len(command) <= 1900:
        return []
    return [actions(button("Share", "share", command), *steps(next_ or {}, next_))]


def repositories(result: Repositories, command: str) -> Message:
    """The answer to `repos`."""
    where = f" with the prefix {code(result.prefix)}" if result.prefix else ""
    hidden = _hidden(
        result.hidden_empty, "empty repository", "empty repositories", "/registry repos --all"
    )
    if not result.rows:
        text = f"{words(result.registry, 80)} has no repositories{where}. {hidden}".strip()
        return message(text, [section(text)])
    sized = any(row.size is not None for row in result.rows)
    head, rows = _repository_table(result)
    count = many(len(rows), "repository", "repositories")
    cut_off = _cut_off(
        rows_that_fit(head, rows),
        len(rows),
        f"{_file(command)}{code('/registry repos PREFIX')} narrows it.",
    )
    notes = [n for n in (cut_off, hidden, _SIZES if sized else "") if n]
    names = [f"{row.name} ({row.tags})" for row in result.rows[:_LISTED]]
    return message(
        f"{count} on {words(result.registry, 80)}{where}: {_and_more(names, len(rows))}. {hidden}",
        [
            section(f"*{count}* on {words(result.registry, 80)}{where}"),
            table(head, rows, right=[1, 2] if sized else [1]),
            *([context(*notes)] if notes else []),
            *share_row(command, {f"{command} --all": "Show all"} if result.hidden_empty else None),
        ],
    )


def _repository_table(result: Repositories) -> tuple[list[str], list[list[str]]]:
    sized = any(row.size is not None for row in result.rows)
    head = ["Repository", "Tags", *(["Size"] if sized else [])]
    rows = [[row.name, str(row.tags), *([size(row.size)] if sized else [])] for row in result.rows]
    return head, rows


_SIZES = "Sizes count what tags reach, each layer once in its repository."


def _hidden(count: int, noun: str, plural: str, shows: str) -> str:
    if not count:
        return ""
    return f"{many(count, noun, plural)} hidden: {code(shows)} shows {_them(count)}."


def _them(count: int) -> str:
    return "it" if count == 1 else "them"


def _and_more(names: Sequence[str], total: int) -> str:
    more = f" and {total - len(names):,} more" if total > len(names) else ""
    return ", ".join(words(name, 300) for name in names) + more


def _cut_off(shown: int, total: int, advice: str) -> str:
    if total <= shown:
        return ""
    return f"The first {shown:,} of {total:,} are shown. {advice}".strip()


def _file(command: str) -> str:
    """Where the rest is; what is shared to a channel comes without it."""
    return "All of them come as a CSV file in a direct message. " if command else ""


def is_cut_off(result: Repositories | Tags | Inspection) -> bool:
    """Whether an answer has more rows than its table can show."""
    if isinstance(result, Repositories):
        head, rows = _repository_table(result)
    elif isinstance(result, Tags):
        head, rows = _TAGS_HEAD, [_tag_row(row) for row in result.rows]
    else:
        head, rows = _IMAGE_HEAD, _image_rows(result)
    return rows_that_fit(head, rows) < len(rows)


_TAGS_HEAD = ["Tag", "Digest", "Size", "Created (UTC)", "Platforms", "Same image as"]


def tags(result: Tags, command: str) -> Message:
    """The answer to `tags`."""
    name = code(result.repository)
    signatures = _hidden(
        result.signatures,
        "signature tag",
        "signature tags",
        f"/registry tags {result.repository} --match sha256-*",
    )
    if not result.rows:
        text = f"{name} has no tags. {signatures}".strip()
        return message(text, [section(text)])
    rows = [_tag_row(row) for row in result.rows]
    shown = rows_that_fit(_TAGS_HEAD, rows)
    count = many(result.total, "tag")
    if shown < result.total:
        count = f"{shown:,} of {count}"
    order = "newest first" if result.sort == "created" else "by name"
    notes = [
        _cut_off(
            shown,
            len(rows),
            f"{_file(command)}{code('--match')} and {code('--limit')} narrow it.",
        ),
        signatures,
        "A date with ? is older than 1971: the build wrote no real one."
        if any(is_suspicious_date(row.created) for row in result.rows)
        else "",
    ]
    notes = [note for note in notes if note]
    names = [f"{row.tag} ({row.digest[7:19]})" for row in result.rows[:_LISTED]]
    return message(
        f"{name} on {words(result.registry, 80)}: {count}, {order}: "
        f"{_and_more(names, result.total)}. {signatures}",
        [
            section(f"{name} on {words(result.registry, 80)}: *{count}*, {order}"),
            table(_TAGS_HEAD, rows, right=[2]),
            *([context(*notes)] if notes else []),
            *share_row(command),
        ],
    )


def _tag_row(row: TagRow) -> list[str]:
    return [
        row.tag,
        row.digest[7:19],
        size(row.size),
        day(row.created) + ("?" if is_suspicious_date(row.created) else ""),
        ", ".join(row.platforms),
        ", ".join(row.sharing[:3]) + (" …" if len(row.sharing) > 3 else ""),
    ]


_KINDS = {
    "application/vnd.oci.image.index.v1+json": "OCI index (multi-arch)",
    "application/vnd.oci.image.manifest.v1+json": "OCI image",
    "application/vnd.docker.distribution.manifest.list.v2+json": "Docker list (multi-arch)",
    "application/vnd.docker.distribution.manifest.v2+json": "Docker image",
}


_IMAGE_HEAD = ["Platform", "Digest", "Size", "Layers", "Created (UTC)"]


def inspection(result: Inspection, command: str) -> Message:
    """The answer to `inspect`."""
    by_digest = result.asked.startswith("sha256:")
    name = result.repository if by_digest else f"{result.repository}:{result.asked}"
    kind = _KINDS.get(result.media_type, "")
    lines = [
        f"*Digest* {code(result.digest, 100)}",
        " ".join(["*Type*", *([kind] if kind else []), code(result.media_type or "unknown", 100)]),
        f"*Size* {size(result.size)}",
        f"*Tags* {_codes(result.tags) or 'none: only the digest reaches it'}",
    ]
    if result.parents:
        above = [
            _codes([f"{result.repository}:{t}" for t in p.tags]) or code(p.digest[:19])
            for p in result.parents
        ]
        lines.append(f"*Part of* {listed(above, 1500)}")
    lines.append(f"*Signatures and attestations* {_codes(result.signatures) or 'none found'}")
    rows = _image_rows(result)
    where = f"{code(name)} on {words(result.registry, 80)}"
    pull = f"docker pull {result.host}/{result.repository}@{result.digest}"
    fenced = escape(plain(pull.replace("`", "'"), 700))
    missing = sum(p.missing for p in result.platforms)
    absent = _missing(missing) if missing else ""
    cut_off = _cut_off(rows_that_fit(_IMAGE_HEAD, rows), len(rows), _file(command))
    return message(
        f"{where} is {code(result.digest, 100)}, {size(result.size)}; tags: "
        f"{_codes(result.tags) or 'none'}. {absent} {words(pull)}".replace("  ", " "),
        [
            section(where),
            *paragraphs(lines),
            *([table(_IMAGE_HEAD, rows, right=[2, 3])] if rows else []),
            *([context(cut_off)] if cut_off else []),
            *([section(f":warning: {absent}")] if absent else []),
            section(f"```{fenced}```"),
            *share_row(command),
        ],
    )


def _image_rows(result: Inspection) -> list[list[str]]:
    return [
        [p.platform, p.digest[7:19], size(p.size), str(p.layers), day(p.created)]
        for p in result.platforms
    ]


def _missing(count: int) -> str:
    are, platforms = ("is", "that platform") if count == 1 else ("are", "those platforms")
    return f"{many(count, 'image')} of this index {are} missing: pulling fails on {platforms}."


def _codes(names: Sequence[str]) -> str:
    return listed([code(name) for name in names], 1200)


def status(
    rows: Sequence[Health], version: str, command: str, troubles: Sequence[str] = ()
) -> Message:
    """The answer to `status`.

    Parameters
    ----------
    troubles : what is wrong with the bot itself, in sentences of its own.
    """
    if not rows:
        return message("This channel serves no registry.")
    told = [(words(row.registry, 80), _answers(row), _health(row)) for row in rows[:_HEALTHS]]
    texts = ["; ".join([name + answers, *details]) for name, answers, details in told]
    count = max(1, fitting(texts))
    blocks: list[Block] = []
    for row in rows[:count]:
        blocks += health_blocks(row)
    rest = many(len(rows) - count, "more registry", "more registries")
    more = f"and {rest}: {code('/registry status --on NAME')}" if len(rows) > count else ""
    if more:
        blocks.append(section(more))
    wrong = [f":warning: {trouble}" for trouble in troubles]
    blocks += paragraphs(wrong)
    blocks.append(context(f"registry-bot {version}"))
    text = "\n".join([*texts[:count], *([more] if more else []), *wrong])
    collect = {f"gc --on {row.registry}": f"Collect {row.registry}" for row in rows if row.purged}
    return message(text, [*blocks, *share_row(command, dict(list(collect.items())[:3]))])


def health_blocks(row: Health) -> list[Block]:
    """How one registry is."""
    light = ":red_circle:" if row.problem else ":large_green_circle:"
    title = section(f"{light} *{words(row.registry, 80)}*{_answers(row)}")
    return [title, context(*_health(row))]


def _answers(row: Health) -> str:
    return f": {mark_commands(row.problem[:400])}" if row.problem else " answers"


def _health(row: Health) -> list[str]:
    """What else is known of a registry, one thing after the other."""
    windows = many(row.open_windows, "open undo window")
    held = f" holding {size(row.window_bytes)}" if row.open_windows else ""
    details = [
        mark_commands(row.hint[:400]) if row.problem else f"Deletion: {words(row.deletes)}",
        f"Garbage collection: {mark_commands(row.collection[:400])}",
        f"At work: {words(row.busy)}" if row.busy else "",
        f"{many(row.open_requests, 'open request')}, {windows}{held}",
        f"{many(row.locks, 'lock')}: {code('/registry locks')}" if row.locks else "",
        "Images were purged since the last collection: the next one frees their bytes"
        if row.purged
        else "",
    ]
    return [detail for detail in details if detail.strip()]


def request_list(requests: Sequence[Request], *, everything: bool, command: str) -> Message:
    """The answer to `requests`."""
    if not requests:
        text = (
            "There are no requests here."
            if everything
            else f"Nothing is open here. {code('/registry requests --all')} shows what was."
        )
        further = [] if everything else [f"{command} --all"]
        return message(text, [section(text), *step_row(further)])
    lines = [request_line(request) for request in requests]
    count = fitting(lines)
    first = min(count, _WITH_BUTTON)
    title = "Requests" if everything else "Open requests and undo windows"
    rest = len(requests) - count
    more = f"{many(rest, 'older request')} not shown" if rest else ""
    said = [f"{r.name} {_about(r)} {r.state}" for r in requests[:count]]
    return message(
        f"{title}, newest first: {', '.join(said)}" + (f"; {more}" if more else ""),
        [
            section(f"*{title}*, newest first"),
            *(with_details(r, line) for r, line in zip(requests, lines[:first], strict=False)),
            *paragraphs(lines[first:count]),
            *([context(more)] if more else []),
            *share_row(command),
        ],
    )


_WITH_BUTTON = 15


def with_details(request: Request, line: str) -> Block:
    """A line about a request, with the button that shows all of it."""
    return {**section(line), "accessory": button("Details", "details", request.token)}


def _about(request: Request) -> str:
    """What a request does, in a word or two."""
    subject = f" of R{request.subject}" if request.subject else ""
    return f"{words(request.action)}{subject}"


def request_line(request: Request) -> str:
    """A request in a line."""
    names = [
        f"{i.repository}:{i.tag}" if i.tag else f"{i.repository}@{i.digest[:19]}"
        for i in request.items
    ]
    what = ", ".join(code(name, 150) for name in names[:3]) or f"on {words(request.registry)}"
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    open_windows = [w for w in request.windows if w.state is WindowState.OPEN]
    until = (
        f", undo until {when(request.undo_until)}" if open_windows and request.undo_until else ""
    )
    return (
        f"*{request.name}* {_about(request)} {what}{more} by <@{request.requester}>: "
        f"{request.state}{until}"
    )
