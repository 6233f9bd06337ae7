"""What is wrong with the settings: every problem is collected, then all are told at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason not to start.

    `key` is the setting as people find it (`rules[default].steps`, `SLACK_BOT_TOKEN`, or the
    file itself), `text` goes on after it ("is not a duration"), `fix` says what to do.
    """

    key: str
    text: str
    fix: str

    def __str__(self) -> str:
        return f"{self.key} {self.text}. {self.fix}"


class SettingsError(Exception):
    """The settings cannot be used; `problems` has every reason, in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        head = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"The settings have {head}:\n{lines}")


class Findings:
    """Problems and warnings as they are found; the same one twice counts once."""

    def __init__(self) -> None:
        self._problems: dict[Problem, None] = {}
        self._warnings: dict[str, None] = {}

    def problem(self, key: str, text: str, fix: str) -> None:
        """Note a reason not to start."""
        self._problems.setdefault(Problem(key, text, fix))

    def warn(self, key: str, sentence: str) -> None:
        """Note something that works otherwise than it looks."""
        self._warnings.setdefault(f"{key}: {sentence}")

    def not_yet(self, key: str, effect: str) -> None:
        """Note a setting that is understood, and whose feature this version does not have."""
        self.warn(key, f"this version does not have this feature yet. {effect}")

    @property
    def warnings(self) -> tuple[str, ...]:
        """Every warning, in the order found."""
        return tuple(self._warnings)

    def raise_if_any(self) -> None:
        """End the reading of the settings.

        Raises
        ------
        SettingsError : there is at least one problem.
        """
        if self._problems:
            raise SettingsError(tuple(self._problems))


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """A sentence that leads from a wrong name to a right one."""
    names = list(known)
    close = get_close_matches(wrong.lower(), names, 3, 0.6)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    if names:
        return f"Known here: {', '.join(names)}."
    return "Nothing of this kind is in the settings yet."
