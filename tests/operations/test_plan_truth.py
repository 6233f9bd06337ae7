"""What a plan says of the odd things in a registry, on a real one."""

import csv
import io
import subprocess

import pytest

from bot.operations.errors import Refusal
from bot.operations.images import ImageReader
from bot.registry.errors import NotFound
from bot.rules.approval import ItemState, Request, State
from bot.rules.plan import DeletionPlan, PlannedDigest
from bot.rules.policy import Protection
from bot.slack.views import files
from tests.support.images import Pushed, pull, push_image, push_index
from tests.support.many import tag_as
from tests.support.real_registry import RealRegistry, registry_binary
from tests.support.rig import Rig, policy

pytestmark = pytest.mark.anyio


def plan_of(request: Request) -> DeletionPlan:
    return DeletionPlan.from_json(request.plan)


def of(request: Request, digest: str) -> PlannedDigest:
    return next(d for d in plan_of(request).digests if d.digest == digest)


def notes(planned: PlannedDigest) -> list[str]:
    return [note.text for note in planned.notes]


def signature_tag(image: Pushed, suffix: str = ".sig") -> str:
    return image.digest.replace(":", "-") + suffix


async def sign(registry: RealRegistry, repo: str, image: Pushed, suffix: str = ".sig") -> str:
    tag = signature_tag(image, suffix)
    await push_image(registry.url, repo, tag, layers=[f"{tag} speaks".encode()])
    return tag


async def test_an_image_of_1970_is_said_to_have_no_real_date(
    rig: Rig, registry: RealRegistry
) -> None:
    old = await push_image(registry.url, "a", "old", created="1970-01-01T00:00:00Z")
    new = await push_image(registry.url, "a", "new", created="2024-01-01T00:00:00Z")
    multi = await push_index(registry.url, "a", "multi", [old])
    request = await rig.delete("a:old", "a:new", "a:multi")
    told = "dated 1970-01-01: the build wrote no real date, its age is unknown"
    assert told in notes(of(request, old.digest))
    assert told in notes(of(request, multi.digest))
    assert not any("dated" in text for text in notes(of(request, new.digest)))


async def test_an_image_whose_config_is_lost_can_still_be_planned(
    rig: Rig, registry: RealRegistry
) -> None:
    lost = await push_image(registry.url, "a", "1")
    registry.blob_path(lost.config_digest).unlink()
    ended = await rig.done(await rig.delete("a:1"))
    assert ended.state is State.DONE


async def test_the_child_of_an_index_keeps_its_own_tag(rig: Rig, registry: RealRegistry) -> None:
    amd = await push_image(registry.url, "a", "amd", layers=[b"amd"])
    arm = await push_image(registry.url, "a", "", layers=[b"arm"], platform=("linux", "arm64"))
    both = await push_image(registry.url, "a", "", layers=[b"s390"], platform=("linux", "s390x"))
    multi = await push_index(registry.url, "a", "multi", [amd, arm, both])
    await push_index(registry.url, "a", "other", [both])

    request = await rig.delete("a:multi")

    found = {b.digest: (b.platform, b.outcome, b.why) for b in of(request, multi.digest).below}
    assert found == {
        amd.digest: ("linux/amd64", "stays", "keeps its own tag `amd`"),
        arm.digest: ("linux/arm64", "goes", "goes with its index when the undo window ends"),
        both.digest: ("linux/s390x", "stays", "is in the multi-arch image `other` as well"),
    }
    assert of(request, multi.digest).children == (arm.digest,)
    assert notes(of(request, multi.digest)) == ["stays until its undo window ends"]
    # And so it comes about.
    await rig.purge_now(await rig.done(request))
    await pull(registry.url, "a", "amd")
    await pull(registry.url, "a", "other")
    for gone in (multi.digest, arm.digest):
        with pytest.raises(NotFound):
            await rig.registry.client.head("a", gone)


async def test_an_index_that_keeps_a_tag_and_a_child_that_goes_by_the_same_request(
    rig: Rig, registry: RealRegistry
) -> None:
    amd = await push_image(registry.url, "a", "amd", layers=[b"amd"])
    multi = await push_index(registry.url, "a", "multi", [amd])
    await tag_as(registry.url, "a", multi, ["stable"])
    one = await rig.delete("a:multi")
    assert notes(of(one, multi.digest)) == ["the image stays: `stable` is on it"]
    assert [b.outcome for b in of(one, multi.digest).below] == ["stays"]
    both = await rig.delete("a:multi", "a:stable", "a:amd")
    assert [b.why for b in of(both, multi.digest).below] == ["goes by this request as well: `amd`"]
    child = await rig.delete("a:amd")
    assert notes(of(child, amd.digest)) == [
        "the image stays: the multi-arch image `multi` contains it"
    ]


