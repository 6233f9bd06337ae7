"""Cleanups on a real registry: what a preview finds, and what the request from it takes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.operations import cleanup, previewing
from bot.operations.errors import Refusal
from bot.operations.images import ImageReader
from bot.rules.policy import Protection
from bot.rules.preview import Preview, PreviewState, Spec
from bot.rules.retention import Keep, Retention
from tests.support.faults import ALWAYS
from tests.support.images import Pushed, pull, push_artifact, push_image, push_index
from tests.support.proxy import Proxy
from tests.support.real_registry import RealRegistry
from tests.support.rig import ANN, Rig, State, policy

pytestmark = pytest.mark.anyio

DAY = 86400.0
REPO = "ci/app"


async def aged(registry: RealRegistry, tag: str, year: int, **more: Any) -> Pushed:
    return await push_image(registry.url, REPO, tag, created=f"{year}-06-01T00:00:00Z", **more)


async def tags(registry: RealRegistry, repo: str = REPO) -> list[str]:
    async with httpx.AsyncClient(verify=False) as http:
        answer = await http.get(f"{registry.url}/v2/{repo}/tags/list")
        return sorted(answer.json()["tags"] or [])


def goes(preview: Preview) -> list[str]:
    return [row.tag for row in preview.result.goes]


def stays(preview: Preview) -> dict[str, Sequence[str]]:
    return {group.why: group.examples for group in preview.result.stays}


NEWEST = Spec((Keep(most_recent_count=1),))


async def test_a_preview_that_somebody_else_began_goes_on(
    tmp_path: Path, registry: RealRegistry
) -> None:
    for year in (2019, 2020):
        await aged(registry, f"v{year}", year)
    async with Proxy.open(registry.url) as proxy, Rig.open(tmp_path, proxy.url) as rig:
        proxy.delay("/(manifests|blobs)/", 0.3, times=ALWAYS)
        async with rig.store.transaction() as tx:
            begun = await previewing.begin(tx, rig.asked(), "corp", REPO, NEWEST, 2)
            await tx.previews.progress(begun.id, tags=2, done=1, of=9)

        async def is_told() -> bool:
            async with rig.store.reading() as tx:
                return (await tx.previews.get(begun.id)).state is PreviewState.READY

        async with rig.working():
            await rig.eventually(is_told)


async def test_preview_request_run_undo(rig: Rig, registry: RealRegistry) -> None:
    for year in (2019, 2020, 2021):
        await aged(registry, f"v{year}", year)
    preview = await rig.preview(REPO, NEWEST)
    assert preview.state is PreviewState.READY
    assert goes(preview) == ["v2019", "v2020"]
    assert stays(preview) == {"among the 1 newest": ("v2021",)}
    assert await tags(registry) == ["v2019", "v2020", "v2021"]
    request = await rig.cleanup(preview)
    assert request.action == "cleanup"
    done = await rig.done(request)
    assert done.state is State.DONE
    assert await tags(registry) == ["v2021"]
    back = await rig.undo_(done)
    assert back.state is State.DONE
    assert await tags(registry) == ["v2019", "v2020", "v2021"]
    await pull(registry.url, REPO, "v2019")
    assert "cleanup.previewed" in [e.event for e in await _audit(rig)]


async def _audit(rig: Rig) -> Any:
    async with rig.store.reading() as tx:
        return await tx.audit.entries()


async def test_dates_that_nobody_can_believe(rig: Rig, registry: RealRegistry) -> None:
    await aged(registry, "old", 2019)
    await aged(registry, "new", 2024)
    await push_image(registry.url, REPO, "repro", created="1970-01-01T00:00:00Z")
    await push_image(registry.url, REPO, "go-zero", created="0001-01-01T00:00:00Z")
    await push_artifact(registry.url, REPO, "chart")
    preview = await rig.preview(REPO, Spec(()))
    assert goes(preview) == ["old", "new"]
    assert preview.result.ancient.examples == ("repro",)
    assert preview.result.undated.examples == ("chart", "go-zero")
    done = await rig.done(await rig.cleanup(preview))
    assert done.state is State.DONE
    assert await tags(registry) == ["chart", "go-zero", "repro"]


async def test_an_index_is_as_old_as_its_newest_child(rig: Rig, registry: RealRegistry) -> None:
    old = await aged(registry, "", 2018)
    new = await aged(registry, "", 2023, platform=("linux", "arm64"))
    epoch = await push_image(registry.url, REPO, "", created="1970-01-01T00:00:00Z")
    await push_index(registry.url, REPO, "multi", [old, new])
    await push_index(registry.url, REPO, "half", [epoch, old])
    await aged(registry, "single", 2020)
    preview = await rig.preview(REPO, NEWEST)
    assert goes(preview) == ["half", "single"]
    assert stays(preview) == {"among the 1 newest": ("multi",)}


async def test_signatures_follow_and_are_not_counted(rig: Rig, registry: RealRegistry) -> None:
    first, last = await aged(registry, "a", 2019), await aged(registry, "z", 2024)
    shared = await aged(registry, "s1", 2018, layers=[b"shared"])
    again = await aged(registry, "latest", 2018, layers=[b"shared"])
    assert shared.digest == again.digest
    for image in (first, last, shared):
        hex_ = image.digest.replace(":", "-")
        await aged(registry, f"{hex_}.sig", 2024, layers=[image.digest.encode()])
    keep = Spec((Keep(("latest",)), Keep(("[a-z]", "s1"), 1)))
    preview = await rig.preview(REPO, keep)
    signature = f"{first.digest.replace(':', '-')}.sig"
    assert goes(preview) == ["s1", "a"]
    assert preview.result.along == (signature,)
    assert preview.result.signatures == 3
    done = await rig.done(await rig.cleanup(preview))
    assert done.state is State.DONE
    left = await tags(registry)
    assert signature not in left
    assert [t for t in left if not t.startswith("sha256")] == ["latest", "z"]
    assert len(left) == 4
    await pull(registry.url, REPO, "latest")
    await rig.undo_(done)
    assert signature in await tags(registry)


async def test_a_protected_signature_stays_though_its_image_goes(
    rig: Rig, registry: RealRegistry
) -> None:
    image = await aged(registry, "a", 2019)
    hex_ = image.digest.replace(":", "-")
    for kind in ("sig", "att"):
        await aged(registry, f"{hex_}.{kind}", 2024, layers=[kind.encode()])
    held = rig.with_policy(policy(protected=[Protection(tags=("*.sig",))]))
    preview = await held.preview(REPO, Spec(()))
    assert goes(preview) == ["a"]
    assert preview.result.along == (f"{hex_}.att",)
    done = await held.done(await held.cleanup(preview))
    assert done.state is State.DONE
    assert await tags(registry) == [f"{hex_}.sig"]


async def test_protected_tags_stay_and_a_new_protection_refuses(
    rig: Rig, registry: RealRegistry
) -> None:
    for year in (2018, 2019, 2020):
        await aged(registry, f"v{year}", year)
    held = rig.with_policy(policy(protected=[Protection(tags=("v2018",))]))
    preview = await held.preview(REPO, Spec(()))
    assert goes(preview) == ["v2019", "v2020"]
    assert stays(preview) == {"protected by tags v2018": ("v2018",)}
    with pytest.raises(Refusal, match="v2019 is protected"):
        await rig.with_policy(policy(protected=[Protection(tags=("v2019",))])).cleanup(preview)


async def test_above_the_ceiling_the_oldest_go(tmp_path: Path, registry: RealRegistry) -> None:
    images = [await aged(registry, f"v{year}", year) for year in range(2016, 2022)]
    signature = f"{images[1].digest.replace(':', '-')}.att"
    await aged(registry, signature, 2024, layers=[b"att"])
    async with Rig.open(tmp_path, registry.url, max_tags=4) as rig:
        preview = await rig.preview(REPO, NEWEST)
        # Three tags and the signature of one of them are four.
        assert goes(preview) == ["v2016", "v2017", "v2018"]
        assert preview.result.along == (signature,)
        assert preview.result.above == 2
        request = await rig.cleanup(preview)
        assert len(request.items) == 4
        await rig.done(request)
        again = await rig.preview(REPO, NEWEST)
        assert goes(again) == ["v2019", "v2020"]
        assert again.result.above == 0


async def test_what_moved_or_vanished_since_is_left_out(rig: Rig, registry: RealRegistry) -> None:
    for year in (2017, 2018, 2019, 2020):
        await aged(registry, f"v{year}", year)
    preview = await rig.preview(REPO, NEWEST)
    await aged(registry, "v2018", 2017, layers=[b"pushed again"])
    await rig.done(await rig.delete(f"{REPO}:v2019"))
    request = await rig.cleanup(preview)
    assert [item.tag for item in request.items] == ["v2017"]
    assert request.plan["cleanup"]["left_out"] == "1 gone (v2019), 1 moved (v2018)"
    await rig.done(request)
    with pytest.raises(Refusal, match="Nothing that this preview shows is left"):
        await rig.cleanup(preview)


async def test_what_is_to_be_kept_by_now_is_left_out(rig: Rig, registry: RealRegistry) -> None:
    for year in (2017, 2018, 2019, 2020):
        await aged(registry, f"v{year}", year)
    preview = await rig.preview(REPO, Spec((Keep(most_recent_count=2),)))
    assert goes(preview) == ["v2017", "v2018"]
    await rig.done(await rig.delete(f"{REPO}:v2020"))
    request = await rig.cleanup(preview)
    assert [item.tag for item in request.items] == ["v2017"]
    assert "1 to be kept by now (v2018)" in request.plan["cleanup"]["left_out"]


async def test_retention_rules(tmp_path: Path, registry: RealRegistry) -> None:
    for year in (2017, 2018, 2019):
        await aged(registry, f"v{year}", year)
        await aged(registry, f"main-{year}", year)
    rules = (
        Retention("ci", ("ci/**",), (Keep(("main-*",), 1),)),
        Retention("pins", ("ci/app",), (Keep(("v2017",)),)),
        Retention("other", ("team/**",), ()),
    )
    async with Rig.open(tmp_path, registry.url, retention=rules) as rig:
        spec = cleanup.by_rules(rig.ctx, REPO)
        assert spec.rules == ("ci", "pins")
        preview = await rig.preview(REPO, spec)
        assert set(goes(preview)) == {"main-2017", "main-2018", "v2018", "v2019"}
        assert (await rig.cleanup(preview)).plan["cleanup"]["spec"]["rules"] == ["ci", "pins"]
        with pytest.raises(Refusal, match="rule covers prod"):
            cleanup.by_rules(rig.ctx, "prod")
    changed = (*rules, Retention("more", ("ci/*",), (Keep(("v*",)),)))
    async with Rig.open(tmp_path, registry.url, retention=changed) as rig:
        with pytest.raises(Refusal, match="have changed since"):
            await rig.cleanup(preview)


async def test_a_registry_that_is_gone_fails_the_preview(
    tmp_path: Path, registry: RealRegistry
) -> None:
    await aged(registry, "v1", 2019)
    async with Rig.open(tmp_path, registry.url, deadline=1.0) as rig:
        registry.stop()
        preview = await rig.preview(REPO, NEWEST)
        assert preview.state is PreviewState.FAILED
        assert "does not answer" in preview.result.note or "connect" in preview.result.note


async def test_two_previews_of_one_repository_at_once(rig: Rig, registry: RealRegistry) -> None:
    async with rig.store.transaction() as tx:
        await previewing.begin(tx, rig.asked(ANN), "corp", REPO, NEWEST, 0)
    with pytest.raises(Refusal, match="being looked at"):
        async with rig.store.transaction() as tx:
            await previewing.begin(tx, rig.asked(ANN), "corp", REPO, NEWEST, 0)


@pytest.mark.parametrize(
    ("flags", "keep", "match"),
    [
        ({"keep": 3}, (Keep(("*",), 3),), ""),
        ({"keep": 3, "young": DAY}, (Keep(("*",), 3, DAY),), ""),
        ({"match": "pr-*"}, (), "pr-*"),
        ({"keep": 0, "match": "pr-*"}, (), "pr-*"),
        ({"keep": 0, "young": DAY}, (Keep(("*",), None, DAY),), ""),
    ],
)
def test_typed_flags(flags: dict[str, Any], keep: tuple[Keep, ...], match: str) -> None:
    values = {"keep": None, "young": None, "match": "", **flags}
    assert cleanup.typed(REPO, **values) == Spec(keep, match)


def test_keep_zero_alone_is_refused() -> None:
    with pytest.raises(Refusal, match="every tag of ci/app"):
        cleanup.typed(REPO, keep=0, young=None, match="")


async def test_a_pattern_that_matches_nothing(rig: Rig, registry: RealRegistry) -> None:
    await aged(registry, "v1", 2019)
    reader = ImageReader(rig.store, rig.registry)
    assert await cleanup.tags_meant(reader, REPO, "v*") == 1
    with pytest.raises(Refusal, match="No tag of ci/app matches w"):
        await cleanup.tags_meant(reader, REPO, "w*")
