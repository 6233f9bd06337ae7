"""Text to command: a grammar of our own, because a guess beside a deletion is worse than a no.

Nothing is abbreviated, nothing unknown is passed over, and every mistake is answered with what
would have been right.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from bot.registry.reference import InvalidReference, Reference, parse_reference
from bot.slack.typography import clean
from bot.slack.verbs import ON, VERBS, Flag, Takes, Verb, available, usage_hint

__all__ = ["VERBS", "Command", "CommandError", "parse", "parse_duration", "usage_hint"]

MAX_LENGTH = 4000
_MAX_ARGUMENTS = 100
_REQUEST = re.compile(r"[Rr]?0*([1-9][0-9]{0,8})")
_LOOKS_LIKE_REQUEST = re.compile(r"[Rr][0-9]+")
_DURATION = re.compile(r"([1-9][0-9]{0,5})([mhd])")
_SECONDS = {"m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Command:
    """A command that is in order. A switch in `flags` is True, other values are text."""

    verb: str
    arguments: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    request: int | None = None
    flags: Mapping[str, str | bool] = field(default_factory=dict)
    registry: str | None = None


class CommandError(Exception):
    """What was typed is not a command: why, what to type, and close words."""

    def __init__(self, sentence: str, hint: str = "", suggestions: Sequence[str] = ()) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint
        self.suggestions = tuple(suggestions)[:3]


@dataclass(frozen=True, slots=True)
class _Word:
    """A word; one that was quoted is never a flag."""

    text: str
    quoted: bool = False

    @property
    def is_flag(self) -> bool:
        return not self.quoted and self.text.startswith("--") and len(self.text) > 2

    @property
    def is_short_flag(self) -> bool:
        return not self.quoted and re.fullmatch(r"-[A-Za-z].*", self.text) is not None


def parse(text: str) -> Command:
    """Read a command as it came from Slack.

    Raises
    ------
    CommandError : it is not one. Its texts quote at most 80 characters of what was typed.
    """
    if len(text) > MAX_LENGTH:
        raise CommandError(
            f"That is {len(text):,} characters; a command has at most {MAX_LENGTH:,}.",
            "Use a pattern such as team/api:pr-* instead of many names.",
        )
    words = list(_words(clean(text)))
    if not words:
        return Command("help")
    verb = _verb(words[0])
    arguments, flags = _split(verb, words[1:])
    registry = flags.pop("on", None)
    return _build(verb, arguments, flags, str(registry) if registry is not None else None)


def parse_duration(text: str) -> float:
    """`30m`, `12h` or `7d` in seconds.

    Raises
    ------
    CommandError : it is none of these.
    """
    found = _DURATION.fullmatch(text.lower())
    if not found:
        raise CommandError(f"{shown(text)} is no duration.", "Write 30m, 12h or 7d.")
    return int(found[1]) * _SECONDS[found[2]]


def shown(text: str) -> str:
    """What somebody typed, short enough and harmless enough to be quoted."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= 80 else f"{line[:79]}…"


def _words(text: str) -> Iterator[_Word]:
    """Split at spaces; double or single quotes at the start of a word hold words together."""
    position = 0
    while position < len(text):
        if text[position] == " ":
            position += 1
            continue
        start = position
        if text[position] in "\"'":
            end = text.find(text[position], position + 1)
            if end < 0:
                raise CommandError(
                    f"The quote before {shown(text[start + 1 : start + 30])} is never closed.",
                    'Write --reason "like this".',
                )
            yield _Word(text[start + 1 : end], quoted=True)
            position = end + 1
            continue
        while position < len(text) and text[position] != " ":
            if text[position] == '"' and text[start:position].endswith("="):
                end = text.find('"', position + 1)
                position = len(text) if end < 0 else end
            position += 1
        yield _Word(text[start:position])


