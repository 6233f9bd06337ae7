"""Empty repositories in the message of a collection: found, to go, gone or left alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.operations.emptying import PLANNED
from bot.rules.approval import Request, State
from bot.slack.limits import code
from bot.slack.views.blocks import Block, button, fitting, listed, many, section, size, words

_ROOM = 1200
_KEPT = 600


def before(shown: Request) -> list[Block]:
    """What the request removes; or what it could remove, with the button for it."""
    plan = shown.plan
    seen = plan.get("empty")
    if not seen:
        return []
    going = plan.get(PLANNED) or []
    kept = _kept(seen["kept"])
    if going:
        return [section("\n".join([_going(going, seen), *kept]))]
    if not seen["names"]:
        return [section("\n".join(kept))] if kept else []
    text = f"*{_count(seen['names'])}*: {_names(seen['names'])}. They stay."
    block = section("\n".join([text, *kept]))
    if shown.state is State.PENDING:
        count = _count(seen["names"])
        block["accessory"] = button(f"Remove {count} too", "remove_empty", shown.token)
    return [block]


def found(seen: Mapping[str, Any]) -> list[Block]:
    """What a dry run found, and how they go."""
    kept = _kept(seen["kept"])
    if not seen["names"]:
        return [section("\n".join(kept))] if kept else []
    how = (
        "No collection removes them by itself; the request for one has a button for it."
        if seen["removable"]
        else "They stay: the bot may not write to the storage, or pushes go on while it collects."
    )
    text = f"*{_count(seen['names'])}*: {_names(seen['names'])}. {how}"
    return [section("\n".join([text, *kept]))]


def is_whole(shown: Request) -> bool:
    """Whether the message names every repository that goes."""
    return _shown(shown.plan.get(PLANNED) or []) == len(shown.plan.get(PLANNED) or [])


def text_before(shown: Request) -> str:
    """The same in a sentence; "" where there is nothing to say."""
    found = shown.plan.get("empty")
    if not found:
        return ""
    if going := shown.plan.get(PLANNED):
        return f"Removes {_count(going)} too: {_names(going)}."
    return f"{_count(found['names'])} would stay." if found["names"] else ""


def after(shown: Request) -> list[str]:
    """What became of them, as lines; none where none were to go."""
    going = shown.plan.get(PLANNED)
    if not going:
        return []
    done = shown.result.get("emptied")
    if done is None:
        return [f"*Not removed* {_count(going)}: the collection did not come that far."]
    lines = []
    if done["removed"]:
        uploads = f", with {size(done['bytes'])} of unfinished uploads" if done["bytes"] else ""
        lines.append(f"*Removed* {_count(done['removed'])}: {_names(done['removed'])}{uploads}")
    return [*lines, *_kept(done["kept"])]


def _going(going: Sequence[str], found: Mapping[str, Any]) -> str:
    uploads = ""
    if found["uploads"]:
        uploads = f" {many(found['uploads'], 'unfinished upload')} in them ({size(found['bytes'])})"
        uploads += f" {'goes' if found['uploads'] == 1 else 'go'} too."
    rest = "" if _shown(going) == len(going) else " All names are in the CSV file in the thread."
    return (
        f":wastebasket: *Removes {_count(going)}* after the collection, each if it still has no "
        f"tag and no manifest: {_names(going)}.{uploads}{rest} Repositories nested in them stay."
    )


def _kept(kept: Sequence[Sequence[str]]) -> list[str]:
    if not kept:
        return []
    lines = [f"{code(name, 150)} ({words(why, 200)})" for name, why in kept]
    return [f"*Left alone* {listed(lines, _KEPT)}"]


def _count(names: Sequence[str]) -> str:
    return many(len(names), "empty repository", "empty repositories")


def _names(names: Sequence[str]) -> str:
    return listed([code(name, 150) for name in names], _ROOM)


def _shown(names: Sequence[str]) -> int:
    if not names:
        return 0
    return max(1, fitting([code(name, 150) for name in names], _ROOM, between=2))
