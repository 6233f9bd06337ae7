"""Jobs: work that must be done once, by whoever is alive.

A claim is one statement. It hands out a *lease*, which a heartbeat renews, and a *fence*, a
number that grows with every claim: a process that was paused and wakes up with an old fence
can write nothing any more.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.store.portable import insert_ignore
from bot.store.schema import db_now, jobs


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job. `attempts` counts this one; `fence` proves the claim."""

    id: int
    kind: str
    registry: str
    exclusive: bool
    request_id: int | None
    payload: Mapping[str, Any]
    attempts: int
    fence: int
    worker: str
    created_at: float


class LeaseLost(Exception):
    """Another process has taken the job over: stop, and write nothing."""


_JOB = tuple(jobs.c[name] for name in Job.__dataclass_fields__)


def _serving(request: int) -> sa.ColumnElement[bool]:
    """The jobs of a request, and the begun ones that stand before it at its registry."""
    own = jobs.alias("own")
    registry = sa.select(own.c.registry).where(own.c.request_id == request, own.c.exclusive)
    begun = sa.and_(jobs.c.exclusive, jobs.c.started_at.is_not(None), jobs.c.registry.in_(registry))
    return sa.or_(jobs.c.request_id == request, begun)


@functools.cache
def _due() -> sa.ColumnElement[bool]:
    """The jobs that may begin, as far as their time goes."""
    return sa.and_(jobs.c.state == "queued", jobs.c.run_at <= db_now())


@functools.cache
def _abandoned() -> sa.ColumnElement[bool]:
    """The jobs that were begun, and that nobody has any more."""
    return sa.and_(jobs.c.state == "running", jobs.c.lease_until < db_now())


@functools.cache
def _locked() -> sa.ColumnElement[bool]:
    """The jobs whose registry another exclusive job holds."""
    other = jobs.alias("other")
    return sa.exists().where(
        jobs.c.exclusive,
        other.c.exclusive,
        other.c.registry == jobs.c.registry,
        other.c.state == "running",
        other.c.id != jobs.c.id,
    )


@dataclass(frozen=True, slots=True)
class Incoming:
    """A job for something that came in; `dedupe` exists once for ever, such as a trigger's id."""

    kind: str
    payload: Mapping[str, Any]
    dedupe: str


