"""Who may, who must agree, and who is told why not: steps, user groups, reminders, emergencies."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.images import push_image
from tests.support.team import ANN, BOB, CAT, EVE, GUEST, OPS, Team

pytestmark = pytest.mark.anyio

TWO_STEPS = """
[[rules]]
name = "web is for two"
actions = ["delete"]
repositories = ["web/**"]
requesters = ["anyone"]
approval = "required"
steps = [
  { approvers = ["oncall"], approvals_needed = 1 },
  { approvers = ["owners"], approvals_needed = 1 },
]
"""
EMERGENCY = """
[emergency]
enabled = true
actions = ["gc", "delete", "purge request"]
requesters = ["leads"]
min_reason_length = 20
notify = ["owners"]
"""
FIRE = '--emergency --reason "the disk of the registry is full"'


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with Team.open(tmp_path) as made:
        made.groups = (
            f'oncall = {{ users = ["{BOB}", "{CAT}"] }}\nowners = {{ users = ["{CAT}", "{EVE}"] }}'
        )
        made.rules = TWO_STEPS
        await push_image(made.registry.url, "web/shop", "1")
        yield made
        made.check_all_messages()


async def test_two_steps_of_different_groups(team: Team) -> None:
    async with team.bot():
        request = await team.request(ANN, "delete web/shop:1")
        assert "oncall" in request.all_text
        assert "owners" in request.all_text
        await team.clicks(EVE, request, "Approve")
        await team.told(EVE, "counts", "1 more to go")
        await team.shows(request, f"approved by <@{EVE}>")
        assert await team.tags("web/shop") == ["1"]
        await team.clicks(BOB, request, "Approve")
        await team.shows(request, "is done", f"<@{EVE}>", f"<@{BOB}>")
    assert await team.tags("web/shop") == []


async def test_one_person_in_both_groups_counts_once(team: Team) -> None:
    async with team.bot():
        request = await team.request(ANN, "delete web/shop:1")
        await team.clicks(CAT, request, "Approve")
        await team.told(CAT, "counts")
        await team.clicks(CAT, request, "Approve")
        await team.told(CAT, "counts once")
        await asyncio.sleep(0)
        assert await team.tags("web/shop") == ["1"]
        # Whichever step is open: Cat's approval makes room for Bob's.
        await team.clicks(BOB, request, "Approve")
        await team.shows(request, "is done")


async def test_an_approval_that_is_not_needed_is_refused(team: Team) -> None:
    team.groups = (
        f'oncall = {{ users = ["{BOB}", "{GUEST}"] }}\nowners = {{ users = ["{CAT}", "{EVE}"] }}'
    )
    async with team.bot():
        request = await team.request(ANN, "delete web/shop:1")
        await team.clicks(CAT, request, "Approve")
        await team.told(CAT, "counts")
        await team.clicks(EVE, request, "Approve")
        refused = await team.told(EVE, "owners")
        assert "not needed" in refused.all_text
        await team.clicks(BOB, request, "Approve")
        await team.shows(request, "is done")


async def test_a_removed_approver_no_longer_counts_when_it_runs(team: Team) -> None:
    async with team.bot():
        request = await team.request(ANN, "delete web/shop:1")
        await team.clicks(EVE, request, "Approve")
        await team.told(EVE, "counts")
    team.groups = team.groups.replace(f'"{EVE}"', '"U0OTHER"')
    async with team.bot():
        await team.clicks(BOB, request, "Approve")
        await team.told(BOB, "counts", "1 more to go")
        await team.shows(request, "1 approval given before no longer counts")
        assert await team.tags("web/shop") == ["1"]


async def test_a_changed_rule_outdates_and_another_rule_does_not(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        first = await team.request(ANN, "delete web/shop:1")
        second = await team.request(ANN, "delete team/api:1")
    team.rules = TWO_STEPS.replace("owners", "leads")
    async with team.bot():
        await team.clicks(BOB, first, "Approve")
        await team.shows(first, "outdated", "web is for two has changed")
        await team.clicks(BOB, second, "Approve")
        await team.shows(second, "is done")
    assert await team.tags("web/shop") == ["1"]


async def test_people_of_a_slack_user_group(team: Team) -> None:
    team.groups = f'oncall = {{ slack_usergroup = "S0ONCALL" }}\nowners = {{ users = ["{CAT}"] }}'
    team.slack.add_usergroup("S0ONCALL", [BOB])
    async with team.bot():
        request = await team.request(ANN, "delete web/shop:1")
        assert f"<@{BOB}>" in request.text
        await team.clicks(EVE, request, "Approve")
        await team.told(EVE, "not among the approvers")
        await team.clicks(BOB, request, "Approve")
        await team.told(BOB, "counts")
        await team.clicks(CAT, request, "Approve")
        await team.shows(request, "is done")


async def test_a_group_that_slack_does_not_tell_of_lets_nobody_in(team: Team) -> None:
    team.groups = f'oncall = {{ slack_usergroup = "S0ONCALL" }}\nowners = {{ users = ["{CAT}"] }}'
    team.slack.add_usergroup("S0ONCALL", [BOB])
    async with team.bot():
        team.slack.faults.fail("usergroups.users.list", times=1000, status=500)
        request = await team.request(ANN, "delete web/shop:1")
        await team.clicks(BOB, request, "Approve")
        refused = await team.told(BOB, "does not tell who is in the group")
        assert "oncall" in refused.all_text
        assert await team.tags("web/shop") == ["1"]
    whys = [e.detail["why"] for e in await team.trail("refused")]
    assert any("does not tell who is in the group" in why for why in whys)


async def test_every_refused_click_is_answered_and_found_in_the_trail(team: Team) -> None:
    async with team.bot():
        request = await team.request(ANN, "delete web/shop:1")
        for user, why in ((ANN, "yourself"), (GUEST, "Guests"), (EVE, "")):
            await team.clicks(user, request, "Approve")
            await team.told(user, why)
        await team.clicks(EVE, request, "Approve")
        await team.told(EVE, "counts once")
        await team.clicks(BOB, request, "Cancel")
        await team.told(BOB, "only they can cancel")
        await team.clicks(ANN, request, "Cancel")
        await team.shows(request, "cancelled")
        await team.says(CAT, "approve r1")
        await team.told(CAT, "is cancelled")
        assert "Guests" in (await team.asks(GUEST, "deny r1 --reason no")).all_text
    refused = await team.trail("refused")
    assert [e.actor for e in refused] == [ANN, GUEST, EVE, BOB, CAT, GUEST]
    assert all(e.detail["why"] for e in refused)
    # Also of the guest, who was refused before anybody looked at the request.
    assert {(e.request_id, e.registry, e.rule) for e in refused} == {(1, "corp", "web is for two")}


async def test_who_stays_silent_is_reminded_then_others_are_called(team: Team) -> None:
    team.rules = TWO_STEPS.replace(
        'approval = "required"',
        'approval = "required"\nremind_after = "1s"\nescalate_to = ["leads"]',
    )
    async with team.bot():
        request = await team.request(ANN, "delete web/shop:1")
        await team.clicks(CAT, request, "Approve")
        thread = lambda: [m.text for m in team.slack.thread(OPS, request.ts)]  # noqa: E731
        await team.slack.wait_for(
            lambda: any("still waits" in t and f"<@{BOB}>" in t for t in thread()), timeout=15
        )
        await team.slack.wait_for(
            lambda: sum("still waits" in t for t in thread()) == 2, timeout=15
        )
        await team.clicks(BOB, request, "Approve")
        await team.shows(request, "is done")
    reminded = [e.event for e in await team.trail()]
    assert reminded.count("request.reminded") == 1
    assert reminded.count("request.escalated") == 1


async def test_an_emergency_is_decided_alone_and_loudly(team: Team) -> None:
    async with team.bot(extra=EMERGENCY):
        short = await team.asks(BOB, 'delete web/shop:1 --emergency --reason "full"')
        assert "20" in short.all_text
        assert "leads" in (await team.asks(ANN, f"delete web/shop:1 {FIRE}")).all_text
        request = await team.request(BOB, f"delete web/shop:1 {FIRE}")
        assert request.buttons == ["Confirm", "Cancel"]
        assert "EMERGENCY" in request.all_text
        assert f"<@{CAT}>" in request.text
        assert f"<@{EVE}>" in request.text
        await team.clicks(EVE, request, "Confirm")
        await team.told(EVE, "alone")
        await team.clicks(BOB, request, "Confirm")
        await team.shows(request, "is done")
        assert await team.tags("web/shop") == []
        refused = await team.asks(BOB, f"purge R1 {FIRE}")
        assert "was an emergency itself" in refused.all_text
        assert "never purges" in (await team.asks(BOB, f"purge web/shop:1 {FIRE}")).all_text


async def test_what_others_approved_can_be_ended_in_an_emergency(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot(extra=EMERGENCY):
        request = await team.request(ANN, "delete team/api:1")
        await team.clicks(CAT, request, "Approve")
        await team.shows(request, "is done")
        ending = await team.request(BOB, f"purge R1 {FIRE}")
        assert ending.buttons == ["Confirm", "Cancel"]
        await team.clicks(BOB, ending, "Confirm")
        await team.shows(request, "purged")


async def test_protections_and_locks_win_in_an_emergency(team: Team) -> None:
    await push_image(team.registry.url, "prod/api", "1")
    async with team.bot(extra=EMERGENCY):
        assert "protected" in (await team.asks(BOB, f"delete prod/api:1 {FIRE}")).all_text
        lock = await team.request(ANN, 'lock web/shop --reason "we look into it"')
        await team.clicks(BOB, lock, "Approve")
        await team.shows(lock, "is done")
        assert "locked" in (await team.asks(BOB, f"delete web/shop:1 {FIRE}")).all_text
    assert await team.tags("web/shop") == ["1"]


async def test_without_emergencies_the_flag_says_so(team: Team) -> None:
    async with team.bot():
        assert "[emergency]" in (await team.asks(BOB, f"delete web/shop:1 {FIRE}")).all_text
