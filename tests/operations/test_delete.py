"""Deleting tags on a real registry 2.8: what goes, what stays, and what stops it."""

import asyncio
import dataclasses
from functools import partial
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from aiohttp import web

from bot.operations.errors import Refusal
from bot.operations.untag import TAKE_BACK
from bot.registry.errors import NotFound, Unreachable
from bot.registry.manifest import untag_placeholder
from bot.rules.approval import ItemState, State, WindowState
from bot.rules.plan import DeletionPlan
from bot.rules.policy import Action, Protection, Rule, Step
from bot.store.jobs import LeaseLost
from bot.store.schema import jobs
from tests.support.clock import pass_by
from tests.support.faults import Serve, hang_up
from tests.support.images import Pushed, pull, push_image, push_index
from tests.support.proxy import Proxy
from tests.support.real_registry import RealRegistry
from tests.support.rig import ANN, BOB, CAT, Rig, policy

pytestmark = pytest.mark.anyio


async def _same_image(registry: RealRegistry, repo: str, *tags: str) -> str:
    """One image under several tags."""
    pushed = await push_image(registry.url, repo, tags[0], layers=[b"one layer"])
    async with httpx.AsyncClient(verify=False) as http:
        for tag in tags[1:]:
            answer = await http.put(
                f"{registry.url}/v2/{repo}/manifests/{tag}",
                content=pushed.body,
                headers={"Content-Type": pushed.media_type},
            )
            answer.raise_for_status()
    return pushed.digest


async def test_only_the_named_tag_goes(rig: Rig, registry: RealRegistry) -> None:
    digest = await _same_image(registry, "a", "1", "2")
    request = await rig.delete("a:1")
    plan = DeletionPlan.from_json(request.plan)
    assert plan.digests[0].kept_tags == ("2",)
    assert plan.unique_bytes == 0

    ended = await rig.done(request)

    assert ended.state is State.DONE
    assert await rig.registry.client.tags("a") == ["2"]
    await pull(registry.url, "a", "2")
    await pull(registry.url, "a", digest)


async def test_nothing_happens_before_somebody_else_approves(
    rig: Rig, registry: RealRegistry
) -> None:
    await push_image(registry.url, "a", "1")
    request = await rig.delete("a:1")

    with pytest.raises(Refusal, match="somebody else"):
        await rig.approve(request, ANN)
    with pytest.raises(Refusal, match="not among the approvers"):
        await rig.approve(request, "U0EVE")

    assert (await rig.get(request)).state is State.PENDING
    assert await rig.registry.client.tags("a") == ["1"]


async def test_a_retag_before_the_run_makes_it_outdated(rig: Rig, registry: RealRegistry) -> None:
    await push_image(registry.url, "a", "1", layers=[b"old"])
    request = await rig.delete("a:1")
    await rig.approve(request)
    newer = await push_image(registry.url, "a", "1", layers=[b"new"])

    ended = await rig.finished(request)

    assert ended.state is State.OUTDATED
    assert "moved" in ended.result["why"]
    assert (await rig.registry.client.head("a", "1")).digest == newer.digest


async def test_a_new_sibling_tag_makes_it_outdated(rig: Rig, registry: RealRegistry) -> None:
    await _same_image(registry, "a", "1")
    request = await rig.delete("a:1")
    await rig.approve(request)
    await _same_image(registry, "a", "1", "2")

    ended = await rig.finished(request)

    assert ended.state is State.OUTDATED
    assert await rig.registry.client.tags("a") == ["1", "2"]


async def test_undo_restores_the_same_bytes(rig: Rig, registry: RealRegistry) -> None:
    pushed = await push_image(registry.url, "a", "1")
    gone = await rig.done(await rig.delete("a:1"))
    assert await rig.registry.client.tags("a") == []

    back = await rig.undo_(gone)

    assert back.state is State.DONE
    assert (await rig.registry.client.manifest("a", "1")).body == pushed.body
    await pull(registry.url, "a", "1")
    assert (await rig.get(gone)).state is State.UNDONE


async def test_undo_restores_an_index_whose_children_went(rig: Rig, registry: RealRegistry) -> None:
    children = [
        await push_image(registry.url, "a", "", layers=[b"amd"], platform=("linux", "amd64")),
        await push_image(registry.url, "a", "", layers=[b"arm"], platform=("linux", "arm64")),
    ]
    index = await push_index(registry.url, "a", "multi", children)
    gone = await rig.done(await rig.delete("a:multi"))
    await rig.purge_now(gone)
    with pytest.raises(NotFound):
        await rig.registry.client.head("a", children[0].digest)

    back = await rig.undo_(gone)

    assert back.state is State.DONE, back
    assert (await rig.registry.client.manifest("a", "multi")).body == index.body
    await pull(registry.url, "a", "multi")


