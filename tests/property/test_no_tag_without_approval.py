"""No sequence of requests, clicks, expiries, policy changes, retags and restarts deletes a tag
that no complete approval named; and no undo ever moves one. On a real registry and a real store.

REGISTRY_BOT_EXAMPLES=500 tries for longer than the suite does; a failure prints its sequence.
"""

import dataclasses
import os
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from bot.operations import approvals
from tests.property.ledger import Asked, Terms
from tests.property.shelf import Shelf
from tests.property.world import ANN, BOB, CAT, DAN, EVE, TAGS, TWIN, USUAL, World
from tests.support.real_registry import RealRegistry

PEOPLE = st.sampled_from([ANN, BOB, CAT, DAN, EVE, TWIN])
WHERE = st.sampled_from(["team/app", "scratch/x"])
IMAGES = st.sampled_from(["plain", "other", "index"])

LEADS = st.sampled_from([{BOB, CAT}, {BOB}, {CAT, DAN}, {ANN, BOB}, {TWIN, CAT}, set()])
TERMS = st.builds(
    lambda leads, security, steps, own, protected, twins: Terms(
        (("leads", frozenset(leads)), ("security", frozenset(security))),
        steps,
        own,
        frozenset(protected),
        ((TWIN, BOB),) if twins else (),
    ),
    LEADS,
    st.sampled_from([{DAN}, {BOB, DAN}]),
    st.sampled_from(
        [
            ((("leads",), 1),),
            ((("leads",), 2),),
            ((("leads", "security"), 2),),
            ((("leads",), 1), (("security",), 1)),
        ]
    ),
    st.booleans(),
    st.sampled_from([set(), {"v1"}]),
    st.booleans(),
)
WANTED = st.sampled_from(["v1", "v2", "w1", "v*", "*"])
ABOUT = {
    *("everybody_approves", "one_approves", "the_window_ends"),
    *("nobody_decides_in_time", "nobody_starts_it_in_time"),
}
CHANGES = ("retag", "new tag", "other people", "protected", "another rule", "locked", "restart")
BEFORE = st.sampled_from(
    [*[""] * 6, *["nobody_decides_in_time"] * 2, "retag", "other people", "another rule", "locked"]
)
VOTES = st.sampled_from(["everybody_approves", "everybody_approves", "one_approves"])
BETWEEN = st.sampled_from([*[""] * 4, "new terms", "pressed", *CHANGES, "nobody_starts_it_in_time"])
WORK = st.sampled_from(["work", "killed"])
AFTER = st.sampled_from(
    [
        *("", "undo", "retag and undo", "retag and undo", "purge now", "the_window_ends"),
        *("locked", "protected", "another rule"),
    ]
)
# The calls between which something is half-done, and any call at all.
MOMENTS = st.tuples(
    st.sampled_from(["put_manifest", "delete_manifest"]),
    st.sampled_from([0, 0, 1]),
    st.booleans(),
) | st.tuples(st.just(""), st.integers(0, 30), st.booleans())
HALF_WAY = st.sampled_from(["", "retag", "retag", "new tag", "locked", "protected"])
BEGUN = BEFORE, VOTES, BETWEEN
STORIES = st.one_of(
    st.tuples(*BEGUN, st.just("work"), AFTER, WORK),
    st.tuples(*BEGUN, st.just("killed"), HALF_WAY, WORK),
)
THINGS = st.sampled_from(
    [
        *("work", "killed", "undo", "retag and undo", "purge now", "the_window_ends", *CHANGES),
        *("nobody_decides_in_time", "nobody_starts_it_in_time", "everybody_approves"),
        *("pressed", "pressed", "new terms"),
    ]
)