def _verb(word: _Word) -> Verb:
    name = word.text.lower()
    found = VERBS.get(name)
    names = [verb.name for verb in available()]
    if found is None:
        close = get_close_matches(name[:40], names, 3, 0.5)
        raise CommandError(
            f"There is no verb {shown(word.text)}.", "`/registry help` lists all.", close
        )
    if not found.available:
        raise CommandError(
            f"{found.name} is not here yet: {found.summary}.", "`/registry help` lists what is."
        )
    return found


def _split(verb: Verb, words: Sequence[_Word]) -> tuple[list[str], dict[str, str | bool]]:
    known = {flag.name: flag for flag in (*verb.flags, ON)}
    arguments: list[str] = []
    flags: dict[str, str | bool] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.is_flag:
            name, equals, value = word.text[2:].partition("=")
            flag = _flag(verb, known, name)
            if flag.name in flags:
                raise CommandError(f"--{flag.name} is there twice.", f"Use it once: {verb.usage}")
            flags[flag.name] = _value(verb, flag, value.strip('"') if equals else None, rest)
        elif word.is_short_flag:
            raise CommandError(
                f"{shown(word.text)} is no flag.",
                f"Flags have two dashes: {verb.usage}",
                get_close_matches(f"-{word.text}", [f"--{n}" for n in known], 3, 0.4),
            )
        else:
            arguments.append(word.text)
    return arguments, flags


def _flag(verb: Verb, known: Mapping[str, Flag], name: str) -> Flag:
    found = known.get(name.lower())
    if found is not None:
        return found
    if name.lower() == "emergency":
        raise CommandError("--emergency is not here yet.", "Ask an approver.")
    close = get_close_matches(name.lower()[:40], known, 3, 0.4)
    raise CommandError(
        f"{verb.name} has no flag --{shown(name)}.",
        f"Type {verb.usage}",
        [f"--{flag}" for flag in close],
    )


def _value(verb: Verb, flag: Flag, given: str | None, rest: list[_Word]) -> str | bool:
    if not flag.value:
        if given is not None:
            raise CommandError(f"--{flag.name} takes no value.", f"Type {verb.usage}")
        return True
    if given is None:
        given = _free_text(rest) if flag.name == "reason" else _one_word(rest)
    if not given.strip():
        raise CommandError(f"--{flag.name} needs a value.", f"Type {flag}")
    if flag.choices and given.lower() not in flag.choices:
        raise CommandError(
            f"--{flag.name} cannot be {shown(given)}.",
            f"It is one of {', '.join(flag.choices)}.",
            get_close_matches(given.lower()[:40], flag.choices, 3, 0.4),
        )
    if flag.value == "N" and not re.fullmatch(r"[1-9][0-9]{0,5}", given):
        raise CommandError(f"--{flag.name} {shown(given)} is no number.", f"Type --{flag.name} 20")
    return given.lower() if flag.choices else given.strip()


def _one_word(rest: list[_Word]) -> str:
    return rest.pop(0).text if rest and not rest[0].is_flag else ""


def _free_text(rest: list[_Word]) -> str:
    """A reason: what is quoted, or everything up to the next flag."""
    if rest and rest[0].quoted:
        return rest.pop(0).text
    words = []
    while rest and not rest[0].is_flag:
        words.append(rest.pop(0).text)
    return " ".join(words)


def _build(
    verb: Verb, arguments: list[str], flags: dict[str, str | bool], registry: str | None
) -> Command:
    if len(arguments) > _MAX_ARGUMENTS:
        raise CommandError(
            f"That names {len(arguments)} things; a command takes {_MAX_ARGUMENTS}.",
            "Use a pattern such as team/api:pr-*.",
        )
    build = _BUILDERS[verb.takes]
    return build(verb, arguments, flags, registry)