async def test_the_signature_of_an_image_that_is_not_there_any_more(
    rig: Rig, registry: RealRegistry
) -> None:
    gone = await push_image(registry.url, "a", "1")
    left = await sign(registry, "a", gone)
    await rig.registry.client.delete_manifest("a", gone.digest)
    request = await rig.delete(f"a:{left}")
    (planned,) = plan_of(request).digests
    assert planned.signs == gone.digest
    assert f"the signature of an image that is not there any more: {gone.digest[:19]}" in notes(
        planned
    )


async def test_the_signature_of_an_image_without_a_tag(rig: Rig, registry: RealRegistry) -> None:
    untagged = await push_image(registry.url, "a", "")
    tag = await sign(registry, "a", untagged, ".sbom")
    (planned,) = plan_of(await rig.delete(f"a:{tag}")).digests
    assert (
        f"the bill of materials of an image that has no tag any more: {untagged.digest[:19]}"
        in notes(planned)
    )


async def test_deleting_only_the_signature_says_what_is_left_unsigned(
    rig: Rig, registry: RealRegistry
) -> None:
    image = await push_image(registry.url, "a", "1.0")
    signature = await sign(registry, "a", image, ".sig")
    attestation = await sign(registry, "a", image, ".att")
    request = await rig.delete(f"a:{signature}", f"a:{attestation}")
    told = [text for d in plan_of(request).digests for text in notes(d)]
    assert "deleting only the signature leaves `1.0` unsigned" in told
    assert "deleting only the attestation leaves `1.0` without its attestation" in told


async def test_a_tag_that_is_also_the_beginning_of_a_digest(
    rig: Rig, registry: RealRegistry
) -> None:
    other = await push_image(registry.url, "a", "1")
    name = other.digest.removeprefix("sha256:")[:12]
    image = await push_image(registry.url, "a", name)
    assert image.digest != other.digest

    request = await rig.delete(f"a:{name}")

    assert notes(of(request, image.digest))[1:] == [
        f"tag `{name}` is also the beginning of digest sha256:{name}, which is another image: "
        "the tag is meant"
    ]
    await rig.done(request)
    assert await rig.registry.client.tags("a") == ["1"]
    await pull(registry.url, "a", "1")
    # Behind @ the digest is meant.
    assert [t for _, t, _ in plan_of(await rig.delete(f"a@sha256:{name}")).tags] == ["1"]


# -- signatures that go along


async def test_signatures_that_would_be_left_go_along_if_asked(
    rig: Rig, registry: RealRegistry
) -> None:
    image = await push_image(registry.url, "a", "1")
    kept = await push_image(registry.url, "a", "2")
    await tag_as(registry.url, "a", kept, ["3"])
    theirs = [await sign(registry, "a", image, s) for s in ("", ".att", ".sbom", ".sig")]
    stays = await sign(registry, "a", kept)

    without = await rig.delete("a:1", "a:2")

    assert plan_of(without).orphans == tuple(("a", tag) for tag in theirs)
    assert plan_of(without).along == ()
    along = await rig.delete("a:1", "a:2", with_signatures=True)
    plan = plan_of(along)
    assert sorted(t for _, t, _ in plan.tags) == sorted(["1", "2", *theirs])
    assert plan.along == tuple(("a", tag) for tag in theirs)
    assert plan.orphans == ()
    assert "the signature of `1`, which goes as well" in [t for d in plan.digests for t in notes(d)]
    ended = await rig.done(along)
    assert ended.state is State.DONE
    assert set(await rig.registry.client.tags("a")) == {stays, "3"}
    await rig.undo_(ended)
    assert set(await rig.registry.client.tags("a")) == {"1", "2", "3", stays, *theirs}


async def test_a_signature_pushed_onto_what_was_approved_makes_it_outdated(
    rig: Rig, registry: RealRegistry
) -> None:
    """Signatures that go along are pinned like everything that goes."""
    image = await push_image(registry.url, "a", "1")
    tag = await sign(registry, "a", image)
    request = await rig.delete("a:1", with_signatures=True)
    await rig.approve(request)
    await push_image(registry.url, "a", tag, layers=[b"signed again"])
    ended = await rig.finished(request)
    assert ended.state is State.OUTDATED
    assert "moved" in ended.result["why"]
    assert set(await rig.registry.client.tags("a")) == {"1", tag}


