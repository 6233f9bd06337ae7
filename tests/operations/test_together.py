"""A collection and something else at the same time: one waits, or is refused with the reason."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.operations.errors import Refusal
from bot.registry.client import RegistryClient, UploadSupport
from bot.rules.approval import Request, State
from tests.support.controlled_registry import CONFIG, ControlledRegistry
from tests.support.images import pull, push_image
from tests.support.rig import BOB, CAT, FAST, Rig

pytestmark = pytest.mark.anyio

# What is awaited for so long does not come: the shorter, the better.
HASTY = dataclasses.replace(FAST, proof=0.5)


@pytest.fixture
async def controlled(tmp_path: Path) -> AsyncIterator[ControlledRegistry]:
    registry = ControlledRegistry(tmp_path)
    registry.start()
    await push_image(registry.url, "keep", "1", layers=[b"stays"])
    await push_image(registry.url, "a", "1")
    try:
        yield registry
    finally:
        registry.stop()


@contextlib.asynccontextmanager
async def collecting(rig: Rig, gate: Path) -> AsyncIterator[Request]:
    """A collection at work, until the end of the block."""
    request = await rig.gc()
    await rig.approve(request)
    async with rig.working():
        await rig.until(request, lambda _: gate.with_name(f"{gate.name}.holding").exists())
        try:
            yield request
        finally:
            gate.touch()
        ended = await rig.until(request, lambda r: not r.state.is_open)
    assert ended.state is State.DONE, ended.result


async def test_another_collection_is_refused(tmp_path, controlled) -> None:
    gate = tmp_path / "gate"
    gc = controlled.settings(collect=controlled.slow_collect(gate))
    async with Rig.open(tmp_path, controlled.url, gc=gc) as rig, collecting(rig, gate) as first:
        with pytest.raises(Refusal, match=rf"{first.name} asks for a collection .* it is running"):
            await rig.gc()


async def test_a_deletion_waits_and_says_for_what(tmp_path, controlled) -> None:
    gate = tmp_path / "gate"
    gc = controlled.settings(collect=controlled.slow_collect(gate))
    async with Rig.open(tmp_path, controlled.url, gc=gc) as rig:
        deletion = await rig.delete("a:1")
        async with collecting(rig, gate) as first:
            with pytest.raises(Refusal, match="read-only at the moment, probably for a garbage"):
                await rig.delete("keep:1")
            said = await rig.approve(deletion, CAT)
            assert f"it starts when {first.name} has ended" in said
            waits = await rig.get(deletion)
            assert waits.state is State.APPROVED
            assert f"{first.name} is at work on corp" in waits.progress["waiting"]
        ended = await rig.finished(deletion)
        assert ended.state is State.DONE
        assert "waiting" not in ended.progress


async def test_another_bot_collects_nothing_meanwhile(tmp_path, controlled) -> None:
    """Two bots that know nothing of each other, each with its own store."""
    gate = tmp_path / "gate"
    gc = controlled.settings(collect=controlled.slow_collect(gate))
    (tmp_path / "other").mkdir()
    async with (
        Rig.open(tmp_path, controlled.url, gc=gc) as rig,
        Rig.open(
            tmp_path / "other", controlled.url, gc=controlled.settings(), timing=HASTY
        ) as other,
    ):
        before = await other.gc()
        async with collecting(rig, gate):
            refused = await other.done(before)
            assert refused.state is State.FAILED
            assert "does not accept uploads" in refused.result["why"]
            assert "another program is collecting" in refused.result["why"]
            assert controlled.status() == "read-only"
        assert await rig.registry.client.probe_upload("keep") is UploadSupport.ACCEPTED


async def test_another_way_to_push_is_found_before_anything_goes(tmp_path, controlled) -> None:
    """A second process on the same storage, which nobody switches."""
    second = ControlledRegistry(tmp_path / "second")
    second.config_path.write_text(
        CONFIG.format(root=controlled.root, port=second.port, delete="true", cache="")
    )
    second.start()
    push = RegistryClient(second.url)
    try:
        async with Rig.open(
            tmp_path, controlled.url, gc=controlled.settings(), timing=HASTY
        ) as rig:
            registry = dataclasses.replace(rig.registry, writers=(rig.registry.client, push))
            ctx = dataclasses.replace(rig.ctx, registries={"corp": registry})
            ended = await (both := Rig(ctx)).done(await both.gc(), BOB)
            assert ended.state is State.FAILED
            why = ended.result["why"]
            assert f"{second.url} still accepts uploads after the switch" in why
            assert "another way to the same storage" in why
            assert controlled.status() == "read-write"
            image = await push_image(second.url, "b", "1")
            await pull(controlled.url, "b", image.digest)
    finally:
        await push.aclose()
        second.stop()
