"""What a deletion touches: digest by digest, tag by tag, with what became of each."""

from collections.abc import Sequence

from bot.rules.approval import Item, ItemState, Request, Window
from bot.rules.plan import DeletionPlan
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
from bot.slack.views.digest import digest_text, is_cut, mark

SCREEN = 12
"""So many digests are a screenful: with more, a message shows a summary and the first few."""

_FIRST = 5
_DELETIONS = {Action.DELETE, Action.PURGE}


def leaves_signatures(shown: Request) -> bool:
    """Whether the images of a plan go without signatures that could go along."""
    if shown.action not in _DELETIONS or shown.emergency:
        return False
    return bool(DeletionPlan.from_json(shown.plan).orphans)


def is_whole(shown: Request) -> bool:
    """Whether the message of a deletion shows all of its plan."""
    plan = DeletionPlan.from_json(shown.plan)
    if len(plan.digests) > SCREEN or any(is_cut(planned) for planned in plan.digests):
        return False
    texts = _digest_texts(shown, plan, SCREEN)
    return fitting(texts) == len(texts)


def blast_radius(shown: Request, limit: int, more: str, room: int = ROOM) -> list[Block]:
    """The blast radius, digest by digest, with the outcome of each item.

    Parameters
    ----------
    limit : at most so many digests are described.
    more : the command that shows more of them; "" if there is none.
    room : so many characters of them; more than a message takes is for views.
    """
    plan = DeletionPlan.from_json(shown.plan)
    blocks: list[Block] = []
    if more and not is_whole(shown):
        blocks += paragraphs(_in_short(plan))
        limit = min(limit, _FIRST)
    texts = _digest_texts(shown, plan, limit)
    count = max(1, fitting(texts, room))
    blocks += [section(t) for t in texts[:count]] if room <= ROOM else paragraphs(texts[:count])
    if len(plan.digests) > count:
        rest = many(len(plan.digests) - count, "more digest")
        file = ", and the CSV file in the thread" if shown.channel else ""
        where = f". All of them: {code(more)}{file}" if more else ""
        blocks.append(section(f"… and {rest}{where}"))
    elif more and shown.channel and not is_whole(shown):
        blocks.append(section("Every tag of it is in the CSV file in the thread."))
    if shown.state.is_open:
        blocks.append(section(_frees(plan)))
    warnings = [mark_commands(warning[:500]) for warning in plan.warnings]
    warnings = [warning for warning in warnings if warning.strip()]
    if warnings and shown.state.is_open:
        blocks.append(context(*warnings[: max(1, fitting(warnings, 2000))]))
    return blocks


def consequences(shown: Request) -> list[str]:
    """What an open deletion frees and leaves behind, in sentences for a plain text."""
    if not Action(shown.action).has_plan or not shown.state.is_open:
        return []
    plan = DeletionPlan.from_json(shown.plan)
    stay = sum(note.kind == "stays" for planned in plan.digests for note in planned.notes)
    left = listed([code(f"{repository}:{tag}") for repository, tag in plan.orphans], 600)
    return [
        stop(_frees(plan).replace("*", "")),
        *([f"{many(stay, 'image')} {_stay(stay)}, something else needs it."] if stay else []),
        *([f"Left without an image: {left}."] if left else []),
    ]


def _frees(plan: DeletionPlan) -> str:
    where = many(len(plan.repositories), "repository", "repositories")
    if plan.unique_everywhere is None or not plan.coverage:
        return f"*Frees* about {size(plan.unique_bytes)} in the end, an estimate within {where}"
    said = (
        f"*Frees* about {size(plan.unique_everywhere)} in the end, an estimate: nothing else "
        f"needs them {plan.coverage}"
    )
    if plan.unique_everywhere != plan.unique_bytes:
        said += f". Within {where} alone it would be {size(plan.unique_bytes)}"
    return said


def _in_short(plan: DeletionPlan) -> list[str]:
    """What a plan does that is too long to be shown, in a few lines."""
    repositories = many(len(plan.repositories), "repository", "repositories")
    tags, digests = many(len(plan.tags), "tag"), many(len(plan.digests), "digest")
    lines = [f"*In short* {tags} on {digests} in {repositories}"]
    for repository in plan.repositories[:_FIRST]:
        own = [d for d in plan.digests if d.repository == repository]
        count = many(sum(len(d.tags) for d in own), "tag")
        frees = size(sum(d.frees for d in own))
        lines.append(f"• {code(repository)}: {count} on {many(len(own), 'digest')}, frees {frees}")
    if len(plan.repositories) > _FIRST:
        lines.append(f"• and {many(len(plan.repositories) - _FIRST, 'more repository', 'more')}")
    kinds = [note.kind for planned in plan.digests for note in planned.notes]
    stay = kinds.count("stays")
    if stay:
        lines.append(f"• {many(stay, 'image')} {_stay(stay)}: something else needs it")
    if plan.along:
        lines.append(f"• {many(len(plan.along), 'signature tag')} along with their images")
    if plan.orphans:
        lines.append(
            f"• {many(len(plan.orphans), 'signature tag')} left without an image: "
            f"{code('--with-signatures')} takes them along"
        )
    if kinds.count("date"):
        lines.append(f"• {many(kinds.count('date'), 'image')} dated before 1971: no real date")
    if kinds.count("name"):
        lines.append(f"• {many(kinds.count('name'), 'tag')} that could be read as a digest")
    return lines


def _stay(count: int) -> str:
    return "stays" if count == 1 else "stay"


_TROUBLE = {ItemState.FAILED, ItemState.MOVED}


def _digest_texts(shown: Request, plan: DeletionPlan, limit: int) -> list[str]:
    by_tag = {(i.repository, i.tag): i for i in shown.items}
    by_digest = {(i.repository, i.digest): i for i in shown.items if not i.tag}
    # What did not go well must not be among those that are left out.
    trouble = {(i.repository, i.digest) for i in shown.items if i.state in _TROUBLE}
    first = sorted(plan.digests, key=lambda d: (d.repository, d.digest) not in trouble)
    return [
        digest_text(planned, by_tag, by_digest.get((planned.repository, planned.digest)), shown)
        for planned in first[:limit]
    ]


def item_lines(items: Sequence[Item]) -> list[str]:
    """What an undo puts back, tag by tag, with the outcome."""
    lines = [
        f"• {code(f'{i.repository}:{i.tag}')} on {code(i.digest[:19])}{mark(i)}" for i in items
    ]
    count = fitting(lines)
    rest = len(lines) - count
    return [*lines[:count], *([f"… and {many(rest, 'more tag')}"] if rest else [])]


def held_line(window: Window) -> str:
    """Why one digest was not purged; the holder may be a name or what the registry said."""
    name = code(f"{window.repository}@{window.digest[:19]}")
    return stop(f"{name} is held: {words(window.holder, 300) or 'something needs it'}")
