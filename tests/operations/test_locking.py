"""Locks on a real registry: what they refuse, stop, hold, and how they end."""

import re
from typing import Any

import pytest

from bot.operations.errors import Refusal
from bot.rules.approval import ItemState, State, WindowState
from bot.rules.policy import Action, Approval, Rule
from tests.support.controlled_registry import ControlledRegistry
from tests.support.images import pull, push_image, push_index
from tests.support.real_registry import RealRegistry
from tests.support.rig import ANN, BOB, CAT, Rig, policy

pytestmark = pytest.mark.anyio


async def _locked(rig: Rig, repository: str, **how: Any) -> None:
    assert (await rig.done(await rig.lock_(repository, **how))).state is State.DONE


async def test_a_locked_repository_refuses_every_plan(rig: Rig, registry: RealRegistry) -> None:
    await push_image(registry.url, "a", "1", layers=[b"one"])
    await push_image(registry.url, "a", "2", layers=[b"two"])
    await push_image(registry.url, "b", "1")
    gone = await rig.done(await rig.delete("a:2"))
    lock = await rig.lock_("a", seconds=3600)
    await rig.done(lock)

    for refused in (rig.delete("a:1"), rig.delete("b:1", "a:1"), rig.purge_("a:1")):
        with pytest.raises(Refusal) as told:
            await refused
        assert f"<@{ANN}>" in told.value.sentence
        assert f"{lock.name}: we move" in told.value.sentence
        assert re.search(r"until \d{4}-\d\d-\d\d \d\d:\d\d UTC", told.value.sentence)
        assert "/registry unlock a" in told.value.hint
    with pytest.raises(Refusal, match="a is locked"):
        await rig.purge_now(gone)

    assert await rig.registry.client.tags("a") == ["1"]
    assert (await rig.done(await rig.delete("b:1"))).state is State.DONE
    assert (await rig.undo_(gone)).state is State.DONE  # bringing back is never locked
    assert await rig.registry.client.tags("a") == ["1", "2"]


async def test_approved_requests_are_outdated_by_a_lock(rig: Rig, registry: RealRegistry) -> None:
    await push_image(registry.url, "a", "1")
    deletion, purging = await rig.delete("a:1"), await rig.purge_("a:1")
    await _locked(rig, "")

    for request in (deletion, purging):
        ended = await rig.done(request)
        assert ended.state is State.OUTDATED
        assert "every repository of corp is locked" in ended.result["why"]
    assert await rig.registry.client.tags("a") == ["1"]


