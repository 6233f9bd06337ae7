"""Text to command: a grammar of our own, because a guess beside a deletion is worse than a no.

Nothing is abbreviated, nothing unknown is passed over, and every mistake is answered with what
would have been right.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.registry.reference import Reference
from bot.slack.flags import FlagReader, Flags
from bot.slack.typography import clean, hyphens
from bot.slack.verbs import ON, SYNONYMS, VERBS, Takes, Verb, available, suggest, usage_hint
from bot.slack.words import CommandError, parse_duration, shown, split, to_reference

__all__ = [
    "MAX_LENGTH",
    "VERBS",
    "Command",
    "CommandError",
    "is_bare",
    "listing_for",
    "parse",
    "parse_duration",
    "shown",
    "suggest",
    "usage",
    "usage_hint",
]

MAX_LENGTH = 3000
"""The longest command, in characters."""

MAX_ARGUMENTS = 100
_REPOSITORIES = (Takes.REPOSITORY, Takes.ANY_REPOSITORY)
_REQUEST = re.compile(r"[Rr]?0*([1-9][0-9]{0,8})")
_LOOKS_LIKE_REQUEST = re.compile(r"[Rr]?[0-9]+")
_MENTION = re.compile(r"<@([UW][A-Z0-9]{2,20})(?:\|[^<>]*)?>")
_MEMBER = re.compile(r"@?([UW][A-Z0-9]{2,20})")
_OTHERS = re.compile(r"@(bot|local:[^\s:<>]{1,64})")
_PREFIX = re.compile(r"[a-z0-9._/-]+")


@dataclass(frozen=True, slots=True)
class Command:
    """A command that is in order.

    Parameters
    ----------
    verb : its name in `VERBS`.
    arguments : what stood behind it, as typed.
    references : the same as references, each once, where the verb takes images or a repository.
    request : the number of a request, where the verb takes one: 42 for `R42`.
    flags : a switch is True, every other flag has its value as text; `--on` is not among them.
    registry : the value of `--on`.
    person : the id of somebody, where the verb takes one.
    """

    verb: str
    arguments: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    request: int | None = None
    flags: Mapping[str, str | bool] = field(default_factory=dict)
    registry: str | None = None
    person: str = ""


def parse(text: str) -> Command:
    """Read a command as it came from Slack, without the leading `/registry`.

    Nothing at all is `help`. A leading `/registry` is passed over: people paste whole lines.

    Raises
    ------
    CommandError : it is not a command. Nothing else is ever raised.
    """
    read = _read(text)
    return _build(*read) if read else Command("help")


def listing_for(text: str) -> str:
    """The command that lists what `text` leaves out: repositories, or the tags of one.

    "" where nothing of the kind is missing. It never raises.
    """
    try:
        read = _read(text)
        if not read or read[0].takes not in _NAMES_IMAGES:
            return ""
        verb, arguments, flags = read
        on = f" --on {flags[ON.name]}" if ON.name in flags else ""
        if not arguments:
            return f"repos{on}"
        named = to_reference(hyphens(arguments[0]), "")
    except CommandError:
        return ""
    bare = len(arguments) == 1 and named.tag is None and named.digest is None
    whole = verb.takes is Takes.REPOSITORY
    return f"tags {named.repository} --sort name{on}" if bare and not whole else ""


_NAMES_IMAGES = {
    Takes.REPOSITORY,
    Takes.REFERENCE,
    Takes.REFERENCES,
    Takes.REFERENCES_OR_REQUEST,
}


def _read(text: str) -> tuple[Verb, list[str], Flags] | None:
    """Verb, arguments and flags; None for an empty line."""
    if len(text) > MAX_LENGTH:
        raise CommandError(
            f"That is {len(text):,} characters; a command has at most {MAX_LENGTH:,}.",
            "Use a pattern such as team/api:pr-* instead of many names.",
        )
    line = clean(text)
    words = split(line)
    if words and words[0].text.lower() == "/registry":
        words = words[1:]
    if not words:
        return None
    verb = _verb(words[0].text)
    arguments, flags = FlagReader(verb, line, words[1:]).read()
    return verb, arguments, flags


def is_bare(text: str) -> bool:
    """Whether nothing was typed behind `/registry`."""
    return len(text) <= MAX_LENGTH and clean(text).lower() in {"", "/registry"}


def usage(name: str) -> str:
    """How a verb is typed, with all its flags.

    Raises
    ------
    KeyError : there is no such verb.
    """
    return VERBS[name].usage


def _verb(name: str) -> Verb:
    found = VERBS.get(name.lower())
    if found is None:
        if name.startswith("-"):
            raise CommandError(
                f"The verb comes first, and {shown(name)} is not one.",
                "Type `/registry VERB …`; `/registry help` lists all verbs.",
            )
        known = SYNONYMS.get(name.lower())
        close = (known,) if known else suggest(name, [verb.name for verb in available()])
        raise CommandError(
            f"There is no verb {shown(name)}.",
            "`/registry help` lists all verbs.",
            close,
            wrong=name,
        )
    if not found.available:
        raise CommandError(
            f"{found.name} ({found.summary}) is not here yet.",
            "`/registry help` lists what is.",
        )
    return found


def _build(verb: Verb, arguments: list[str], flags: Flags) -> Command:
    if len(arguments) > MAX_ARGUMENTS:
        raise CommandError(
            f"That names {len(arguments)} things; a command takes {MAX_ARGUMENTS} at most.",
            "Use a pattern such as team/api:pr-*.",
        )
    whole = verb.takes is Takes.REPOSITORY_OR_ALL and bool(flags.get("all"))
    if whole and arguments:
        raise CommandError(
            f"{verb.name} takes a repository or --all, and not both.", f"Type `{verb.usage}`"
        )
    if not arguments and not verb.takes.is_optional and not whole:
        example = f", for example `{verb.example}`" if verb.example else ""
        raise CommandError(
            f"{verb.name} needs {verb.takes.in_words}.", f"Type `{verb.usage}`{example}"
        )
    if len(arguments) > 1 and verb.takes.is_single:
        raise CommandError(
            f"{verb.name} takes one argument; {shown(arguments[1])} is one too many.",
            f"Type `{verb.usage}`. A text of several words stands in quotes.",
        )
    for flag in verb.flags:
        if flag.required and flag.name not in flags:
            raise CommandError(
                f"{verb.name} needs --{flag.name}.", f"Type for example `{verb.example}`"
            )
    registry = flags.pop(ON.name, None)
    person = _person(arguments[0]) if verb.takes is Takes.AUDITED and arguments else ""
    references: tuple[Reference, ...] = ()
    request = None
    if not person:
        arguments, references, request = _read_arguments(verb, arguments)
    return Command(
        verb.name,
        tuple(arguments),
        references,
        request,
        flags,
        None if registry is None else str(registry),
        person,
    )


def _read_arguments(
    verb: Verb, arguments: list[str]
) -> tuple[list[str], tuple[Reference, ...], int | None]:
    match verb.takes:
        case Takes.NOTHING:
            _no_arguments(verb, arguments)
        case Takes.TOPIC:
            arguments = [_verb(name).name for name in arguments]
        case Takes.PREFIX:
            arguments = [_prefix(name) for name in arguments]
        case Takes.REQUEST:
            return arguments, (), _request(verb, arguments[0])
        case Takes.REFERENCES_OR_REQUEST if any(map(_LOOKS_LIKE_REQUEST.fullmatch, arguments)):
            if len(arguments) > 1:
                raise CommandError(
                    f"{verb.name} takes images, or one request alone.", f"Type `{verb.usage}`"
                )
            return arguments, (), _request(verb, arguments[0])
        case Takes.AUDITED if not arguments or arguments[0].lower() == "verify":
            arguments = [argument.lower() for argument in arguments]
        case Takes.AUDITED if _LOOKS_LIKE_REQUEST.fullmatch(arguments[0]):
            return arguments, (), _request(verb, arguments[0])
        case _:
            found = [_reference(verb, name) for name in arguments]
            return arguments, tuple(dict.fromkeys(found)), None
    return arguments, (), None


def _person(text: str) -> str:
    """The id that stands for somebody; "" if the text is about nobody."""
    found = _MENTION.fullmatch(text) or _MEMBER.fullmatch(text) or _OTHERS.fullmatch(text)
    if found:
        return found[1]
    if text.startswith(("@", "<@")):
        raise CommandError(
            f"Slack does not say who {shown(text)} is.",
            "Pick them from the list that opens behind @, or write their member id, such as "
            "U0123ABCD; @bot is the bot itself.",
        )
    return ""


def _no_arguments(verb: Verb, arguments: Sequence[str]) -> None:
    if arguments:
        names = [f"--{flag.name}" for flag in verb.known_flags]
        raise CommandError(
            f"{verb.name} takes no argument, and {shown(arguments[0])} is one.",
            f"Type `{verb.usage}`",
            suggest(f"--{arguments[0]}", names),
            wrong=arguments[0],
        )


def _prefix(text: str) -> str:
    name = hyphens(text)
    if not _PREFIX.fullmatch(name):
        kept = re.match(_PREFIX, name)
        hint = f": `/registry repos {shown(kept[0])}`" if kept else ", such as team/"
        raise CommandError(
            f"No repository begins with {shown(text)}: their names have lower-case letters, "
            "digits and . _ - / only.",
            f"Type the beginning of the name{hint}",
        )
    return name


def _request(verb: Verb, text: str) -> int:
    found = _REQUEST.fullmatch(text)
    if not found:
        raise CommandError(
            f"{verb.name} takes a request, and {shown(text)} is not one.",
            "A request looks like R42; `/registry requests` lists them.",
        )
    return int(found[1])


def _reference(verb: Verb, text: str) -> Reference:
    if re.fullmatch(r"R[0-9]+", text):
        raise CommandError(
            f"{shown(text)} is a request, and {verb.name} takes {verb.takes.in_words}.",
            f"`/registry show {shown(text)}` tells what it is about.",
        )
    found = to_reference(hyphens(text), f"Type for example `{verb.example}`")
    if verb.takes is Takes.REPOSITORY_OR_ALL and (found.tag or found.digest):
        raise CommandError(
            f"{verb.name} takes a whole repository, and {shown(text)} is an image.",
            f"Type `/registry {verb.name} {shown(found.repository)}`; `[[protected]]` in the bot's "
            "settings keeps single tags.",
        )
    if verb.takes in _REPOSITORIES and (found.tag or found.digest):
        raise CommandError(
            f"{verb.name} takes a repository, and {shown(text)} is an image.",
            f"Type `/registry tags {shown(found.repository)} --match {shown(found.tag or '')}`"
            if found.is_glob
            else f"Type `/registry {verb.name} {shown(found.repository)}` for its tags, or "
            f"`/registry inspect {shown(str(found))}` for this image.",
        )
    if verb.takes is Takes.REFERENCE and found.is_glob:
        raise CommandError(
            f"{verb.name} takes one image, and {shown(text)} is a pattern.",
            f"`/registry tags {shown(found.repository)} --match {shown(found.tag or '')}` lists "
            "what matches it.",
        )
    return found
