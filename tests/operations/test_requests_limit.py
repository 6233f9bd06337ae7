"""A registry has so many open requests and no more; what makes things safer is always taken."""

import dataclasses

import pytest

from bot.operations import deletion, previewing, requesting
from bot.operations.context import BOT, Asked
from bot.operations.errors import Refusal
from bot.registry.reference import parse_reference
from bot.rules.approval import State
from bot.rules.policy import Action, Actor, Emergency
from bot.rules.preview import Spec
from tests.support.images import push_image
from tests.support.real_registry import RealRegistry
from tests.support.rig import ANN, BOB, CAT, CHANNEL, TEAM, Rig, policy

pytestmark = pytest.mark.anyio

BURNING = dataclasses.replace(
    policy(), emergency=Emergency(True, frozenset({Action.DELETE}), ("leads",), 20, ("leads",))
)


@pytest.fixture
async def few(rig: Rig, registry: RealRegistry) -> Rig:
    """Four may be open, and eight tags are there."""
    for number in range(8):
        await push_image(registry.url, "a", str(number))
    return Rig(dataclasses.replace(rig.ctx, policy=BURNING, most_requests=4))


async def test_one_person_has_half_of_them_and_all_of_them_are_counted(few: Rig) -> None:
    first = await few.delete("a:0")
    await few.delete("a:1")
    with pytest.raises(Refusal, match="You have 2 open requests on corp") as refused:
        await few.delete("a:2")
    assert refused.value.rule == "[limits] jobs_per_registry"
    await few.purge_("a:2", user=BOB)
    await few.delete("a:3", user=CAT)
    with pytest.raises(Refusal, match="corp has 4 open requests, as many as there may be"):
        await few.delete("a:4", user=BOB)

    await few.done(first)
    await few.delete("a:4", user=BOB)


async def test_what_makes_things_safer_is_taken_all_the_same(few: Rig) -> None:
    gone = await few.done(await few.delete("a:7"))
    for tag, user in (("a:0", ANN), ("a:1", ANN), ("a:2", BOB), ("a:3", BOB)):
        await few.delete(tag, user=user)
    assert (await few.undo_(gone)).state is State.DONE
    await few.lock_("a")
    asked = Asked(Actor(BOB, TEAM), CHANNEL, "the disk is full, nothing else helps", emergency=True)
    draft = await deletion.request_delete(few.ctx, asked, few.registry, [parse_reference("a:5")])
    assert (await few._submit(draft)).emergency
    clock = dataclasses.replace(asked, actor=BOT, emergency=False)
    rules = few.ctx.policy.rules
    by_clock = requesting.draft(few.ctx, clock, few.registry, Action.GC, rules, plan={})
    assert by_clock.most_open == 0


async def test_so_many_repositories_are_looked_at_for_cleanups(rig: Rig) -> None:
    async def begin(repository: str) -> None:
        async with rig.store.transaction() as tx:
            await previewing.begin(tx, rig.asked(), "corp", repository, Spec(()), 0)

    for number in range(previewing._AT_ONCE):
        await begin(f"team/{number}")
    with pytest.raises(Refusal, match="20 repositories of corp are being looked at"):
        await begin("team/one-more")
