"""A purge that has begun, and pushes that come in between its re-check and its deletions."""

from collections.abc import Awaitable, Callable

import pytest

from bot.rules.approval import ItemState, State
from tests.support.images import Pushed, pull, push_image, push_index
from tests.support.real_registry import RealRegistry
from tests.support.rig import Rig

pytestmark = pytest.mark.anyio


async def _purge_both(
    rig: Rig,
    registry: RealRegistry,
    monkeypatch: pytest.MonkeyPatch,
    between: Callable[[Pushed], Awaitable[object]],
) -> list[ItemState]:
    """Purge an index and its tagged child in one request; `between` happens once it has begun."""
    child = await push_image(registry.url, "a", "amd", layers=[b"amd"])
    await push_index(registry.url, "a", "multi", [child])
    request = await rig.purge_("a:multi", "a:amd")
    keep = rig.purge._keep

    async def kept(*args: object) -> None:
        await keep(*args)  # type: ignore[arg-type]
        await between(child)

    monkeypatch.setattr(rig.purge, "_keep", kept)
    ended = await rig.done(request)
    assert ended.state in {State.PARTLY_DONE, State.OUTDATED}
    return [item.state for item in ended.items]


async def test_an_index_that_is_tagged_again_keeps_its_child(
    rig: Rig, registry: RealRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def tag_again(child: Pushed) -> None:
        await push_index(registry.url, "a", "kept", [child])

    states = await _purge_both(rig, registry, monkeypatch, tag_again)
    assert states == [ItemState.MOVED, ItemState.MOVED]
    await pull(registry.url, "a", "kept")


async def test_a_new_index_keeps_the_child_that_it_contains(
    rig: Rig, registry: RealRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def another_index(child: Pushed) -> None:
        other = await push_image(registry.url, "a", "", layers=[b"arm"])
        await push_index(registry.url, "a", "new", [child, other])

    states = await _purge_both(rig, registry, monkeypatch, another_index)
    assert sorted(states) == [ItemState.DONE, ItemState.MOVED]
    await pull(registry.url, "a", "new")