async def test_undo_never_moves_a_tag(rig: Rig, registry: RealRegistry) -> None:
    await push_image(registry.url, "a", "1", layers=[b"old"])
    gone = await rig.done(await rig.delete("a:1"))
    newer = await push_image(registry.url, "a", "1", layers=[b"new"])

    back = await rig.undo_(gone)

    assert back.state is State.FAILED
    assert back.items[0].state is ItemState.MOVED
    assert newer.digest in back.items[0].detail
    assert (await rig.registry.client.head("a", "1")).digest == newer.digest


async def test_undo_replaces_what_a_killed_process_left(rig: Rig, registry: RealRegistry) -> None:
    """Its push of a placeholder came after another process had ended the work."""
    pushed = await push_image(registry.url, "a", "1")
    client = rig.registry.client
    original = await client.manifest("a", "1")
    gone = await rig.done(await rig.delete("a:1"))
    late = untag_placeholder(original, None, "R1 late")
    await client.put_manifest("a", "1", late)

    back = await rig.undo_(gone)

    assert back.state is State.DONE, back
    assert (await client.manifest("a", "1")).body == pushed.body
    with pytest.raises(NotFound):
        await client.head("a", late.digest)


async def test_a_window_that_ends_purges_the_digest(rig: Rig, registry: RealRegistry) -> None:
    pushed = await push_image(registry.url, "a", "1")
    gone = await rig.done(await rig.delete("a:1"))
    assert gone.windows[0].state is WindowState.OPEN
    await pull(registry.url, "a", pushed.digest)

    await rig.purge_now(gone)

    assert (await rig.get(gone)).state is State.PURGED
    with pytest.raises(NotFound):
        await rig.registry.client.head("a", pushed.digest)


async def test_a_window_ends_by_itself(registry: RealRegistry, tmp_path) -> None:
    pushed = await push_image(registry.url, "a", "1")
    rules = policy(undo_window=0.3)
    async with Rig.open(tmp_path, registry.url, rules=rules) as rig, rig.working():
        request = await rig.delete("a:1")
        await rig.approve(request)
        await rig.until(request, lambda r: r.state is State.PURGED)
        with pytest.raises(NotFound):
            await rig.registry.client.head("a", pushed.digest)


async def test_a_digest_with_another_tag_is_held(rig: Rig, registry: RealRegistry) -> None:
    digest = await _same_image(registry, "a", "1", "2")
    gone = await rig.done(await rig.delete("a:1"))

    await rig.purge_now(gone)

    held = await rig.get(gone)
    assert held.state is State.HELD
    assert "a:2" in held.windows[0].holder
    await pull(registry.url, "a", digest)


async def test_a_child_of_a_tagged_index_is_held(rig: Rig, registry: RealRegistry) -> None:
    child = await push_image(registry.url, "a", "amd", layers=[b"amd"])
    await push_index(registry.url, "a", "multi", [child])
    gone = await rig.done(await rig.delete("a:amd"))

    await rig.purge_now(gone)

    held = await rig.get(gone)
    assert held.state is State.HELD
    assert "a:multi" in held.windows[0].holder
    await pull(registry.url, "a", "multi")


async def test_a_child_of_an_index_in_an_open_window_is_held(
    rig: Rig, registry: RealRegistry
) -> None:
    child = await push_image(registry.url, "a", "amd", layers=[b"amd"])
    await push_index(registry.url, "a", "multi", [child])
    index_gone = await rig.done(await rig.delete("a:multi"))
    child_gone = await rig.done(await rig.delete("a:amd"))

    await rig.purge_now(child_gone)

    assert (await rig.get(child_gone)).windows[0].holder == f"the undo window of {index_gone.name}"
    await rig.undo_(index_gone)
    await pull(registry.url, "a", "multi")


async def test_a_protection_that_came_later_holds_the_digest(
    rig: Rig, registry: RealRegistry
) -> None:
    pushed = await push_image(registry.url, "a", "1")
    gone = await rig.done(await rig.delete("a:1"))
    later = rig.with_policy(policy(protected=[Protection(("a",), ())]))
    async with later.working():
        async with later.store.transaction() as tx:
            await tx.jobs.wake("end window", gone.id)
        held = await later.until(gone, lambda r: r.state is State.HELD)
    assert "protection" in held.windows[0].holder
    await pull(registry.url, "a", pushed.digest)


