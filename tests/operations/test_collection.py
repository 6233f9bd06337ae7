"""Collections on a real registry, switched by real commands, with real bytes."""

import asyncio
import dataclasses
import os
import sys
from pathlib import Path

import pytest

from bot.operations import approvals
from bot.operations.collection_request import preview, request_collection
from bot.operations.context import Asked
from bot.operations.errors import Refusal
from bot.registry.client import UploadSupport
from bot.rules.approval import Request, State
from bot.rules.policy import Action, Actor, Emergency
from bot.store.outbox import FILE
from tests.support.controlled_registry import ControlledRegistry
from tests.support.images import pull, push_image, push_index
from tests.support.rig import BOB, CHANNEL, TEAM, Rig, policy

pytestmark = pytest.mark.anyio


async def _garbage(rig: Rig, registry: ControlledRegistry) -> int:
    """Delete and purge an image; the bytes on disk that a collection must free for it.

    Besides manifest, config and layer there is the manifest of the untag's placeholder.
    """
    before = registry.blob_digests()
    await push_image(registry.url, "a", "1", layers=[os.urandom(50_000)])
    await rig.purge_now(await rig.done(await rig.delete("a:1")))
    garbage = registry.blob_digests() - before
    assert len(garbage) == 4
    return sum(registry.blob_path(digest).stat().st_size for digest in garbage)


async def _writable(rig: Rig) -> bool:
    return await rig.registry.client.probe_upload("keep") is UploadSupport.ACCEPTED


async def test_it_frees_what_was_deleted_and_ends_writable(tmp_path, controlled) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        await push_image(controlled.url, "keep", "1", layers=[b"stays"])
        size = await _garbage(rig, controlled)
        request = await rig.gc()
        assert request.plan["preview"]["bytes"] == size

        ended = await rig.done(request)

        assert ended.state is State.DONE, ended.result
        assert ended.result["freed_bytes"] == size
        assert ended.result["freed_blobs"] == 4
        assert await _writable(rig)
        await pull(controlled.url, "keep", "1")
        events = await rig.audit(request)
        assert events.count("gc.step") == 9
        assert ended.result["canary"]["images"] == 1
        assert ended.result["canary"]["broken"] == []
        assert ended.result["canary"]["read"] > 0


async def test_purging_an_index_frees_its_children_too(tmp_path, controlled) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        await push_image(controlled.url, "keep", "1", layers=[b"stays"])
        before = controlled.blob_digests()
        children = [
            await push_image(controlled.url, "a", "", layers=[b"amd"]),
            await push_image(controlled.url, "a", "", layers=[b"arm"]),
        ]
        await push_index(controlled.url, "a", "multi", children)
        await rig.purge_now(await rig.done(await rig.delete("a:multi")))

        await rig.done(await rig.gc())

        assert controlled.blob_digests() == before


async def test_an_open_undo_window_survives_a_collection(tmp_path, controlled) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        await push_image(controlled.url, "a", "1", layers=[b"comes back"])
        gone = await rig.done(await rig.delete("a:1"))
        request = await rig.gc()
        assert request.plan["windows"][0][0] == gone.id

        await rig.done(request)

        await rig.undo_(gone)
        await pull(controlled.url, "a", "1")


async def test_undo_after_purge_and_collection_says_that_it_cannot(tmp_path, controlled) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        await push_image(controlled.url, "keep", "1", layers=[b"stays"])
        await push_image(controlled.url, "a", "1", layers=[b"never comes back"])
        gone = await rig.done(await rig.delete("a:1"))
        await rig.purge_now(gone)
        await rig.done(await rig.gc())

        back = await rig.undo_(gone)

        assert back.state is State.FAILED
        assert "gone" in back.items[0].detail
        assert await rig.registry.client.tags("a") == []


async def test_abort_kills_it_and_restores_the_registry(tmp_path, controlled) -> None:
    gate = tmp_path / "gate"
    settings = controlled.settings(collect=controlled.slow_collect(gate))
    async with Rig.open(tmp_path, controlled.url, gc=settings) as rig:
        await _garbage(rig, controlled)
        request = await rig.gc()
        await rig.approve(request)
        async with rig.working():
            await rig.until(request, lambda r: r.progress.get("step") == "collect")
            await _holding(gate)
            await rig.decide(approvals.abort, request, BOB)
            ended = await rig.until(request, lambda r: not r.state.is_open)
        assert ended.state is State.ABORTED
        assert await _writable(rig)
        assert not await rig.registry.collector.collecting()