async def test_a_purge_takes_signatures_along_but_never_those_of_others(
    rig: Rig, registry: RealRegistry
) -> None:
    image = await push_image(registry.url, "a", "1")
    other = await push_image(registry.url, "a", "2")
    own = await sign(registry, "a", image, ".sig")
    shared = await push_image(registry.url, "a", signature_tag(image, ".sbom"), layers=[b"bom"])
    await tag_as(registry.url, "a", shared, [signature_tag(other, ".sbom")])

    ended = await rig.done(await rig.purge_("a:1", with_signatures=True))

    assert ended.state is State.PURGED
    left = set(await rig.registry.client.tags("a"))
    assert left == {"2", signature_tag(image, ".sbom"), signature_tag(other, ".sbom")}
    assert own not in left


async def test_a_protected_signature_does_not_go_along(registry: RealRegistry, tmp_path) -> None:
    image = await push_image(registry.url, "a", "1")
    tag = await sign(registry, "a", image)
    rules = policy(protected=[Protection(("a",), ("sha256-*",))])
    async with Rig.open(tmp_path, registry.url, rules=rules) as rig:
        with pytest.raises(Refusal, match=rf"{tag} is protected"):
            await rig.delete("a:1", with_signatures=True)
        assert (await rig.delete("a:1")).state is State.PENDING


# -- several at once


async def test_references_and_globs_over_repositories_each_with_its_own_outcome(
    rig: Rig, registry: RealRegistry
) -> None:
    for repo, tags in (("a", ("pr-1", "pr-2", "1.0")), ("b/c", ("x", "y"))):
        for tag in tags:
            await push_image(registry.url, repo, tag)
    request = await rig.delete("a:pr-*", "b/c:x", "a:pr-1")
    assert [t[:2] for t in plan_of(request).tags] == [
        ("a", "pr-1"), ("a", "pr-2"), ("b/c", "x"),
    ]  # fmt: skip
    await rig.approve(request)
    # The first goes; while it does, somebody pushes over the second.
    client = rig.registry.client
    delete = client.delete_manifest

    async def pushed_meanwhile(repository: str, digest: str) -> None:
        await delete(repository, digest)
        client.delete_manifest = delete  # type: ignore[method-assign]
        await push_image(registry.url, "a", "pr-2", layers=[b"a newer one"])

    client.delete_manifest = pushed_meanwhile  # type: ignore[method-assign]

    ended = await rig.finished(request)

    assert ended.state is State.PARTLY_DONE
    assert [(i.tag, i.state) for i in ended.items] == [
        ("pr-1", ItemState.DONE),
        ("pr-2", ItemState.MOVED),
        ("x", ItemState.DONE),
    ]
    assert set(await client.tags("a")) == {"1.0", "pr-2"}
    assert await client.tags("b/c") == ["y"]


# -- bytes


def collect(registry: RealRegistry) -> int:
    """Bytes that a real garbage collection frees."""
    before = registry.disk_bytes()
    registry.stop()
    subprocess.run(
        [registry_binary(), "garbage-collect", str(registry.config_path)],
        check=True,
        capture_output=True,
    )
    freed = before - registry.disk_bytes()
    registry.start()
    return freed


async def test_unique_bytes_are_those_that_a_collection_frees(
    rig: Rig, registry: RealRegistry
) -> None:
    base, shared = b"base" * 5000, b"shared with b" * 3000
    one = await push_image(registry.url, "a", "1", layers=[base, shared, b"one" * 700])
    await push_image(registry.url, "a", "2", layers=[base, b"two"])
    await push_image(registry.url, "b", "1", layers=[shared, b"b's own"])
    await ImageReader(rig.store, rig.registry).snapshot("b")

    request = await rig.purge_("a:1")

    plan = plan_of(request)
    own = len(b"one" * 700) + len(one.body) + registry.blob_path(one.config_digest).stat().st_size
    assert plan.unique_bytes == own + len(shared), "within the repository the base is shared"
    assert plan.unique_everywhere == own
    assert plan.coverage == "in all 2 repositories"
    assert of(request, one.digest).everywhere == own
    assert (await rig.done(request)).state is State.PURGED
    assert collect(registry) == own
    await pull(registry.url, "a", "2")
    await pull(registry.url, "b", "1")


