"""Requests move by compare-and-set, with their items, decisions and undo windows."""

import asyncio
import dataclasses
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from bot.rules.approval import (
    Decision,
    Draft,
    Item,
    ItemState,
    PinnedStep,
    Request,
    State,
    WindowState,
    may_move,
)
from bot.store.store import Store

pytestmark = pytest.mark.anyio

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64


def _draft(**changes: Any) -> Draft:
    draft = Draft(
        registry="corp",
        action="delete",
        requester="U0ANN",
        team="T0TEAM",
        channel="C0OPS",
        reason="too old 🐳",
        plan={"action": "delete", "digests": [{"tags": ["v1"], "size": 5}], "none": None},
        rule="default",
        rule_fingerprint="f" * 64,
        approval="required",
        approvals_needed=2,
        approvers=("U0BOB", "U0CAT"),
        allow_self_approval=False,
        expires_after=3600.0,
        execute_within=600.0,
        undo_window=86400.0,
        items=(Item(0, "a/b", "v1", DIGEST), Item(1, "a/b", "v2", OTHER)),
    )
    return dataclasses.replace(draft, **changes)


async def _create(store: Store, **changes: Any) -> Request:
    async with store.transaction() as tx:
        return await tx.requests.create(_draft(**changes))


async def _get(store: Store, number: int) -> Request:
    async with store.reading() as tx:
        return await tx.requests.get(number)


async def _find(store: Store, **which: Any) -> list[int]:
    async with store.reading() as tx:
        found = await tx.requests.find(**{"registries": ["corp"], **which})
    return [request.id for request in found]


async def test_a_request_comes_back_as_it_was_written(store: Store) -> None:
    draft = _draft()
    async with store.transaction() as tx:
        made = await tx.requests.create(draft)
        now = await tx.now()
    assert await _get(store, made.id) == made
    for field in dataclasses.fields(Draft):
        if field.name not in {"expires_after", "remind_after", "most_open"}:
            assert getattr(made, field.name) == getattr(draft, field.name), field.name
    assert made.name == "R1"
    assert made.state is State.PENDING
    assert made.created_at == pytest.approx(now, abs=5)
    assert made.expires_at - made.created_at == pytest.approx(3600, abs=1)
    assert (made.decided_at, made.finished_at, made.undo_until) == (None, None, None)
    assert (made.message_ts, made.abort_by) == ("", "")
    assert (dict(made.progress), dict(made.result)) == ({}, {})
    assert (made.decisions, made.windows) == ((), ())


async def test_numbers_are_never_used_twice_and_tokens_are_secrets(store: Store) -> None:
    made = [await _create(store) for _ in range(3)]
    assert [request.name for request in made] == ["R1", "R2", "R3"]
    assert len({request.token for request in made}) == 3
    assert all(len(request.token) >= 32 for request in made)
    with pytest.raises(IntegrityError):
        await _create(store, token=made[0].token)


async def test_a_request_that_is_not_there_is_a_key_error(store: Store) -> None:
    async with store.reading() as tx:
        with pytest.raises(KeyError):
            await tx.requests.get(99)
        assert await tx.requests.by_token("nonsense") is None


async def test_a_button_finds_its_request_by_the_token(store: Store) -> None:
    await _create(store)
    made = await _create(store)
    async with store.reading() as tx:
        found = await tx.requests.by_token(made.token)
    assert found == made


async def test_a_move_happens_only_from_where_it_was_expected(store: Store) -> None:
    made = await _create(store)
    async with store.transaction() as tx:
        assert await tx.requests.move(made.id, [State.PENDING], State.APPROVED, decided_at=5.0)
        assert not await tx.requests.move(made.id, [State.PENDING], State.CANCELLED)
        assert not await tx.requests.move(99, [State.PENDING], State.CANCELLED)
    after = await _get(store, made.id)
    assert (after.state, after.decided_at) == (State.APPROVED, 5.0)


async def test_of_many_who_decide_at_once_one_wins(store: Store, other: Store) -> None:
    made = await _create(store)

    async def move(store: Store, after: State) -> bool:
        async with store.transaction() as tx:
            return await tx.requests.move(made.id, [State.PENDING], after)

    ways = [State.APPROVED, State.DENIED, State.CANCELLED, State.EXPIRED]
    moved = await asyncio.gather(*(move(s, way) for way in ways for s in (store, other)))
    assert moved.count(True) == 1


@pytest.mark.parametrize("before", list(State))
async def test_the_store_knows_no_move_that_the_rules_do_not(store: Store, before: State) -> None:
    made = await _create(store)
    for after in State:
        async with store.transaction() as tx:
            await tx.requests.change(made.id, state=before)
            if may_move(before, after):
                assert await tx.requests.move(made.id, [before], after)
            else:
                with pytest.raises(ValueError, match="a request never goes from"):
                    await tx.requests.move(made.id, [before], after)
        assert (await _get(store, made.id)).state is (after if may_move(before, after) else before)