async def test_an_approver_who_left_no_longer_counts(rig: Rig, registry: RealRegistry) -> None:
    await push_image(registry.url, "a", "1")
    request = await rig.delete("a:1")
    await rig.approve(request, CAT)
    from bot.rules.policy import Group

    before = policy()
    smaller = type(before)(
        {"leads": Group("leads", frozenset({BOB}))}, before.rules, (), before.channels
    )

    ended = await rig.with_policy(smaller).finished(request)

    assert ended.state is State.OUTDATED
    assert await rig.registry.client.tags("a") == ["1"]


async def test_protected_unknown_and_bare_names_are_refused(registry: RealRegistry, tmp_path):
    await push_image(registry.url, "prod/api", "1.0")
    await push_image(registry.url, "team/api", "1.4.0")
    rules = policy(protected=[Protection(("prod/**",), ())])
    async with Rig.open(tmp_path, registry.url, rules=rules) as rig:
        with pytest.raises(Refusal, match="protected"):
            await rig.delete("prod/api:1.0")
        with pytest.raises(Refusal, match=r"1\.4\.0") as bare:
            await rig.delete("team/api")
        assert "team/api:TAG" in bare.value.hint
        with pytest.raises(Refusal) as unknown:
            await rig.delete("team/api:1.4.1")
        assert unknown.value.suggestions == ("1.4.0",)
        with pytest.raises(Refusal) as nowhere:
            await rig.delete("team/apo:1.4.0")
        assert "team/api" in nowhere.value.suggestions


async def test_a_registry_without_deletion_says_so_before_anybody_approves(tmp_path) -> None:
    with RealRegistry(tmp_path / "registry", delete=False) as registry:
        await push_image(registry.url, "a", "1")
        async with Rig.open(tmp_path, registry.url) as rig:
            with pytest.raises(Refusal, match="switched off") as refused:
                await rig.delete("a:1")
            assert "storage.delete.enabled" in refused.value.hint
            assert await rig.registry.client.tags("a") == ["1"]


async def test_purge_takes_every_tag_and_the_children(rig: Rig, registry: RealRegistry) -> None:
    child = await push_image(registry.url, "a", "", layers=[b"amd"])
    index = await push_index(registry.url, "a", "multi", [child])
    ended = await rig.done(await rig.purge_(f"a@{index.digest[:19]}"))

    assert ended.state is State.PURGED
    for digest in (index.digest, child.digest):
        with pytest.raises(NotFound):
            await rig.registry.client.head("a", digest)


async def test_purge_of_a_child_that_an_index_needs_is_refused(
    rig: Rig, registry: RealRegistry
) -> None:
    child = await push_image(registry.url, "a", "amd", layers=[b"amd"])
    await push_index(registry.url, "a", "multi", [child])
    with pytest.raises(Refusal, match="a:multi"):
        await rig.purge_("a:amd")


async def test_signature_tags_are_named_and_never_picked_by_a_pattern(
    rig: Rig, registry: RealRegistry
) -> None:
    pushed = await push_image(registry.url, "a", "1")
    signature = pushed.digest.replace(":", "-") + ".sig"
    await push_image(registry.url, "a", signature, layers=[b"signature"])

    request = await rig.delete("a:*")

    plan = DeletionPlan.from_json(request.plan)
    assert [tag for _, tag, _ in plan.tags] == ["1"]
    assert plan.digests[0].signatures == (signature,)


async def test_the_audit_tells_the_whole_story(rig: Rig, registry: RealRegistry) -> None:
    await push_image(registry.url, "a", "1")
    request = await rig.delete("a:1")
    await rig.done(request)
    assert await rig.audit(request) == [
        "request.created",
        "request.approved",
        "request.started",
        "tag.delete_attempted",
        "tag.deleted",
        "request.finished",
    ]


async def test_a_broken_index_can_still_be_untagged(rig: Rig, registry: RealRegistry) -> None:
    lost = await push_image(registry.url, "a", "", layers=[b"amd"])
    kept = await push_image(registry.url, "a", "", layers=[b"arm"], platform=("linux", "arm64"))
    await push_index(registry.url, "a", "multi", [lost, kept])
    await rig.registry.client.delete_manifest("a", lost.digest)

    request = await rig.delete("a:multi")
    plan = DeletionPlan.from_json(request.plan)
    assert plan.digests[0].missing_children == (lost.digest,)
    assert "broken already" in " ".join(plan.warnings)

    ended = await rig.done(request)

    assert ended.state is State.DONE, ended.items
    assert await rig.registry.client.tags("a") == []


