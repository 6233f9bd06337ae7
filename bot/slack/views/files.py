"""What is too long for a message, as files."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.operations.browse import Inspection, Repositories, Tags
from bot.operations.doctor import Report
from bot.rules.approval import Request
from bot.rules.health import advice
from bot.rules.plan import DeletionPlan
from bot.rules.policy import Action
from bot.slack.views import doctor
from bot.slack.views.reading import is_cut_off
from bot.slack.views.spreadsheet import Cell, csv_of


@dataclass(frozen=True, slots=True)
class File:
    """A file to send: its name, what it is in words, and its text."""

    name: str
    title: str
    content: str


def of_request(shown: Request, name: str) -> File | None:
    """One of the files that can be made from a request; None where it has no such file."""
    make = _OF_REQUEST.get(name)
    return make(shown) if make else None


_PLAN_HEAD = (
    "repository",
    "tag",
    "digest",
    "goes or stays",
    "media type",
    "platforms",
    "size bytes",
    "unique bytes",
)


def _plan(shown: Request) -> File | None:
    if shown.action not in {Action.DELETE, Action.PURGE}:
        return None
    plan = DeletionPlan.from_json(shown.plan)
    content = csv_of(_PLAN_HEAD, _plan_rows(plan))
    return File(f"{shown.name}-plan.csv", f"The whole plan of {shown.name}", content)


def _plan_rows(plan: DeletionPlan) -> Iterator[tuple[Cell, ...]]:
    for planned in plan.digests:
        about = (
            planned.media_type,
            " ".join(planned.platforms),
            planned.size,
            planned.own,
        )
        for tag in planned.tags or ("",):
            yield planned.repository, tag, planned.digest, "goes", *about
        for tag in planned.kept_tags:
            yield planned.repository, tag, planned.digest, "stays", *about


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
