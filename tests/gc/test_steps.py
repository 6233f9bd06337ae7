"""The sequence is a table: what it must never say is held here."""

import pytest

from bot.gc.steps import Recovery, Step, recovery_for


def test_the_sequence_is_walked_from_its_first_step_to_its_last() -> None:
    walked: list[Step] = []
    step: Step | None = Step.PREFLIGHT
    while step is not None:
        walked.append(step)
        step = step.next
    assert walked == list(Step)
    assert [step.number for step in walked] == list(range(1, len(Step) + 1))


@pytest.mark.parametrize("step", list(Step))
def test_every_step_has_words_and_a_recovery(step: Step) -> None:
    assert step.label
    assert recovery_for(step).sentence


@pytest.mark.parametrize("step", [Step.DRY_RUN, Step.COLLECT])
def test_where_a_collection_may_run_recovery_waits_before_it_restores(step: Step) -> None:
    recovery = recovery_for(step)
    assert recovery.waits
    assert recovery.restores


@pytest.mark.parametrize(
    "step",
    [
        Step.SWITCH,
        Step.PROOF,
        Step.DRY_RUN,
        Step.COLLECT,
        Step.EMPTY,
        Step.RESTART,
        Step.PROOF_WRITABLE,
    ],
)
def test_where_pushes_may_be_off_recovery_ends_in_a_proof(step: Step) -> None:
    assert step.writes_may_be_off
    assert recovery_for(step).proves


@pytest.mark.parametrize("step", [Step.PREFLIGHT, Step.CANARY, Step.REPORT])
def test_before_and_after_nothing_is_restarted(step: Step) -> None:
    assert not step.writes_may_be_off
    assert not recovery_for(step).restores
    assert not recovery_for(step).proves


def test_what_waits_also_restores() -> None:
    assert all(recovery.restores for recovery in Recovery if recovery.waits)