async def _holding(gate: Path) -> None:
    async with asyncio.timeout(30):
        while not gate.with_name(gate.name + ".holding").exists():
            await asyncio.sleep(0.02)


async def test_no_read_only_no_collection(tmp_path, controlled) -> None:
    """A switch that does not switch is caught by the proof, before anything is collected."""
    settings = controlled.settings(start_read_only=tuple(controlled.argv("read-write")))
    async with Rig.open(tmp_path, controlled.url, gc=settings) as rig:
        await _garbage(rig, controlled)
        before = controlled.blob_digests()
        ended = await rig.done(await rig.gc())
        assert ended.state is State.FAILED
        assert "still accepts uploads" in ended.result["why"]
        assert controlled.blob_digests() == before
        assert await _writable(rig)


async def test_another_storage_behind_the_switch_is_seen(tmp_path, controlled) -> None:
    def with_storage(name: str, instead: str, mode: str) -> tuple[str, ...]:
        swap = f"sed -i 's#/{instead}\"#/{name}\"#' {controlled.config_path}"
        return ("sh", "-c", f"{swap} && exec {' '.join(controlled.argv(mode))}")

    settings = controlled.settings(
        start_read_only=with_storage("elsewhere", "storage", "read-only"),
        start=with_storage("storage", "elsewhere", "read-write"),
    )
    async with Rig.open(tmp_path, controlled.url, gc=settings) as rig:
        await push_image(controlled.url, "keep", "1")
        await _garbage(rig, controlled)
        before = controlled.blob_digests()
        ended = await rig.done(await rig.gc())
        assert ended.state is State.FAILED
        assert "serves another storage" in ended.result["why"]
        assert controlled.blob_digests() == before
        await pull(controlled.url, "keep", "1")
        assert await _writable(rig)


async def test_a_registry_made_writable_behind_our_back_aborts_it(tmp_path, controlled) -> None:
    gate = tmp_path / "gate"
    settings = controlled.settings(collect=controlled.slow_collect(gate))
    async with Rig.open(tmp_path, controlled.url, gc=settings) as rig:
        await _garbage(rig, controlled)
        request = await rig.gc()
        await rig.approve(request)
        async with rig.working():
            await _holding(gate)
            controlled.start("read-write")
            controlled.fail("read-write", "no space left on device")
            await rig.until(request, lambda r: bool(r.progress.get("help")))
            controlled.fail("read-write", None)
            ended = await rig.until(request, lambda r: not r.state.is_open)
        assert ended.state is State.ABORTED  # whatever came in between
        assert "accepted an upload during the collection" in ended.result["why"]
        assert not ended.result["taken_over"]
        assert "gc.taken_over" not in await rig.audit(request)
        assert await _writable(rig)


async def test_a_failed_restore_calls_for_help_and_keeps_trying(tmp_path, controlled) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        await _garbage(rig, controlled)
        request = await rig.gc()
        await rig.approve(request)
        controlled.fail("read-write", "no space left on device")
        async with rig.working():
            helpless = await rig.until(request, lambda r: bool(r.progress.get("help")))
            assert "no space left" in helpless.progress["help"]
            controlled.fail("read-write", None)
            ended = await rig.until(request, lambda r: not r.state.is_open)
        assert ended.result["freed_blobs"] == 4
        assert await _writable(rig)
        assert "gc.restore_failed" in await rig.audit(request)


async def test_a_worker_that_stops_hands_the_collection_over(tmp_path, controlled) -> None:
    """SIGTERM in the middle: the collection goes on, and the next process finishes the job."""
    gate = tmp_path / "gate"
    settings = controlled.settings(collect=controlled.slow_collect(gate))
    async with Rig.open(tmp_path, controlled.url, gc=settings) as rig:
        size = await _garbage(rig, controlled)
        request = await rig.gc()
        await rig.approve(request)
        async with rig.working() as worker:
            await _holding(gate)
            worker.stop()
            for task in list(worker._tasks):
                task.cancel()
        assert (await rig.get(request)).state is State.RUNNING
        assert await rig.registry.collector.collecting()
        async with rig.working():
            await rig.until(request, lambda r: bool(r.progress.get("taken_over")))
            assert not await _writable_now(rig)
            gate.touch()
            ended = await rig.until(request, lambda r: not r.state.is_open)
        assert ended.state is State.DONE, ended.result
        assert ended.result["freed_bytes"] == size
        (log,) = [one for one in await rig.letters(FILE) if one["name"] == "log"]
        assert log["content"].count("Deleting blob") == 4, "what a dead process began is in it too"
        assert await _writable(rig)


