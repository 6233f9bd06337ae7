"""Listings, page by page."""

import json
import re

import httpx

from bot.registry.auth import origin
from bot.registry.errors import NotFound, ProtocolError
from bot.registry.failures import Answer, failure
from bot.registry.network import PROXY_HINT
from bot.registry.transport import Ask, Transport

_LIMIT = 32 * 1024 * 1024
_PAGE = 1000
_PAGES = 10_000
_LINK = re.compile(r"<([^>]*)>([^<]*)")
_REL_NEXT = re.compile(r"\brel\s*=\s*\"?next\b", re.IGNORECASE)


async def all_pages(transport: Transport, path: str, key: str, what: str) -> set[str]:
    """Every entry of a listing.

    Parameters
    ----------
    path : the listing's path, without a query.
    key : where in the answer the entries are; null there means none.
    what : the listing's name for people.

    Raises
    ------
    NotFound : there is no such repository.
    ProtocolError : an answer that is no listing, or a `Link` that leads to another host, back
        to a page that was read, or on without an end.
    """
    answer = await _page(transport, f"{path}?n={_PAGE}", what)
    if answer.status == 400 and "PAGINATION_NUMBER_INVALID" in answer.codes:
        # The registry's own ceiling is lower, and it does not say where: take its default.
        answer = await _page(transport, path, what)
    found = _entries(answer, key, what)
    seen = {str(answer.url)}
    while (link := _next(answer, what)) is not None:
        if str(link) in seen or len(seen) >= _PAGES:
            raise _endless(what)
        seen.add(str(link))
        answer = await _page(transport, str(link), what)
        entries = _entries(answer, key, what)
        if entries and entries <= found:
            raise _endless(what)
        found |= entries
    return found


async def _page(transport: Transport, path: str, what: str) -> Answer:
    return await transport.ask(Ask("GET", path, what, limit=_LIMIT))


def _entries(answer: Answer, key: str, what: str) -> set[str]:
    if answer.status == 404 and "NAME_UNKNOWN" in answer.codes:
        raise NotFound(f"There is no repository {what}.", "List the repositories to see its name.")
    if answer.status != 200:
        raise failure(answer, what)
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        value = None
    # Without the key it is an answer to another question, and says nothing of this one.
    if not isinstance(value, dict) or key not in value:
        raise _no_listing(what)
    entries = value[key]
    # Registries write null when every tag is gone, and past the last page.
    if entries is None:
        return set()
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise _no_listing(what)
    return set(entries)


def _next(answer: Answer, what: str) -> httpx.URL | None:
    """The next page's address, None on the last one."""
    for target, parameters in _LINK.findall(answer.headers.get("Link", "")):
        if not _REL_NEXT.search(parameters):
            continue
        try:
            url = answer.url.join(target)
        except httpx.InvalidURL:
            url = httpx.URL("")
        if origin(url) != origin(answer.url):
            raise ProtocolError(f"The next page of {what} is on another host.", PROXY_HINT)
        return url
    return None


def _endless(what: str) -> ProtocolError:
    return ProtocolError(
        f"The registry's list for {what} never ends.",
        "Look at the registry, and at any proxy or cache in front of it.",
    )


def _no_listing(what: str) -> ProtocolError:
    return ProtocolError(
        f"The registry's list for {what} cannot be read.",
        "Check that the registry's url leads to a registry.",
    )