async def test_one_wrong_beginning_spoils_a_move(store: Store) -> None:
    made = await _create(store)
    async with store.transaction() as tx:
        with pytest.raises(ValueError, match="a request never goes from"):
            await tx.requests.move(made.id, [State.PENDING, State.DONE], State.APPROVED)
    assert (await _get(store, made.id)).state is State.PENDING


async def test_a_change_touches_only_its_request(store: Store) -> None:
    one, two = await _create(store), await _create(store)
    async with store.transaction() as tx:
        await tx.requests.change(
            one.id, progress={"step": "collect"}, result={"why": "x"}, message_ts="1.5"
        )
    changed = await _get(store, one.id)
    assert (changed.progress, changed.result) == ({"step": "collect"}, {"why": "x"})
    assert changed.message_ts == "1.5"
    assert await _get(store, two.id) == two


async def test_a_person_speaks_once(store: Store) -> None:
    made = await _create(store)
    counted = []
    for spoken in (
        Decision("U0BOB", "T0TEAM", True, "", 0.0),
        Decision("U0BOB", "T0TEAM", True, "again", 0.0),
        Decision("U0BOB", "T0TEAM", False, "no, wait", 0.0),
        Decision("U0BOB", "T1ELSE", True, "", 0.0),
        Decision("U0CAT", "T0TEAM", False, "no", 0.0),
    ):
        async with store.transaction() as tx:
            counted.append(await tx.requests.decide(made.id, spoken))
        await asyncio.sleep(0.005)  # the clock counts milliseconds
    assert counted == [True, False, False, True, True]
    after = await _get(store, made.id)
    assert [(d.user, d.team, d.approves, d.reason) for d in after.decisions] == [
        ("U0BOB", "T0TEAM", True, ""),
        ("U0BOB", "T1ELSE", True, ""),
        ("U0CAT", "T0TEAM", False, "no"),
    ]
    assert all(d.at == pytest.approx(made.created_at, abs=10) for d in after.decisions)


async def test_two_clicks_at_once_are_one_decision(store: Store, other: Store) -> None:
    made = await _create(store)

    async def approve(store: Store) -> bool:
        async with store.transaction() as tx:
            return await tx.requests.decide(made.id, Decision("U0BOB", "T0TEAM", True, "", 0.0))

    counted = await asyncio.gather(*(approve(s) for s in (store, other) * 5))
    assert counted.count(True) == 1
    assert len((await _get(store, made.id)).decisions) == 1


async def test_a_decision_belongs_to_a_request_that_exists(store: Store) -> None:
    async def decide() -> None:
        async with store.transaction() as tx:
            await tx.requests.decide(99, Decision("U0BOB", "T0TEAM", True, "", 0.0))

    with pytest.raises(IntegrityError):
        await decide()


async def test_an_item_remembers_its_outcome_and_keeps_its_placeholder(store: Store) -> None:
    made = await _create(store)
    async with store.transaction() as tx:
        await tx.requests.set_item(made.id, 1, ItemState.ATTEMPTING, placeholder=DIGEST)
        await tx.requests.set_item(made.id, 1, ItemState.FAILED, detail="it answered 500")
    first, second = (await _get(store, made.id)).items
    assert first == made.items[0]
    assert (second.state, second.detail) == (ItemState.FAILED, "it answered 500")
    assert second.placeholder == DIGEST


async def test_many_items_keep_their_order(store: Store) -> None:
    items = tuple(Item(n, "a/b", f"v{n}", DIGEST) for n in range(5000))
    made = await _create(store, items=items)
    assert made.items == items


async def test_a_running_request_is_asked_to_stop_once(store: Store) -> None:
    made = await _create(store, action="gc", items=())
    async with store.transaction() as tx:
        assert not await tx.requests.abort(made.id, "U0BOB"), "it does not run"
        await tx.requests.change(made.id, state=State.RUNNING)
        assert await tx.requests.abort(made.id, "U0BOB")
        assert not await tx.requests.abort(made.id, "U0CAT")
        assert not await tx.requests.abort(99, "U0CAT")
    assert (await _get(store, made.id)).abort_by == "U0BOB"


async def test_the_last_edit_is_measured(store: Store) -> None:
    made = await _create(store)
    async with store.transaction() as tx:
        assert await tx.requests.since_edit(made.id) > 1e9, "never edited"
        await tx.requests.edited(made.id)
    await asyncio.sleep(0.05)
    async with store.reading() as tx:
        assert 0.04 < await tx.requests.since_edit(made.id) < 100


async def test_the_newest_open_requests_are_found_first(store: Store) -> None:
    for changes in (
        {},
        {"requester": "U0BOB"},
        {"registry": "edge"},
        {"requester": "U0BOB", "action": "gc"},
    ):
        await _create(store, **changes)
    async with store.transaction() as tx:
        await tx.requests.move(1, [State.PENDING], State.DENIED)
    assert await _find(store) == [4, 2]
    assert await _find(store, open_only=False) == [4, 2, 1]
    assert await _find(store, open_only=False, limit=2) == [4, 2]
    assert await _find(store, requester="U0BOB") == [4, 2]
    assert await _find(store, registries=["corp", "edge"]) == [4, 3, 2]
    assert await _find(store, registries=[]) == []


