"""Finding entries, on both databases: by image, person, request, time, and what may be seen."""

from typing import Any

import pytest

from bot.rules.approval import Draft, Item
from bot.store.audit_search import Wanted, find
from bot.store.store import Store

pytestmark = pytest.mark.anyio

HERE = Wanted(("corp",), "C0OPS")


def _draft(action: str, items: list[Item], **changes: Any) -> Draft:
    return Draft(
        registry=changes.pop("registry", "corp"), action=action, requester="U0ANN", team="T0",
        channel="C0OPS", reason="", plan=changes.pop("plan", {}), rule="default",
        rule_fingerprint="", approval="required", approvals_needed=1, approvers=(),
        allow_self_approval=False, expires_after=60, execute_within=60, undo_window=60,
        items=tuple(items), **changes,
    )  # fmt: skip


@pytest.fixture
async def told(store: Store) -> Store:
    async with store.transaction() as tx:
        both = await tx.requests.create(
            _draft("delete", [Item(0, "a", "1", "sha256:11"), Item(1, "a", "2", "sha256:22")])
        )
        plan = {"digests": [{"repository": "a", "digest": "sha256:33", "tags": ["pr-1", "pr-2"]}]}
        purge = await tx.requests.create(
            _draft("purge", [Item(0, "a", "", "sha256:33")], plan=plan)
        )
        undo = await tx.requests.create(_draft("undo", [], subject=both.id))
        other = await tx.requests.create(
            _draft("delete", [Item(0, "a", "1", "sha256:11")], registry="other")
        )
        about = tx.audit.about
        await about(both, "1 both", actor="U0ANN")
        await about(both, "2 tag 1", repository="a", tag="1", digest="sha256:11")
        await about(both, "3 tag 2", repository="a", tag="2", digest="sha256:22")
        await about(purge, "4 purge", actor="local:ann")
        await about(purge, "5 digest", repository="a", digest="sha256:33")
        await about(undo, "6 undo", actor="U0BOB")
        await about(other, "7 other", repository="a", tag="1", digest="sha256:11")
        await tx.audit.append("8 here", channel="C0OPS", actor="U0BOB")
        await tx.audit.append("9 elsewhere", channel="C0LOBBY", actor="U0BOB")
        await tx.audit.append("10 lock", registry="corp", repository="a")
        await tx.audit.append("11 b", registry="corp", repository="b", tag="1", digest="sha256:44")
    return store


@pytest.mark.parametrize(
    ("narrow", "numbers"),
    [
        ({}, [11, 10, 8, 6, 5, 4, 3, 2, 1]),
        ({"elsewhere": False}, [11, 10, 6, 5, 4, 3, 2, 1]),
        ({"channel": ""}, [11, 10, 9, 8, 6, 5, 4, 3, 2, 1]),
        ({"registries": ("other",)}, [8, 7]),
        ({"repository": "a"}, [10, 6, 5, 4, 3, 2, 1]),
        ({"repository": "a", "tag": "1"}, [10, 6, 2, 1]),
        ({"repository": "a", "tag": "pr-1"}, [10, 5, 4]),  # a purge names it in its plan
        ({"repository": "a", "tag": "pr-*"}, [10, 5, 4]),
        ({"repository": "a", "tag": "?"}, [10, 6, 3, 2, 1]),
        ({"repository": "a", "tag": "none"}, [10]),
        ({"repository": "a", "digest": "sha256:2"}, [6, 3, 1]),
        ({"repository": "b"}, [11]),
        ({"repository": "nowhere"}, []),
        ({"actors": ("U0BOB",)}, [8, 6]),
        ({"actors": ("U0ANN", "local:ann")}, [4, 1]),
        ({"request": 1}, [6, 3, 2, 1]),  # with what was asked about it
        ({"request": 99}, []),
        ({"since": 3600.0}, [11, 10, 8, 6, 5, 4, 3, 2, 1]),
        ({"since": -3600.0}, []),
    ],
)
async def test_what_is_found(told: Store, narrow: dict[str, Any], numbers: list[int]) -> None:
    wanted = Wanted(**{"registries": ("corp",), "channel": "C0OPS", **narrow})
    async with told.reading() as tx:
        found, total = await find(tx.conn, wanted, 100)
    assert [entry.id for entry in found] == numbers
    assert total == len(numbers)


async def test_the_newest_come_first_and_all_are_counted(told: Store) -> None:
    async with told.reading() as tx:
        found, total = await find(tx.conn, HERE, 2)
    assert [entry.event for entry in found] == ["11 b", "10 lock"]
    assert total == 9


async def test_every_line_about_a_request_says_who_where_by_which_rule_and_of_which_plan(
    store: Store,
) -> None:
    async with store.transaction() as tx:
        one = await tx.requests.create(
            _draft("delete", [Item(0, "a", "1", "sha256:11")], plan_hash="cd" * 32)
        )
        two = await tx.requests.create(
            _draft("delete", [Item(0, "a", "1", "sha256:11"), Item(1, "a", "2", "sha256:22")])
        )
        await tx.audit.about(one, "request.approved", actor="U0BOB", team="T0", channel="C0OPS")
        await tx.audit.about(two, "request.approved", actor="U0BOB")
        await tx.audit.about(one, "request.started")
        first, second, third = await tx.audit.entries()
    assert (first.actor, first.team, first.channel, first.registry) == (
        "U0BOB",
        "T0",
        "C0OPS",
        "corp",
    )
    assert (first.rule, first.plan_hash, first.request_id) == ("default", "cd" * 32, one.id)
    assert (first.repository, first.tag, first.digest) == ("a", "1", "sha256:11")
    assert second.repository == ""
    assert second.detail["digests"] == ["sha256:11", "sha256:22"]
    assert third.detail == {"requester": "U0ANN", "approvers": []}
