"""A bare Bolt app that echoes: what Bolt and Slack's SDK cost by themselves.

    python -m bench.echo MODE API_URL READY_FILE      MODE: socket | http

Tokens come from the environment, as the bot's do. READY_FILE gets the address it listens on in
HTTP mode, or `socket`.
"""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

from aiohttp import web
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient


async def _echo(ack: Any, body: Any) -> None:
    await ack(text=str(body.get("text") or "pressed"))


async def _pressed(ack: Any) -> None:
    await ack()


async def main(mode: str, api_url: str, ready: Path) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    client = AsyncWebClient(os.environ["SLACK_BOT_TOKEN"], base_url=api_url)
    app = AsyncApp(client=client, signing_secret=os.environ["SLACK_SIGNING_SECRET"])
    everything = re.compile(r"[\s\S]*")
    app.command(everything)(_echo)
    app.action(everything)(_pressed)
    if mode == "socket":
        handler = AsyncSocketModeHandler(app, os.environ["SLACK_APP_TOKEN"])
        await handler.connect_async()
        ready.write_text("socket", encoding="utf-8")
        await stop.wait()
        await handler.close_async()
        return
    runner = web.AppRunner(app.web_app("/slack/events"), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    ready.write_text(f"{host}:{port}", encoding="utf-8")
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
