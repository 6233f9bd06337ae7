"""What travelled between Slack and the bot, both ways, for the side panel."""

from collections.abc import Mapping
from typing import Any

from bot.playground.faults import AT_ONCE, Envelope
from bot.playground.model import Delivery
from bot.playground.sockets import COMMAND, EVENT, Line
from bot.playground.workspace import Workspace

_SECRET = frozenset({"token", "response_url", "trigger_id"})
_MOST = 300


class Recorder:
    """Stands before the way to the bot and writes down what is sent to it."""

    def __init__(self, line: Line, workspace: Workspace) -> None:
        self.line = line
        self.sent: list[dict[str, Any]] = []
        self._workspace = workspace

    @property
    def ack_window(self) -> float:
        """Seconds in which the bot must ack."""
        return self.line.ack_window

    @ack_window.setter
    def ack_window(self, seconds: float) -> None:
        self.line.ack_window = seconds

    async def send(
        self, kind: str, payload: Mapping[str, Any], travels: Envelope = AT_ONCE
    ) -> Delivery:
        """Deliver a payload, and keep it with what became of it."""
        entry: dict[str, Any] = {
            "way": "to bot",
            "name": _name(kind, payload),
            "at": self._workspace.state.clock.now(),
            "sent": {k: v for k, v in payload.items() if k not in _SECRET},
            "answer": None,
            "ok": None,
        }
        self.sent.append(entry)
        delivery = await self.line.send(kind, payload, travels)
        entry["ok"] = delivery.acked and not delivery.error
        entry["answer"] = dict(delivery.ack_body) or delivery.error or "acknowledged"
        entry["took"] = round(delivery.ack_seconds, 3)
        self._workspace.state.changes.tell()
        return delivery

    def entries(self) -> list[dict[str, Any]]:
        """The last few hundred entries of both ways, oldest first."""
        calls = [
            {
                "way": "to Slack",
                "name": call.method,
                "at": call.at,
                "sent": dict(call.arguments),
                "answer": dict(call.answer),
                "ok": bool(call.answer.get("ok")),
            }
            for call in self._workspace.log[-_MOST:]
        ]
        both = sorted([*self.sent[-_MOST:], *calls], key=lambda entry: float(entry["at"]))
        return both[-_MOST:]

    @property
    def count(self) -> int:
        """How much travelled so far; acks count as well."""
        acked = sum(1 for entry in self.sent if entry["ok"] is not None)
        return len(self.sent) + acked + len(self._workspace.log)


def _name(kind: str, payload: Mapping[str, Any]) -> str:
    if kind == COMMAND:
        return f"{payload.get('command')} {payload.get('text')}".strip()
    if kind == EVENT:
        return str(payload.get("event", {}).get("type", kind))
    return str(payload.get("type", kind))
