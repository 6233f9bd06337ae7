"""The one way an operation says no."""


class Refusal(Exception):
    """Something is not done, for a reason that the person can act on.

    `sentence` says why, `hint` what to do next, `suggestions` are close names that exist.
    """

    def __init__(self, sentence: str, hint: str = "", suggestions: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint
        self.suggestions = suggestions
