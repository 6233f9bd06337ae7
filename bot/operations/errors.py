"""The one way an operation says no."""


class Refusal(Exception):
    """Something is not done, for a reason that the person can act on.

    `sentence` says why, `hint` what to do next, `suggestions` are close names that exist.
    `names_people` says that both were written by the bot alone and mention people by their ids;
    otherwise they are shown as plain text, mentions included.
    """

    def __init__(
        self,
        sentence: str,
        hint: str = "",
        suggestions: tuple[str, ...] = (),
        *,
        names_people: bool = False,
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint
        self.suggestions = suggestions
        self.names_people = names_people
