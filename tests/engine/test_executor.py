"""The switch of a real container, and collections beside it."""

import asyncio
import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.gc.docker.executor import DockerExecutor
from bot.gc.errors import CollectionAborted, CommandFailed, GcOutputError
from bot.gc.report import GcProgress
from tests.support.contained import NAME, Contained
from tests.support.dockerd import CONFIG, IMAGE, STORAGE, Dockerd
from tests.support.images import Pushed, pull, push_image

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

Contain = Callable[..., Contained]
JOB = "R7-collect"
CLONE = f"registry-bot-{JOB}"
COMPOSE = {"com.docker.compose.project": "corp", "com.docker.compose.service": "registry"}


@pytest.fixture
def executor(tmp_path: Path) -> Callable[..., DockerExecutor]:
    def make(registry: Contained, **changes: Any) -> DockerExecutor:
        return DockerExecutor(registry.settings(**changes), tmp_path / "state", "corp")

    return make


Executors = Callable[..., DockerExecutor]


async def garbage(registry: Contained) -> Pushed:
    """An image whose tag went to another one: with --delete-untagged it goes."""
    old = await push_image(registry.url, "team/app", "v1", layers=[b"the old layer" * 50])
    await push_image(registry.url, "team/app", "v1", layers=[b"the new layer" * 80])
    return old


def blobs_of(image: Pushed) -> set[str]:
    return {image.digest, image.config_digest, *image.layer_digests}


async def upload(url: str) -> int:
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:
        return (await http.post(f"{url}/v2/probe/blobs/uploads/")).status_code


async def holding(registry: Contained) -> None:
    async with asyncio.timeout(20):
        while not registry.holds():
            await asyncio.sleep(0.02)


async def test_the_whole_of_it(contain: Contain, executor: Executors) -> None:
    registry = contain(Labels={**COMPOSE, "team": "infra"})
    before = registry.engine.inspect(NAME)
    old = await garbage(registry)
    collecting = executor(registry)
    assert await collecting.obstacle() is None

    await collecting.switch_off_writes(JOB)
    clone = registry.engine.inspect(CLONE)
    assert not registry.engine.inspect(NAME)["State"]["Running"]
    async with asyncio.timeout(10):
        while not registry.listens():
            await asyncio.sleep(0.02)
    assert await upload(registry.url) == 405
    await pull(registry.url, "team/app", old.digest)
    assert await collecting.disturbance() == ""

    seen: list[GcProgress] = []
    planned = await collecting.collect(
        dry_run=True, delete_untagged=True, job=JOB, on_progress=seen.append
    )
    assert planned.eligible_blobs == blobs_of(old)
    assert seen[-1].marked == 3
    sizes = await collecting.blob_sizes(planned.eligible_blobs)
    assert sizes == {blob: registry.blob_path(blob).stat().st_size for blob in blobs_of(old)}
    done = await collecting.collect(dry_run=False, delete_untagged=True, job=JOB)
    assert done == planned
    assert not registry.blob_digests() & blobs_of(old)
    assert collecting.read_log(JOB) == done
    assert "Deleting blob" in collecting.error_log_path(JOB).read_text()

    await collecting.switch_on_writes(JOB)
    assert registry.is_original()
    after = registry.engine.inspect(NAME)
    for part in ("Config", "HostConfig", "Image", "Mounts", "Name"):
        assert after[part] == before[part]
    labels = clone["Config"]["Labels"]
    assert labels["team"] == "infra"
    assert not [label for label in labels if label.startswith("com.docker.compose")]
    assert clone["HostConfig"]["RestartPolicy"]["Name"] == "no"


class Killed(BaseException):
    """The bot's process ends here."""


