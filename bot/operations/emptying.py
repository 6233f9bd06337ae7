"""Empty repositories beside a collection: what could go, and its going.

They are removed after the collection, while the registry is still proven to take no pushes.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from bot.gc.empty import Found, LeftAlone, find_empty, is_gone, may_remove, remove_empty
from bot.gc.errors import GcError
from bot.operations.context import Context, Registry
from bot.registry.reference import match_repository
from bot.rules.locks import Lock, covering
from bot.rules.policy import Policy

PLANNED = "remove_empty"
"""Where the plan of a collection pins the names of those that it removes."""


async def look(ctx: Context, registry: Registry) -> dict[str, Any] | None:
    """What a collection could remove as well, for its plan.

    None where the bot cannot change the storage, or would while pushes are accepted.
    """
    found = await listed(ctx, registry)
    return found if found and found.pop("removable") else None


async def listed(ctx: Context, registry: Registry) -> dict[str, Any] | None:
    """The same for who only looks: `removable` says whether a collection could remove them.

    None where the storage is out of reach.
    """
    collector, root = registry.collector, await registry.storage()
    if collector is None or root is None:
        return None
    try:
        removable = may_remove(root) and not collector.is_live
        found: Found = await asyncio.to_thread(find_empty, root)
    except GcError:
        return None  # the preview of the collection says what is wrong with the storage
    async with ctx.store.reading() as tx:
        locks = await tx.locks.active(registry.name)
    kept = {one.name: _kept(ctx.policy, locks, one.name) for one in found.empty}
    going = [one for one in found.empty if not kept[one.name]]
    return {
        "removable": removable,
        "names": [one.name for one in going],
        "kept": [*map(list, found.refused), *([n, why] for n, why in kept.items() if why)],
        "uploads": sum(one.uploads for one in going),
        "bytes": sum(one.upload_bytes for one in going),
    }


async def remove(
    ctx: Context,
    registry: Registry,
    names: Sequence[str],
    allowed: Callable[[], Awaitable[str]],
) -> dict[str, Any]:
    """Remove these; whatever is not as it was approved is left alone.

    Parameters
    ----------
    allowed : awaited before each: why it must not go on, "" if it may. It raises LeaseLost where
        another process is in charge.
    """
    removed: list[str] = []
    kept: list[list[str]] = []
    size = 0
    for name in names:
        root = await registry.storage()
        if root is None:
            kept.append([name, _OUT_OF_REACH])
            continue
        # What is asked last is whether we may: nothing must come between that and the act.
        if why := await _kept_now(ctx, registry, name) or await allowed():
            kept.append([name, why])
            continue
        try:
            gone = await asyncio.to_thread(remove_empty, root, name)
        except LeftAlone as error:
            kept.append([name, error.why])
        except GcError as error:
            kept.append([name, error.sentence])
        else:
            removed.append(name)
            size += gone.upload_bytes
    return {"removed": removed, "kept": kept, "bytes": size}


async def became(registry: Registry, names: Sequence[str]) -> dict[str, Any]:
    """What a process that died among them has done, as the storage shows."""
    why = "the bot was interrupted"
    gone: list[str] | None = None
    if (root := await registry.storage()) is not None:
        with contextlib.suppress(GcError):
            gone = await asyncio.to_thread(_gone, root, names)
    if gone is None:
        gone, why = [], f"{why}, and {_OUT_OF_REACH}"
    return {"removed": gone, "kept": [[n, why] for n in names if n not in set(gone)], "bytes": 0}


_OUT_OF_REACH = "the storage is out of reach now"


def _gone(root: Path, names: Sequence[str]) -> list[str]:
    return [name for name in names if is_gone(root, name)]


async def _kept_now(ctx: Context, registry: Registry, name: str) -> str:
    async with ctx.store.reading() as tx:
        locks = await tx.locks.active(registry.name)
    return _kept(ctx.policy, locks, name)


def _kept(policy: Policy, locks: Sequence[Lock], name: str) -> str:
    """Why nobody may remove it, empty or not; "" if somebody may."""
    lock = covering(locks, name)
    if lock is not None:
        return f"it is locked ({lock.name})"
    for protection in policy.protections:
        patterns = protection.repositories or (() if protection.tags else ("**",))
        if any(match_repository(pattern, name) for pattern in patterns):
            return f"it is protected ({protection.name})"
    return ""
