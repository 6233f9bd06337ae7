"""What is said in the thread of a request, and answers that only one person sees."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot.rules.approval import ItemState, Request, WindowState
from bot.rules.plan import DeletionPlan
from bot.rules.policy import Action
from bot.slack.limits import code, cut, escape
from bot.slack.views import collection
from bot.slack.views.blocks import Message, context, many, message, section, size, when
from bot.slack.views.request import deletion_body

_ID = re.compile(r"&lt;([@#][A-Z0-9]{2,20})&gt;")


def refusal(
    sentence: str, hint: str = "", suggestions: Sequence[str] = (), *, people: bool = False
) -> Message:
    """Why not, what to do next, and up to three close names.

    Parameters
    ----------
    people : the bot wrote the texts itself, and the ids in them are shown as names.
    """
    shown = _refusal(sentence, hint, suggestions)
    if people:
        shown["text"] = _ID.sub(r"<\1>", shown["text"])
        for block in shown["blocks"]:
            block["text"]["text"] = _ID.sub(r"<\1>", block["text"]["text"])
    return shown


def _refusal(sentence: str, hint: str, suggestions: Sequence[str]) -> Message:
    close = ", ".join(code(name) for name in suggestions[:3])
    ask = f"Did you mean {close}?" if close else ""
    parts = [escape(sentence), ask, mark_commands(hint)]
    text = " ".join(part for part in parts if part)
    blocks = [section(f":no_entry_sign: {escape(sentence)}")]
    follow = " ".join(part for part in (ask, mark_commands(hint)) if part)
    if follow:
        blocks.append(section(follow))
    return message(text, blocks)


def mark_commands(text: str) -> str:
    """Escape a hint, and keep what it set in backticks as code."""
    pieces = text.split("`")
    return "".join(
        code(piece) if n % 2 and n < len(pieces) - 1 else escape(piece)
        for n, piece in enumerate(pieces)
        if piece
    )


def said(sentence: str) -> Message:
    """A sentence of the bot's own, mentions included."""
    return message(sentence, [section(sentence)])


def details(shown: Request) -> Message:
    """The whole plan, for one person."""
    blocks = [section(f"*{shown.name}*, rule {code(shown.rule)}, {shown.state}")]
    if shown.action in {Action.DELETE, Action.PURGE}:
        blocks += deletion_body(shown, limit=40)
        blocks.append(context(f"Plan {code(DeletionPlan.from_json(shown.plan).fingerprint[:16])}"))
    elif shown.action == Action.GC:
        blocks += collection.body(shown)
    history = [
        f"<@{d.user}> {'approved' if d.approves else 'denied'} it {when(d.at)}"
        + (f": {escape(d.reason)}" if d.reason else "")
        for d in shown.decisions
    ]
    lines = [f"<@{shown.requester}> asked {when(shown.created_at)}", *history]
    if shown.finished_at:
        lines.append(f"It ended {when(shown.finished_at)}")
    blocks.append(section("\n".join(lines)))
    return message(f"{shown.name} is {shown.state}; asked by <@{shown.requester}>.", blocks)


def notice(shown: Request, name: str, data: Mapping[str, Any]) -> Message | None:
    """One line of the story; None where there is nothing to add to the message itself."""
    tell = _NOTICES.get(name)
    return tell(shown, data) if tell else None


def _plan(shown: Request, _: Mapping[str, Any]) -> Message | None:
    if shown.action not in {Action.DELETE, Action.PURGE}:
        return None
    plan = DeletionPlan.from_json(shown.plan)
    lines = [f"{d.repository}@{d.digest} {' '.join(d.tags)}" for d in plan.digests]
    listed = cut("\n".join(lines).replace("```", "'''"), 2500)
    return message(
        f"Pinned: {escape(listed)}",
        [section(f"Pinned, and read again before anything is changed:\n```{escape(listed)}```")],
    )


def _approved(_: Request, data: Mapping[str, Any]) -> Message:
    return said(f"Approved by <@{data['by']}>.")


def _denied(shown: Request, data: Mapping[str, Any]) -> Message:
    why = f" Why: {escape(data['reason'])}" if data.get("reason") else ""
    return said(f"<@{shown.requester}>: {shown.name} was denied by <@{data['by']}>.{why}")