async def test_the_same_image_elsewhere_frees_nothing(rig: Rig, registry: RealRegistry) -> None:
    image = await push_image(registry.url, "a", "1", layers=[b"the same" * 1000])
    child = await push_image(registry.url, "b", "", layers=[b"the same" * 1000])
    assert image.digest == child.digest
    await push_index(registry.url, "b", "multi", [child])
    await ImageReader(rig.store, rig.registry).snapshot("b")

    request = await rig.purge_("a:1")

    assert plan_of(request).unique_bytes > 8000
    assert plan_of(request).unique_everywhere == 0
    await rig.done(request)
    assert collect(registry) == 0
    await pull(registry.url, "b", "multi")


async def test_bytes_say_how_much_of_the_registry_they_know(
    rig: Rig, registry: RealRegistry
) -> None:
    for repo in ("a", "b", "c"):
        await push_image(registry.url, repo, "1", layers=[b"the same" * 1000, repo.encode()])
    reader = ImageReader(rig.store, rig.registry)
    assert plan_of(await rig.delete("a:1")).coverage == (
        "in the 1 of 3 repositories that the bot has read"
    )
    await reader.snapshot("b")
    plan = plan_of(await rig.delete("a:1"))
    assert plan.coverage == "in the 2 of 3 repositories that the bot has read"
    assert 0 < (plan.unique_everywhere or 0) < 8000 < plan.unique_bytes
    # What the other repository no longer has is not counted any more.
    await rig.registry.client.delete_manifest(
        "b", (await rig.registry.client.head("b", "1")).digest
    )
    await reader.snapshot("b")
    plan = plan_of(await rig.delete("a:1"))
    assert plan.unique_everywhere == plan.unique_bytes


async def test_windows_hold_what_really_can_be_freed(rig: Rig, registry: RealRegistry) -> None:
    await push_image(registry.url, "a", "1", layers=[b"the same" * 1000])
    await push_image(registry.url, "b", "1", layers=[b"the same" * 1000, b"more"])
    await ImageReader(rig.store, rig.registry).snapshot("b")
    ended = await rig.done(await rig.delete("a:1"))
    assert ended.windows[0].size == plan_of(ended).unique_everywhere
    assert ended.windows[0].size < 8000


# -- the table


async def test_the_table_of_a_real_plan(rig: Rig, registry: RealRegistry) -> None:
    amd = await push_image(registry.url, "a", "amd", layers=[b"amd"])
    arm = await push_image(registry.url, "a", "", layers=[b"arm"], platform=("linux", "arm64"))
    multi = await push_index(registry.url, "a", "multi", [amd, arm])
    signature = await sign(registry, "a", multi)
    bulk = await push_image(registry.url, "a", "b000", layers=[b"bulk"])
    await tag_as(registry.url, "a", bulk, [f"b{n:03}" for n in range(1, 120)])
    request = await rig.delete("a:multi", "a:b*")

    file = files.of_request(request, "plan")

    assert file is not None
    rows = list(csv.DictReader(io.StringIO(file.content, newline="")))
    assert list(rows[0]) == list(files.PLAN_HEAD)
    goes = [row["tag"] for row in rows if row["goes/stays"] == "goes" and row["tag"]]
    assert goes == [*(f"b{n:03}" for n in range(120)), "multi"]
    (index,) = (row for row in rows if row["tag"] == "multi")
    assert index == {
        "repository": "a",
        "tag": "multi",
        "digest": multi.digest,
        "goes/stays": "goes",
        "media type": multi.media_type,
        "platforms": "linux/amd64 linux/arm64",
        "size bytes": str(of(request, multi.digest).size),
        "unique bytes": str(of(request, multi.digest).own),
        "unique bytes over all repositories": str(of(request, multi.digest).everywhere),
        "parents": "",
        "signatures": signature,
        "why": "stays until its undo window ends",
    }
    rest = {row["digest"]: row for row in rows if not row["tag"]}
    assert rest[amd.digest]["why"] == "the child keeps its own tag amd"
    assert rest[arm.digest]["goes/stays"] == "goes"
    (left,) = (row for row in rows if row["tag"] == signature)
    assert (left["goes/stays"], left["why"]) == (
        "stays", "the signature: its image goes without it",
    )  # fmt: skip
    unique = sum(int(row["unique bytes"] or 0) for row in rows)
    assert unique == plan_of(request).unique_bytes, "the column can be added up"
