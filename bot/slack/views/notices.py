"""What is said in the thread of a request, and answers that only one person sees."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot.rules.approval import ItemState, Request, WindowState
from bot.rules.plan import DeletionPlan, PlannedDigest
from bot.rules.policy import Action
from bot.slack.limits import code, escape
from bot.slack.views import collection, files, locks
from bot.slack.views.blocks import (
    ROOM,
    Block,
    Message,
    actions,
    context,
    fitting,
    listed,
    many,
    mark_commands,
    message,
    named,
    paragraphs,
    section,
    size,
    step_row,
    stop,
    when,
    words,
)
from bot.slack.views.deciding import mention, told
from bot.slack.views.deletion import held_line
from bot.slack.views.request import body, buttons, stands, summary

_ID = re.compile(r"&lt;([@#][A-Z0-9]{2,20}|@(?:local:[^<>&]+|bot))&gt;")


def refusal(
    sentence: str,
    hint: str = "",
    suggestions: Sequence[str] = (),
    *,
    people: bool = False,
    steps: Sequence[str] = (),
) -> Message:
    """Why not, what to do next, and up to three close names.

    Parameters
    ----------
    people : the bot wrote the texts itself, and the ids in them are shown as names.
    steps : complete commands, which become buttons.
    """
    shown = _refusal(sentence, hint, suggestions)
    if people:
        shown["text"] = named(_ID.sub(r"<\1>", shown["text"]))
        for block in shown["blocks"]:
            block["text"]["text"] = named(_ID.sub(r"<\1>", block["text"]["text"]))
    shown["blocks"] += step_row(steps)
    return shown


def _refusal(sentence: str, hint: str, suggestions: Sequence[str]) -> Message:
    close = ", ".join(code(name) for name in suggestions[:3])
    ask = f"Did you mean {close}?" if close else ""
    why = mark_commands(sentence)
    follow = " ".join(part for part in (ask, mark_commands(hint)) if part)
    blocks = [section(f":no_entry_sign: {why}"), *([section(follow)] if follow else [])]
    return message(f"{why} {follow}".strip(), blocks)


def said(sentence: str) -> Message:
    """A sentence of the bot's own, mentions included; a line of it is never torn apart."""
    lines = sentence.split("\n")
    kept = lines[: max(1, fitting(lines))]
    if len(kept) < len(lines):
        kept.append(f"… and {many(len(lines) - len(kept), 'more line')}")
    return message("\n".join(kept), paragraphs(kept))


def about(head: str, shown: Message) -> Message:
    """A message that stands alone, with a line above it that says where it belongs."""
    return {"text": f"{head} {shown['text']}", "blocks": [context(head), *shown.get("blocks", ())]}


def late(shown: Message, at: float) -> Message:
    """An answer that Slack did not take when it was written, at `at` (epoch seconds)."""
    return about(f"This was the answer {when(at)}; Slack could not be told before.", shown)


def details(shown: Request) -> Message:
    """The whole plan, for one person, with the buttons of the request."""
    return message(summary(shown), [*detail_blocks(shown, limit=40), *decision_row(shown)])


def decision_row(shown: Request) -> list[Block]:
    """The buttons of a request, for somebody who looks at its details already."""
    found = [one for one in buttons(shown) if one["action_id"] != "details"]
    return [actions(*found)] if found else []


def detail_blocks(shown: Request, *, limit: int, room: int = ROOM) -> list[Block]:
    """What a request is about and its story so far.

    Parameters
    ----------
    limit : at most so many digests are described, in `room` characters.
    """
    blocks = [section(f"*{shown.name}*, rule {code(shown.rule)}, {shown.state}")]
    blocks += body(shown, limit=limit, room=room)
    if Action(shown.action).has_plan:
        blocks.append(context(f"Plan {code(DeletionPlan.from_json(shown.plan).fingerprint[:16])}"))
    history = [
        f"<@{d.user}> {'approved' if d.approves else 'denied'} it {when(d.at)}"
        + (f": {words(d.reason, 300)}" if d.reason else "")
        for d in shown.decisions
    ]
    lines = [f"<@{shown.requester}> asked {when(shown.created_at)}", *history]
    lines = lines[: max(1, fitting(lines, 1900))]
    if shown.finished_at:
        lines.append(f"It ended {when(shown.finished_at)}")
    return [*blocks, *paragraphs(lines)]


