"""The one table of verbs: it feeds the parser, `help`, did-you-mean and the usage hints."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from types import MappingProxyType


class Takes(StrEnum):
    """What stands behind a verb."""

    NOTHING = ""
    TOPIC = "[VERB]"
    PREFIX = "[PREFIX]"
    REPOSITORY = "REPO"
    REPOSITORY_OR_ALL = "REPO | --all"
    ANY_REPOSITORY = "[REPO]"
    REFERENCE = "REF"
    REFERENCES = "REF…"
    REQUEST = "REQUEST"
    REFERENCES_OR_REQUEST = "REF… | REQUEST"
    AUDITED = "[REF | @user | REQUEST | verify]"

    @property
    def is_optional(self) -> bool:
        """Whether the verb is also complete without."""
        return self in {
            Takes.NOTHING,
            Takes.TOPIC,
            Takes.AUDITED,
            Takes.PREFIX,
            Takes.ANY_REPOSITORY,
        }

    @property
    def is_single(self) -> bool:
        """Whether there can be only one of it."""
        several = {Takes.NOTHING, Takes.REFERENCES, Takes.REFERENCES_OR_REQUEST}
        return self not in several

    @property
    def in_words(self) -> str:
        """For a sentence: "show needs a request such as R42"."""
        return _IN_WORDS[self]


_IN_WORDS = {
    Takes.NOTHING: "no argument",
    Takes.TOPIC: "a verb",
    Takes.PREFIX: "the beginning of a name",
    Takes.REPOSITORY: "a repository such as team/api",
    Takes.REPOSITORY_OR_ALL: "a repository such as team/api, or --all",
    Takes.ANY_REPOSITORY: "a repository such as team/api, or nothing for all",
    Takes.REFERENCE: "an image such as team/api:1.4.0",
    Takes.REFERENCES: "one or more images such as team/api:1.4.0",
    Takes.REQUEST: "a request such as R42",
    Takes.AUDITED: "an image, a person or a request",
    Takes.REFERENCES_OR_REQUEST: "images such as team/api:1.4.0, or a request such as R42",
}


class Kind(StrEnum):
    """How much a verb can do."""

    READ = "read"
    CHANGE = "change"
    DESTRUCTIVE = "destructive"
    APPROVE = "approve"


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag; `value` names what follows it ("" for a switch), `choices` the words allowed.

    "N" is a number, `least` or more; "DUR" a duration; "GLOB" a pattern for tags. A verb cannot
    be used without its `required` flags.
    """

    name: str
    value: str = ""
    choices: tuple[str, ...] = ()
    required: bool = False
    least: int = 1

    def __str__(self) -> str:
        if not self.value:
            return f"--{self.name}"
        shown = "|".join(self.choices) or self.value
        return f"--{self.name} {shown}"


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb. `available` is False for those that a later version brings."""

    name: str
    kind: Kind
    summary: str
    takes: Takes = Takes.NOTHING
    flags: tuple[Flag, ...] = ()
    available: bool = True
    example: str = ""

    @property
    def usage(self) -> str:
        """How it is typed."""
        shown = [
            f"{flag}" if flag.required else f"[{flag}]"
            for flag in self.flags
            if f"{flag}" not in self.takes
        ]
        return " ".join(["/registry", self.name, *([self.takes] if self.takes else []), *shown])

    @property
    def known_flags(self) -> tuple[Flag, ...]:
        """Its own flags, and those that every verb understands."""
        return (*self.flags, ON)


_REASON = Flag("reason", '"…"')
_WITH_SIGNATURES = Flag("with-signatures")
_EMERGENCY = Flag("emergency")
_NEEDED_REASON = Flag("reason", '"…"', required=True)


def _later(name: str, kind: Kind, summary: str) -> Verb:
    return Verb(name, kind, summary, available=False)


_ALL = (
    Verb(
        "help", Kind.READ, "what you can do here, and what needs whom", Takes.TOPIC,
        example="/registry help delete",
    ),
    Verb("whoami", Kind.READ, "your groups, and what you may ask for and approve"),
    Verb("status", Kind.READ, "how the registries are, and what is going on"),
    Verb(
        "repos", Kind.READ, "list repositories", Takes.PREFIX,
        (Flag("sort", "FIELD", ("name", "size")), Flag("all")), example="/registry repos team/",
    ),
    Verb(
        "tags", Kind.READ, "list the tags of a repository, newest first", Takes.REPOSITORY,
        (Flag("match", "GLOB"), Flag("sort", "FIELD", ("created", "name")), Flag("limit", "N")),
        example="/registry tags team/api --match 1.*",
    ),
    Verb(
        "inspect", Kind.READ, "everything about one image", Takes.REFERENCE,
        example="/registry inspect team/api:1.4.0",
    ),
    Verb(
        "doctor", Kind.READ, "find what is broken, and say what mends it", Takes.ANY_REPOSITORY,
        example="/registry doctor team/api",
    ),
    Verb(
        "delete", Kind.CHANGE, "take tags away; other tags on the same image stay, undo works",
        Takes.REFERENCES, (_REASON, _WITH_SIGNATURES, _EMERGENCY),
        example="/registry delete team/api:1.4.0 team/api:pr-*",
    ),
    Verb(
        "cleanup", Kind.CHANGE,
        "look which old tags could go, by flags or by the retention rules; then ask for it",
        Takes.REPOSITORY,
        (Flag("keep", "N", least=0), Flag("older-than", "DUR"), Flag("match", "GLOB"), _REASON),
        example="/registry cleanup team/api --keep 10 --older-than 30d",
    ),
    Verb(
        "undo", Kind.CHANGE, "put back what a request deleted", Takes.REQUEST,
        example="/registry undo R42",
    ),
    Verb(
        "purge", Kind.DESTRUCTIVE,
        "delete images with every tag on them at once, or end a request's undo window",
        Takes.REFERENCES_OR_REQUEST, (_REASON, _WITH_SIGNATURES, _EMERGENCY),
        example='/registry purge team/api:1.4.0 --reason "leaked key"',
    ),
    Verb(
        "gc", Kind.DESTRUCTIVE,
        "collect garbage: free the bytes of what was deleted; with --delete-untagged also of "
        "manifests without a tag, once it is proven that no tag needs them",
        Takes.NOTHING, (Flag("dry-run"), Flag("delete-untagged"), _REASON, _EMERGENCY),
        example="/registry gc --dry-run",
    ),
    Verb(
        "requests", Kind.READ, "open requests and undo windows", Takes.NOTHING,
        (Flag("mine"), Flag("all")),
    ),
    Verb("show", Kind.READ, "one request with its plan", Takes.REQUEST,
         example="/registry show R42"),
    Verb("cancel", Kind.CHANGE, "take your own request back", Takes.REQUEST,
         example="/registry cancel R42"),
    Verb("approve", Kind.APPROVE, "approve, for when buttons fail", Takes.REQUEST,
         example="/registry approve R42"),
    Verb(
        "deny", Kind.APPROVE, "deny, for when buttons fail", Takes.REQUEST, (_NEEDED_REASON,),
        example='/registry deny R42 --reason "still in use"',
    ),
    _later("usage", Kind.READ, "bytes of a repository"),
    Verb(
        "lock", Kind.CHANGE, "stop every deletion in a repository, or in all, whoever agrees",
        Takes.REPOSITORY_OR_ALL, (Flag("all"), _NEEDED_REASON, Flag("for", "DUR")),
        example='/registry lock team/api --reason "moving the storage" --for 2h',
    ),
    Verb(
        "unlock", Kind.CHANGE, "end a lock", Takes.REPOSITORY_OR_ALL, (Flag("all"), _REASON),
        example="/registry unlock team/api",
    ),
    Verb("locks", Kind.READ, "what is locked: by whom, why, and until when"),
    _later("incident", Kind.CHANGE, "free a full disk, guided"),
    Verb(
        "audit", Kind.READ, "who did what: about an image, by somebody, of a request; or verify it",
        Takes.AUDITED, (Flag("since", "DUR"), Flag("export", "FORM", ("jsonl", "csv"))),
        example="/registry audit team/api:1.4.0 --since 7d",
    ),
)  # fmt: skip

VERBS: Mapping[str, Verb] = MappingProxyType({verb.name: verb for verb in _ALL})
"""Every verb by its name."""

ON = Flag("on", "REGISTRY")
"""Understood by every verb."""


def available() -> tuple[Verb, ...]:
    """The verbs that work, in the order of `help`."""
    return tuple(verb for verb in VERBS.values() if verb.available)


_HINTED = ("tags", "inspect", "delete", "gc", "help")


def usage_hint() -> str:
    """What Slack shows beside the command while somebody types."""
    hinted = (VERBS[name] for name in _HINTED)
    return " | ".join(" ".join(filter(None, (verb.name, verb.takes))) for verb in hinted)


SYNONYMS: Mapping[str, str] = MappingProxyType(
    {
        "ls": "repos",
        "list": "repos",
        "catalog": "repos",
        "images": "tags",
        "info": "inspect",
        "manifest": "inspect",
        "fsck": "doctor",
        "check": "doctor",
        "rm": "delete",
        "remove": "delete",
        "untag": "delete",
        "prune": "cleanup",
        "expire": "cleanup",
        "clean": "cleanup",
        "restore": "undo",
        "garbage-collect": "gc",
        "collect": "gc",
        "confirm": "approve",
        "accept": "approve",
        "reject": "deny",
        "abort": "cancel",
    }
)
"""Words that people try, and the verb to suggest to them. They are never run as that verb."""


def suggest(word: str, among: Iterable[str]) -> tuple[str, ...]:
    """Up to three close words, the closest first; upper and lower case do not matter."""
    # Comparing takes the square of the length, and no verb or flag is this long.
    return tuple(get_close_matches(word.lower()[:40], list(among), 3, 0.5))
