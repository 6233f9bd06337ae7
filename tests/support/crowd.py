"""Many people who type and click at the same time, as they do when a release goes wrong."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Sequence

from bot.playground import Workspace
from bot.playground.model import Delivery

TYPED = (
    *("help", "whoami", "status", "repos", "tags team/api", "inspect team/api:1", "requests"),
    *("locks", "show R1", "tgas team/api", "tags no/such", "help delete", "requests --mine"),
)
"""What they type: reads, and mistakes."""

Press = Callable[[str], Awaitable[Delivery]]


class Crowd:
    """Full members of a workspace, each at home in one of several channels of its own.

    Parameters
    ----------
    meeting : a channel that all of them are members of as well.
    size : how many; nobody types or clicks more often than the others.
    """

    channels = tuple(f"C0CROWD{number}" for number in range(6))

    def __init__(self, workspace: Workspace, meeting: str, size: int = 90) -> None:
        self._slack = workspace
        self.people = [f"U0CROWD{number:03}" for number in range(size)]
        for person in self.people:
            workspace.add_user(person, person[2:].lower())
        for channel in self.channels:
            workspace.add_channel(channel, channel[2:].lower(), self.people)
        there = workspace.state.channels[meeting].members
        workspace.change_channel(meeting, members=there | set(self.people))
        self.asked = dict.fromkeys(self.people, 0)

    @classmethod
    def settings(cls, registry: str) -> str:
        """The lines that let the bot listen in their channels."""
        return "\n".join(
            f'[[channels]]\nid = "{channel}"\nregistries = ["{registry}"]'
            for channel in cls.channels
        )

    async def storm(
        self, press: Press, *, commands: int = 500, clicks: int = 200, seconds: float = 10.0
    ) -> Sequence[Delivery]:
        """Let them all type and click, evenly spread; how each was received.

        Parameters
        ----------
        press : lets one person press a button.
        """
        gestures = ["type"] * commands + ["press"] * clicks
        random.Random(commands).shuffle(gestures)  # the same order every time
        everybody = itertools.cycle(enumerate(self.people))
        texts = itertools.cycle(TYPED)
        loop = asyncio.get_running_loop()
        began, under_way = loop.time(), []
        for number, gesture in enumerate(gestures):
            await asyncio.sleep(began + number * seconds / len(gestures) - loop.time())
            one, person = next(everybody)
            self.asked[person] += 1
            made = (
                self._slack.command(person, self.channels[one % len(self.channels)], next(texts))
                if gesture == "type"
                else press(person)
            )
            under_way.append(asyncio.ensure_future(made))
        return await asyncio.gather(*under_way)

    def unanswered(self) -> dict[str, int]:
        """How many answers each person still waits for."""
        heard = {person: len(self._slack.ephemerals(person)) for person in self.people}
        return {p: asked - heard[p] for p, asked in self.asked.items() if asked > heard[p]}