def _nothing(
    verb: Verb, arguments: list[str], flags: dict[str, str | bool], registry: str | None
) -> Command:
    if arguments:
        raise CommandError(
            f"{verb.name} takes no argument, and {shown(arguments[0])} is one.",
            f"Type {verb.usage}",
            get_close_matches(
                f"--{arguments[0].lower()[:40]}", [f"--{f.name}" for f in verb.flags]
            ),
        )
    return Command(verb.name, flags=flags, registry=registry)


def _optional(
    verb: Verb, arguments: list[str], flags: dict[str, str | bool], registry: str | None
) -> Command:
    if len(arguments) > 1:
        raise _too_many(verb, arguments)
    if verb.takes is Takes.TOPIC and arguments:
        _verb(_Word(arguments[0]))
        arguments = [arguments[0].lower()]
    return Command(verb.name, tuple(arguments), flags=flags, registry=registry)


def _too_many(verb: Verb, arguments: Sequence[str]) -> CommandError:
    return CommandError(
        f"{verb.name} takes one argument; {shown(arguments[1])} is one too many.",
        f"Type {verb.usage}",
    )


def _missing(verb: Verb) -> CommandError:
    example = f", for example {verb.example}" if verb.example else ""
    return CommandError(f"{verb.name} needs {verb.takes}.", f"Type {verb.usage}{example}")


def _references(
    verb: Verb, arguments: list[str], flags: dict[str, str | bool], registry: str | None
) -> Command:
    if not arguments:
        raise _missing(verb)
    single = verb.takes in {Takes.REPOSITORY, Takes.REFERENCE}
    if single and len(arguments) > 1:
        raise _too_many(verb, arguments)
    requests = [a for a in arguments if _LOOKS_LIKE_REQUEST.fullmatch(a)]
    if requests and verb.takes is Takes.REFERENCES_OR_REQUEST:
        if len(arguments) > 1:
            raise CommandError(
                f"{verb.name} takes images or one request, not both.", f"Type {verb.usage}"
            )
        return _request(verb, arguments, flags, registry)
    references = tuple(_reference(verb, argument) for argument in arguments)
    first = references[0]
    if verb.takes is Takes.REPOSITORY and (first.tag or first.digest):
        raise CommandError(
            f"{verb.name} takes a repository, and {shown(arguments[0])} is an image.",
            f"Type /registry {verb.name} {first.repository}, or /registry inspect {first}",
        )
    if verb.takes is Takes.REFERENCE and first.is_glob:
        raise CommandError(
            f"{verb.name} takes one image, and {shown(arguments[0])} is a pattern.",
            f"Type /registry tags {first.repository} --match {first.tag}",
        )
    return Command(verb.name, tuple(arguments), references, None, flags, registry)


def _reference(verb: Verb, text: str) -> Reference:
    try:
        return parse_reference(text)
    except InvalidReference as error:
        raise CommandError(
            f"{shown(text)} names no image: {shown_error(error)}",
            f"Type {verb.example or verb.usage}",
        ) from None


def shown_error(error: Exception) -> str:
    """The words of an error, harmless and short."""
    line = "".join(c if c.isprintable() else " " for c in str(error))
    return line if len(line) <= 200 else f"{line[:199]}…"


def _request(
    verb: Verb, arguments: list[str], flags: dict[str, str | bool], registry: str | None
) -> Command:
    if not arguments:
        raise _missing(verb)
    if len(arguments) > 1:
        raise _too_many(verb, arguments)
    found = _REQUEST.fullmatch(arguments[0])
    if not found:
        raise CommandError(
            f"{shown(arguments[0])} is no request.",
            "A request looks like R42; `/registry requests` lists them.",
        )
    return Command(verb.name, tuple(arguments), (), int(found[1]), flags, registry)


_BUILDERS = {
    Takes.NOTHING: _nothing,
    Takes.TOPIC: _optional,
    Takes.PREFIX: _optional,
    Takes.REPOSITORY: _references,
    Takes.REFERENCE: _references,
    Takes.REFERENCES: _references,
    Takes.REFERENCES_OR_REQUEST: _references,
    Takes.REQUEST: _request,
}
