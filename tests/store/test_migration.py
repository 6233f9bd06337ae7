"""A database of an older version is brought up to date with everything that is in it."""

import json
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from bot.registry.manifest import OCI_INDEX, OCI_MANIFEST, RawManifest
from bot.store.schema import manifest_blobs
from bot.store.store import Store, _engine

pytestmark = pytest.mark.anyio

VERSION_1 = Path(__file__).with_name("version_1")


def image(*layers: tuple[str, int]) -> RawManifest:
    """An image with a config of 10 bytes and these layers."""
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/json", "digest": _digest("c"), "size": 10},
        "layers": [
            {"mediaType": "layer", "digest": _digest(name), "size": size} for name, size in layers
        ],
    }
    return RawManifest.of(OCI_MANIFEST, json.dumps(value).encode())


def _digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


IMAGE = image(("a", 1), ("b", 2))
OTHER = image(("a", 1))
INDEX = RawManifest.of(OCI_INDEX, b'{"schemaVersion": 2, "manifests": []}')
BROKEN = RawManifest.of("application/vnd.docker.distribution.manifest.v1+json", b"{}")


async def version_1(url: str, *stored: RawManifest) -> None:
    """A database as version 1 left it."""
    engine = _engine(url)
    text = (VERSION_1 / f"{engine.dialect.name}.sql").read_text(encoding="utf-8")
    async with engine.begin() as conn:
        for statement in text.split("-- next\n")[1:]:
            await conn.exec_driver_sql(statement.strip())
        for raw in stored:
            await conn.execute(
                sa.text("INSERT INTO manifests (digest, media_type, body) VALUES (:d, :m, :b)"),
                {"d": raw.digest, "m": raw.media_type, "b": raw.body},
            )
        await conn.execute(
            sa.text(
                "INSERT INTO requests (token, registry, action, state, requester, plan,"
                " approvals_needed, approvers, allow_self_approval, execute_within, undo_window,"
                " created_at, expires_at, progress, result) VALUES ('t', 'corp', 'delete',"
                " 'pending', 'U0ANN', :plan, 1, '[\"U0BOB\"]', :no, 1, 1, 1, 1, '{}', '{}')"
            ),
            {"plan": '{"action": "delete"}', "no": False},
        )
    await engine.dispose()


async def blobs_of(store: Store) -> set[tuple[str, str, int]]:
    async with store.reading() as tx:
        return {tuple(row) for row in (await tx.conn.execute(sa.select(manifest_blobs))).all()}


WANTED = {
    (IMAGE.digest, _digest("c"), 10),
    (IMAGE.digest, _digest("a"), 1),
    (IMAGE.digest, _digest("b"), 2),
    (OTHER.digest, _digest("c"), 10),
    (OTHER.digest, _digest("a"), 1),
}


async def test_what_manifests_need_is_found_in_those_that_were_stored(database: str) -> None:
    await version_1(database, IMAGE, OTHER, INDEX, BROKEN)
    store = await Store.open(database)
    assert await blobs_of(store) == WANTED
    async with store.reading() as tx:
        request = await tx.requests.get(1)
        assert (request.steps, request.emergency) == ((), False)
        assert request.approvers == ("U0BOB",)
        assert set(await tx.manifests.get([IMAGE.digest, INDEX.digest])) == {
            IMAGE.digest,
            INDEX.digest,
        }
        assert await tx.holdings.read("corp") == frozenset()
    await store.close()


async def test_many_manifests_are_filled_in(database: str) -> None:
    many = [image((f"{n:x}"[-1], n)) for n in range(1300)]
    await version_1(database, *many)
    store = await Store.open(database)
    assert len(await blobs_of(store)) == 2 * len(many) - sum(n % 16 == 12 for n in range(1300))
    await store.close()


async def test_the_upgraded_trail_is_still_append_only(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/bot.db"
    await version_1(url)
    store = await Store.open(url)
    async with store.transaction() as tx:
        await tx.audit.append("request.created")
    await store.close()
    with (
        sqlite3.connect(tmp_path / "bot.db") as connection,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        connection.execute("DELETE FROM audit")


async def test_new_manifests_bring_what_they_need(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.manifests.keep([IMAGE, INDEX, BROKEN])
        await tx.manifests.keep([IMAGE, OTHER])
    assert await blobs_of(store) == WANTED


async def test_what_another_repository_holds_is_known(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.manifests.keep([IMAGE, OTHER])
        assert await tx.holdings.of("corp", "a") == (frozenset(), None)
        await tx.holdings.note("corp", "a", [IMAGE.digest])
        await tx.holdings.note("corp", "b", [OTHER.digest])
        await tx.holdings.note("corp", "empty", [])
        await tx.holdings.note("elsewhere", "c", [IMAGE.digest])
    asked = [_digest("a"), _digest("b"), _digest("c"), IMAGE.digest, OTHER.digest]
    async with store.reading() as tx:
        assert await tx.holdings.read("corp") == {"a", "b", "empty"}
        seen, age = await tx.holdings.of("corp", "a")
        assert seen == {IMAGE.digest}
        assert age is not None
        assert 0 <= age < 10
        shared = await tx.holdings.needed_elsewhere("corp", ["a"], asked)
        assert shared == {_digest("a"), _digest("c"), OTHER.digest}
        assert await tx.holdings.needed_elsewhere("corp", ["a", "b"], asked) == frozenset()
        assert await tx.holdings.needed_elsewhere("corp", [], []) == frozenset()


async def test_a_repository_holds_what_it_held_when_it_was_last_read(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.manifests.keep([IMAGE, OTHER])
        await tx.holdings.note("corp", "b", [IMAGE.digest, OTHER.digest])
        await tx.holdings.note("corp", "b", [OTHER.digest])
        assert (await tx.holdings.of("corp", "b"))[0] == {OTHER.digest}
        assert await tx.holdings.needed_elsewhere("corp", ["a"], [_digest("b")]) == frozenset()
        await tx.holdings.forget("corp", "b")
        assert await tx.holdings.read("corp") == frozenset()
        assert await tx.holdings.needed_elsewhere("corp", ["a"], [_digest("a")]) == frozenset()
