"""Whatever fails around a collection: people learn what to do, and the registry takes pushes."""

import contextlib
import dataclasses
import os
import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.registry.client import RegistryClient, UploadSupport
from bot.registry.errors import StorageFull
from bot.rules.approval import State
from tests.support.controlled_registry import ControlledRegistry
from tests.support.disk import small_disk
from tests.support.images import push_image
from tests.support.rig import Rig

pytestmark = pytest.mark.anyio


@pytest.fixture
def mounted() -> AsyncIterator[ExitStack]:
    """For disks that go before the registry's directory does."""
    with ExitStack() as stack:
        yield stack


async def garbage(registry: ControlledRegistry, layer: bytes = b"garbage" * 500) -> set[str]:
    """Push an image and delete its digest; the blobs that a collection must free."""
    await push_image(registry.url, "keep", "1", layers=[b"stays"])
    before = registry.blob_digests()
    image = await push_image(registry.url, "a", "1", layers=[layer])
    async with httpx.AsyncClient(verify=False) as http:
        gone = await http.delete(f"{registry.url}/v2/a/manifests/{image.digest}")
        assert gone.status_code == 202
    return registry.blob_digests() - before


async def writable(rig: Rig) -> bool:
    return await rig.registry.client.probe_upload("keep") is UploadSupport.ACCEPTED


def program(directory: Path, name: str, script: str) -> str:
    """A program of this name, as the bot would find it."""
    path = directory / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


REALLY = 'exec docker-registry garbage-collect "$@"'


def only_really(script: str) -> str:
    """A collector whose dry runs go well, and that does something else when it is in earnest."""
    return f'case "$*" in *--dry-run*) {REALLY};; *) {script};; esac'


Changes = Callable[[Path, ControlledRegistry], dict[str, Any]]


def ssh_is_down(tmp: Path, _: ControlledRegistry) -> dict[str, Any]:
    said = "echo 'ssh: connect to host corp port 22: Connection refused' >&2; exit 255"
    ssh = program(tmp, "ssh", said)
    return {"collect": (ssh, "corp", "registry", "garbage-collect"), "running": ("false",)}


def no_such_container(tmp: Path, _: ControlledRegistry) -> dict[str, Any]:
    docker = program(
        tmp, "docker", "echo 'Error response from daemon: No such container: hub' >&2; exit 1"
    )
    collect = (docker, "exec", "hub", "registry", "garbage-collect")
    return {"collect": collect, "running": ("false",)}


def not_in_the_container(tmp: Path, _: ControlledRegistry) -> dict[str, Any]:
    said = 'exec failed: "registry": executable file not found in $PATH: unknown'
    docker = program(tmp, "docker", f"echo {shlex.quote(said)} >&2; exit 127")
    collect = (docker, "exec", "hub", "registry", "garbage-collect")
    return {"collect": collect, "running": ("false",)}


def not_on_the_host(_: Path, __: ControlledRegistry) -> dict[str, Any]:
    return {"collect": ("/nowhere/registry", "garbage-collect")}


def never_ends(tmp: Path, _: ControlledRegistry) -> dict[str, Any]:
    """But in the preview, which has a time-out of its own."""
    seen = tmp / "seen"
    script = f"[ -e {seen} ] && exec sleep 60; touch {seen}; {REALLY}"
    return {"collect": (program(tmp, "gc", script),), "timeout": 1.0}


def disk_full(tmp: Path, _: ControlledRegistry) -> dict[str, Any]:
    said = "failed to garbage collect: failed to vacuum: write: no space left on device"
    return {"collect": (program(tmp, "gc", only_really(f"echo '{said}' >&2; exit 1")),)}


def no_switch(tmp: Path, _: ControlledRegistry) -> dict[str, Any]:
    ssh = program(tmp, "ssh", "echo 'ssh: Could not resolve hostname corp' >&2; exit 255")
    return {"start_read_only": (ssh, "corp", "registryctl", "read-only")}


@pytest.mark.parametrize(
    ("broken", "said", "to_do"),
    [
        (ssh_is_down, "exit code 255: ssh: connect to host corp", "the words of `collect` by hand"),
        (no_such_container, "No such container: hub", "Correct the container's name in `collect`"),
        (not_in_the_container, "executable file not found", "program in `collect` is missing"),
        (not_on_the_host, "`/nowhere/registry` could not be started", "Check the command in"),
        (never_ends, "took longer than 1 s and was killed", "Raise `timeout`"),
        (disk_full, "no space left on device", "free some space there"),
        (no_switch, "`start_read_only` failed", "Put its cause right, then collect again"),
    ],
    ids=lambda one: one.__name__ if callable(one) else "",
)
async def test_what_fails_is_told_and_pushes_go_on(
    tmp_path: Path, controlled: ControlledRegistry, broken: Changes, said: str, to_do: str
) -> None:
    settings = controlled.settings(**broken(tmp_path, controlled))
    async with Rig.open(tmp_path, controlled.url, gc=settings) as rig:
        await garbage(controlled)
        before = controlled.blob_digests()

        ended = await rig.done(await rig.gc())

        assert ended.state is State.FAILED, ended.result
        assert said in ended.result["why"]
        assert to_do in ended.result["why"]
        assert controlled.status() == "read-write"
        assert await writable(rig)
        assert not await rig.registry.collector.collecting()
        assert controlled.blob_digests() == before


