"""What a deletion touches: digest by digest, tag by tag, with what became of each."""

from collections.abc import Sequence

from bot.rules.approval import Item, ItemState, Request, Window
from bot.rules.plan import DeletionPlan, PlannedDigest
from bot.rules.policy import Action
from bot.slack.limits import code
from bot.slack.views.blocks import (
    ROOM,
    Block,
    context,
    fitting,
    listed,
    many,
    mark_commands,
    paragraphs,
    section,
    size,
    stop,
    words,
)


def blast_radius(shown: Request, limit: int, more: str, room: int = ROOM) -> list[Block]:
    """The blast radius, digest by digest, with the outcome of each item.

    Parameters
    ----------
    limit : at most so many digests are described.
    more : the command that shows more of them; "" if there is none.
    room : so many characters of them; more than a message takes is for views.
    """
    plan = DeletionPlan.from_json(shown.plan)
    texts = _digest_texts(shown, plan, limit)
    count = max(1, fitting(texts, room))
    blocks = [section(t) for t in texts[:count]] if room <= ROOM else paragraphs(texts[:count])
    if len(plan.digests) > count:
        rest = len(plan.digests) - count
        where = f": {code(more)}" if more else ""
        blocks.append(section(f"… and {many(rest, 'more digest')}{where}"))
    if shown.state.is_open:
        where = many(len(plan.repositories), "repository", "repositories")
        blocks.append(
            section(
                f"*Frees* about {size(plan.unique_bytes)} in the end, an estimate within {where}"
            )
        )
    warnings = [mark_commands(warning[:500]) for warning in plan.warnings]
    warnings = [warning for warning in warnings if warning.strip()]
    if warnings and shown.state.is_open:
        blocks.append(context(*warnings[: max(1, fitting(warnings, 2000))]))
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
        + (f" · {words(', '.join(planned.platforms[:6]), 150)}" if planned.platforms else "")
        + (_mark(whole) if whole else "")
    ]
    names = []
    for tag in planned.tags:
        item = by_tag.get((planned.repository, tag))
        names.append(code(f"{planned.repository}:{tag}") + (_mark(item) if item else ""))
    if names:
        goes = "goes" if shown.state.is_open else "asked for"
        lines.append(f"• {goes}: {listed(names, 1000)}")
    if planned.kept_tags:
        lines.append(f"• stays, on the same image: {_codes(planned.kept_tags, 500)}")
    if planned.parents:
        over = [f"{planned.repository}:{t}" for p in planned.parents for t in p.tags]
        lines.append(
            "• is part of "
            + (_codes(over, 400) if over else many(len(planned.parents), "index", "indexes"))
        )
    if planned.signatures and shown.state.is_open:
        lines.append(f"• its signature tags stay: {_codes(planned.signatures, 300)}")
    if planned.children and shown.action == Action.PURGE:
        lines.append(f"• takes {many(len(planned.children), 'image')} inside it along")
    return "\n".join(lines)


def _mark(item: Item) -> str:
    """What became of one item, in a few words."""
    detail = f" ({words(item.detail, 200)})" if item.detail else ""
    marks = {
        ItemState.WAITING: "",
        ItemState.ATTEMPTING: " …",
        ItemState.DONE: f" :white_check_mark: done{detail}",
        ItemState.MOVED: f" :warning: skipped: moved{detail}",
        ItemState.LOCKED: f" :lock: skipped: locked{detail}",
        ItemState.FAILED: f" :x: failed{detail}",
        ItemState.RESTORED: f" :white_check_mark: restored{detail}",
    }
    return marks[item.state]


def item_lines(items: Sequence[Item]) -> list[str]:
    """What an undo puts back, tag by tag, with the outcome."""
    lines = [
        f"• {code(f'{i.repository}:{i.tag}')} on {code(i.digest[:19])}{_mark(i)}" for i in items
    ]
    count = fitting(lines)
    rest = len(lines) - count
    return [*lines[:count], *([f"… and {many(rest, 'more tag')}"] if rest else [])]


def held_line(window: Window) -> str:
    """Why one digest was not purged; the holder may be a name or what the registry said."""
    name = code(f"{window.repository}@{window.digest[:19]}")
    return stop(f"{name} is held: {words(window.holder, 300) or 'something needs it'}")


def _codes(names: Sequence[str], room: int) -> str:
    return listed([code(name) for name in names], room)
