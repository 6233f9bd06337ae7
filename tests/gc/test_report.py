"""The collector's output in both dialects, and every way in which it proves nothing."""

import pytest

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


def test_a_failure_is_seen_without_an_exit_code() -> None:
    parser = parse(V2, "failed to garbage collect: failed to delete blob: disk gone")
    with pytest.raises(GcOutputError, match="disk gone"):
        parser.report(None)


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