class Stories(RuleBasedStateMachine):
    """Requests, and what happens to them."""

    url: ClassVar[str]
    shelf: ClassVar[Shelf]
    happened: ClassVar[Counter[str]]
    requests = Bundle("requests")

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.url, self.shelf)

    def teardown(self) -> None:
        self.happened.update(self.world.happened)
        self.world.end()

    # The steps that are chosen from. By chance alone few sequences would come as far as a
    # deletion, so most of them begin with a request that many agree to.

    @rule(
        target=requests,
        who=PEOPLE,
        repository=WHERE,
        wanted=WANTED,
        purge=st.booleans(),
        calm=st.sampled_from([*USUAL, None]),
        story=STORIES,
        data=st.data(),
    )
    def asked_for(
        self,
        who: str,
        repository: str,
        wanted: str,
        purge: bool,
        calm: Terms | None,
        story: tuple[str, ...],
        data: st.DataObject,
    ) -> Any:
        if calm:
            self.world.calm_down(repository, calm)
        ask = self.world.ask_to_purge if purge else self.world.ask_to_delete
        asked = ask(who, repository, wanted)
        if asked:
            for what in filter(None, story):
                self.happens(what, asked, data)
        return multiple() if asked is None else asked

    @rule(request=requests, story=st.lists(THINGS, min_size=1, max_size=3), data=st.data())
    def goes_on(self, request: Asked, story: list[str], data: st.DataObject) -> None:
        for what in story:
            self.happens(what, request, data)

    def happens(self, what: str, asked: Asked, data: st.DataObject) -> None:
        """One thing that can come in between, to this very request where it can."""
        keys = sorted(asked.named) or [("team/app", "v1")]
        match what:
            case "retag":
                self.world.push(*data.draw(st.sampled_from(keys)), data.draw(IMAGES))
            case "new tag":
                tag = data.draw(st.sampled_from(TAGS))
                self.world.push(
                    keys[0][0], tag, self.world.shelf.name(asked.named.get(keys[0], ""))
                )
            case "other people":
                groups = (("leads", frozenset(data.draw(LEADS))), self.world.ledger.terms.groups[1])
                self.world.settings_change(
                    dataclasses.replace(self.world.ledger.terms, groups=groups)
                )
            case "protected":
                self.world.settings_change(
                    dataclasses.replace(self.world.ledger.terms, protected=frozenset({"v1"}))
                )
            case "another rule":
                self.world.settings_change(
                    dataclasses.replace(
                        self.world.ledger.terms, own=not self.world.ledger.terms.own
                    )
                )
            case "locked":
                self.world.lock(keys[0][0], True)
            case "pressed":
                how = data.draw(st.sampled_from([approvals.deny, approvals.cancel, None]))
                who = data.draw(PEOPLE)
                self.world.deny_or_cancel(asked, who, how) if how else self.world.approve(
                    asked, who
                )
            case "new terms":
                self.world.settings_change(data.draw(TERMS))
            case "purge now":
                ending = self.world.ask_to_end_the_window(asked, data.draw(PEOPLE))
                if ending:
                    self.world.everybody_approves(ending)
            case "killed":
                self.world.killed_at_work(*data.draw(MOMENTS))
            case "undo" | "retag and undo":
                self.world.finish_everything()
                if what == "retag and undo":
                    self.happens("retag", asked, data)
                back = self.world.ask_to_undo(asked, ANN)
                if back:
                    self.world.approve(back, ANN)
            case _:
                getattr(self.world, what)(*([asked] if what in ABOUT else []))

    @invariant()
    def nothing_changed_by_itself(self) -> None:
        self.world.compare(None)


def test_no_tag_goes_that_no_complete_approval_named(tmp_path: Path) -> None:
    with RealRegistry(tmp_path / "registry") as registry, Shelf(registry.url) as shelf:
        happened = Counter[str]()
        known = {"url": registry.url, "shelf": shelf, "happened": happened}
        machine = type("Stories", (Stories,), known)
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=int(os.environ.get("REGISTRY_BOT_EXAMPLES", "12")),
                stateful_step_count=int(os.environ.get("REGISTRY_BOT_STEPS", "10")),
                deadline=None,
                database=None,
                print_blob=True,
                suppress_health_check=list(HealthCheck),
            ),
        )
    # A test that never sees a deletion would never see a wrong one.
    assert happened["delete: done"] + happened["purge: purged"] > 2, happened
