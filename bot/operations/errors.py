"""The one way an operation says no."""


class Refusal(Exception):
    """Something is not done, for a reason that the person can act on.

    `sentence` says why, `hint` what to do next, `suggestions` are close names that exist.
    `names_people` says that both were written by the bot alone and mention people by their ids;
    otherwise they are shown as plain text, mentions included. `wrong` is the part of a command
    that the suggestions stand for, as it was typed: a repository, `repo:tag`, the value of a
    flag; "" where something is missing that a suggestion adds.
    """

    def __init__(
        self,
        sentence: str,
        hint: str = "",
        suggestions: tuple[str, ...] = (),
        *,
        names_people: bool = False,
        wrong: str | None = None,
    ) -> None:
        super().__init__(sentence)
        self.wrong = wrong
        self.sentence = sentence
        self.hint = hint
        self.suggestions = suggestions
        self.names_people = names_people