@pytest.mark.parametrize("mode", ["read-only", "offline"])
async def test_killed_after_each_act(contain: Contain, executor: Executors, mode: str) -> None:
    """Whoever comes next gives back the original, alone, running, with all that is tagged."""
    registry = contain()
    kept = await push_image(registry.url, "team/app", "v1")
    acts = 0
    while True:
        acts += 1
        doomed = executor(registry, mode=mode)
        lives = kill_after(doomed, acts)
        with contextlib.suppress(Killed):
            await doomed.switch_off_writes(JOB)
            await doomed.collect(dry_run=False, delete_untagged=False, job=JOB)
            await doomed.switch_on_writes(JOB)
        successor = executor(registry, mode=mode)
        assert await successor.wait_until_gone(10)
        await successor.switch_on_writes(JOB)
        assert registry.is_original(), f"after act {acts}"
        if lives():
            break
    # Making, stopping and starting; a collector's three acts; removing and starting.
    assert acts > (8 if mode == "read-only" else 5)
    registry.start()
    await pull(registry.url, "team/app", kept.digest)
    assert await upload(registry.url) == 202


def kill_after(doomed: DockerExecutor, acts: int) -> Callable[[], bool]:
    """Let nothing reach the engine any more after so many changes; tells if that never came."""
    engine, left = doomed._engine, [acts]

    def deadly(ask: Callable[..., Any], counts: int) -> Callable[..., Any]:
        async def wrapped(*words: Any, **more: Any) -> Any:
            if left[0] <= 0:
                raise Killed
            answer = await ask(*words, **more)
            left[0] -= counts
            if left[0] <= 0:
                raise Killed
            return answer

        return wrapped

    for name in ("create", "connect", "start", "stop", "kill", "remove"):
        setattr(engine, name, deadly(getattr(engine, name), 1))
    for name in ("inspect", "containers"):
        setattr(engine, name, deadly(getattr(engine, name), 0))
    return lambda: left[0] > 0


@pytest.mark.parametrize("mode", ["read-only", "offline"])
async def test_a_stop_that_outlives_its_process_does_not_come_true_afterwards(
    contain: Contain, executor: Executors, mode: str
) -> None:
    """A container that hears no SIGTERM: the engine waits, and kills it at last."""
    deaf = f"trap '' TERM; registry serve {CONFIG} & while true; do sleep 1; done"
    registry = contain(Entrypoint=["sh", "-c", deaf], Cmd=[], StopTimeout=4)
    engine = registry.engine

    async def until(action: str) -> None:
        async with asyncio.timeout(30):
            while (action, NAME) not in engine.events():
                await asyncio.sleep(0.05)

    task = asyncio.create_task(executor(registry, mode=mode).switch_off_writes(JOB))
    await until("kill")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await executor(registry, mode=mode).switch_on_writes(JOB)
    await until("die")
    assert registry.is_original()


async def test_a_collection_outlives_its_process_and_is_known(
    contain: Contain, executor: Executors
) -> None:
    registry = contain()
    old = await garbage(registry)
    doomed = executor(registry, collect=("slow-collect",))
    await doomed.switch_off_writes(JOB)
    task = asyncio.create_task(doomed.collect(dry_run=False, delete_untagged=True, job=JOB))
    await holding(registry)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    successor = executor(registry)
    assert await successor.collecting()
    assert not await successor.wait_until_gone(0.1)
    with pytest.raises(CommandFailed, match="already running"):
        await successor.collect(dry_run=True, delete_untagged=False, job="R8")
    registry.open_gate()
    assert await successor.wait_until_gone(10)
    await successor.switch_on_writes(JOB)
    assert successor.read_log(JOB).eligible_blobs == blobs_of(old)
    assert registry.is_original()


async def test_an_orphan_is_killed_and_pulls_go_on(contain: Contain, executor: Executors) -> None:
    registry = contain()
    old = await garbage(registry)
    doomed = executor(registry, collect=("slow-collect",))
    await doomed.switch_off_writes(JOB)
    task = asyncio.create_task(doomed.collect(dry_run=False, delete_untagged=True, job=JOB))
    await holding(registry)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    successor = executor(registry)
    gone = await successor.kill_orphan(JOB)
    assert gone or await successor.wait_until_gone(60), "a busy engine takes its time"
    await pull(registry.url, "team/app", old.digest)
    await successor.switch_on_writes(JOB)
    with pytest.raises(GcOutputError):
        successor.read_log(JOB)


