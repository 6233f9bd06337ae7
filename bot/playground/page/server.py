"""Serves the page and its API on the loopback interface."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from bot.playground.model import PlaygroundError
from bot.playground.page.api import Api, errors
from bot.playground.page.guard import add_headers, guard, is_loopback
from bot.playground.page.traffic import Recorder
from bot.playground.workspace import Workspace

_STATIC = Path(__file__).with_name("static")
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


class Page:
    """The workspace in a browser. Make one with `await Page.start(workspace)`."""

    def __init__(
        self,
        workspace: Workspace,
        commands: Sequence[tuple[str, str]] = (),
        roles: Mapping[str, str] | None = None,
    ) -> None:
        self._workspace = workspace
        self._recorder = Recorder(workspace.line, workspace)
        self._api = Api(workspace, self._recorder, commands, roles or {})
        self._runner: web.AppRunner | None = None
        self._host = ""
        self._port = 0

    @classmethod
    async def start(
        cls,
        workspace: Workspace,
        port: int = 0,
        host: str = "127.0.0.1",
        commands: Sequence[tuple[str, str]] = (),
        roles: Mapping[str, str] | None = None,
    ) -> Self:
        """Serve the page until `stop()`. Stop it before the workspace.

        Parameters
        ----------
        port : 0 takes a free one.
        host : a loopback address, as anybody who reaches the page acts as everybody in it.
        commands : usage (`/registry tags REPO`) and summary of each verb, for the composer.
        roles : by user id, what somebody is in this team ("on call"), shown beside the name.

        Raises
        ------
        PlaygroundError : `host` is not a loopback address.
        OSError : the port is taken.
        """
        if not is_loopback(host):
            raise PlaygroundError(f"the page is only for this machine, not for {host}")
        page = cls(workspace, commands, roles)
        await page._serve(host, port)
        return page

    async def _serve(self, host: str, port: int) -> None:
        app = web.Application(middlewares=[guard, errors], client_max_size=256 * 1024)
        app.on_response_prepare.append(add_headers)
        app.add_routes(
            [
                web.get("/", _index),
                web.get("/static/{name}", _static),
                *self._api.routes(),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._host, self._port = host, self._runner.addresses[0][1]
        self._workspace.line = self._recorder

    @property
    def url(self) -> str:
        """The address for the browser."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/"

    async def stop(self) -> None:
        """Let the browsers go and free the port. A second call does nothing."""
        if self._runner is None:
            return
        if self._workspace.line is self._recorder:
            self._workspace.line = self._recorder.line
        self._api.close()
        await self._runner.cleanup()
        self._runner = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()


async def _index(request: web.Request) -> web.Response:  # noqa: ARG001
    return _served("index.html")


async def _static(request: web.Request) -> web.Response:
    return _served(request.match_info["name"])


def _served(name: str) -> web.Response:
    path = _STATIC / name
    kind = _TYPES.get(path.suffix)
    # Compared with what is there, so that no name leads out of the folder.
    if kind is None or path not in set(_STATIC.iterdir()):
        raise web.HTTPNotFound(text="There is nothing here.")
    return web.Response(body=path.read_bytes(), content_type=kind, charset="utf-8")
