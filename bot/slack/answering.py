"""Where an answer goes: into the modal that waits for it, or to the person by the outbox."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bot.rules.approval import Request
from bot.rules.preview import Preview
from bot.slack.handlers.base import Said as Answer
from bot.slack.people import Where
from bot.slack.views import modals
from bot.slack.views.blocks import Message
from bot.slack.views.modals import Modal, View
from bot.store.jobs import Job
from bot.store.store import Transaction


@dataclass(frozen=True, slots=True)
class Incoming:
    """A stored payload: who, where, and how to answer.

    `number` is that of the request which was typed, where one was.
    """

    where: Where
    response_url: str | None
    body: Mapping[str, Any]
    number: int | None = None

    @property
    def text(self) -> str:
        """The command, where one was typed."""
        return str(self.body.get("text", ""))

    def typing(self, text: str) -> "Incoming":
        """The same person at the same place, typing a command."""
        return replace(self, body={**self.body, "text": text})

    @property
    def modal(self) -> Mapping[str, str] | None:
        """Where the modal is that shows the answer, if one does."""
        return self.body.get("view") or None

    @classmethod
    def of(cls, job: Job) -> "Incoming":
        """Read a job's payload."""
        p = job.payload
        where = Where(p.get("user", ""), p.get("team", ""), p.get("channel", ""))
        return cls(where, p.get("response_url"), p)


Said = Message | Request | Preview | None
"""What is told outside of modals."""

Say = Callable[[Transaction, Incoming, Said], Awaitable[None]]


async def by_outbox(tx: Transaction, incoming: Incoming, said: Said) -> None:
    """Tell the person; a request or a preview that was made speaks for itself."""
    if said is None or isinstance(said, Request | Preview):
        return
    await tx.outbox.answer(
        {"user": incoming.where.user, "channel": incoming.where.channel, "message": said},
        incoming.response_url,
    )


async def answer(
    tx: Transaction, incoming: Incoming, said: Answer, say: Say, *, twice: bool = False
) -> None:
    """Answer in the modal that waits for it; by `say` where there is none, or `twice`."""
    instead = said.instead if isinstance(said, Modal) else said
    if incoming.modal is None or twice:
        await say(tx, incoming, instead)
    if incoming.modal is None:
        return
    await tx.outbox.answer(
        {
            "user": incoming.where.user,
            "channel": incoming.where.channel,
            "message": None if twice or isinstance(said, Request | Preview) else instead,
            "modal": {"where": dict(incoming.modal), "view": _view(said, incoming.where.channel)},
        },
        incoming.response_url,
        key=f"view:{sorted(incoming.modal.items())}",
    )


def _view(said: Answer, channel: str) -> View:
    if isinstance(said, Modal):
        return said.view
    if said is None:
        return modals.note("Registry", "Done.")
    if isinstance(said, Preview):
        return modals.note(
            "Cleanup", f"What could go in {said.repository} is shown in the channel."
        )
    return modals.of_message(modals.asked_for(said) if isinstance(said, Request) else said, channel)
