"""Empty repositories on a real registry's storage: they go, and nothing else ever does."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bot.gc import empty
from bot.gc.empty import Empty, LeftAlone, find_empty, remove_empty
from bot.gc.errors import CommandFailed
from tests.support.images import pull, push_blob, push_image
from tests.support.real_registry import RealRegistry

pytestmark = pytest.mark.anyio


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RealRegistry]:
    with RealRegistry(tmp_path / "registry") as running:
        yield running


@pytest.fixture(scope="module")
def emptied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage with the empty repository "a"; no registry runs on it."""
    root = tmp_path_factory.mktemp("emptied") / "registry"
    with RealRegistry(root) as registry:
        asyncio.run(_emptied(registry, "a"))
    return root


@pytest.fixture
def stored(tmp_path: Path, emptied: Path) -> RealRegistry:
    """A copy of it."""
    shutil.copytree(emptied, tmp_path / "registry")
    return RealRegistry(tmp_path / "registry")


def _path(registry: RealRegistry, name: str) -> Path:
    return registry.root / "docker/registry/v2/repositories" / name


def _everything(registry: RealRegistry) -> set[str]:
    root = _path(registry, "")
    return {str(path.relative_to(root)) for path in root.rglob("*")}


async def _emptied(registry: RealRegistry, name: str) -> None:
    pushed = await push_image(registry.url, name, "1")
    async with httpx.AsyncClient(verify=False) as http:
        gone = await http.delete(f"{registry.url}/v2/{name}/manifests/{pushed.digest}")
        assert gone.status_code == 202


async def _catalog(registry: RealRegistry) -> list[str]:
    async with httpx.AsyncClient(verify=False) as http:
        found: list[str] = (await http.get(f"{registry.url}/v2/_catalog")).json()["repositories"]
        return found


def _names(registry: RealRegistry) -> list[str]:
    return [found.name for found in find_empty(registry.root).empty]


async def test_only_empty_ones_go_and_nested_ones_stay(registry: RealRegistry) -> None:
    for name in ("team/app", "alone", "deep/er/still"):
        await _emptied(registry, name)
    await push_image(registry.url, "team/app/sub", "1")
    untagged = await push_image(registry.url, "untagged", "")
    await push_image(registry.url, "tagged", "1")
    async with httpx.AsyncClient(verify=False) as http:
        await push_blob(http, registry.url, "layers/alone", b"and never a manifest")
    registry.restart(read_only=True)
    before = _everything(registry)

    found = find_empty(registry.root)

    assert [one.name for one in found.empty] == [
        "alone",
        "deep/er/still",
        "layers/alone",
        "team/app",
    ]
    assert found.refused == ()
    assert _everything(registry) == before, "looking changes nothing"
    for one in found.empty:
        assert remove_empty(registry.root, one.name) == one
    registry.restart(read_only=False)
    assert await _catalog(registry) == ["tagged", "team/app/sub", "untagged"]
    await pull(registry.url, "team/app/sub", "1")
    await pull(registry.url, "untagged", untagged.digest)
    left = {name.split("/")[0] for name in _everything(registry)}
    assert left == {"tagged", "team", "untagged"}, "directories above that are empty go, too"
    assert _names(registry) == []


async def test_nothing_but_its_own_directories_goes(registry: RealRegistry) -> None:
    await _emptied(registry, "team/app")
    await push_image(registry.url, "team/app/sub", "1")
    await push_image(registry.url, "team/other", "1")
    before = _everything(registry)
    remove_empty(registry.root, "team/app")
    gone = before - _everything(registry)
    assert gone
    own = tuple(f"team/app/{part}" for part in ("_manifests", "_layers", "_uploads"))
    assert all(path.startswith(own) for path in gone)


@pytest.mark.parametrize("restarted", [True, False])
async def test_a_removed_name_can_be_pushed_to_again(
    registry: RealRegistry, restarted: bool
) -> None:
    await _emptied(registry, "team/app")
    remove_empty(registry.root, "team/app")
    if restarted:
        registry.restart()
    assert await _catalog(registry) == []
    await push_image(registry.url, "team/app", "2")
    await pull(registry.url, "team/app", "2")
    assert await _catalog(registry) == ["team/app"]


async def test_removing_twice_is_no_error(registry: RealRegistry) -> None:
    await _emptied(registry, "team/app")
    remove_empty(registry.root, "team/app")
    assert remove_empty(registry.root, "team/app") == Empty("team/app")


async def test_leftovers_of_uploads_are_counted_and_go(registry: RealRegistry) -> None:
    await _emptied(registry, "a")
    async with httpx.AsyncClient(verify=False) as http:
        for data in (b"x" * 5000, b""):
            begun = await http.post(f"{registry.url}/v2/a/blobs/uploads/")
            where = str(begun.url.join(begun.headers["Location"]))
            sent = await http.patch(where, content=data)
            assert sent.status_code == 202
        cancelled = await http.post(f"{registry.url}/v2/a/blobs/uploads/")
        await http.delete(str(cancelled.url.join(cancelled.headers["Location"])))
        alone = await http.post(f"{registry.url}/v2/uploads/alone/blobs/uploads/")
        assert alone.status_code == 202

    (found,) = find_empty(registry.root).empty

    assert found.name == "a"
    assert found.uploads >= 2
    assert 5000 < found.upload_bytes < 7000
    assert remove_empty(registry.root, "a") == found
    assert not _path(registry, "a").exists()
    # In no list of the registry, so none of ours either.
    assert _path(registry, "uploads/alone").exists()


