"""Logs never hold a secret, whatever wrote the line."""

import contextlib
import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from bot.telemetry import REDACTED, Redactor, configure_logging

SECRET = "hunter2/hunter2"
URL = "https://hooks.slack.com/commands/T0/1/abcdef"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    names = ("slack_sdk", "slack_bolt", "httpcore", "httpx", "aiosqlite")
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, own in levels.items():
        logging.getLogger(name).setLevel(own)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def out() -> io.StringIO:
    stream = io.StringIO()
    configure_logging("debug", json=True, secrets=[SECRET], stream=stream)
    return stream


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


LEAKS = [
    ("xoxb-1234567890-abcDEF", "xoxb"),
    ("token xoxp-1-2-3 refused", "xoxp"),
    ("(xapp-1-A0-9-ffff)", "xapp-1"),
    ("xoxe.xoxb-1-abcdef", "abcdef"),
    (f"POST {URL} failed", "abcdef"),
    ("wss://wss.slack.com/link/?ticket=abcdef&app_id=1", "abcdef"),
    ("Authorization: Bearer abcdef", "abcdef"),
    ("{'Authorization': 'Basic YWxhZGRpbg=='}", "YWxhZGRpbg"),
    ("'headers': [('authorization', 'Bearer abcdef')]", "abcdef"),
    ("answered with Bearer eyJhbGciOiJSUzI1NiJ9.e30", "eyJhbGci"),
    ("https://anna:abcdef@registry.corp/v2/", "abcdef"),
    (f"the password {SECRET} is wrong", "hunter2"),
    ("GET /?password=hunter2%2Fhunter2", "hunter2"),
]


@pytest.mark.parametrize(("text", "secret"), LEAKS)
@pytest.mark.parametrize("way", ["event", "value", "nested", "bytes", "exception", "stdlib"])
def test_no_way_leads_a_secret_into_the_log(
    text: str, secret: str, way: str, out: io.StringIO
) -> None:
    log = structlog.get_logger()
    if way == "event":
        log.info(text)
    elif way == "value":
        log.info("said", what=text)
    elif way == "nested":
        log.info("said", what={"a": [1, (text, {"b": text})], text: 1})
    elif way == "bytes":
        log.info("said", what=text.encode())
    elif way == "exception":
        with contextlib.suppress(ValueError):
            try:
                raise RuntimeError(text)
            except RuntimeError as error:
                try:
                    raise ValueError("outer") from error
                except ValueError:
                    log.exception("failed")
                    raise
    else:
        logging.getLogger("library").warning("said %s", text)
    assert secret not in out.getvalue()
    assert REDACTED in out.getvalue()
    (line,) = lines(out)
    assert line["level"] in {"info", "error", "warning"}


def test_exceptions_of_libraries_are_redacted_too(out: io.StringIO) -> None:
    try:
        raise OSError(f"cannot log in with {SECRET}")
    except OSError:
        logging.getLogger("library").exception("failed")
    assert "hunter2" not in out.getvalue()
    assert "OSError" in out.getvalue()


@pytest.mark.parametrize("key", ["password", "response_url", "bot_token", "Authorization"])
def test_a_key_that_promises_a_secret_hides_its_value(key: str, out: io.StringIO) -> None:
    structlog.get_logger().info("said", **{key: "quite harmless"})
    assert lines(out)[0][key] == REDACTED


def test_what_an_object_shows_of_itself_is_redacted(out: io.StringIO) -> None:
    class Leaky:
        def __repr__(self) -> str:
            return f"<Leaky {SECRET}>"

    structlog.get_logger().info("said", what=Leaky())
    assert lines(out)[0]["what"] == f"<Leaky {REDACTED}>"


def test_what_is_no_secret_stays(out: io.StringIO) -> None:
    digest = "sha256:" + "ab" * 32
    structlog.get_logger().info(
        "deleted", repository="team/api", tag="v1.0", digest=digest, count=3, ok=True, none=None
    )
    (line,) = lines(out)
    assert REDACTED not in out.getvalue()
    assert line["event"] == "deleted"
    assert (line["digest"], line["count"], line["ok"], line["none"]) == (digest, 3, True, None)


def test_a_redacted_address_still_says_whose_it_is() -> None:
    assert Redactor().text(f"POST {URL}") == f"POST https://hooks.slack.com/{REDACTED}"


def test_short_and_empty_secrets_do_not_blacken_every_line() -> None:
    redact = Redactor(["", "a", "abc"])
    assert redact.text("abc a banana") == "abc a banana"


def test_the_longest_of_several_secrets_goes_first() -> None:
    assert Redactor(["secret", "secret-longer"]).text("is secret-longer") == f"is {REDACTED}"


def test_a_structure_that_goes_on_for_ever_ends() -> None:
    endless: list[object] = [SECRET]
    endless.append(endless)
    assert "hunter2" not in str(Redactor([SECRET])(None, "info", {"what": endless}))


def test_lines_of_libraries_look_like_ours(out: io.StringIO) -> None:
    structlog.contextvars.bind_contextvars(job=7)
    structlog.get_logger("ours").info("one")
    logging.getLogger("theirs").info("two")
    first, second = lines(out)
    assert first.keys() == second.keys()
    assert (second["logger"], second["level"], second["job"]) == ("theirs", "info", 7)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", second["timestamp"])


@pytest.mark.parametrize(("level", "count"), [("info", 2), ("WARNING", 1), ("error", 0)])
def test_the_level_counts_for_all(level: str, count: int) -> None:
    out = io.StringIO()
    configure_logging(level, stream=out)
    structlog.get_logger().debug("a")
    structlog.get_logger().info("b")
    logging.getLogger("library").warning("c")
    assert len(lines(out)) == count


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="loud"):
        configure_logging("loud")


def test_payloads_are_not_logged_when_debugging(out: io.StringIO) -> None:
    logging.getLogger("slack_sdk.web").debug("the whole payload")
    assert out.getvalue() == ""


def test_setting_up_twice_does_not_write_twice() -> None:
    out = io.StringIO()
    configure_logging(stream=out)
    configure_logging(stream=out)
    logging.getLogger("library").warning("once")
    assert len(lines(out)) == 1


def test_lines_for_people_hide_secrets_too() -> None:
    out = io.StringIO()
    configure_logging(json=False, secrets=[SECRET], stream=out)
    try:
        local = SECRET
        raise ValueError(f"bad {local}")
    except ValueError:
        structlog.get_logger().exception("failed", token="abc")
    assert "hunter2" not in out.getvalue()
    assert "ValueError" in out.getvalue()
    assert "failed" in out.getvalue()
