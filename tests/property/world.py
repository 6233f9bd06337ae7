"""What can happen to a registry, its bot and its people; after each job the ledger judges it."""

import asyncio
import contextlib
import dataclasses
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from bot.operations import approvals, requesting, undo
from bot.operations.context import Context, Registry, Timing
from bot.operations.errors import Refusal
from bot.operations.worker import TryLater, Worker
from bot.registry.client import RegistryClient
from bot.registry.errors import RegistryError
from bot.rules.approval import Request, State
from bot.store.jobs import Job, LeaseLost
from bot.store.store import Store
from tests.property.killing import Killed, Mortal
from tests.property.ledger import CONFIRMED, Asked, Key, Ledger, Terms
from tests.property.shelf import REPOSITORIES, Shelf, policy_of
from tests.support.rig import Rig

ANN, BOB, CAT, DAN, EVE, TWIN = "U0ANN", "U0BOB", "U0CAT", "U0DAN", "U0EVE", "local:bob"
TAGS = ("v1", "v2", "w1")
TIMING = Timing(lease=60.0, retry=0.0, edit=0.0, drain=5.0)
LONG_AGO = 1_000_000.0
PEOPLE = (("leads", frozenset({BOB, CAT})), ("security", frozenset({DAN})))
USUAL = (
    Terms(PEOPLE, ((("leads",), 1),)),
    Terms(PEOPLE, ((("leads",), 2),), twins=((TWIN, BOB),)),
    Terms(PEOPLE, ((("leads",), 1), (("security",), 1))),
)


