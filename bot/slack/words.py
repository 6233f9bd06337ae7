"""A typed line as words. A quote holds several together; nothing in it is ever a flag."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.registry.reference import InvalidReference, Reference, parse_reference

QUOTED_LENGTH = 80
"""So many characters of what somebody typed are quoted back at most."""

_DURATION = re.compile(r"([1-9][0-9]{0,5})([mhd])")
_SECONDS = {"m": 60.0, "h": 3600.0, "d": 86400.0}
_OPENING = re.compile(r"""(--[^\s="']+=)?(["'])""")


class CommandError(Exception):
    """What was typed is not a command: why, what to do, and up to three close words.

    The texts hold at most 80 characters in a row of what was typed, without control characters.
    They are not escaped for mrkdwn: that is the views' part.

    `wrong` is what the suggestions stand for, as it was typed: see `steps.corrected`.
    """

    def __init__(
        self,
        sentence: str,
        hint: str = "",
        suggestions: Sequence[str] = (),
        *,
        wrong: str | None = None,
    ) -> None:
        super().__init__(sentence)
        self.wrong = wrong
        self.sentence = sentence
        self.hint = hint
        self.suggestions = tuple(suggestions)[:3]


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the line, from `start` to `end` in it.

    `text` is without its quotes. `value` is what `--flag=value` has behind the equals sign;
    `quoted` says whether the text, or where there is one the value, was in quotes.
    """

    text: str
    start: int
    end: int
    quoted: bool = False
    value: str | None = None

    @property
    def is_flag(self) -> bool:
        """Whether it is `--something`."""
        quoted = self.quoted and self.value is None
        return not quoted and self.text.startswith("--") and len(self.text) > 2

    @property
    def is_short_flag(self) -> bool:
        """Whether it is `-something`, which no flag is."""
        return not self.quoted and re.match(r"-[A-Za-z]", self.text) is not None


def shown(text: str, limit: int = QUOTED_LENGTH) -> str:
    """What somebody typed, short and harmless enough to be quoted back."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def parse_duration(text: str) -> float:
    """`30m`, `12h` or `7d`, in any case, as seconds.

    Raises
    ------
    CommandError : it is none of these, or nothing at all.
    """
    found = _DURATION.fullmatch(text.lower())
    if not found:
        raise CommandError(f'"{shown(text)}" is not a duration.', "Write 30m, 12h or 7d.")
    return int(found[1]) * _SECONDS[found[2]]


def to_reference(text: str, hint: str) -> Reference:
    """Read a reference.

    Raises
    ------
    CommandError : it is none. Its hint is `hint`, and more where commas were typed.
    """
    try:
        return parse_reference(text)
    except InvalidReference as error:
        if re.search(r"[,;]", text):
            hint = f"Put spaces between names, and no commas. {hint}"
        raise CommandError(shown(str(error), 300), hint) from None


def split(line: str) -> list[Word]:
    """Split at spaces.

    A quote opens at the start of a word or behind `--flag=`, and closes where a space or the end
    follows: so apostrophes within words and inch marks are letters like any other.

    Raises
    ------
    CommandError : a quote is never closed.
    """
    found = []
    position = 0
    while position < len(line):
        if line[position] == " ":
            position += 1
            continue
        word = _word(line, position)
        found.append(word)
        position = word.end
    return found


def _word(line: str, start: int) -> Word:
    opening = _OPENING.match(line, start)
    if opening is None:
        space = line.find(" ", start)
        end = len(line) if space < 0 else space
        return _unquoted(line[start:end], start, end)
    flag, quote = opening[1], opening[2]
    inner = opening.end()
    closing = _closing(line, quote, inner)
    if flag:
        return Word(flag[:-1], start, closing + 1, quoted=True, value=line[inner:closing])
    return Word(line[inner:closing], start, closing + 1, quoted=True)


def _unquoted(text: str, start: int, end: int) -> Word:
    if text.startswith("--"):
        name, equals, value = text.partition("=")
        return Word(name, start, end, value=value if equals else None)
    return Word(text, start, end)


def _closing(line: str, quote: str, start: int) -> int:
    position = line.find(quote, start)
    while position >= 0:
        if position + 1 == len(line) or line[position + 1] == " ":
            return position
        position = line.find(quote, position + 1)
    raise CommandError(
        f"The quote before {shown(line[start:].strip() or 'the end', 40)} is never closed.",
        'Put a quote and a space behind the text too: --reason "like this".',
    )
