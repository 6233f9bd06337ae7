"""Steps of approval: who fills which place, and what is missing. One person fills one place."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bot.rules.rule import Step


@dataclass(frozen=True, slots=True)
class StepStanding:
    """One step, and who has approved for it."""

    step: Step
    approved: tuple[str, ...] = ()

    @property
    def missing(self) -> int:
        """How many approvals it still needs."""
        return self.step.approvals_needed - len(self.approved)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a request is, by the policy of today.

    `may_be_complete` says that it would be complete if everybody whose membership is unknown
    were in the group in doubt.
    """

    steps: tuple[StepStanding, ...]
    may_be_complete: bool = False

    @property
    def missing(self) -> int:
        """How many approvals are still needed over all steps."""
        return sum(step.missing for step in self.steps)

    @property
    def is_complete(self) -> bool:
        """Whether every step is filled; a rule without steps is never complete."""
        return bool(self.steps) and not self.missing

    @property
    def counted(self) -> tuple[str, ...]:
        """The people whose approvals count."""
        return tuple(user for step in self.steps for user in step.approved)


def assign(needed: Sequence[int], able: Mapping[str, Collection[int]]) -> dict[str, int]:
    """Give as many people as possible a place, each in one step.

    Parameters
    ----------
    needed : how many places each step has.
    able : the steps that each person may approve for, by their numbers.

    Returns
    -------
    The step of everybody who has a place. Who comes first in `able` keeps a place whatever
    comes later, though perhaps in another step: this is a maximum matching, by augmenting paths.
    """
    places: list[list[str]] = [[] for _ in needed]

    def seat(person: str, tried: set[int]) -> bool:
        for step in able[person]:
            if step in tried:
                continue
            tried.add(step)
            if len(places[step]) < needed[step]:
                places[step].append(person)
                return True
            for sitting in list(places[step]):
                if seat(sitting, tried):
                    places[step].remove(sitting)
                    places[step].append(person)
                    return True
        return False

    for person in able:
        seat(person, set())
    return {person: step for step, sitting in enumerate(places) for person in sitting}
