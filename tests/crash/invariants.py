"""What must be true in the end, whatever broke on the way. Each says what is wrong, in words."""

import re
from collections import Counter
from collections.abc import Iterator

from bot.rules.approval import ItemState, Request, State
from bot.rules.policy import Action
from tests.crash.looking import Seen, Tag
from tests.crash.schedule import LEADS
from tests.property.ledger import Terms

_PEOPLE = (("leads", frozenset(LEADS)),)
_ONE = Terms(_PEOPLE, ((("leads",), 1),))
_TWO = Terms(_PEOPLE, ((("leads",), 2),))
_STARTED = "request.started"
_ATTEMPTED = "tag.delete_attempted"
_ENDS = {
    State.DENIED: ("request.denied",),
    State.CANCELLED: ("request.cancelled",),
    State.EXPIRED: ("request.expired",),
    State.OUTDATED: ("request.outdated", "request.finished"),
    State.FAILED: ("request.failed", "request.finished", "gc.finished"),
}
_FINISHED = ("request.finished", "gc.finished")


def wrong(seen: Seen) -> list[str]:
    """Everything that must not be."""
    checks = (
        nothing_without_approval,
        nothing_twice,
        everybody_answered,
        trail_complete,
        no_image_broken,
        writable,
        messages_true,
        tags_as_told,
    )
    return [f"{check.__name__}: {what}" for check in checks for what in check(seen)]


def nothing_without_approval(seen: Seen) -> Iterator[str]:
    """What ran was approved by enough people, who were shown what went."""
    for request in seen.requests:
        if seen.entries(request, _STARTED) and not agreed(seen, request):
            yield f"{request.name} ran, and only {votes(seen, request)} pressed"
    shown = [
        gesture.shown
        for request in seen.requests
        if request.action in {Action.DELETE, Action.PURGE} and agreed(seen, request)
        for gesture in seen.played.gestures
        if gesture.number == request.id
    ]
    for repository, tag in seen.world.images.keys() - seen.tags.keys():
        pattern = re.compile(rf"\b{tag}\b")
        if not any(repository in text and pattern.search(text) for text in shown):
            yield f"{repository}:{tag} is gone, and nobody who approved was shown it"


def votes(seen: Seen, request: Request) -> list[str]:
    """Who pressed a button that agrees, whether or not anything came of it."""
    return [
        gesture.user
        for gesture in seen.played.gestures
        if gesture.number == request.id and gesture.what in {"Approve", "Confirm"}
    ]


def agreed(seen: Seen, request: Request) -> bool:
    """Whether those were enough, as the manual has it and without any code of the bot's."""
    if request.action == Action.UNDO or {i.repository for i in request.items} == {"scratch/x"}:
        return request.requester in votes(seen, request)
    two = any(item.repository.startswith("team/") for item in request.items)
    return (_TWO if two else _ONE).is_complete(votes(seen, request), request.requester)


