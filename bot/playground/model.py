"""The values that people and tests see: users, channels, messages, views, deliveries."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Block = Mapping[str, Any]


class PlaygroundError(Exception):
    """A person cannot do that: no such button, not a member, a required field left empty.

    Real Slack would not offer the gesture at all, so nothing reaches the app.
    """


class SlackError(Exception):
    """An answer `{"ok": false, "error": …}`.

    Parameters
    ----------
    code : the word in `error`.
    messages : what goes into `response_metadata.messages`.
    status : the HTTP status.
    retry_after : seconds, for `ratelimited`.
    """

    def __init__(
        self, code: str, messages: Sequence[str] = (), status: int = 200, retry_after: int = 0
    ) -> None:
        super().__init__(code, *messages)
        self.code = code
        self.messages = list(messages)
        self.status = status
        self.retry_after = retry_after

    def body(self) -> dict[str, Any]:
        """The JSON answer."""
        body: dict[str, Any] = {"ok": False, "error": self.code}
        if self.messages:
            body["errors"] = list(self.messages)
            body["response_metadata"] = {"messages": [f"[ERROR] {m}" for m in self.messages]}
        return body


@dataclass(frozen=True, slots=True)
class User:
    """A person, guest, or bot, as `users.info` tells it."""

    id: str
    name: str
    team_id: str
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_bot: bool = False
    deleted: bool = False
    is_stranger: bool = False


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel, or a direct message with the bot. `members` leaves the bot out."""

    id: str
    name: str
    members: frozenset[str]
    is_private: bool = False
    is_ext_shared: bool = False
    is_im: bool = False
    is_archived: bool = False
    bot_member: bool = True


@dataclass(frozen=True, slots=True)
class File:
    """An uploaded file."""

    id: str
    name: str
    title: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it stood when it was looked at; ask again for a newer one.

    `ephemeral` messages are seen by one person only. `edited` tells that it was changed after it
    was posted. `text` and blocks keep their markup and entities.
    """

    ts: str
    channel: str
    user: str
    text: str = ""
    blocks: tuple[Block, ...] = ()
    thread_ts: str = ""
    edited: bool = False
    ephemeral: bool = False
    seen_by: frozenset[str] = frozenset()
    files: tuple[File, ...] = ()
    attachments: tuple[Block, ...] = ()

    @property
    def buttons(self) -> list[str]:
        """The labels of its buttons, from top to bottom."""
        return [label(button) for _, button in buttons_of(self.blocks)]

    @property
    def all_text(self) -> str:
        """Everything in it, line by line, with raw markup: fallback text, blocks, file titles."""
        titles = [file.title for file in self.files]
        return "\n".join([self.text, *texts_of((*self.blocks, *self.attachments)), *titles])


@dataclass(frozen=True, slots=True)
class View:
    """A modal or a home tab as one person sees it."""

    id: str
    user: str
    type: str
    callback_id: str
    title: str
    blocks: tuple[Block, ...]
    hash: str
    private_metadata: str = ""
    external_id: str = ""
    submit: str = ""
    close: str = ""
    notify_on_close: bool = False
    clear_on_close: bool = False
    root_view_id: str = ""
    previous_view_id: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def buttons(self) -> list[str]:
        """The labels of the buttons among its blocks (not of submit and close)."""
        return [label(button) for _, button in buttons_of(self.blocks)]

    @property
    def all_text(self) -> str:
        """Everything in it, line by line."""
        return "\n".join([self.title, *texts_of(self.blocks), *self.errors.values()])


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a command, click or submission that was sent to the app.

    `error` is what the person sees: `operation_timeout` (no ack in time), `dispatch_failed` (no
    connection, or HTTP other than 200), `invalid_command_response`, `declined` (they said no in
    the confirm dialog); empty when all is well. `ack_seconds` counts until the ack or the failure.
    """

    acked: bool
    ack_seconds: float = 0.0
    ack_body: Mapping[str, Any] = field(default_factory=dict)
    envelope_id: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One call of the Web API or of a response_url (method `response_url`); without tokens."""

    method: str
    arguments: Mapping[str, Any]
    status: int
    answer: Mapping[str, Any]
    at: float


def buttons_of(blocks: Sequence[Block]) -> Iterator[tuple[Block, Block]]:
    """Every button with the block that holds it."""
    for block in blocks:
        held = [*block.get("elements", ()), *block.get("actions", ()), block.get("accessory")]
        for element in held:
            if isinstance(element, Mapping) and element.get("type") == "button":
                yield block, element
            elif isinstance(element, Mapping) and element.get("type") == "card":
                yield from buttons_of([element])
        yield from buttons_of(block.get("child_blocks", ()))


def label(button: Block) -> str:
    """What stands on a button."""
    return str(button["text"]["text"])


_SHOWN = ("text", "title", "subtitle", "body", "details", "output", "label", "hint", "caption")
_HELD = ("fields", "elements", "accessory", "rows", "tasks", "actions", "child_blocks", "element")


def texts_of(value: Any) -> Iterator[str]:
    """Every text a reader sees in blocks, in reading order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Sequence):
        for item in value:
            if not isinstance(item, str):
                yield from texts_of(item)
    elif isinstance(value, Mapping):
        for key in (*_SHOWN, *_HELD):
            if key in value:
                yield from texts_of(value[key])
