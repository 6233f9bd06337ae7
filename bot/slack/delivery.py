"""What deliveries have in common: whom Slack knows, when to try again, and when never."""

from slack_sdk.errors import SlackApiError

from bot.store.outbox import Letter

_LONGEST_WAIT = 60.0


def is_in_slack(user: str) -> bool:
    """Whether Slack knows this person: accounts of the host read their answers there."""
    return not user.startswith("local:")


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


def backoff(letter: Letter) -> float:
    """Seconds until the next try: doubled each time, a minute at most."""
    return float(min(_LONGEST_WAIT, 0.5 * 2 ** min(letter.attempts, 8)))


def seconds(value: str | None) -> float:
    """The value of a `Retry-After`; 0 where it is none."""
    try:
        return max(0.0, float(value or 0))
    except ValueError:
        return 0.0


def retry_after(error: SlackApiError) -> float:
    """The seconds for which Slack wants to be left alone; 0 where it does not say."""
    headers = getattr(error.response, "headers", None) or {}
    return seconds(headers.get("Retry-After"))


def code_of(error: SlackApiError) -> str:
    """Slack's word for an error; "" where its answer could not be read."""
    # Then the SDK hands out the bare HTTP response, which knows no words.
    get = getattr(error.response, "get", None)
    return str(get("error") or "") if get else ""
