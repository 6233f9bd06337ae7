"""Whether this process can serve, and whether it is worth keeping: said as it is, when asked.

Readiness is about serving now; a process that is not ready goes on and mends itself. Liveness is
about what only a new process mends: so it does not depend on Slack, on a registry, nor on a store
that says that it is away.
"""

import asyncio

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.metrics import Metrics
from bot.operations.context import Context
from bot.operations.worker import Worker
from bot.slack.delivery import code_of
from bot.slack.notifier import Notifier
from bot.slack.socket import Connection
from bot.slack.wire import FATAL

log = structlog.get_logger()

_STORE_SECONDS = 2.0
_SLACK_SECONDS = 10.0


class Health:
    """What is so at this moment.

    Parameters
    ----------
    worker, notifier : the loops that are watched.
    connection : None in HTTP mode.
    client : with the bot's token.
    still : seconds after which a loop that does not turn is given up.
    overdue : seconds after which a message that nobody takes is a trouble.
    asks : seconds between questions to Slack whether it knows the token.
    """

    def __init__(
        self,
        ctx: Context,
        metrics: Metrics,
        worker: Worker,
        notifier: Notifier,
        connection: Connection | None,
        client: AsyncWebClient,
        *,
        still: float = 120.0,
        overdue: float = 60.0,
        asks: float = 60.0,
    ) -> None:
        self._ctx = ctx
        self._metrics = metrics
        self._connection = connection
        self._client = client
        self._worker = worker
        self._notifier = notifier
        self._still = still
        self._overdue = overdue
        self._asks = asks
        self._looking: asyncio.Task[float] | None = None
        self._slack = ""
        self.stopping = False

    def alive(self) -> str:
        """Why a new process is needed; "" if none is."""
        for name, loop in (("worker", self._worker), ("notifier", self._notifier)):
            if loop.still > self._still:
                return f"the {name} has stood still for {loop.still:.0f} seconds"
        return ""

    async def ready(self) -> str:
        """Why this process cannot serve now; "" if it can."""
        troubles = [
            "stopping" if self.stopping else "",
            self._connection.trouble if self._connection is not None else "",
            _refused(self._notifier.silence) if self._notifier.silence else self._slack,
            *await self._look(),
        ]
        return "; ".join(trouble for trouble in troubles if trouble)

    async def numbers(self) -> bytes:
        """The metrics, with the gauges as they are now."""
        away, _ = await self._look()
        if away:
            self._metrics.store_away()
        if self._connection is not None:
            self._metrics.socket(self._connection.is_open, self._connection.age)
        return self._metrics.render()

    async def watch(self) -> None:
        """Ask Slack now and then whether it still takes the token; never ends."""
        while True:
            self._slack = await self._ask()
            await asyncio.sleep(self._asks)

    async def _ask(self) -> str:
        try:
            async with asyncio.timeout(_SLACK_SECONDS):
                await self._client.auth_test()
        except SlackApiError as error:
            if (word := code_of(error)) in FATAL:
                log.error("Slack refuses the bot's token", error=word)
                return _refused(word)
            return f"Slack's Web API does not answer ({word or 'no words'})"
        except Exception as error:
            return f"Slack's Web API does not answer ({type(error).__name__})"
        return ""

    async def _look(self) -> tuple[str, str]:
        """Why the store cannot be used, and why what is in it does not leave; "" where it is well.

        A statement that has begun cannot be cut short, so nobody waits for it longer than this,
        and one that hangs is not joined by more.
        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._read())
        done, _ = await asyncio.wait([self._looking], timeout=_STORE_SECONDS)
        if not done:
            return f"the store does not answer within {_STORE_SECONDS:g} seconds", ""
        if (error := self._looking.exception()) is not None:
            return f"the store does not answer ({type(error).__name__})", ""
        overdue = self._looking.result()
        if overdue > self._overdue:
            return "", f"the outbox is stuck: a message has been due for {overdue:.0f} seconds"
        return "", ""

    async def _read(self) -> float:
        async with self._ctx.store.reading() as tx:
            queue, running = await tx.jobs.depth(), await tx.jobs.running()
            pending, oldest = await tx.outbox.pending()
            overdue = await tx.outbox.overdue()
        self._metrics.stored(queue, running, pending, oldest)
        return overdue


def _refused(word: str) -> str:
    return f"Slack refuses the bot's token ({word})"
