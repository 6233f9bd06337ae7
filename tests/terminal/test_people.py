"""People of the host in the policy: in groups, as one person with their id in Slack, alone."""

import pytest

from bot.operations.errors import Refusal
from bot.rules.approval import State
from tests.support.host import CHANNEL, RULES, Host, tags_of
from tests.support.real_registry import RealRegistry, push_image

pytestmark = pytest.mark.anyio
LEADS = 'leads = { users = ["U0BOB", "U0CAT"] }'


def _settings(leads: str, *, needed: int = 1, more: str = "") -> str:
    assert RULES.count(LEADS) == 1
    rules = RULES.replace(LEADS, f"leads = {{ users = {leads} }}")
    return CHANNEL + rules.replace("approvals_needed = 1", f"approvals_needed = {needed}") + more


async def test_somebody_of_a_group_approves_here(host: Host, registry: RealRegistry) -> None:
    host.write(_settings('["local:bob", "U0CAT"]'))
    await push_image(registry.url, "team/api", "1")
    asked = await host.run("delete team/api:1", account="ann")
    assert "local:bob" in asked.out.partition("Needs 1 approval of")[2]
    stranger = await host.run("approve R1", account="eve")
    assert stranger.code == 1
    assert await tags_of(registry, "team/api") == ["1"]

    told = await host.run("approve R1", account="bob")
    assert told.code == 0, told.err
    assert "Approved by local:bob" in told.out
    assert await tags_of(registry, "team/api") == []
    assert ("request.approved", "local:bob", "local") in host.audit()


async def test_without_a_word_in_the_settings_a_name_is_nobody(
    host: Host, registry: RealRegistry
) -> None:
    """An account called like a lead's name or id gives nothing."""
    await push_image(registry.url, "team/api", "1")
    await host.run("delete team/api:1")
    for account in ("U0BOB", "bob", "leads", "anyone"):
        told = await host.run("approve R1", account=account)
        assert told.code == 1, account
    assert (await host.request(1)).state is State.PENDING


async def test_one_person_counts_once_under_both_ids(host: Host, registry: RealRegistry) -> None:
    twins = '[local_accounts]\nbob = "U0BOB"\n'
    host.write(_settings('["U0BOB", "U0CAT"]', needed=2, more=twins))
    await push_image(registry.url, "team/api", "1")
    await host.run("delete team/api:1")
    first = await host.run("approve R1", account="bob")
    assert first.code == 0, first.err
    assert "1 more to go" in first.out
    with pytest.raises(Refusal, match="already"):
        await host.approve(1, "U0BOB")
    again = await host.run("approve R1", account="bob")
    assert again.code == 1
    assert await tags_of(registry, "team/api") == ["1"]
    assert (await host.request(1)).state is State.PENDING
    await host.approve(1, "U0CAT")
    assert (await host.request(1)).state is State.APPROVED


async def test_nobody_approves_their_own_request_from_the_other_side(
    host: Host, registry: RealRegistry
) -> None:
    twins = '[local_accounts]\nann = "U0ANN"\n'
    host.write(_settings('["U0ANN", "U0CAT"]', more=twins))
    await push_image(registry.url, "team/api", "1")
    await host.run("delete team/api:1", account="ann")
    with pytest.raises(Refusal, match="yourself"):
        await host.approve(1, "U0ANN")
    told = await host.run("cancel R1", account="ann")
    assert told.code == 0, told.err
    assert await tags_of(registry, "team/api") == ["1"]


async def test_an_emergency_is_decided_alone_and_told(host: Host, registry: RealRegistry) -> None:
    emergency = (
        '[emergency]\nenabled = true\nactions = ["delete"]\nrequesters = ["oncall"]\n'
        'min_reason_length = 20\nnotify = ["leads"]\n'
    )
    oncall = 'leads = { users = ["U0BOB", "U0CAT"] }\noncall = { users = ["local:ann"] }'
    host.write(CHANNEL + RULES.replace(LEADS, oncall) + emergency)
    await push_image(registry.url, "team/api", "1")
    command = 'delete team/api:1 --emergency --reason "the disk is full, pushes fail"'
    stranger = await host.run(command, account="eve", answer=True)
    assert stranger.code == 1
    short = await host.run('delete team/api:1 --emergency --reason "full"', answer=True)
    assert short.code == 1
    assert "20" in short.err
    told = await host.run(command, answer=True)
    assert told.code == 0, told.err
    assert await tags_of(registry, "team/api") == []
    assert (await host.request(1)).emergency


async def test_members_that_only_slack_knows_are_never_guessed(
    host: Host, registry: RealRegistry
) -> None:
    only_slack = 'leads = { slack_usergroup = "S0LEADS" }'
    host.write(CHANNEL + RULES.replace(LEADS, only_slack))
    await push_image(registry.url, "team/api", "1")
    asked = await host.run("delete team/api:1")
    assert asked.code == 0, asked.err
    told = await host.run("approve R1", account="bob")
    assert told.code == 1
    assert await tags_of(registry, "team/api") == ["1"]
