"""Details and Deny in modals: what stands in them, who sees what, and what happens without."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.images import push_image
from tests.support.team import ANN, BOB, EVE, GUEST, OPS, Team

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["socket", "http"])
async def team(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Team]:
    async with Team.open(tmp_path, request.param) as made:
        yield made
        made.check_all_messages()


async def refused(team: Team) -> list[tuple[str, str]]:
    """Who was refused what, as the audit trail has it."""
    return [(e.actor, e.detail["what"]) for e in await team.trail("refused")]


async def test_details_show_the_whole_plan_to_everybody_who_sees_the_request(team: Team) -> None:
    pushed = await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        request = await team.request(ANN, 'delete team/api:1 --reason "old"')
        await team.clicks(EVE, request, "Details")
        shown = await team.modal(EVE, "R1", pushed.digest, "old", "default")
        assert shown.buttons == ["Approve", "Deny", "Cancel"]
        assert team.slack.ephemerals(EVE) == []
        await team.clicks(GUEST, request, "Details")
        await team.modal(GUEST, "Guests cannot use")
        assert team.slack.ephemerals(GUEST) == []
        assert await refused(team) == [(GUEST, "click details")]


async def test_deciding_from_within_the_details(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        await team.clicks(BOB, request, "Details")
        shown = await team.modal(BOB, "Pinned")
        await team.slack.click(BOB, shown, "Deny")
        form = await team.modal(BOB, "Why not?")
        assert form.id == shown.id
        await team.submits(BOB, form, {"Why not?": "we run it"})
        await team.modal(BOB, "You denied R1")
        await team.shows(request, "denied", "we run it")


async def test_deny_asks_why_and_tells_everybody(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        await team.clicks(BOB, request, "Deny")
        form = await team.modal(BOB, "Why not?")
        assert "pending" in team.now(request).all_text
        said = await team.slack.submit(BOB, form, {"Why not?": "   "})
        assert said.acked
        assert "Say why not" in team.slack.views(BOB)[-1].all_text
        await team.submits(BOB, form, {"Why not?": "*still* in <use>"})
        await team.modal(BOB, "You denied R1")
        await team.shows(request, "denied", "in &lt;use&gt;")
        told = await team.slack.wait_for_message(OPS, lambda m: "was denied by" in m.all_text)
        assert "in &lt;use&gt;" in told.all_text
        assert await team.tags("team/api") == ["1"]


async def test_who_may_not_deny_sees_why_instead_of_the_form(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        for user, why in ((EVE, "not among the approvers"), (ANN, "your own request")):
            await team.clicks(user, request, "Deny")
            shown = await team.modal(user, why)
            assert shown.submit == ""
            await team.told(user, why)
        assert await refused(team) == [(EVE, "click deny"), (ANN, "click deny")]
        assert "pending" in team.now(request).all_text


async def test_a_denial_that_comes_too_late_is_refused_in_the_modal(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        await team.clicks(BOB, request, "Deny")
        form = await team.modal(BOB, "Why not?")
        await team.says(ANN, "cancel R1")
        await team.shows(request, "cancelled")
        await team.submits(BOB, form, {"Why not?": "no"})
        await team.modal(BOB, "cancelled", "nothing was changed")
        assert await refused(team) == [(BOB, "click deny_sent")]


@pytest.mark.parametrize("fault", ["expired_trigger_id", "fatal_error", "cut"])
async def test_where_no_modal_opens_an_answer_comes_all_the_same(team: Team, fault: str) -> None:
    await push_image(team.registry.url, "team/api", "1")

    def break_it() -> None:
        if fault == "cut":
            team.slack.faults.fail("views.open", status=0)
        else:
            team.slack.faults.fail("views.open", error=fault)

    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        break_it()
        await team.clicks(BOB, request, "Details")
        await team.told(BOB, "Plan", "default")
        break_it()
        await team.clicks(BOB, request, "Deny")
        await team.told(BOB, "/registry deny R1 --reason")
        break_it()
        await team.clicks(EVE, request, "Deny")
        await team.told(EVE, "not among the approvers")
        assert team.slack.views(BOB) == []
        assert "pending" in team.now(request).all_text
        await team.says(BOB, 'deny R1 --reason "typed"')
        await team.shows(request, "denied", "typed")


async def test_a_modal_whose_opening_nobody_heard_of_is_filled(team: Team) -> None:
    """Slack opened it, and its answer was lost: the worker finds it by its name."""
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        team.slack.faults.fail("views.open", status=0, after=True)
        await team.clicks(BOB, request, "Deny")
        form = await team.modal(BOB, "Why not?")
        await team.submits(BOB, form, {"Why not?": "no"})
        await team.modal(BOB, "You denied R1")


async def test_slow_opening_still_acknowledges_in_time(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        team.slack.faults.delay("views.open", 2.5)
        delivery = await team.slack.click(BOB, team.now(request), "Details")
        assert delivery.acked, delivery.error
        await team.told(BOB, "Plan", "default")


async def test_pressed_twice_and_delivered_twice_is_one_denial(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        team.slack.faults.duplicate_next_envelope()
        await team.clicks(BOB, request, "Deny")
        form = await team.modal(BOB, "Why not?")
        team.slack.faults.duplicate_next_envelope()
        await team.submits(BOB, form, {"Why not?": "no"})
        await team.modal(BOB, "You denied R1")
        await team.shows(request, "denied")
        await team.slack.wait_for_message(OPS, "was denied by")
        denials = [m for m in team.slack.thread(OPS, request.ts) if "was denied by" in m.text]
        assert len(denials) == 1
        assert await refused(team) == []


async def test_a_closed_modal_does_not_swallow_a_refusal(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        request = await team.request(ANN, "delete team/api:1")
        hold = team.slack.faults.hold("views.update")
        await team.clicks(BOB, request, "Deny")
        loading = await team.modal(BOB, "Loading")
        await hold.arrived.wait()
        await team.slack.close_view(BOB, loading)
        hold.release()
        await team.told(BOB, "/registry deny R1 --reason")
