"""Where the playground keeps its files: a temporary directory, or one that stays."""

import contextlib
import fcntl
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MARKER = "demo.json"


class Unusable(Exception):
    """A directory that cannot be used; `sentence` says why and what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Place:
    """A directory that belongs to one playground at a time."""

    directory: Path
    stays: bool

    @property
    def is_filled(self) -> bool:
        """Whether the registry in it has got its images once: what people did to them stays."""
        try:
            marker = json.loads((self.directory / _MARKER).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return isinstance(marker, dict) and marker.get("filled") is True

    def note_filled(self) -> None:
        """Remember that the registry has its images."""
        _mark(self.directory, filled=True)


@contextlib.contextmanager
def opened(keep: Path | None) -> Iterator[Place]:
    """A place for one run of the playground.

    Parameters
    ----------
    keep : a directory that is new, empty, or was used here before; it is left as it is in the
        end. None takes a temporary one, which is removed.

    Raises
    ------
    Unusable : the directory holds something else, is in use, cannot be written, or its name
        cannot stand in the address of a store.
    """
    if keep is None:
        _accept(Path(tempfile.gettempdir()))
        directory = Path(tempfile.mkdtemp(prefix="registry-bot-demo-")).resolve()
        try:
            _mark(directory, filled=False)
            yield Place(directory, stays=False)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        return
    directory = _prepared(keep)
    with (directory / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Unusable(
                f"Another playground uses {directory}: stop it first, or name another directory."
            ) from None
        yield Place(directory, stays=True)


def _prepared(keep: Path) -> Path:
    try:
        directory = keep.expanduser().resolve()
        _accept(directory)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (directory / _MARKER).is_file():
            if any(directory.iterdir()):
                raise Unusable(
                    f"{directory} holds something else: name a new directory, or one that "
                    "`registry-bot demo --keep` has made."
                )
            _mark(directory, filled=False)
    except OSError as error:
        raise Unusable(
            f"{keep} cannot be used: {error.strerror or error}. Name a directory that can be "
            "written."
        ) from error
    return directory


def _accept(directory: Path) -> None:
    # Behind a question mark stand the options of the store's address, in no way to be escaped.
    if "?" in str(directory):
        raise Unusable(f"{directory} has a question mark in its name: name another directory.")


def _mark(directory: Path, *, filled: bool) -> None:
    text = json.dumps({"made by": "registry-bot demo", "filled": filled})
    (directory / _MARKER).write_text(text, encoding="utf-8")
