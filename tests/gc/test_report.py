"""The collector's output in both dialects, and every way in which it proves nothing."""

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.gc.files import JobFiles
from bot.gc.report import GcOutputError, GcProgress, GcReport, ReportParser


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


V2 = f"""\
team/app
team/app: marking manifest {digest(1)}\x20
team/app: marking blob {digest(2)}
team/app: marking blob {digest(3)}
manifest eligible for deletion: {digest(4)}
tools
manifest eligible for deletion: {digest(4)}
tools: marking manifest {digest(5)}\x20
tools: marking blob {digest(2)}

4 blobs marked, 2 blobs and 2 manifests eligible for deletion
blob eligible for deletion: {digest(4)}
blob eligible for deletion: {digest(6)}
"""

V3 = f"""\
team/app
team/app: marking manifest {digest(1)}\x20
team/app: marking blob {digest(2)}
team/app: marking blob {digest(3)}
tools
tools: marking manifest {digest(5)}\x20
tools: marking blob {digest(2)}
manifest eligible for deletion: {{team/app {digest(4)} [v1 v2]}}
manifest eligible for deletion: {{tools {digest(4)} []}}

4 blobs marked, 2 blobs and 2 manifests eligible for deletion
blob eligible for deletion: {digest(4)}
blob eligible for deletion: {digest(6)}
team/app: layer link eligible for deletion: {digest(6)}
"""

SUMMARY = "4 blobs marked, 2 blobs and 2 manifests eligible for deletion"


def parse(text: str, errors: str = "") -> ReportParser:
    parser = ReportParser()
    for line in text.split("\n"):
        parser.feed(line)
    for line in errors.split("\n"):
        parser.feed_error(line)
    return parser


