"""An engine or a container that fails around a collection: what is told, and pushes go on."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from bot.gc.docker import run
from bot.gc.docker.engine import Engine
from bot.gc.docker.executor import DockerExecutor
from bot.registry.client import UploadSupport
from bot.rules.approval import Request, State
from bot.store.outbox import THREAD
from tests.support.contained import NAME, Contained
from tests.support.disk import small_disk
from tests.support.dockerd import Dockerd
from tests.support.images import push_image
from tests.support.relay import Relay
from tests.support.rig import Rig

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

Contain = Callable[..., Contained]


async def garbage(registry: Contained, layer: bytes = b"garbage" * 500) -> set[str]:
    """Push an image and delete its digest; the blobs that a collection must free."""
    await push_image(registry.url, "keep", "1")
    before = registry.blob_digests()
    image = await push_image(registry.url, "a", "1", layers=[layer])
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:
        gone = await http.delete(f"{registry.url}/v2/a/manifests/{image.digest}")
        assert gone.status_code == 202
    return registry.blob_digests() - before


async def writable(rig: Rig) -> bool:
    return await rig.registry.client.probe_upload("keep") is UploadSupport.ACCEPTED


async def told(rig: Rig, notice: str) -> list[dict[str, str]]:
    """What was said in the thread under this name."""
    return [one["data"] for one in await rig.letters(THREAD) if one["notice"] == notice]


_GONE = {
    Relay.vanish: ("the socket does not exist", "Start the engine, or correct `socket`"),
    Relay.refuse: ("it seems to be down", "Start it, or correct `socket`"),
    Relay.fall_silent: ("did not answer in time", "See whether `docker ps` answers"),
}


async def test_an_engine_that_fails_before_the_switch(tmp_path: Path, contain: Contain) -> None:
    registry = contain()
    async with Relay.open(tmp_path / "s", registry.engine.path) as relay:
        settings = registry.settings(socket=relay.address)
        hasty = Engine(relay.address, seconds=1.0)  # nobody answers it anyhow
        failing = DockerExecutor(settings, tmp_path / "gc", "corp", engine=hasty)
        async with Rig.open(tmp_path, registry.url, gc=settings) as rig:
            await garbage(registry)
            whole = rig.registry
            for fails, (said, to_do) in _GONE.items():
                await relay.come_back()
                rig.ctx.registries["corp"] = whole
                request = await rig.gc()
                await fails(relay)
                rig.ctx.registries["corp"] = dataclasses.replace(whole, collector=failing)

                ended = await rig.done(request)

                assert ended.state is State.FAILED, ended.result
                assert said in ended.result["why"]
                assert to_do in ended.result["why"]
                assert await writable(rig)
    assert registry.is_original()


async def test_an_engine_that_goes_away_in_the_middle_is_tried_until_it_is_back(
    tmp_path: Path, contain: Contain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_PATIENCE", 0.5)
    monkeypatch.setattr(run, "_KILL_GRACE", 0.5)
    registry = contain()
    async with Relay.open(tmp_path / "s", registry.engine.path) as relay:
        gc = registry.settings(collect=("slow-collect",), socket=relay.address)
        async with Rig.open(tmp_path, registry.url, gc=gc) as rig:
            await garbage(registry)
            request = await rig.gc()
            await rig.approve(request)
            async with rig.working():
                await rig.until(request, lambda _: registry.holds())
                await relay.vanish()
                await rig.until(request, lambda r: bool(r.progress.get("help")))
                (said,) = await told(rig, "restore failed")
                assert "the socket does not exist" in said["why"]
                clone = f"registry-bot-{request.name}-collect"
                assert said["command"] == (
                    f"docker -H {relay.address} rm -f {clone}.collector {clone}; "
                    f"docker -H {relay.address} start {NAME}"
                )
                assert not await writable(rig), "never beside a collection that may still run"
                registry.open_gate()
                await relay.come_back()
                ended = await rig.until(request, lambda r: not r.state.is_open)
            assert await told(rig, "restore failed") == [said], "it is told once, and tried on"
            assert ended.state is State.PARTLY_DONE, ended.result
            assert "the socket does not exist" in ended.result["why"]
            assert ended.result["freed_blobs"] == 3  # it went on by itself
            assert ended.progress["help"] == ""
            assert await writable(rig)
    assert registry.is_original()


async def test_an_engine_that_dies_in_the_middle(tmp_path: Path, contain: Contain) -> None:
    """Its containers die with it, and none is started again when it is: the clones never are."""
    registry = contain()
    async with Relay.open(tmp_path / "s", registry.engine.path) as relay:
        gc = registry.settings(collect=("slow-collect",), socket=relay.address)
        async with Rig.open(tmp_path, registry.url, gc=gc) as rig:
            lost = await garbage(registry)
            request = await rig.gc()
            await rig.approve(request)
            async with rig.working():
                await rig.until(request, lambda _: registry.holds())
                await relay.vanish()
                for name in registry.engine.names() - {NAME}:
                    registry.engine.api("POST", f"/containers/{name}/kill")
                await relay.come_back()
                ended = await rig.until(request, lambda r: not r.state.is_open)
            assert ended.state is State.FAILED, ended.result
            # Told is what is noticed first: the engine that went away, or what became of the clone.
            why = ended.result["why"]
            assert "container engine" in why or "exit code 137" in why
            assert "`docker ps`" in why or "put its cause right and collect again" in why
            assert lost <= registry.blob_digests()
            assert await writable(rig)
    assert registry.is_original()


def recreated(registry: Contained, **host: object) -> str:
    """Put another container under the name, as compose does; its id."""
    engine = registry.engine
    old = engine.inspect(NAME)
    body = {**old["Config"], "HostConfig": {**old["HostConfig"], **host}}
    engine.api("DELETE", f"/containers/{NAME}", params={"force": "1"})
    registry.id = engine.create(NAME, **body)
    registry.start()
    return registry.id


async def test_a_container_that_compose_replaced_after_the_approval(
    tmp_path: Path, contain: Contain
) -> None:
    """The name counts: the new container is the one that is stopped, cloned and started."""
    registry = contain()
    async with Rig.open(tmp_path, registry.url, gc=registry.settings()) as rig:
        lost = await garbage(registry)
        request = await rig.gc()
        await rig.approve(request)
        recreated(registry)

        ended = await rig.finished(request)

        assert ended.state is State.DONE, ended.result
        assert not lost & registry.blob_digests()
        assert await writable(rig)
        assert registry.is_original()


async def test_a_container_that_cannot_be_switched_any_more(
    tmp_path: Path, contain: Contain
) -> None:
    registry = contain()
    async with Rig.open(tmp_path, registry.url, gc=registry.settings()) as rig:
        await garbage(registry)
        request = await rig.gc()
        recreated(registry, AutoRemove=True, RestartPolicy={"Name": "no"})

        ended = await rig.done(request)

        assert ended.state is State.FAILED
        assert "was started with --rm: stopping it would remove it" in ended.result["why"]
        assert "Start it without" in ended.result["why"]
        assert await writable(rig)
        assert registry.is_original()

        recreated(registry, AutoRemove=False)
        request = await rig.gc()
        registry.engine.api("DELETE", f"/containers/{NAME}", params={"force": "1"})
        ended = await rig.done(request)
        assert ended.state is State.FAILED
        assert f"no container called {NAME}" in ended.result["why"]
        assert "Correct `container`" in ended.result["why"]
        assert registry.engine.names() == set()


@pytest.mark.parametrize(
    ("changes", "said", "to_do"),
    [
        ({"collect": ("nothing", "gc")}, "could not start the collection", "`nothing`: it must be"),
        ({"collect": ("slow-collect",), "timeout": 10.0}, "longer than 10 s", "Raise `timeout`"),
    ],
    ids=["program", "time-out"],
)
async def test_a_collection_that_fails_inside(
    tmp_path: Path, contain: Contain, changes: dict[str, object], said: str, to_do: str
) -> None:
    registry = contain()
    async with Rig.open(tmp_path, registry.url, gc=registry.settings(**changes)) as rig:
        lost = await garbage(registry)

        ended = await rig.done(await rig.gc())

        assert ended.state is State.FAILED, ended.result
        assert said in ended.result["why"]
        assert to_do in ended.result["why"]
        assert lost <= registry.blob_digests()
        assert await writable(rig)
        assert registry.is_original()


async def test_a_full_disk_is_what_one_collects_for(tmp_path: Path, engine: Dockerd) -> None:
    with small_disk(tmp_path / "small") as disk:
        registry = Contained(engine, disk.path)
        async with Rig.open(tmp_path, registry.url, gc=registry.settings()) as rig:
            lost = await garbage(registry, b"x" * 400_000)
            disk.fill()

            ended = await rig.done(await rig.gc())

            assert ended.state is State.DONE, ended.result
            assert not lost & registry.blob_digests()
            assert await writable(rig)
            assert registry.is_original()
        engine.clear()


async def test_the_bots_own_disk_fills_up_during_the_collection(
    tmp_path: Path, contain: Contain
) -> None:
    """The collection is killed, as nobody could tell what it does; the registry is given back."""
    registry = contain()
    gc = registry.settings(collect=("slow-collect",))
    with small_disk(tmp_path / "gc", "64k") as disk:
        async with Rig.open(tmp_path, registry.url, gc=gc) as rig:
            await garbage(registry)
            request: Request = await rig.gc()
            await rig.approve(request)
            async with rig.working():
                await rig.until(request, lambda _: registry.holds())
                disk.fill()
                registry.open_gate()
                ended = await rig.until(request, lambda r: not r.state.is_open)
            assert "cannot keep the output of the collection in" in ended.result["why"]
            assert "Free some space there" in ended.result["why"]
            assert await writable(rig)
            assert registry.is_original()
