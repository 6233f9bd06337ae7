"""A bare `/registry` opens a form: names while typing, the plan before anybody is asked."""

import asyncio
from typing import Any

import pytest

from tests.scenes.test_modals import refused
from tests.support.images import push_image
from tests.support.proxy import Proxy
from tests.support.team import ANN, BOB, EVE, GUEST, LOBBY, OPS, Team

pytestmark = pytest.mark.anyio

FOLLOWS = """
[[registries]]
name = "lab"
url = "{url}"
[[channels]]
id = "C0LOBBY"
registries = ["corp", "lab"]
"""


async def opened(team: Team, user: str = ANN, channel: str = OPS) -> Any:
    """Type `/registry` and wait for the form."""
    await team.says(user, "", channel)
    return await team.modal(user, "What to do")


async def chosen(team: Team, form: Any, field: str, choice: str, values: Any = None) -> Any:
    """Choose in a field that changes the form, and return the form as it is afterwards."""
    before = form.hash
    delivery = await team.slack.choose(form.user, form, field, choice, values)
    assert delivery.acked, delivery.error
    views = lambda: team.slack.views(form.user)  # noqa: E731
    await team.slack.wait_for(lambda: views()[-1].hash != before)
    return views()[-1]


async def offers(team: Team, form: Any, field: str, typed: str = "") -> list[str]:
    """What a menu offers for what was typed."""
    options = await team.slack.suggest(form.user, form, field, typed)
    return [option["text"]["text"] for option in options]


async def with_repository(team: Team, form: Any, verb: str, repository: str) -> Any:
    """Choose verb and repository."""
    form = await chosen(team, form, "What to do", verb)
    await offers(team, form, "Repository")
    return await chosen(team, form, "Repository", repository, {"What to do": verb})


async def test_from_the_form_to_a_deletion_that_is_done(any_team: Team) -> None:
    team = any_team
    await push_image(team.registry.url, "team/api", "1.4.0", layers=[b"x" * 300])
    await push_image(team.registry.url, "team/api", "1.5.0")
    await push_image(team.registry.url, "team/web", "1")
    async with team.bot():
        form = await opened(team)
        form = await chosen(team, form, "What to do", "delete")
        assert await offers(team, form, "Repository") == ["team/api", "team/web"]
        assert await offers(team, form, "Repository", "WEB") == ["team/web"]
        form = await chosen(team, form, "Repository", "team/api", {"What to do": "delete"})
        found = await offers(team, form, "Tags", "1.")
        assert [text.split(" · ")[0] for text in found] == ["1.5.0", "1.4.0"]
        assert all(len(text.split(" · ")) == 3 for text in found), found
        filled = {
            "What to do": "delete",
            "Repository": "team/api",
            "Tags": ["1.4.0"],
            "Reason": 'never "released"',
        }
        await team.submits(ANN, form, filled)
        plan = await team.modal(ANN, "team/api:1.4.0", "Nothing is asked for yet")
        assert plan.submit == "Ask"
        assert "never 'released'" in plan.all_text
        assert f"<@{BOB}>" in plan.all_text
        assert team.slack.messages(OPS) == []
        await team.submits(ANN, plan)
        await team.modal(ANN, "R1 is pending")
        request = await team.slack.wait_for_message(OPS, lambda m: "Approve" in m.buttons)
        assert f"<@{ANN}> asks to *delete* 1 tag" in request.all_text
        await team.clicks(BOB, request, "Approve")
        await team.shows(request, "is done")
        assert await team.tags("team/api") == ["1.5.0"]


