"""`gc --delete-untagged` on a real distribution 2.x, which deletes the images inside an index."""

import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bot.gc.command import CommandSettings
from bot.operations import approvals, canary, collection_request, untagged
from bot.operations.errors import Refusal
from bot.registry.client import UploadSupport
from bot.registry.manifest import OCI_INDEX, RawManifest
from bot.rules.approval import Request, State, WindowState
from bot.rules.locks import moment
from tests.support.controlled_registry import ControlledRegistry
from tests.support.fake_v3 import FakeV3
from tests.support.images import Pushed, pull, push_image, push_index
from tests.support.rig import BOB, Rig

pytestmark = pytest.mark.anyio


async def _orphan(registry: ControlledRegistry, repo: str = "a", tag: str = "1") -> Pushed:
    """An image whose tag went to another one."""
    old = await push_image(registry.url, repo, tag, layers=[os.urandom(30_000)])
    await push_image(registry.url, repo, tag, layers=[b"newer"])
    return old


async def _multi(
    registry: ControlledRegistry, tag: str, *, media: str = "oci", own_tags: bool = False
) -> tuple[Pushed, Pushed]:
    """A multi-arch image in `a`, by default with children that have no tag of their own."""
    children = [
        await push_image(
            registry.url,
            "a",
            f"{tag}-{arch}" if own_tags else "",
            layers=[f"{tag} {arch}".encode()],
            platform=("linux", arch),
            media=media,
        )
        for arch in ("amd64", "arm64")
    ]
    await push_index(registry.url, "a", tag, children, media)
    return children[0], children[1]


async def _pull_all(rig: Rig) -> int:
    """Pull everything that has a tag; how many that were."""
    client, count = rig.registry.client, 0
    for repository in await client.repositories():
        for tag in await client.tags(repository):
            await pull(client.url, repository, tag)
            count += 1
    return count


async def _writable(rig: Rig) -> bool:
    return await rig.registry.client.probe_upload("a") is UploadSupport.ACCEPTED


async def _details(rig: Rig, request: Request, event: str) -> list[dict[str, Any]]:
    async with rig.store.reading() as tx:
        entries = await tx.audit.entries(request_id=request.id)
    return [dict(entry.detail) for entry in entries if entry.event == event]


async def test_what_no_tag_needs_goes_and_every_tag_can_be_pulled(
    tmp_path, controlled, monkeypatch
) -> None:
    monkeypatch.setattr(canary, "SAMPLE", 0)  # so that chance does not pull what the proof must
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        await _multi(controlled, "multi", own_tags=True)
        await push_image(controlled.url, "team/sub/b", "1")
        kept = controlled.blob_digests()
        old = await _orphan(controlled)
        garbage = [old.digest, old.config_digest, *old.layer_digests]
        size = sum(controlled.blob_path(one).stat().st_size for one in garbage)

        request = await rig.gc(delete_untagged=True)
        assert request.plan["preview"]["manifests"] == [old.digest]
        read = {"repositories": 2, "tags": 5, "manifests": 5}
        assert request.plan["preview"]["proof"] == read
        ended = await rig.done(request)

        assert ended.state is State.DONE, ended.result
        assert ended.result["freed_bytes"] == size
        assert ended.result["proof"] == read
        assert kept < controlled.blob_digests()
        assert not controlled.blob_digests() & set(garbage)
        assert await _pull_all(rig) == 5
        assert [one[:2] for one in ended.progress["canary"]] == [["a", "multi"]]
        assert ended.result["canary"]["images"] == 1
        assert await _writable(rig)
        proven = {"delete_untagged": True, "going": 1, **read}
        [told] = await _details(rig, ended, "gc.proven")
        assert told.items() >= proven.items()
        assert (await _details(rig, ended, "request.created"))[0]["delete_untagged"] is True


async def test_the_images_inside_an_index_are_named_and_nothing_happens(
    tmp_path, controlled
) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        for tag, media in (("1", "oci"), ("2", "docker"), ("3", "oci"), ("4", "oci"), ("5", "oci")):
            children = await _multi(controlled, tag, media=media)
        await _orphan(controlled, "b")
        before = controlled.blob_digests()
        with pytest.raises(Refusal) as refused:
            await rig.gc(delete_untagged=True)
        said = refused.value.sentence
        assert said.startswith("--delete-untagged would break 5 images: a:1 needs sha256:")
        assert said.endswith(" and 2 more.")
        assert "a:4" not in said
        with pytest.raises(Refusal) as looked:
            await collection_request.preview(
                rig.ctx, rig.registry, delete_untagged=True, name="look", limited=False
            )
        assert looked.value.sentence == said
        assert controlled.blob_digests() == before
        assert {child.digest for child in children} < before
        assert await _pull_all(rig) == 6


