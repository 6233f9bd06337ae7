"""An audit trail that takes nothing: no deletion runs, and no registry stays read-only for it."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.rules.approval import State
from bot.store import trail
from bot.store.audit import AuditUnwritable
from bot.store.store import Store
from tests.support.controlled_registry import ControlledRegistry
from tests.support.images import push_image
from tests.support.real_registry import RealRegistry
from tests.support.rig import Rig, policy

pytestmark = pytest.mark.anyio


async def _refuse_from(store: Store, number: int) -> None:
    """From entry `number` on, the trail takes none."""
    async with store.transaction() as tx:
        await tx.conn.execute(
            sa.text(
                f"CREATE TRIGGER no_room BEFORE INSERT ON audit WHEN NEW.id >= {number} OR "
                f"(SELECT count(*) FROM audit) >= {number - 1} "
                "BEGIN SELECT RAISE(ABORT, 'no room'); END"
            )
        )


async def _allow(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.conn.execute(sa.text("DROP TRIGGER no_room"))


@pytest.mark.parametrize("last", ["request.approved", "request.started"])
@pytest.mark.parametrize("which", ["delete", "purge"])
async def test_what_was_approved_waits_and_deletes_nothing(
    rig: Rig, registry: RealRegistry, which: str, last: str
) -> None:
    await push_image(registry.url, "a", "1")
    request = await (rig.delete("a:1") if which == "delete" else rig.purge_("a:1"))
    await rig.approve(request)
    await _refuse_from(rig.store, 3 if last == "request.approved" else 4)

    async with rig.working():
        waiting = await rig.until(request, lambda r: "waiting" in r.progress)
        assert waiting.state in {State.APPROVED, State.RUNNING}
        assert "nothing is changed or deleted" in waiting.progress["waiting"]
        assert await rig.registry.client.tags("a") == ["1"]
        assert (await rig.audit(request))[-1] == last
        await _allow(rig.store)
        await rig.until(request, lambda r: not r.state.is_open)

    assert await rig.registry.client.tags("a") == []
    async with rig.store.reading() as tx:
        assert (await trail.check(tx.conn)).is_whole


async def test_it_waits_no_longer_than_the_approval_holds(
    registry: RealRegistry, tmp_path: Path
) -> None:
    await push_image(registry.url, "a", "1")
    async with Rig.open(tmp_path, registry.url, rules=policy(execute_within=0.5)) as rig:
        request = await rig.delete("a:1")
        await rig.approve(request)
        await _refuse_from(rig.store, 3)
        async with rig.working():
            await rig.until(request, lambda r: "waiting" in r.progress)

            async def too_late() -> bool:
                async with rig.store.reading() as tx:
                    return await tx.now() > (waiting.decided_at or 0) + 0.6

            waiting = await rig.get(request)
            await rig.eventually(too_late)
            await _allow(rig.store)
            ended = await rig.until(request, lambda r: not r.state.is_open)
    assert ended.state is State.EXPIRED


async def test_a_request_that_cannot_be_written_down_is_not_made(
    rig: Rig, registry: RealRegistry
) -> None:
    await push_image(registry.url, "a", "1")
    await _refuse_from(rig.store, 1)
    with pytest.raises(AuditUnwritable, match="no room"):
        await rig.delete("a:1")
    async with rig.store.reading() as tx:
        assert await tx.requests.find(registries=["corp"]) == []


async def test_a_registry_is_made_writable_again_although_nobody_can_write_it_down(
    tmp_path: Path,
) -> None:
    """The trail is full once the registry is read-only: it collects nothing and is restored."""
    controlled = ControlledRegistry(tmp_path)
    controlled.start()
    try:
        async with Rig.open(tmp_path, controlled.url, gc=controlled.settings()) as rig:
            await push_image(controlled.url, "a", "1")
            before = controlled.blob_digests()
            request = await rig.gc()
            await rig.approve(request)
            async with rig.store.reading() as tx:
                used = len(await tx.audit.entries())
            await _refuse_from(rig.store, used + 4)  # started, pre-flight and switch are written
            async with rig.working():
                ended = await rig.until(request, lambda r: not r.state.is_open)
            assert ended.state is State.FAILED
            assert controlled.blob_digests() == before
            await push_image(controlled.url, "a", "2")
            assert (await rig.audit(request))[-1] == "gc.step"
    finally:
        controlled.stop()
