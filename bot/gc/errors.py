"""What can go wrong around a collection.

GcError
├── GcOutputError       the collection ran, and what it printed does not prove success
├── CommandFailed       a command could not be started, failed, or took too long
│   └── NotKept         the bot's own disk does not take what is to be kept
└── CollectionAborted   somebody asked for the collection to stop, and it was killed
"""


class GcError(Exception):
    """Base of everything this room raises on purpose.

    `sentence` says what happened and `hint` what to do about it; both are fit to be shown.
    """

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint


class GcOutputError(GcError):
    """The output of a collection does not prove that it did its work."""


class CommandFailed(GcError):
    """A command of the operator's could not be started, failed, or took too long."""


class NotKept(CommandFailed):
    """What a collection prints, or is about to delete, cannot be written to the bot's disk."""


class CollectionAborted(GcError):
    """The collection was killed because the abort event was set.

    `gone` is False where a collection may still run, as behind a killed ssh client: wait for it
    with `CommandExecutor.wait_until_gone` before the registry becomes writable.
    """

    def __init__(self, sentence: str, hint: str = "", *, gone: bool = True) -> None:
        super().__init__(sentence, hint)
        self.gone = gone
