"""Opens modals while their trigger lives: empty, because what they show takes longer than that."""

import asyncio
import hashlib
from collections.abc import Mapping

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.commands import is_bare
from bot.slack.payloads import Row
from bot.slack.views import modals
from bot.slack.views.modals import View

log = structlog.get_logger()

FORM = "form"

_SECONDS = 2.0
_TITLES = {"details": "Details", "deny": "Deny", FORM: "Registry"}


def title_for(row: Row) -> str:
    """The title of the modal that answers this command or click; "" where none does."""
    if "view" in row:
        return ""  # It came out of a modal, which shows the answer.
    if "text" in row:
        return _TITLES[FORM] if is_bare(str(row["text"])) else ""
    return _TITLES.get(str(row.get("action", "")), "")


class Opener:
    """Opens and replaces modals from within listeners.

    Parameters
    ----------
    client : with the bot's token.
    """

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client

    async def open(self, trigger: str, title: str) -> Mapping[str, str]:
        """Open a modal that says Loading…; how to find it, or nothing where it is not open.

        Where nobody knows whether it is open, it is named: whoever fills it finds out.
        """
        named = {"external_id": f"registry-{hashlib.sha256(trigger.encode()).hexdigest()[:40]}"}
        try:
            async with asyncio.timeout(_SECONDS):
                answer = await self._client.views_open(
                    trigger_id=trigger, view={**modals.loading(title), **named}
                )
        except SlackApiError as error:
            # The same click, delivered twice: the other one has opened it, under the same name.
            if error.response.get("error") == "exchanged_trigger_id":
                return named
            log.warning("a modal was not opened", error=error.response.get("error"))
            return {}
        except Exception as error:
            log.warning("nobody knows whether a modal is open", error=type(error).__name__)
            return named
        return {"view_id": str(answer["view"]["id"])}

    async def replace(self, where: Mapping[str, str], view: View) -> bool:
        """Show something else in it; whether that worked."""
        try:
            async with asyncio.timeout(_SECONDS):
                await self._client.views_update(**where, view=view)
        except Exception as error:
            log.warning("a modal was not updated", error=type(error).__name__)
            return False
        return True
