"""Take signatures along: a pending deletion, asked for anew together with its signatures."""

from collections.abc import Mapping

from bot.operations import approvals, deletion
from bot.operations.context import Asked
from bot.operations.errors import Refusal
from bot.rules.approval import Request, State
from bot.slack.handlers.base import Click, Clicked, Handlers, Said, Work, submitting
from bot.store.store import Transaction


class Signatures(Handlers):
    """The button beside a plan that would leave signatures without their image."""

    @property
    def clicks(self) -> Mapping[str, Click]:
        """What it is pressed as."""
        return {"with_signatures": self._ask_anew}

    async def _ask_anew(self, clicked: Clicked) -> Work:
        async with self._ctx.store.reading() as tx:
            before = await self._pending(tx, clicked)
        reason = clicked.asked.reason or before.reason
        asked = Asked(clicked.asked.actor, clicked.asked.channel, reason)
        registry = self._ctx.registry(before.registry)
        made = await deletion.request_again(
            self._ctx, asked, registry, before, with_signatures=True
        )
        submit = submitting(made)

        async def work(tx: Transaction) -> Said:
            request = await self._pending(tx, clicked)
            await approvals.cancel(self._ctx, tx, request, clicked.asked)
            return await submit(tx)

        return work

    async def _pending(self, tx: Transaction, clicked: Clicked) -> Request:
        """The request, if it is still open and its requester's."""
        request = await self._clicked(tx, clicked)
        request = await self._request(tx, request.id, clicked.asked)
        actor = clicked.asked.actor
        if (actor.user, actor.team) != (request.requester, request.team):
            raise Refusal(
                f"{request.name} is <@{request.requester}>'s request; only they can change it.",
                "Deny it and say why, or ask for the signatures in a request of your own.",
                names_people=True,
            )
        if request.state is not State.PENDING:
            raise Refusal(
                f"{request.name} is {request.state}; its plan can no longer be changed.",
                f"`/registry show {request.name}` tells the story.",
            )
        return request