def nothing_twice(seen: Seen) -> Iterator[str]:
    """Each effect is there once for each request that has it."""
    wanted = Counter[Tag]()
    for request in seen.requests:
        if request.action in {Action.DELETE, Action.UNDO}:
            touched = [i for i in request.items if i.state is not ItemState.WAITING]
            wanted.update((i.repository, i.tag) for i in touched)
            # A process that was paused right before its push makes it when it wakes up, beside
            # the one that its successor made; it is taken back, which `tags_as_told` looks at.
            tries = Counter((e.repository, e.tag) for e in seen.entries(request, _ATTEMPTED))
            wanted.update({tag: count - 1 for tag, count in tries.items()})
    puts = Counter((c.repository, c.reference) for c in seen.changes if c.method == "PUT")
    for tag, count in puts.items():
        if count > wanted[tag]:
            yield f"{tag} was pushed {count} times for {wanted[tag]} requests"
    deleted = Counter((c.repository, c.reference) for c in seen.changes if c.method == "DELETE")
    for (repository, digest), count in deleted.items():
        back = sum(puts[r, t] for (r, t), image in seen.world.images.items()
                   if r == repository and image.digest == digest)  # fmt: skip
        if count > 1 + back:
            yield f"{repository}@{digest} was deleted {count} times"
    begun = [seen.entries(r, "gc.step") for r in seen.requests if r.action == Action.GC]
    collects = [sum(e.detail.get("step") == "collect" for e in entries) for entries in begun]
    runs = [word for word, _ in seen.world.collections()]
    if any(count > 1 for count in collects) or runs.count("begin") > sum(collects):
        yield f"{runs.count('begin')} collections ran; the trail has {collects}"
    aborted = any(r.abort_by for r in seen.requests)
    if not aborted and runs != ["begin", "end"] * (len(runs) // 2):
        yield f"collections overlapped: {runs}"


def everybody_answered(seen: Seen) -> Iterator[str]:
    """What was acknowledged was answered; of what was not, Slack told the person."""
    made = Counter(_asked(request) for request in seen.requests)
    for gesture in seen.played.gestures:
        if not gesture.acked:
            if not gesture.error:
                yield f"{gesture.user}'s {gesture.what} was lost without a word"
        elif not gesture.answered:
            key = (gesture.user, *_meant(gesture.what, gesture.number))
            made[key] -= 1
            if made[key] < 0:
                yield f"{gesture.user} got no answer to {gesture.what} on R{gesture.number}"


def _asked(request: Request) -> tuple[str, ...]:
    """A request, as the command that made it can be known: one speaks for itself."""
    if request.action == Action.UNDO:
        return request.requester, "Undo", f"R{request.subject}"
    where = {item.repository for item in request.items}
    return request.requester, request.action, *sorted(where)


def _meant(what: str, number: int) -> tuple[str, ...]:
    if what == "Undo":
        return what, f"R{number}"
    where = {word.partition(":")[0] for word in what.split() if "/" in word}
    return what.split()[0], *sorted(where)


def trail_complete(seen: Seen) -> Iterator[str]:
    """Every request, decision, attempt and outcome is in the trail, and the trail is whole."""
    yield from map(str, seen.chain.problems)
    for request in seen.requests:
        if len(seen.entries(request, "request.created")) != 1:
            yield f"{request.name} was not created once"
        for decision in request.decisions:
            event = "request.approved" if decision.approves else "request.denied"
            if decision.user not in {e.actor for e in seen.entries(request, event)}:
                yield f"{request.name}: the decision of {decision.user} is missing"
        if request.state is not State.PENDING:
            ends = _ENDS.get(request.state, _FINISHED)
            if len(seen.entries(request, *ends)) != 1:
                events = [entry.event for entry in seen.entries(request)]
                yield f"{request.name} is {request.state}; the trail has {events}"
        for item in request.items:
            events = [e.event for e in seen.entries(request) if _about(e.tag, e.digest, item)]
            told = ("tag.deleted", "digest.deleted", "tag.restored")
            if item.state in {ItemState.DONE, ItemState.RESTORED} and not set(told) & set(events):
                yield f"{request.name}: {item.tag or item.digest} is {item.state}; {events}"
    attempts = {e.detail.get("placeholder") for e in seen.trail}
    attempts |= {e.digest for e in seen.trail if e.event == "digest.delete_attempted"}
    for change in seen.changes:
        if change.method == "DELETE" and change.reference not in attempts:
            yield f"nobody wrote down that {change.reference} would be deleted"


def _about(tag: str, digest: str, item: object) -> bool:
    return (tag, digest) == (getattr(item, "tag", ""), getattr(item, "digest", ""))


def no_image_broken(seen: Seen) -> Iterator[str]:
    """Whatever has a tag can be pulled, what was pushed is there, and never beside a collection."""
    yield from seen.broken
    for push in seen.world.pushes:
        if seen.tags.get((push.repository, push.tag)) != push.image.digest:
            yield f"{push.repository}:{push.tag} was pushed, and is not there"
    began = 0.0
    for word, at in seen.world.collections():
        if word == "begin":
            began = at
            continue
        inside = [p.tag for p in seen.world.pushes if began < p.began and p.ended < at]
        if inside:
            yield f"{inside} were accepted beside a collection"


def writable(seen: Seen) -> Iterator[str]:
    """The registry takes pushes."""
    if not seen.writable:
        yield f"the registry is {seen.world.team.registry.status()}"


def messages_true(seen: Seen) -> Iterator[str]:
    """The message of every request says what the store says, and offers what can be done."""
    says = {State.FAILED: "has failed", State.EXPIRED: "has expired"}
    for request in seen.requests:
        words = f"{request.name} {says.get(request.state, f'is {request.state}')}"
        found = seen.messages(request)
        if len(found) != 1:
            yield f"{request.name} has {len(found)} messages in the channel"
        elif not re.search(rf"\b{words}\b", found[0].text):
            yield f"{words}, and its message says: {found[0].text[:200]}"
        elif (request.state is State.PENDING) != bool({"Approve", "Confirm"} & {*found[0].buttons}):
            yield f"{words}, and its message offers {found[0].buttons}"
        elif request.state.is_open and request.state is not State.PENDING:
            yield f"{words} for ever"


def tags_as_told(seen: Seen) -> Iterator[str]:
    """What the registry has is what the requests, one after the other, say they have done."""
    now: dict[Tag, str] = {tag: image.digest for tag, image in seen.world.images.items()}
    ended = [r for r in seen.requests if r.finished_at]
    for request in sorted(ended, key=lambda r: r.finished_at or 0):
        for item in request.items:
            if item.state is ItemState.RESTORED:
                now[item.repository, item.tag] = item.digest
            elif item.state is ItemState.DONE and item.tag:
                now.pop((item.repository, item.tag), None)
            elif item.state is ItemState.DONE:
                gone = [t for t, d in now.items() if (t[0], d) == (item.repository, item.digest)]
                for tag in gone:
                    del now[tag]
    for tag in seen.world.images:
        if now.get(tag) != seen.tags.get(tag):
            yield f"{tag} should be on {now.get(tag)}, and is on {seen.tags.get(tag)}"
