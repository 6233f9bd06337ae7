"""Requests, their items, decisions and undo windows: the truth that people ask about."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.rules.approval import (
    Decision,
    Draft,
    Item,
    ItemState,
    PinnedStep,
    Request,
    State,
    Window,
    WindowState,
    may_move,
)
from bot.store.portable import insert_ignore
from bot.store.schema import db_now, decisions, items, requests, windows

_NOT_ON_REQUEST = {"edited_at"}
_OPEN = [state for state in State if state.is_open]


@dataclass(frozen=True, slots=True)
class Reached:
    """That a request has come into a state; `result` is what was written down with that."""

    action: str
    state: State
    result: Mapping[str, Any] = field(default_factory=dict)


class Requests:
    """Everything about requests inside one transaction; `reached` collects their new states."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn
        self.reached: list[Reached] = []

    async def create(self, draft: Draft) -> Request:
        """Store a new pending request and give it its number."""
        values = asdict(draft)
        planned: Sequence[Item] = draft.items
        expires_after = values.pop("expires_after")
        values.pop("items")
        values.pop("remind_after")
        values.pop("most_open")
        values["approvers"] = list(draft.approvers)
        values["plan"] = dict(draft.plan)
        values["steps"] = [asdict(step) for step in draft.steps]
        number = await self._conn.scalar(
            requests.insert()
            .values(
                **values,
                state=State.PENDING,
                created_at=db_now(),
                expires_at=db_now() + expires_after,
                progress={},
                result={},
            )
            .returning(requests.c.id)
        )
        if planned:
            await self._conn.execute(
                items.insert(), [{"request_id": number, **asdict(item)} for item in planned]
            )
        self.reached.append(Reached(draft.action, State.PENDING))
        return await self.get(int(number or 0))

    async def get(self, number: int) -> Request:
        """The request with this number; raises `KeyError` if there is none."""
        found = await self._select(requests.c.id == number)
        if not found:
            raise KeyError(number)
        return found[0]

    async def hold(self, number: int) -> Request:
        """The same, and until the end of the transaction nobody else decides about it.

        Two approvals at the same moment must see each other: each alone may not be enough.
        """
        await self._conn.execute(
            sa.select(requests.c.id).where(requests.c.id == number).with_for_update()
        )
        return await self.get(number)

    async def by_token(self, token: str) -> Request | None:
        """The request whose buttons carry this token."""
        found = await self._select(requests.c.token == token)
        return found[0] if found else None

    async def find(
        self,
        *,
        registries: Iterable[str],
        requester: str = "",
        open_only: bool = True,
        limit: int = 50,
    ) -> list[Request]:
        """The newest requests on these registries first."""
        conditions: list[sa.ColumnElement[bool]] = [requests.c.registry.in_(list(registries))]
        if requester:
            conditions.append(requests.c.requester == requester)
        if open_only:
            undoable = sa.exists().where(
                windows.c.request_id == requests.c.id, windows.c.state == WindowState.OPEN
            )
            conditions.append(sa.or_(requests.c.state.in_(_OPEN), undoable))
        return await self._select(*conditions, newest=limit)

    async def open_on(self, registry: str, action: str = "") -> list[Request]:
        """Requests of a registry that are pending, approved or running."""
        conditions: list[sa.ColumnElement[bool]] = [
            requests.c.registry == registry,
            requests.c.state.in_(_OPEN),
        ]
        if action:
            conditions.append(requests.c.action == action)
        return await self._select(*conditions)

    async def about(self, subject: int) -> list[Request]:
        """Open requests that undo or purge request `subject`."""
        return await self._select(requests.c.subject == subject, requests.c.state.in_(_OPEN))

    async def move(self, number: int, before: Iterable[State], after: State, **values: Any) -> bool:
        """Compare and set: go to `after` only from one of `before`. False if it was elsewhere.

        Raises
        ------
        ValueError : the life of a request has no such step.
        """
        sources = list(before)
        wrong = [state for state in sources if not may_move(state, after)]
        if wrong:
            raise ValueError(f"a request never goes from {wrong} to {after}")
        statement = (
            requests.update()
            .where(requests.c.id == number, requests.c.state.in_(sources))
            .values(state=after, **values)
            .returning(requests.c.action)
        )
        action = await self._conn.scalar(statement)
        if action is None:
            return False
        self.reached.append(Reached(action, after, values.get("result", {})))
        return True

    async def change(self, number: int, **values: Any) -> None:
        """Set columns that are not the state."""
        await self._conn.execute(requests.update().where(requests.c.id == number).values(**values))

    async def show_steps(self, number: int, steps: Iterable[PinnedStep]) -> None:
        """Write down who has filled which step by now, for people to read."""
        await self.change(number, steps=[asdict(step) for step in steps])

    async def abort(self, number: int, user: str) -> bool:
        """Ask a running request to stop; False if somebody has asked before or it ended."""
        statement = (
            requests.update()
            .where(
                requests.c.id == number,
                requests.c.abort_by == "",
                requests.c.state == State.RUNNING,
            )
            .values(abort_by=user)
        )
        return bool((await self._conn.execute(statement)).rowcount)

    async def decide(self, number: int, decision: Decision) -> bool:
        """Write down what somebody said; False if this person had spoken before."""
        statement = insert_ignore(self._conn, decisions).values(
            request_id=number,
            team=decision.team,
            user_id=decision.user,
            approves=decision.approves,
            reason=decision.reason,
            at=db_now(),
        )
        return bool((await self._conn.execute(statement)).rowcount)

    async def set_item(
        self,
        number: int,
        position: int,
        state: ItemState,
        *,
        detail: str = "",
        placeholder: str | None = None,
    ) -> None:
        """What became of one item."""
        values: dict[str, Any] = {"state": state, "detail": detail}
        if placeholder is not None:
            values["placeholder"] = placeholder
        await self._conn.execute(
            items.update()
            .where(items.c.request_id == number, items.c.position == position)
            .values(**values)
        )

    async def edited(self, number: int) -> None:
        """The message has just been posted or edited."""
        await self.change(number, edited_at=db_now())

    async def since_edit(self, number: int) -> float:
        """Seconds since the message was last edited."""
        query = sa.select(db_now() - sa.func.coalesce(requests.c.edited_at, 0.0)).where(
            requests.c.id == number
        )
        return float(await self._conn.scalar(query) or 0.0)

    async def _select(self, *conditions: sa.ColumnElement[bool], newest: int = 0) -> list[Request]:
        query = sa.select(*(c for c in requests.c if c.name not in _NOT_ON_REQUEST))
        query = query.where(*conditions).order_by(requests.c.id.desc() if newest else requests.c.id)
        if newest:
            query = query.limit(newest)
        rows = (await self._conn.execute(query)).mappings().all()
        numbers = [row["id"] for row in rows]
        parts = _Parts(
            await self._of(items, numbers, items.c.position),
            await self._of(decisions, numbers, decisions.c.at),
            await self._of(windows, numbers, windows.c.digest),
        )
        return [_request(row, parts) for row in rows]

    async def _of(
        self, table: sa.Table, numbers: list[int], order: sa.ColumnElement[Any]
    ) -> list[sa.RowMapping]:
        query = sa.select(table).where(table.c.request_id.in_(numbers)).order_by(order)
        return list((await self._conn.execute(query)).mappings().all())


