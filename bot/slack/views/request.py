"""The one message of a request: who, what, why, the blast radius, and what became of it."""

from bot.rules.approval import Request, State, WindowState
from bot.rules.plan import DeletionPlan
from bot.rules.policy import BOT, Action
from bot.slack.limits import code
from bot.slack.views import collection, locks
from bot.slack.views.blocks import (
    ROOM,
    Block,
    Message,
    actions,
    button,
    context,
    listed,
    many,
    mark_commands,
    message,
    paragraphs,
    section,
    size,
    stop,
    when,
    words,
)
from bot.slack.views.cleanup import cleanup_terms
from bot.slack.views.deciding import alarm, called, decisions, needs
from bot.slack.views.deletion import (
    SCREEN,
    blast_radius,
    consequences,
    held_line,
    item_lines,
    leaves_signatures,
)

_SAYS = {
    State.PENDING: ":hourglass_flowing_sand: pending",
    State.APPROVED: ":white_check_mark: approved, about to start",
    State.RUNNING: ":gear: running",
    State.DONE: ":white_check_mark: done",
    State.PARTLY_DONE: ":warning: partly done",
    State.PURGED: ":wastebasket: purged",
    State.HELD: ":lock: held",
    State.UNDONE: ":leftwards_arrow_with_hook: undone",
    State.DENIED: ":no_entry: denied",
    State.CANCELLED: ":heavy_multiplication_x: cancelled",
    State.EXPIRED: ":hourglass: expired",
    State.OUTDATED: ":warning: outdated",
    State.FAILED: ":x: failed",
    State.ABORTED: ":octagonal_sign: aborted",
}
_VERBS = {
    Action.DELETE: "delete",
    Action.CLEANUP: "clean up",
    Action.PURGE: "purge",
    Action.PURGE_REQUEST: "end the undo window of",
    Action.UNDO: "put back what was deleted by",
    Action.GC: "collect garbage on",
    Action.LOCK: "lock",
}


def request(shown: Request) -> Message:
    """The message as it stands now; the same for everybody in the channel."""
    blocks = [
        *([section(alarm(shown))] if shown.emergency else []),
        section(f"*{shown.name}* · {_SAYS[shown.state]}{_outcome(shown)}"),
        section(what(shown)),
    ]
    if shown.reason:
        blocks.append(section(f"*Why* {words(shown.reason, 1000)}"))
    blocks += body(shown)
    blocks += deciding(shown)
    notes = _notes(shown)
    if notes:
        blocks.append(context(*notes))
    row = buttons(shown)
    if row:
        blocks.append(actions(*row))
    return message(f"{called(shown)} {summary(shown)}", blocks)


_STANDS = {State.FAILED: "has failed", State.EXPIRED: "has expired"}


def stands(shown: Request) -> str:
    """`R42 is done`, for the beginning of a sentence."""
    return f"{shown.name} {_STANDS.get(shown.state, f'is {shown.state}')}"


def summary(shown: Request) -> str:
    """All of it in a few sentences, for the `text` of a message."""
    names = [
        f"{i.repository}:{i.tag}" if i.tag else f"{i.repository}@{i.digest[:19]}"
        for i in shown.items
    ]
    what = listed([code(name) for name in names], 1000)
    if shown.action == Action.PURGE:
        what += " without an undo window"
    if shown.action in {Action.UNDO, Action.PURGE_REQUEST}:
        what = f"R{shown.subject}" + (f": {what}" if names else "")
    asked = f"<@{shown.requester}> asked to {_VERBS[Action(shown.action)]} "
    parts = [
        "EMERGENCY." if shown.emergency else "",
        stop(f"{stands(shown)}{_outcome(shown)}"),
        *(stop(line) for line in decisions(shown)),
        stop(f"<@{shown.requester}> asked to {locks.asked(shown)}")
        if shown.action == Action.LOCK
        else stop(asked + (what if names or shown.subject else words(shown.registry, 80))),
        stop(f"Why: {words(shown.reason)}") if shown.reason else "",
        collection.text(shown) if shown.action == Action.GC else "",
        *consequences(shown),
        " ".join(needs(shown)),
        " ".join(_notes(shown)),
    ]
    return " ".join(part for part in parts if part)


def _outcome(shown: Request) -> str:
    """What stands behind the state: who or what brought it about."""
    if shown.state is State.ABORTED and shown.abort_by:
        return f" by <@{shown.abort_by}>"
    why = mark_commands(str(shown.result.get("why") or "")[:800])
    if shown.state is State.OUTDATED:
        return f": {stop(why)} Nothing was deleted." if why else ""
    told = {State.FAILED, State.EXPIRED, State.ABORTED, State.PARTLY_DONE}
    if shown.state in told and why:
        return f": {why}"
    if shown.state is State.EXPIRED:
        return ": nobody decided in time. Nothing was changed."
    return ""


