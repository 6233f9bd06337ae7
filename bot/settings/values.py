"""The form of every single value in `registry-bot.toml`: durations, addresses, ids, patterns.

Each type refuses by raising :class:`Unfit`, with a sentence that goes on after the value's key
("is not a duration") and with what to write instead.
"""

import re
from typing import Annotated, Literal, get_args
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator

from bot.registry.reference import InvalidReference, Repository

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_LONGEST = 3660 * 86400.0
_DAYS = "daily|mon|tue|wed|thu|fri|sat|sun"


class Unfit(ValueError):
    """A value that cannot be used; `fix` says what to write instead."""

    def __init__(self, text: str, fix: str) -> None:
        super().__init__(text)
        self.text = text
        self.fix = fix


def seconds(value: object) -> float:
    """A duration such as `30m`, `12h` or `7d` in seconds.

    Raises
    ------
    Unfit : anything else, a number without unit included: nobody could tell its unit.
    """
    fix = 'Write a number and a unit in quotes, such as "30m", "12h" or "7d".'
    found = re.fullmatch(r"([0-9]{1,9})([smhdw])", value) if isinstance(value, str) else None
    if found is None:
        raise Unfit("is not a duration", fix)
    length = float(found[1]) * _UNITS[found[2]]
    if length > _LONGEST:
        raise Unfit("is longer than ten years", fix)
    return length


def _some_time(value: object) -> float:
    length = seconds(value)
    if length == 0:
        raise Unfit("must be longer than nothing", 'Write a longer time, such as "30m".')
    return length


def split_url(text: str, schemes: tuple[str, ...]) -> SplitResult:
    """The parts of an address that may be kept in a file.

    Raises
    ------
    Unfit : another scheme, no host, an impossible port, a password or a query inside.
    """
    example = f"Write an address such as {schemes[-1]}://registry.corp:5000."
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Unfit("is not an address", example) from None
    # urlsplit drops line breaks silently; a space would end up in the name of the host.
    if parts.scheme not in schemes or not parts.hostname or re.search(r"\s", text) or port == 0:
        raise Unfit("is not an address", example)
    if parts.username is not None or parts.password is not None:
        raise Unfit(
            "holds a user name or password",
            'Take it out of the address; give it as credentials = "env:NAME".',
        )
    if parts.query or parts.fragment:
        raise Unfit("goes on after its path", "Leave out everything from ? or # on.")
    return parts


def _url(text: str) -> str:
    split_url(text, ("http", "https"))
    return text.rstrip("/")


def _listen(text: str) -> str:
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):([0-9]{1,5})", text)
    if found is None or int(found[2]) > 65535:
        raise Unfit(
            "is not a host and a port",
            'Write, for example, "127.0.0.1:8080", or "0.0.0.0:8080" for every interface.',
        )
    return text


def _store_url(text: str) -> str:
    if re.match(r"postgres(ql)?://[^/\s]*/?\S*$", text):
        return text
    path = text.removeprefix("sqlite:///").partition("?")[0]
    if text.startswith("sqlite:///") and path and ":memory:" not in path:
        return text
    raise Unfit(
        "is not a database that lasts",
        'Write "sqlite:///registry-bot.db", or "postgresql://host/name" for several replicas.',
    )


def _pattern(text: str, what: str, letters: str, fix: str) -> str:
    if not re.fullmatch(rf"(?:[{letters}*?!^-]|\[[{letters}!^-]+\])+", text):
        raise Unfit(f"is not a pattern for {what}", fix)
    return text


def _repository_pattern(text: str) -> str:
    return _pattern(
        text,
        "repositories",
        "a-z0-9._/",
        'Write lower-case names with * or **, such as "team/api" or "ci/**". Tags have a list '
        "of their own: tags = […].",
    )


def _tag_pattern(text: str) -> str:
    return _pattern(text, "tags", "A-Za-z0-9_.", 'Write, for example, "latest" or "v*.*.*".')


def _some(values: list[str]) -> list[str]:
    # An emptied list reads like "nothing", but a rule without patterns is about everything.
    if not values:
        raise Unfit("is empty", "Name at least one, or leave the whole line out.")
    return values


