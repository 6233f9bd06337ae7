"""Verbs and buttons that decide on a request, and the look at its whole plan."""

from collections.abc import Mapping

from bot.operations import approvals
from bot.operations.context import Context
from bot.rules.approval import Request, State
from bot.slack.handlers.base import Click, Clicked, Handlers, Said, Typed, Verb, Work
from bot.slack.payloads import SENT
from bot.slack.views import details, modals, notices
from bot.slack.views.blocks import Message
from bot.slack.views.modals import Modal
from bot.store.store import Transaction


class Deciding(Handlers):
    """Decisions."""

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx)
        self._decisions = {
            "approve": approvals.approve,
            "confirm": approvals.approve,
            "deny": approvals.deny,
            "cancel": approvals.cancel,
            "abort": approvals.abort,
        }

    @property
    def verbs(self) -> Mapping[str, Verb]:
        """What they are typed as."""
        return dict.fromkeys(("approve", "deny", "cancel"), self._typed)

    @property
    def clicks(self) -> Mapping[str, Click]:
        """What they are pressed as."""
        return {
            **dict.fromkeys(self._decisions, self._pressed),
            "deny": self._ask_why,
            "deny_sent": self._pressed,
            "details": self._details,
        }

    async def _typed(self, typed: Typed) -> Work:
        async def work(tx: Transaction) -> Message:
            request = await self._request(tx, typed.command.request or 0, typed.asked)
            decide = self._decisions[typed.command.verb]
            said = await decide(self._ctx, tx, request, typed.asked)
            return notices.said(said.sentence)

        return work

    async def _pressed(self, clicked: Clicked) -> Work:
        async def work(tx: Transaction) -> Message:
            request = await self._pressed_on(tx, clicked)
            decide = self._decisions[clicked.action.removesuffix(SENT)]
            said = await decide(self._ctx, tx, request, clicked.asked)
            return notices.said(said.sentence)

        return work

    async def _pressed_on(self, tx: Transaction, clicked: Clicked) -> Request:
        request = await self._adopted(tx, clicked)
        if request.state is not State.PENDING:
            # Somebody sees old buttons: bring the message up to date for everybody.
            await tx.outbox.refresh(request.id)
        # The channel may no longer serve the registry.
        return await self._request(tx, request.id, clicked.asked)

    async def _ask_why(self, clicked: Clicked) -> Work:
        """Deny: whoever may, is asked for the reason first."""

        async def work(tx: Transaction) -> Said:
            request = await self._pressed_on(tx, clicked)
            if not await approvals.may_deny(self._ctx, tx, request, clicked.asked):
                return notices.said(f"{request.name} is outdated already.")
            return Modal(modals.deny_form(request), modals.type_the_denial(request))

        return work

    async def _details(self, clicked: Clicked) -> Work:
        async def work(tx: Transaction) -> Modal:
            request = await self._clicked(tx, clicked)
            return Modal(details.details(request), notices.details(request))

        return work
