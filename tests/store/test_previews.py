"""Previews in the store: begun once for each occurrence, ended once, forgotten when old."""

import pytest

from bot.rules.preview import PreviewDraft, PreviewState, Result, Row, Spec, Stays
from bot.rules.retention import Keep
from bot.store.schema import db_now, previews
from bot.store.store import Store

pytestmark = pytest.mark.anyio

SPEC = Spec((Keep(("main-*",), 3, 86400.0), Keep()), "pr-*", ("ci",))
FOUND = Result(
    tags=3,
    goes=(Row("a", "sha256:1", 1.5, "old"),),
    along=("sha256-1.sig",),
    above=2,
    stays=(Stays("young", 1, ("b",)),),
    undated=Stays("without", 1, ("c",)),
    size=10,
)


def draft(repository: str = "ci/app", run: str | None = None) -> PreviewDraft:
    return PreviewDraft("corp", repository, "U0ANN", "T0", "C0OPS", "why", SPEC, "ci", run)


async def test_what_is_stored_comes_back(store: Store) -> None:
    async with store.transaction() as tx:
        made = await tx.previews.create(draft())
        assert made is not None
        assert await tx.previews.found(made.id, PreviewState.READY, FOUND)
    async with store.reading() as tx:
        back = await tx.previews.get(made.id)
        assert back == await tx.previews.by_token(made.token)
        assert await tx.previews.by_token("another") is None
        with pytest.raises(KeyError):
            await tx.previews.get(made.id + 1)
    assert (back.state, back.spec, back.result) == (PreviewState.READY, SPEC, FOUND)
    assert (back.name, back.reason, back.origin, back.run) == (f"P{made.id}", "why", "ci", None)


async def test_an_occurrence_looks_at_a_repository_once(store: Store, other: Store) -> None:
    async with store.transaction() as tx:
        first = await tx.previews.create(draft(run="ci@1"))
    async with other.transaction() as tx:
        assert await tx.previews.create(draft(run="ci@1")) is None
        assert await tx.previews.create(draft("ci/other", run="ci@1")) is not None
        assert await tx.previews.create(draft(run="ci@2")) is not None
        # What people type is never the same.
        assert await tx.previews.create(draft()) is not None
        assert await tx.previews.create(draft()) is not None
        assert await tx.previews.of_run("ci@1", "corp", "ci/app") == first
        found = await tx.previews.all_of_run("ci@1", "corp")
        assert [p.repository for p in found] == ["ci/app", "ci/other"]


async def test_it_ends_once(store: Store) -> None:
    async with store.transaction() as tx:
        made = await tx.previews.create(draft())
        assert made is not None
        assert await tx.previews.looking("corp", "ci/app", "C0OPS") == made
        assert await tx.previews.looking("corp", "ci/app", "C0ELSE") is None
        assert await tx.previews.found(made.id, PreviewState.READY, FOUND)
        assert not await tx.previews.found(made.id, PreviewState.FAILED, Result())
        assert await tx.previews.looking("corp", "ci/app", "C0OPS") is None
        ready, requested = PreviewState.READY, PreviewState.REQUESTED
        assert await tx.previews.move(made.id, [ready], requested, request_id=4)
        assert not await tx.previews.move(made.id, [ready], PreviewState.DISCARDED)
        assert (await tx.previews.get(made.id)).request_id == 4


async def test_a_newer_one_of_a_schedule_replaces_the_ready_ones(store: Store) -> None:
    async with store.transaction() as tx:
        made = [await tx.previews.create(draft(run=f"ci@{n}")) for n in range(3)]
        elsewhere = await tx.previews.create(draft("ci/other", run="ci@0"))
        first, second, third = (p for p in made if p)
        for preview in (first, second, elsewhere):
            assert preview is not None
            await tx.previews.found(preview.id, PreviewState.READY, FOUND)
        await tx.previews.move(second.id, [PreviewState.READY], PreviewState.REQUESTED)
        assert await tx.previews.replace(third) == [first.id]
        assert (await tx.previews.get(first.id)).state is PreviewState.REPLACED


async def test_edits_and_forgetting(store: Store) -> None:
    async with store.transaction() as tx:
        made = await tx.previews.create(draft())
        looking = await tx.previews.create(draft())
        assert made is not None
        assert looking is not None
        assert await tx.previews.since_edit(made.id) > 1e6
        await tx.previews.edited(made.id)
        assert await tx.previews.since_edit(made.id) < 60
        await tx.previews.found(made.id, PreviewState.EMPTY, Result())
        await tx.previews.forget(3600)
        assert (await tx.previews.get(made.id)).state is PreviewState.EMPTY
        await tx.conn.execute(previews.update().values(created_at=db_now() - 7200))
        await tx.previews.forget(3600)
        assert await tx.previews.by_token(made.token) is None
        assert await tx.previews.by_token(looking.token) is not None