def notice(shown: Request, name: str, data: Mapping[str, Any]) -> Message | None:
    """One line of the story; None where there is nothing to add to the message itself."""
    tell = _NOTICES.get(name)
    made = tell(shown, data) if tell else None
    if made is None or not shown.emergency or name not in _ENDS:
        return made
    # Whoever heard that it began hears how it ended.
    line = f":rotating_light: {told(shown)} this was an emergency."
    return message(f"{line} {made['text']}", [section(line), *made["blocks"]])


def _plan(shown: Request, _: Mapping[str, Any]) -> Message | None:
    if not Action(shown.action).has_plan:
        return None
    digests = DeletionPlan.from_json(shown.plan).digests
    lines = [line for digest in digests for line in pinned(digest, len("sha256:") + 64)]
    if fitting(lines) < len(lines):
        lines = [line for digest in digests for line in pinned(digest, len("sha256:") + 12)]
    count = fitting(lines)
    rest = len(lines) - count
    tags = listed([code(f"{d.repository}:{t}") for d in digests for t in d.tags], 2500)
    return message(
        f"Pinned for {shown.name}: {tags if any(d.tags for d in digests) else _digests(digests)}",
        [
            section("Pinned, and read again before anything is changed:"),
            *(fenced(block) for block in paragraphs(lines[:count])),
            *([section(f"… and {many(rest, 'more tag')}, pinned as well.")] if rest else []),
        ],
    )


def pinned(planned: PlannedDigest, length: int) -> list[str]:
    """One line for each tag of a digest, or one for the digest itself, to stand in a fence."""
    digest = planned.digest[:length]
    names = [f"{planned.repository}:{tag}" for tag in planned.tags] or [planned.repository]
    return [escape(f"{name} {digest}".replace("`", "'")) for name in names]


def _digests(planned: Sequence[PlannedDigest]) -> str:
    return listed([code(f"{d.repository}@{d.digest[:19]}") for d in planned], 2500)


def fenced(block: Block) -> Block:
    """A section whose text is shown as it is."""
    return section(f"```{block['text']['text']}```")


def _approved(shown: Request, data: Mapping[str, Any]) -> Message:
    people = ", ".join(f"<@{user}>" for user in (shown.approved_by or (data["by"],))[:20])
    return said(f"Approved by {people}.")


def _denied(shown: Request, data: Mapping[str, Any]) -> Message:
    why = f" Why: {words(data['reason'], 1000)}" if data.get("reason") else ""
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


def _outdated(shown: Request, data: Mapping[str, Any]) -> Message:
    people = " ".join(f"<@{user}>" for user in dict.fromkeys(data["people"]))
    why = stop(mark_commands(data["why"][:1500]))
    return said(f"{people}: {shown.name} is outdated: {why} Nothing was deleted.")


def _failed(shown: Request, data: Mapping[str, Any]) -> Message:
    why = stop(mark_commands(data["why"][:1500]))
    return said(f"<@{shown.requester}>: {shown.name} has failed: {why}")


def _finished(shown: Request, _: Mapping[str, Any]) -> Message:
    if shown.action == Action.GC:
        return message(summary(shown), collection.body(shown))
    if shown.action == Action.LOCK:
        return said(locks.finished(shown))
    counts = {state: sum(i.state is state for i in shown.items) for state in ItemState}
    told = [f"{n:,} {state}" for state, n in counts.items() if n]
    lines = [f"{stands(shown)}: {', '.join(told) or 'nothing left to do'}."]
    opened = sum(w.size for w in shown.windows if w.state is WindowState.OPEN)
    if opened and shown.undo_until:
        lines.append(f"0 B freed: undo until {when(shown.undo_until)}, then GC ({size(opened)}).")
    lines += [
        f"• {code(_name(i.repository, i.tag, i.digest))} {i.state}: {words(i.detail)}"
        for i in shown.items
        if i.detail and i.state is not ItemState.DONE
    ]
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
    lines += [held_line(window) for window in held]
    return said("\n".join(lines) or "The undo window has ended.")


def _undone(_: Request, data: Mapping[str, Any]) -> Message:
    return said(f"Put back by {data['by']}.")


