"""The whole sequence on a registry in a container, as the bot's worker carries it out."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from bot.gc.steps import Step
from bot.operations import approvals, requesting
from bot.operations.collection_request import request_collection
from bot.operations.errors import Refusal
from bot.registry.client import UploadSupport
from bot.rules.approval import Request, State
from tests.support.contained import NAME, Contained
from tests.support.dockerd import CONFIG, IMAGE
from tests.support.images import Pushed, pull, push_image
from tests.support.rig import BOB, Rig

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

Contain = Callable[..., Contained]
SHARED = b"a layer that is collected and pushed" * 100


async def _garbage(registry: Contained, layer: bytes = b"garbage" * 5000) -> int:
    """Push an image and delete its digest; the bytes on disk that a collection must free."""
    before = registry.blob_digests()
    image = await push_image(registry.url, "a", "1", layers=[layer])
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:
        gone = await http.delete(f"{registry.url}/v2/a/manifests/{image.digest}")
        assert gone.status_code == 202
    garbage = registry.blob_digests() - before
    assert len(garbage) == 3
    return sum(registry.blob_path(digest).stat().st_size for digest in garbage)


async def _writable(rig: Rig) -> bool:
    return await rig.registry.client.probe_upload("keep") is UploadSupport.ACCEPTED


class Traffic:
    """Pulls and pushes in loops, and what became of them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = asyncio.Event()
        self.pulled: list[tuple[float, bool]] = []
        self.pushed: list[Pushed] = []
        self.refused = 0
        self.answers: set[str] = set()

    async def __aenter__(self) -> "Traffic":
        self._tasks = [asyncio.create_task(self._pull())]
        self._tasks += [asyncio.create_task(self._push(n)) for n in range(2)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    def outages(self) -> list[float]:
        """How long each time lasted in which pulls failed, in seconds."""
        found: list[float] = []
        since: float | None = None
        for when, good in self.pulled:
            if not good and since is None:
                since = when
            if good and since is not None:
                found.append(when - since)
                since = None
        return found

    async def _pull(self) -> None:
        while not self._stop.is_set():
            begun = time.monotonic()
            try:
                await pull(self._url, "keep", "1", trust_env=False)
                self.pulled.append((begun, True))
            except (httpx.HTTPError, AssertionError):
                self.pulled.append((begun, False))
            await asyncio.sleep(0.01)

    async def _push(self, number: int) -> None:
        """Push image after image that share a layer with what is being collected."""
        count = 0
        while not self._stop.is_set():
            count += 1
            layers = [SHARED, f"{number}-{count}".encode()]
            try:
                tag = f"{number}-{count}"
                self.pushed.append(await push_image(self._url, "pushed", tag, layers=layers))
            except AssertionError as error:
                self.answers.add(str(error)[:3])
                self.refused += str(error).startswith("405")
            except httpx.HTTPError:
                pass  # cut off by a switch, which whoever pushed has seen
            await asyncio.sleep(0.02)


async def test_pulls_go_on_and_no_push_is_ever_broken(tmp_path: Path, contain: Contain) -> None:
    registry = contain()
    gc = registry.settings(collect=("slow-collect",))
    async with Rig.open(tmp_path, registry.url, gc=gc) as rig:
        await push_image(registry.url, "keep", "1", layers=[b"stays" * 1000])
        size = await _garbage(registry, SHARED)
        request = await rig.gc()
        assert request.plan["preview"]["bytes"] == size
        await rig.approve(request)
        async with Traffic(registry.url) as traffic:
            async with rig.working():
                await rig.until(request, lambda _: registry.holds())
                begun = traffic.refused
                await rig.until(request, lambda _: traffic.refused > begun + 5)
                registry.open_gate()
                ended = await rig.until(request, lambda r: not r.state.is_open)
            number = len(traffic.pushed)
            await rig.until(request, lambda _: len(traffic.pushed) > number + 2)
        assert ended.state is State.DONE, ended.result
        assert ended.result["left_blobs"] == 0
        assert ended.result["disk_before"]
        assert ended.result["disk_after"]
        assert await _writable(rig)
    outages = traffic.outages()
    print("pulls failed for so many seconds:", [round(one, 2) for one in outages])
    assert len(outages) <= 2, outages
    assert traffic.answers <= {"405", "404", "400"}  # the last two straddled a switch
    assert registry.is_original()
    registry.engine.api("POST", f"/containers/{NAME}/restart")  # forget what a cache may hide
    registry.start()
    for image in traffic.pushed:
        await pull(registry.url, "pushed", image.digest)


async def test_a_plain_collection_beside_pushes_breaks_them(contain: Contain) -> None:
    """What the sequence is for: the same push, and the command that everybody types."""
    registry = contain()
    await push_image(registry.url, "keep", "1")
    image = await push_image(registry.url, "a", "1")
    there = f"{registry.url}/v2/a/manifests"
    words = ("registry", "garbage-collect", CONFIG)
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:
        assert (await http.delete(f"{there}/{image.digest}")).status_code == 202
        blob = f"{registry.url}/v2/a/blobs/{image.layer_digests[0]}"
        assert "eligible for deletion" in registry.engine.execute(NAME, *words)
        assert (await http.head(blob)).status_code == 200  # so that a client does not push it
        kind = {"Content-Type": image.media_type}
        done = await http.put(f"{there}/1", content=image.body, headers=kind)
        assert done.status_code == 201
    registry.engine.api("POST", f"/containers/{NAME}/restart")
    registry.start()
    with pytest.raises(AssertionError, match="404"):
        await pull(registry.url, "a", "1")


async def test_predicted_bytes_are_freed_to_the_byte(tmp_path: Path, contain: Contain) -> None:
    registry = contain()
    async with Rig.open(tmp_path, registry.url, gc=registry.settings()) as rig:
        await push_image(registry.url, "keep", "1")
        size = await _garbage(registry)
        request = await rig.gc()
        assert request.plan["preview"]["bytes"] == size
        ended = await rig.done(request)
        assert ended.state is State.DONE, ended.result
        assert (ended.result["freed_bytes"], ended.result["freed_blobs"]) == (size, 3)
        assert registry.is_original()


async def test_empty_repositories_go_from_a_volume_that_the_bot_can_read(
    tmp_path: Path, contain: Contain
) -> None:
    registry = contain()
    async with Rig.open(tmp_path, registry.url, gc=registry.settings()) as rig:
        await push_image(registry.url, "keep", "1")
        await push_image(registry.url, "a/nested", "1")
        await _garbage(registry)  # the repository `a` is empty now
        draft = await request_collection(
            rig.ctx, rig.asked(), rig.registry, delete_untagged=False, name="x", remove_empty=True
        )
        async with rig.store.transaction() as tx:
            request = await requesting.submit(tx, draft)
        assert request.plan["remove_empty"] == ["a"]

        ended = await rig.done(request)

        assert ended.state is State.DONE, ended.result
        assert ended.result["emptied"] == {"removed": ["a"], "kept": [], "bytes": 0}
        assert ended.result["uploads"]["problem"] == ""
        assert sorted(await rig.registry.client.repositories()) == ["a/nested", "keep"]
        assert await _writable(rig)
        assert registry.is_original()


async def test_offline_nothing_serves(tmp_path: Path, contain: Contain) -> None:
    registry = contain()
    gc = registry.settings(mode="offline", collect=("slow-collect",))
    async with Rig.open(tmp_path, registry.url, gc=gc, deadline=0.5) as rig:
        await push_image(registry.url, "keep", "1")
        size = await _garbage(registry)
        request = await rig.gc()
        await rig.approve(request)
        async with rig.working():
            await rig.until(request, lambda _: registry.holds())
            assert not registry.listens()
            registry.open_gate()
            ended = await rig.until(request, lambda r: not r.state.is_open)
        assert ended.state is State.DONE, ended.result
        assert ended.result["freed_bytes"] == size
        assert await _writable(rig)
        assert registry.is_original()


async def test_a_started_original_ends_the_collection(tmp_path: Path, contain: Contain) -> None:
    registry = contain()
    gc = registry.settings(collect=("slow-collect",))
    async with Rig.open(tmp_path, registry.url, gc=gc) as rig:
        await push_image(registry.url, "keep", "1")
        await _garbage(registry)
        before = registry.blob_digests()
        request = await rig.gc()
        await rig.approve(request)
        async with rig.working():
            await rig.until(request, lambda _: registry.holds())
            registry.engine.start_container(NAME)  # as compose up would
            ended = await rig.until(request, lambda r: not r.state.is_open)
        assert ended.state is State.ABORTED
        assert "was started by somebody" in ended.result["why"]
        assert registry.blob_digests() == before
        assert await _writable(rig)
        assert registry.is_original()


async def test_a_replaced_original_ends_the_collection(tmp_path: Path, contain: Contain) -> None:
    """As compose does: the old container gets another name, and a new one takes its place."""
    registry = contain()
    engine = registry.engine
    gc = registry.settings(collect=("slow-collect",))
    async with Rig.open(tmp_path, registry.url, gc=gc) as rig:
        await push_image(registry.url, "keep", "1")
        await _garbage(registry)
        request = await rig.gc()
        await rig.approve(request)
        async with rig.working():
            await rig.until(request, lambda _: registry.holds())
            old = engine.inspect(NAME)
            engine.api("POST", f"/containers/{NAME}/rename", params={"name": "old"})
            body = {**old["Config"], "HostConfig": old["HostConfig"]}
            new = engine.create(NAME, **body)
            engine.api("DELETE", "/containers/old")
            ended = await rig.until(request, lambda r: not r.state.is_open)
        assert ended.state is State.ABORTED
        assert "was removed by somebody" in ended.result["why"]
        assert await _writable(rig)
        assert engine.names() == {NAME}
        assert engine.inspect(NAME)["Id"] == new


async def test_abort(tmp_path: Path, contain: Contain) -> None:
    registry = contain()
    gc = registry.settings(collect=("slow-collect",))
    async with Rig.open(tmp_path, registry.url, gc=gc) as rig:
        await push_image(registry.url, "keep", "1")
        await _garbage(registry)
        request = await rig.gc()
        await rig.approve(request)
        async with rig.working():
            await rig.until(request, lambda _: registry.holds())
            await rig.decide(approvals.abort, request, BOB)
            ended = await rig.until(request, lambda r: not r.state.is_open)
        assert ended.state is State.ABORTED, ended.result
        assert await _writable(rig)
        assert registry.is_original()


@pytest.mark.parametrize("step", [Step.SWITCH, Step.DRY_RUN, Step.COLLECT, Step.RESTART])
async def test_a_successor_ends_what_was_begun(
    tmp_path: Path, contain: Contain, step: Step
) -> None:
    registry = contain()
    gc = registry.settings(collect=("slow-collect",))
    async with Rig.open(tmp_path, registry.url, gc=gc) as rig:
        await push_image(registry.url, "keep", "1")
        await _garbage(registry)
        request = await rig.gc()
        await rig.approve(request)
        if step is not Step.COLLECT:
            registry.open_gate()
        async with rig.working() as worker:
            await rig.until(request, lambda r: r.progress.get("step") == step)
            await rig.until(request, lambda _: step is not Step.COLLECT or registry.holds())
            worker.stop()
            for task in list(worker._tasks):
                task.cancel()
        registry.open_gate()
        ended = await rig.finished(request)
        collected = step in (Step.COLLECT, Step.RESTART)
        assert ended.state is (State.DONE if collected else State.FAILED), ended.result
        assert ended.result["taken_over"]
        assert await _writable(rig)
        assert registry.is_original()
        await pull(registry.url, "keep", "1")


@pytest.mark.parametrize(
    ("labels", "host", "said"),
    [
        ({}, {"AutoRemove": True, "RestartPolicy": {"Name": "no"}}, "started with --rm"),
        ({"com.docker.swarm.service.id": "x"}, {}, "kept running by Docker swarm"),
        ({"io.kubernetes.pod.name": "x"}, {}, "kept running by Kubernetes"),
        ({"com.hashicorp.nomad.alloc_id": "x"}, {}, "kept running by Nomad"),
        ({"PODMAN_SYSTEMD_UNIT": "x"}, {}, "kept running by systemd"),
    ],
)
async def test_what_would_come_back_is_refused(
    tmp_path: Path, contain: Contain, labels: dict[str, str], host: dict[str, object], said: str
) -> None:
    registry = contain(Labels=labels, HostConfig=host)
    async with Rig.open(tmp_path, registry.url, gc=registry.settings()) as rig:
        with pytest.raises(Refusal, match=said):
            await rig.gc()
        assert registry.is_original()


async def test_a_second_writer_is_refused(tmp_path: Path, contain: Contain) -> None:
    registry = contain()
    engine = registry.engine
    async with Rig.open(tmp_path, registry.url, gc=registry.settings()) as rig:
        await push_image(registry.url, "keep", "1")

        def beside(name: str, bind: str) -> None:
            host = {"NetworkMode": "none", "Binds": [bind]}
            engine.create(name, Image=IMAGE, Cmd=["60"], Entrypoint=["sleep"], HostConfig=host)
            engine.start_container(name)

        beside("backup", f"{registry.root}:/data:ro")
        request: Request = await rig.gc()
        assert request.plan["preview"] is not None
        beside("mirror", f"{registry.root}/docker:/data")
        ended = await rig.done(request)  # it came after the request, and is seen before the switch
        assert ended.state is State.FAILED
        assert "mirror can write to the same storage" in ended.result["why"]
        assert await _writable(rig)
        assert engine.inspect(NAME)["Id"] == registry.id
        assert engine.names() == {NAME, "backup", "mirror"}


async def test_what_is_not_there_is_refused(tmp_path: Path, contain: Contain) -> None:
    registry = contain()
    missing = registry.settings(container="nobody")
    async with Rig.open(tmp_path, registry.url, gc=missing) as rig:
        with pytest.raises(Refusal, match="no container called nobody"):
            await rig.gc()
    gone = registry.settings(socket="unix:///nowhere/docker.sock")
    async with Rig.open(tmp_path, registry.url, gc=gone) as rig:
        with pytest.raises(Refusal, match="the socket does not exist"):
            await rig.gc()
    registry.engine.api("POST", f"/containers/{NAME}/stop")
    async with Rig.open(tmp_path, registry.url, gc=registry.settings()) as rig:
        with pytest.raises(Refusal, match="is not running"):
            await rig.gc()


async def test_a_storage_inside_the_container_is_refused(tmp_path: Path, contain: Contain) -> None:
    registry = contain(Env=["REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/elsewhere"])
    async with Rig.open(tmp_path, registry.url, gc=registry.settings()) as rig:
        with pytest.raises(Refusal, match="/elsewhere is inside the container"):
            await rig.gc()


async def test_a_clone_that_does_not_start_is_told_with_its_last_words(
    tmp_path: Path, contain: Contain
) -> None:
    registry = contain(Entrypoint=["stubborn"], Cmd=["serve", CONFIG])
    async with Rig.open(tmp_path, registry.url, gc=registry.settings()) as rig:
        await push_image(registry.url, "keep", "1")
        ended = await rig.done(await rig.gc())
        assert ended.state is State.FAILED
        assert (
            "clone of the registry ended with exit code 3. It said: I will not"
            in (ended.result["why"])
        )
        assert await _writable(rig)
        assert registry.is_original()
