"""The form behind a bare `/registry`: which fields a verb has, and the command that they make.

Pure. Everything comes from the table of verbs, so that a verb that is added there can be filled
in here. What was chosen before is kept in the view's private_metadata.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.slack.commands import MAX_LENGTH, parse
from bot.slack.typography import clean
from bot.slack.verbs import VERBS, Flag, Kind, Takes, Verb
from bot.slack.words import CommandError

CALLBACK = "form"
VERB, REGISTRY, REPOSITORY, TAGS = "form_verb", "form_registry", "form_repository", "form_tags"
FLAG = "form_flag"
REASON, SWITCHES = "reason", "switches"
NOTHING = "!"
"""The value of an option that only says something: no name in a registry is like it."""

PLANNED = frozenset({"delete", "purge"})
"""Verbs whose plan is shown before anything is asked for."""

_LOOK = ("tags", "inspect", "repos", "usage", "doctor", "status", "requests", "locks")
_CHANGE = ("delete", "cleanup", "purge", "gc", "lock", "unlock")
_LEFT_OUT = frozenset({"sort", "limit", "top", "emergency", "reason"})
_NO_IMAGES = frozenset({Takes.NOTHING, Takes.TOPIC, Takes.PREFIX, Takes.REQUEST})
_OPTION = 150
_ROOM = 2000  # characters of a command: it must fit into private_metadata with what else is there


@dataclass(frozen=True, slots=True)
class Filled:
    """What the form knows: where it was opened, and what was chosen so far.

    `registries` are those of the channel; `registry` is one of them.
    """

    channel: str
    registries: tuple[str, ...]
    verb: str = "tags"
    registry: str = ""
    repository: str = ""

    @property
    def is_asked_which(self) -> bool:
        """Whether there is more than one registry to choose from."""
        return len(self.registries) > 1

    @property
    def metadata(self) -> dict[str, str]:
        """What the view remembers."""
        return {
            "channel": self.channel,
            "verb": self.verb,
            "registry": self.registry,
            "repository": self.repository,
            "on": self.registry if self.is_asked_which else "",
        }


def groups() -> list[tuple[str, list[Verb]]]:
    """The verbs that the form offers, by headline; those that take a request have buttons."""
    return [
        (title, [VERBS[n] for n in names if n in VERBS and VERBS[n].available])
        for title, names in (("Look", _LOOK), ("Change", _CHANGE))
    ]


def offered(name: str) -> Verb:
    """The verb with this name, or the first one where the form does not offer it."""
    known = {verb.name: verb for _, verbs in groups() for verb in verbs}
    return known.get(name, VERBS["tags"])


def takes_repository(verb: Verb) -> bool:
    """Whether a repository is asked for."""
    return verb.takes not in _NO_IMAGES


def needs_repository(verb: Verb) -> bool:
    """Whether it cannot be left out."""
    return takes_repository(verb) and not verb.takes.is_optional and "--" not in verb.takes


def takes_tags(verb: Verb) -> int:
    """How many tags can be chosen: none, one, or several."""
    if verb.takes is Takes.REFERENCE:
        return 1
    return 20 if verb.takes in {Takes.REFERENCES, Takes.REFERENCES_OR_REQUEST} else 0


def flags(verb: Verb) -> list[Flag]:
    """The flags with a value that have a field of their own."""
    return [f for f in verb.flags if f.value and f.name not in _LEFT_OUT]


def switches(verb: Verb) -> list[Flag]:
    """The flags that are on or off."""
    return [f for f in verb.flags if not f.value and f.name not in _LEFT_OUT]


def reason(verb: Verb) -> Flag | None:
    """The flag for a reason, where the verb has one."""
    return next((flag for flag in verb.flags if flag.name == REASON), None)


def option_value(name: str) -> str:
    """A repository as the value of an option; a name too long for one is hashed."""
    if len(name) <= _OPTION:
        return name
    return f"#{hashlib.sha256(name.encode()).hexdigest()[:40]}"


def block_for(action: str, *about: str) -> str:
    """The block_id of a field that starts anew whenever what it is about changes."""
    digest = hashlib.sha256(" ".join(about).encode()).hexdigest()
    return f"{action}:{digest[:12]}"


def chosen(values: Mapping[str, Any], action: str) -> list[str]:
    """The values that are chosen in the menu with this action, wherever it stands."""
    for block in values.values():
        held = block.get(action)
        if held:
            one = held.get("selected_option")
            options: Sequence[Mapping[str, Any]] = [one] if one else held.get("selected_options")
            return [str(option["value"]) for option in options or ()]
    return []


def typed(values: Mapping[str, Any], block: str) -> str:
    """What is typed into the field of a block, on one line."""
    held: Mapping[str, Any] = next(iter((values.get(block) or {}).values()), {})
    return " ".join(str(held.get("value") or "").split())


def command(values: Mapping[str, Any], kept: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The command that a form makes, and by block what is wrong with it.

    Parameters
    ----------
    values : what stands in the form.
    kept : what the view remembers: see :attr:`Filled.metadata`.
    """
    verb = offered(next(iter(chosen(values, VERB)), kept.get("verb", "")))
    words, problems = _images(verb, values, kept)
    for flag in flags(verb):
        given = chosen(values, f"{FLAG}_{flag.name}")
        value = given[0] if given else typed(values, flag_block(flag))
        if " " in value:
            problems[flag_block(flag)] = f"--{flag.name} takes one word."
        elif value:
            words.append(f"--{flag.name}={value}")
    words += [f"--{name}" for name in chosen(values, f"{FLAG}_{SWITCHES}")]
    if kept.get("on"):
        words.append(f"--on {kept['on']}")
    why = _quotable(typed(values, REASON))
    if why and reason(verb):
        words.append(f'--reason "{why}"')
    text = " ".join([verb.name, *words])
    return text, problems or _problem(text, values)