class _Parts:
    def __init__(self, *rows: list[sa.RowMapping]) -> None:
        self.items, self.decisions, self.windows = rows


def _request(row: sa.RowMapping, parts: _Parts) -> Request:
    values = dict(row)
    number = values["id"]
    values["state"] = State(values["state"])
    values["approvers"] = tuple(values["approvers"])
    values["steps"] = tuple(
        PinnedStep(
            tuple(step["groups"]),
            step["needed"],
            tuple(step["people"]),
            tuple(step["approved"]),
            tuple(step["silent"]),
        )
        for step in values["steps"]
    )
    return Request(
        **values,
        items=tuple(_item(i) for i in parts.items if i["request_id"] == number),
        decisions=tuple(_decision(d) for d in parts.decisions if d["request_id"] == number),
        windows=tuple(_window(w) for w in parts.windows if w["request_id"] == number),
    )


def _item(row: sa.RowMapping) -> Item:
    return Item(
        position=row["position"],
        repository=row["repository"],
        tag=row["tag"],
        digest=row["digest"],
        state=ItemState(row["state"]),
        placeholder=row["placeholder"],
        detail=row["detail"],
    )


def _decision(row: sa.RowMapping) -> Decision:
    return Decision(row["user_id"], row["team"], row["approves"], row["reason"], row["at"])


def _window(row: sa.RowMapping) -> Window:
    return Window(
        request=row["request_id"],
        registry=row["registry"],
        repository=row["repository"],
        digest=row["digest"],
        state=WindowState(row["state"]),
        until=row["until"],
        size=row["size"],
        holder=row["holder"],
    )


class Windows:
    """Undo windows: what was untagged and may still come back."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def open(
        self, number: int, registry: str, repository: str, digest: str, *, until: float, size: int
    ) -> None:
        """Open the window of one digest (`until` epoch seconds, `size` bytes)."""
        await self._conn.execute(
            insert_ignore(self._conn, windows).values(
                request_id=number,
                registry=registry,
                repository=repository,
                digest=digest,
                state=WindowState.OPEN,
                until=until,
                size=size,
            )
        )

    async def settle(
        self, number: int, repository: str, digest: str, state: WindowState, holder: str = ""
    ) -> None:
        """The window of one digest ends (or, held, waits for its holder)."""
        await self._conn.execute(
            windows.update()
            .where(
                windows.c.request_id == number,
                windows.c.repository == repository,
                windows.c.digest == digest,
            )
            .values(state=state, holder=holder)
        )

    async def open_on(self, registry: str) -> list[Window]:
        """Every open window of a registry, the soonest to end first."""
        return await self._on(registry, WindowState.OPEN)

    async def held_on(self, registry: str) -> list[Window]:
        """Every window of a registry that has ended and purged nothing, as it had a holder."""
        return await self._on(registry, WindowState.HELD)

    async def _on(self, registry: str, state: WindowState) -> list[Window]:
        query = (
            sa.select(windows)
            .where(windows.c.registry == registry, windows.c.state == state)
            .order_by(windows.c.until)
        )
        return [_window(row) for row in (await self._conn.execute(query)).mappings()]
