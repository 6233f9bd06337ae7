"""What is too long for a message, as files."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.operations.browse import Inspection, Repositories, Tags
from bot.operations.doctor import Report
from bot.operations.emptying import PLANNED
from bot.rules.approval import Request
from bot.rules.health import advice
from bot.rules.plan import DeletionPlan, PlannedDigest
from bot.rules.policy import Action
from bot.slack.views import doctor, emptying
from bot.slack.views.deletion import is_whole
from bot.slack.views.reading import is_cut_off
from bot.slack.views.spreadsheet import Cell, csv_of

_DELETIONS = {Action.DELETE, Action.CLEANUP, Action.PURGE}


@dataclass(frozen=True, slots=True)
class File:
    """A file to send: its name, what it is in words, and its text."""

    name: str
    title: str
    content: str


def of_request(shown: Request, name: str, content: str | None = None) -> File | None:
    """One of the files of a request; None where it has no such file.

    Parameters
    ----------
    content : what is in it, where it cannot be made from the request.
    """
    if content is not None:
        return File(f"{shown.name}-{name}.txt", title_of(shown, name), content)
    make = _OF_REQUEST.get(name)
    return make(shown) if make else None


def title_of(shown: Request, name: str) -> str:
    """What one of the files of a request is, in words."""
    return f"The {'full log' if name == LOG else 'whole plan'} of {shown.name}"


LOG = "log"


PLAN_HEAD = (
    "repository",
    "tag",
    "digest",
    "goes/stays",
    "media type",
    "platforms",
    "size bytes",
    "unique bytes",
    "unique bytes over all repositories",
    "parents",
    "signatures",
    "why",
)


def _plan(shown: Request) -> File | None:
    if shown.action == Action.GC and not emptying.is_whole(shown):
        names = [(name,) for name in shown.plan[PLANNED]]
        title = f"The empty repositories that {shown.name} removes"
        return File(f"{shown.name}-plan.csv", title, csv_of(("empty repository",), names))
    if shown.action not in _DELETIONS or is_whole(shown):
        return None
    content = csv_of(PLAN_HEAD, plan_rows(DeletionPlan.from_json(shown.plan)))
    return File(f"{shown.name}-plan.csv", title_of(shown, "plan"), content)


def plan_rows(plan: DeletionPlan) -> Iterator[tuple[Cell, ...]]:
    """A row for each tag that goes or stays, and for each untagged manifest below.

    The unique bytes of a digest stand in its first row only, so that they can be added up.
    """
    named = {(d.repository, d.digest) for d in plan.digests}
    for planned in plan.digests:
        yield from _digest_rows(planned)
        yield from _child_rows(planned, named)
        yield from _signature_rows(planned)


def _digest_rows(planned: PlannedDigest) -> Iterator[tuple[Cell, ...]]:
    bytes_: tuple[Cell, Cell] = planned.own, planned.everywhere
    why = "; ".join(note.text for note in planned.notes)
    rows = [(tag, "goes", why) for tag in planned.tags or ("",)]
    rows += [(tag, "stays", "not named in the request") for tag in planned.kept_tags]
    for tag, outcome, reason in rows:
        yield (
            planned.repository,
            tag,
            planned.digest,
            outcome,
            planned.media_type,
            " ".join(planned.platforms),
            planned.size,
            *bytes_,
            " ".join(tag for p in planned.parents for tag in p.tags or (p.digest,)),
            " ".join(dict.fromkeys([*(a.tag for a in planned.attached), *planned.signatures])),
            _bare(reason),
        )
        bytes_ = None, None


def _child_rows(
    planned: PlannedDigest, named: Collection[tuple[str, str]]
) -> Iterator[tuple[Cell, ...]]:
    tags = " ".join((*planned.tags, *planned.kept_tags)) or planned.digest
    for child in planned.below:
        if (planned.repository, child.digest) not in named:
            yield (
                planned.repository,
                "",
                child.digest,
                child.outcome,
                child.media_type,
                child.platform,
                child.size,
                None,
                None,
                tags,
                "",
                _bare(f"the child {child.why}"),
            )


def _signature_rows(planned: PlannedDigest) -> Iterator[tuple[Cell, ...]]:
    for one in planned.attached:
        if not one.goes:
            why = "its image goes without it" if one.orphaned else "its image stays"
            rest: tuple[Cell, ...] = ("", "", None, None, None, "", "")
            yield planned.repository, one.tag, one.digest, "stays", *rest, f"the {one.kind}: {why}"


def _bare(text: str) -> str:
    return text.replace("`", "")


_OF_REQUEST: Mapping[str, Callable[[Request], File | None]] = {"plan": _plan}


def of_repositories(result: Repositories) -> File | None:
    """All rows of `repos`, where they are more than a message shows."""
    if not is_cut_off(result):
        return None
    head = ("repository", "tags", "size bytes")
    rows = ((row.name, row.tags, row.size) for row in result.rows)
    return File("repositories.csv", f"Repositories on {result.registry}", csv_of(head, rows))


def of_tags(result: Tags) -> File | None:
    """All rows of `tags`, where they are more than a message shows."""
    if not is_cut_off(result):
        return None
    head = ("tag", "digest", "size bytes", "created", "platforms", "same image as")
    rows = (
        (
            row.tag,
            row.digest,
            row.size,
            _moment(row.created),
            " ".join(row.platforms),
            " ".join(row.sharing),
        )
        for row in result.rows
    )
    name = f"tags-{result.repository.replace('/', '-')}.csv"
    return File(name, f"Tags of {result.repository} on {result.registry}", csv_of(head, rows))


def of_inspection(result: Inspection) -> File | None:
    """All platforms of an image, where they are more than a message shows."""
    if not is_cut_off(result):
        return None
    head = ("platform", "digest", "size bytes", "layers", "created")
    rows = ((p.platform, p.digest, p.size, p.layers, _moment(p.created)) for p in result.platforms)
    return File("platforms.csv", f"Platforms of {result.repository}", csv_of(head, rows))


def of_doctor(seen: Report) -> File | None:
    """Everything that was found, where it is more than a message shows."""
    if not doctor.is_cut_off(seen):
        return None
    head = ("problem", "repository", "tag or digest", "tags", "platforms", "said", "what to do")
    rows = (
        (
            found.fault.value,
            found.repository,
            found.subject,
            " ".join(found.tags),
            " ".join(found.platforms),
            found.detail,
            advice(found, seen.host),
        )
        for found in seen.findings
    )
    return File("doctor.csv", f"What doctor found on {seen.registry}", csv_of(head, rows))


def _moment(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat() if moment else ""