def _cancelled(shown: Request, data: Mapping[str, Any]) -> Message:
    return said(f"<@{data['by']}> cancelled {shown.name}.")


def _expired(shown: Request, data: Mapping[str, Any]) -> Message:
    if data.get("late"):
        return said(
            f"<@{shown.requester}>: {shown.name} could not be carried out in time after its "
            "approval. Nothing was changed; ask again."
        )
    return said(
        f"<@{shown.requester}>: nobody decided on {shown.name} in time. Nothing was changed."
    )


def _outdated(_: Request, data: Mapping[str, Any]) -> Message:
    people = " ".join(f"<@{user}>" for user in dict.fromkeys(data["people"]))
    return said(f"{people}: outdated, because {escape(data['why'])}. Nothing was deleted.")


def _failed(shown: Request, data: Mapping[str, Any]) -> Message:
    return said(f"<@{shown.requester}>: {shown.name} failed: {escape(data['why'])}")


def _finished(shown: Request, _: Mapping[str, Any]) -> Message:
    if shown.action == Action.GC:
        return message(
            f"{shown.name} is {shown.state}.{collection.text(shown)}", collection.body(shown)
        )
    counts = {state: sum(i.state is state for i in shown.items) for state in ItemState}
    told = [f"{n} {state}" for state, n in counts.items() if n]
    lines = [f"{shown.name} is {shown.state}: {', '.join(told) or 'nothing left to do'}."]
    lines += [
        f"• {code(_name(i.repository, i.tag, i.digest))} {i.state}: {escape(i.detail)}"
        for i in shown.items
        if i.detail and i.state is not ItemState.DONE
    ][:20]
    opened = sum(w.size for w in shown.windows if w.state is WindowState.OPEN)
    if opened and shown.undo_until:
        lines.append(f"0 B freed: undo until {when(shown.undo_until)}, then GC ({size(opened)}).")
    return said("\n".join(lines))


def _name(repository: str, tag: str, digest: str) -> str:
    return f"{repository}:{tag}" if tag else f"{repository}@{digest[:19]}"


def _window_ended(shown: Request, _: Mapping[str, Any]) -> Message:
    purged = [w for w in shown.windows if w.state is WindowState.PURGED]
    held = [w for w in shown.windows if w.state is WindowState.HELD]
    lines = []
    if purged:
        total = size(sum(w.size for w in purged))
        lines.append(
            f"The undo window has ended: {many(len(purged), 'digest')} purged. "
            f"The next GC frees up to {total}."
        )
    lines += [
        f"{code(w.repository)} {code(w.digest[:19])} is held: {escape(w.holder)} needs it."
        for w in held[:20]
    ]
    return said("\n".join(lines) or "The undo window has ended.")


def _undone(_: Request, data: Mapping[str, Any]) -> Message:
    return said(f"Put back by {data['by']}.")


def _taken_over(shown: Request, data: Mapping[str, Any]) -> Message:
    return said(
        f"The bot was interrupted at “{data['step']}” and has taken {shown.name} up again. "
        f"{escape(data['sentence'])}"
    )


def _restore_failed(shown: Request, data: Mapping[str, Any]) -> Message:
    people = " ".join(f"<@{u}>" for u in dict.fromkeys([shown.requester, *shown.approvers[:20]]))
    return message(
        f"{people}: the registry could not be made writable again: {escape(data['why'])} "
        f"Type on its host: {escape(data['command'])}",
        [
            section(
                f":rotating_light: {people}: *the registry could not be made writable again.* "
                f"{escape(data['why'])}"
            ),
            section(
                "The bot keeps trying. To do it by hand, make sure that no collection runs, then "
                f"type on its host:\n```{escape(data['command'])}```"
            ),
        ],
    )


_NOTICES = {
    "plan": _plan,
    "approved": _approved,
    "denied": _denied,
    "cancelled": _cancelled,
    "expired": _expired,
    "outdated": _outdated,
    "failed": _failed,
    "finished": _finished,
    "window ended": _window_ended,
    "undone": _undone,
    "taken over": _taken_over,
    "restore failed": _restore_failed,
}