@pytest.mark.parametrize("text", [V2, V3], ids=["v2", "v3"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_both_dialects_say_the_same(text: str, ending: str) -> None:
    report = parse(text.replace("\n", ending)).report(0)
    assert report == GcReport(
        blobs_marked=4,
        eligible_blobs=frozenset({digest(4), digest(6)}),
        eligible_manifests=frozenset({("team/app", digest(4)), ("tools", digest(4))}),
        summary=SUMMARY,
    )
    assert report.manifest_digests == {digest(4)}


def test_progress_grows_with_the_lines_and_ends_with_the_collectors_number() -> None:
    parser = ReportParser()
    assert parser.progress == GcProgress(0, 0, 0, 0)
    lines = V2.split("\n")
    for line in lines[:5]:
        parser.feed(line)
    assert parser.progress == GcProgress(1, 3, 0, 1)
    for line in lines[5:9]:
        parser.feed(line)
    assert parser.progress == GcProgress(2, 5, 0, 2)
    for line in lines[9:]:
        parser.feed(line)
    assert parser.progress == GcProgress(2, 4, 2, 2)


def test_log_lines_on_a_terminal_are_no_part_of_the_list() -> None:
    log = f'time="2024" level=info msg="Deleting blob: /docker/{digest(4)}" instance.id=1\r\n'
    parser = parse(V2.replace("\n", "\r\n").replace("blob eligible", log + "blob eligible"))
    assert parser.report(0).eligible_blobs == {digest(4), digest(6)}
    assert parser.deleting


@pytest.mark.parametrize(
    "what", ["Deleting blob", "deleting manifest", "deleting manifest tag reference"]
)
def test_a_deletion_is_noticed(what: str) -> None:
    assert not parse(V2).deleting
    assert parse("", f'level=info msg="{what}: /docker/registry/v2/x"').deleting


def test_an_unknown_flag_prints_usage_and_exits_zero() -> None:
    parser = parse("", "Error: unknown flag: --quiet\nUsage:\n  registry garbage-collect <config>")
    with pytest.raises(GcOutputError, match="usage and did nothing: Error: unknown flag") as caught:
        parser.report(0)
    assert "collect" in caught.value.hint


@pytest.mark.parametrize("text", ["", "team/app\n", "done\n"])
@pytest.mark.parametrize("exit_code", [0, None])
def test_no_summary_is_no_success(text: str, exit_code: int | None) -> None:
    with pytest.raises(GcOutputError, match="without its summary"):
        parse(text).report(exit_code)


@pytest.mark.parametrize("exit_code", [0, None])
@pytest.mark.parametrize("lost", [f"blob eligible for deletion: {digest(6)}", digest(4)])
def test_a_list_that_is_shorter_than_announced_is_no_success(
    lost: str, exit_code: int | None
) -> None:
    text = "\n".join(line for line in V2.split("\n") if lost not in line)
    with pytest.raises(GcOutputError, match="announced 2 blobs and 2 manifests"):
        parse(text).report(exit_code)


def test_a_summary_must_be_a_whole_line() -> None:
    with pytest.raises(GcOutputError):
        parse(V2.replace(SUMMARY, "level=info " + SUMMARY)).report(0)


@pytest.mark.parametrize("exit_code", [1, 2, 137, -9])
def test_a_bad_exit_code_beats_a_good_summary(exit_code: int) -> None:
    with pytest.raises(GcOutputError, match=f"exit code {exit_code}: boom"):
        parse(V2, "boom").report(exit_code)


@pytest.mark.parametrize(
    ("errors", "sentence"),
    [
        (
            "failed to garbage collect: failed to mark: filesystem: Path not found: "
            "/docker/registry/v2/repositories",
            "storage is empty",
        ),
        ("configuration error: open x.yml: no such file", "registry's configuration: config"),
        ("failed to garbage collect: invalid checksum digest format", "damaged link file"),
        (
            "failed to garbage collect: failed to mark: filesystem: filesystem: "
            "failed to retrieve tags unknown repository name=team/by-digest",
            "team/by-digest has manifests and never had a tag",
        ),
        ("Error response from daemon: No such container: reg", "No such container: reg"),
    ],
)
def test_known_failures_are_explained(errors: str, sentence: str) -> None:
    with pytest.raises(GcOutputError, match=sentence) as caught:
        parse("", errors).report(1)
    assert caught.value.hint


@pytest.mark.parametrize("exit_code", [None, 0])
def test_a_failure_is_seen_without_its_exit_code(exit_code: int | None) -> None:
    """Nobody saw the end, or a script hid it: the last blob is listed before it goes."""
    parser = parse(V2, "failed to garbage collect: failed to delete blob: disk gone")
    with pytest.raises(GcOutputError, match="disk gone"):
        parser.report(exit_code)


def test_a_long_complaint_is_clipped() -> None:
    with pytest.raises(GcOutputError) as caught:
        parse("", "panic: " + "x" * 5000).report(2)
    assert len(caught.value.sentence) < 400


def test_a_v2_manifest_before_any_repository_belongs_to_none() -> None:
    text = (
        f"manifest eligible for deletion: {digest(4)}\n\n"
        "0 blobs marked, 0 blobs and 1 manifests eligible for deletion\n"
    )
    assert parse(text).report(0).eligible_manifests == {("", digest(4))}


USAGE_V3 = """\
Error: unknown flag: --dry
Usage:
  registry garbage-collect <config> [flags]
Flags:
  -m, --delete-untagged   delete manifests that are not currently referenced via tag
  -d, --dry-run           do everything except remove the blobs
  -q, --quiet             silence output
"""


@pytest.mark.parametrize("merged", [False, True], ids=["apart", "on a terminal"])
@pytest.mark.parametrize("wrong", ["--dry", "-x"])
def test_the_usage_of_either_version_is_no_success(wrong: str, merged: bool) -> None:
    text = USAGE_V3.replace("--dry\n", f"{wrong}\n")
    parser = parse(text.replace("\n", "\r\n")) if merged else parse("", text)
    with pytest.raises(GcOutputError, match=f"usage and did nothing: .*{wrong}"):
        parser.report(0)


@pytest.mark.parametrize("errors", ["", 'level=info msg="Deleting blob: /docker/x" go.version=1'])
def test_a_quiet_collection_proves_nothing(errors: str) -> None:
    """Version 3 prints nothing at all with --quiet, version 2 its usage."""
    with pytest.raises(GcOutputError, match="without its summary") as caught:
        parse("", errors).report(0)
    assert "without --quiet" in caught.value.hint


@pytest.mark.parametrize("digits", ["9" * 5000, "\u0663", "-1", "1.5", "1,000"])
def test_a_number_that_is_none_is_no_summary(digits: str) -> None:
    parser = parse(f"{digits} blobs marked, 0 blobs and 0 manifests eligible for deletion\n")
    assert parser.progress == GcProgress()
    with pytest.raises(GcOutputError, match="without its summary"):
        parser.report(0)


def test_a_digest_that_was_cut_off_is_not_taken_for_another() -> None:
    with pytest.raises(GcOutputError, match="announced 2 blobs"):
        parse(V2.rstrip()[:-1]).report(None)


@pytest.mark.parametrize("second", ["tools: marking blob " + digest(2), SUMMARY])
def test_a_second_collection_in_one_output_is_refused(second: str) -> None:
    """A script over several registries; its last one may have been killed after its first line."""
    text = "1 blobs marked, 0 blobs and 0 manifests eligible for deletion\n"
    assert parse(text).report(0).eligible_blobs == frozenset()
    with pytest.raises(GcOutputError, match="more than one collection"):
        parse(f"{text}{second}\n").report(0)


@pytest.mark.parametrize(
    ("errors", "to_do"),
    [
        ("write /x: no space left on device", "A disk is full"),
        ("sh: 1: registry: not found", "is missing where the collection runs"),
        ("ssh: connect to host corp port 22: Connection refused", "without a question"),
        ("Permission denied (publickey).", "without a question"),
        ("Error response from daemon: container 1f is not running", "start the container"),
        ("sh: registry: Kommando nicht gefunden", "Read the log of the collection"),
    ],
)
def test_each_failure_says_what_to_do(errors: str, to_do: str) -> None:
    with pytest.raises(GcOutputError) as caught:
        parse("", errors).report(1)
    assert errors in caught.value.sentence
    assert to_do in caught.value.hint


def read(out: bytes, err: bytes, exit_code: int | None) -> GcReport | None:
    """What the files of a collection prove; None for nothing, and any other error is one."""
    with tempfile.TemporaryDirectory() as directory:
        files = JobFiles(Path(directory), "corp")
        output = files.output("R1", dry_run=False)
        output.stdout.write_bytes(out)
        output.stderr.write_bytes(err)
        with contextlib.suppress(GcOutputError):
            return files.read_log("R1", dry_run=False, exit_code=exit_code)
        return None


EXIT_CODES = st.sampled_from([0, None, 1, 126, 127, 255, -9])
# Whole lines of the collector among the rubbish, so that it comes close to a success.
PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(V2.encode().splitlines(keepends=True)),
    st.sampled_from(V3.encode().splitlines(keepends=True)),
    st.sampled_from([b"\r\n", b"\n", b"Usage:\n", b"panic: x\n", b"0 blobs marked, "]),
)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=12).map(b"".join), st.binary(max_size=60), EXIT_CODES)
@example(V2.encode(), b"", 0)
@example(b"9" * 70_000, b"\xff" * 70_000, 0)
def test_no_bytes_are_an_error_of_ours_nor_a_success_by_chance(
    out: bytes, err: bytes, exit_code: int | None
) -> None:
    report = read(out, err, exit_code)
    if report is None:
        return
    assert exit_code in (0, None)
    assert report.summary.encode() in out
    announced = [int(word) for word in report.summary.split() if word.isdigit()]
    assert len(report.eligible_blobs) <= announced[1]
    if not report.eligible_blobs and not report.eligible_manifests:
        assert announced[1:] == [0, 0], "nothing to collect, and the collector never said so"


NOISE = st.sampled_from(
    [
        'time="2026" level=info msg="Deleting blob: /docker/registry/v2/blobs/sha256/aa"',
        'time="2026" level=warning msg="no tracing" go.version=go1.25',
        "Warnung: Zeitzone unbekannt, verwende UTC",
        "\u8b66\u544a: \u672a\u77e5\u7684\u884c",
        "",
        "   ",
    ]
)


@settings(deadline=None)
@given(
    st.sampled_from([V2, V3]),
    st.lists(st.tuples(st.integers(0, 20), NOISE), max_size=6),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(0, 2000),
    st.sampled_from([0, None]),
)
def test_whatever_is_between_and_wherever_it_ends_it_is_all_or_nothing(
    text: str, noise: list[tuple[int, str]], ending: str, cut: int, exit_code: int | None
) -> None:
    lines = text.split("\n")
    for place, line in noise:
        lines.insert(min(place, len(lines)), line)
    whole = ending.join(lines).encode()
    full = parse(text).report(0)
    assert read(whole, b"", exit_code) == full
    part = whole[: max(0, len(whole) - cut)]
    needed = whole.index(digest(6).encode()) + len(digest(6))
    expected = full if len(part) >= needed else None
    assert read(part, b"", exit_code) == expected
