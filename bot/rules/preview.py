"""A preview: what a cleanup would take and leave, before anybody is asked for anything."""

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from bot.rules.retention import Keep

TYPED = "command"
"""The origin of a preview that somebody asked for."""


class PreviewState(StrEnum):
    """Where a preview stands. Only a ready one can become a request."""

    LOOKING = "looking"
    READY = "ready"
    EMPTY = "empty"
    FAILED = "failed"
    REQUESTED = "requested"
    DISCARDED = "discarded"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Spec:
    """What is looked for.

    `match` limits the tags that are looked at ("" for all of them); `keep` are the keep entries;
    `rules` names the retention rules that these come from, and is empty where they were typed.
    """

    keep: tuple[Keep, ...]
    match: str = ""
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One tag of a preview; `created` is epoch seconds."""

    tag: str
    digest: str
    created: float
    why: str


@dataclass(frozen=True, slots=True)
class Stays:
    """So many tags that stay for one reason, and a few of them by name."""

    why: str
    count: int
    examples: tuple[str, ...]


_NONE = Stays("", 0, ())


@dataclass(frozen=True, slots=True)
class Result:
    """What a preview found.

    `goes` is what one request would take, the oldest first, and `along` the signature tags that
    follow; `above` counts what would go as well, were there no ceiling. `unmatched` were not
    looked at; `ancient` and `undated` stay because nobody knows their age. `size` is in bytes, an
    estimate within the repository. `note` says why it failed, or why a schedule only shows it.
    """

    tags: int = 0
    goes: tuple[Row, ...] = ()
    along: tuple[str, ...] = ()
    above: int = 0
    stays: tuple[Stays, ...] = ()
    unmatched: int = 0
    ancient: Stays = _NONE
    undated: Stays = _NONE
    signatures: int = 0
    size: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class PreviewDraft:
    """What a preview begins with. `run` names the occurrence of a schedule, if it is one's."""

    registry: str
    repository: str
    actor: str
    team: str
    channel: str
    reason: str
    spec: Spec
    origin: str = TYPED
    run: str | None = None
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))


@dataclass(frozen=True, slots=True)
class Preview:
    """A preview as the store knows it.

    `progress` holds `tags`, `done` and `of` while it is made, and afterwards, in `by`, who asked
    for it or discarded it.
    """

    id: int
    token: str
    registry: str
    repository: str
    actor: str
    team: str
    channel: str
    message_ts: str
    reason: str
    origin: str
    run: str | None
    state: PreviewState
    spec: Spec
    progress: Mapping[str, Any]
    result: Result
    request_id: int | None
    created_at: float

    @property
    def name(self) -> str:
        """How it is called in keys and logs; people never type it."""
        return f"P{self.id}"


def as_json(value: Spec | Result) -> dict[str, Any]:
    """As plain JSON values."""
    return asdict(value)


def spec_from_json(value: Mapping[str, Any]) -> Spec:
    """Read a stored one."""
    return _SPEC.validate_python(value)


def result_from_json(value: Mapping[str, Any]) -> Result:
    """Read a stored one; an empty one where nothing has been found yet."""
    return _RESULT.validate_python(value)


_SPEC = TypeAdapter(Spec)
_RESULT = TypeAdapter(Result)