@pytest.mark.parametrize("state", list(State))
async def test_a_request_is_open_while_something_will_happen_to_it(
    store: Store, state: State
) -> None:
    made = await _create(store)
    async with store.transaction() as tx:
        await tx.requests.change(made.id, state=state)
        found = await tx.requests.open_on("corp")
        assert bool(found) is state.is_open
        assert await tx.requests.open_on("edge") == []
        assert await tx.requests.open_on("corp", "gc") == []
        assert bool(await tx.requests.open_on("corp", "delete")) is state.is_open


async def test_a_finished_deletion_is_listed_while_it_can_be_undone(store: Store) -> None:
    made = await _create(store)
    async with store.transaction() as tx:
        await tx.requests.change(made.id, state=State.DONE)
        await tx.windows.open(made.id, "corp", "a/b", DIGEST, until=9e9, size=5)
    assert await _find(store) == [1]
    async with store.transaction() as tx:
        await tx.windows.settle(made.id, "a/b", DIGEST, WindowState.PURGED)
    assert await _find(store) == []


async def test_requests_about_a_request_are_found_while_they_are_open(store: Store) -> None:
    made = await _create(store)
    about = await _create(store, action="undo", subject=made.id)
    await _create(store, action="undo", subject=about.id)
    async with store.transaction() as tx:
        assert [request.id for request in await tx.requests.about(made.id)] == [about.id]
        await tx.requests.move(about.id, [State.PENDING], State.EXPIRED)
        assert await tx.requests.about(made.id) == []


async def test_windows_open_once_and_settle_one_by_one(store: Store) -> None:
    made, later = await _create(store), await _create(store)
    size = 5 * 2**40
    async with store.transaction() as tx:
        await tx.windows.open(later.id, "corp", "a/b", DIGEST, until=200.0, size=1)
        await tx.windows.open(made.id, "corp", "a/b", DIGEST, until=100.0, size=size)
        await tx.windows.open(made.id, "corp", "a/c", DIGEST, until=100.0, size=3)
        await tx.windows.open(made.id, "corp", "a/b", DIGEST, until=999.0, size=9)
        await tx.windows.open(made.id, "edge", "a/d", DIGEST, until=50.0, size=1)
    async with store.reading() as tx:
        opened = await tx.windows.open_on("corp")
    assert [(w.request, w.repository, w.until, w.size) for w in opened] == [
        (made.id, "a/b", 100.0, size),
        (made.id, "a/c", 100.0, 3),
        (later.id, "a/b", 200.0, 1),
    ]
    async with store.transaction() as tx:
        await tx.windows.settle(made.id, "a/b", DIGEST, WindowState.HELD, "tag a/b:v3")
    states = {w.repository: (w.state, w.holder) for w in (await _get(store, made.id)).windows}
    assert states == {
        "a/b": (WindowState.HELD, "tag a/b:v3"),
        "a/c": (WindowState.OPEN, ""),
        "a/d": (WindowState.OPEN, ""),
    }
    assert (await _get(store, later.id)).windows[0].state is WindowState.OPEN


async def test_a_window_does_not_lose_its_state_when_it_is_opened_again(store: Store) -> None:
    """Recovery repeats the step that opens windows."""
    made = await _create(store)
    async with store.transaction() as tx:
        await tx.windows.open(made.id, "corp", "a/b", DIGEST, until=100.0, size=1)
        await tx.windows.settle(made.id, "a/b", DIGEST, WindowState.UNDONE)
        await tx.windows.open(made.id, "corp", "a/b", DIGEST, until=300.0, size=1)
        assert await tx.windows.open_on("corp") == []


async def test_items_cannot_be_written_for_no_request(store: Store) -> None:
    async def write() -> None:
        async with store.transaction() as tx:
            await tx.conn.execute(
                sa.text("INSERT INTO items (request_id, position) VALUES (99, 0)")
            )

    with pytest.raises(IntegrityError):
        await write()


async def test_two_who_decide_at_once_see_each_other(store: Store) -> None:
    async with store.transaction() as tx:
        made = await tx.requests.create(_draft())
    first_holds = asyncio.Event()

    async def decide(user: str) -> int:
        """How many approvals there are after this one."""
        async with store.transaction() as tx:
            await tx.requests.hold(made.id)
            if user == "U1":
                first_holds.set()
                await asyncio.sleep(0.1)
            await tx.requests.decide(made.id, Decision(user, "T0TEAM", True, "", 0.0))
            return len((await tx.requests.get(made.id)).decisions)

    async def later() -> int:
        await first_holds.wait()
        return await decide("U2")

    assert await asyncio.gather(decide("U1"), later()) == [1, 2]


async def test_steps_are_shown_as_they_were_written_down(store: Store) -> None:
    steps = (
        PinnedStep(("oncall",), 1, ("U1", "U2"), ("U1",)),
        PinnedStep(("leads", "owners"), 2, (), (), ("owners",)),
    )
    async with store.transaction() as tx:
        made = await tx.requests.create(_draft(steps=steps[:1]))
        assert made.steps == steps[:1]
        await tx.requests.show_steps(made.id, steps)
    assert (await _get(store, made.id)).steps == steps
