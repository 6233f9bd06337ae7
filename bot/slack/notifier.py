"""Delivers what the store says must be said: at least once, in order, inside Slack's rules.

A letter ends in one of three ways: it arrived; Slack does not take it, and what is said otherwise
(`bot.slack.letters`) is stored as it is closed; or it waits for another try. Nothing is dropped
because Slack, the network or the app's token is away.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.operations.context import Context
from bot.slack.delivery import (
    Later,
    Meaning,
    Refused,
    backoff,
    code_of,
    meaning,
    retry_after,
)
from bot.slack.letters.answers import Answers
from bot.slack.letters.base import Way
from bot.slack.letters.channels import Channels
from bot.slack.letters.previews import Previews
from bot.slack.letters.requests import Requests
from bot.slack.sending import Sender
from bot.slack.uploads import Uploads
from bot.store.outbox import (
    ANCHOR,
    ANNOUNCE,
    ANSWER,
    FILE,
    POST,
    PREVIEW,
    REQUEST,
    RETIRE,
    THREAD,
    Letter,
)

log = structlog.get_logger()

_IDLE = 1.0
_AT_ONCE = 8  # letters under way; those with the same key still go one after the other
_GIVE_UP = 7 * 86400.0
_TRIES = 20  # at least, before anything is given up because of its age
_ALONE = 3600.0  # for so long Slack may fail at one letter while it takes others
_JUST_NOW = 60.0
_REMEMBERED = 1000
_BROKEN = 8  # attempts at a letter that the bot itself cannot read
_LONGEST_SILENCE = 60.0


class Notifier:
    """The loop that empties the outbox.

    Parameters
    ----------
    ctx : where the outbox is.
    client : with the bot's token and no retry handlers: retrying is this loop's job.
    hooks : the beginning that a response_url must have.
    worker : the name of this process.
    count : told kind and outcome of every try, for the metrics.
    """

    def __init__(
        self,
        ctx: Context,
        client: AsyncWebClient,
        hooks: str,
        worker: str,
        count: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self._ctx = ctx
        self._worker = worker
        self._count = count
        sender = Sender(client)
        requests, channels = Requests(ctx, sender), Channels(ctx, sender)
        self._ways = {
            ANSWER: Answers(sender, self._http, hooks).answer,
            REQUEST: requests.message,
            THREAD: requests.thread,
            RETIRE: requests.correction,
            PREVIEW: Previews(ctx, sender).message,
            POST: channels.post,
            ANNOUNCE: channels.announcement,
            ANCHOR: channels.anchor,
            FILE: Uploads(ctx, client, sender).file,
        }
        self._stopping = asyncio.Event()
        self._turned = time.monotonic()
        self._session: aiohttp.ClientSession | None = None
        # By the loop's clock: when something arrived, and since when letters fail alone.
        self._arrived = 0.0
        self._failing: dict[int, float] = {}
        self._refusals = 0
        self._again = 0.0
        self.silence = ""
        """Why Slack takes nothing at all from this app, in its word; "" while it does."""

    @property
    def still(self) -> float:
        """Seconds since the loop last turned."""
        return time.monotonic() - self._turned

    def stop(self) -> None:
        """Deliver what is due, then end."""
        self._stopping.set()
        self._ctx.store.spoke.set()

    async def run(self) -> None:
        """Deliver until stopped."""
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=15), trust_env=True
        ) as session:
            self._session = session
            await self._loop()

    def _http(self) -> aiohttp.ClientSession:
        assert self._session is not None  # noqa: S101 - only used while running
        return self._session

    async def _loop(self) -> None:
        """Hand letters to tasks, a few at a time: one slow call must not hold up every answer."""
        sending: set[asyncio.Task[None]] = set()
        try:
            await self._hand_out(sending)
        finally:
            for task in list(sending):
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)

    async def _hand_out(self, sending: set[asyncio.Task[None]]) -> None:
        while True:
            self._turned = time.monotonic()
            self._ctx.store.spoke.clear()
            letter = None
            try:
                if len(sending) < self._most():
                    letter = await self._ctx.store.claim_letter(
                        self._worker, self._ctx.timing.letter
                    )
            except Exception:
                log.exception("the outbox cannot be read")
                await asyncio.sleep(_IDLE)
            if letter is not None:
                task = asyncio.create_task(self._send(letter))
                sending.add(task)
                task.add_done_callback(sending.discard)
                task.add_done_callback(lambda _: self._ctx.store.spoke.set())
            elif self._stopping.is_set() and not sending:
                return
            else:
                await self._wait()

    def _most(self) -> int:
        """How many letters may be under way: while Slack is silent one asks, now and then."""
        if not self.silence:
            return _AT_ONCE
        return 1 if asyncio.get_running_loop().time() >= self._again else 0

    async def _wait(self) -> None:
        delay = _IDLE
        with contextlib.suppress(Exception):
            async with self._ctx.store.reading() as tx:
                until = await tx.outbox.seconds_until_next()
            if not self.silence and until is not None:
                delay = min(_IDLE, max(until, 0.05))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ctx.store.spoke.wait(), delay)

    async def _send(self, letter: Letter) -> None:
        beat = asyncio.create_task(self._heartbeat(letter))
        try:
            await self._deliver(letter)
        except asyncio.CancelledError:
            # Nobody knows whether it arrived: whoever is next says it, perhaps once more.
            with contextlib.suppress(Exception):
                async with self._ctx.store.transaction() as tx:
                    await tx.outbox.release(letter)
            raise
        except Exception:
            log.exception("delivery failed", letter=letter.id, kind=letter.kind)
            # Where this fails as well its lease runs out, and it is tried again.
            with contextlib.suppress(Exception):
                await self._broken(letter)
        finally:
            beat.cancel()

    async def _heartbeat(self, letter: Letter) -> None:
        """Slack may take longer to answer than a letter is left to a process that is gone."""
        while True:
            await asyncio.sleep(self._ctx.timing.letter / 3)
            try:
                async with self._ctx.store.transaction() as tx:
                    await tx.outbox.renew(letter, self._ctx.timing.letter)
            except Exception:
                log.exception("a letter cannot be kept", letter=letter.id)

    async def _broken(self, letter: Letter) -> None:
        """The bot itself fails at it: after a few times it lets those behind it go on."""
        why = "an error of the bot's own"
        if letter.attempts < _BROKEN:
            async with self._ctx.store.transaction() as tx:
                await tx.outbox.later(letter, backoff(letter), why)
            return
        try:
            await self._refused(letter, self._ways.get(letter.kind), why)
        except Exception:
            log.exception("nothing can be said instead", letter=letter.id)
            await self._refused(letter, None, why)

    async def _deliver(self, letter: Letter) -> None:
        way = self._ways.get(letter.kind)
        if way is None:
            await self._later(letter, None, Later(backoff(letter), "of a newer version"))
            return
        try:
            ts = await way.deliver(letter)
        except Later as later:
            await self._later(letter, way, later)
        except Refused as refused:
            await self._refused(letter, way, refused.code)
        except SlackApiError as error:
            await self._answered(letter, way, error)
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            await self._failed(letter, way, type(error).__name__)
        else:
            self._spoken()
            self._failing.pop(letter.id, None)
            self._count(letter.kind, "sent")
            async with self._ctx.store.transaction() as tx:
                await tx.outbox.sent(letter, ts)

    async def _answered(self, letter: Letter, way: Way, error: SlackApiError) -> None:
        word = code_of(error) or str(getattr(error.response, "status_code", "no readable answer"))
        match meaning(error):
            case Meaning.TOKEN:
                await self._silent(letter, word)
            case Meaning.PASSING if wait := retry_after(error):
                await self._later(letter, way, Later(wait, word))
            case Meaning.PASSING:
                await self._failed(letter, way, word)
            case Meaning.REFUSED:
                self._spoken()
                await self._refused(letter, way, word)

    def _spoken(self) -> None:
        """Slack takes what this app says."""
        self._arrived = asyncio.get_running_loop().time()
        if self.silence:
            log.info("Slack takes messages again")
            self.silence = ""
            self._refusals = 0

    async def _silent(self, letter: Letter, word: str) -> None:
        """Nothing can be said until the operator has done something: all of it waits."""
        if self.silence != word:
            log.error("Slack refuses the bot's token: nothing can be said", error=word)
        self.silence = word
        pause = min(_LONGEST_SILENCE, 2.0**self._refusals)
        self._refusals = min(self._refusals + 1, 10)
        self._again = asyncio.get_running_loop().time() + pause
        self._count(letter.kind, "later")
        async with self._ctx.store.transaction() as tx:
            await tx.outbox.later(letter, pause, word)

    async def _failed(self, letter: Letter, way: Way, why: str) -> None:
        """Slack does not answer: it is away, or it stumbles over this one."""
        now = asyncio.get_running_loop().time()
        if not self._arrived or now - self._arrived > _JUST_NOW:
            self._failing.clear()
        elif len(self._failing) < _REMEMBERED:
            since = self._failing.setdefault(letter.id, now)
            if now - since > _ALONE:
                del self._failing[letter.id]
                await self._refused(letter, way, f"Slack takes others: {why}")
                return
        await self._later(letter, way, Later(backoff(letter), why))

    async def _later(self, letter: Letter, way: Way | None, later: Later) -> None:
        if letter.age > _GIVE_UP and letter.attempts >= _TRIES:
            await self._refused(letter, way, f"too old: {later.why}")
            return
        self._count(letter.kind, "later")
        async with self._ctx.store.transaction() as tx:
            await tx.outbox.later(letter, later.delay, later.why)

    async def _refused(self, letter: Letter, way: Way | None, error: str) -> None:
        """Close it, and say otherwise, in the same transaction, what it was to say."""
        async with self._ctx.store.transaction() as tx:
            instead = await way.refused(tx, letter, error) if way else ""
            await tx.outbox.failed(letter, error)
        self._count(letter.kind, "failed")
        log.warning(
            "Slack refused a message",
            letter=letter.id,
            kind=letter.kind,
            error=error,
            instead=instead,
        )
