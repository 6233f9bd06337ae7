"""The life of a request: which moves exist."""

import dataclasses

import pytest

from bot.rules.approval import (
    Decision,
    Draft,
    Item,
    ItemState,
    Request,
    State,
    WindowState,
    may_move,
)

# Written out by hand from the life of a deletion, not read from the module.
MOVES = {
    ("pending", "approved"),
    ("pending", "denied"),
    ("pending", "cancelled"),
    ("pending", "expired"),
    ("pending", "outdated"),
    ("approved", "running"),
    ("approved", "cancelled"),
    ("approved", "expired"),
    ("approved", "outdated"),
    ("running", "done"),
    ("running", "partly done"),
    ("running", "purged"),
    ("running", "failed"),
    ("running", "outdated"),
    ("running", "aborted"),
    ("done", "purged"),
    ("done", "held"),
    ("done", "undone"),
    ("partly done", "purged"),
    ("partly done", "held"),
    ("partly done", "undone"),
    ("purged", "undone"),
    ("held", "purged"),
    ("held", "undone"),
}

DRAFT = Draft(
    registry="corp",
    action="delete",
    requester="UASK",
    team="T1",
    channel="C1",
    reason="old",
    plan={},
    rule="default",
    rule_fingerprint="f",
    approval="required",
    approvals_needed=1,
    approvers=("UONE", "UTWO"),
    allow_self_approval=False,
    expires_after=1800.0,
    execute_within=900.0,
    undo_window=86400.0,
)


def request(**changes: object) -> Request:
    """A pending request of UASK in team T1, with some fields otherwise."""
    value = Request(
        id=42,
        token="t",
        registry="corp",
        action="delete",
        state=State.PENDING,
        requester="UASK",
        team="T1",
        channel="C1",
        message_ts="1.0",
        reason="old",
        plan={},
        rule="default",
        rule_fingerprint="f",
        approval="required",
        approvals_needed=1,
        approvers=("UONE", "UTWO"),
        allow_self_approval=False,
        execute_within=900.0,
        undo_window=86400.0,
        created_at=1.0,
        expires_at=1801.0,
        decided_at=None,
        finished_at=None,
        undo_until=None,
        subject=None,
        abort_by="",
        progress={},
        result={},
    )
    return dataclasses.replace(value, **changes)  # type: ignore[arg-type]


def says(user: str, *, approves: bool = True, team: str = "T1", at: float = 2.0) -> Decision:
    """One decision."""
    return Decision(user, team, approves, "", at)


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_a_request_moves_only_along_the_picture(before: State, after: State) -> None:
    assert may_move(before, after) is ((before.value, after.value) in MOVES)


@pytest.mark.parametrize("state", [State.DENIED, State.CANCELLED, State.EXPIRED, State.OUTDATED])
def test_what_ended_before_it_began_stays_so(state: State) -> None:
    assert not any(may_move(state, after) for after in State)


@pytest.mark.parametrize("state", [State.FAILED, State.ABORTED, State.UNDONE])
def test_what_has_ended_stays_so(state: State) -> None:
    assert not any(may_move(state, after) for after in State)


@pytest.mark.parametrize("state", State)
def test_nothing_runs_without_approval(state: State) -> None:
    assert may_move(state, State.RUNNING) is (state is State.APPROVED)


@pytest.mark.parametrize("state", State)
def test_open_is_what_still_goes_on_by_itself(state: State) -> None:
    assert state.is_open is (state.value in {"pending", "approved", "running"})


@pytest.mark.parametrize("state", State)
def test_only_what_changed_something_can_be_undone(state: State) -> None:
    assert state.has_changed_something is may_move(state, State.UNDONE)


@pytest.mark.parametrize("state", State)
def test_from_every_state_there_is_an_end(state: State) -> None:
    reached = {state}
    while fresh := {b for a in reached for b in State if may_move(a, b)} - reached:
        reached |= fresh
    assert any(not any(may_move(end, after) for after in State) for end in reached)


@pytest.mark.parametrize(
    ("state", "settled"),
    [
        (ItemState.WAITING, False),
        (ItemState.ATTEMPTING, False),
        (ItemState.DONE, True),
        (ItemState.MOVED, True),
        (ItemState.FAILED, True),
        (ItemState.RESTORED, True),
    ],
)
def test_an_item_is_settled_when_nothing_more_is_tried(state: ItemState, settled: bool) -> None:
    assert state.is_settled is settled


def test_what_stands_in_databases_keeps_its_words() -> None:
    # These texts are stored: another word would orphan every row of an older version.
    assert [state.value for state in State] == [
        *("pending", "approved", "running", "done", "partly done", "purged", "held", "undone"),
        *("denied", "cancelled", "expired", "outdated", "failed", "aborted"),
    ]
    assert [state.value for state in ItemState] == [
        *("waiting", "attempting", "done", "skipped: moved", "skipped: locked"),
        *("failed", "restored"),
    ]
    assert [state.value for state in WindowState] == ["open", "purged", "held", "undone"]


def test_a_new_item_waits() -> None:
    item = Item(0, "team/api", "1.0", "sha256:aa")
    assert (item.state, item.placeholder, item.detail) == (ItemState.WAITING, "", "")


def test_a_request_is_called_by_its_number() -> None:
    assert request(id=7).name == "R7"


def test_who_approved_in_the_order_they_did() -> None:
    decided = request(decisions=(says("UTWO"), says("UNO", approves=False), says("UONE")))
    assert decided.approved_by == ("UTWO", "UONE")


def test_every_draft_has_a_token_that_nobody_guesses() -> None:
    tokens = {dataclasses.replace(DRAFT, token=Draft(**_fields()).token).token for _ in range(50)}
    assert len(tokens) == 50
    assert min(map(len, tokens)) >= 32


def _fields() -> dict[str, object]:
    return {f.name: getattr(DRAFT, f.name) for f in dataclasses.fields(DRAFT) if f.name != "token"}