async def test_abort_and_time_out_kill_it(contain: Contain, executor: Executors) -> None:
    registry = contain()
    await garbage(registry)
    slow = executor(registry, collect=("slow-collect",))
    abort = asyncio.Event()
    task = asyncio.create_task(
        slow.collect(dry_run=False, delete_untagged=True, job=JOB, abort=abort)
    )
    await holding(registry)
    abort.set()
    with pytest.raises(CollectionAborted) as caught:
        await task
    assert caught.value.gone
    with pytest.raises(CommandFailed, match=r"longer than 0\.5 s and was killed"):
        await slow.collect(dry_run=False, delete_untagged=True, job=JOB, timeout=0.5)
    assert not await slow.collecting()
    assert registry.is_original()


async def test_somebody_elses_collection_is_seen(contain: Contain, executor: Executors) -> None:
    registry = contain()
    await garbage(registry)
    words = ("slow-collect", "garbage-collect")
    task = asyncio.create_task(asyncio.to_thread(registry.engine.execute, NAME, *words))
    await holding(registry)
    assert await executor(registry).collecting()
    registry.open_gate()
    await task
    assert not await executor(registry).collecting()


async def test_a_storage_without_commands_is_measured_by_the_engine(
    contain: Contain, executor: Executors
) -> None:
    registry = contain()
    image = await push_image(registry.url, "team/app", "v1")
    measuring = executor(registry)
    wanted = {*blobs_of(image), "sha256:" + "0" * 64, "../../etc/passwd"}
    asked = await measuring.blob_sizes(wanted)
    used, total = await measuring.disk() or (0, 0)
    assert 0 < used < total
    registry.engine.api("POST", f"/containers/{NAME}/stop")
    assert await measuring.blob_sizes(wanted) == asked
    assert asked == {blob: registry.blob_path(blob).stat().st_size for blob in blobs_of(image)}


async def test_a_storage_elsewhere_is_not_measured(contain: Contain, executor: Executors) -> None:
    registry = contain()
    none = executor(registry, storage_root=Path("/etc"))
    assert await none.blob_sizes([]) is None
    assert none.unmeasured == "/etc in the container holds no registry's storage"


async def test_the_storage_is_in_reach_where_it_is_proven_to_be_the_same(
    contain: Contain, executor: Executors, tmp_path: Path
) -> None:
    registry = contain()
    await push_image(registry.url, "team/app", "v1")
    there = executor(registry)
    assert await there.storage() == registry.root
    await there.switch_off_writes(JOB)
    assert await there.storage() == registry.root, "the clone sees the same"
    await there.switch_on_writes(JOB)
    assert await executor(registry, storage_root=Path("/etc")).storage() is None
    # As on another host, or in another container: something else lies at the same path.
    registry.root.rename(tmp_path / "moved")
    shutil.copytree(tmp_path / "moved", registry.root)
    assert await there.storage() is None


