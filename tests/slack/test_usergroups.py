"""Slack's word about its user groups: believed for a while, asked again, never guessed."""

from collections.abc import AsyncIterator

import anyio
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.playground import Workspace
from bot.slack.usergroups import UserGroups

pytestmark = pytest.mark.anyio
LIFE = 60.0
BOB, CAT = "U0BOB", "U0CAT"


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    made = await Workspace.start()
    made.add_usergroup("S0OPS", [BOB])
    yield made
    await made.stop()


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def groups(workspace: Workspace, clock: Clock, *ids: str) -> UserGroups:
    client = AsyncWebClient(
        token=workspace.bot_token, base_url=workspace.api_url, retry_handlers=[], timeout=5
    )
    return UserGroups(client, ids or ("S0OPS",), LIFE, clock)


def asked(workspace: Workspace) -> int:
    """How often Slack was asked."""
    return len(workspace.calls("usergroups.users.list"))


async def test_nothing_is_known_before_slack_was_asked(workspace: Workspace, clock: Clock) -> None:
    known = groups(workspace, clock)
    assert "S0OPS" not in known.members
    assert len(known.members) == 0
    await known.refresh()
    assert known.members["S0OPS"] == {BOB}
    assert dict(known.members) == {"S0OPS": {BOB}}


async def test_an_answer_is_believed_and_not_asked_for_again_at_once(
    workspace: Workspace, clock: Clock
) -> None:
    known = groups(workspace, clock)
    await known.refresh()
    workspace.add_usergroup("S0OPS", [CAT])
    await known.refresh()
    assert known.members["S0OPS"] == {BOB}
    assert asked(workspace) == 1


async def test_an_old_answer_is_unknown(workspace: Workspace, clock: Clock) -> None:
    known = groups(workspace, clock)
    await known.refresh()
    clock.now += LIFE + 1
    assert known.members.get("S0OPS") is None
    assert list(known.members) == []
    workspace.add_usergroup("S0OPS", [CAT])
    await known.refresh()
    assert known.members["S0OPS"] == {CAT}


async def test_many_at_once_ask_once(workspace: Workspace, clock: Clock) -> None:
    known = groups(workspace, clock)
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(known.refresh)
    assert asked(workspace) == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 429, "retry_after": 0}, "asked too often"),
        ({"status": 500}, "it answered"),
        ({"status": 503}, "it answered"),
        ({"status": 0, "times": 2}, "it answered nothing"),  # aiohttp asks once more
        ({"error": "plan_upgrade_required"}, "need a paid plan of Slack"),
        ({"error": "missing_scope"}, "lacks the scope usergroups:read"),
        ({"error": "fatal_error"}, "it answered fatal_error"),
    ],
)
async def test_a_failure_is_no_answer_and_says_why(
    workspace: Workspace, clock: Clock, fault: dict[str, object], words: str
) -> None:
    known = groups(workspace, clock)
    workspace.faults.fail("usergroups.users.list", **fault)  # type: ignore[arg-type]
    await known.refresh()
    assert known.members.get("S0OPS") is None
    assert words in known.silence["S0OPS"]
    clock.now += 6
    await known.refresh()
    assert known.members["S0OPS"] == {BOB}
    assert known.silence == {}


async def test_after_a_failure_slack_is_left_alone_as_long_as_it_wants(
    workspace: Workspace, clock: Clock
) -> None:
    known = groups(workspace, clock)
    workspace.faults.fail("usergroups.users.list", status=429, retry_after=30)
    for _ in range(3):
        await known.refresh()
        clock.now += 6
    assert asked(workspace) == 1


async def test_a_passing_failure_leaves_a_young_answer(workspace: Workspace, clock: Clock) -> None:
    known = groups(workspace, clock)
    await known.refresh()
    workspace.faults.fail("usergroups.users.list", status=500)
    clock.now += LIFE / 2 + 1
    await known.refresh()
    assert asked(workspace) == 2
    assert known.members["S0OPS"] == {BOB}
    clock.now += LIFE / 2
    assert known.members.get("S0OPS") is None


async def test_a_group_that_is_gone_is_not_believed_any_more(
    workspace: Workspace, clock: Clock
) -> None:
    known = groups(workspace, clock)
    await known.refresh()
    del workspace.state.usergroups["S0OPS"]
    clock.now += LIFE / 2 + 1
    await known.refresh()
    assert known.members.get("S0OPS") is None
    assert "no such user group" in known.silence["S0OPS"]


async def test_one_silent_group_leaves_the_others(workspace: Workspace, clock: Clock) -> None:
    known = groups(workspace, clock, "S0GONE", "S0OPS")
    await known.refresh()
    assert known.members.get("S0GONE") is None
    assert known.members["S0OPS"] == {BOB}
    assert list(known.silence) == ["S0GONE"]
