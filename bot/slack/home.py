"""Publishes home tabs: each for one person, when they open it or press Refresh."""

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.operations.context import Context
from bot.operations.errors import Refusal
from bot.operations.overview import overview
from bot.operations.worker import TryLater
from bot.slack.delivery import retry_after
from bot.slack.people import People, Where
from bot.slack.views import home as view
from bot.store.jobs import Job

log = structlog.get_logger()

_AGAIN = 2.0
_LATEST = 60.0  # nobody looks at a tab any more that long after they opened it


class Home:
    """The home tabs.

    Parameters
    ----------
    ctx : the rooms.
    client : with the bot's token.
    people : says who somebody is, and where they are a member.
    """

    def __init__(self, ctx: Context, client: AsyncWebClient, people: People) -> None:
        self._ctx = ctx
        self._client = client
        self._people = people

    async def run(self, job: Job) -> None:
        """Draw one person's tab anew.

        Raises
        ------
        TryLater : Slack has no time at the moment.
        """
        where = Where(str(job.payload.get("user", "")), str(job.payload.get("team", "")), "")
        async with self._ctx.store.reading() as tx:
            now = await tx.now()
        try:
            actor = await self._people.member(where)
            channels = await self._people.channels_of(where.user)
            shown = view.home(await overview(self._ctx, actor, channels), now)
        except Refusal as refusal:
            shown = view.refused(refusal.sentence, refusal.hint)
        try:
            await self._client.views_publish(user_id=where.user, view=shown)
        except SlackApiError as error:
            if getattr(error.response, "status_code", 200) == 200:
                log.warning("Slack refused a home tab", error=str(error.response.data)[:500])
            elif now - job.created_at < _LATEST:
                raise TryLater(retry_after(error) or _AGAIN) from error

    async def give_up(self, job: Job, why: str) -> None:
        """Nobody waits for it: they open the tab again."""
        log.warning("a home tab was not published", job=job.id, why=why)
