"""Empty repositories go with a collection: approved, still empty, and while nothing is pushed."""

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from bot.operations import approvals, collection, emptying, requesting
from bot.operations.collection_request import request_collection
from bot.registry.client import UploadSupport
from bot.rules.approval import Request, State
from bot.rules.policy import Action, Protection
from tests.support.controlled_registry import ControlledRegistry
from tests.support.images import pull, push_image
from tests.support.rig import ANN, BOB, Rig, policy

pytestmark = pytest.mark.anyio


async def _emptied(registry: ControlledRegistry, *names: str) -> None:
    async with httpx.AsyncClient(verify=False) as http:
        for name in names:
            pushed = await push_image(registry.url, name, "1")
            gone = await http.delete(f"{registry.url}/v2/{name}/manifests/{pushed.digest}")
            assert gone.status_code == 202


async def _asked(rig: Rig, **options: Any) -> Request:
    """A collection that is to remove the empty repositories, too."""
    draft = await request_collection(
        rig.ctx,
        rig.asked(),
        rig.registry,
        **{"delete_untagged": False, "name": "ask", "remove_empty": True, **options},
    )
    async with rig.store.transaction() as tx:
        return await requesting.submit(tx, draft)


async def _catalog(rig: Rig) -> list[str]:
    return await rig.registry.client.repositories()


async def test_they_go_after_the_collection_and_nested_ones_stay(tmp_path, controlled) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        await _emptied(controlled, "alone", "team/app")
        await push_image(controlled.url, "team/app/sub", "1")
        request = await _asked(rig)
        assert request.plan["remove_empty"] == ["alone", "team/app"]

        ended = await rig.done(request)

        assert ended.state is State.DONE, ended.result
        assert ended.result["emptied"] == {
            "removed": ["alone", "team/app"],
            "kept": [],
            "bytes": 0,
        }
        assert await _catalog(rig) == ["team/app/sub"]
        await pull(controlled.url, "team/app/sub", "1")
        assert await rig.registry.client.probe_upload("alone") is UploadSupport.ACCEPTED
        assert (await rig.audit(request)).count("gc.step") == 10
        # The proofs by upload have not brought one of them back.
        assert not (controlled.root / "docker/registry/v2/repositories/alone/_layers").exists()
        await push_image(controlled.url, "team/app", "2")
        await pull(controlled.url, "team/app", "2")


async def test_without_being_asked_they_are_found_and_stay(tmp_path, controlled) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        await _emptied(controlled, "alone")
        request = await rig.gc()
        assert request.plan["empty"]["names"] == ["alone"]
        assert request.plan["remove_empty"] == []
        ended = await rig.done(request)
        assert "emptied" not in ended.result
        assert await _catalog(rig) == ["alone"]
        assert (await rig.audit(request)).count("gc.step") == 8


async def test_only_what_was_approved_and_is_still_empty_goes(tmp_path, controlled) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        await _emptied(controlled, "filled", "alone")
        request = await _asked(rig)
        await push_image(controlled.url, "filled", "new")
        await _emptied(controlled, "later")

        ended = await rig.done(request)

        assert ended.result["emptied"]["removed"] == ["alone"]
        assert ended.result["emptied"]["kept"] == [["filled", "it has the tag new"]]
        assert await _catalog(rig) == ["filled", "later"]
        await pull(controlled.url, "filled", "new")


@pytest.mark.parametrize(
    "changes",
    [
        {"storage_root": None},
        {"start_read_only": (), "unsafe_allow_live_gc": True},
    ],
    ids=["out of reach", "live"],
)
async def test_it_is_not_offered(tmp_path, controlled, changes: dict[str, Any]) -> None:
    settings = controlled.settings(**changes)
    async with Rig.open(tmp_path, controlled.url, gc=settings) as rig:
        await push_image(controlled.url, "keep", "1")
        await _emptied(controlled, "alone")
        request = await _asked(rig)
        assert request.plan["empty"] is None
        assert request.plan["remove_empty"] == []