def _repository(text: str) -> str:
    try:
        return Repository.parse(text) if text else text
    except InvalidReference as error:
        raise Unfit("is not the name of a repository", str(error)) from None


def _matching(pattern: str, text: str, fix: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise Unfit(text, fix)
        return value

    return AfterValidator(check)


def _timezone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (LookupError, OSError, ValueError):
        raise Unfit(
            "is not a time zone", 'Write a name such as "UTC" or "Europe/Berlin".'
        ) from None
    return text


Duration = Annotated[float, BeforeValidator(_some_time)]
Window = Annotated[float, BeforeValidator(seconds)]
Url = Annotated[str, AfterValidator(_url)]
RepositoryPatterns = Annotated[
    list[Annotated[str, AfterValidator(_repository_pattern)]], AfterValidator(_some)
]
TagPatterns = Annotated[list[Annotated[str, AfterValidator(_tag_pattern)]], AfterValidator(_some)]
Names = Annotated[list[str], AfterValidator(_some)]
Words = list[Annotated[str, _matching(r"(?s).*[^\0]", "has an empty word", "Take it out.")]]
ChannelId = Annotated[
    str,
    _matching(
        r"[CG][A-Z0-9]{2,}",
        "is not the id of a channel",
        "Open the channel's details in Slack: its id, such as C0123ABCD, is at the bottom. Names "
        "and direct messages cannot be used.",
    ),
]
UserId = Annotated[
    str,
    _matching(
        r"[UW][A-Z0-9]{2,}|local:[^\s:]+",
        "is not the id of a person",
        "In Slack open the person's profile, then the menu, then “Copy member ID”: it looks like "
        "U0123ABCD. Names can be changed by anybody and are not accepted.",
    ),
]
AccountName = Annotated[
    str,
    _matching(
        r"(?!local:)[^\s:]+",
        "is not the name of an account of this host",
        "Write the name alone, as `id -un` prints it, without local: before it.",
    ),
]
SlackUserId = Annotated[
    str,
    _matching(
        r"[UW][A-Z0-9]{2,}",
        "is not the id of a person in Slack",
        "In Slack open the person's profile, then the menu, then “Copy member ID”: it looks like "
        "U0123ABCD.",
    ),
]
UsergroupId = Annotated[
    str,
    _matching(
        r"S[A-Z0-9]{2,}",
        "is not the id of a user group",
        "It looks like S0123ABCD; the group's link in Slack ends with it.",
    ),
]
Listen = Annotated[str, AfterValidator(_listen)]
StoreUrl = Annotated[str, AfterValidator(_store_url)]
RepositoryName = Annotated[str, AfterValidator(_repository)]
TimeZone = Annotated[str, AfterValidator(_timezone)]
RegistryName = Annotated[
    str,
    _matching(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}",
        "is not a name that people could type",
        "Use up to 40 letters, digits, dots and dashes, such as corp.",
    ),
]
LoginSource = Annotated[
    str,
    _matching(
        r"docker|env:[A-Za-z_][A-Za-z0-9_]*",
        "does not say where the login is",
        'Write "env:CORP" for the variables CORP_USERNAME and CORP_PASSWORD, or "docker" for '
        "what docker login stored.",
    ),
]
EnvReference = Annotated[
    str,
    _matching(
        r"env:[A-Za-z_][A-Za-z0-9_]*",
        "does not name environment variables",
        'Write "env:" and the beginning of their names, such as "env:CORP".',
    ),
]
Label = Annotated[
    str,
    _matching(
        r"\S(.{0,78}\S)?", "is empty, too long or not one line", "Give a short name on one line."
    ),
]
Schedule = Annotated[
    str,
    _matching(
        rf"({_DAYS}) ([01][0-9]|2[0-3]):[0-5][0-9]",
        "is not a schedule",
        'Write a day (or daily) and a time, such as "sun 03:00" or "daily 03:00".',
    ),
]
RuleAction = Literal["delete", "cleanup", "purge", "purge request", "gc", "lock", "undo"]
ACTIONS: tuple[str, ...] = get_args(RuleAction)