async def test_two_approvals_are_two_people(registry: RealRegistry, tmp_path) -> None:
    await push_image(registry.url, "a", "1")
    before = policy()
    double = Rule(
        name="double",
        actions=frozenset({Action.DELETE}),
        requesters=("anyone",),
        steps=(Step(("leads",), 2),),
    )
    rules = dataclasses.replace(before, rules=(double,))
    async with Rig.open(tmp_path, registry.url, rules=rules) as rig:
        request = await rig.delete("a:1")
        assert "1 more to go" in await rig.approve(request, BOB)
        with pytest.raises(Refusal, match="decided on R1 already"):
            await rig.approve(request, BOB)
        assert (await rig.get(request)).state is State.PENDING
        await rig.approve(request, CAT)
        assert (await rig.finished(request)).state is State.DONE


async def test_a_changed_rule_makes_open_requests_outdated(
    rig: Rig, registry: RealRegistry
) -> None:
    await push_image(registry.url, "a", "1")
    request = await rig.delete("a:1")
    stricter = rig.with_policy(policy(undo_window=60.0))
    assert "outdated" in await stricter.approve(request)
    assert (await rig.get(request)).state is State.OUTDATED
    assert await rig.registry.client.tags("a") == ["1"]


async def test_waiting_for_the_registrys_lock_stops_the_clock(registry, tmp_path) -> None:
    """Another exclusive job held the registry for longer than `execute_within`."""
    await push_image(registry.url, "a", "1")
    async with Rig.open(tmp_path, registry.url, rules=policy(execute_within=2.0)) as rig:
        async with rig.store.transaction() as tx:
            await tx.jobs.add("collect", registry="corp", exclusive=True)
        other = await rig.store.claim_job("somebody else", lease=30)
        assert other is not None
        request = await rig.delete("a:1")
        await rig.approve(request)
        await asyncio.sleep(2.2)  # longer than execute_within; time is what this is about
        async with rig.store.transaction(other) as tx:
            await tx.jobs.finish(other)
        assert (await rig.finished(request)).state is State.DONE


async def test_an_approval_that_comes_to_nothing_in_time_expires(registry, tmp_path) -> None:
    await push_image(registry.url, "a", "1")
    async with Rig.open(tmp_path, registry.url, rules=policy(execute_within=0.3)) as rig:
        request = await rig.delete("a:1")
        await rig.approve(request)
        await asyncio.sleep(0.5)
        ended = await rig.finished(request)
        assert ended.state is State.EXPIRED
        assert await rig.registry.client.tags("a") == ["1"]


async def test_a_paused_worker_that_wakes_up_does_nothing(rig: Rig, registry: RealRegistry) -> None:
    """Its lease ran out while it slept; the registry is not touched on its behalf."""
    await push_image(registry.url, "a", "1")
    request = await rig.delete("a:1")
    await rig.approve(request)
    slow = await rig.store.claim_job("paused", lease=0.0)
    assert slow is not None
    ended = await rig.finished(request)
    assert ended.state is State.DONE
    pushed = await push_image(registry.url, "a", "1")
    with pytest.raises(LeaseLost):
        await rig.untag._one(
            slow,
            await rig.get(request),
            rig.registry,
            DeletionPlan.from_json(request.plan),
            request.items[0],
            await rig.untag._originals(rig.registry, request),
        )
    assert (await rig.registry.client.head("a", "1")).digest == pushed.digest


async def _is_taken_back(rig: Rig) -> bool:
    query = sa.select(jobs.c.id).where(jobs.c.kind == TAKE_BACK, jobs.c.state != "done")
    async with rig.store.reading() as tx:
        return (await tx.conn.execute(query)).first() is None


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("cancelled", [False, True])
@pytest.mark.parametrize("undone", [False, True])
async def test_a_push_that_a_pause_held_up_leaves_nothing_behind(
    rig: Rig, registry: RealRegistry, undone: bool, cancelled: bool, away: bool
) -> None:
    """The worker slept between its last look and the push; another one ended the work meanwhile.

    Its heartbeat may be the first to hear of that: the work is cancelled in the middle of the push.
    And the registry may be away by then, as where a collection begins.
    """
    image = await push_image(registry.url, "a", "1")
    request = await rig.delete("a:1")
    await rig.approve(request)
    paused = await rig.store.claim_job("paused", lease=600.0)
    assert paused is not None
    client = rig.registry.client
    under_way: list[asyncio.Future[Any]] = []

    class Sleeper:
        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

        async def put_manifest(self, *args: Any) -> None:
            await pass_by(rig.store, 601.0)
            assert (await rig.finished(request)).state is State.DONE
            if undone:
                assert (await rig.undo_(request)).state is State.DONE
            self.__class__.put_manifest = lambda _, *args: client.put_manifest(*args)
            # Once it is on its way it arrives, whoever still waits for its answer.
            under_way.append(asyncio.ensure_future(client.put_manifest(*args)))
            if cancelled:
                working.cancel()
            await asyncio.shield(under_way[-1])

        async def delete_manifest(self, *args: Any) -> None:
            if away:
                raise Unreachable("The registry does not answer.")
            await client.delete_manifest(*args)

    working = asyncio.create_task(
        rig.untag._one(
            paused,
            await rig.get(request),
            dataclasses.replace(rig.registry, client=Sleeper()),
            DeletionPlan.from_json(request.plan),
            request.items[0],
            await rig.untag._originals(rig.registry, request),
        )
    )
    with pytest.raises(asyncio.CancelledError if cancelled else LeaseLost):
        await working
    await asyncio.gather(*under_way)
    if away:
        assert await client.tags("a") == ["1"]
        async with rig.working():
            await rig.eventually(partial(_is_taken_back, rig))
    assert await client.tags("a") == (["1"] if undone else [])
    if undone:
        assert (await client.head("a", "1")).digest == image.digest