async def test_what_was_pushed_meanwhile_stays(registry: RealRegistry) -> None:
    for name in ("tagged", "untagged"):
        await _emptied(registry, name)
    assert _names(registry) == ["tagged", "untagged"]
    await push_image(registry.url, "tagged", "new")
    pushed = await push_image(registry.url, "untagged", "")
    before = _everything(registry)

    with pytest.raises(LeftAlone, match="it has the tag new"):
        remove_empty(registry.root, "tagged")
    with pytest.raises(LeftAlone, match=f"it has the revision {pushed.digest}"):
        remove_empty(registry.root, "untagged")

    assert _everything(registry) == before
    await pull(registry.url, "tagged", "new")


@pytest.mark.parametrize("link", ["tags/new/current/link", "revisions/sha256/{hex}/link"])
async def test_a_link_in_the_last_moment_stops_it_before_any_file_goes(
    stored: RealRegistry, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    judged = empty._judged
    appeared = _path(stored, "a/_manifests") / link.format(hex="0" * 64)

    def late(root: Path, name: str) -> object:
        plan = judged(root, name)
        appeared.parent.mkdir(parents=True)
        appeared.write_text("sha256:" + "0" * 64)
        return plan

    layers = {path for path in _everything(stored) if path.endswith("link")}
    monkeypatch.setattr(empty, "_judged", late)
    with pytest.raises(LeftAlone, match="not empty"):
        remove_empty(stored.root, "a")
    assert appeared.exists()
    assert layers
    assert layers <= _everything(stored)


@pytest.mark.parametrize(
    "place",
    [
        "notes.txt",
        "_trash/",
        "Upper/",
        "_manifests/extra/",
        "_manifests/notes",
        "_manifests/tags/file",
        "_manifests/revisions/file",
        "_manifests/revisions/sha256/short/",
        "_manifests/revisions/sha256/{hex}/signatures/",
        "_layers/file",
        "_layers/sha256/{hex}/data",
        "_layers/sha256/{hex}/link/",
        "_uploads/file",
        "_uploads/elsewhere/",
        "_uploads/00000000-0000-0000-0000-000000000000/link",
        "_uploads/00000000-0000-0000-0000-000000000000/hashstates/sha256/x",
    ],
)
async def test_anything_unexpected_is_left_alone(stored: RealRegistry, place: str) -> None:
    path = _path(stored, "a") / place.format(hex="0" * 64)
    if place.endswith("/"):
        path.mkdir(parents=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    before = _everything(stored)

    found = find_empty(stored.root)

    assert found.empty == ()
    ((name, why),) = found.refused
    assert name == "a"
    assert path.name in why
    with pytest.raises(LeftAlone, match=path.name):
        remove_empty(stored.root, "a")
    assert _everything(stored) == before


@pytest.mark.parametrize(
    "place", ["", "linked", "_layers", "_manifests/tags", "_layers/sha256/{hex}/link", "_uploads"]
)
async def test_symbolic_links_are_never_followed(
    stored: RealRegistry, tmp_path: Path, place: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("keep")
    path = _path(stored, "a") / place.format(hex="0" * 64)
    if path.is_dir():
        shutil.rmtree(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(outside)

    assert _names(stored) == []
    with pytest.raises(LeftAlone, match="symbolic link"):
        remove_empty(stored.root, "a")

    assert path.is_symlink()
    assert (outside / "precious").read_text() == "keep"


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/../b", "/etc", "a//b", "_layers", "A"])
async def test_names_that_lead_elsewhere_are_refused(stored: RealRegistry, name: str) -> None:
    before = _everything(stored)
    with pytest.raises(LeftAlone, match="no repository's name"):
        remove_empty(stored.root, name)
    assert _everything(stored) == before


async def test_a_link_on_the_way_is_refused(registry: RealRegistry, tmp_path: Path) -> None:
    await _emptied(registry, "team/app")
    _path(registry, "team").rename(tmp_path / "moved")
    _path(registry, "team").symlink_to(tmp_path / "moved")
    assert _names(registry) == []
    with pytest.raises(LeftAlone, match="team is a symbolic link"):
        remove_empty(registry.root, "team/app")
    assert (tmp_path / "moved/app/_layers").exists()


async def test_what_must_not_be_removed_is_said(
    stored: RealRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    before = _everything(stored)
    monkeypatch.setattr(Path, "rmdir", refuse)
    with pytest.raises(LeftAlone, match=r"Permission denied: .*_manifests"):
        remove_empty(stored.root, "a")
    assert _everything(stored) == before


def test_another_directory_is_no_storage(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="does not hold a registry's storage"):
        find_empty(tmp_path)
    with pytest.raises(CommandFailed, match="does not hold a registry's storage"):
        remove_empty(tmp_path, "a")