async def test_a_registry_that_moves_after_the_plan_shows_the_new_one(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1", layers=[b"old"])
    async with team.bot():
        form = await with_repository(team, await opened(team), "delete", "team/api")
        await offers(team, form, "Tags")
        filled = {"What to do": "delete", "Repository": "team/api", "Tags": ["1"]}
        await team.submits(ANN, form, filled)
        plan = await team.modal(ANN, "Nothing is asked for yet")
        moved = await push_image(team.registry.url, "team/api", "1", layers=[b"new"])
        await team.submits(ANN, plan)
        again = await team.modal(ANN, "has moved meanwhile", moved.digest[:19])
        assert team.slack.messages(OPS) == []
        await team.submits(ANN, again)
        await team.modal(ANN, "R1 is pending")


async def test_what_is_read_is_answered_in_the_channel(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1.4.0")
    async with team.bot():
        form = await opened(team)
        await offers(team, form, "Repository")
        await team.submits(ANN, form, {"Repository": "team/api", "Match": "1.*"})
        table = await team.told(ANN, "1.4.0", "newest first")
        assert table.channel == OPS
        assert team.slack.views(ANN) == []


async def test_a_pattern_is_a_choice_and_other_verbs_act_as_if_typed(team: Team) -> None:
    for tag in ("pr-1", "pr-2", "main"):
        await push_image(team.registry.url, "team/api", tag, layers=[tag.encode()])
    async with team.bot():
        form = await with_repository(team, await opened(team), "delete", "team/api")
        assert (await offers(team, form, "Tags", "pr-*"))[0] == "pr-* · 2 tags"
        filled = {"What to do": "delete", "Repository": "team/api", "Tags": ["pr-*"]}
        await team.submits(ANN, form, filled)
        await team.modal(ANN, "team/api:pr-1", "team/api:pr-2")

        form = await chosen(team, await opened(team, EVE), "What to do", "gc")
        assert "Repository" not in form.all_text
        await team.submits(EVE, form, {"What to do": "gc"})
        await team.modal(EVE, "R1 is pending")
        await team.slack.wait_for_message(OPS, "collect garbage on")


async def test_refusals_stand_in_the_modal_and_in_the_audit(team: Team) -> None:
    await push_image(team.registry.url, "prod/api", "1")
    async with team.bot():
        form = await with_repository(team, await opened(team), "delete", "prod/api")
        await offers(team, form, "Tags")
        filled = {"What to do": "delete", "Repository": "prod/api", "Tags": ["1"]}
        await team.submits(ANN, form, filled)
        await team.modal(ANN, "is protected")
        assert team.slack.ephemerals(ANN) == []
        assert await refused(team) == [(ANN, "delete")]
        form = await with_repository(team, await opened(team), "purge", "prod/api")
        await offers(team, form, "Tags")
        await team.submits(ANN, form, {**filled, "What to do": "purge"})
        await team.modal(ANN, "A purge needs a reason")


async def test_mistakes_are_said_below_the_field(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        form = await opened(team)
        await offers(team, form, "Repository")
        said = await team.slack.submit(ANN, form, {"Repository": "team/api", "Match": "a b"})
        assert said.acked
        assert "takes one word" in team.slack.views(ANN)[-1].all_text
        await team.slack.submit(ANN, form, {"Repository": "team/api", "Match": "a/b"})
        assert "takes a pattern for tags only" in team.slack.views(ANN)[-1].all_text
        form = await chosen(team, form, "What to do", "delete", {"Repository": "team/api"})
        assert "Choose the repository first." not in form.all_text
        assert team.slack.ephemerals(ANN) == []


async def test_who_gets_no_names(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        await team.says(GUEST, "")
        await team.modal(GUEST, "Guests cannot use")
        await team.says(ANN, "", LOBBY)
        await team.modal(ANN, "does not listen in this channel")
        form = await opened(team, EVE)
        assert await offers(team, form, "Repository") == ["team/api"]
        team.slack.change_user(EVE, deleted=True)
    # A bot believes what Slack says of people for a minute; another one asks anew.
    async with team.bot():
        assert await offers(team, form, "Repository") == []


async def test_a_slow_registry_is_said_in_the_list_and_not_an_error(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with Proxy.open(team.registry.url) as proxy:
        team.registry_url = proxy.url
        async with team.bot():
            form = await opened(team)
            go_on = proxy.hold("GET", r"/v2/_catalog")
            [said] = await offers(team, form, "Repository")
            assert "slow" in said
            delivery = await team.slack.submit(ANN, form, {"Repository": said})
            assert delivery.acked
            assert "Choose a repository" in team.slack.views(ANN)[-1].all_text
            # What was asked for goes on meanwhile: the next keystroke has it.
            go_on.set()
            assert await offers(team, form, "Repository", "api") == ["team/api"]
            team.registry.stop()
            assert await offers(team, form, "Repository", "a") == ["team/api"]
            form = await chosen(team, form, "Repository", "team/api")
            form = await chosen(team, form, "What to do", "inspect", {"Repository": "team/api"})
            [said] = await offers(team, form, "Tag")
            assert "egistry" in said, said


async def test_sizes_that_take_too_long_are_left_out(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1.4.0")
    async with Proxy.open(team.registry.url) as proxy:
        team.registry_url = proxy.url
        async with team.bot():
            form = await with_repository(team, await opened(team), "delete", "team/api")
            go_on = proxy.hold("HEAD", r"/manifests/")
            assert await offers(team, form, "Tags") == ["1.4.0"]
            go_on.set()
            [whole] = await offers(team, form, "Tags")
            assert whole.startswith("1.4.0 · ")


async def test_several_registries(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot(extra=FOLLOWS.format(url=team.registry.url)):
        form = await opened(team, ANN, LOBBY)
        await offers(team, form, "Repository")
        form = await chosen(team, form, "Repository", "team/api")
        form = await chosen(team, form, "Registry", "lab", {"Repository": "team/api"})
        # Another registry has other repositories: the field starts anew.
        element = next(b["element"] for b in form.blocks if b["label"]["text"] == "Repository")
        assert "initial_option" not in element
        await offers(team, form, "Repository")
        await team.submits(ANN, form, {"Registry": "lab", "Repository": "team/api"})
        await team.told(ANN, "team/api", "on lab")


@pytest.mark.parametrize("fault", ["expired_trigger_id", "cut"])
async def test_without_a_form_the_help_answers(team: Team, fault: str) -> None:
    async with team.bot():
        if fault == "cut":
            team.slack.faults.fail("views.open", status=0)
        else:
            team.slack.faults.fail("views.open", error=fault)
        await team.says(ANN, "")
        await team.told(ANN, "registry-bot understands")
        answer = await team.asks(ANN, "help")
        assert "registry-bot understands" in answer.text
        assert team.slack.views(ANN) == []


async def test_asked_twice_is_one_request(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    async with team.bot():
        form = await with_repository(team, await opened(team), "delete", "team/api")
        await offers(team, form, "Tags")
        filled = {"What to do": "delete", "Repository": "team/api", "Tags": ["1"]}
        await team.submits(ANN, form, filled)
        plan = await team.modal(ANN, "Nothing is asked for yet")
        # Two presses before the first is answered: both carry the same view in the same state.
        await asyncio.gather(
            team.slack.submit(ANN, plan), team.slack.submit(ANN, plan), return_exceptions=True
        )
        await team.modal(ANN, "R1 is pending")
        answer = await team.asks(ANN, "requests")
        assert "R2" not in answer.all_text


async def test_a_bot_that_dies_between_plan_and_request_asks_once(team: Team) -> None:
    await push_image(team.registry.url, "team/api", "1")
    await team.spawn()
    form = await with_repository(team, await opened(team), "delete", "team/api")
    await offers(team, form, "Tags")
    filled = {"What to do": "delete", "Repository": "team/api", "Tags": ["1"]}
    await team.submits(ANN, form, filled)
    plan = await team.modal(ANN, "Nothing is asked for yet")
    await team.submits(ANN, plan)
    team.kill()
    await team.spawn()
    await team.modal(ANN, "R1 is pending", timeout=30)
    await team.slack.wait_for_message(OPS, lambda m: "Approve" in m.buttons)
    answer = await team.asks(ANN, "requests")
    assert "R2" not in answer.all_text
