"""The ways in which an operation says no, or not yet."""

from typing import Protocol


class Explained(Protocol):
    """An error of any room that says what happened, and what to do about it."""

    sentence: str
    hint: str


def told(error: Explained) -> str:
    """Both as one text."""
    return f"{error.sentence} {error.hint}".strip()


class Refusal(Exception):
    """Something is not done, for a reason that the person can act on.

    `sentence` says why, `hint` what to do next, `suggestions` are close names that exist.
    `names_people` says that both were written by the bot alone and mention people by their ids;
    otherwise they are shown as plain text, mentions included. `wrong` is the part of a command
    that the suggestions stand for, as it was typed: a repository, `repo:tag`, the value of a
    flag; "" where something is missing that a suggestion adds.
    `request_id` and `rule` are for the audit trail: what was refused about which request, and by
    which rule. `disarms` says that the button which was pressed can never do anything again.
    """

    def __init__(
        self,
        sentence: str,
        hint: str = "",
        suggestions: tuple[str, ...] = (),
        *,
        names_people: bool = False,
        wrong: str | None = None,
        request_id: int | None = None,
        rule: str = "",
        disarms: bool = False,
    ) -> None:
        super().__init__(sentence)
        self.disarms = disarms
        self.wrong = wrong
        self.sentence = sentence
        self.hint = hint
        self.suggestions = suggestions
        self.names_people = names_people
        self.request_id = request_id
        self.rule = rule


class Undecided(Exception):
    """Whether an approved request may run cannot be told at the moment; `sentence` says why."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