async def test_a_push_behind_a_lost_answer_stays(registry: RealRegistry, tmp_path) -> None:
    """The placeholder arrived, its answer did not, and then somebody pushed that tag again."""
    await push_image(registry.url, "a", "1", layers=[b"old"])
    pushed: list[Pushed] = []

    async def lost(request: web.Request, serve: Serve) -> web.StreamResponse:
        await serve(request)
        pushed.append(await push_image(registry.url, "a", "1", layers=[b"new"]))
        return hang_up(request)

    async with Proxy.open(registry.url) as proxy, Rig.open(tmp_path, proxy.url) as rig:
        request = await rig.delete("a:1")
        proxy.plan(r"^PUT .*/manifests/1$", lost)
        ended = await rig.done(request)
        assert (await rig.registry.client.head("a", "1")).digest == pushed[0].digest
    assert ended.items[0].state is ItemState.MOVED
    assert pushed[0].digest in ended.items[0].detail


@pytest.mark.parametrize("pushed", [False, True])
async def test_a_refused_delete_gives_no_tag_back_that_others_have_changed(
    registry: RealRegistry, tmp_path, pushed: bool
) -> None:
    await push_image(registry.url, "a", "1", layers=[b"old"])

    async def refused(request: web.Request, serve: Serve) -> web.StreamResponse:
        await serve(request)  # somebody else took it away
        if pushed:
            await push_image(registry.url, "a", "1", layers=[b"new"])
        return web.json_response({"errors": [{"code": "UNSUPPORTED"}]}, status=405)

    async with Proxy.open(registry.url) as proxy, Rig.open(tmp_path, proxy.url) as rig:
        request = await rig.delete("a:1")
        proxy.plan(r"^DELETE .*/manifests/sha256:", refused)
        ended = await rig.done(request)
        assert await rig.registry.client.tags("a") == (["1"] if pushed else [])
    (item,) = ended.items
    assert item.state is (ItemState.MOVED if pushed else ItemState.DONE)
    assert "None" not in item.detail


async def test_windows_never_promise_a_shared_layer_twice(rig: Rig, registry: RealRegistry) -> None:
    shared = b"a layer that both have" * 1000
    await push_image(registry.url, "a", "1", layers=[shared, b"one"])
    await push_image(registry.url, "a", "2", layers=[shared, b"two"])
    request = await rig.delete("a:*")
    plan = DeletionPlan.from_json(request.plan)

    ended = await rig.done(request)

    assert sum(window.size for window in ended.windows) == plan.unique_bytes
    assert plan.unique_bytes < 2 * len(shared)


async def test_a_protected_index_keeps_the_child_that_went_with_it(
    rig: Rig, registry: RealRegistry
) -> None:
    """Both tags went in one request; only the index is protected by the time the window ends."""
    child = await push_image(registry.url, "a", "amd", layers=[b"amd"])
    await push_index(registry.url, "a", "multi", [child])
    gone = await rig.done(await rig.delete("a:amd", "a:multi"))
    later = rig.with_policy(policy(protected=[Protection(("a",), ("multi",))]))

    async with later.working():
        async with later.store.transaction() as tx:
            await tx.jobs.wake("end window", gone.id)
        held = await later.until(gone, lambda r: r.state is State.HELD)

    assert {w.state for w in held.windows} == {WindowState.HELD}
    await later.undo_(held)
    await pull(registry.url, "a", "multi")
