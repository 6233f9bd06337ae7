"""From what came in to an operation, and from its result to an answer: one place for errors.

A command or click is a job. It is finished in the same transaction that stores what it changed
and what is answered, so that a crash either repeats it or leaves nothing to repeat.
"""

import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Protocol

import structlog

from bot.gc.errors import GcError
from bot.operations.context import Asked, Context
from bot.operations.errors import Refusal
from bot.registry.errors import RegistryError
from bot.rules.policy import Actor
from bot.slack import steps
from bot.slack.answering import Incoming, Say, answer, by_outbox
from bot.slack.commands import CommandError, parse
from bot.slack.form import REGISTRY, REPOSITORY, VERB
from bot.slack.opening import FORM
from bot.slack.payloads import STEP
from bot.slack.people import Where
from bot.slack.refused import record
from bot.slack.runner import VerbRunner, Work
from bot.slack.verbs import Kind, available
from bot.slack.views import notices
from bot.store.audit import AuditUnwritable
from bot.store.jobs import Job, LeaseLost
from bot.store.store import Transaction

log = structlog.get_logger()

READS = frozenset(verb.name for verb in available() if verb.kind is Kind.READ)
# What only looks may also be pressed where another company reads along.
_LOOKS = frozenset({"details", "share", FORM, VERB, REGISTRY, REPOSITORY})
# What these answer depends on nobody's groups.
_ASKS_NOBODY = (READS - {"help", "whoami"}) | {f"click {action}" for action in _LOOKS}


class People(Protocol):
    """Says who somebody is."""

    async def actor(self, where: Where, *, changes: bool) -> Actor:
        """The person as the policy knows them; raises `Refusal` where they may not be answered."""