async def test_an_index_in_an_index_counts(tmp_path, controlled) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        deep = await push_image(controlled.url, "a", "", layers=[b"deep"])
        inner = await push_index(controlled.url, "a", "inner", [deep])
        await push_index(controlled.url, "a", "outer", [inner])
        with pytest.raises(Refusal, match=f"a:outer needs {deep.digest[:19]}"):
            await rig.gc(delete_untagged=True)


async def test_a_repository_that_never_had_a_tag_is_named(tmp_path, controlled) -> None:
    """Distribution 2.x fails there, whatever else there is to collect."""
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        await push_image(controlled.url, "by/digest", "")
        with pytest.raises(Refusal, match="while by/digest has manifests and never had a tag"):
            await rig.gc(delete_untagged=True)


async def test_the_same_image_with_a_tag_elsewhere_is_no_reason(tmp_path, controlled) -> None:
    """Every repository has its own list of manifests; what two share stays for the other."""
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        shared = [b"promoted"]
        await push_image(controlled.url, "ci", "1", layers=shared)
        await push_image(controlled.url, "ci", "1", layers=[b"newer"])
        await push_image(controlled.url, "prod", "1", layers=shared)
        ended = await rig.done(await rig.gc(delete_untagged=True))
        assert ended.state is State.DONE, ended.result
        assert await _pull_all(rig) == 2


async def test_an_index_pushed_after_the_approval_is_seen(tmp_path, controlled) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        old = await _orphan(controlled)
        await _multi(controlled, "multi", own_tags=True)
        request = await rig.gc(delete_untagged=True)
        await rig.approve(request)
        await push_index(controlled.url, "a", "late", [old])
        before = controlled.blob_digests()

        ended = await rig.finished(request)

        assert ended.state is State.FAILED
        assert f"would break 1 image: a:late needs {old.digest[:19]}" in ended.result["why"]
        assert "Nothing was collected." in ended.result["why"]
        assert controlled.blob_digests() == before
        assert await _pull_all(rig) == 5
        assert await _writable(rig)
        assert len(await _details(rig, ended, "gc.unproven")) == 1
        assert not await _details(rig, ended, "gc.proven")


async def test_a_tag_that_came_to_what_would_go_is_seen(tmp_path, controlled) -> None:
    """The dry run shows it, too; the proof does not lean on that."""
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        kept = await push_image(controlled.url, "a", "1")
        with pytest.raises(Refusal, match=f"a:1 needs {kept.digest[:19]}"):
            await untagged.prove(rig.ctx, rig.registry, {("a", kept.digest)})
        with pytest.raises(Refusal, match="does not list other"):
            await untagged.prove(rig.ctx, rig.registry, {("other", kept.digest)})
        with pytest.raises(Refusal, match="repository without a name"):
            await untagged.prove(rig.ctx, rig.registry, {("", kept.digest)})


async def test_a_repository_whose_tags_are_not_there_refuses_it(tmp_path, controlled) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        pushed = await push_image(controlled.url, "by/digest", "")
        with pytest.raises(Refusal, match="the tags of by/digest are not there"):
            await untagged.prove(rig.ctx, rig.registry, {("by/digest", pushed.digest)})
        assert (await untagged.prove(rig.ctx, rig.registry, set())).repositories == 1


async def test_an_open_undo_window_refuses_it_with_its_end(tmp_path, controlled) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        await _orphan(controlled)
        await push_image(controlled.url, "a", "2", layers=[b"comes back"])
        asked = await rig.gc(delete_untagged=True)
        gone = await rig.done(await rig.delete("a:2"))
        assert gone.undo_until

        ended = await rig.done(asked)
        assert ended.state is State.OUTDATED
        assert f"the undo window of {gone.name}, open until" in ended.result["why"]

        with pytest.raises(Refusal) as refused:
            await rig.gc(delete_untagged=True)
        assert f"open until {moment(gone.undo_until)}." in refused.value.sentence
        await rig.undo_(gone)
        await pull(controlled.url, "a", "2")


async def test_what_the_end_of_a_window_kept_is_not_deleted(tmp_path, controlled) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        pushed = await push_image(controlled.url, "a", "1", layers=[b"protected since"])
        gone = await rig.done(await rig.delete("a:1"))
        async with rig.store.transaction() as tx:
            await tx.windows.settle(gone.id, "a", pushed.digest, WindowState.HELD, "prod")
        with pytest.raises(Refusal, match=f"the end of {gone.name}'s undo window kept for prod"):
            await rig.gc(delete_untagged=True)


async def _lock(rig: Rig, request: Request) -> None:
    async with rig.store.transaction() as tx:
        await tx.locks.add(
            "corp",
            "b",
            reason="moving",
            actor=BOB,
            team="T0TEAM",
            channel="C0OPS",
            request_id=request.id,
            seconds=None,
        )


