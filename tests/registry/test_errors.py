"""The tree of errors, and the sentences made from answers."""

import inspect
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from bot.registry import errors
from bot.registry.failures import Answer, failure, retry_after


def tree() -> set[str]:
    return {
        name
        for name, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, errors.RegistryError)
    }


def test_the_drawing_shows_every_error() -> None:
    drawn = {word for word in (errors.__doc__ or "").split() if word.isidentifier()}
    assert tree() <= drawn


def answer(status: int, body: str = "", method: str = "GET", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    url = httpx.URL("https://registry.corp/v2/")
    return Answer(method, url, status, httpx.Headers(named), body.encode())


def json_error(code: str, message: str = "") -> str:
    return f'{{"errors":[{{"code":"{code}","message":"{message}","detail":"text or object"}}]}}'


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (answer(401), errors.Unauthorized),
        (answer(401, WWW_Authenticate='Bearer error="insufficient_scope"'), errors.Forbidden),
        (answer(403), errors.Forbidden),
        (answer(404, json_error("MANIFEST_UNKNOWN")), errors.NotFound),
        (answer(404, method="HEAD", Content_Type="application/json"), errors.NotFound),
        (
            answer(404, method="HEAD", Docker_Distribution_Api_Version="registry/2.0"),
            errors.NotFound,
        ),
        # A proxy that does not know the way says nothing of what is there.
        (answer(404, method="HEAD", Content_Type="text/html"), errors.ProtocolError),
        (answer(404, "404 page not found"), errors.ProtocolError),
        (answer(400, json_error("MANIFEST_BLOB_UNKNOWN"), "PUT"), errors.NotFound),
        (answer(405, json_error("UNSUPPORTED"), "DELETE"), errors.DeleteDisabled),
        (answer(405, json_error("UNSUPPORTED"), "PUT"), errors.Unsupported),
        (
            answer(405, "no", "PUT", Allow="GET, HEAD", Content_Type="text/plain; charset=utf-8"),
            errors.ReadOnly,
        ),
        # A proxy that forbids the method is not a registry in maintenance.
        (answer(405, "no", "PUT", Content_Type="text/html", Allow="GET"), errors.Unsupported),
        (answer(405, "no", "PUT", Content_Type="text/plain"), errors.Unsupported),
        (
            answer(405, "no", "PUT", Allow="GET, PUT", Content_Type="text/plain"),
            errors.Unsupported,
        ),
        (answer(429, Retry_After="7"), errors.RateLimited),
        (answer(503), errors.Unreachable),
        (answer(500, json_error("UNKNOWN")), errors.ProtocolError),
        (answer(418), errors.ProtocolError),
        (answer(200, "[" * 100_000), errors.ProtocolError),
    ],
)
def test_answers_become_errors(given: Answer, expected: type[errors.RegistryError]) -> None:
    found = failure(given, "team/api:1.0")
    assert type(found) is expected
    assert found.sentence.endswith((".", "?"))
    assert found.hint


def test_a_registry_cannot_write_our_messages() -> None:
    found = failure(answer(400, json_error("X", "\\u001b[2J" + "y" * 5000)), "team/api:1.0")
    assert len(found.sentence) < 300
    assert found.sentence.isprintable()


def test_retry_after() -> None:
    def seconds(value: str) -> float | None:
        return retry_after(httpx.Headers({"Retry-After": value}))

    assert seconds("12") == 12
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert seconds(soon) == pytest.approx(30, abs=2)
    assert seconds("Mon, 01 Jan 2001 00:00:00 GMT") == 0
    assert seconds("soon") is None
    assert retry_after(httpx.Headers()) is None


@pytest.mark.parametrize(
    ("detail", "full"),
    [
        ('{"DriverName":"filesystem","Enclosed":{"Op":"write","Path":"/x","Err":28}}', True),
        ('{"DriverName":"filesystem","Enclosed":{"Op":"mkdir","Path":"/x","Err":122}}', True),
        ('{"driver":"filesystem","detail":"write /x: no space left on device"}', True),
        ('{"DriverName":"filesystem","Enclosed":{"Op":"open","Path":"/x","Err":13}}', False),
        ('{"Err":{"Err":"28"}}', False),
        ("null", False),
    ],
)
def test_a_full_disk_is_known_by_what_the_storage_driver_says(detail: str, full: bool) -> None:
    said = f'{{"errors":[{{"code":"UNKNOWN","message":"unknown error","detail":{detail}}}]}}'
    error = failure(answer(500, said, "POST"), "an upload to a")
    assert isinstance(error, errors.StorageFull) is full
    assert isinstance(error, errors.ProtocolError)
