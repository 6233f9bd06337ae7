"""Locks: lock, unlock, locks."""

from collections.abc import Mapping

from bot.operations import locking
from bot.rules.approval import Draft, Request
from bot.slack.commands import parse_duration
from bot.slack.handlers.base import Handlers, Typed, Verb, Work
from bot.slack.views import locks as view
from bot.slack.views.blocks import Message
from bot.store.store import Transaction


class Locking(Handlers):
    """Requests for locks, and the list of them."""

    @property
    def verbs(self) -> Mapping[str, Verb]:
        """What they are typed as."""
        return {"lock": self._lock, "unlock": self._unlock, "locks": self._locks}

    async def _lock(self, typed: Typed) -> Work:
        given = typed.command.flags.get("for")
        made = await locking.request_lock(
            self._ctx,
            typed.asked,
            self._registry(typed),
            _repository(typed),
            None if given is None else parse_duration(str(given)),
        )
        return _submitting(made)

    async def _unlock(self, typed: Typed) -> Work:
        return _submitting(
            await locking.request_unlock(
                self._ctx, typed.asked, self._registry(typed), _repository(typed)
            )
        )

    async def _locks(self, typed: Typed) -> Work:
        one = [self._registry(typed).name] if typed.command.registry else None
        registries = one or self._served(typed.asked)

        async def work(tx: Transaction) -> Message:
            return view.locks(await tx.locks.active_on(registries), registries, typed.text)

        return work


def _repository(typed: Typed) -> str:
    """The repository that is meant; "" for all of them."""
    references = typed.command.references
    return references[0].repository if references else ""


def _submitting(made: Draft) -> Work:
    async def work(tx: Transaction) -> Request:
        return await locking.submit(tx, made)

    return work
