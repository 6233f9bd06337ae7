"""The button Share, under what somebody read."""

from collections.abc import Mapping

from bot.operations.context import Context
from bot.operations.errors import Refusal
from bot.slack.commands import CommandError, parse
from bot.slack.handlers.base import Clicked, Handlers, Typed, Verb, Work
from bot.slack.views import notices
from bot.slack.views.blocks import Message, context
from bot.store.store import Transaction

_SHARED = frozenset({"repos", "tags", "inspect", "status", "requests", "doctor", "locks", "audit"})


class Sharing(Handlers):
    """Shows to a channel what one person has read.

    Parameters
    ----------
    verbs : who handles each verb.
    """

    def __init__(self, ctx: Context, verbs: Mapping[str, Verb]) -> None:
        super().__init__(ctx)
        self._verbs = verbs

    async def share(self, clicked: Clicked) -> Work:
        """Show it by asking again."""
        try:
            command = parse(clicked.value)
        except CommandError as error:
            raise Refusal(error.sentence, error.hint) from error
        if command.verb not in _SHARED:
            raise Refusal("Only what was read can be shared.", "")
        asked = clicked.asked
        shown = await self._verbs[command.verb](Typed(command, asked, "", clicked.name))

        async def work(tx: Transaction) -> Message:
            answer = await shown(tx)
            if isinstance(answer, dict):
                note = f"Shared by <@{asked.actor.user}>: `/registry {command.verb}`"
                blocks = [*answer["blocks"], context(note)]
                await tx.outbox.post(
                    {
                        "user": asked.actor.user,
                        "channel": asked.channel,
                        "message": {"text": answer["text"], "blocks": blocks},
                    }
                )
            return notices.said("Shared with the channel.")

        return work
