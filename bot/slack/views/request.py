"""The one message of a request: who, what, why, the blast radius, and what became of it."""

from collections.abc import Sequence

from bot.rules.approval import Item, ItemState, Request, State, WindowState
from bot.rules.plan import DeletionPlan, PlannedDigest
from bot.rules.policy import Action
from bot.slack.limits import code, escape
from bot.slack.views import collection
from bot.slack.views.blocks import (
    Block,
    Message,
    actions,
    button,
    context,
    many,
    message,
    section,
    size,
    when,
)

_ITEMS = 12
_SAYS = {
    State.PENDING: ":hourglass_flowing_sand: waiting",
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
    Action.PURGE: "purge",
    Action.PURGE_REQUEST: "end the undo window of",
    Action.UNDO: "put back what was deleted by",
    Action.GC: "collect garbage on",
}


def request(shown: Request) -> Message:
    """The message as it stands now; the same for everybody in the channel."""
    blocks = [
        section(f"*{shown.name}* · {_SAYS[shown.state]}{_outcome(shown)}"),
        section(_what(shown)),
    ]
    if shown.reason:
        blocks.append(section(f"*Why* {escape(shown.reason)}"))
    blocks += _body(shown)
    blocks += _deciding(shown)
    notes = _notes(shown)
    if notes:
        blocks.append(context(*notes))
    buttons = _buttons(shown)
    if buttons:
        blocks.append(actions(*buttons))
    return message(_text(shown), blocks)


def _outcome(shown: Request) -> str:
    why = shown.result.get("why")
    if shown.state is State.OUTDATED:
        return f": {escape(str(why))}. Nothing was deleted." if why else ""
    if shown.state in {State.FAILED, State.EXPIRED, State.ABORTED} and why:
        return f": {escape(str(why))}"
    if shown.state is State.EXPIRED:
        return ": nobody decided in time. Nothing was changed."
    return ""


def _what(shown: Request) -> str:
    verb = _VERBS[Action(shown.action)]
    who = f"<@{shown.requester}>"
    if shown.action in {Action.UNDO, Action.PURGE_REQUEST}:
        return f"{who} asks to {verb} *R{shown.subject}* on {escape(shown.registry)}"
    if shown.action == Action.GC:
        return f"{who} asks to {verb} *{escape(shown.registry)}*"
    plan = DeletionPlan.from_json(shown.plan)
    if shown.action == Action.PURGE:
        return (
            f"{who} asks to *purge* {many(len(plan.digests), 'digest')} with "
            f"{many(len(plan.tags), 'tag')} on {escape(shown.registry)}, *without an undo window*"
        )
    return f"{who} asks to *delete* {many(len(plan.tags), 'tag')} on {escape(shown.registry)}"


def _body(shown: Request) -> list[Block]:
    if shown.action == Action.GC:
        return collection.body(shown)
    if shown.action == Action.PURGE_REQUEST:
        windows = shown.plan["windows"]
        total = sum(int(w[2]) for w in windows)
        return [
            section(
                f"{many(len(windows), 'digest')}, {size(total)}, can then no longer be put back "
                "for certain."
            )
        ]
    if shown.action == Action.UNDO:
        return [section("\n".join(_item_lines(shown.items)))]
    return deletion_body(shown)


def deletion_body(shown: Request, *, limit: int = _ITEMS) -> list[Block]:
    """The blast radius, digest by digest, with the outcome of each item."""
    plan = DeletionPlan.from_json(shown.plan)
    blocks = [section(line) for line in _digest_texts(shown, plan, limit)]
    if len(plan.digests) > limit:
        blocks.append(section(f"… and {len(plan.digests) - limit} more digests (Details)"))
    if not shown.state.has_changed_something and shown.state is not State.UNDONE:
        blocks.append(
            section(
                f"*Frees* about {size(plan.unique_bytes)} in the end, an estimate within "
                f"{many(len(plan.repositories), 'repository', 'repositories')}"
            )
        )
    if plan.warnings and shown.state.is_open:
        blocks.append(context(*(escape(w) for w in plan.warnings)))
    return blocks


def _digest_texts(shown: Request, plan: DeletionPlan, limit: int) -> list[str]:
    by_tag = {(i.repository, i.tag): i for i in shown.items}
    by_digest = {(i.repository, i.digest): i for i in shown.items if not i.tag}
    return [
        _digest_text(planned, by_tag, by_digest.get((planned.repository, planned.digest)), shown)
        for planned in plan.digests[:limit]
    ]


def _digest_text(
    planned: PlannedDigest,
    by_tag: dict[tuple[str, str], Item],
    whole: Item | None,
    shown: Request,
) -> str:
    kind = "multi-arch image" if planned.is_index else "image"
    lines = [
        f"{kind} {code(f'{planned.repository}@{planned.digest[:19]}')} · {size(planned.size)}"
        + (f" · {escape(', '.join(planned.platforms[:6]))}" if planned.platforms else "")
        + (_mark(whole) if whole else "")
    ]
    names = []
    for tag in planned.tags[:20]:
        item = by_tag.get((planned.repository, tag))
        names.append(code(f"{planned.repository}:{tag}") + (_mark(item) if item else ""))
    rest = f" and {len(planned.tags) - 20} more" if len(planned.tags) > 20 else ""
    if names:
        lines.append(f"• goes: {', '.join(names)}{rest}")
    if planned.kept_tags:
        lines.append(f"• stays, on the same image: {_codes(planned.kept_tags)}")
    if planned.parents:
        over = [f"{planned.repository}:{t}" for p in planned.parents for t in p.tags]
        lines.append(
            "• is part of "
            + (_codes(over) if over else many(len(planned.parents), "index", "indexes"))
        )
    if planned.signatures and shown.state.is_open:
        lines.append(f"• its signature tags stay: {_codes(planned.signatures)}")
    if planned.children and shown.action == Action.PURGE:
        lines.append(f"• takes {many(len(planned.children), 'image')} inside it along")
    return "\n".join(lines)


