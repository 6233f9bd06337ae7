"""Every fault that doctor tells, made on the disk of a real registry."""

import asyncio
import dataclasses
import json
import os
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.gc.uploads import StaleUploads
from bot.operations.doctor import Report, doctor
from bot.operations.errors import Refusal
from bot.registry.client import BlobState
from bot.registry.errors import Unreachable
from bot.registry.manifest import Descriptor, RawManifest
from bot.rules.health import Fault, Finding, advice
from tests.support.controlled_registry import ControlledRegistry
from tests.support.images import Pushed, digest_of, push_blob, push_image, push_index
from tests.support.many import tag_as
from tests.support.real_registry import RealRegistry, registry_binary
from tests.support.rig import FAST, Rig

pytestmark = pytest.mark.anyio


def _repository(registry: RealRegistry, name: str) -> Path:
    return registry.root / "docker/registry/v2/repositories" / name


def _told(report: Report) -> set[tuple[Fault, str, str, tuple[str, ...]]]:
    return {(f.fault, f.repository, f.subject, f.tags) for f in report.findings}


async def _look(rig: Rig, repository: str = "") -> Report:
    return await doctor(rig.ctx, rig.registry, repository)


def _only(report: Report) -> Finding:
    (finding,) = report.findings
    return finding


async def test_nothing_is_wrong_with_what_is_whole(rig: Rig, registry: RealRegistry) -> None:
    base = os.urandom(200_000)
    await push_image(registry.url, "a", "1", layers=[base, b"one"])
    children = [
        await push_image(registry.url, "b/c", "", layers=[base]),
        await push_image(registry.url, "b/c", "arm", layers=[b""], media="docker"),
    ]
    await push_index(registry.url, "b/c", "multi", children)
    signed = "sha256-" + children[0].digest[7:]
    await push_image(registry.url, "b/c", f"{signed}.sig")

    report = await _look(rig)

    assert report.findings == ()
    assert report.is_whole
    assert (report.looked, report.repositories) == (2, 2)
    assert (report.tags, report.manifests) == (4, 5)
    assert report.blobs == len(registry.blob_digests()) - report.manifests
    assert report.uploads is None


async def test_ghost_tags(rig: Rig, registry: RealRegistry) -> None:
    for tag in ("fine", "unlinked", "lost"):
        pushed = await push_image(registry.url, "a", tag)
    manifests = _repository(registry, "a") / "_manifests"
    (manifests / "tags/unlinked/current/link").unlink()
    (manifests / "revisions/sha256" / pushed.digest[7:] / "link").unlink()

    report = await _look(rig, "a")

    assert _told(report) == {
        (Fault.GHOST_TAG, "a", "lost", ("lost",)),
        (Fault.GHOST_TAG, "a", "unlinked", ("unlinked",)),
    }
    # What people are told to do: push it again.
    await push_image(registry.url, "a", "lost")
    await push_image(registry.url, "a", "unlinked")
    assert (await _look(rig, "a")).findings == ()


async def test_an_index_without_one_of_its_children(rig: Rig, registry: RealRegistry) -> None:
    url = registry.url
    arm = await push_image(url, "a", "", platform=("linux", "arm64", "v8"))
    amd = await push_image(url, "a", "amd")
    await push_index(url, "a", "multi", [amd, arm])
    await push_index(url, "a", "latest", [amd, arm])
    await rig.registry.client.delete_manifest("a", arm.digest)

    finding = _only(await _look(rig, "a"))

    assert finding.fault is Fault.MISSING_CHILD
    assert finding.subject == arm.digest
    assert finding.tags == ("latest", "multi")
    assert finding.platforms == ("linux/arm64/v8",)


async def test_a_layer_that_only_the_cache_knows(rig: Rig, registry: RealRegistry) -> None:
    """A collection beside the running registry, and then another image on the same layer."""
    layer = os.urandom(2048)
    await push_image(registry.url, "keep", "1")
    old = await push_image(registry.url, "a", "1", layers=[layer])
    await rig.registry.client.delete_manifest("a", old.digest)
    await _collect(registry)
    await _push_as_docker(registry, old, layer)

    finding = _only(await _look(rig))

    assert (finding.fault, finding.subject) == (Fault.STALE_CACHE, digest_of(layer))
    assert finding.tags == ("2",)
    assert advice(finding, "host").startswith("Restart the registry")
    registry.restart()
    finding = _only(await _look(rig))
    assert (finding.fault, finding.subject) == (Fault.MISSING_BLOB, digest_of(layer))
    await push_image(registry.url, "a", "2", layers=[layer])
    assert (await _look(rig)).findings == ()


