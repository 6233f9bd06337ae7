"""Next steps: the commands that an answer speaks of, whole enough to be run by a button. Pure."""

import re
from collections.abc import Iterable, Sequence

from bot.slack.commands import MAX_LENGTH, parse
from bot.slack.typography import clean
from bot.slack.words import CommandError, Word, split

MOST = 3

# What follows "for example" is an example of somebody else's images, and nobody's next step.
_COMMAND = re.compile(r"(?<!for example )`/registry ([^`]+)`")
_PLACEHOLDER = re.compile(
    r"…|\.\.\.|\b(?:REPO|TAG|NAME|REF|REQUEST|VERB|PREFIX|GLOB|DUR|REGISTRY|FIELD|ARGS|N)\b"
)


def named(hint: str, typed: str = "") -> list[str]:
    """The complete commands that a hint names in backticks, without `/registry`.

    Parameters
    ----------
    typed : the command that is answered: where it says `--on`, so do those of the hint.
    """
    on = _registry(typed)
    found = [command.strip() for command in _COMMAND.findall(hint)]
    whole = [command for command in found if is_whole(command)]
    return [f"{c} --on {on}" if on and "--on" not in c.split() else c for c in whole]


def is_whole(command: str) -> bool:
    """Whether it is a command, and nothing in it stands for something else."""
    if not command or _PLACEHOLDER.search(command):
        return False
    try:
        parse(command)
    except CommandError:
        return False
    return True


def corrected(typed: str, wrong: str | None, suggestions: Iterable[str]) -> list[str]:
    """What was typed, with each of the suggestions in place of what was wrong.

    Parameters
    ----------
    wrong : as it was typed; a repository stands for all its images, and in `repo:tag` only the
        tag is wrong. Of "" something is missing: suggestions are added behind. None says
        that nobody knows.
    """
    if wrong is None or len(typed) > MAX_LENGTH:
        return []
    found = (_corrected(typed, wrong, right) for right in suggestions)
    return [line for line in dict.fromkeys(found) if is_whole(line)]


def after(
    hint: str, typed: str = "", wrong: str | None = None, suggestions: Sequence[str] = ()
) -> list[str]:
    """At most three next steps after a refusal, the likeliest first."""
    found = [*corrected(typed, wrong, suggestions), *named(hint, typed)]
    return list(dict.fromkeys(found))[:MOST]


def _corrected(typed: str, wrong: str, right: str) -> str:
    line = clean(typed)
    try:
        words = split(line)
    except CommandError:
        return ""
    if words and words[0].text.lower() == "/registry":
        words = words[1:]
    if not wrong:
        return " ".join([*(line[w.start : w.end] for w in words), right])
    repository, colon, _ = wrong.rpartition(":")
    if colon and ":" not in right:
        right = f"{repository}:{right}"
    raw = [line[w.start : w.end] for w in words]
    fixed = [_fixed(w, r, wrong, right) for w, r in zip(words, raw, strict=True)]
    return " ".join(fixed) if fixed != raw else ""


def _fixed(word: Word, raw: str, wrong: str, right: str) -> str:
    if word.quoted and word.value is None:
        return raw
    if raw == wrong:
        return right
    for sign in (":", "@", "="):  # team/apo:1 · team/apo@sha256:… · --forse=1
        if raw.startswith(f"{wrong}{sign}"):
            return right + raw[len(wrong) :]
    if raw.endswith(f"={wrong}"):
        return raw[: -len(wrong)] + right
    return raw


def _registry(typed: str) -> str:
    try:
        return parse(typed).registry or ""
    except CommandError:
        return ""