async def test_the_clone_answers_to_the_same_names(engine: Dockerd, tmp_path: Path) -> None:
    net = {"Name": "corp", "IPAM": {"Config": [{"Subnet": "10.77.0.0/24"}]}}
    try:
        engine.api("POST", "/networks/create", json=net)
    except AssertionError as reason:
        pytest.skip(f"no networks can be made here: {reason}")
    endpoint = {"Aliases": ["hub"], "IPAMConfig": {"IPv4Address": "10.77.0.9"}}
    host = {"NetworkMode": "corp", "Mounts": [{"Type": "tmpfs", "Target": "/scratch"}]}
    host["PortBindings"] = {"5000/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}
    engine.create(
        NAME,
        Image=IMAGE,
        ExposedPorts={"5000/tcp": {}},
        HostConfig=host,
        NetworkingConfig={"EndpointsConfig": {"corp": endpoint}},
    )
    engine.api("POST", "/networks/create", json={"Name": "more"})
    more = {"Container": NAME, "EndpointConfig": {"Aliases": ["second"]}}
    engine.api("POST", "/networks/more/connect", json=more)
    engine.start_container(NAME)
    before = engine.inspect(NAME)
    executor = DockerExecutor(Contained.settings_for(engine), tmp_path / "state", "corp")
    await executor.switch_off_writes(JOB)
    clone = engine.inspect(CLONE)
    networks = clone["NetworkSettings"]["Networks"]
    assert networks["corp"]["IPAddress"] == "10.77.0.9"
    assert {"hub", NAME} <= set(networks["corp"]["Aliases"])
    assert {"second", NAME} <= set(networks["more"]["Aliases"])
    assert clone["NetworkSettings"]["Ports"] == before["NetworkSettings"]["Ports"]
    (volume,) = (one["Name"] for one in before["Mounts"] if one["Type"] == "volume")
    places = {one.get("Name") or one["Destination"] for one in clone["Mounts"]}
    assert places == {volume, "/scratch"}
    await executor.switch_on_writes(JOB)
    assert engine.names() == {NAME}
    assert [one["Name"] for one in engine.inspect(NAME)["Mounts"] if one.get("Name")] == [volume]


async def test_a_container_that_has_our_name_is_left_alone(
    contain: Contain, executor: Executors
) -> None:
    registry = contain()
    registry.engine.create(CLONE, Image=IMAGE)
    with pytest.raises(CommandFailed, match="made for something else"):
        await executor(registry).switch_off_writes(JOB)
    await executor(registry).switch_on_writes(JOB)
    assert registry.engine.names() == {NAME, CLONE}
    assert registry.listens()


async def test_a_paused_bot_that_wakes_up_does_nothing(
    contain: Contain, executor: Executors
) -> None:
    registry = contain()

    async def fence() -> None:
        raise LookupError("somebody else is in charge")

    before = registry.engine.inspect(NAME)["State"]
    with pytest.raises(LookupError):
        await executor(registry).switch_off_writes(JOB, fence)
    with pytest.raises(LookupError):
        await executor(registry).switch_on_writes(JOB, fence)
    assert registry.engine.inspect(NAME)["State"] == before
    assert registry.is_original()


async def test_what_a_look_finds(contain: Contain, executor: Executors) -> None:
    registry = contain()
    found = await executor(registry).examine()
    assert found.ok
    assert f"storage {STORAGE}" in found.text
    missing = await executor(registry, container="nobody").examine()
    assert (missing.ok, "no container called nobody" in missing.text) == (False, True)


async def test_a_program_that_the_image_does_not_have(
    contain: Contain, executor: Executors
) -> None:
    registry = contain()
    nothing = executor(registry, collect=("nothing", "garbage-collect"))
    with pytest.raises(CommandFailed, match="could not start the collection") as caught:
        await nothing.collect(dry_run=True, delete_untagged=False, job=JOB)
    assert "`nothing`" in caught.value.hint
    assert registry.is_original()


async def test_an_anonymous_volume_survives(engine: Dockerd, tmp_path: Path) -> None:
    environ = ["REGISTRY_HTTP_ADDR=127.0.0.1:5999"]
    engine.create(NAME, Image=IMAGE, Env=environ, HostConfig={"NetworkMode": "host"})
    engine.start_container(NAME)
    (mount,) = engine.inspect(NAME)["Mounts"]
    engine.execute(NAME, "touch", f"{STORAGE}/precious")
    settings = Contained.settings_for(engine)
    executor = DockerExecutor(settings, tmp_path / "state", "corp")
    await executor.switch_off_writes(JOB)
    assert engine.inspect(CLONE)["Mounts"][0]["Name"] == mount["Name"]
    await executor.switch_on_writes(JOB)
    assert (Path(mount["Source"]) / "precious").exists()
