"""Every error that Slack knows, at every kind of letter: nothing blocks, somebody hears.

Each error has a channel and a person of its own, so that all are met in one run.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bot.rules.approval import State
from bot.rules.policy import BOT
from bot.slack import notifier
from bot.slack.delivery import GONE, NOT_TAKEN, TOKEN_REFUSED, seconds
from bot.store.schema import db_now, outbox
from tests.support.clock import pass_by
from tests.support.office import ANN, LOBBY, Desk, Office, message

pytestmark = pytest.mark.anyio

# Words of Slack's that concern the channel, the person or the app's rights there.
PLACES = (
    *("channel_not_found", "not_in_channel", "is_archived", "restricted_action"),
    *("restricted_action_read_only_channel", "restricted_action_thread_only_channel"),
    *("user_not_in_channel", "messages_tab_disabled", "missing_scope", "no_permission"),
    *("ekm_access_denied", "method_not_supported_for_channel_type", "a_word_of_tomorrow"),
)
PASSING = (
    *("ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable"),
    *("request_timeout", "team_added_to_org", "external_channel_migrating"),
)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with Office.open(tmp_path) as made:
        yield made


async def _desks(office: Office, errors: Iterable[str]) -> Mapping[str, Desk]:
    """A channel and a person for every error, with a request and its second copy in it."""
    desks = {error: office.desk(n) for n, error in enumerate(sorted(errors))}
    for desk in desks.values():
        await desk.has_requests()
    await office.deliver()
    for desk in desks.values():
        assert len(office.slack.messages(desk.channel)) == 2
    return desks


async def test_what_a_channel_does_not_take_is_told_elsewhere(office: Office) -> None:
    desks = await _desks(office, PLACES)
    for error, desk in desks.items():
        office.slack.faults.fail_where(desk.speaks_in_channel, error=error)
        await desk.writes_everything()
    async with office.store.transaction() as tx:
        await tx.outbox.post({"user": ANN, "channel": LOBBY, "message": message("one more")})
    await office.deliver(4)
    assert await office.waiting() == []
    for error, desk in desks.items():
        for words in (
            "the reply",
            "behind it",
            f"I could not post in <#{desk.channel}>",
            "cleanup preview",
            f"{desk.old} is pending, but I cannot say so",
            f"{desk.new} is pending, but I cannot say so",
            f"<@U0BOB> cancelled {desk.old}.",
            f"<@U0BOB> cancelled {desk.new}.",
            f"The whole plan of {desk.new} could not be attached",
            "the list of team/api could not be attached",
            "Tags of team/api, as a file",
        ):
            assert desk.heard(words) == 1, (error, words)
        assert desk.heard(error) >= 4, "people hear why"
        assert desk.said() == 2, "nothing but what was there before"
        assert office.said(LOBBY, "Retention rule", desk.channel, error) == 1, "it serves as well"
    assert office.said(LOBBY, "one more") == 1


async def test_what_nobody_can_be_told_is_closed_all_the_same(office: Office) -> None:
    desks = await _desks(office, (*PLACES[:2], "invalid_blocks", "no_text"))
    before = len(office.log)
    for error, desk in desks.items():
        office.slack.faults.fail_where(desk.speaks, error=error)
        await desk.writes_everything()
    await office.deliver(6)
    assert await office.waiting() == []
    assert len(office.log) - before < 30 * len(desks)


async def test_what_cannot_be_shown_is_said_in_plain_text(office: Office) -> None:
    desks = await _desks(office, NOT_TAKEN)
    for error, desk in desks.items():
        office.slack.faults.fail_where(desk.speaks_with_blocks, error=error)
        await desk.writes_everything()
    await office.deliver(3)
    assert await office.waiting() == []
    assert {outcome for _, outcome in office.log} == {"sent", "later"}
    for error, desk in desks.items():
        assert desk.heard("the reply") == desk.heard("behind it") == 1, error
        for words in (
            "a new request",
            "an old request",  # edited, not posted again
            "a shared answer",
            "Looking at",
            "Retention rule",
            f"<@U0BOB> cancelled {desk.new}.",
            f"<@U0BOB> cancelled {desk.old}.",
            f"second copy of {desk.old}",
        ):
            assert desk.said(words) == 1, (error, words)


async def test_what_is_gone_is_said_anew(office: Office) -> None:
    desks = await _desks(office, GONE)
    there = {e: {m.ts for m in office.slack.messages(d.channel)} for e, d in desks.items()}
    for error, desk in desks.items():
        office.slack.faults.fail_where(desk.returns, error=error)
        await desk.edits()
    await office.deliver(3)
    assert await office.waiting() == []
    for error, desk in desks.items():
        new = [m for m in office.slack.messages(desk.channel) if m.ts not in there[error]]
        assert sum("an old request" in m.all_text for m in new) == 1, error
        assert sum(f"cancelled {desk.old}." in m.all_text for m in new) == 1, error
        async with office.store.reading() as tx:
            request = await tx.requests.get(int(desk.old[1:]))
        assert request.message_ts in {m.ts for m in new}


async def test_a_refused_token_stops_everything_and_loses_nothing(office: Office) -> None:
    desk = (await _desks(office, ["all of them"]))["all of them"]
    await desk.writes_everything()
    before = await office.waiting()
    for error in sorted(TOKEN_REFUSED):
        office.slack.faults.clear()
        office.slack.faults.fail_where(_always, error=error)
        calls = len(office.slack.log)
        await office.deliver(2, between=30 * 86400.0)
        assert office.notifier.silence == error
        assert await office.waiting() == before, error
        assert 0 < len(office.slack.log) - calls < 20, "one asks now and then, not all of them"
    office.slack.faults.clear()
    await office.deliver(4)
    assert office.notifier.silence == ""
    assert await office.waiting() == []
    _all_arrived(desk)


async def test_what_passes_is_waited_for(office: Office) -> None:
    desk = (await _desks(office, ["all of them"]))["all of them"]
    await desk.writes_everything()
    before = await office.waiting()
    for error in PASSING:
        office.slack.faults.clear()
        office.slack.faults.fail_where(_always, error=error)
        await office.deliver(2, between=3 * 3600.0)
        assert await office.waiting() == before, error
    office.slack.faults.clear()
    await office.deliver(4)
    assert await office.waiting() == []
    _all_arrived(desk)


def _always(method: str, arguments: Mapping[str, Any]) -> bool:
    return True


def _all_arrived(desk: Desk) -> None:
    for words in ("the reply", "behind it", "Tags of team/api, as a file"):
        assert desk.heard(words) == 1, words
    assert desk.heard("Slack could not be told before", "the reply") == 1, "it says that it is late"
    for words in ("a new request", "an old request", "a shared answer", "Retention rule"):
        assert desk.said(words) == 1, words


# What a response_url answers that is not taken, and how: status, body.
HOOKS = {
    "used up": (404, "used_url"),
    "too old": (404, "expired_url"),
    "gone": (410, "gone"),
    "forbidden": (403, "action_prohibited"),
    "refused": (400, "invalid_payload"),
    "refused with 200": (200, "cannot_find_my_channel"),
    "failing": (500, "internal_error"),
    "cut off": (0, ""),
}


async def test_a_response_url_that_takes_nothing_is_left_for_another_way(office: Office) -> None:
    desks = {name: office.desk(n) for n, name in enumerate(HOOKS)}
    for name, desk in desks.items():
        status, error = HOOKS[name]
        # The body tells which desk it is: an answer carries no address.
        office.slack.faults.fail_where(
            lambda method, told, mine=desk.user: method == "response_url" and mine in told["text"],
            status=status,
            error=error,
        )
        await desk.answers(f"the reply for {desk.user}", f"behind it for {desk.user}")
    await office.deliver(11, between=70.0)
    assert await office.waiting() == []
    for name, desk in desks.items():
        seen = [m.text for m in office.slack.ephemerals(desk.user)]
        assert seen == [f"the reply for {desk.user}", f"behind it for {desk.user}"], name
    assert {outcome for _, outcome in office.log} == {"sent", "later"}


async def test_blocks_that_a_response_url_does_not_take_are_said_there_as_text(
    office: Office,
) -> None:
    desk = office.desk(1)
    for n, error in enumerate(sorted(NOT_TAKEN)):
        office.slack.faults.clear()
        office.slack.faults.fail_where(
            lambda method, told: method == "response_url" and "blocks" in told,
            status=(200, 400)[n % 2],
            error=error,
        )
        await desk.answers(error)
        await office.deliver()
        assert office.slack.ephemerals(desk.user)[-1].text == error
    assert office.slack.calls("chat.postEphemeral") == []


async def test_an_old_response_url_is_not_tried(office: Office) -> None:
    desk = office.desk(1)
    await desk.answers("the reply")
    await pass_by(office.store, 29.5 * 60)
    await office.deliver()
    assert office.slack.calls("response_url") == []
    assert desk.heard("Slack could not be told before", "the reply") == 1


async def test_what_the_clock_asked_for_is_told_to_another_channel(office: Office) -> None:
    desk = office.desk(1, user=BOT)
    office.slack.faults.fail_where(desk.speaks_in_channel, error="not_in_channel")
    await desk.writes_everything()
    await office.deliver(4)
    assert await office.waiting() == []
    for words in (
        f"{desk.new} is pending, but I cannot say so in <#{desk.channel}>",
        f"<@U0BOB> cancelled {desk.new}.",
        "cannot show the cleanup preview",
        "Retention rule",
    ):
        assert office.said(LOBBY, words) == 1, words


async def test_what_cannot_be_edited_is_posted_anew_once_in_a_minute(office: Office) -> None:
    desk = (await _desks(office, ["cant_update_message"]))["cant_update_message"]
    office.slack.faults.fail_where(desk.returns, error="cant_update_message")
    for _ in range(5):
        await desk.edits()
        await office.deliver()
    assert desk.said("an old request") == 1, "the first one has just been posted"
    await office.deliver(2, between=61.0)
    assert desk.said("an old request") == 2


async def test_a_state_is_told_privately_once(office: Office) -> None:
    desk = office.desk(1)
    office.slack.faults.fail_where(desk.speaks_in_channel, error="is_archived")
    await desk.writes_everything()
    for _ in range(4):
        async with office.store.transaction() as tx:
            await tx.outbox.refresh(int(desk.new[1:]))
        await office.deliver(2)
    assert desk.heard(f"{desk.new} is pending, but I cannot say so") == 1


async def test_a_letter_that_slack_stumbles_over_alone_is_said_otherwise_after_an_hour(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = office.desk(1)
    office.slack.faults.fail_where(desk.speaks_in_channel, error="internal_error")
    await desk.posts("a shared answer")
    for n in range(3):
        await desk.answers(f"reply {n}")  # others arrive meanwhile
        await office.deliver()
        assert await office.waiting() == ["post"]
        await pass_by(office.store, 70.0)
    monkeypatch.setattr(notifier, "_ALONE", 0.0)
    await office.deliver(2)
    assert await office.waiting() == []
    assert desk.heard(f"I could not post in <#{desk.channel}>", "internal_error") == 1


async def test_a_letter_that_the_bot_cannot_read_holds_up_nothing_for_long(office: Office) -> None:
    desk = (await _desks(office, ["x"]))["x"]
    number = int(desk.old[1:])
    async with office.store.transaction() as tx:
        await tx.outbox.thread(number, "cancelled", {})  # who did it is missing
        await tx.outbox.thread(number, "cancelled", {"by": "U0BOB"})
        await tx.outbox.answer({"of": "another version"}, None)
    await office.deliver(9, between=70.0)
    assert await office.waiting() == []
    assert desk.said(f"<@U0BOB> cancelled {desk.old}.") == 1


async def test_a_letter_of_a_newer_version_waits_for_it(office: Office) -> None:
    async with office.store.transaction() as tx:
        await tx.conn.execute(
            outbox.insert().values(kind="of tomorrow", payload={}, run_at=0, created_at=db_now())
        )
    await office.deliver(30)
    assert await office.waiting() == ["of tomorrow"]


@pytest.mark.parametrize(
    ("asked", "waits"),
    [("7", 7.0), ("0.5", 0.5), ("1e9", 600.0), ("inf", 600.0), ("nan", 0.0), ("-3", 0.0)],
)
def test_slack_may_ask_for_ten_minutes_at_most(asked: str, waits: float) -> None:
    assert seconds(asked) == waits
    assert seconds("Wed, 21 Oct 2026 07:28:00 GMT") == seconds(None) == 0.0


@pytest.mark.parametrize("method", ["chat.update", "chat.postMessage"])
async def test_who_was_paused_while_speaking_leaves_no_old_words_behind(
    office: Office, method: str
) -> None:
    desk = office.desk(1)
    request = await office.create(desk.channel, desk.user, "an old request")
    await _refreshed(office, request.id)
    if method == "chat.update":
        await office.deliver()
        await _refreshed(office, request.id)
    hold = office.slack.faults.hold(method)
    letter = await office.store.claim_letter("paused", 1.0)
    assert letter is not None
    paused = asyncio.create_task(office.notifier._send(letter))
    await hold.arrived.wait()
    await pass_by(office.store, 3600.0)
    async with office.store.transaction() as tx:
        await tx.requests.move(request.id, [State.PENDING], State.DENIED)
    await _refreshed(office, request.id)
    await office.deliver()
    assert await office.waiting() == []
    hold.release()
    await paused
    await office.deliver(2)
    assert await office.waiting() == []
    shown = office.slack.messages(desk.channel)
    assert [m.text for m in shown if f"{request.name} is denied" in m.text] == [shown[0].text]
    assert all("second copy" in m.text for m in shown[1:])


async def _refreshed(office: Office, number: int) -> None:
    async with office.store.transaction() as tx:
        await tx.outbox.refresh(number)
