"""What people read of `doctor`: within Slack's limits, with what mends it, and honest."""

import csv
import io
from typing import Any

import pytest

from bot.gc.uploads import StaleUploads
from bot.operations.doctor import Report
from bot.rules.health import Fault, Finding, advice, in_order
from bot.slack.views import doctor, files
from tests.support.shown import (
    HOSTILE,
    LONG_REPOSITORY,
    LONG_TAG,
    buttons,
    check,
    digest,
    read,
)

HOST = "registry.corp:5000"


def report(*found: Finding, repository: str = "", **changes: Any) -> Report:
    values: dict[str, Any] = {
        "findings": in_order(found),
        "looked": 3,
        "repositories": 3,
        "tags": 4,
        "manifests": 5,
        "blobs": 1,
        "seconds": 2.0,
    }
    return Report("corp", HOST, repository, **(values | changes))


def rows(content: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content)))


CHILD = Finding(Fault.MISSING_CHILD, "a", digest(7), ("multi",), ("linux/arm64",))
GHOST = Finding(Fault.GHOST_TAG, "a", "ghost", ("ghost",))


def test_nothing_is_broken() -> None:
    shown = doctor.report(report(), "doctor")
    check(shown)
    for text in (shown["text"], read(shown)):
        assert "Nothing is broken in corp" in text
        assert "3 repositories, 4 tags, 5 manifests, 1 layer or config in 2.0 s" in text
    assert buttons(shown) == ["Share"]
    assert buttons(doctor.report(report(), "")) == []


def test_each_fault_with_what_mends_it() -> None:
    shown = doctor.report(report(GHOST, CHILD), "doctor")
    check(shown)
    assert "*2 problems* in corp" in shown["text"]
    assert "linux/arm64" in read(shown)
    for text in (shown["text"], read(shown)):
        assert "Missing image of an index (1)." in text
        assert f"`docker push {HOST}/a:multi`" in text
        assert "`/registry delete a:multi`" in text
        assert "Ghost tag (1)." in text
    # The worst comes first.
    assert read(shown).index("Missing image") < read(shown).index("Ghost tag")
    assert files.of_doctor(report(GHOST, CHILD)) is None


@pytest.mark.parametrize("fault", list(Fault))
def test_every_fault_can_be_told(fault: Fault) -> None:
    for subject in ("tag", digest(1), ""):
        found = Finding(fault, LONG_REPOSITORY, subject, (LONG_TAG,), ("linux/amd64",))
        check(doctor.report(report(found, found), "doctor"))
        assert fault.meaning.endswith(".")
        assert advice(found, HOST).count("`") % 2 == 0


def test_harmless_things_are_no_problems() -> None:
    empty = Finding(Fault.EMPTY_REPOSITORY, "gone")
    signature = Finding(Fault.STALE_SIGNATURE, "a", f"sha256-{'0' * 64}.sig", ("x",))
    shown = doctor.report(report(empty, signature), "doctor")
    check(shown)
    assert "Nothing is broken" in read(shown)
    assert "Empty repository (1)." in read(shown)
    assert "`gone`" in read(shown)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_registry_says_is_only_text(text: str) -> None:
    found = Finding(Fault.UNREADABLE, "a", "1", ("1",), detail=text)
    uploads = StaleUploads(problem=text)
    check(doctor.report(report(found, refused=(("a", text),), uploads=uploads), "doctor"))


def test_what_does_not_fit_comes_as_a_file() -> None:
    ghosts = [Finding(Fault.GHOST_TAG, "a", f"t{n}", (f"t{n}",)) for n in range(500)]
    empty = [Finding(Fault.EMPTY_REPOSITORY, f"empty-{n:03d}") for n in range(300)]
    seen = report(*ghosts, *empty)
    shown = doctor.report(seen, "doctor")
    check(shown)
    assert "The first 99 of 500 are shown. Everything comes as a CSV file" in read(shown)
    assert "CSV" not in read(doctor.report(seen, ""))
    sent = files.of_doctor(seen)
    assert sent is not None
    assert len(rows(sent.content)) == 801
    first = dict(zip(*rows(sent.content)[:2], strict=True))
    assert first["problem"] == "ghost tag"
    assert first["tag or digest"] == "t0"
    assert f"`docker push {HOST}/a:t0`" in first["what to do"]


@pytest.mark.parametrize(
    "found",
    [
        [Finding(Fault.MISSING_BLOB, "a", digest(1), tuple(f"t{n}" for n in range(6)))],
        [Finding(Fault.EMPTY_REPOSITORY, f"empty-{n:03d}") for n in range(300)],
    ],
    ids=["tags", "empty"],
)
def test_nothing_is_left_out_without_a_file(found: list[Finding]) -> None:
    shown = doctor.report(report(*found), "doctor")
    check(shown)
    assert "more" in read(shown)
    assert "CSV" in read(shown)
    sent = files.of_doctor(report(*found))
    assert sent is not None
    assert len(rows(sent.content)) == len(found) + 1


def test_a_run_that_was_cut_short_says_so() -> None:
    shown = doctor.report(report(looked=2, repositories=9), "doctor")
    check(shown)
    for text in (shown["text"], read(shown)):
        assert "Looked at 2 of 9 repositories in the time there was" in text
        assert "`/registry doctor REPO` looks at one" in text
        assert "Nothing is broken" not in text


def test_one_repository_that_was_cut_short_says_so() -> None:
    seen = report(repository="a", looked=0, repositories=1, checks=5, known_checks=80)
    shown = doctor.report(seen, "doctor a")
    assert "after 5 of at least 80 checks" in read(shown)
    assert "Nothing is broken" not in read(shown)


def test_repositories_that_could_not_be_looked_at_are_named() -> None:
    refused = (("b", "No right."), ("c", "No right."))
    shown = doctor.report(report(looked=1, refused=refused), "doctor")
    assert "Could not look at `b` and 1 more: No right." in read(shown)
    assert "Nothing is broken" not in read(shown)


def test_stale_uploads_name_the_registrys_own_setting() -> None:
    uploads = StaleUploads(3, 15_000, 2)
    shown = doctor.report(report(uploads=uploads), "doctor")
    check(shown)
    for text in (shown["text"], read(shown)):
        assert "3 uploads in 2 repositories never ended" in text
        assert "15.0 kB" in text
        assert "`storage.maintenance.uploadpurging`" in text
    assert "never ended" not in read(doctor.report(report(uploads=StaleUploads()), "doctor"))
    broken = report(uploads=StaleUploads(problem="Permission denied: x"))
    assert "Permission denied" in read(doctor.report(broken, "doctor"))


def test_unknown_types_are_counted() -> None:
    assert "1 manifest of a type" in read(doctor.report(report(unknown=1), "doctor"))
