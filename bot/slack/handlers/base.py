"""What handlers share: the shape of their work, and finding the request that is meant."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.operations import requesting
from bot.operations.context import Asked, Context, Registry
from bot.operations.errors import Refusal
from bot.rules.approval import Draft, Request
from bot.rules.policy import Action
from bot.rules.preview import Preview
from bot.slack.commands import Command
from bot.slack.views.blocks import Message
from bot.slack.views.files import File
from bot.slack.views.modals import Modal
from bot.store.store import Transaction

Said = Message | Request | Preview | Modal | None
"""A message for the person; a request or preview, whose own message speaks; a modal; or nothing."""

Work = Callable[[Transaction], Awaitable[Said]]
"""What is stored, and the answer to the person: run inside one transaction.

A request that was made speaks by its own message, and is the answer.
"""


@dataclass(frozen=True, slots=True)
class Typed:
    """A command that somebody typed.

    `text` is the line as it came, for buttons that repeat it ("" where the answer is shared and
    has none); `name` is unique to this command and names its files. `agreed` is the fingerprint
    of the plan that they have seen, "" where they want to see it first; None where nobody asked.
    """

    command: Command
    asked: Asked
    text: str
    name: str
    agreed: str | None = None


@dataclass(frozen=True, slots=True)
class Clicked:
    """A button that somebody pressed; `body` is the stored payload of the click."""

    action: str
    body: Mapping[str, Any]
    asked: Asked
    name: str

    @property
    def value(self) -> str:
        """The value that the button carries."""
        return str(self.body.get("value", ""))


@dataclass(frozen=True, slots=True)
class Answer:
    """What is shown, and the file with all of it where the message is too short."""

    message: Message
    file: File | None = None


Verb = Callable[[Typed], Awaitable[Work]]
Shown = Callable[[Typed], Awaitable[Answer]]
"""A read whose answer can be shared."""
Click = Callable[[Clicked], Awaitable[Work]]


def done(answer: Said) -> Work:
    """Nothing to store but the answer."""

    async def work(_: Transaction) -> Said:
        return answer

    return work


def submitting(made: Draft) -> Work:
    """Store a request; its message speaks for itself."""

    async def work(tx: Transaction) -> Request:
        if made.action == Action.GC and await tx.requests.open_on(made.registry, Action.GC):
            raise Refusal(
                f"Somebody asked for a collection of {made.registry} at the same moment.",
                "`/registry requests` lists it.",
            )
        return await requesting.submit(tx, made)

    return work


class Handlers:
    """The base of every group of handlers.

    Parameters
    ----------
    ctx : the rooms.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def _served(self, asked: Asked) -> tuple[str, ...]:
        """The registries of the channel where somebody asked."""
        listed = self._ctx.policy.channel(asked.channel)
        return listed.registries if listed else ()

    def _registry(self, typed: Typed) -> Registry:
        return self._ctx.registry_for(typed.asked.channel, typed.command.registry)

    async def _request(self, tx: Transaction, number: int, asked: Asked) -> Request:
        try:
            request = await tx.requests.get(number)
        except KeyError:
            request = None
        if request is None or request.registry not in self._served(asked):
            raise Refusal(
                f"There is no request R{number} on the registries of this channel.",
                "`/registry requests --all` lists them.",
            )
        return request

    async def _clicked(self, tx: Transaction, clicked: Clicked) -> Request:
        """The request that a button belongs to, whichever copy of its message was used."""
        request = await tx.requests.by_token(clicked.value)
        if request is None:
            raise Refusal(
                "This button belongs to no request that the bot knows.",
                "`/registry requests` lists the open ones.",
                disarms=True,
            )
        if request.channel != clicked.asked.channel:
            raise Refusal(
                f"{request.name} belongs to another channel; nothing was done.",
                f"Its own is <#{request.channel}>: ask for it there.",
                names_people=True,
                disarms=True,
            )
        return request

    async def _adopted(self, tx: Transaction, clicked: Clicked) -> Request:
        """The same; the copy of its message that people decide on becomes the one message.

        The bot died between posting the message and writing down where it is, and perhaps another
        process has posted it again. Both copies carry the same token, which nobody can guess, so a
        click on either counts.
        """
        request = await self._clicked(tx, clicked)
        stamp = str(clicked.body.get("message_ts", ""))
        if not stamp or stamp == request.message_ts or clicked.body.get("ephemeral"):
            return request
        await tx.requests.change(request.id, message_ts=stamp)
        await tx.outbox.refresh(request.id)
        if request.message_ts:
            await tx.outbox.retire(request.id, request.channel, request.message_ts)
        return await tx.requests.get(request.id)
