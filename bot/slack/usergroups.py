"""Who is in Slack's user groups: asked for, believed for a minute, and unknown otherwise.

Whoever may edit a user group in Slack can give themselves what the policy gives to the group.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.delivery import code_of, retry_after

log = structlog.get_logger()

LIFE = 60.0
"""Seconds that an answer of Slack's is believed."""

_PATIENCE = 5.0  # seconds that a command waits for the answer; Slack gives one in less than one
_AGAIN = 12  # after a failure the next question waits for this part of a life
# These say that there is no group to speak of: what was known before is no longer believed.
_FINAL = {
    "plan_upgrade_required": "user groups need a paid plan of Slack",
    "missing_scope": "the app lacks the scope usergroups:read",
    "no_such_subteam": "there is no such user group",
    "subteam_not_found": "there is no such user group",
    "not_allowed_token_type": "the bot's token may not ask",
}
_FAILURES = (
    *(SlackApiError, aiohttp.ClientError, OSError, TimeoutError),
    *(KeyError, TypeError, ValueError),  # it answered something else
)
_PASSING = {
    "ratelimited": "it was asked too often",
    "rate_limited": "it was asked too often",
}


class UserGroups:
    """The people of some user groups, and why Slack does not tell where it does not.

    Parameters
    ----------
    client : with the bot's token and the scope `usergroups:read`.
    groups : the ids of the groups, such as `S0ONCALL`.
    life : seconds that an answer is believed.
    clock : seconds that only ever grow.
    """

    def __init__(
        self,
        client: AsyncWebClient,
        groups: Iterable[str],
        life: float = LIFE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._client = client
        self._groups = tuple(groups)
        self._life = life
        self._not_before: dict[str, float] = {}
        self._asking = asyncio.Lock()
        self.members = Members(life, clock)
        self.silence: dict[str, str] = {}

    async def refresh(self) -> None:
        """Ask about every group whose answer grows old. Never fails.

        An answer is asked for again in the second half of its life, so that what is decided
        right after this does not meet one that dies in between.
        """
        async with self._asking:
            now = self._clock()
            due = [
                group
                for group in self._groups
                if self.members.age(group) > self._life / 2
                and self._not_before.get(group, 0.0) <= now
            ]
            await asyncio.gather(*(self._ask(group) for group in due))

    async def _ask(self, group: str) -> None:
        asked = self._clock()
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await self._client.usergroups_users_list(usergroup=group)
            people = frozenset(str(user) for user in answer["users"])
        except _FAILURES as error:
            self._failed(group, error)
        else:
            # As old as the question: whoever left while Slack was answering is still in it.
            self.members.tell(group, people, asked)
            self.silence.pop(group, None)
            self._not_before.pop(group, None)

    def _failed(self, group: str, error: Exception) -> None:
        code, wait = _read(error)
        log.warning("Slack does not tell who is in a user group", group=group, error=code)
        if code in _FINAL:
            self.members.forget(group)
        self.silence[group] = _FINAL.get(code) or _PASSING.get(code) or f"it answered {code}"
        self._not_before[group] = self._clock() + max(wait, self._life / _AGAIN)


class Members(Mapping[str, frozenset[str]]):
    """The people of each group by its id. A group is missing once its answer is too old."""

    def __init__(self, life: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._life = life
        self._told: dict[str, tuple[float, frozenset[str]]] = {}

    def tell(self, group: str, people: frozenset[str], at: float) -> None:
        """Believe this about a group, from `at` (of the clock) on."""
        self._told[group] = (at, people)

    def forget(self, group: str) -> None:
        """Believe nothing about a group any more."""
        self._told.pop(group, None)

    def age(self, group: str) -> float:
        """Seconds since Slack was asked about a group; infinite where it never answered."""
        return self._clock() - self._told[group][0] if group in self._told else float("inf")

    def __getitem__(self, group: str) -> frozenset[str]:
        if self.age(group) > self._life:
            raise KeyError(group)
        return self._told[group][1]

    def __iter__(self) -> Iterator[str]:
        return iter([group for group in self._told if self.age(group) <= self._life])

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _read(error: Exception) -> tuple[str, float]:
    """Slack's word for what went wrong, and the seconds it wants to be left alone for."""
    if not isinstance(error, SlackApiError):
        return "nothing in time" if isinstance(error, TimeoutError) else "nothing", 0.0
    status = getattr(error.response, "status_code", 200)
    return code_of(error) or str(status), retry_after(error)
