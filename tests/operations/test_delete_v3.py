"""The same in distribution 3's dialect, where a tag is deleted by its name."""

import pytest

from bot.operations.deletion import UNTAG_BY_TAG
from bot.rules.approval import State
from bot.rules.plan import DeletionPlan
from tests.support.fake_v3 import FakeV3
from tests.support.images import pull, push_image
from tests.support.rig import Rig

pytestmark = pytest.mark.anyio


async def test_the_sibling_stays_and_undo_brings_the_same_bytes(tmp_path) -> None:
    async with FakeV3() as fake:
        pushed = await push_image(fake.url, "a", "1", layers=[b"one"])
        await push_image(fake.url, "a", "2", layers=[b"one"])
        async with Rig.open(tmp_path, fake.url) as rig:
            request = await rig.delete("a:1")
            plan = DeletionPlan.from_json(request.plan)
            assert plan.method == UNTAG_BY_TAG
            assert plan.digests[0].kept_tags == ("2",)

            gone = await rig.done(request)

            assert gone.state is State.DONE
            assert await rig.registry.client.tags("a") == ["2"]
            await pull(fake.url, "a", "2")
            await rig.undo_(gone)
            assert (await rig.registry.client.manifest("a", "1")).body == pushed.body
