"""Letters leave in order, at least once, and keep no secret longer than they need it."""

import asyncio

import pytest
import sqlalchemy as sa

from bot.store.outbox import ANSWER, FILE, POST, REQUEST, RESPONSE_URL_LIFE, RETIRE, THREAD, Letter
from bot.store.schema import db_now, outbox
from bot.store.store import Store
from tests.support.clock import pass_by

pytestmark = pytest.mark.anyio

LONG = 600.0
URL = "https://hooks.slack.com/commands/T0/1/secret"


async def _claim(store: Store, worker: str = "a", lease: float = LONG) -> Letter:
    letter = await store.claim_letter(worker, lease)
    assert letter is not None
    return letter


async def _nothing(store: Store) -> None:
    assert await store.claim_letter("z", LONG) is None


async def _sent(store: Store, letter: Letter, ts: str = "1.2") -> None:
    async with store.transaction() as tx:
        await tx.outbox.sent(letter, ts)


async def _rows(store: Store) -> list[sa.RowMapping]:
    async with store.reading() as tx:
        query = sa.select(outbox).order_by(outbox.c.id)
        return list((await tx.conn.execute(query)).mappings().all())


async def _urls(store: Store) -> list[str | None]:
    return [row["response_url"] for row in await _rows(store)]


async def _answers(store: Store, *texts: str, key: str = "") -> None:
    async with store.transaction() as tx:
        for text in texts:
            await tx.outbox.answer({"text": text}, URL, key)


