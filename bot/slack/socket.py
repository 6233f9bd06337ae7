"""The Socket Mode connection, with a start that ends and a stop that is clean."""

import asyncio

from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp


class Connection:
    """One connection to Slack.

    Parameters
    ----------
    app : its listeners get what arrives.
    token : the app-level token, `xapp-…`.
    """

    def __init__(self, app: AsyncApp, token: str) -> None:
        self._handler = AsyncSocketModeHandler(app, token)

    async def open(self, timeout: float) -> None:
        """Connect; raises TimeoutError after `timeout` seconds (Bolt itself never gives up)."""
        async with asyncio.timeout(timeout):
            await self._handler.connect_async()  # type: ignore[no-untyped-call]

    async def is_open(self) -> bool:
        """Whether the client believes that it is connected."""
        return bool(await self._handler.client.is_connected())

    async def close(self) -> None:
        """Take nothing more from Slack."""
        await self._handler.close_async()  # type: ignore[no-untyped-call]