def _lock_ended(shown: Request, data: Mapping[str, Any]) -> Message:
    return said(locks.ended(shown, data))


def _taken_over(shown: Request, data: Mapping[str, Any]) -> Message:
    return said(
        f"The bot was interrupted at “{words(data['step'], 100)}” and has taken {shown.name} up "
        f"again. {words(data['sentence'])}"
    )


def _restore_failed(shown: Request, data: Mapping[str, Any]) -> Message:
    people = " ".join(f"<@{u}>" for u in dict.fromkeys([shown.requester, *shown.approvers[:20]]))
    why = stop(mark_commands(data["why"][:1500]))
    command = escape(data["command"].replace("```", "'''"))
    return message(
        f"{people}: the registry could not be made writable again: {why} "
        f"Type on its host: {code(data['command'], 1000)}",
        [
            section(
                f":rotating_light: {people}: *the registry could not be made writable again.* {why}"
            ),
            section(
                "The bot keeps trying. To do it by hand, make sure that no collection runs, then "
                f"type on its host:\n```\n{command}\n```"
            ),
        ],
    )


def file_comes(title: str) -> Message:
    """The line above a file in a direct message."""
    return said(f":page_facing_up: {words(title, 300)}, as a file:")


def file_refused(title: str, why: str) -> str:
    """That Slack does not take a file, and what to do about it."""
    reason = _FILE_REASONS.get(why, f"Slack refuses it ({why[:80]})")
    return f"{words(title, 300)} could not be attached as a file: {stop(mark_commands(reason))}"


_FILE_REASONS = {
    "missing_scope": "the Slack app lacks the scope `files:write`. Whoever runs the bot adds it "
    "(it is in manifest.yml) and installs the app again",
    "file_uploads_disabled": "this workspace does not allow files",
    "storage_limit_reached": "this workspace's storage for files is full",
}


def _file_refused(shown: Request, data: Mapping[str, Any]) -> Message:
    name = data.get("name", "plan")
    more = f"{code(f'/registry show {shown.name}')} shows the beginning of it."
    if name == files.LOG:
        more = (
            "What the collection printed stays on the bot's host, in the directory of its state: "
            f"{code(f'{shown.registry}.{shown.name}-collect.*')}."
        )
    return said(f"{file_refused(files.title_of(shown, name), str(data['why']))} {more}")


def _emergency(shown: Request, _: Mapping[str, Any]) -> Message:
    others = told(shown) or "Everybody"
    return said(
        f":rotating_light: {others}: <@{shown.requester}> asks for {shown.name} as an emergency "
        f"and decides alone. Why: {words(shown.reason, 1000)}\n"
        "How it ends is told here."
    )


def _reminder(shown: Request, data: Mapping[str, Any]) -> Message:
    people = " ".join(mention(user) for user in data["people"][:20])
    also = " ".join(mention(user) for user in data.get("called", ())[:20])
    waits = f"{shown.name} still waits for {words(data['missing'], 300)}"
    lines = [f":bell: {people or 'Nobody who could approve is known now'}: {waits}."]
    if shown.approval == "confirm":
        lines = [f":bell: {people}: {shown.name} still waits for you to confirm it."]
    if also:
        lines.append(f"{also}: nobody has decided so far. You may know who can.")
    lines.append(f"It expires {when(shown.expires_at)}.")
    return said("\n".join(lines))


_ENDS = {"finished", "failed", "expired", "outdated", "cancelled", "window ended", "undone"}


def _canary(shown: Request, data: Mapping[str, Any]) -> Message:
    people = " ".join(f"<@{u}>" for u in dict.fromkeys([shown.requester, *shown.approvers[:20]]))
    lines = [
        f":rotating_light: {people}: images that were whole before the collection are not any "
        "more. Push them again from where they were built; an undo cannot help.",
        *(f"• {words(one, 300)}" for one in data["broken"]),
    ]
    return said("\n".join(lines))


_NOTICES = {
    "canary": _canary,
    "emergency": _emergency,
    "reminder": _reminder,
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
    "lock ended": _lock_ended,
    "taken over": _taken_over,
    "restore failed": _restore_failed,
    "file refused": _file_refused,
}
