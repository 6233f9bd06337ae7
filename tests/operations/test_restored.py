"""An old copy of the store is put back: nothing is deleted twice, or that is needed by now."""

import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bot.registry.errors import NotFound
from bot.rules.approval import Request, State
from tests.support.images import pull, push_image
from tests.support.real_registry import RealRegistry
from tests.support.rig import Rig

pytestmark = pytest.mark.anyio


def copied(directory: Path) -> Path:
    """A copy of the store as the manual makes it, while the bot has it open; its directory."""
    restored = directory / "restored"
    restored.mkdir()
    with contextlib.closing(sqlite3.connect(directory / "bot.db")) as store:
        store.execute("VACUUM INTO ?", (str(restored / "bot.db"),))
    return restored


async def _moved(registry: RealRegistry) -> str:
    return (await push_image(registry.url, "a", "1", layers=[b"pushed since"])).digest


async def _nothing(_: RealRegistry) -> str:
    return ""


@pytest.mark.parametrize("since", [_moved, _nothing], ids=["pushed again", "gone"])
async def test_what_was_approved_in_it_is_looked_at_again(
    since: Callable[[RealRegistry], Awaitable[str]],
    rig: Rig,
    registry: RealRegistry,
    tmp_path: Path,
) -> None:
    await push_image(registry.url, "a", "1")
    request = await rig.delete("a:1")
    await rig.approve(request)
    restored = copied(tmp_path)
    assert (await rig.finished(request)).state is State.DONE
    digest = await since(registry)
    async with Rig.open(restored, registry.url) as again:
        ended = await again.finished(request)
    assert ended.state is State.OUTDATED
    if digest:
        assert await rig.registry.client.tags("a") == ["1"]
        await pull(registry.url, "a", digest)


async def _deleted(rig: Rig, registry: RealRegistry, tmp_path: Path) -> tuple[Request, Path, str]:
    """A deletion whose undo window was open when the copy was made."""
    digest = (await push_image(registry.url, "a", "1")).digest
    request = await rig.done(await rig.delete("a:1"))
    return request, copied(tmp_path), digest


async def test_a_window_that_was_undone_since_purges_nothing(
    rig: Rig, registry: RealRegistry, tmp_path: Path
) -> None:
    request, restored, digest = await _deleted(rig, registry, tmp_path)
    await rig.undo_(request)
    async with Rig.open(restored, registry.url) as again:
        await again.purge_now(request)
        async with again.store.reading() as tx:
            (window,) = await tx.windows.held_on("corp")
    assert window.request == request.id
    assert await rig.registry.client.tags("a") == ["1"]
    await pull(registry.url, "a", digest)


async def test_a_window_that_was_purged_since_ends_again_without_harm(
    rig: Rig, registry: RealRegistry, tmp_path: Path
) -> None:
    request, restored, digest = await _deleted(rig, registry, tmp_path)
    other = (await push_image(registry.url, "a", "2", layers=[b"pushed since"])).digest
    await rig.purge_now(request)
    with pytest.raises(NotFound):
        await rig.registry.client.head("a", digest)
    async with Rig.open(restored, registry.url) as again:
        assert (await again.purge_now(request)).state is State.DONE
    assert await rig.registry.client.tags("a") == ["2"]
    await pull(registry.url, "a", other)


async def test_undo_from_it_never_moves_a_tag(
    rig: Rig, registry: RealRegistry, tmp_path: Path
) -> None:
    request, restored, _ = await _deleted(rig, registry, tmp_path)
    digest = await _moved(registry)
    async with Rig.open(restored, registry.url) as again:
        await again.undo_(request)
    assert (await rig.registry.client.head("a", "1")).digest == digest
