"""What people do in a schedule: they ask, decide, read the answers, and try again."""

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from bot.playground.model import PlaygroundError, SlackError
from tests.crash.schedule import Press, Story
from tests.crash.world import World
from tests.support.team import ANN, CAT, EVE, OPS

_AGAIN = 0.8  # seconds until somebody tries again what Slack could not deliver
_TRIES = 6  # how often somebody types or presses again what came to nothing
_GONE = "no such button"
_LONG = 90.0  # seconds that somebody waits for an answer, or a button that may never come
_OVER = re.compile(
    r"R\d+ (has failed|has expired|is (outdated|undone|purged|held|cancelled|denied))"
)


@dataclass(slots=True)
class Gesture:
    """Something that a person did: typed a command, or pressed a button of a message.

    Parameters
    ----------
    shown : all text of the message as it stood when the button was pressed.
    number : the request that the message speaks of.
    said : whether the acknowledgement itself carried words.
    answered : whether they were told something in answer to exactly this, once all is quiet.
    """

    user: str
    what: str
    shown: str = ""
    number: int = 0
    hook: str = ""
    acked: bool = False
    said: bool = False
    error: str = ""
    answered: bool = False


@dataclass(slots=True)
class Played:
    """What people did, and how often what happened."""

    gestures: list[Gesture] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)


class _InVainError(Exception):
    """Somebody was not answered, and asks no more."""


class People:
    """Everybody of one schedule.

    `unfinished` names those who were never answered.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._slack = world.slack
        self._claimed: set[str] = set()
        self.played = Played()
        self.unfinished: list[str] = []

    async def plays(self, story: Story) -> None:
        await asyncio.sleep(story.at)
        with contextlib.suppress(_InVainError):
            await self._tells(story)

    async def _tells(self, story: Story) -> None:
        if not story.votes:
            await self._looks(story)
            return
        message = await self._asks(
            lambda: self._types(story.who, story.text),
            lambda text: re.search(rf"\b{story.reason}\b", text),
        )
        if message is None:
            return
        for press in story.votes:
            await self._presses(press, message)
        if story.then == "undo":
            await self._undoes(story, message)
        elif story.then == "abort" and await self._comes(message, "Abort"):
            await self._presses(Press(CAT, "Abort", 0.1), message)
        elif story.text.startswith("gc"):
            await self._comes(message, "Abort")
            await self._goes(message, "Abort")

    async def _looks(self, story: Story) -> None:
        while not (await self._types(story.who, story.text)).acked:
            await asyncio.sleep(_AGAIN)

    async def _undoes(self, story: Story, message: Any) -> None:
        number = _number(message)
        helper = EVE if story.who == ANN else ANN
        if not await self._comes(message, "Undo"):
            return

        async def asks() -> Gesture:
            return await self._press(helper, self._now(message), "Undo")

        back = await self._asks(
            asks, lambda text: f"put back what was deleted by R{number}" in text
        )
        if back is not None:
            await self._presses(Press(helper, "Confirm", 0.1), back)

    async def _asks(
        self, how: Callable[[], Awaitable[Gesture]], wanted: Callable[[str], Any]
    ) -> Any:
        """Ask until the message of a request is there; None where the answer is no."""
        refused = 0
        while True:
            gesture = await how()
            message = await self._hears(gesture, wanted)
            if message is not None:
                self._claimed.add(message.ts)
                return message
            if gesture.error == _GONE:
                return None
            if gesture.acked:
                refused += 1
                self.played.happened["refused"] += 1
                if refused >= _TRIES:
                    return None
            await asyncio.sleep(_AGAIN)

    async def _hears(self, gesture: Gesture, wanted: Callable[[str], Any]) -> Any:
        """Wait for the answer: the message of a request, or words for this person alone."""
        if gesture.acked:
            try:
                await self._slack.wait_for(
                    lambda: self._found(wanted) or self.is_answered(gesture), _LONG
                )
            except TimeoutError:
                self.unfinished.append(f"{gesture.user} waits in vain: {gesture.what}")
                raise _InVainError from None
        return self._found(wanted)

    def _found(self, wanted: Callable[[str], Any]) -> Any:
        for message in self._slack.messages(OPS):
            fresh = message.ts not in self._claimed and message.user == self._slack.bot_user_id
            if fresh and re.search(r"\bR\d+ is pending", message.text) and wanted(message.all_text):
                return message
        return None

    async def _types(self, user: str, text: str) -> Gesture:
        gesture = Gesture(user, text)
        return await self._do(gesture, lambda: self._slack.command(user, OPS, text))

    async def _press(self, user: str, message: Any, label: str) -> Gesture:
        gesture = Gesture(user, label, message.all_text, _number(message))
        try:
            return await self._do(gesture, lambda: self._slack.click(user, message, label))
        except PlaygroundError:
            gesture.error = _GONE
            return gesture

    async def _do(self, gesture: Gesture, act: Callable[[], Awaitable[Any]]) -> Gesture:
        # Nobody else gets one between here and the first wait inside.
        before = len(self._world.hooks)
        delivery = await act()
        gesture.hook = self._world.hooks[before]
        self.played.gestures.append(gesture)
        gesture.acked, gesture.error = delivery.acked, delivery.error
        gesture.said = bool(delivery.ack_body)
        self.played.happened["acked" if delivery.acked else f"not acked: {delivery.error}"] += 1
        return gesture

    async def _presses(self, press: Press, message: Any) -> None:
        """Press a button until it is gone, or until there is an answer other than to try again."""
        await asyncio.sleep(press.after)
        tries = 0
        while tries < _TRIES:
            now = self._now(message)
            if press.label not in now.buttons:
                self.played.happened["button gone"] += 1
                return
            before = len(self._slack.ephemerals(press.user))
            gesture = await self._press(press.user, now, press.label)
            await self._hears(gesture, lambda _: False)
            heard = " ".join(m.text for m in self._slack.ephemerals(press.user)[before:])
            if gesture.acked and "try again" not in heard.lower():
                return
            tries += gesture.acked
            await asyncio.sleep(_AGAIN)

    async def _comes(self, message: Any, label: str) -> bool:
        """Whether a button appears, before the request has ended without it."""

        def there() -> bool:
            now = self._now(message)
            return label in now.buttons or bool(_OVER.search(now.text))

        try:
            await self._slack.wait_for(there, _LONG)
        except TimeoutError:
            self.played.happened["button never came"] += 1
        return label in self._now(message).buttons

    async def _goes(self, message: Any, label: str) -> None:
        """Wait until a button is gone."""
        with contextlib.suppress(TimeoutError):
            await self._slack.wait_for(lambda: label not in self._now(message).buttons, _LONG)

    def _now(self, message: Any) -> Any:
        return self._slack.message(message)

    def is_answered(self, gesture: Gesture) -> bool:
        """Whether the person was told something in answer to exactly this."""
        if gesture.said:
            return True
        try:
            return self._slack.hooks.get(gesture.hook.rpartition("/")[2]).used > 0
        except SlackError:
            return True  # used up


def _number(message: Any) -> int:
    found = re.search(r"\bR(\d+) (is|has) ", message.text)
    assert found, message.text
    return int(found[1])
