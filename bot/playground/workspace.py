"""A local Slack workspace that the unmodified Slack SDK and Bolt talk to."""

from types import TracebackType
from typing import Literal, Self

from aiohttp import web

from bot.playground.chat import Chat
from bot.playground.choosing import Choosing
from bot.playground.directory import Directory
from bot.playground.faults import Faults
from bot.playground.files import Files
from bot.playground.http_events import HttpEvents
from bot.playground.limits import Limits
from bot.playground.modals import Modals
from bot.playground.model import ApiCall, PlaygroundError
from bot.playground.payloads import Payloads
from bot.playground.responses import Responses
from bot.playground.sockets import Sockets
from bot.playground.state import State
from bot.playground.tokens import Hooks, Tickets, Tokens, Triggers
from bot.playground.web_api import Method, WebApi

_LARGEST_UPLOAD = 64 * 1024 * 1024


class Workspace(Choosing):
    """A workspace with one installed app. Make one with `await Workspace.start()`.

    Give the app `api_url`, `bot_token`, and `app_token` or `signing_secret`; put people and
    channels in; then let people type and click, and look at what the app says.

    `limits`, `faults`, `triggers.life`, `hooks.life`, `hooks.uses`, and `ack_window` may be
    changed at any time. `log` has every call of the Web API and every use of a response_url.
    """

    def __init__(self, mode: Literal["socket", "http"], events_url: str | None = None) -> None:
        self.state = State()
        self.log: list[ApiCall] = []
        self.faults = Faults()
        self.limits = Limits(self.state.clock)
        self.triggers = Triggers(self.state.clock)
        self.hooks = Hooks(self.state.clock)
        self._tokens = Tokens()
        self.modals = Modals(self.state, self.triggers, self.faults)
        self.payloads = Payloads(self.state, self._tokens.verification)
        self.responses = Responses(self.state, self.hooks, self.faults)
        self.sockets = Sockets(self.state, Tickets(self.state.clock))
        self.http = HttpEvents(self._tokens.signing_secret, events_url)
        self.line = self.sockets if mode == "socket" else self.http
        self.faults.drop = self.sockets.drop
        self._files = Files(self.state)
        self._runner: web.AppRunner | None = None
        self._port = 0

    @classmethod
    async def start(
        cls,
        mode: Literal["socket", "http"] = "socket",
        events_url: str | None = None,
        port: int = 0,
    ) -> Self:
        """Start a workspace on the loopback interface.

        Parameters
        ----------
        mode : how commands and clicks reach the app.
        events_url : the app's request URL for http; it may also be set later.
        port : 0 takes a free one.

        Raises
        ------
        OSError : the port is taken.
        """
        if mode not in {"socket", "http"}:
            raise PlaygroundError(f"mode is socket or http, not {mode!r}")
        workspace = cls(mode, events_url)
        await workspace._serve(port)
        return workspace

    async def _serve(self, port: int) -> None:
        app = web.Application(client_max_size=_LARGEST_UPLOAD)
        api = WebApi(
            self.state,
            self._tokens,
            self.limits,
            self.faults,
            self._methods(),
            self._files,
            self.responses,
            self.log,
        )
        app.add_routes([*api.routes(), web.get("/link/", self.sockets.handle)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        try:
            await site.start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._port = self._runner.addresses[0][1]
        self.hooks.base = f"{self._origin}/hooks/"
        self._files.base = f"{self._origin}/upload/v1/"
        self.sockets.base = f"ws://127.0.0.1:{self._port}/link/"

    def _methods(self) -> dict[str, Method]:
        chat, directory = Chat(self.state, self.faults), Directory(self.state)
        return {
            "api.test": directory.api_test,
            "auth.test": directory.auth_test,
            "apps.connections.open": self.sockets.open,
            "chat.postMessage": chat.post,
            "chat.postEphemeral": chat.post_ephemeral,
            "chat.update": chat.update,
            "chat.delete": chat.delete,
            "users.info": directory.user,
            "users.list": directory.users,
            "users.conversations": directory.conversations_of,
            "conversations.info": directory.conversation,
            "conversations.members": directory.members,
            "conversations.list": directory.conversations,
            "usergroups.users.list": directory.usergroup,
            "views.open": self.modals.open,
            "views.push": self.modals.push,
            "views.update": self.modals.update,
            "views.publish": self.modals.publish,
            "files.getUploadURLExternal": self._files.get_url,
            "files.completeUploadExternal": self._files.complete,
        }

    @property
    def _origin(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def api_url(self) -> str:
        """What `AsyncWebClient(base_url=…)` takes."""
        return f"{self._origin}/api/"

    @property
    def hooks_url(self) -> str:
        """How every response_url begins."""
        return self.hooks.base

    @property
    def bot_token(self) -> str:
        """The token of the bot user (`xoxb-…`)."""
        return self._tokens.bot

    @property
    def app_token(self) -> str:
        """The token for Socket Mode (`xapp-…`)."""
        return self._tokens.app

    @property
    def signing_secret(self) -> str:
        """What requests in http mode are signed with."""
        return self._tokens.signing_secret

    @property
    def team_id(self) -> str:
        """The workspace's id."""
        return self.state.identity.team_id

    @property
    def bot_user_id(self) -> str:
        """The user id of the bot."""
        return self.state.identity.bot_user_id

    @property
    def events_url(self) -> str | None:
        """Where http mode sends to."""
        return self.http.events_url

    @events_url.setter
    def events_url(self, url: str | None) -> None:
        self.http.events_url = url

    @property
    def ack_window(self) -> float:
        """Seconds in which the app must ack; 3 as in Slack."""
        return self.line.ack_window

    @ack_window.setter
    def ack_window(self, seconds: float) -> None:
        self.line.ack_window = seconds

    @property
    def connections(self) -> int:
        """How many Socket Mode connections take envelopes."""
        return self.sockets.count

    def calls(self, method: str) -> list[ApiCall]:
        """The calls of one method (or `response_url`), oldest first."""
        return [call for call in self.log if call.method == method]

    def advance(self, seconds: float) -> None:
        """Let time pass at once for triggers, response_urls, tickets and rate limits."""
        self.state.clock.advance(seconds)

    async def refresh_sockets(self, reason: str = "refresh_requested") -> None:
        """Ask every connection to come again; `reason` may also be `warning`."""
        await self.sockets.refresh(reason)

    async def wait_for_connections(self, count: int = 1, timeout: float = 10) -> None:
        """Wait until exactly `count` connections take envelopes.

        Raises
        ------
        TimeoutError : it did not come to that in `timeout` seconds.
        """
        await self.wait_for(lambda: self.connections == count, timeout)

    async def stop(self) -> None:
        """Say goodbye to every connection and free the port. A second call does nothing."""
        self.faults.clear()
        await self.sockets.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await self.http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()