async def test_a_full_disk_is_what_one_collects_for(tmp_path: Path, mounted: ExitStack) -> None:
    """The registry can take no push, neither before nor after where nothing was freed."""
    disk = mounted.enter_context(small_disk(tmp_path / "small"))
    controlled = ControlledRegistry(disk.path)
    controlled.start()
    mounted.callback(controlled.stop)
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        lost = await garbage(controlled, os.urandom(400_000))
        disk.fill()
        with pytest.raises(StorageFull, match="disk of its storage is full"):
            await writable(rig)

        ended = await rig.done(await rig.gc())

        assert ended.state is State.DONE, ended.result
        assert not lost & controlled.blob_digests()
        assert await writable(rig)
        disk.fill()
        idle = await rig.done(await rig.gc())
        assert idle.state is State.DONE, idle.result
        assert controlled.status() == "read-write"


async def test_the_bots_own_disk_is_full_before_the_collection(
    tmp_path: Path, controlled: ControlledRegistry, mounted: ExitStack
) -> None:
    disk = mounted.enter_context(small_disk(tmp_path / "gc", "64k"))
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        lost = await garbage(controlled)
        request = await rig.gc()
        disk.fill()

        ended = await rig.done(request)

        assert ended.state is State.FAILED, ended.result
        assert "cannot keep the output of the collection in" in ended.result["why"]
        assert "Free some space there" in ended.result["why"]
        assert await writable(rig)
        assert lost <= controlled.blob_digests()


def gated(directory: Path) -> tuple[Path, tuple[str, ...]]:
    """A collection that waits half-way until there is a file; that file, and the command."""
    gate = directory / "gate"
    hold = f"touch {gate}.holding; while [ ! -e {gate} ]; do sleep 0.02; done"
    return gate, (program(directory, "gc", only_really(f"{hold}; {REALLY}")),)


async def test_the_bots_own_disk_fills_up_during_the_collection(
    tmp_path: Path, controlled: ControlledRegistry, mounted: ExitStack
) -> None:
    disk = mounted.enter_context(small_disk(tmp_path / "gc", "64k"))
    gate, collect = gated(tmp_path)
    settings = controlled.settings(collect=collect)
    async with Rig.open(tmp_path, controlled.url, gc=settings) as rig:
        lost = await garbage(controlled)
        request = await rig.gc()
        await rig.approve(request)
        async with rig.working():
            await rig.until(request, lambda _: Path(f"{gate}.holding").exists())
            disk.fill()
            gate.touch()
            ended = await rig.until(request, lambda r: not r.state.is_open)
        assert ended.state is State.PARTLY_DONE, ended.result
        assert "the disk is full, so what it printed is lost" in ended.result["why"]
        assert ended.result["freed_blobs"] == len(lost)  # measured: no output is needed for that
        assert await writable(rig)


async def test_the_bots_store_is_full_during_the_collection(
    tmp_path: Path, controlled: ControlledRegistry, mounted: ExitStack
) -> None:
    """No step can be written down, so none is taken; with room again it ends by itself."""
    disk = mounted.enter_context(small_disk(tmp_path / "bot", "16m"))
    gate, collect = gated(tmp_path)
    settings = controlled.settings(collect=collect)
    async with Rig.open(disk.path, controlled.url, gc=settings) as rig:
        lost = await garbage(controlled)
        request = await rig.gc()
        await rig.approve(request)
        async with rig.working():
            await rig.until(request, lambda _: Path(f"{gate}.holding").exists())
            disk.fill()
            gate.touch()
            await rig.until(request, lambda _: not lost & controlled.blob_digests())
            assert (await rig.get(request)).state is State.RUNNING
            disk.empty()
            ended = await rig.until(request, lambda r: not r.state.is_open)
        assert ended.result["freed_blobs"] == len(lost)
        assert await writable(rig)


async def test_a_second_registry_on_the_storage_that_takes_pushes(
    tmp_path: Path, controlled: ControlledRegistry, mounted: ExitStack
) -> None:
    """It is one of `write_urls`, and the switch has forgotten it."""
    second = ControlledRegistry(tmp_path / "second")
    text = second.config_path.read_text().replace(str(second.root), str(controlled.root))
    second.config_path.write_text(text)
    second.start()
    mounted.callback(second.stop)
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        async with contextlib.aclosing(RegistryClient(second.url)) as writer:
            both = (rig.registry.client, writer)
            rig.ctx.registries["corp"] = dataclasses.replace(rig.registry, writers=both)
            lost = await garbage(controlled)

            ended = await rig.done(await rig.gc())

        assert ended.state is State.FAILED, ended.result
        assert f"{second.url} still accepts uploads after the switch" in ended.result["why"]
        assert "what switches pushes off must switch this one off, too" in ended.result["why"]
        assert lost <= controlled.blob_digests()
        assert await writable(rig)
