"""Finds who handles a verb or a button. Reading happens first, writing in one transaction."""

from collections.abc import Mapping
from typing import Any

from bot.operations.context import Asked, Context
from bot.operations.errors import Refusal
from bot.slack.commands import Command
from bot.slack.handlers.asking import Asking
from bot.slack.handlers.auditing import Auditing
from bot.slack.handlers.base import Click, Clicked, Typed, Verb, Work
from bot.slack.handlers.cleaning import Cleaning
from bot.slack.handlers.deciding import Deciding
from bot.slack.handlers.emptying import Emptying
from bot.slack.handlers.examining import Examining
from bot.slack.handlers.forms import Forms
from bot.slack.handlers.locking import Locking
from bot.slack.handlers.reading import Reading
from bot.slack.handlers.sharing import Sharing
from bot.slack.handlers.signatures import Signatures

__all__ = ["VerbRunner", "Work"]


class VerbRunner:
    """Turns a command or a click into the work that stores its effect.

    Everything slow (the registry, a dry run) happens in `prepare`; the work it returns runs
    inside one transaction and only touches the store.
    """

    def __init__(self, ctx: Context) -> None:
        reading = Reading(ctx, {**Examining(ctx).shown, **Auditing(ctx).shown})
        cleaning, deciding = Cleaning(ctx), Deciding(ctx)
        asking = Asking(ctx, cleaning)
        self._verbs: dict[str, Verb] = {
            **reading.verbs,
            **asking.verbs,
            **cleaning.verbs,
            **deciding.verbs,
            **Locking(ctx).verbs,
        }
        self._clicks: dict[str, Click] = {
            "share": Sharing(ctx, self._verbs).share,
            **asking.clicks,
            **Emptying(ctx).clicks,
            **Signatures(ctx).clicks,
            **cleaning.clicks,
            **deciding.clicks,
            **Forms(ctx).clicks,
        }
        # Several of one kind in a message need different names: their beginning counts.
        self._prefixes: dict[str, Click] = {"purge_now_": asking.purge_listed}

    async def prepare(
        self, command: Command, asked: Asked, text: str, name: str, agreed: str | None = None
    ) -> Work:
        """The work of a typed command; for `agreed` see :class:`Typed`.

        Raises
        ------
        Refusal, RegistryError, GcError : it cannot be done; nothing was changed.
        """
        handle = self._verbs.get(command.verb)
        if handle is None:
            raise Refusal(f"{command.verb} is not here yet.", "`/registry help` lists what is.")
        return await handle(Typed(command, asked, text.strip(), name, agreed))

    async def prepare_click(
        self, action: str, body: Mapping[str, Any], asked: Asked, name: str
    ) -> Work:
        """The work of a pressed button.

        Raises
        ------
        Refusal, RegistryError, GcError : it cannot be done; nothing was changed.
        """
        handle = self._clicks.get(action)
        for prefix, by_prefix in self._prefixes.items():
            if action.startswith(prefix):
                handle = by_prefix
        if handle is None:
            raise Refusal("This button does nothing any more.", "Type `/registry help`.")
        return await handle(Clicked(action, body, asked, name))
