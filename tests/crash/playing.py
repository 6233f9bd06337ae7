"""Plays a schedule: people do what it says, and things break as it says."""

import asyncio
import contextlib
import re
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from bot.playground.model import PlaygroundError, SlackError
from bot.store.store import Store
from tests.crash.schedule import MOMENTS, Fault, Press, Story
from tests.crash.world import World
from tests.support.team import ANN, CAT, EVE, FAST, OPS

PATIENCE = 180.0
"""Seconds after the last fault in which everything must have come to its end."""

_AIMED = 3.0  # seconds for which a fault waits for the call at which it happens
_AGAIN = 0.4  # seconds until somebody tries again what Slack could not deliver
_TRIES = 3  # how often somebody types again what was refused
_GONE = "no such button"
_LONG = 90.0  # seconds that somebody waits for an answer, or a button that may never come
_OVER = re.compile(
    r"R\d+ (has failed|has expired|is (outdated|undone|purged|held|cancelled|denied))"
)
# Work that waits for its hour, not for anything to be mended, does not count.
_UNFINISHED = (
    sa.text(
        "SELECT * FROM jobs WHERE state = 'running' OR (state = 'queued' AND run_at < :soon "
        "AND kind NOT IN ('expire', 'remind', 'schedule', 'anchor'))"
    ),
    sa.text("SELECT * FROM outbox WHERE state = 'queued'"),
    sa.text("SELECT * FROM requests WHERE state IN ('approved', 'running')"),
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


class Playing:
    """One schedule on one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._slack = world.slack
        self._claimed: set[str] = set()
        self.played = Played()
        self.unfinished: list[str] = []

    async def run(self) -> None:
        """All of it, until everything is quiet; `unfinished` tells what is left undone."""
        stories = {asyncio.create_task(self._story(s)): s for s in self._world.plan.stories}
        try:
            await asyncio.gather(*(self._fault(fault) for fault in self._world.plan.faults))
            await self._world.heal()
            await asyncio.wait(stories, timeout=PATIENCE)
            for story in stories:
                if story.done():
                    story.result()
            self.unfinished += [str(story) for task, story in stories.items() if not task.done()]
            self.unfinished += await self._until_quiet()
        finally:
            for task in stories:
                task.cancel()
            await asyncio.gather(*stories, return_exceptions=True)
        for gesture in self.played.gestures:
            gesture.answered = self._is_answered(gesture)

    async def _until_quiet(self) -> list[str]:
        """Wait until nothing is left to do; what is, when patience has ended."""
        deadline = time.monotonic() + PATIENCE
        store = await Store.open(self._world.database.url, FAST.lease)
        try:
            calm, busy = 0, [""]
            while calm < 3 and time.monotonic() < deadline:
                async with store.reading() as tx:
                    now = await tx.now()
                    rows = [await tx.conn.execute(q, {"soon": now + 60}) for q in _UNFINISHED]
                    busy = [str(dict(row._mapping)) for found in rows for row in found]
                calm = 0 if busy else calm + 1
                await asyncio.sleep(0.15)
        finally:
            await store.close()
        return busy

    # What breaks

    async def _fault(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at)
        world = self._world
        if fault.how in MOMENTS:
            await self._at_a_moment(fault)
            return
        self.played.happened[f"{fault.kind} {fault.how}".strip()] += 1
        breaking: dict[str, Callable[[], Awaitable[None]]] = {
            "kill": lambda: world.kill(fault.process, fault.seconds),
            "freeze": lambda: world.freeze(fault.process, fault.seconds),
            "database": lambda: world.database.fail(fault.seconds),
            "slack": lambda: world.break_slack(fault.how, fault.seconds),
            "registry": lambda: world.break_registry(fault.how, fault.seconds),
        }
        await breaking[fault.kind]()

    async def _at_a_moment(self, fault: Fault) -> None:
        """Wait for the process to make that call, for a while, and let it die or freeze there."""
        replica = self._world.replicas[fault.process]
        method, path, after = MOMENTS[fault.how]
        killing, now = fault.kind == "kill", asyncio.Event()

        def act() -> None:
            now.set()
            replica.down += killing
            replica.send(signal.SIGKILL if killing else signal.SIGSTOP)

        replica.line.arm(method, path, act, after=after)
        try:
            async with asyncio.timeout(_AIMED):
                await now.wait()
        except TimeoutError:
            replica.line.heal()
            return
        self.played.happened[f"{fault.kind} {fault.how}"] += 1
        await asyncio.sleep(fault.seconds)
        if killing:
            replica.down -= 1
        else:
            replica.send(signal.SIGCONT)

    # What people do

    async def _story(self, story: Story) -> None:
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
                    lambda: self._found(wanted) or self._is_answered(gesture), _LONG
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
        """Press a button until Slack has delivered that, or the button has gone."""
        await asyncio.sleep(press.after)
        while True:
            now = self._now(message)
            if press.label not in now.buttons:
                self.played.happened["button gone"] += 1
                return
            gesture = await self._press(press.user, now, press.label)
            if gesture.acked:
                return
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

    def _now(self, message: Any) -> Any:
        return self._slack.message(message)

    def _is_answered(self, gesture: Gesture) -> bool:
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
