"""Keeps other web sites away from the page: only this page's own requests reach the workspace."""

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def refusal(request: web.Request) -> str:
    """Why a request is not answered; "" where it is the page's own.

    A foreign name that points to 127.0.0.1 shows in `Host`, another site's script in `Origin` or
    `Sec-Fetch-Site`. The page may be reached through a forwarded port, so any port is good as
    long as `Origin` and `Host` agree.
    """
    host = request.headers.get("Host", "")
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        name = ""
    if not is_loopback(name):
        return "This page answers only under the address of this machine, such as 127.0.0.1."
    origin = request.headers.get("Origin")
    if origin is not None and origin not in {f"http://{host}", f"https://{host}"}:
        return "Another web site cannot use this page."
    fetched = request.headers.get("Sec-Fetch-Site", "none")
    if request.path.startswith("/api/") and fetched not in {"same-origin", "none"}:
        return "Another web site cannot use this page."
    # Forms of other sites can send text and form fields without asking first, but never JSON.
    if request.method == "POST" and request.content_type != "application/json":
        return "Send JSON with Content-Type: application/json."
    return ""


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what is not the page's own, and forbid the browser to load anything from elsewhere."""
    if said := refusal(request):
        return web.json_response({"error": said}, status=403)
    return await handler(request)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:  # noqa: ARG001
    """Put the headers on every answer, also on streams and errors."""
    response.headers.update(_HEADERS)