async def _push_as_docker(registry: RealRegistry, old: Pushed, layer: bytes) -> None:
    """The layer is announced, so only config and manifest are sent."""
    config = b'{"os": "linux", "architecture": "amd64"}'
    manifest = json.loads(old.body)
    manifest["config"].update(digest=digest_of(config), size=len(config))
    body = json.dumps(manifest).encode()
    async with httpx.AsyncClient(verify=False) as http:
        head = await http.head(f"{registry.url}/v2/a/blobs/{digest_of(layer)}")
        assert head.status_code == 200, "the cache must still announce it"
        await push_blob(http, registry.url, "a", config)
    await tag_as(registry.url, "a", dataclasses.replace(old, body=body), ["2"])


async def test_a_manifest_that_only_the_cache_knows_is_a_ghost(
    rig: Rig, registry: RealRegistry
) -> None:
    """The same with the same image: its manifest is skipped too, until a restart."""
    await push_image(registry.url, "keep", "1")
    pushed = await push_image(registry.url, "a", "1")
    await rig.registry.client.delete_manifest("a", pushed.digest)
    await _collect(registry)
    await push_image(registry.url, "a", "1")

    finding = _only(await _look(rig))

    assert (finding.fault, finding.subject) == (Fault.GHOST_TAG, "1")
    assert "restart the registry" in advice(finding, "host")
    registry.restart()
    await push_image(registry.url, "a", "1")
    assert (await _look(rig)).findings == ()