class Jobs:
    """The queue."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn

    async def add(
        self,
        kind: str,
        payload: Mapping[str, Any] | None = None,
        *,
        registry: str = "",
        exclusive: bool = False,
        request_id: int | None = None,
        delay: float = 0.0,
        at: float | None = None,
        dedupe: str | None = None,
    ) -> bool:
        """Queue a job; False if one with the same `dedupe` was there already.

        Parameters
        ----------
        exclusive : only one exclusive job of a registry runs at a time.
        delay : seconds from now until it may run; `at`, epoch seconds, beats it.
        dedupe : a key that exists once for ever, such as Slack's trigger id.
        """
        statement = insert_ignore(self._conn, jobs).values(
            kind=kind,
            payload=dict(payload or {}),
            registry=registry,
            exclusive=exclusive,
            request_id=request_id,
            run_at=db_now() + delay if at is None else at,
            created_at=db_now(),
            dedupe=dedupe,
        )
        return bool((await self._conn.execute(statement)).rowcount)

    async def add_all(self, incoming: Sequence[Incoming]) -> None:
        """Queue many at once; those that are there already stay as they are."""
        if not incoming:
            return
        statement = insert_ignore(self._conn, jobs).values(
            exclusive=False, run_at=db_now(), created_at=db_now()
        )
        rows = [
            {"kind": one.kind, "payload": dict(one.payload), "dedupe": one.dedupe}
            for one in incoming
        ]
        await self._conn.execute(statement, rows)

    async def begin(self, kind: str, payload: Mapping[str, Any], worker: str, lease: float) -> Job:
        """A job that belongs to `worker` from its first moment: nobody else ever sees it queued."""
        statement = (
            jobs.insert()
            .values(
                kind=kind,
                payload=dict(payload),
                exclusive=False,
                state="running",
                worker=worker,
                fence=1,
                attempts=1,
                run_at=db_now(),
                created_at=db_now(),
                started_at=db_now(),
                lease_until=db_now() + lease,
            )
            .returning(*_JOB)
        )
        return Job(**(await self._conn.execute(statement)).mappings().one())

    async def claim(
        self, worker: str, lease: float, kinds: Iterable[str] = (), *, request: int | None = None
    ) -> Job | None:
        """Take the next job that is due, or one whose owner's lease has run out.

        Parameters
        ----------
        worker : the claiming process.
        lease : seconds until the claim ends unless it is renewed.
        kinds : only these; all if empty.
        request : only what belongs to this request, and what was begun on its registry and has
            no owner any more: it may have left the registry read-only, or a tag half-way.
        """
        due = sa.or_(_due(), _abandoned())
        wanted = list(kinds)
        only: list[sa.ColumnElement[bool]] = [jobs.c.kind.in_(wanted)] if wanted else []
        if request is not None:
            only.append(_serving(request))
        pick = (
            sa.select(jobs.c.id)
            .where(due, ~_locked(), *only)
            # Abandoned work first: it may hold a registry that is still read-only.
            .order_by(sa.case((jobs.c.state == "running", 0), else_=1), jobs.c.run_at, jobs.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        claim = (
            jobs.update()
            .where(jobs.c.id == pick.scalar_subquery())
            .values(
                state="running",
                worker=worker,
                fence=jobs.c.fence + 1,
                attempts=jobs.c.attempts + 1,
                lease_until=db_now() + lease,
                started_at=sa.func.coalesce(jobs.c.started_at, db_now()),
            )
            .returning(*_JOB)
        )
        row = (await self._conn.execute(claim)).mappings().first()
        return Job(**row) if row else None

    async def renew(self, job: Job, lease: float) -> None:
        """Prove that the job is still ours and extend the lease; raises `LeaseLost`."""
        await self._change(job, lease_until=db_now() + lease)

    async def finish(self, job: Job, outcome: str = "ok") -> None:
        """The job is over; raises `LeaseLost`.

        Its payload is forgotten with it: it may hold a response_url, which is a secret.
        """
        await self._change(job, state="done", outcome=outcome, finished_at=db_now(), payload={})

    async def put_back(self, job: Job, delay: float = 0.0, *, forgive: bool = False) -> None:
        """Queue the job again; `forgive` takes the attempt back. Raises `LeaseLost`."""
        await self._change(
            job,
            state="queued",
            run_at=db_now() + delay,
            lease_until=None,
            attempts=jobs.c.attempts - (1 if forgive else 0),
        )

    async def _change(self, job: Job, **values: Any) -> None:
        statement = (
            jobs.update()
            .where(
                jobs.c.id == job.id,
                jobs.c.fence == job.fence,
                jobs.c.worker == job.worker,
                jobs.c.state == "running",
            )
            .values(**values)
        )
        if not (await self._conn.execute(statement)).rowcount:
            raise LeaseLost(f"job {job.id} ({job.kind}) now belongs to another process")

    async def is_finished(self, job: Job) -> bool:
        """Whether the job has ended, and in the hands of whoever made this claim."""
        query = sa.select(jobs.c.id).where(
            jobs.c.id == job.id, jobs.c.fence == job.fence, jobs.c.state == "done"
        )
        return await self._conn.scalar(query) is not None

    async def drop(self, kind: str, request_id: int) -> None:
        """Forget queued jobs of a kind for a request: their reason is gone."""
        await self._conn.execute(
            jobs.update()
            .where(jobs.c.kind == kind, jobs.c.request_id == request_id, jobs.c.state == "queued")
            .values(state="done", outcome="dropped", finished_at=db_now(), payload={})
        )

    async def wake(self, kind: str, request_id: int) -> None:
        """Let queued jobs of a kind for a request run now."""
        await self._conn.execute(
            jobs.update()
            .where(jobs.c.kind == kind, jobs.c.request_id == request_id, jobs.c.state == "queued")
            .values(run_at=db_now())
        )

    async def forget(self, age: float) -> None:
        """Remove jobs that ended more than `age` seconds ago; the audit trail keeps the story."""
        await self._conn.execute(
            jobs.delete().where(jobs.c.state == "done", jobs.c.finished_at < db_now() - age)
        )

    async def forget_old_urls(self, age: float) -> None:
        """Take the response_url out of what has waited for more than `age` seconds."""
        query = sa.select(jobs.c.id, jobs.c.payload).where(
            jobs.c.state != "done",
            jobs.c.created_at < db_now() - age,
            sa.cast(jobs.c.payload, sa.Text).like('%"response_url": "%'),
        )
        for number, payload in (await self._conn.execute(query)).all():
            await self._conn.execute(
                jobs.update()
                .where(jobs.c.id == number)
                .values(payload={**payload, "response_url": None})
            )

    async def seconds_until_next(self) -> float | None:
        """Seconds until something may be due; None if nothing is queued or running.

        What waits for a registry that is held is not due before that ends, which may take hours.
        """
        soonest = sa.select(
            sa.func.min(
                sa.case((jobs.c.state == "running", jobs.c.lease_until), else_=jobs.c.run_at)
            )
            - db_now()
        ).where(jobs.c.state.in_(["queued", "running"]), ~_locked())
        value = await self._conn.scalar(soonest)
        return None if value is None else max(0.0, float(value))

    async def busy_seconds(self, registry: str, since: float, but_not: int) -> float:
        """Seconds since `since` (epoch) in which another exclusive job held the registry."""
        start = sa.case((jobs.c.started_at > since, jobs.c.started_at), else_=since)
        end = sa.func.coalesce(jobs.c.finished_at, db_now())
        total = sa.select(sa.func.sum(end - start)).where(
            jobs.c.registry == registry,
            jobs.c.exclusive,
            jobs.c.id != but_not,
            jobs.c.started_at.is_not(None),
            sa.or_(jobs.c.state == "running", jobs.c.finished_at > since),
        )
        return float(await self._conn.scalar(total) or 0.0)

    async def depth(self) -> int:
        """How many jobs are due and wait for somebody, those of a lost owner among them."""
        return await self._count(sa.or_(_due(), _abandoned()))

    async def running(self) -> int:
        """How many jobs somebody is working on."""
        return await self._count(sa.and_(jobs.c.state == "running", jobs.c.lease_until >= db_now()))

    async def _count(self, which: sa.ColumnElement[bool]) -> int:
        query = sa.select(sa.func.count()).select_from(jobs).where(which)
        return int(await self._conn.scalar(query) or 0)

    async def waiting(self, kinds: Iterable[str]) -> int:
        """How many jobs of these kinds are due and wait for a worker."""
        return await self._count(sa.and_(_due(), jobs.c.kind.in_(list(kinds))))

    async def ended_since(self, registry: str, kinds: Iterable[str], last: str) -> bool:
        """Whether a job of these kinds has ended on a registry since the last of kind `last`."""
        ended = sa.and_(jobs.c.registry == registry, jobs.c.state == "done", jobs.c.outcome == "ok")
        newest = sa.select(sa.func.max(jobs.c.finished_at))
        wanted = await self._conn.scalar(newest.where(ended, jobs.c.kind.in_(list(kinds))))
        before = await self._conn.scalar(newest.where(ended, jobs.c.kind == last))
        return wanted is not None and (before is None or wanted > before)

    async def running_exclusive(self, registry: str) -> tuple[str, int | None] | None:
        """Kind and request of the job that holds the registry's lock."""
        query = sa.select(jobs.c.kind, jobs.c.request_id).where(
            jobs.c.registry == registry, jobs.c.exclusive, jobs.c.state == "running"
        )
        row = (await self._conn.execute(query)).first()
        return (row[0], row[1]) if row else None