async def test_a_storage_for_reading_only_offers_nothing(
    tmp_path, controlled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        await _emptied(controlled, "alone")
        assert (await _asked(rig)).plan["empty"] is None


async def test_offline_they_go_while_nobody_listens(tmp_path, controlled) -> None:
    settings = controlled.settings(mode="offline", start_read_only=())
    async with Rig.open(tmp_path, controlled.url, gc=settings, deadline=0.5) as rig:
        await _emptied(controlled, "alone")
        ended = await rig.done(await _asked(rig))
        assert ended.result["emptied"]["removed"] == ["alone"]
        assert await _catalog(rig) == []


async def test_protected_and_locked_ones_are_left_alone(tmp_path, controlled) -> None:
    protections = [Protection(("prod/**",), ("latest",)), Protection((), ("v*",))]
    rules = policy(protected=protections)
    gc = controlled.settings()
    async with Rig.open(tmp_path, controlled.url, gc=gc, rules=rules) as rig:
        await _emptied(controlled, "alone", "locked", "locked-later", "prod/app")
        await _lock(rig, "locked")
        request = await _asked(rig)
        assert request.plan["remove_empty"] == ["alone", "locked-later"]
        kept = dict(request.plan["empty"]["kept"])
        assert "locked" in kept["locked"]
        assert "protected" in kept["prod/app"]
        await _lock(rig, "locked-later")

        ended = await rig.done(request)

        assert ended.result["emptied"]["removed"] == ["alone"]
        ((name, why),) = ended.result["emptied"]["kept"]
        assert name == "locked-later"
        assert "locked" in why
        assert await _catalog(rig) == ["locked", "locked-later", "prod/app"]


async def _lock(rig: Rig, repository: str) -> None:
    async with rig.store.transaction() as tx:
        await tx.locks.add(
            registry="corp",
            repository=repository,
            reason="moving",
            actor=ANN,
            team="T0TEAM",
            channel="C0OPS",
            request_id=1,
            seconds=None,
        )


async def test_an_aborted_collection_removes_none(tmp_path, controlled) -> None:
    gate = tmp_path / "gate"
    settings = controlled.settings(collect=controlled.slow_collect(gate))
    async with Rig.open(tmp_path, controlled.url, gc=settings) as rig:
        await _emptied(controlled, "alone")
        request = await _asked(rig)
        await rig.approve(request)
        async with rig.working():
            await rig.until(request, lambda r: r.progress.get("step") == "collect")
            await rig.decide(approvals.abort, request, BOB)
            ended = await rig.until(request, lambda r: not r.state.is_open)
        assert ended.state is State.ABORTED
        assert ended.result["emptied"] is None
        assert await _catalog(rig) == ["alone"]


async def test_none_goes_where_pushes_are_accepted_again(
    tmp_path, controlled, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = collection.Run._remove_empty

    async def meanwhile(run: collection.Run) -> None:
        controlled.start("read-write")
        await original(run)

    monkeypatch.setattr(collection.Run, "_remove_empty", meanwhile)
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        await _emptied(controlled, "alone")
        ended = await rig.done(await _asked(rig))
        ((name, why),) = ended.result["emptied"]["kept"]
        assert name == "alone"
        assert "still accepts uploads" in why
        assert await _catalog(rig) == ["alone"]


async def test_a_process_that_dies_among_them_leaves_the_registry_writable(
    tmp_path, controlled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had removed is told, what it had not is not removed without anybody watching."""
    original = emptying.remove
    reached = asyncio.Event()

    async def half(ctx: Any, registry: Any, names: Sequence[str], allowed: Any) -> dict[str, Any]:
        await original(ctx, registry, names[:1], allowed)
        reached.set()
        return await asyncio.Future()

    monkeypatch.setattr(emptying, "remove", half)
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        await _emptied(controlled, "first", "second")
        request = await _asked(rig)
        await rig.approve(request)
        async with rig.working() as worker:
            await asyncio.wait_for(reached.wait(), 30)
            worker.stop()
            for task in list(worker._tasks):
                task.cancel()
        assert (await rig.get(request)).state is State.RUNNING
        monkeypatch.setattr(emptying, "remove", original)

        ended = await rig.finished(request)

        assert ended.state is State.DONE, ended.result
        assert ended.result["emptied"]["removed"] == ["first"]
        assert ended.result["emptied"]["kept"] == [["second", "the bot was interrupted"]]
        assert await _catalog(rig) == ["second"]
        assert await rig.registry.client.probe_upload("first") is UploadSupport.ACCEPTED


async def test_a_collection_of_an_older_version_has_no_such_plan(tmp_path, controlled) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        await push_image(controlled.url, "keep", "1")
        draft = await request_collection(
            rig.ctx, rig.asked(), rig.registry, delete_untagged=False, name="ask"
        )
        assert draft.action == Action.GC
        plan = {k: v for k, v in draft.plan.items() if k not in {"empty", "remove_empty"}}
        async with rig.store.transaction() as tx:
            request = await requesting.submit(tx, _with_plan(draft, plan))
        assert (await rig.done(request)).state is State.DONE


def _with_plan(draft: Any, plan: dict[str, Any]) -> Any:

    return dataclasses.replace(draft, plan=plan)