async def _collect(registry: RealRegistry) -> None:
    run = await asyncio.create_subprocess_exec(
        registry_binary(),
        "garbage-collect",
        str(registry.config_path),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await run.wait() == 0


@pytest.mark.parametrize("size", [2048, 900_000])
@pytest.mark.parametrize("warm", [True, False], ids=["cached", "restarted"])
async def test_a_layer_that_was_cut_off(
    rig: Rig, registry: RealRegistry, size: int, warm: bool
) -> None:
    layer = os.urandom(size)
    for name, tag in (("a", "1"), ("a", "2"), ("b", "1")):
        await push_image(registry.url, name, tag, layers=[layer, tag.encode()])
    path = registry.blob_path(digest_of(layer))
    path.write_bytes(layer[: size // 3])
    if not warm:
        registry.restart()

    report = await _look(rig)

    assert _told(report) == {
        (Fault.SHORT_BLOB, "a", digest_of(layer), ("1", "2")),
        (Fault.SHORT_BLOB, "b", digest_of(layer), ("1",)),
    }
    said = advice(report.findings[0], "host")
    assert str(path.relative_to(registry.root)) in said
    # What they are told to do: a push alone would be skipped.
    path.unlink()
    registry.restart()
    await push_image(registry.url, "a", "1", layers=[layer, b"1"])
    assert (await _look(rig)).findings == ()


async def test_a_layer_with_other_bytes(rig: Rig, registry: RealRegistry) -> None:
    pushed = await push_image(registry.url, "a", "1")
    registry.blob_path(pushed.layer_digests[0]).write_bytes(bytes(10_000))
    assert _only(await _look(rig)).fault is Fault.DAMAGED_BLOB


async def test_a_config_that_is_gone(rig: Rig, registry: RealRegistry) -> None:
    pushed = await push_image(registry.url, "a", "1")
    registry.blob_path(pushed.config_digest).unlink()
    registry.restart()
    finding = _only(await _look(rig))
    assert (finding.fault, finding.subject) == (Fault.MISSING_BLOB, pushed.config_digest)


async def test_one_repository_may_lack_the_link_to_a_shared_layer(
    rig: Rig, registry: RealRegistry
) -> None:
    layer = os.urandom(1000)
    for name in ("a", "b", "c"):
        await push_image(registry.url, name, "1", layers=[layer])
    hex_ = digest_of(layer)[7:]
    (_repository(registry, "b") / "_layers/sha256" / hex_ / "link").unlink()
    (_repository(registry, "c") / "_layers/sha256" / hex_ / "link").write_text("")
    registry.restart()

    report = await _look(rig)

    assert {(f.fault, f.repository) for f in report.findings} == {
        (Fault.MISSING_BLOB, "b"),
        (Fault.UNREADABLE_BLOB, "c"),
    }
    link = _repository(registry, "c") / "_layers/sha256" / hex_ / "link"
    said = advice(report.findings[-1], "host")
    assert str(link.relative_to(registry.root)) in said
    link.unlink()
    for name in ("b", "c"):
        await push_image(registry.url, name, "1", layers=[layer])
    assert (await _look(rig)).findings == ()


async def test_unreadable_manifests(rig: Rig, registry: RealRegistry) -> None:
    short = await push_image(registry.url, "a", "short")
    await tag_as(registry.url, "a", short, ["also-short"])
    changed = await push_image(registry.url, "a", "changed")
    await tag_as(registry.url, "a", changed, ["also-changed"])
    await push_image(registry.url, "a", "unlinked")
    path = registry.blob_path(short.digest)
    path.write_bytes(path.read_bytes()[:100])
    path = registry.blob_path(changed.digest)
    path.write_bytes(path.read_bytes().replace(b"{", b"{ ", 1))
    link = _repository(registry, "a") / "_manifests/tags/unlinked/current/link"
    link.write_text("")

    report = await _look(rig)

    assert _told(report) == {
        (Fault.UNREADABLE, "a", "short", ("short",)),
        (Fault.UNREADABLE, "a", "also-short", ("also-short",)),
        (Fault.UNREADABLE, "a", "unlinked", ("unlinked",)),
        (Fault.UNREADABLE, "a", changed.digest, ("also-changed", "changed")),
    }
    assert all(finding.detail for finding in report.findings)


async def test_an_unreadable_child_is_told_with_its_platform(
    rig: Rig, registry: RealRegistry
) -> None:
    child = await push_image(registry.url, "a", "", platform=("linux", "arm64"))
    await push_index(registry.url, "a", "multi", [child])
    registry.blob_path(child.digest).write_bytes(b"")
    finding = _only(await _look(rig))
    assert (finding.fault, finding.subject) == (Fault.UNREADABLE, child.digest)
    assert (finding.tags, finding.platforms) == (("multi",), ("linux/arm64",))


async def test_signatures_of_what_is_gone(rig: Rig, registry: RealRegistry) -> None:
    here = await push_image(registry.url, "a", "1")
    untagged = await push_image(registry.url, "a", "")
    for digest in (here.digest, untagged.digest, f"sha256:{'0' * 64}"):
        await push_image(registry.url, "a", f"sha256-{digest[7:]}.sig")

    finding = _only(await _look(rig))

    stale = f"sha256-{'0' * 64}.sig"
    assert (finding.fault, finding.subject) == (Fault.STALE_SIGNATURE, stale)
    # What they are told to do.
    assert f"`/registry delete a:{stale}`" in advice(finding, "host")
    await rig.done(await rig.delete(f"a:{stale}"))
    assert (await _look(rig)).findings == ()


async def test_empty_repositories(rig: Rig, registry: RealRegistry) -> None:
    pushed = await push_image(registry.url, "emptied", "1")
    await rig.registry.client.delete_manifest("emptied", pushed.digest)
    async with httpx.AsyncClient(verify=False) as http:
        await push_blob(http, registry.url, "half/pushed", b"a layer and never a manifest")

    report = await _look(rig)

    assert {(f.fault, f.repository) for f in report.findings} == {
        (Fault.EMPTY_REPOSITORY, "emptied"),
        (Fault.EMPTY_REPOSITORY, "half/pushed"),
    }
    assert report.is_whole
    assert _only(await _look(rig, "half/pushed")).fault is Fault.EMPTY_REPOSITORY


async def test_an_unknown_repository_is_refused_with_close_names(
    rig: Rig, registry: RealRegistry
) -> None:
    await push_image(registry.url, "team/api", "1")
    with pytest.raises(Refusal) as refused:
        await _look(rig, "team/apo")
    assert refused.value.suggestions == ("team/api",)


async def test_stale_uploads_are_counted_where_the_storage_is_readable(tmp_path: Path) -> None:
    controlled = ControlledRegistry(tmp_path)
    controlled.start()
    try:
        async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
            await push_image(controlled.url, "team/app/sub", "1")
            async with httpx.AsyncClient(verify=False) as http:
                for name in ("team/app", "team/app/sub", "team/app/sub"):
                    await _begin_upload(http, controlled.url, name, bytes(5000))
            assert (await _look(rig)).uploads == StaleUploads()
            old = time.time() - 2 * 24 * 3600
            for upload in controlled.root.glob("**/_uploads/*"):
                for path in (*upload.rglob("*"), upload):
                    os.utime(path, (old, old))
            async with httpx.AsyncClient(verify=False) as http:
                await _begin_upload(http, controlled.url, "team/app", bytes(7000))
            found = (await _look(rig)).uploads
            assert found is not None
            assert (found.count, found.repositories) == (3, 2)
            assert 15_000 < found.size < 17_000  # the data, and the registry's notes beside it
            collected = await rig.done(await rig.gc())
            assert collected.result["uploads"] == asdict(found)
            found = (await _look(rig, "team/app/sub")).uploads
            assert found is not None
            assert (found.count, found.repositories) == (2, 1)
    finally:
        controlled.stop()


async def _begin_upload(http: httpx.AsyncClient, url: str, name: str, data: bytes) -> None:
    begun = await http.post(f"{url}/v2/{name}/blobs/uploads/")
    sent = await http.patch(str(begun.url.join(begun.headers["Location"])), content=data)
    assert sent.status_code == 202


async def test_time_that_is_over_is_said_and_what_was_found_is_told(
    rig: Rig, registry: RealRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await push_image(registry.url, f"r{number}", "1")
    shutil.rmtree(_repository(registry, "r0") / "_manifests/tags/1/current")
    stuck = asyncio.Event()
    client = rig.registry.client
    examine = client.examine_blob

    async def slow(repository: str, blob: Descriptor) -> BlobState:
        if repository == "r1":
            await stuck.wait()
        return await examine(repository, blob)

    monkeypatch.setattr(client, "examine_blob", slow)
    short = dataclasses.replace(FAST, doctor=1.5, doctor_one=0.5)
    rushed = Rig(dataclasses.replace(rig.ctx, timing=short))

    report = await _look(rushed)

    assert (report.looked, report.repositories, report.is_whole) == (2, 3, False)
    assert _told(report) == {(Fault.GHOST_TAG, "r0", "1", ("1",))}
    (_repository(registry, "r1") / "_manifests/tags/ghost").mkdir()
    report = await _look(rushed, "r1")
    assert not report.is_whole
    assert 0 < report.checks < report.known_checks
    assert _told(report) == {(Fault.GHOST_TAG, "r1", "ghost", ("ghost",))}


async def test_other_commands_get_their_turn_and_bytes_are_looked_at_once(
    rig: Rig, registry: RealRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = os.urandom(2000)
    for number in range(6):
        await push_image(registry.url, f"r{number % 3}", f"{number}", layers=[base])
    client = rig.registry.client
    under_way = most = 0
    examined: list[str] = []

    def counted(work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def one(*arguments: Any) -> Any:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            try:
                if work.__name__ == "examine_blob":
                    examined.append(arguments[1].digest)
                return await work(*arguments)
            finally:
                under_way -= 1

        return one

    for name in ("tags", "head", "manifest", "examine_blob", "has_blob"):
        monkeypatch.setattr(client, name, counted(getattr(client, name)))
    assert (await _look(rig)).findings == ()
    assert most == 4
    assert sorted(examined) == sorted(set(examined))
    assert examined.count(digest_of(base)) == 1


async def test_a_tag_that_goes_meanwhile_is_no_fault(
    rig: Rig, registry: RealRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = await push_image(registry.url, "a", "1")
    await push_image(registry.url, "a", "2")
    client = rig.registry.client
    read = client.manifest

    async def late(repository: str, reference: str) -> RawManifest:
        if reference == "1":
            await client.delete_manifest("a", pushed.digest)
        return await read(repository, reference)

    monkeypatch.setattr(client, "manifest", late)
    assert (await _look(rig)).findings == ()


async def test_a_registry_that_does_not_answer(rig: Rig, registry: RealRegistry) -> None:
    await push_image(registry.url, "a", "1")
    registry.stop()
    with pytest.raises(Unreachable):
        await _look(rig, "a")
