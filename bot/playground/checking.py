"""The tools of Block Kit validation: one list of problems, each with a JSON pointer."""

from collections.abc import Iterable, Mapping
from typing import Any

ID = 255


class Checker:
    """Collects what is wrong with blocks.

    Parameters
    ----------
    surface : "message", "modal" or "home"; some blocks and elements exist only on some.
    """

    def __init__(self, surface: str) -> None:
        self.surface = surface
        self.problems: list[str] = []
        self.markdown = 0
        self.tables = 0
        self.charts = 0

    def add(self, problem: str, at: str) -> None:
        """Note a problem at a pointer such as `/blocks/0/text`."""
        self.problems.append(f"{problem} [json-pointer:{at}]")

    def mapping(self, value: Any, at: str) -> bool:
        """Whether it is an object; a problem otherwise."""
        if isinstance(value, Mapping):
            return True
        self.add("must be an object", at)
        return False

    def keys(
        self, value: Mapping[str, Any], at: str, required: Iterable[str], optional: Iterable[str]
    ) -> None:
        """Every required field is there, and no unknown one."""
        needed = set(required)
        for name in sorted(needed - value.keys()):
            self.add(f"missing required field: {name}", at)
        for name in sorted(value.keys() - needed - set(optional) - {"type"}):
            self.add(f"invalid additional property: {name}", at)

    def string(self, value: Any, at: str, most: int, least: int = 1) -> None:
        """A string of `least` to `most` characters; None is taken as left out."""
        if value is None:
            return
        if not isinstance(value, str):
            self.add("must be a string", at)
        elif len(value) > most:
            self.add(f"must be less than {most + 1} characters", at)
        elif len(value) < least:
            self.add(f"must be more than {least - 1} characters", at)

    def boolean(self, value: Any, at: str) -> None:
        """A boolean or left out."""
        if value is not None and not isinstance(value, bool):
            self.add("must be a boolean", at)

    def one_of(self, value: Any, at: str, words: Iterable[str]) -> None:
        """One of some words, or left out."""
        allowed = sorted(words)
        if value is not None and value not in allowed:
            self.add(f"must be one of {', '.join(allowed)}", at)

    def items(self, value: Any, at: str, most: int, least: int = 1) -> list[tuple[str, Any]]:
        """The items of a list of `least` to `most`, each with its pointer."""
        if not isinstance(value, list):
            self.add("must be an array", at)
            return []
        if len(value) > most:
            self.add(f"no more than {most} items allowed", at)
        if len(value) < least:
            self.add(f"no less than {least} items allowed", at)
        return [(f"{at}/{n}", item) for n, item in enumerate(value)]

    def text(
        self,
        value: Any,
        at: str,
        most: int,
        kinds: tuple[str, ...] = ("plain_text", "mrkdwn"),
    ) -> None:
        """A text object of one of `kinds` with 1 to `most` characters; None is left out."""
        if value is None or not self.mapping(value, at):
            return
        kind = value.get("type")
        if kind not in kinds:
            self.add(f"must be one of {', '.join(kinds)}", f"{at}/type")
            return
        extra = {"plain_text": ("emoji",), "mrkdwn": ("verbatim",)}[kind]
        self.keys(value, at, ("text",), extra)
        self.string(value.get("text"), f"{at}/text", most)
        for name in extra:
            self.boolean(value.get(name), f"{at}/{name}")

    def plain(self, value: Any, at: str, most: int) -> None:
        """A plain_text object."""
        self.text(value, at, most, ("plain_text",))

    def url(self, value: Any, at: str) -> None:
        """An http(s) address of at most 3000 characters, or left out."""
        self.string(value, at, 3000)
        if isinstance(value, str) and not value.startswith(("http://", "https://", "mailto:")):
            self.add("must be a valid URL", at)
