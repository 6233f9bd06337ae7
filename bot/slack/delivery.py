"""What deliveries have in common: whom Slack knows, what its errors mean, when to try again."""

import math
from enum import StrEnum

from slack_sdk.errors import SlackApiError

from bot.rules.policy import BOT
from bot.store.outbox import Letter

_LONGEST_WAIT = 60.0
_LONGEST_ASKED = 600.0

TOKEN_REFUSED = frozenset(
    {
        "account_inactive",
        "invalid_auth",
        "not_allowed_token_type",
        "not_authed",
        "org_login_required",
        "team_access_not_granted",
        "token_expired",
        "token_revoked",
    }
)
"""Slack takes nothing at all from this app until its operator has done something."""

NOT_TAKEN = frozenset(
    {
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_arguments",
        "invalid_attachments",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
    }
)
"""It is what was said that Slack does not take: a simpler message may do."""

GONE = frozenset(
    {
        "cannot_reply_to_message",
        "cant_update_message",
        "edit_window_closed",
        "is_inactive",
        "message_not_found",
        "restricted_action_non_threadable_channel",
        "restricted_action_thread_locked",
        "thread_not_found",
    }
)
"""The message that was to be edited or answered is not there any more, or closed."""

_PASSING = frozenset(
    {
        "external_channel_migrating",
        "fatal_error",
        "internal_error",
        "rate_limited",
        "ratelimited",
        "request_timeout",
        "service_unavailable",
        "team_added_to_org",
    }
)


def is_in_slack(user: str) -> bool:
    """Whether Slack knows this person: accounts of the host read their answers there."""
    return bool(user) and user != BOT and not user.startswith("local:")


class Later(Exception):
    """Try again in `delay` seconds; `why` is for the log."""

    def __init__(self, delay: float, why: str) -> None:
        super().__init__(why)
        self.delay = delay
        self.why = why


class Refused(Exception):
    """Slack will never take it; `code` is its word for that."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Meaning(StrEnum):
    """What an error of Slack's means for the one message."""

    PASSING = "passing"
    TOKEN = "token"  # noqa: S105 - a word, not a secret
    REFUSED = "refused"


def meaning(error: SlackApiError) -> Meaning:
    """Whether to wait, to wait for the operator, or to say it otherwise."""
    status = getattr(error.response, "status_code", None)
    if status is None:
        # The SDK could not read the answer, and hands out the bare response.
        return Meaning.PASSING
    word = code_of(error)
    if word in TOKEN_REFUSED:
        return Meaning.TOKEN
    passing = status == 429 or status >= 500 or word in _PASSING
    return Meaning.PASSING if passing else Meaning.REFUSED


def backoff(letter: Letter) -> float:
    """Seconds until the next try: doubled each time, a minute at most."""
    return float(min(_LONGEST_WAIT, 0.5 * 2 ** min(letter.attempts, 8)))


def seconds(value: str | None) -> float:
    """The value of a `Retry-After`, ten minutes at most; 0 where it is none."""
    try:
        asked = float(value or 0)
    except ValueError:
        return 0.0
    return min(max(0.0, asked), _LONGEST_ASKED) if not math.isnan(asked) else 0.0


def retry_after(error: SlackApiError) -> float:
    """The seconds for which Slack wants to be left alone; 0 where it does not say."""
    headers = getattr(error.response, "headers", None) or {}
    return seconds(headers.get("Retry-After"))


def code_of(error: SlackApiError) -> str:
    """Slack's word for an error; "" where its answer could not be read."""
    # Then the SDK hands out the bare HTTP response, which knows no words.
    get = getattr(error.response, "get", None)
    return str(get("error") or "") if get else ""
