"""What Slack says before anything begins: whose tokens these are, and where the bot may post."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.settings import Settings

START_SECONDS = 10.0
"""How long Slack may take for each thing that is asked of it at the start."""


class CannotStart(Exception):
    """The bot refuses to start. `hint` says what to do."""

    def __init__(self, sentence: str, hint: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint


async def identify(client: AsyncWebClient, settings: Settings) -> Mapping[str, Any]:
    """Who the tokens belong to.

    Raises
    ------
    CannotStart : Slack refuses a token, or does not answer.
    """
    try:
        async with asyncio.timeout(START_SECONDS):
            answer = await client.auth_test()
            token = settings.slack.app_token
            if settings.slack.mode == "socket" and token is not None:
                # Bolt would retry a bad token for ever without a word.
                await client.apps_connections_open(app_token=token.get_secret_value())
    except SlackApiError as error:
        method = "SLACK_APP_TOKEN" if "apps.connections" in str(error) else "the Slack tokens"
        raise CannotStart(
            f"Slack refuses {method}: {error.response.get('error')}.",
            "Copy SLACK_BOT_TOKEN (xoxb-…) from OAuth & Permissions and SLACK_APP_TOKEN (xapp-…, "
            "scope connections:write) from Basic Information of your Slack app.",
        ) from error
    except (OSError, TimeoutError) as error:
        raise CannotStart(
            f"Slack does not answer at {urlsplit(settings.slack.api_url).netloc} "
            f"({type(error).__name__}).",
            "Check the network, a proxy, and SLACK_API_URL.",
        ) from error
    return answer.data if isinstance(answer.data, dict) else {}


async def why_not_in(client: AsyncWebClient, channel: str) -> str:
    """Why the bot cannot post in a channel; "" if it can, as far as Slack tells."""
    try:
        async with asyncio.timeout(START_SECONDS):
            answer = await client.conversations_info(channel=channel)
    except SlackApiError as error:
        return str(error.response.get("error", "error"))
    except (OSError, TimeoutError) as error:
        return type(error).__name__
    return "" if answer["channel"].get("is_member") else "not_in_channel"
