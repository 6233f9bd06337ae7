"""`registry-bot run "…"`: the same commands in a terminal, by the same policy, into the same audit.

A command takes the way of every command: it is a job, dispatched like one from Slack. Only who
asks is known otherwise, and the answer is printed. A request that may start is carried out here
where no other process does it first; leases and fences make the two safe beside each other.
"""

import asyncio
import contextlib
import dataclasses
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

from bot import wiring
from bot.operations.context import Context, Timing
from bot.operations.worker import Handler, Worker
from bot.rules.approval import Request, State
from bot.rules.policy import Actor, Channel
from bot.rules.preview import Preview, PreviewState
from bot.screen import Screen
from bot.settings import Settings
from bot.slack.answering import Incoming, Said
from bot.slack.commands import CommandError, listing_for, parse
from bot.slack.dispatch import Dispatcher
from bot.slack.people import Where
from bot.slack.views.blocks import Message
from bot.slack.views.cleanup import preview as preview_message
from bot.slack.views.progress import progress
from bot.slack.views.request import request as request_message
from bot.slack.views.request import stands
from bot.slack.views.terminal import render
from bot.store.jobs import Job
from bot.store.store import Store, Transaction

DONE, REFUSED = 0, 1
_LOOK = 0.2  # seconds between looks at a request under way: another process may have it
_TEAM = "local"
_NOWHERE = ""  # the channel of what is typed here
_WELL = {State.DONE, State.PURGED, State.HELD, State.UNDONE}


@dataclass(frozen=True, slots=True)
class _Here:
    """Whoever is logged in on this host: there is nobody to ask about them."""

    me: Actor

    async def actor(self, _: Where, *, changes: bool) -> Actor:  # noqa: ARG002
        return self.me


async def run(settings: Settings, text: str, account: str, screen: Screen) -> int:
    """The same as `carry_out`, until Ctrl-C or SIGTERM; a second one ends the program at once."""
    with _interrupted() as stop:
        return await carry_out(settings, text, account, screen, stop)


async def carry_out(
    settings: Settings,
    text: str,
    account: str,
    screen: Screen,
    stop: asyncio.Event,
    timing: Timing | None = None,
) -> int:
    """Carry out one command as `local:ACCOUNT`.

    Parameters
    ----------
    stop : set when whoever waits has had enough.
    timing : shortened by tests.

    Returns
    -------
    0 where all was done that can be done now, 1 where something was refused, failed or stopped.

    Raises
    ------
    StoreUnusable : the database cannot be opened.
    """
    timing = timing or Timing()
    async with contextlib.AsyncExitStack() as stack:
        store = await Store.open(settings.store_url, timing.lease)
        stack.push_async_callback(store.close)
        ctx = _everything_served(wiring.context(settings, store, timing))
        for registry in ctx.registries.values():
            for one in {registry.client, *registry.writers}:
                stack.push_async_callback(one.aclose)
        return await Session(ctx, Actor(f"local:{account}", _TEAM), screen, stop).run(text)


def _everything_served(ctx: Context) -> Context:
    """Every registry of the settings can be spoken of here, whichever channels serve it.

    Slack is not asked who is in its user groups: what is typed here works while it is down.
    """
    here = Channel(_NOWHERE, tuple(ctx.registries))
    policy = dataclasses.replace(
        ctx.policy,
        channels=(here, *ctx.policy.channels),
        silence=dict.fromkeys(ctx.policy.usergroups, "the terminal does not ask it"),
    )
    return dataclasses.replace(ctx, policy=policy)


@contextlib.contextmanager
def _interrupted() -> Iterator[asyncio.Event]:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def stopped() -> None:
        stop.set()
        for one in signals:
            loop.remove_signal_handler(one)

    for one in signals:
        loop.add_signal_handler(one, stopped)
    try:
        yield stop
    finally:
        for one in signals:
            loop.remove_signal_handler(one)