class Dispatcher:
    """Runs commands and clicks.

    Parameters
    ----------
    ctx : the rooms.
    people : says who somebody is.
    count : told verb and outcome, for the metrics.
    say : answers inside the transaction that changed what it speaks of; default: the outbox.
    channels : where somebody is a member, for what they press in their home tab.
    """

    def __init__(
        self,
        ctx: Context,
        people: People,
        count: Callable[[str, str], None] = lambda *_: None,
        say: Say | None = None,
        channels: Callable[[str], Awaitable[frozenset[str]]] | None = None,
    ) -> None:
        self._channels = channels
        self._ctx = ctx
        self._people = people
        self._count = count
        self._say = say or by_outbox
        self._verbs = VerbRunner(ctx)

    async def command(self, job: Job) -> None:
        """A slash command; with nothing behind it and a modal opened for it, the form."""
        if job.payload.get("action"):
            await self.click(job)
        else:
            await self._run(job, Incoming.of(job))

    async def submission(self, job: Job) -> None:
        """A submitted modal, a command that was filled in or an answer; or whatever is urgent."""
        if job.payload.get("text"):
            await self._run(job, Incoming.of(job))
        else:
            await self.click(job)

    async def _run(self, job: Job, incoming: Incoming) -> None:
        text, verb = incoming.text, "unknown"
        async with self._answering(job, lambda: incoming, lambda: verb):
            command = parse(text)
            verb = command.verb
            incoming = replace(incoming, number=command.request)
            actor = await self._people.actor(incoming.where, changes=verb not in READS)
            reason = str(command.flags.get("reason") or "")
            emergency = bool(command.flags.get("emergency"))
            asked = Asked(actor, incoming.where.channel, reason, emergency)
            await self._ask_slack(verb)
            agreed = incoming.body.get("agreed")
            work = await self._verbs.prepare(command, asked, text, f"ask-{job.id}", agreed)
            await self._carry_out(job, incoming, verb, work)

    async def click(self, job: Job) -> None:
        """A pressed button."""
        incoming = Incoming.of(job)
        action = str(incoming.body.get("action", ""))
        if action.startswith(STEP) and not incoming.body.get("foreign"):
            # A next step that an answer offered: as if they had typed it themselves.
            await self._run(job, incoming.typing(str(incoming.body.get("value", ""))))
            return
        what = f"click {action.rstrip('0123456789')}"[:40]
        async with self._answering(job, lambda: incoming, lambda: what):
            if incoming.body.get("foreign"):
                raise Refusal(
                    "This button is in a message of another app; nothing was done.",
                    "`/registry requests` lists what is open.",
                )
            if incoming.body.get("home") and self._channels:
                incoming = await self._from_home(incoming, self._channels)
            changes = action not in _LOOKS
            actor = await self._people.actor(incoming.where, changes=changes)
            asked = Asked(actor, incoming.where.channel, str(incoming.body.get("reason", "")))
            await self._ask_slack(what)
            work = await self._verbs.prepare_click(action, incoming.body, asked, f"ask-{job.id}")
            await self._carry_out(job, incoming, what, work)

    async def _from_home(
        self, incoming: Incoming, channels: Callable[[str], Awaitable[frozenset[str]]]
    ) -> Incoming:
        """The home tab is in no channel: what is pressed there counts in the request's own."""
        async with self._ctx.store.reading() as tx:
            request = await tx.requests.by_token(str(incoming.body.get("value", "")))
        if request is None or request.channel not in await channels(incoming.where.user):
            raise Refusal(
                "That request belongs to no channel that you are in.",
                "Open the home tab again: it shows what concerns you.",
            )
        return replace(incoming, where=replace(incoming.where, channel=request.channel))

    async def _carry_out(self, job: Job, incoming: Incoming, what: str, work: Work) -> None:
        """Effect, answer and the end of the job, in one transaction."""
        await self._ask_slack(what)  # preparing may have taken minutes
        async with self._ctx.store.transaction(job) as tx:
            try:
                said = await work(tx)
            except Refusal as refusal:
                await self._refuse(tx, incoming, what, refusal)
                self._count(what, "refused")
            else:
                self._count(what, "ok")
                await answer(tx, incoming, said, self._say)
            await tx.jobs.finish(job)

    async def _ask_slack(self, what: str) -> None:
        """Who is in its user groups, where that could decide about what is asked."""
        if what not in _ASKS_NOBODY:
            await self._ctx.refresh()

    @contextlib.asynccontextmanager
    async def _answering(
        self, job: Job, came: Callable[[], Incoming], what: Callable[[], str]
    ) -> AsyncIterator[None]:
        """Whatever goes wrong inside, the person is told."""
        try:
            yield
        except LeaseLost:
            raise
        except AuditUnwritable as error:
            await self._unwritten(job, came(), what(), error)
        except CommandError as error:
            refusal = Refusal(error.sentence, error.hint, error.suggestions, wrong=error.wrong)
            await self._tell(job, came(), what(), refusal)
        except Refusal as refusal:
            await self._tell(job, came(), what(), refusal)
        except (RegistryError, GcError) as error:
            await self._tell(job, came(), what(), Refusal(error.sentence, error.hint))
        except Exception:
            mark = secrets.token_hex(3)
            log.exception("a command failed", mark=mark, what=what())
            await self._tell(
                job,
                came(),
                what(),
                Refusal(
                    "Something went wrong inside the bot; this command changed nothing.",
                    f"Try again. If it stays, its log has the details under {mark}.",
                ),
            )

    async def _tell(self, job: Job, incoming: Incoming, what: str, refusal: Refusal) -> None:
        self._count(what, "refused")
        try:
            async with self._ctx.store.transaction(job) as tx:
                await self._refuse(tx, incoming, what, refusal)
                await tx.jobs.finish(job, "refused")
        except AuditUnwritable as error:
            await self._unwritten(job, incoming, what, error)

    async def _unwritten(
        self, job: Job, incoming: Incoming, what: str, error: AuditUnwritable
    ) -> None:
        """The one answer that leaves no trace in the audit trail: that there can be none."""
        log.error("a command was not carried out", what=what, why=str(error))
        async with self._ctx.store.transaction(job) as tx:
            said = notices.refusal(error.sentence, error.hint)
            await answer(tx, incoming, said, self._say)
            await tx.jobs.finish(job, "refused")

    async def _refuse(
        self, tx: Transaction, incoming: Incoming, what: str, refusal: Refusal
    ) -> None:
        if what not in READS and what != "unknown":
            await record(self._ctx, tx, incoming, what, refusal)
        if refusal.disarms:
            await self._disarm(tx, incoming, refusal)
        said = notices.refusal(
            refusal.sentence,
            refusal.hint,
            refusal.suggestions,
            people=refusal.names_people,
            steps=steps.after(refusal.hint, incoming.text, refusal.wrong, refusal.suggestions),
        )
        # Whoever presses Deny expects a form, and may close what comes before it has been read.
        await answer(tx, incoming, said, self._say, twice=what == "click deny")

    async def _disarm(self, tx: Transaction, incoming: Incoming, refusal: Refusal) -> None:
        """Take the buttons from a message in which none decides anything; a list stays."""
        stamp, channel = incoming.body.get("message_ts"), incoming.where.channel
        looks = incoming.body.get("action") in _LOOKS
        if stamp and channel and not looks and not incoming.body.get("ephemeral"):
            said = notices.refusal(refusal.sentence, refusal.hint, people=refusal.names_people)
            await tx.outbox.correct(channel, str(stamp), said)

    async def give_up(self, job: Job, why: str) -> None:
        """A command that was tried too often: the person is told that it was not done."""
        incoming = Incoming.of(job)
        async with self._ctx.store.transaction(job) as tx:
            said = notices.refusal(
                f"Your command could not be carried out ({why}).",
                "`/registry requests` shows what there is. Then try again.",
                steps=["requests"],
            )
            await answer(tx, incoming, said, self._say)
