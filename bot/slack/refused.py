"""What was refused to whom, for the audit trail: about which request, or which images."""

import re
from typing import Any

from bot.operations.context import Context
from bot.operations.errors import Refusal
from bot.rules.approval import Request
from bot.slack.answering import Incoming
from bot.slack.commands import Command, CommandError, parse
from bot.store.store import Transaction

_MOST = 50  # images or digests named in one line: somebody may press a button a thousand times
_BY_NAME = re.compile(r"R([0-9]{1,9})")


async def record(
    ctx: Context, tx: Transaction, incoming: Incoming, what: str, refusal: Refusal
) -> None:
    """Write down a refusal, with all that is known of what it was about."""
    request = await _request(tx, incoming, refusal)
    where = incoming.where
    told: dict[str, Any] = {
        "what": what,
        "why": refusal.sentence[:500],
        "input": incoming.text[:500],
    }
    if request is not None:
        if len(request.items) > 1:
            digests = list(dict.fromkeys(item.digest for item in request.items))
            told["digests"] = digests[:_MOST]
        await tx.audit.about(
            request,
            "refused",
            actor=where.user,
            team=where.team,
            channel=where.channel,
            rule=refusal.rule,
            detail=told,
        )
        return
    command = _command(incoming.text)
    images = command.references if command else ()
    first = images[0] if images else None
    if len(images) > 1:
        told["images"] = [str(image) for image in images[:_MOST]]
    await tx.audit.append(
        "refused",
        actor=where.user,
        team=where.team,
        channel=where.channel,
        registry=_registry(ctx, where.channel, command),
        repository=first.repository if first else "",
        tag=(first.tag or "") if first else "",
        digest=(first.digest or "") if first else "",
        rule=refusal.rule,
        detail=told,
    )


async def _request(tx: Transaction, incoming: Incoming, refusal: Refusal) -> Request | None:
    """The request that was refused something, also where the person was refused before it."""
    number, value = refusal.request_id or incoming.number, str(incoming.body.get("value") or "")
    if number is None:
        by_name = _BY_NAME.fullmatch(value)
        if not by_name:
            return await tx.requests.by_token(value)
        number = int(by_name[1])
    try:
        return await tx.requests.get(number)
    except KeyError:
        return None


def _command(text: str) -> Command | None:
    try:
        return parse(text) if text else None
    except CommandError:
        return None


def _registry(ctx: Context, channel: str, command: Command | None) -> str:
    """The registry that a command was about, where the channel leaves no doubt."""
    listed = ctx.policy.channel(channel)
    served = listed.registries if listed else ()
    if command is not None and command.registry in served:
        return str(command.registry)
    return served[0] if len(served) == 1 and command is not None and not command.registry else ""