class Session:
    """One command and all that follows from it.

    Parameters
    ----------
    ctx : the rooms; its policy serves every registry in the channel "".
    me : who types.
    screen : where it is typed.
    stop : set when whoever waits has had enough.
    """

    def __init__(self, ctx: Context, me: Actor, screen: Screen, stop: asyncio.Event) -> None:
        self._ctx = ctx
        self._me = me
        self._screen = screen
        self._stop = stop
        self._said: Said = None
        self._refused = False
        self._dispatcher = Dispatcher(ctx, _Here(me), self._count, self._hear)

    async def run(self, text: str) -> int:
        """Carry it out, print what is said, and give the exit code."""
        if not await self._command(text):
            await self._list_what_is_missing(text)
            begun = await self._begun(text)
            return await self._carry_out(begun) if begun else REFUSED
        if isinstance(self._said, Request):
            return await self._asked(self._said)
        if isinstance(self._said, Preview):
            return await self._previewed(self._said)
        approved = await self._begun(text)
        return await self._carry_out(approved) if approved else DONE

    async def _command(self, text: str) -> bool:
        """Dispatch it like one that came from Slack; False where it was refused."""
        return await self._dispatch(self._dispatcher.command, text=text)

    async def _dispatch(self, handle: Callable[[Job], Awaitable[None]], **what: str) -> bool:
        self._said, self._refused = None, False
        outcomes: list[str] = []
        worker = Worker(
            self._ctx,
            {wiring.TERMINAL: Handler(handle, self._dispatcher.give_up, 1)},
            lambda _, outcome: outcomes.append(outcome),
        )
        payload = {
            "user": self._me.user,
            "team": self._me.team,
            "channel": _NOWHERE,
            **what,
        }
        async with self._ctx.store.transaction() as tx:
            job = await tx.jobs.begin(wiring.TERMINAL, payload, worker.name, self._ctx.timing.lease)
        await self._unless_stopped(asyncio.create_task(worker.carry_out(job)))
        if outcomes != ["ok"]:
            self._screen.warn("Stopped. Nothing was changed.")
            self._refused = True
        elif isinstance(self._said, dict):
            self._print(self._said, well=not self._refused)
        return not self._refused

    async def _unless_stopped(self, task: asyncio.Task[None]) -> None:
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not task.done():
            task.cancel()
        await task

    def _count(self, _: str, outcome: str) -> None:
        self._refused = outcome != "ok"

    async def _hear(self, _tx: Transaction, _incoming: Incoming, said: Said) -> None:
        self._said = said

    def _print(self, shown: Message, *, well: bool = True) -> None:
        text = render(shown, bold=self._screen.bold)
        (self._screen.tell if well else self._screen.warn)(text)

    async def _list_what_is_missing(self, text: str) -> None:
        listing = listing_for(text)
        if not listing or self._stop.is_set():
            return
        screen, said = self._screen, self._said
        # Where not even this can be listed, the first refusal has said enough.
        self._screen = dataclasses.replace(screen, warn=lambda _: None)
        try:
            await self._command(listing)
        finally:
            self._screen, self._said = screen, said

    async def _begun(self, text: str) -> Request | None:
        """The request that an `approve` speaks of, where it has all it needs.

        It need not have got it by this very command: so one can be taken up again here that
        another process had to leave.
        """
        try:
            command = parse(text)
        except CommandError:
            return None
        if command.verb != "approve" or command.request is None:
            return None
        with contextlib.suppress(KeyError):
            request = await self._get(command.request)
            if request.state in {State.APPROVED, State.RUNNING}:
                return request
        return None

    async def _get(self, number: int) -> Request:
        async with self._ctx.store.reading() as tx:
            return await tx.requests.get(number)

    async def _asked(self, made: Request) -> int:
        """A request was made: show it, and have it confirmed where that is for us to do."""
        self._print(request_message(made))
        if made.state is not State.PENDING:
            return await self._carry_out(made)
        approve = f'registry-bot run "approve {made.name}"'
        if made.approval != "confirm":
            self._screen.tell(f"{made.name} waits for its approval, in Slack or by {approve}.")
            return DONE
        answer = await self._screen.ask("Confirm?", self._stop)
        if answer:
            if not await self._command(f"approve {made.name}"):
                return REFUSED
            return await self._carry_out(made)
        if answer is None:
            self._screen.warn("Nobody can be asked to confirm it here; --yes confirms beforehand.")
        self._stop.clear()  # Ctrl-C was an answer: no
        await self._command(f"cancel {made.name}")
        return REFUSED

    async def _previewed(self, made: Preview) -> int:
        """A cleanup was looked at: show what was found, and ask whether it is to be asked for."""
        self._print(preview_message(made))
        if made.state is not PreviewState.READY:
            return DONE
        answer = await self._screen.ask("Request it?", self._stop)
        if answer is None:
            self._screen.tell("Nobody can be asked here; --yes requests it as well.")
        if not answer:
            return DONE
        click = {"action": "cleanup_request", "value": made.token}
        if not await self._dispatch(self._dispatcher.click, **click):
            return REFUSED
        return await self._asked(self._said) if isinstance(self._said, Request) else REFUSED

    async def _carry_out(self, request: Request) -> int:
        """See an approved request through, by our own hands unless another process has it."""
        worker = Worker(self._ctx, wiring.handlers(self._ctx, self._dispatcher), request=request.id)
        async with _working(worker):
            request = await self._watch(request)
            if request.state.is_open:
                self._screen.warn(f"Stopping: {request.name} is handed over.")
        request = await self._get(request.id)
        if request.state.is_open:
            self._screen.warn(
                f"{stands(request)}. It goes on when `registry-bot serve` runs, or here with "
                f'registry-bot run "approve {request.name}".'
            )
            return REFUSED
        well = request.state in _WELL
        self._print(request_message(request), well=well)
        return DONE if well else REFUSED

    async def _watch(self, request: Request) -> Request:
        """Print how it goes until it has ended, or somebody has had enough."""
        printed = ""
        while request.state.is_open and not self._stop.is_set():
            async with self._ctx.store.reading() as tx:
                request = await tx.requests.get(request.id)
                busy = await tx.jobs.running_exclusive(request.registry)
            before = busy[1] if busy and busy[1] != request.id else None
            line = progress(request, before)
            if line != printed and request.state.is_open:
                self._screen.tell(line)
                printed = line
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _LOOK)
        return request


@contextlib.asynccontextmanager
async def _working(worker: Worker) -> AsyncIterator[None]:
    """A worker that is stopped at the end, and has handed over or finished what it had."""
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await task
