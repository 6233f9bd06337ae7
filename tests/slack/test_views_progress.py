"""How a request under way stands, in the line that a terminal prints."""

from bot.gc.steps import Step
from bot.rules.approval import State
from bot.slack.views.progress import progress
from tests.support.shown import made


def test_what_waits_says_for_what() -> None:
    waits = {"waiting": "R1 is at work on corp: this one begins when that has ended"}
    told = progress(made("delete", State.APPROVED, id=2, progress=waits), before=1)
    assert told == "R2 waits: R1 is at work on corp: this one begins when that has ended."


def test_another_one_may_have_begun_in_between() -> None:
    approved = made("delete", State.APPROVED, id=2)
    assert progress(approved, 1) == "R2 is approved and waits for R1, which is at work on corp."
    assert progress(approved) == "R2 is approved."


def test_what_runs_says_how_far_it_is() -> None:
    assert progress(made("delete", State.RUNNING, id=2)) == "R2 is running: 0 of 2 done."
    assert progress(made("lock", State.RUNNING, id=2)) == "R2 is running."
    step = {"step": Step.PROOF}
    assert progress(made("gc", State.RUNNING, id=2, progress=step)) == f"R2: {Step.PROOF.label}"
