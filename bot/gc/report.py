"""What `registry garbage-collect` prints, as progress while it runs and a report at its end.

Two dialects exist. Version 2 prints an untagged manifest inside the block of its repository
(`manifest eligible for deletion: sha256:…`), version 3 after all repositories and in braces
(`manifest eligible for deletion: {team/app sha256:… [v1 v2]}`), where the brackets hold every
tag of the repository and say nothing about that digest. The rest is the same.
"""

import re
from collections import deque
from dataclasses import dataclass

from bot.gc.errors import GcOutputError

__all__ = ["GcOutputError", "GcProgress", "GcReport", "ReportParser"]

# The usual ones with their whole length: a line that was cut off must not pass for another digest.
_DIGEST = (
    r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}"
    r"|(?!sha256:|sha512:)[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-fA-F]{32,})"
)
_NAME = r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*"
_REPOSITORY = re.compile(_NAME)
_MARKING = re.compile(rf"(?P<repository>{_NAME}): marking (?:manifest|blob) {_DIGEST}")
_LAYER_LINK = re.compile(rf"{_NAME}: layer link eligible for deletion: {_DIGEST}")
_BLOB = re.compile(rf"blob eligible for deletion: (?P<digest>{_DIGEST})")
_MANIFEST_V2 = re.compile(rf"manifest eligible for deletion: (?P<digest>{_DIGEST})")
_MANIFEST_V3 = re.compile(
    rf"manifest eligible for deletion: \{{(?P<repository>{_NAME}) (?P<digest>{_DIGEST}) \[.*\]\}}"
)
_SUMMARY = re.compile(
    r"(?P<marked>[0-9]{1,18}) blobs marked, (?P<blobs>[0-9]{1,18}) blobs and "
    r"(?P<manifests>[0-9]{1,18}) manifests eligible for deletion"
)
_USAGE = re.compile(r"Usage:(\s.*)?")
_DELETING = re.compile(r"\b(?:Deleting blob|deleting manifest(?: tag reference)?): ")
_LOG_LINE = re.compile(r"""(?:time="[^"]*" )?level=(?:debug|info|warning)\b.*""")
_NEVER_TAGGED = re.compile(rf"failed to retrieve tags unknown repository name=(?P<name>{_NAME})")
_FATAL = ("failed to garbage collect", "configuration error", "panic:")

_REMARKS_KEPT = 12
_QUOTE_LIMIT = 300

_AGAIN = "Collect again: what was left over is found and freed then."
_READ_LOG = "Read the log of the collection, put its cause right and collect again."


@dataclass(frozen=True, slots=True)
class GcProgress:
    """How far a running collection has come.

    `marked` counts marked blobs as they are printed, so one that several repositories share
    counts once for each; with the summary it becomes the collector's own number.
    """

    repositories: int = 0
    marked: int = 0
    eligible_blobs: int = 0
    eligible_manifests: int = 0


@dataclass(frozen=True, slots=True)
class GcReport:
    """What a finished collection deleted, or would delete if it was a dry run.

    `eligible_manifests` holds pairs of repository and digest. The repository is empty where the
    output did not name one, which no approved pair equals. The collector prints no bytes.
    """

    blobs_marked: int
    eligible_blobs: frozenset[str]
    eligible_manifests: frozenset[tuple[str, str]]
    summary: str

    @property
    def manifest_digests(self) -> frozenset[str]:
        """The digests of the eligible manifests, whatever their repository."""
        return frozenset(digest for _, digest in self.eligible_manifests)


