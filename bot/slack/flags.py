"""Flags: which a verb has, what stands behind them, and whether it can be meant."""

import re
from collections.abc import Sequence

from bot.slack.typography import hyphens, spoken
from bot.slack.verbs import ON, Flag, Verb, available, suggest
from bot.slack.words import CommandError, Word, parse_duration, shown, to_reference

Flags = dict[str, str | bool]

_MAX_NUMBER = 100_000


class FlagReader:
    """Takes the words behind a verb apart.

    Parameters
    ----------
    verb : says which flags there are, and what each takes.
    line : the whole line, from which free text is taken as it was typed.
    words : those behind the verb.
    """

    def __init__(self, verb: Verb, line: str, words: Sequence[Word]) -> None:
        self._verb = verb
        self._line = line
        self._rest = list(words)

    def read(self) -> tuple[list[str], Flags]:
        """The arguments, and the flags by name: True for a switch, otherwise the value.

        Raises
        ------
        CommandError : a flag is unknown, there twice, or has a wrong value or none.
        """
        arguments: list[str] = []
        flags: Flags = {}
        while self._rest:
            word = self._rest.pop(0)
            if word.is_flag:
                flag = self._flag(word)
                if flag.name in flags:
                    raise CommandError(
                        f"--{flag.name} is there twice.", f"Use it once: {self._usage}"
                    )
                flags[flag.name] = self._value(flag, word)
            elif word.is_short_flag:
                names = [f"--{flag.name}" for flag in self._verb.known_flags]
                raise CommandError(
                    f"{shown(word.text)} is not a flag: flags have two dashes.",
                    f"Type {self._usage}",
                    suggest(f"-{word.text}", names),
                    wrong=word.text,
                )
            else:
                arguments.append(word.text)
        return arguments, flags

    @property
    def _usage(self) -> str:
        return f"`{self._verb.usage}`"

    def _flag(self, word: Word) -> Flag:
        name = word.text[2:].lower()
        known = {flag.name: flag for flag in self._verb.known_flags}
        if name in known:
            return known[name]
        if name == "help":
            raise CommandError("--help is not a flag.", f"Type `/registry help {self._verb.name}`")
        owners = [v.name for v in available() if name in {flag.name for flag in v.flags}]
        hint = f"That flag belongs to {', '.join(owners)}. " if owners else ""
        raise CommandError(
            f"{self._verb.name} has no flag {shown(word.text)}.",
            f"{hint}Type {self._usage}",
            suggest(f"--{name}", [f"--{known_name}" for known_name in known]),
            wrong=word.text,
        )

    def _value(self, flag: Flag, word: Word) -> str | bool:
        if not flag.value:
            if word.value is not None:
                raise CommandError(f"--{flag.name} takes no value.", f"Type {self._usage}")
            return True
        given = self._free_text(word) if flag.value == '"…"' else self._one_word(word)
        if not given:
            raise CommandError(f"--{flag.name} needs a value.", f"Type `{flag}`")
        return _checked(flag, given)

    def _one_word(self, flag: Word) -> str:
        if flag.value is not None:
            return flag.value.strip()
        if self._rest and not self._rest[0].is_flag:
            return self._rest.pop(0).text.strip()
        return ""

    def _free_text(self, flag: Word) -> str:
        """What is in quotes, or everything up to the next flag as it was typed."""
        if flag.value is not None and flag.quoted:
            return _prose(flag.value)
        if flag.value is None and self._rest and self._rest[0].quoted:
            return _prose(self._rest.pop(0).text)
        start = flag.end if flag.value is None else flag.end - len(flag.value)
        end = flag.end
        while self._rest and not self._rest[0].is_flag:
            end = self._rest.pop(0).end
        return _prose(self._line[start:end])


def _prose(text: str) -> str:
    return " ".join(spoken(text).split())


def _checked(flag: Flag, given: str) -> str:
    """The value of a flag, if it can be one."""
    if flag.choices:
        if given.lower() not in flag.choices:
            raise CommandError(
                f"--{flag.name} cannot be {shown(given)}.",
                f"It is one of {', '.join(flag.choices)}.",
                suggest(given, flag.choices),
                wrong=given,
            )
        return given.lower()
    if flag.value == "N":
        if not re.fullmatch(r"[0-9]{1,6}", given) or not flag.least <= int(given) <= _MAX_NUMBER:
            raise CommandError(
                f"--{flag.name} cannot be {shown(given)}.",
                f"It is a number from {flag.least} to {_MAX_NUMBER:,}, such as --{flag.name} 20.",
            )
        return str(int(given))
    if flag.value == "DUR":
        try:
            parse_duration(given)
        except CommandError as error:
            hint = f"{error.hint} Minutes, hours or days: --{flag.name} 7d."
            raise CommandError(f"--{flag.name} cannot be {shown(given)}.", hint) from None
        return given.lower()
    if flag.value == "GLOB":
        return _pattern(flag, hyphens(given))
    if flag == ON and len(given) > 80:
        raise CommandError(
            f"No registry has a name as long as {shown(given)}.",
            "`/registry status` lists the registries of this channel.",
        )
    return given


def _pattern(flag: Flag, text: str) -> str:
    if re.search(r"[/@:]", text):
        raise CommandError(
            f"--{flag.name} takes a pattern for tags only, and {shown(text)} is more than that.",
            f"Type for example --{flag.name} pr-*",
        )
    to_reference(f"x:{text}", f"Type for example --{flag.name} pr-*")
    return text
