"""Uploads that never ended, counted where the storage is in reach."""

import asyncio
import time
from dataclasses import asdict
from typing import Any

from bot.gc.errors import GcError
from bot.gc.uploads import StaleUploads, stale_uploads
from bot.operations.context import Registry

__all__ = ["StaleUploads", "stale", "stale_as_json"]


async def stale(registry: Registry, repository: str = "") -> StaleUploads | None:
    """Those of a registry, or of a single repository; None where the storage is out of reach."""
    root = await registry.storage()
    if root is None:
        return None
    try:
        return await asyncio.to_thread(stale_uploads, root, time.time(), repository)
    except GcError as error:
        return StaleUploads(problem=error.sentence)


async def stale_as_json(registry: Registry) -> dict[str, Any] | None:
    """The same for the result of a request."""
    found = await stale(registry)
    return None if found is None else asdict(found)