@pytest.mark.parametrize("which", ["delete", "purge"])
async def test_a_lock_stops_a_running_request_between_its_items(
    rig: Rig, registry: RealRegistry, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    for tag in ("1", "2", "3"):
        await push_image(registry.url, "a", tag, layers=[tag.encode()])
    request = await (rig.delete("a:*") if which == "delete" else rig.purge_("a:*"))
    client = rig.registry.client
    real = client.delete_manifest
    times = 0

    async def lock_after_the_first(*where: str) -> None:
        nonlocal times
        await real(*where)
        times += 1
        if times == 1:
            async with rig.store.transaction() as tx:
                await tx.locks.add(
                    "corp", "a", reason="stop", actor=BOB, team="", channel="", request_id=9,
                    seconds=None,
                )  # fmt: skip

    monkeypatch.setattr(client, "delete_manifest", lock_after_the_first)

    ended = await rig.done(request)

    assert ended.state is State.PARTLY_DONE
    assert [i.state for i in ended.items] == [ItemState.DONE, ItemState.LOCKED, ItemState.LOCKED]
    assert "R9: stop" in ended.items[1].detail
    assert await client.tags("a") == ["2", "3"]
    await pull(registry.url, "a", "2")
    events = await rig.audit(request)
    assert events.count("tag.not_deleted" if which == "delete" else "digest.not_deleted") == 2
    attempts = [event for event in events if event.endswith("delete_attempted")]
    assert len(attempts) == 1


async def test_nothing_begun_and_locked_is_outdated(
    rig: Rig, registry: RealRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock comes after the request has begun, and before its first item."""
    await push_image(registry.url, "a", "1")
    request = await rig.delete("a:1")
    real = rig.untag._originals

    async def lock_first(*arguments: Any) -> Any:
        async with rig.store.transaction() as tx:
            await tx.locks.add(
                "corp", "", reason="stop", actor=BOB, team="", channel="", request_id=9,
                seconds=None,
            )  # fmt: skip
        return await real(*arguments)

    monkeypatch.setattr(rig.untag, "_originals", lock_first)
    ended = await rig.done(request)
    assert ended.state is State.OUTDATED
    assert [i.state for i in ended.items] == [ItemState.LOCKED]
    assert await rig.registry.client.tags("a") == ["1"]


async def test_a_lock_holds_what_an_undo_window_keeps(rig: Rig, registry: RealRegistry) -> None:
    child = await push_image(registry.url, "a", "amd", layers=[b"amd"])
    index = await push_index(registry.url, "a", "multi", [child])
    gone = await rig.done(await rig.delete("a:amd", "a:multi"))
    await _locked(rig, "a")

    async with rig.working():
        async with rig.store.transaction() as tx:
            await tx.jobs.wake("end window", gone.id)
        held = await rig.until(gone, lambda r: r.state is State.HELD)

    assert {w.state for w in held.windows} == {WindowState.HELD}
    holders = {w.digest: w.holder for w in held.windows}
    assert "a is locked" in holders[index.digest]
    assert holders[child.digest] == "an image of the same request that is held"
    for digest in (child.digest, index.digest):
        await rig.registry.client.head("a", digest)
    await rig.undo_(held)
    await pull(registry.url, "a", "multi")


async def test_a_lock_ends_by_itself_and_says_so(rig: Rig, registry: RealRegistry) -> None:
    await push_image(registry.url, "a", "1")
    lock = await rig.lock_("a", seconds=0.4)
    await rig.approve(lock)
    async with rig.working():
        await rig.until(lock, lambda r: r.state is State.DONE)

        async def over() -> bool:
            return "lock.expired" in await rig.audit(lock)

        await rig.eventually(over)
    async with rig.store.reading() as tx:
        assert await tx.locks.active("corp") == ()
    assert (await rig.done(await rig.delete("a:1"))).state is State.DONE
    assert await rig.audit(lock) == [
        "request.created",
        "request.approved",
        "request.started",
        "lock.set",
        "request.finished",
        "lock.expired",
    ]


async def test_unlock_allows_it_again(rig: Rig, registry: RealRegistry) -> None:
    await push_image(registry.url, "a", "1")
    await _locked(rig, "a", seconds=3600)
    unlock = await rig.unlock_("a", BOB)
    with pytest.raises(Refusal, match="a is locked"):
        await rig.delete("a:1")  # asked for is not unlocked

    assert (await rig.done(unlock, CAT)).state is State.DONE
    assert (await rig.done(await rig.delete("a:1"))).state is State.DONE
    with pytest.raises(Refusal, match="Nothing is locked on corp"):
        await rig.unlock_("a")


async def test_what_cannot_be_locked_or_unlocked(rig: Rig, registry: RealRegistry) -> None:
    await push_image(registry.url, "team/api", "1")
    await push_image(registry.url, "team/web", "1")
    with pytest.raises(Refusal, match="no repository team/apo") as typo:
        await rig.lock_("team/apo")
    assert "team/api" in typo.value.suggestions

    waiting = await rig.lock_("team/api")
    with pytest.raises(Refusal, match=f"{waiting.name} asks for the same already"):
        await rig.lock_("team/api", user=BOB)
    await rig.done(waiting)
    with pytest.raises(Refusal, match="Nothing to do: team/api is locked by <@U0ANN>"):
        await rig.lock_("team/api", user=BOB)
    with pytest.raises(Refusal, match="Locked are: team/api") as other:
        await rig.unlock_("team/web")
    assert "`/registry locks`" in other.value.hint
    await _locked(rig, "")  # beside the lock of one repository
    with pytest.raises(Refusal, match="no lock of its own; every repository of corp is"):
        await rig.unlock_("team/web")


async def test_the_policy_decides_who_may_lock(registry: RealRegistry, tmp_path) -> None:
    await push_image(registry.url, "ci/x", "1")
    await push_image(registry.url, "a", "1")
    confirm = Rule(
        "ci", frozenset({Action.LOCK}), repositories=("ci/**",), approval=Approval.CONFIRM
    )
    tags = Rule(
        "tags", frozenset({Action.LOCK}), repositories=("a",), tags=("*",),
        approval=Approval.CONFIRM,
    )  # fmt: skip
    async with Rig.open(tmp_path, registry.url, rules=policy(rules=[confirm, tags])) as rig:
        assert (await rig.done(await rig.lock_("ci/x"), ANN)).state is State.DONE
        assert (await rig.lock_("a")).rule == "default"  # a rule that names tags means images
        assert (await rig.lock_("")).rule == "default"


async def test_a_lock_does_not_wait_for_whatever_holds_the_registry(
    rig: Rig, registry: RealRegistry
) -> None:
    await push_image(registry.url, "a", "1")
    async with rig.store.transaction() as tx:
        await tx.jobs.add("collect", registry="corp", exclusive=True)
    assert await rig.store.claim_job("somebody else", lease=30) is not None
    await _locked(rig, "a")
    await rig.done(await rig.unlock_("a"))
    async with rig.store.reading() as tx:
        assert await tx.locks.active("corp") == ()


async def test_an_unlock_never_ends_a_later_lock(rig: Rig, registry: RealRegistry) -> None:
    await push_image(registry.url, "a", "1")
    await _locked(rig, "a", seconds=2.0)  # so long that the request is made by then
    unlock = await rig.unlock_("a")

    async def free() -> bool:
        async with rig.store.reading() as tx:
            return not await tx.locks.active("corp")

    await rig.eventually(free)
    await _locked(rig, "a")
    assert (await rig.done(unlock)).state is State.OUTDATED
    assert not await free()


async def test_locks_and_collections(tmp_path) -> None:
    controlled = ControlledRegistry(tmp_path)
    controlled.start()
    try:
        async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
            await push_image(controlled.url, "a", "1")
            await _locked(rig, "a")
            plain = await rig.gc()  # frees only what nothing refers to
            await _locked(rig, "")
            ended = await rig.done(plain)
            assert ended.state is State.OUTDATED
            assert "every repository of corp is locked" in ended.result["why"]
            with pytest.raises(Refusal, match="every repository of corp is locked"):
                await rig.gc()
    finally:
        controlled.stop()
