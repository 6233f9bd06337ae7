"""Previews of cleanups: what was looked for, how far it has come, what was found."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.rules.preview import (
    Preview,
    PreviewDraft,
    PreviewState,
    Result,
    as_json,
    result_from_json,
    spec_from_json,
)
from bot.store.portable import insert_ignore
from bot.store.schema import db_now, previews

_COLUMNS = tuple(previews.c[name] for name in Preview.__dataclass_fields__)


class Previews:
    """Everything about previews inside one transaction."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def create(self, draft: PreviewDraft) -> Preview | None:
        """Begin one; None where this occurrence has looked at the repository already."""
        statement = insert_ignore(self._conn, previews).values(
            token=draft.token,
            registry=draft.registry,
            repository=draft.repository,
            actor=draft.actor,
            team=draft.team,
            channel=draft.channel,
            reason=draft.reason,
            origin=draft.origin,
            run=draft.run,
            state=PreviewState.LOOKING,
            spec=as_json(draft.spec),
            progress={},
            result={},
            created_at=db_now(),
        )
        await self._conn.execute(statement)
        return await self.by_token(draft.token)

    async def get(self, number: int) -> Preview:
        """The preview with this number; raises `KeyError` if there is none."""
        found = await self._select(previews.c.id == number)
        if not found:
            raise KeyError(number)
        return found[0]

    async def by_token(self, token: str) -> Preview | None:
        """The preview whose buttons carry this token."""
        found = await self._select(previews.c.token == token)
        return found[0] if found else None

    async def looking(self, registry: str, repository: str, channel: str) -> Preview | None:
        """The one that is being made for a repository in a channel, if there is one."""
        found = await self._select(
            previews.c.registry == registry,
            previews.c.repository == repository,
            previews.c.channel == channel,
            previews.c.state == PreviewState.LOOKING,
        )
        return found[0] if found else None

    async def count_looking(self, registry: str) -> int:
        """How many are being made for a registry that somebody asked for."""
        query = sa.select(sa.func.count()).where(
            previews.c.registry == registry,
            previews.c.state == PreviewState.LOOKING,
            previews.c.run.is_(None),
        )
        return int(await self._conn.scalar(query) or 0)

    async def of_run(self, run: str, registry: str, repository: str) -> Preview | None:
        """What an occurrence of a schedule has begun for a repository."""
        found = await self._select(
            previews.c.run == run,
            previews.c.registry == registry,
            previews.c.repository == repository,
        )
        return found[0] if found else None

    async def all_of_run(self, run: str, registry: str) -> list[Preview]:
        """All that belong to one occurrence of a schedule, in the order they were begun."""
        return await self._select(previews.c.run == run, previews.c.registry == registry)

    async def replace(self, newer: Preview) -> list[int]:
        """End the ready ones that a schedule made before for the same repository; their numbers."""
        statement = (
            previews.update()
            .where(
                previews.c.origin == newer.origin,
                previews.c.registry == newer.registry,
                previews.c.repository == newer.repository,
                previews.c.state == PreviewState.READY,
                previews.c.id < newer.id,
            )
            .values(state=PreviewState.REPLACED)
            .returning(previews.c.id)
        )
        return list((await self._conn.execute(statement)).scalars())

    async def move(
        self, number: int, before: Iterable[PreviewState], after: PreviewState, **values: Any
    ) -> bool:
        """Compare and set: go to `after` only from one of `before`. False if it was elsewhere."""
        statement = (
            previews.update()
            .where(previews.c.id == number, previews.c.state.in_(list(before)))
            .values(state=after, finished_at=db_now(), **values)
        )
        return bool((await self._conn.execute(statement)).rowcount)

    async def found(self, number: int, state: PreviewState, result: Result) -> bool:
        """Write down what a look has found; False if it had ended before."""
        return await self.move(
            number, [PreviewState.LOOKING], state, result=as_json(result), progress={}
        )

    async def progress(self, number: int, **progress: Any) -> None:
        """How far the look has come."""
        await self.change(number, progress=progress)

    async def change(self, number: int, **values: Any) -> None:
        """Set columns that are not the state."""
        await self._conn.execute(previews.update().where(previews.c.id == number).values(**values))

    async def edited(self, number: int) -> None:
        """Its message has been posted or edited just now."""
        await self.change(number, edited_at=db_now())

    async def since_edit(self, number: int) -> float:
        """Seconds since its message was last edited; very many if never."""
        query = sa.select(db_now() - previews.c.edited_at).where(previews.c.id == number)
        value = await self._conn.scalar(query)
        return 1e9 if value is None else float(value)

    async def forget(self, age: float) -> None:
        """Remove those begun more than `age` seconds ago that nothing is done for any more."""
        await self._conn.execute(
            previews.delete().where(
                previews.c.state != PreviewState.LOOKING,
                previews.c.created_at < db_now() - age,
            )
        )

    async def _select(self, *conditions: sa.ColumnElement[bool]) -> list[Preview]:
        query = sa.select(*_COLUMNS).where(*conditions).order_by(previews.c.id)
        return [
            Preview(
                **{
                    **row,
                    "state": PreviewState(row["state"]),
                    "spec": spec_from_json(row["spec"]),
                    "result": result_from_json(row["result"]),
                }
            )
            for row in (await self._conn.execute(query)).mappings()
        ]