class ReportParser:
    """Reads the output line by line: `feed` standard output, `feed_error` standard error.

    Where a terminal merged both (lines then end in CR LF) everything goes to `feed`.
    """

    def __init__(self) -> None:
        self._repository = ""
        self._repositories = 0
        self._marked = 0
        self._blob_lines = 0
        self._manifest_lines = 0
        self._blobs: set[str] = set()
        self._manifests: set[tuple[str, str]] = set()
        self._summary: re.Match[str] | None = None
        self._several = False
        self._usage = False
        self._deleting = False
        self._fatal = ""
        self._remarks: deque[str] = deque(maxlen=_REMARKS_KEPT)

    @property
    def progress(self) -> GcProgress:
        """How far the lines fed so far have come."""
        marked = int(self._summary["marked"]) if self._summary else self._marked
        return GcProgress(self._repositories, marked, self._blob_lines, self._manifest_lines)

    @property
    def deleting(self) -> bool:
        """Whether the collector said that it deletes something, which no dry run may."""
        return self._deleting

    def feed(self, line: str) -> None:
        """Read one line of standard output, with or without its line end."""
        line = line.strip()
        if not line or self._feed_list(line):
            return
        if (match := _MARKING.fullmatch(line)) is not None:
            self._marked += 1
            self._repository = match["repository"]
            self._several = self._several or self._summary is not None
        elif (match := _SUMMARY.fullmatch(line)) is not None:
            self._several = self._several or self._summary is not None
            self._summary = match
        elif self._summary is None and not self._usage and _REPOSITORY.fullmatch(line):
            self._repositories += 1
            self._repository = line
        elif not _LAYER_LINK.fullmatch(line):
            self.feed_error(line)

    def feed_error(self, line: str) -> None:
        """Read one line of standard error: it explains failures and never counts as success."""
        line = line.strip()
        if not line:
            return
        if _DELETING.search(line):
            self._deleting = True
        if _USAGE.fullmatch(line):
            self._usage = True
        elif not self._usage and not _LOG_LINE.fullmatch(line):
            self._remarks.append(line)
            if not self._fatal and line.startswith(_FATAL):
                self._fatal = line

    def report(self, exit_code: int | None) -> GcReport:
        """The report of a collection that has ended.

        `exit_code` is None where nobody saw the end, as when the output is read again after a
        crash. Raises GcOutputError unless the output proves that the collection went through:
        the exit code alone proves nothing, as an unknown flag prints the usage and exits 0.
        """
        if exit_code:
            raise self._failure(f"ended with exit code {exit_code}")
        if self._fatal:  # a script may have lost the exit code
            raise self._failure("failed")
        if self._summary is None:
            raise self._unproven()
        if self._several:
            raise GcOutputError(
                "The output is that of more than one collection, so nobody can tell which of "
                "them went through.",
                "`collect` must run `registry garbage-collect` once, and nothing else.",
            )
        self._check_complete(self._summary)
        return GcReport(
            blobs_marked=int(self._summary["marked"]),
            eligible_blobs=frozenset(self._blobs),
            eligible_manifests=frozenset(self._manifests),
            summary=self._summary[0],
        )

    def _feed_list(self, line: str) -> bool:
        if (match := _BLOB.fullmatch(line)) is not None:
            self._blob_lines += 1
            self._blobs.add(match["digest"])
        elif (match := _MANIFEST_V2.fullmatch(line)) is not None:
            self._manifest_lines += 1
            self._manifests.add((self._repository, match["digest"]))
        elif (match := _MANIFEST_V3.fullmatch(line)) is not None:
            self._manifest_lines += 1
            self._manifests.add((match["repository"], match["digest"]))
        else:
            return False
        return True

    def _check_complete(self, summary: re.Match[str]) -> None:
        # The blobs are listed one by one as they are deleted: a list that is shorter than the
        # summary means that the collection was cut off, or that its output was.
        announced = int(summary["blobs"]), int(summary["manifests"])
        listed = self._blob_lines, self._manifest_lines
        if listed != announced:
            raise GcOutputError(
                f"The collection announced {announced[0]} blobs and {announced[1]} manifests, "
                f"but its output ends after {listed[0]} and {listed[1]}.",
                _AGAIN,
            )

    def _failure(self, what: str) -> GcOutputError:
        text = "\n".join(self._remarks)
        if "Path not found" in text and "/repositories" in text:
            return GcOutputError(
                "The storage is empty: nothing was ever pushed to it, so nothing can be collected.",
                "If images are there, the collection reads another storage than the registry: "
                "compare `rootdirectory` in the `config` it is given.",
            )
        quote = self._quote()
        if "configuration error" in text:
            return GcOutputError(
                f"The collection could not read the registry's configuration: {quote}",
                "Check `config` in the registry's gc settings: the path is read where the "
                "collection runs, in the container or on the remote host.",
            )
        if "invalid checksum digest format" in text:
            return GcOutputError(
                f"The collection stopped at a damaged link file: {quote}",
                "Look for empty `link` files below `_manifests` in the storage, and push the "
                "damaged image again.",
            )
        if (match := _NEVER_TAGGED.search(text)) is not None:
            return GcOutputError(
                f"Distribution 2.x cannot collect with --delete-untagged while {match['name']} has "
                "manifests and never had a tag.",
                "Push any tag to it, or run a plain `/registry gc`.",
            )
        return GcOutputError(
            f"The collection {what}{': ' + quote if quote else '.'}", _advice(text)
        )

    def _unproven(self) -> GcOutputError:
        if self._usage:
            quote = self._quote()
            return GcOutputError(
                "The collector printed its usage and did nothing"
                + (f": {quote}" if quote else "."),
                "Check the words of `collect` in the registry's gc settings: the collector does "
                "not know one of its flags.",
            )
        quote = self._quote()
        return GcOutputError(
            "The collection ended without its summary line, so nothing proves that it went "
            "through" + (f": {quote}" if quote else "."),
            "Check that `collect` runs `registry garbage-collect`, without --quiet, and passes "
            "its output on.",
        )

    def _quote(self) -> str:
        text = self._fatal or " / ".join(list(self._remarks)[-3:])
        return text if len(text) <= _QUOTE_LIMIT else text[: _QUOTE_LIMIT - 1] + "…"


_ADVICE = (
    (
        ("no space left on device", "disk quota exceeded"),
        "A disk is full where the collection runs: free some space there, then collect again.",
    ),
    (
        ("no such container", "is not running"),
        "Correct the container's name in `collect`, or start the container, then collect again.",
    ),
    (
        ("executable file not found", "command not found", ": not found"),
        "The program in `collect` is missing where the collection runs: correct its name, or give "
        "its full path.",
    ),
    (
        (
            "could not resolve hostname",
            "connection refused",
            "connection timed out",
            "connection closed",
            "no route to host",
            "host key verification failed",
            "permission denied (",
            "cannot connect to the docker daemon",
        ),
        "Run the words of `collect` by hand, as the bot's user on its host: they must reach the "
        "registry's host without a question.",
    ),
)


def _advice(text: str) -> str:
    """What to do about a collection that failed with these last words."""
    said = text.lower()
    for signs, hint in _ADVICE:
        if any(sign in said for sign in signs):
            return hint
    return _READ_LOG
