"""The button that takes empty repositories into a collection that waits for its approval."""

from collections.abc import Mapping

from bot.operations import approvals, requesting
from bot.operations.collection_request import request_collection
from bot.operations.context import Asked
from bot.operations.emptying import PLANNED
from bot.operations.errors import Refusal
from bot.rules.approval import Request, State
from bot.rules.policy import Action
from bot.slack.handlers.base import Click, Clicked, Handlers, Work
from bot.store.store import Transaction


class Emptying(Handlers):
    """A request is never changed: another one, with its own approvals, takes its place."""

    @property
    def clicks(self) -> Mapping[str, Click]:
        """What it is pressed as."""
        return {"remove_empty": self._replace}

    async def _replace(self, clicked: Clicked) -> Work:
        async with self._ctx.store.reading() as tx:
            old = await self._clicked(tx, clicked)
        self._check(old, clicked.asked)
        asked = Asked(clicked.asked.actor, old.channel, old.reason, old.emergency)
        made = await request_collection(
            self._ctx,
            asked,
            self._ctx.registry(old.registry),
            delete_untagged=bool(old.plan["delete_untagged"]),
            name=clicked.name,
            remove_empty=True,
            instead_of=old.id,
        )
        if not made.plan[PLANNED]:
            raise Refusal(
                f"There are no empty repositories on {old.registry} any more.",
                f"{old.name} goes on as it is.",
            )

        async def work(tx: Transaction) -> Request:
            current = await tx.requests.hold(old.id)
            self._check(current, clicked.asked)
            await approvals.cancel(self._ctx, tx, current, clicked.asked)
            if others := await tx.requests.open_on(made.registry, Action.GC):
                raise Refusal(
                    f"{others[0].name} asks for a collection of {made.registry} meanwhile.",
                    f"`/registry show {others[0].name}` tells more.",
                )
            return await requesting.submit(tx, made)

        return work

    def _check(self, old: Request, asked: Asked) -> None:
        if old.action != Action.GC or old.state is not State.PENDING:
            raise Refusal(
                f"{old.name} is {old.state}: what it does cannot be changed any more.",
                "Ask for another collection with `/registry gc`.",
            )
        policy = self._ctx.policy
        if policy.person(asked.actor.user) != policy.person(old.requester):
            raise Refusal(
                f"{old.name} is <@{old.requester}>'s request; only they can change what it does.",
                f"After it, ask for your own: `/registry gc`. Or deny {old.name}.",
                names_people=True,
            )