def _mark(item: Item) -> str:
    """What became of one item, in a few words."""
    detail = f" ({escape(item.detail)})" if item.detail else ""
    marks = {
        ItemState.WAITING: "",
        ItemState.ATTEMPTING: " …",
        ItemState.DONE: f" :white_check_mark: done{detail}",
        ItemState.MOVED: f" :warning: skipped: moved{detail}",
        ItemState.FAILED: f" :x: failed{detail}",
        ItemState.RESTORED: f" :white_check_mark: restored{detail}",
    }
    return marks[item.state]


def _item_lines(items: Sequence[Item]) -> list[str]:
    lines = [
        f"• {code(f'{i.repository}:{i.tag}')} on {code(i.digest[:19])}{_mark(i)}"
        for i in items[:_ITEMS]
    ]
    if len(items) > _ITEMS:
        lines.append(f"… and {len(items) - _ITEMS} more")
    return lines


def _codes(names: Sequence[str], limit: int = 10) -> str:
    shown = ", ".join(code(name) for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _deciding(shown: Request) -> list[Block]:
    if shown.state is not State.PENDING:
        people = ", ".join(f"<@{user}>" for user in shown.approved_by)
        word = "Confirmed" if shown.approval == "confirm" else "Approved"
        return [context(f"{word} by {people}")] if people else []
    if shown.approval == "confirm":
        who = f"<@{shown.requester}> alone confirms this"
    else:
        names = ", ".join(f"<@{user}>" for user in shown.approvers[:20])
        own = "" if shown.allow_self_approval else ", not the requester"
        who = f"Needs {many(shown.approvals_needed, 'approval')} of {names}{own}"
        so_far = ", ".join(f"<@{user}>" for user in shown.approved_by)
        who += f". So far: {so_far}" if so_far else ""
    return [section(f"{who}. Rule {code(shown.rule)}. Expires {when(shown.expires_at)}.")]


def _notes(shown: Request) -> list[str]:
    notes = []
    touches = shown.plan.get("touches")
    if touches and shown.state.is_open:
        names = ", ".join(f"R{number}" for number in touches[:5])
        notes.append(f"Touches the same images as {names}.")
    waiting = shown.progress.get("waiting")
    if waiting and shown.state in {State.APPROVED, State.RUNNING}:
        notes.append(f"Waiting: {escape(str(waiting))}")
    if shown.action == Action.DELETE:
        notes += _window_notes(shown)
    if shown.action == Action.PURGE and shown.state is State.PURGED:
        notes.append("0 B freed yet: the next GC frees them. Until then an undo may still work.")
    return notes


def _window_notes(shown: Request) -> list[str]:
    opened = [w for w in shown.windows if w.state is WindowState.OPEN]
    if opened and shown.undo_until:
        return [f"0 B freed: undo until {when(shown.undo_until)}, then GC."]
    held = [w for w in shown.windows if w.state is WindowState.HELD]
    notes = [f"{w.digest[:19]} is kept: {escape(w.holder)} needs it." for w in held[:5]]
    purged = sum(w.state is WindowState.PURGED for w in shown.windows)
    if purged:
        notes.append(f"{many(purged, 'digest')} purged; the next GC frees the bytes.")
    return notes


def _buttons(shown: Request) -> list[Block]:
    token = shown.token
    if shown.state is State.PENDING:
        if shown.approval == "confirm":
            return [
                button("Confirm", "confirm", token, style="primary"),
                button("Cancel", "cancel", token),
            ]
        return [
            button("Approve", "approve", token, style="primary"),
            button("Deny", "deny", token, style="danger"),
            button("Details", "details", token),
            button("Cancel", "cancel", token),
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
    if shown.state is State.OUTDATED and shown.action in {Action.DELETE, Action.PURGE}:
        return [button("Request again", "again", token), button("Details", "details", token)]
    if shown.action == Action.DELETE and any(w.state is WindowState.OPEN for w in shown.windows):
        return [
            button("Undo", "undo", token),
            button("Purge now", "purge_now", token),
            button("Details", "details", token),
        ]
    if shown.action == Action.GC and not shown.state.is_open:
        return [button("Details", "details", token)]
    return []


def _text(shown: Request) -> str:
    verb = _VERBS[Action(shown.action)]
    names = [
        f"{i.repository}:{i.tag}" if i.tag else f"{i.repository}@{i.digest[:19]}"
        for i in shown.items
    ]
    what = ", ".join(names[:10]) or (f"R{shown.subject}" if shown.subject else shown.registry)
    mentions = ""
    if shown.state is State.PENDING and shown.approval == "required":
        mentions = " ".join(f"<@{user}>" for user in shown.approvers[:20]) + " "
    why = f" Why: {shown.reason}" if shown.reason else ""
    said = f"{mentions}{shown.name} is {shown.state}: <@{shown.requester}> asked to {verb} "
    tail = collection.text(shown) if shown.action == Action.GC else ""
    return f"{said}{escape(what)}.{escape(why)}{_outcome(shown)}{tail}"
