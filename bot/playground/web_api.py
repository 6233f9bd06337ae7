"""The Web API over HTTP: reads a call, lets faults, tokens and limits speak, answers, records."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from bot.playground.arguments import Arguments, read
from bot.playground.faults import Fault, Faults
from bot.playground.files import Files
from bot.playground.limits import Limits
from bot.playground.model import ApiCall, SlackError
from bot.playground.responses import Responses
from bot.playground.state import State
from bot.playground.tokens import Tokens

Method = Callable[[Arguments], Mapping[str, Any]]

HOOK = "response_url"
_SCOPES = "commands,chat:write,files:write,users:read,usergroups:read,channels:read,groups:read"


class WebApi:
    """Routes under `/api/`, the upload address, and the response_urls.

    Parameters
    ----------
    methods : by the name of the Web API method.
    log : gets every call.
    """

    def __init__(
        self,
        state: State,
        tokens: Tokens,
        limits: Limits,
        faults: Faults,
        methods: Mapping[str, Method],
        files: Files,
        responses: Responses,
        log: list[ApiCall],
    ) -> None:
        self._state = state
        self._tokens = tokens
        self._limits = limits
        self._faults = faults
        self._methods = methods
        self._files = files
        self._responses = responses
        self._log = log

    def routes(self) -> list[web.RouteDef]:
        """What the server serves."""
        return [
            web.route("*", "/api/{method}", self._call),
            web.post("/hooks/{key}", self._hook),
            web.post("/upload/v1/{key}", self._upload),
        ]

    async def _call(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        try:
            arguments = await read(request)
        except SlackError as error:
            return self._answer(method, {}, error.status, error.body())
        return await self._run(request, method, arguments, self._method)

    def _method(self, request: web.Request, method: str, arguments: Arguments) -> Any:
        if method not in self._methods:
            raise SlackError("unknown_method")
        self._tokens.check(method, request.headers, arguments)
        self._limits.take(method, str(arguments.get("channel") or ""))
        return {"ok": True, **self._methods[method](arguments)}

    async def _hook(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await read(request)
        except SlackError as error:
            return self._answer(HOOK, {}, 400, error.body())
        return await self._run(request, HOOK, body, self._respond)

    def _respond(self, request: web.Request, method: str, arguments: Arguments) -> Any:  # noqa: ARG002
        self._responses.post(request.match_info["key"], arguments)
        return {"ok": True}

    async def _run(
        self,
        request: web.Request,
        method: str,
        arguments: Arguments,
        run: Callable[[web.Request, str, Arguments], Any],
    ) -> web.StreamResponse:
        await self._faults.wait(method)
        fault = self._faults.take_failure(method, arguments)
        if fault and not fault.after:
            return self._fail(request, method, arguments, fault)
        try:
            answer = run(request, method, arguments)
        except SlackError as error:
            return self._answer(method, arguments, error.status, error.body(), error.retry_after)
        if fault:
            return self._fail(request, method, arguments, fault)
        return self._answer(method, arguments, 200, answer)

    def _fail(
        self, request: web.Request, method: str, arguments: Arguments, fault: Fault
    ) -> web.StreamResponse:
        if fault.status == 0 and request.transport is not None:
            request.transport.abort()
        body = {"ok": False, "error": fault.error}
        return self._answer(method, arguments, fault.status, body, fault.retry_after)

    def _answer(
        self,
        method: str,
        arguments: Arguments,
        status: int,
        body: Mapping[str, Any],
        retry_after: int = 0,
    ) -> web.Response:
        shown = {k: v for k, v in arguments.items() if k != "token"}
        now = self._state.clock.now()
        self._log.append(ApiCall(method, copy.deepcopy(shown), status, body, now))
        self._state.changes.tell()
        headers = {"Retry-After": str(retry_after)} if status == 429 else {}
        if method == HOOK and body.get("ok"):
            return web.Response(text="ok", headers=headers)
        headers |= {"X-OAuth-Scopes": _SCOPES}
        return web.json_response(dict(body), status=status or 500, headers=headers)

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        """The bytes of a file, as the whole body or as a form field."""
        if request.content_type == "multipart/form-data":
            field = (await request.post()).get("file")
            content = field.file.read() if isinstance(field, web.FileField) else b""
        else:
            content = await request.read()
        status, text = self._files.receive(request.match_info["key"], content)
        return web.Response(status=status, text=text)
