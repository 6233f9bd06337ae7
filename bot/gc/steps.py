"""The sequence of a collection, and what must be done if a process dies at one of its steps."""

from enum import StrEnum


class Step(StrEnum):
    """One step of a collection. Members are in the order in which they happen.

    EMPTY happens only where the plan names empty repositories.

    A step is written down *before* it is begun, so the step found after a crash may have happened
    wholly, partly or not at all.
    """

    PREFLIGHT = "preflight"
    SWITCH = "switch"
    PROOF = "proof"
    DRY_RUN = "dry-run"
    COLLECT = "collect"
    EMPTY = "empty"
    RESTART = "restart"
    PROOF_WRITABLE = "proof-writable"
    CANARY = "canary"
    REPORT = "report"

    @property
    def label(self) -> str:
        """What people read while the step happens."""
        return _LABELS[self]

    @property
    def number(self) -> int:
        """The place in the sequence, from 1."""
        return _ORDER.index(self) + 1

    @property
    def next(self) -> "Step | None":
        """The step that follows, or None after the last."""
        return _ORDER[self.number] if self.number < len(_ORDER) else None

    @property
    def writes_may_be_off(self) -> bool:
        """Whether pushes may be refused when a process dies at this step."""
        return recovery_for(self) not in (Recovery.NOTHING, Recovery.TELL)


class Recovery(StrEnum):
    """What a successor must do for a collection whose process died.

    Every recovery that restores asks first whether a collection still runs: beside a writable
    registry an orphaned collection breaks the images that are pushed meanwhile, silently.
    """

    NOTHING = "nothing"
    """Nothing was changed: the request simply failed."""
    RESTORE = "restore"
    """Make the registry writable and prove it."""
    WAIT_THEN_RESTORE = "wait-then-restore"
    """A collection may still run: wait until it is gone or kill it, then as RESTORE."""
    PROVE = "prove"
    """The registry should be writable: prove it, and restore where the proof fails."""
    TELL = "tell"
    """The registry takes pushes again: only looking at it and the report are missing."""

    @property
    def waits(self) -> bool:
        """Whether a collection of the dead process may still be at work."""
        return self is Recovery.WAIT_THEN_RESTORE

    @property
    def restores(self) -> bool:
        """Whether the registry must be started read-write, whatever a proof says."""
        return self in (Recovery.RESTORE, Recovery.WAIT_THEN_RESTORE)

    @property
    def proves(self) -> bool:
        """Whether an upload must prove that the registry is writable."""
        return self.restores or self is Recovery.PROVE

    @property
    def sentence(self) -> str:
        """What people read when a successor takes over."""
        return _SENTENCES[self]


def recovery_for(step: Step) -> Recovery:
    """What a successor must do for a collection whose process died at `step`."""
    return _RECOVERIES[step]


_ORDER = tuple(Step)

_LABELS = {
    Step.PREFLIGHT: "Pre-flight checks",
    Step.SWITCH: "Switching pushes off",
    Step.PROOF: "Proving that pushes are refused",
    Step.DRY_RUN: "Dry run",
    Step.COLLECT: "Collecting",
    Step.EMPTY: "Removing empty repositories",
    Step.RESTART: "Restarting the registry read-write",
    Step.PROOF_WRITABLE: "Proving that pushes are accepted",
    Step.CANARY: "Pulling protected images and a sample",
    Step.REPORT: "Report",
}

_RECOVERIES = {
    Step.PREFLIGHT: Recovery.NOTHING,
    Step.SWITCH: Recovery.RESTORE,
    Step.PROOF: Recovery.RESTORE,
    Step.DRY_RUN: Recovery.WAIT_THEN_RESTORE,
    Step.COLLECT: Recovery.WAIT_THEN_RESTORE,
    # The collection is over, and one repository more or less removed does no harm.
    Step.EMPTY: Recovery.RESTORE,
    # The start command may have been cut off half way, with the registry stopped: run it again.
    Step.RESTART: Recovery.RESTORE,
    Step.PROOF_WRITABLE: Recovery.PROVE,
    Step.CANARY: Recovery.TELL,
    Step.REPORT: Recovery.TELL,
}

_SENTENCES = {
    Recovery.NOTHING: "Nothing had been changed yet.",
    Recovery.RESTORE: "The registry is being made writable again.",
    Recovery.WAIT_THEN_RESTORE: (
        "The collection may still be running: it is waited for, then the registry is made "
        "writable again."
    ),
    Recovery.PROVE: "The registry was restarted: an upload proves whether it is writable.",
    Recovery.TELL: "The registry is writable again: only the report was missing.",
}
