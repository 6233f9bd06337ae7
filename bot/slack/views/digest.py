"""One digest of a plan in a few lines: what goes, what stays and why, what became of it."""

from collections.abc import Sequence

from bot.rules.approval import Item, ItemState, Request
from bot.rules.plan import PlannedDigest
from bot.rules.policy import Action
from bot.rules.signing import kind_of
from bot.slack.limits import code
from bot.slack.views.blocks import fitting, listed, many, mark_commands, size, words

_GOES, _KEPT, _OVER, _SIGNED = 1000, 500, 400, 300
_CHILDREN = 4


def digest_text(
    planned: PlannedDigest,
    by_tag: dict[tuple[str, str], Item],
    whole: Item | None,
    shown: Request,
) -> str:
    """The lines of one digest.

    Parameters
    ----------
    by_tag : the items of the request, by repository and tag.
    whole : the item of the digest as such, in a purge.
    """
    lines = [_head(planned, shown) + (mark(whole) if whole else "")]
    names = []
    for tag in planned.tags:
        item = by_tag.get((planned.repository, tag))
        names.append(code(f"{planned.repository}:{tag}") + (mark(item) if item else ""))
    if names:
        goes = "goes" if shown.state.is_open else "asked for"
        lines.append(f"• {goes}: {listed(names, _GOES)}")
    if planned.kept_tags:
        lines.append(f"• stays, on the same image: {_codes(planned.kept_tags, _KEPT)}")
    if planned.parents:
        lines.append("• is part of " + (_codes(_over(planned), _OVER) or _indexes(planned)))
    if shown.state.is_open:
        lines += _signatures(planned)
        lines += _children(planned, at_once=shown.action == Action.PURGE)
        lines += _notes(planned)
    return "\n".join(lines)


def is_cut(planned: PlannedDigest) -> bool:
    """Whether a digest has more to say than its lines show."""
    names = [code(f"{planned.repository}:{tag}") for tag in planned.tags]
    lists = (
        (names, _GOES),
        ([code(tag) for tag in planned.kept_tags], _KEPT),
        ([code(tag) for tag in _over(planned)], _OVER),
        ([code(a.tag) for a in planned.attached if not a.goes], _SIGNED),
    )
    if any(fitting(found, room, between=2) < len(found) for found, room in lists):
        return True
    return sum(b.outcome == "stays" for b in planned.below) > _CHILDREN


def _head(planned: PlannedDigest, shown: Request) -> str:
    kind = "multi-arch image" if planned.is_index else "image"
    if planned.signs and planned.tags:
        kind = kind_of(planned.tags[0])
    frees = ""
    if shown.state.is_open and planned.everywhere is not None and planned.frees != planned.size:
        frees = f", frees {size(planned.frees)}"
    where = words(", ".join(planned.platforms[:6]), 150) if planned.platforms else ""
    name = code(f"{planned.repository}@{planned.digest[:19]}")
    return f"{kind} {name} · {size(planned.size)}{frees}" + (f" · {where}" if where else "")


def _over(planned: PlannedDigest) -> list[str]:
    return [f"{planned.repository}:{tag}" for parent in planned.parents for tag in parent.tags]


def _indexes(planned: PlannedDigest) -> str:
    return many(len(planned.parents), "index", "indexes")


def _signatures(planned: PlannedDigest) -> list[str]:
    """Signature tags that do not go, as far as is known what becomes of them."""
    orphans = [a.tag for a in planned.attached if a.orphaned]
    known = {a.tag for a in planned.attached}
    stay = [a.tag for a in planned.attached if not a.goes and not a.orphaned]
    stay += [tag for tag in planned.signatures if tag not in known]
    lines = []
    if stay:
        lines.append(f"• its signature tags stay: {_codes(stay, _SIGNED)}")
    if orphans:
        kinds = words(", ".join(dict.fromkeys(a.kind for a in planned.attached if a.orphaned)), 80)
        lines.append(
            f"• left without an image: {_codes(orphans, _SIGNED)} ({kinds}); "
            f"{code('--with-signatures')} takes {'it' if len(orphans) == 1 else 'them'} along"
        )
    return lines


def _children(planned: PlannedDigest, *, at_once: bool) -> list[str]:
    lines = []
    if planned.children and at_once:
        lines.append(f"• takes {many(len(planned.children), 'image')} inside it along")
    elif planned.children and planned.below:
        it = many(len(planned.children), "image")
        lines.append(f"• {it} inside it will go with it")
    # An index that stays keeps all of them: that need not be said of each.
    stay = [b for b in planned.below if b.outcome == "stays" and b.why != "stays with its index"]
    for one in stay[:_CHILDREN]:
        platform = f"{words(one.platform, 60)} " if one.platform else ""
        lines.append(f"• the child {platform}{code(one.digest[:19])} {mark_commands(one.why)}")
    if len(stay) > _CHILDREN:
        lines.append(f"• {many(len(stay) - _CHILDREN, 'more child', 'more children')} stay")
    missing = sum(b.outcome == "missing" for b in planned.below)
    if missing:
        lines.append(f"• {many(missing, 'image')} inside it the registry does not have")
    return lines


def _notes(planned: PlannedDigest) -> list[str]:
    # Tags that stay on the image are named above already.
    said = [n for n in planned.notes if not (n.kind == "stays" and planned.kept_tags)]
    return [f"• {mark_commands(note.text[:600])}" for note in said]


def mark(item: Item) -> str:
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


def _codes(names: Sequence[str], room: int) -> str:
    return listed([code(name) for name in names], room)