async def _writable_now(rig: Rig) -> bool:
    return await rig.registry.client.probe_upload("a") is UploadSupport.ACCEPTED


async def test_a_dry_run_changes_nothing(tmp_path, controlled) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        size = await _garbage(rig, controlled)
        before = controlled.blob_digests()
        seen = await preview(rig.ctx, rig.registry, delete_untagged=False, name="look")
        assert (seen.blobs, seen.size) == (4, size)
        assert controlled.blob_digests() == before
        assert await _writable(rig)


async def test_one_collection_at_a_time(tmp_path, controlled) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        await push_image(controlled.url, "a", "1")
        first: Request = await rig.gc()
        with pytest.raises(Refusal, match=first.name):
            await rig.gc()


async def test_an_emergency_does_not_wait_for_what_nobody_has_decided(tmp_path, controlled) -> None:
    glass = Emergency(True, frozenset({Action.GC}), ("leads",), 20, ("leads",))
    rules = dataclasses.replace(policy(), emergency=glass)
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings(), rules=rules) as rig:
        await push_image(controlled.url, "a", "1")
        pending = await rig.gc()
        full = Asked(Actor(BOB, TEAM), CHANNEL, "the disk is full, all waits", emergency=True)

        async def ask() -> Request:
            draft = await request_collection(
                rig.ctx, full, rig.registry, delete_untagged=False, name="ask"
            )
            return await rig._submit(draft)

        urgent = await ask()
        assert urgent.emergency
        with pytest.raises(Refusal, match=urgent.name):
            await ask()
        await rig.decide(approvals.cancel, urgent, BOB)
        await rig.approve(pending)
        with pytest.raises(Refusal, match=f"{pending.name} asks .* already; it is approved"):
            await ask()


async def test_offline_mode_stops_the_registry_instead(tmp_path, controlled) -> None:
    settings = controlled.settings(mode="offline", start_read_only=())
    async with Rig.open(tmp_path, controlled.url, gc=settings, deadline=0.5) as rig:
        size = await _garbage(rig, controlled)
        ended = await rig.done(await rig.gc())
        assert ended.state is State.DONE, ended.result
        assert ended.result["freed_bytes"] == size
        assert await _writable(rig)


async def test_without_storage_root_bytes_are_not_made_up(tmp_path, controlled) -> None:
    settings = controlled.settings(storage_root=None)
    async with Rig.open(tmp_path, controlled.url, gc=settings) as rig:
        await _garbage(rig, controlled)
        request = await rig.gc()
        assert request.plan["preview"]["bytes"] is None
        ended = await rig.done(request)
        assert ended.result["freed_blobs"] == 4
        assert ended.result["freed_bytes"] is None
        assert ended.result["uploads"] is None


async def test_no_collector_no_request(tmp_path, controlled) -> None:
    async with Rig.open(tmp_path, controlled.url) as rig:
        with pytest.raises(Refusal, match=r"no \[registries.gc\]"):
            await rig.gc()


async def test_a_running_command_that_cannot_tell_is_named_at_once(tmp_path, controlled) -> None:
    settings = controlled.settings(running=("sh", "-c", "exit 127"))
    async with Rig.open(tmp_path, controlled.url, gc=settings) as rig:
        await push_image(controlled.url, "a", "1")
        ended = await rig.done(await rig.gc())
        assert ended.state is State.FAILED
        assert "`running` could not tell" in ended.result["why"]
        assert await rig.registry.client.probe_upload("a") is UploadSupport.ACCEPTED


_DESTROYS = """
import os, subprocess, sys
done = subprocess.run(["docker-registry", "garbage-collect", *sys.argv[2:]])
if "--dry-run" not in sys.argv:
    os.remove(sys.argv[1])
sys.exit(done.returncode)
"""


async def test_an_image_that_the_collection_broke_is_found_and_told(tmp_path, controlled) -> None:
    kept = await push_image(controlled.url, "keep", "1", layers=[b"stays" * 1000])
    layer = str(controlled.blob_path(kept.layer_digests[0]))
    collect = (sys.executable, "-c", _DESTROYS, layer)
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings(collect=collect)) as rig:
        await _garbage(rig, controlled)

        ended = await rig.done(await rig.gc())

        assert ended.state is State.PARTLY_DONE, ended.result
        assert ended.result["canary"]["broken"][0].startswith("keep:1: ")
        assert "gc.canary_broken" in await rig.audit(ended)
        assert await _writable(rig)
