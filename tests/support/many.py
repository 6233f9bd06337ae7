"""Many tags at once, for tables that do not fit."""

from collections.abc import Iterable

import httpx

from tests.support.images import Pushed


async def tag_as(url: str, repo: str, pushed: Pushed, tags: Iterable[str]) -> None:
    """Put more tags on a manifest that is there."""
    async with httpx.AsyncClient(verify=False) as http:
        for tag in tags:
            answer = await http.put(
                f"{url}/v2/{repo}/manifests/{tag}",
                content=pushed.body,
                headers={"Content-Type": pushed.media_type},
            )
            answer.raise_for_status()