async def test_every_kind_of_letter_brings_what_was_put_in(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.outbox.answer({"user": "U1"}, URL)
        await tx.outbox.refresh(7)
        await tx.outbox.thread(7, "denied", {"by": "U2"})
        await tx.outbox.post({"channel": "C1"})
        await tx.outbox.retire(7, "C1", "1.2")
    letters = [await _claim(store) for _ in range(5)]
    assert [letter.kind for letter in letters] == [ANSWER, REQUEST, THREAD, POST, RETIRE]
    assert [letter.payload for letter in letters] == [
        {"user": "U1"},
        {},
        {"notice": "denied", "data": {"by": "U2"}},
        {"channel": "C1"},
        {"channel": "C1", "ts": "1.2"},
    ]
    assert [letter.request_id for letter in letters] == [None, 7, 7, None, 7]
    assert [letter.response_url for letter in letters] == [URL, None, None, None, None]
    assert all(letter.attempts == 1 and 0 <= letter.age < 100 for letter in letters)
    await _nothing(store)


async def test_letters_of_one_key_leave_one_after_the_other(store: Store) -> None:
    await _answers(store, "one", "two", "three", key="U1")
    for text in ("one", "two", "three"):
        letter = await _claim(store)
        assert letter.payload["text"] == text
        await _nothing(store)
        await _sent(store, letter)
    await _nothing(store)


async def test_letters_of_different_keys_and_of_none_do_not_wait_for_each_other(
    store: Store,
) -> None:
    await _answers(store, "one", key="U1")
    await _answers(store, "two", key="U2")
    await _answers(store, "three", "four")
    taken = [(await _claim(store)).payload["text"] for _ in range(4)]
    assert taken == ["one", "two", "three", "four"]


async def test_a_thread_keeps_its_order_while_one_of_it_is_retried(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.outbox.thread(1, "approved", {})
        await tx.outbox.thread(1, "finished", {})
    first = await _claim(store)
    async with store.transaction() as tx:
        await tx.outbox.later(first, LONG, "ratelimited")
    await _nothing(store)
    await pass_by(store, LONG + 1)
    again = await _claim(store)
    assert (again.id, again.attempts) == (first.id, 2)
    assert again.payload["notice"] == "approved"


async def test_a_letter_that_failed_does_not_hold_up_those_behind_it(store: Store) -> None:
    await _answers(store, "one", "two", key="U1")
    first = await _claim(store)
    async with store.transaction() as tx:
        await tx.outbox.failed(first, "channel_not_found")
    assert (await _claim(store)).payload["text"] == "two"
    row = (await _rows(store))[0]
    assert (row["state"], row["error"], row["response_url"]) == (
        "failed",
        "channel_not_found",
        None,
    )


async def test_a_letter_is_taken_over_when_its_lease_has_run_out(
    store: Store, other: Store
) -> None:
    await _answers(store, "one", key="U1")
    first = await _claim(store, "a")
    await _nothing(other)
    await pass_by(store, LONG + 1)
    second = await _claim(other, "b")
    assert (second.id, second.attempts) == (first.id, 2)


async def test_whoever_lost_a_letter_cannot_take_it_from_its_new_owner(
    store: Store, other: Store
) -> None:
    await _answers(store, "one")
    first = await _claim(store, "a")
    await pass_by(store, LONG + 1)
    second = await _claim(other, "b")
    async with store.transaction() as tx:
        await tx.outbox.later(first, 0.0, "503")
        await tx.outbox.failed(first, "channel_not_found")
    await _nothing(store)
    assert [row["state"] for row in await _rows(store)] == ["queued"]
    assert await _urls(store) == [URL]
    await _sent(other, second)
    assert [row["state"] for row in await _rows(store)] == ["sent"]


async def test_a_letter_that_arrived_has_arrived_whoever_brought_it(
    store: Store, other: Store
) -> None:
    await _answers(store, "one")
    first = await _claim(store, "a")
    await pass_by(store, LONG + 1)
    second = await _claim(other, "b")
    await _sent(store, first)
    async with other.transaction() as tx:
        await tx.outbox.later(second, 0.0, "503")
    await _nothing(store)


async def test_a_hundred_letters_are_each_handed_out_once(store: Store, other: Store) -> None:
    await _answers(store, *(str(n) for n in range(100)))
    claims = await asyncio.gather(
        *(s.claim_letter(f"w{n}", LONG) for n in range(60) for s in (store, other))
    )
    letters = [letter for letter in claims if letter is not None]
    assert sorted(int(letter.payload["text"]) for letter in letters) == list(range(100))


async def test_two_replicas_at_once_keep_the_order_of_a_key(store: Store, other: Store) -> None:
    await _answers(store, *(str(n) for n in range(20)), key="U1")
    left: list[int] = []

    async def deliver(store: Store, worker: str) -> None:
        while len(left) < 20:
            letter = await store.claim_letter(worker, LONG)
            if letter is None:
                await asyncio.sleep(0.001)
                continue
            left.append(int(letter.payload["text"]))
            await _sent(store, letter)

    async with asyncio.timeout(60):
        await asyncio.gather(*(deliver(s, f"w{n}") for n in range(3) for s in (store, other)))
    assert left == list(range(20))


async def test_a_letter_tells_of_every_change_that_has_joined_it(store: Store) -> None:
    """It does not leave between a change and its commit: it would tell what was before."""
    async with store.transaction() as tx:
        await tx.outbox.refresh(7)
    async with store.transaction() as tx:
        await tx.outbox.refresh(7)
        claiming = asyncio.create_task(store.claim_letter("b", LONG))
        await asyncio.wait([claiming], timeout=0.5)  # SQLite lets nobody in before the end
        assert not claiming.done() or claiming.result() is None
    assert await claiming or await store.claim_letter("b", LONG)
    assert len(await _rows(store)) == 1


async def test_refreshes_of_a_request_coalesce_until_one_leaves(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.outbox.refresh(1)
        await tx.outbox.refresh(1)
        await tx.outbox.refresh(2)
    async with store.transaction() as tx:
        await tx.outbox.refresh(1)
    assert [row["request_id"] for row in await _rows(store)] == [1, 2]


async def test_a_change_while_the_message_is_being_written_is_written_too(store: Store) -> None:
    """The letter on its way may have read the request before the change."""
    async with store.transaction() as tx:
        await tx.outbox.refresh(1)
    on_its_way = await _claim(store)
    async with store.transaction() as tx:
        await tx.outbox.refresh(1)
        await tx.outbox.refresh(1)
    await _nothing(store)
    await _sent(store, on_its_way)
    follow = await _claim(store)
    assert follow.id != on_its_way.id
    await _sent(store, follow)
    await _nothing(store)


async def test_a_refresh_that_will_be_tried_again_takes_in_the_next(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.outbox.refresh(1)
    first = await _claim(store)
    async with store.transaction() as tx:
        await tx.outbox.later(first, 0.0, "503")
        await tx.outbox.refresh(1)
    assert (await _claim(store)).id == first.id
    assert len(await _rows(store)) == 1


async def test_a_thread_letter_of_a_request_is_no_refresh_of_it(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.outbox.thread(1, "plan", {})
        await tx.outbox.refresh(1)
    assert {(await _claim(store)).kind, (await _claim(store)).kind} == {THREAD, REQUEST}


async def test_a_refresh_waits_as_long_as_it_was_told_to(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.outbox.refresh(1, LONG)
    await _nothing(store)
    async with store.reading() as tx:
        wait = await tx.outbox.seconds_until_next()
    assert wait is not None
    assert 0 < wait <= LONG
    await pass_by(store, LONG + 1)
    assert (await _claim(store)).kind == REQUEST


async def test_a_letter_that_waits_for_another_is_not_due_before_it(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.outbox.thread(1, "plan", {})
        await tx.outbox.thread(1, "finished", {})
    first = await _claim(store)
    async with store.reading() as tx:
        wait = await tx.outbox.seconds_until_next()
    assert wait is not None
    assert wait > LONG / 2, "it is being delivered, and the other one stands behind it"
    async with store.transaction() as tx:
        await tx.outbox.later(first, LONG)
        wait = await tx.outbox.seconds_until_next()
    assert wait is not None
    assert wait > LONG / 2, "Slack is away"
    await pass_by(store, LONG + 1)
    await _sent(store, await _claim(store))
    async with store.reading() as tx:
        assert await tx.outbox.seconds_until_next() == 0.0


async def test_a_letter_rolled_back_was_never_written(store: Store) -> None:
    async def fails() -> None:
        async with store.transaction() as tx:
            await tx.outbox.refresh(1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fails()
    assert await _rows(store) == []
    async with store.transaction() as tx:
        await tx.outbox.refresh(1)
    assert len(await _rows(store)) == 1, "nothing coalesces with what was never written"


async def test_a_response_url_is_forgotten_when_its_letter_was_sent(store: Store) -> None:
    await _answers(store, "one", "two")
    letter = await _claim(store)
    assert letter.response_url == URL
    await _sent(store, letter, "17.5")
    assert await _urls(store) == [None, URL]
    row = (await _rows(store))[0]
    assert (row["state"], row["sent_ts"]) == ("sent", "17.5")


async def test_a_response_url_outlives_a_retry(store: Store) -> None:
    await _answers(store, "one")
    letter = await _claim(store)
    async with store.transaction() as tx:
        await tx.outbox.later(letter, 0.0, "503")
    assert (await _claim(store)).response_url == URL


async def test_a_response_url_is_forgotten_after_half_an_hour(store: Store) -> None:
    assert 25 * 60 < RESPONSE_URL_LIFE < 30 * 60, "Slack honours it for 30 minutes"
    await _answers(store, "old", "nearly", "new")
    async with store.transaction() as tx:
        for number, minutes in ((1, 30), (2, 28)):
            await tx.conn.execute(
                outbox.update()
                .where(outbox.c.id == number)
                .values(created_at=db_now() - minutes * 60)
            )
        await tx.outbox.forget_old_urls()
    assert await _urls(store) == [None, URL, URL]
    old = await _claim(store)
    assert old.payload["text"] == "old", "it is still delivered, on another way"
    assert 1795 < old.age < 1900


async def test_what_waits_is_counted_with_the_age_of_the_oldest(store: Store) -> None:
    async with store.reading() as tx:
        assert await tx.outbox.pending() == (0, 0.0)
        assert await tx.outbox.seconds_until_next() is None
    await _answers(store, "one", "two", "three")
    async with store.transaction() as tx:
        await tx.conn.execute(
            outbox.update().where(outbox.c.id == 2).values(created_at=db_now() - 100)
        )
    await _sent(store, await _claim(store))
    async with store.reading() as tx:
        count, age = await tx.outbox.pending()
        assert await tx.outbox.seconds_until_next() == 0.0
    assert count == 2
    assert 99 < age < 200


async def test_a_letter_wakes_the_one_who_delivers(store: Store) -> None:
    store.spoke.clear()
    await _answers(store, "one")
    assert store.spoke.is_set()
    store.spoke.clear()
    await _claim(store)
    assert not store.spoke.is_set()


async def test_files_for_a_thread_and_for_a_person(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.outbox.file_in_thread(7)
        await tx.outbox.file_to("U1", "C1", "tags.csv", "Tags of a", "tag\r\n1\r\n")
    thread, person = await _claim(store), await _claim(store)
    assert (thread.kind, thread.request_id, thread.payload) == (FILE, 7, {"name": "plan"})
    assert (person.kind, person.request_id) == (FILE, None)
    assert person.payload == {
        "user": "U1",
        "channel": "C1",
        "name": "tags.csv",
        "title": "Tags of a",
        "content": "tag\r\n1\r\n",
    }


@pytest.mark.parametrize("end", ["sent", "failed"])
async def test_the_content_of_a_file_is_forgotten_at_its_end(store: Store, end: str) -> None:
    async with store.transaction() as tx:
        await tx.outbox.file_to("U1", "C1", "tags.csv", "Tags of a", "secret")
    letter = await _claim(store)
    async with store.transaction() as tx:
        if end == "sent":
            await tx.outbox.sent(letter, "F1")
        else:
            await tx.outbox.failed(letter, "missing_scope")
    assert "secret" not in str(await _rows(store))


async def test_a_letter_that_is_renewed_stays_ours_and_remembers(
    store: Store, other: Store
) -> None:
    async with store.transaction() as tx:
        await tx.outbox.file_to("U1", "C1", "tags.csv", "Tags of a", "x")
    letter = await _claim(store, "a")
    async with store.transaction() as tx:
        noted = await tx.outbox.note(letter, dm="D1")
        await tx.outbox.renew(noted, 3 * LONG)
    assert noted.payload == {**letter.payload, "dm": "D1"}
    await pass_by(store, LONG + 1)
    await _nothing(other)
    async with store.transaction() as tx:
        assert await tx.outbox.payload(letter) == noted.payload
        await tx.outbox.later(noted, 0.0, "503")
    assert (await _claim(other)).payload == noted.payload


async def test_a_letter_that_is_released_is_anybody_s_at_once(store: Store, other: Store) -> None:
    async with store.transaction() as tx:
        await tx.outbox.post({"channel": "C1"})
    first = await _claim(store, "a")
    async with store.transaction() as tx:
        await tx.outbox.release(first)
    second = await _claim(other)
    assert second.id == first.id
    async with store.transaction() as tx:
        # The first owner wakes up: the letter is not theirs any more.
        await tx.outbox.release(first)
        await tx.outbox.renew(first, 3 * LONG)
    await _nothing(other)
    await pass_by(store, LONG + 1)
    assert (await _claim(other)).id == first.id


async def test_what_nobody_sends_is_overdue(store: Store) -> None:
    async with store.transaction() as tx:
        assert await tx.outbox.overdue() == 0.0
        await tx.outbox.post({"channel": "C1"}, key="one after the other")
        await tx.outbox.post({"channel": "C1"}, key="one after the other")
    first = await _claim(store)
    await pass_by(store, LONG / 2)
    async with store.transaction() as tx:
        assert await tx.outbox.overdue() == 0.0, "the second one waits for the first"
        await tx.outbox.release(first)
        assert await tx.outbox.overdue() >= LONG / 2
