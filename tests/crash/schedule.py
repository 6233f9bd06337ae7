"""What is going to happen, as a pure function of a number: who asks for what, and what breaks.

Nothing here plays anything. The same seed gives the same schedule for ever, so a schedule that
broke something is known by its number.
"""

import random
from dataclasses import dataclass, replace

from tests.support.team import ANN, BOB, CAT, EVE

LEADS = (BOB, CAT)
LAYERS = {
    # The same letters are the same image, and share its digest.
    "scratch/x": {"s1": "a", "s2": "b", "s3": "c"},
    "web/site": {"w1": "d", "w2": "e", "w3": "f", "w4": "f"},
    "team/app": {"t1": "g", "t2": "h", "t3": "i"},
}
"""What the registry holds at the beginning: repositories, their tags, and which image each is."""

CALM = 3.0
"""Seconds in which people begin what they do; faults begin within a second more."""


@dataclass(frozen=True, slots=True)
class Press:
    """Somebody presses a button, `after` seconds after the gesture before it."""

    user: str
    label: str
    after: float


@dataclass(frozen=True, slots=True)
class Story:
    """Somebody asks for something `at` some second, others decide, and perhaps it goes on.

    Parameters
    ----------
    text : what is typed behind `/registry`; its `reason` tells its request from others.
    votes : who presses what on the message of the request.
    then : `undo` (somebody asks to put it back, and confirms), `abort`, or nothing.
    """

    at: float
    who: str
    text: str
    votes: tuple[Press, ...] = ()
    then: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something breaks `at` some second, for `seconds`.

    `process` is which of the two bots (for those that concern one), `how` tells the kinds of one
    fault apart.
    """

    at: float
    kind: str
    seconds: float
    process: int = 0
    how: str = ""


@dataclass(frozen=True, slots=True)
class Schedule:
    """All of it. `collect` is how long a collection holds half-way, `window` the undo window."""

    seed: int
    database: str
    collect: float
    window: str
    stories: tuple[Story, ...]
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}: {self.database}, collections hold {self.collect} s, "
            f"undo window {self.window}"
        ]
        lines += [f"  {story}" for story in self.stories]
        lines += [f"  {fault}" for fault in self.faults]
        return "\n".join(lines)


def schedule(seed: int) -> Schedule:
    """The schedule of a seed. Even ones are played on SQLite, odd ones on PostgreSQL."""
    dice = random.Random(seed)
    kinds = ["delete", "undo", "gc", dice.choice(["purge", "delete"]), "unapproved"]
    kinds += dice.choices(list(_OFTEN), list(_OFTEN.values()), k=dice.randint(1, 3))
    stories = sorted((_STORIES[kind](dice) for kind in kinds), key=lambda story: story.at)
    faults = [_fault(dice) for _ in range(dice.randint(3, 6))]
    return Schedule(
        seed,
        "postgresql" if seed % 2 else "sqlite",
        dice.choice([0.0, 1.0, 2.5]),
        dice.choice(["24h", "24h", "3s"]),
        tuple(_reasoned(number, story) for number, story in enumerate(stories, start=1)),
        tuple(sorted(faults, key=lambda fault: fault.at)),
    )


def _reasoned(number: int, story: Story) -> Story:
    """Why somebody asks tells the requests apart, for those who read them."""
    if not story.votes:
        return story
    reason = f"story {number}"
    return replace(story, text=f'{story.text} --reason "{reason}"', reason=reason)


def _when(dice: random.Random, until: float = CALM) -> float:
    return round(dice.uniform(0.0, until), 2)


def _asker(dice: random.Random) -> str:
    return dice.choice([ANN, EVE, ANN, EVE, BOB])


def _some(dice: random.Random, repository: str = "") -> tuple[str, str]:
    """A repository, and one or two of its tags as they are typed."""
    where = repository or dice.choice(list(LAYERS))
    tags = dice.sample(list(LAYERS[where]), dice.choice([1, 1, 2]))
    return where, " ".join(f"{where}:{tag}" for tag in sorted(tags))


def _enough(dice: random.Random, where: str, who: str) -> tuple[Press, ...]:
    """Everybody presses who must, and nobody else; only `who` asks that may be outvoted."""
    if where == "scratch/x":
        return (Press(who, "Confirm", _when(dice, 0.6)),)
    leads = dice.sample(LEADS, 2)
    voting = leads if where == "team/app" else [next(lead for lead in leads if lead != who)]
    return tuple(Press(lead, "Approve", _when(dice, 0.6)) for lead in voting)


def _delete(dice: random.Random, then: str = "") -> Story:
    where, tags = _some(dice)
    who = _asker(dice) if where != "team/app" else dice.choice([ANN, EVE])
    votes = _enough(dice, where, who)
    return Story(_when(dice), who, f"delete {tags}", votes, then)


def _undo(dice: random.Random) -> Story:
    return _delete(dice, "undo")


def _purge(dice: random.Random) -> Story:
    where, tags = _some(dice, dice.choice(["web/site", "team/app"]))
    who = dice.choice([ANN, EVE])
    return Story(_when(dice), who, f"purge {tags.split()[0]}", _enough(dice, where, who))


def _gc(dice: random.Random) -> Story:
    votes = (Press(dice.choice(LEADS), "Approve", _when(dice, 0.6)),)
    then = dice.choice(["", "", "", "abort"])
    return Story(_when(dice), dice.choice([ANN, EVE]), "gc", votes, then)


def _unapproved(dice: random.Random) -> Story:
    """Not enough people press, or the wrong ones."""
    where, tags = _some(dice)
    who, lead = dice.choice([ANN, BOB]), CAT
    votes = {
        "scratch/x": [(EVE, "Confirm"), (lead, "Confirm")],
        "web/site": [(who, "Approve"), (EVE, "Approve")],
        "team/app": dice.choice(
            [[(lead, "Approve")], [(lead, "Approve")] * 2, [(who, "Approve"), (lead, "Approve")]]
        ),
    }[where]
    presses = tuple(Press(user, label, _when(dice, 0.5)) for user, label in votes)
    return Story(_when(dice), who, f"delete {tags}", presses)


def _cancelled(dice: random.Random) -> Story:
    where, tags = _some(dice)
    who = dice.choice([ANN, EVE])
    votes = [Press(who, "Cancel", _when(dice, 0.5))]
    votes += _enough(dice, where, who)
    return Story(_when(dice), who, f"delete {tags}", tuple(votes))


def _look(dice: random.Random) -> Story:
    text = dice.choice(["tags web/site", "requests --all", "repos", "audit --since 1d", "status"])
    return Story(_when(dice), _asker(dice), text)


_STORIES = {
    "delete": _delete,
    "undo": _undo,
    "purge": _purge,
    "gc": _gc,
    "unapproved": _unapproved,
    "cancelled": _cancelled,
    "look": _look,
}
_OFTEN = {"delete": 4, "undo": 4, "purge": 2, "gc": 2, "unapproved": 1, "cancelled": 1, "look": 2}

MOMENTS = {
    "before a manifest is pushed": ("PUT", r"/manifests/", False),
    "after a manifest was pushed": ("PUT", r"/manifests/", True),
    "before a manifest is deleted": ("DELETE", r"/manifests/", False),
    "after a manifest was deleted": ("DELETE", r"/manifests/", True),
    "before an upload is tried": ("POST", r"/blobs/uploads/", False),
    "after tags were listed": ("GET", r"/tags/list", True),
}
"""Calls to the registry at which a process dies or freezes: method, path, and whether after it."""

COLLECTING = "in a collection"
EDITING = "while a message is edited"


def _fault(dice: random.Random) -> Fault:
    kind = dice.choices(list(_FAULTS), [weight for weight, _, _ in _FAULTS.values()])[0]
    _, longest, ways = _FAULTS[kind]
    seconds = round(dice.uniform(0.2, longest), 2)
    return Fault(_when(dice, CALM + 1.0), kind, seconds, dice.randrange(2), dice.choice(ways))


# How often, for how many seconds at most, and in which ways.
_FAULTS: dict[str, tuple[int, float, tuple[str, ...]]] = {
    "kill": (5, 1.0, ("", "", COLLECTING, COLLECTING, COLLECTING, *MOMENTS)),
    "freeze": (4, 4.5, ("", "", COLLECTING, COLLECTING, EDITING, *MOMENTS)),
    "database": (3, 2.5, ("",)),
    "slack": (3, 2.5, ("503", "cut", "sockets")),
    "registry": (3, 2.0, ("503", "cut", "dead")),
}
