"""`gc --delete-untagged` as people meet it: a proof before they agree, or a refusal with names."""

import pytest

from tests.support.images import pull, push_image, push_index
from tests.support.team import ANN, BOB, Team

pytestmark = pytest.mark.anyio


async def test_the_proof_is_shown_and_what_would_break_is_named(team: Team) -> None:
    url = team.registry.url
    await push_image(url, "team/api", "1", layers=[b"older"])
    await push_image(url, "team/api", "1", layers=[b"newer"])
    async with team.bot():
        request = await team.request(ANN, "gc —delete-untagged")
        assert "No tag needs one (read: 1 tag in 1 repository)." in request.all_text
        await team.clicks(BOB, request, "Approve")
        done = await team.shows(request, "is done")
        assert "*Deleted* 1 untagged manifest" in done.all_text
        assert "*Proof* no tag needed them (read: 1 tag in 1 repository)" in done.all_text
        await pull(url, "team/api", "1")

        child = await push_image(url, "team/api", "", layers=[b"arm64"])
        await push_index(url, "team/api", "multi", [child])
        refused = await team.asks(ANN, "gc --delete-untagged --dry-run")
        assert f"would break 1 image: team/api:multi needs {child.digest[:19]}" in refused.all_text
        assert "A plain" in refused.all_text
        await pull(url, "team/api", "multi")