class World:
    """One registry with a few tags, one store, and a bot that is restarted now and then.

    Every method that is named after something lets it happen. `happened` counts how jobs ended.
    """

    def __init__(self, url: str, shelf: Shelf) -> None:
        self.url = url
        self.shelf = shelf
        self.happened = Counter[str]()
        self.loop = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp())
        self.client = self.do(self._client())
        self.ledger = Ledger(USUAL[0])
        self.rig = Rig(self.do(self._context()))
        self.shelf.empty()
        for repository in REPOSITORIES:
            for tag, image in zip(TAGS, ("plain", "plain", "other"), strict=True):
                self.push(repository, tag, image)

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run(work)

    async def _client(self) -> RegistryClient:
        return RegistryClient(self.url, deadline=10.0)

    async def _context(self, client: Any = None) -> Context:
        store = await Store.open(f"sqlite:///{self.directory}/bot.db", TIMING.lease)
        client = client or self.client
        registry = Registry("corp", client, (client,))
        policy, zone = policy_of(self.ledger.terms), Shelf.zone
        return Context(store, policy, {"corp": registry}, 500, zone, TIMING)

    def end(self) -> None:
        """Let everything come to its end, and see that what is there can be pulled."""
        try:
            self.finish_everything()
            self.shelf.pull_all(self.ledger.tags)
        finally:
            self.do(self.rig.store.close())
            self.do(self.client.aclose())
            self.loop.close()
            shutil.rmtree(self.directory)

    # What happens in the world

    def push(self, repository: str, tag: str, image: str) -> None:
        self.ledger.tags[repository, tag] = self.shelf.push(repository, tag, image)

    def settings_change(self, terms: Terms) -> None:
        self.ledger.terms = terms
        self.rig = self.rig.with_policy(policy_of(terms))

    def restart(self) -> None:
        self.do(self.rig.store.close())
        self.rig = Rig(self.do(self._context()))

    def lock(self, repository: str, on: bool) -> None:
        self.do(self._lock(repository, on))
        (self.ledger.locked.add if on else self.ledger.locked.discard)(repository)

    async def _lock(self, repository: str, on: bool) -> None:
        async with self.rig.store.transaction() as tx:
            held = await tx.locks.on("corp", repository)
            if held and not on:
                await tx.locks.end(held.id)
            if on and not held:
                await tx.locks.add(
                    "corp", repository, reason="x", actor=ANN, team="T", channel="C",
                    request_id=0, seconds=None,
                )  # fmt: skip

    def calm_down(self, repository: str, terms: Terms) -> None:
        """Nothing is locked or protected, the usual people agree, and every tag is there."""
        self.lock(repository, False)
        self.settings_change(terms)
        for tag in TAGS:
            if (repository, tag) not in self.ledger.tags:
                self.push(repository, tag, "index" if tag == "w1" else "plain")

    # What people ask for

    def ask_to_delete(self, who: str, repository: str, wanted: str) -> Asked | None:
        named = self.chosen(repository, wanted)
        made = self.ask(lambda: self.rig.delete(f"{repository}:{wanted}", user=who))
        return self.note(made, "delete", repository, named, who)

    def ask_to_purge(self, who: str, repository: str, wanted: str) -> Asked | None:
        chosen = self.chosen(repository, wanted)
        named = self.ledger.on_digests(repository, set(chosen.values()))
        made = self.ask(lambda: self.rig.purge_(f"{repository}:{wanted}", user=who))
        return self.note(made, "purge", repository, named, who)

    def ask_to_undo(self, request: Asked, who: str) -> Asked | None:
        made = self.ask(lambda: self._about(undo.request_undo, request, who))
        return self.note(made, "undo", "", {}, who, request)

    def ask_to_end_the_window(self, request: Asked, who: str) -> Asked | None:
        made = self.ask(lambda: self._about(undo.request_purge_of, request, who))
        return self.note(made, "purge request", "", {}, who, request)

    async def _about(self, how: Callable[..., Any], request: Asked, who: str) -> Request:
        async with self.rig.store.transaction() as tx:
            subject = await tx.requests.get(request.id)
            made = await how(self.rig.ctx, tx, self.rig.asked(who), subject)
            return await requesting.submit(tx, made)

    def chosen(self, repository: str, wanted: str) -> dict[Key, str]:
        """The tags that a reference means, on the digests where they are."""
        return {
            (repository, tag): digest
            for (where, tag), digest in self.ledger.tags.items()
            if where == repository and wanted in {tag, "*", f"{tag[0]}*"}
        }

    def ask(self, how: Callable[[], Coroutine[Any, Any, Request]]) -> Request | None:
        try:
            made: Request = self.do(how())
        except (Refusal, RegistryError):
            return None
        return made

    def note(
        self,
        made: Request | None,
        kind: str,
        repository: str,
        named: dict[Key, str],
        who: str,
        subject: Asked | None = None,
    ) -> Asked | None:
        if made is None:
            return None
        alone = kind == "undo" or (kind == "delete" and repository == "scratch/x")
        asked = Asked(
            made.id, kind, who, CONFIRMED if alone else self.ledger.terms.rule, named,
            self.ledger.on_digests(repository, set(named.values())), subject=subject,
        )  # fmt: skip
        self.ledger.add(asked)
        return asked

    # What people decide

    def approve(self, request: Asked, who: str) -> None:
        self.ledger.approve(request, who)
        self.click(approvals.approve, request, who)

    def everybody_approves(self, request: Asked) -> None:
        for who in (request.requester, CAT, TWIN, BOB, DAN):
            self.approve(request, who)

    def one_approves(self, request: Asked) -> None:
        self.approve(request, BOB if request.requester == CAT else CAT)

    def deny_or_cancel(self, request: Asked, who: str, how: Callable[..., Any]) -> None:
        if self.click(how, request, who):
            request.over = True

    def click(self, how: Callable[..., Any], request: Asked, who: str) -> bool:
        try:
            self.do(self._click(how, request, who))
        except Refusal:
            return False
        return True

    async def _click(self, how: Callable[..., Any], request: Asked, who: str) -> None:
        async with self.rig.store.transaction() as tx:
            try:
                await how(self.rig.ctx, tx, await tx.requests.get(request.id), self.rig.asked(who))
            except Refusal as error:
                refusal = error  # what it wrote is kept, as the dispatcher keeps it
            else:
                return
        raise refusal

    # What time does

    def nobody_decides_in_time(self, request: Asked) -> None:
        if not request.approved:
            request.over = True
            self.sql("UPDATE requests SET expires_at = 0 WHERE id = {id}", request)
            if request.id % 2:  # a late worker: the next click is the first to see it
                self.sql("UPDATE jobs SET run_at = 0 WHERE kind = 'expire' AND request_id = {id}",
                         request)  # fmt: skip

    def nobody_starts_it_in_time(self, request: Asked) -> None:
        if request.approved and not request.begun:
            request.over = True
            self.sql(f"UPDATE requests SET decided_at = decided_at - {LONG_AGO} WHERE id = {{id}}",
                     request)  # fmt: skip

    def the_window_ends(self, request: Asked) -> None:
        self.sql("UPDATE jobs SET run_at = 0 WHERE kind = 'end window' AND request_id = {id}",
                 request)  # fmt: skip

    def sql(self, statement: str, request: Asked) -> None:
        self.do(self._sql(statement.format(id=request.id)))

    async def _sql(self, statement: str) -> None:
        async with self.rig.store.transaction() as tx:
            await tx.conn.exec_driver_sql(statement)

    # What the bot does

    def work(self) -> None:
        self.finish_everything()

    def killed_at_work(self, method: str, call: int, after: bool) -> None:
        job = self.claim()
        if job is not None:
            mortal = Mortal(self.client, method, call, after=after)
            self.do(self._until_killed(job, mortal))
            self.judge(job)
            self.restart()

    def finish_everything(self) -> None:
        for _ in range(60):
            job = self.claim()
            if job is None:
                return
            self.do(Worker(self.rig.ctx, self.rig.operations.handlers()).carry_out(job))
            self.judge(job)
        raise AssertionError("the work has no end")

    def claim(self) -> Job | None:
        found: Job | None = self.do(self.rig.store.claim_job("worker", TIMING.lease))
        return found

    async def _until_killed(self, job: Job, mortal: Mortal) -> None:
        registry = dataclasses.replace(self.rig.registry, client=mortal)  # type: ignore[arg-type]
        rig = Rig(dataclasses.replace(self.rig.ctx, registries={"corp": registry}))
        with contextlib.suppress(Killed, TryLater, LeaseLost):
            await rig.operations.handlers()[job.kind].run(job)
        # Whatever it got done: nobody lives to finish the job, and its lease runs out.
        await self._sql(
            f"UPDATE jobs SET lease_until = 0 WHERE id = {job.id} AND state = 'running'"
        )

    def judge(self, job: Job) -> None:
        """After a job: what changed must be what its request was allowed to change."""
        ran = self.ledger.asked.get(job.request_id or 0) if job.kind != "expire" else None
        if ran is None:
            return self.compare(None)
        state = self.do(self.rig.get(ran.id)).state
        rightly = ran.begun or self.ledger.may_begin(ran)
        if state is State.RUNNING and ran.kind in {"delete", "purge"}:
            assert rightly, f"it was begun: {ran} under {self.ledger.terms}"
        self.happened[f"{ran.kind}: {state}"] += 1
        self.compare(ran)
        if state is State.RUNNING:
            ran.begun = True
        elif not state.is_open:
            ran.over = True
        return None

    def compare(self, ran: Asked | None) -> None:
        wrong = self.ledger.wrong(self.shelf.tags(), ran, self.shelf.digests)
        assert not wrong, "\n".join([*wrong, f"under {self.ledger.terms}"])