def flag_block(flag: Flag) -> str:
    """The block of a flag's field."""
    return f"flag:{flag.name}"


def _images(
    verb: Verb, values: Mapping[str, Any], kept: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """The images that are chosen, as words of a command."""
    if not takes_repository(verb):
        return [], {}
    at = next((block for block in values if block.startswith(REPOSITORY)), "")
    repository = _repository(values, kept)
    if not repository:
        why = "Choose a repository from the list: type a part of its name."
        is_missed = needs_repository(verb) or chosen(values, REPOSITORY)
        return [], {at: why} if at and is_missed else {}
    most = takes_tags(verb)
    if not most:
        return [repository], {}
    tags = [tag for tag in chosen(values, TAGS) if tag != NOTHING]
    if not tags:
        place = next((block for block in values if block.startswith(TAGS)), at)
        return [], {place: "Choose a tag from the list: type a part of its name."}
    return [f"{repository}:{tag}" for tag in tags], {}


def _repository(values: Mapping[str, Any], kept: Mapping[str, str]) -> str:
    value = next(iter(chosen(values, REPOSITORY)), "")
    if value.startswith("#"):
        known = kept.get("repository", "")
        return known if option_value(known) == value else ""
    return "" if value == NOTHING else value


def _quotable(text: str) -> str:
    """A reason that can stand in double quotes, whatever quotes it has itself."""
    return clean(text).replace('"', "'")


def _problem(text: str, values: Mapping[str, Any]) -> dict[str, str]:
    """Why this is no command, below the field that it is about."""
    if len(text) > min(_ROOM, MAX_LENGTH):
        at = next((b for b in values if b.startswith(TAGS)), REASON)
        return {at: "That is too much for one command: choose fewer, or a pattern such as pr-*."}
    try:
        parse(text)
    except CommandError as error:
        named = re.search(r"--([a-z-]+)", error.sentence)
        at = f"flag:{named[1]}" if named else ""
        if named and named[1] == REASON:
            at = REASON
        first = next(iter(values), VERB)
        hint = error.hint.replace("`", "")
        return {at if at in values else first: f"{error.sentence} {hint}".strip()[:500]}
    return {}


def is_read(text: str) -> bool:
    """Whether a command that is in order only looks."""
    return VERBS[parse(text).verb].kind is Kind.READ