async def test_a_lock_refuses_it_also_in_the_last_moment(tmp_path, controlled, monkeypatch) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        await _orphan(controlled)
        request = await rig.gc(delete_untagged=True)
        before = controlled.blob_digests()
        switch = rig.registry.collector.switch_off_writes

        async def locking(job: str, fence: Callable[[], Awaitable[None]]) -> None:
            await switch(job, fence)
            await _lock(rig, request)

        monkeypatch.setattr(rig.registry.collector, "switch_off_writes", locking)
        ended = await rig.done(request)
        assert ended.state is State.FAILED
        assert "b is locked since" in ended.result["why"]
        assert controlled.blob_digests() == before
        assert await _writable(rig)
        with pytest.raises(Refusal, match="b is locked"):
            await rig.gc(delete_untagged=True)


async def test_a_manifest_that_cannot_be_read_refuses_it(tmp_path, controlled) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        await _orphan(controlled)
        amd64, _ = await _multi(controlled, "multi", own_tags=True)
        request = await rig.gc(delete_untagged=True)
        controlled.blob_path(amd64.digest).unlink()
        before = controlled.blob_digests()

        ended = await rig.done(request)
        assert ended.state is State.FAILED
        assert "could not be proven" in ended.result["why"]
        assert controlled.blob_digests() == before
        assert await _writable(rig)

        with pytest.raises(Refusal, match=r"the tag a:multi-amd64 is listed, but"):
            await rig.gc(delete_untagged=True)


async def test_a_manifest_with_other_bytes_refuses_it(tmp_path, controlled) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        path = controlled.blob_path((await push_image(controlled.url, "a", "1")).digest)
        path.write_bytes(path.read_bytes().replace(b'"size": ', b'"size":  '))
        with pytest.raises(Refusal, match="could not be proven, because"):
            await untagged.prove(rig.ctx, rig.registry, set())


async def test_a_child_that_is_not_there_refuses_it(tmp_path, controlled) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        await _orphan(controlled)
        amd64, _ = await _multi(controlled, "multi")
        await rig.registry.client.delete_manifest("a", amd64.digest)
        with pytest.raises(Refusal, match=f"{amd64.digest[:19]} of a:multi is not there"):
            await untagged.prove(rig.ctx, rig.registry, set())


async def test_what_refers_to_an_image_that_stays_is_not_lost(tmp_path, controlled) -> None:
    """An attestation without a tag, as clients push them where they trust a referrers API."""
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        image = await push_image(controlled.url, "a", "1")
        subject = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.body)}
        about = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": subject}
        attestation = RawManifest.of(OCI_INDEX, json.dumps(about).encode())
        await rig.registry.client.put_manifest("a", attestation.digest, attestation)
        with pytest.raises(Refusal, match=f"loses {attestation.digest[:19]}, which refers to it"):
            await rig.gc(delete_untagged=True)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"mode": "offline", "start_read_only": ()}, "the registry is stopped"),
        ({"unsafe_allow_live_gc": True, "start_read_only": ()}, "pushes go on"),
    ],
)
async def test_it_is_refused_where_nothing_can_be_read_under_read_only(
    tmp_path, controlled, change: dict[str, Any], why: str
) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings(**change)) as rig:
        await push_image(controlled.url, "a", "1")
        with pytest.raises(Refusal, match=why):
            await rig.gc(delete_untagged=True)


async def test_an_answer_does_not_wait_for_a_large_registry(
    tmp_path, controlled, monkeypatch
) -> None:
    async def endless(*_: object) -> untagged.Proven:
        raise TimeoutError

    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        await _orphan(controlled)
        with monkeypatch.context() as patched:
            patched.setattr(untagged, "prove", endless)
            request = await rig.gc(delete_untagged=True)
        assert "proof" not in request.plan["preview"]
        assert "within 20 seconds" in request.plan["preview"]["unproven"]
        ended = await rig.done(request)
        assert ended.state is State.DONE, ended.result
        assert ended.result["proof"]["tags"] == 1


async def test_abort_ends_the_reading_and_restores_the_registry(
    tmp_path, controlled, monkeypatch
) -> None:
    async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
        await _orphan(controlled)
        request = await rig.gc(delete_untagged=True)
        before = controlled.blob_digests()

        async def reading(*_: object) -> untagged.Proven:
            await rig.decide(approvals.abort, request, BOB)
            await rig.until(request, lambda r: not r.state.is_open)  # for as long as nobody ends it
            raise AssertionError("it was not ended")

        monkeypatch.setattr(untagged, "prove", reading)
        ended = await rig.done(request)
        assert ended.state is State.ABORTED
        assert controlled.blob_digests() == before
        assert await _writable(rig)


async def test_version_3_may_do_it_offline_as_it_spares_children_itself(tmp_path) -> None:
    offline = CommandSettings(("registry", "garbage-collect"), "c.yml", mode="offline")
    async with FakeV3() as fake, Rig.open(tmp_path, fake.url, gc=offline) as rig:
        assert not untagged.can_be_proven(rig.registry.collector)
        await untagged.gate(rig.ctx, rig.registry, rig.registry.collector)