def what(shown: Request) -> str:
    """Who asks for what, in a line."""
    verb = _VERBS[Action(shown.action)]
    who, where = f"<@{shown.requester}>", words(shown.registry, 80)
    if shown.action in {Action.UNDO, Action.PURGE_REQUEST}:
        return f"{who} asks to {verb} *R{shown.subject}* on {where}"
    if shown.action == Action.GC:
        return f"{who} asks to {verb} *{where}*"
    if shown.action == Action.LOCK:
        return f"{who} asks to {locks.asked(shown)}"
    plan = DeletionPlan.from_json(shown.plan)
    tags = many(len(plan.tags), "tag")
    if shown.action == Action.PURGE:
        digests = many(len(plan.digests), "digest")
        return f"{who} asks to *purge* {digests} with {tags} on {where}, *without an undo window*"
    along = f", {many(len(plan.along), 'signature')} of them along" if plan.along else ""
    return f"{who} asks to *{verb}* {tags} on {where}{along}{cleanup_terms(shown)}"


def body(shown: Request, *, limit: int = SCREEN, room: int = ROOM) -> list[Block]:
    """What it is about: the blast radius, the items, or the steps of a collection.

    Parameters
    ----------
    limit : at most so many digests are described, in `room` characters.
    """
    if shown.action == Action.GC:
        return collection.body(shown)
    if shown.action == Action.LOCK:
        return locks.body(shown)
    if shown.action == Action.PURGE_REQUEST:
        windows = shown.plan["windows"]
        total = size(sum(int(w[2]) for w in windows))
        return [
            section(
                f"{many(len(windows), 'digest')}, {total}: afterwards undo works only until the "
                "next GC."
            )
        ]
    if shown.action == Action.UNDO:
        return paragraphs(item_lines(shown.items))
    more = f"/registry show {shown.name}" if limit == SCREEN else ""
    return blast_radius(shown, limit, more, room)


def deciding(shown: Request) -> list[Block]:
    """Who would have to agree, or who has decided."""
    if shown.state is State.PENDING:
        return paragraphs(needs(shown))
    decided = decisions(shown)
    return [context(*decided)] if decided else []


def _notes(shown: Request) -> list[str]:
    notes = []
    touches = shown.plan.get("touches")
    if touches and shown.state.is_open:
        names = listed([f"R{number}" for number in touches], 100)
        notes.append(f"Touches the same images as {names}.")
    waiting = shown.progress.get("waiting")
    if waiting and shown.state in {State.APPROVED, State.RUNNING}:
        notes.append(f"Waiting: {stop(mark_commands(str(waiting)[:400]))}")
    if Action(shown.action).untags:
        notes += _window_notes(shown)
    if shown.action == Action.PURGE and shown.state in {State.PURGED, State.PARTLY_DONE}:
        notes.append(
            "0 B freed yet: the next GC frees the bytes. Until then an undo may still work."
        )
    return notes


def _window_notes(shown: Request) -> list[str]:
    opened = [w for w in shown.windows if w.state is WindowState.OPEN]
    if opened and shown.undo_until:
        return [f"0 B freed: undo until {when(shown.undo_until)}, then GC."]
    held = [w for w in shown.windows if w.state is WindowState.HELD]
    notes = [held_line(w) for w in held[:5]]
    if len(held) > 5:
        notes.append(f"{many(len(held) - 5, 'more digest')} held.")
    purged = sum(w.state is WindowState.PURGED for w in shown.windows)
    if purged:
        notes.append(f"{many(purged, 'digest')} purged; the next GC frees the bytes.")
    return notes


def buttons(shown: Request) -> list[Block]:
    """What can be done with a request now."""
    token = shown.token
    if shown.state is State.PENDING:
        along = [button("Take signatures along", "with_signatures", token)]
        along = along if leaves_signatures(shown) else []
        if shown.approval == "confirm":
            return [
                button("Confirm", "confirm", token, style="primary"),
                *along,
                button("Cancel", "cancel", token),
            ]
        return [
            button("Approve", "approve", token, style="primary"),
            button("Deny", "deny", token, style="danger"),
            button("Details", "details", token),
            *along,
            # What a schedule asked for is nobody's own.
            *([button("Cancel", "cancel", token)] if shown.requester != BOT else []),
        ]
    if shown.state is State.RUNNING and shown.action == Action.GC and not shown.abort_by:
        return [
            button(
                "Abort",
                "abort",
                token,
                style="danger",
                confirm=(
                    "Abort this collection?",
                    "It is killed, and the registry is made writable again. What it has not "
                    "deleted stays until the next one.",
                    "Abort it",
                ),
            )
        ]
    if shown.state is State.OUTDATED and Action(shown.action).has_plan:
        return [button("Request again", "again", token), button("Details", "details", token)]
    if shown.state.is_open:
        return []
    if Action(shown.action).untags and any(w.state is WindowState.OPEN for w in shown.windows):
        return [
            button("Undo", "undo", token),
            button("Purge now", "purge_now", token),
            button("Details", "details", token),
        ]
    if shown.action == Action.GC:
        return [button("Details", "details", token)]
    return []
