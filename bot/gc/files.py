"""What is kept on disk about the collections of one registry: outputs, plans, notes."""

import contextlib
import errno
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from bot.gc.errors import GcOutputError, NotKept
from bot.gc.following import Output
from bot.gc.report import GcReport, ReportParser

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OF_JOB = re.compile(r"[^.]+\.(?:(?:dry-run\.)?(?:out|err)|pid|plan\.json)")
_KEPT = 90 * 86400.0
"""Seconds for which the files of a job stay: Slack may not have taken its log."""


class JobFiles:
    """The files of one registry in `directory`, which a successor needs as well."""

    def __init__(self, directory: Path, registry: str) -> None:
        self.registry = safe_name(registry)
        self._directory = directory

    def prepared(self) -> Path:
        """The directory, made and private. Raises NotKept."""
        with self.writing():
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._directory

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Raises NotKept where the disk does not take what is written inside."""
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise self._not_kept(error.strerror or str(error), full=full) from error

    def report(self, parser: ReportParser, exit_code: int | None) -> GcReport:
        """The report of what was read from the files.

        Raises NotKept where it proves nothing and the disk is full, GcOutputError elsewhere.
        """
        try:
            return parser.report(exit_code)
        except GcOutputError as error:
            if self._is_full():
                raise self._not_kept("the disk is full, so what it printed is lost") from error
            raise

    def _is_full(self) -> bool:
        try:
            return shutil.disk_usage(self._directory).free == 0
        except OSError:
            return False

    def _not_kept(self, why: str, *, full: bool = True) -> NotKept:
        return NotKept(
            f"The bot cannot keep the output of the collection in {self._directory}: {why}.",
            "Free some space there, on the bot's own disk, then collect again."
            if full
            else "Let the bot's user write there, then collect again.",
        )

    def of_registry(self, suffix: str) -> Path:
        """A file that belongs to no job."""
        return self._directory / f"{self.registry}.{suffix}"

    def of_job(self, job: str, suffix: str) -> Path:
        """A file of one job."""
        return self.of_registry(f"{safe_name(job)}.{suffix}")

    def output(self, job: str, *, dry_run: bool) -> Output:
        """The two outputs of a job's collection, or of its dry run."""
        # Apart, so that a crash between the two never passes a dry run off as the collection.
        kind = "dry-run." if dry_run else ""
        return Output(self.of_job(job, f"{kind}out"), self.of_job(job, f"{kind}err"))

    def read_log(self, job: str, *, dry_run: bool, exit_code: int | None = None) -> GcReport:
        """The report of a collection, read from its files.

        Raises GcOutputError if it did not come to its end, or if nothing was ever run for `job`.
        """
        parser = ReportParser()
        try:
            with self.output(job, dry_run=dry_run).reading(parser) as read:
                read(True)
        except FileNotFoundError as error:
            raise GcOutputError(
                f"There is no output of a collection for {job}: it never began.",
                "Collect again.",
            ) from error
        return self.report(parser, exit_code)

    def transcript(self, job: str, limit: int) -> list[tuple[str, str]]:
        """What a job's dry run and its collection printed, each with its title.

        Only what is there is in it. Of a text of more than `limit` bytes the middle is left out,
        and a line says so.
        """
        found = []
        for what, dry_run in (("dry run", True), ("collection", False)):
            output = self.output(job, dry_run=dry_run)
            for path, kind in ((output.stdout, "output"), (output.stderr, "error output")):
                with contextlib.suppress(OSError):
                    found.append((f"{what}, {kind}", _ends(path, limit)))
        return found

    def forget(self, job: str) -> None:
        """Remove the files of a job."""
        for dry_run in (False, True):
            output = self.output(job, dry_run=dry_run)
            output.stdout.unlink(missing_ok=True)
            output.stderr.unlink(missing_ok=True)
        for suffix in ("pid", "plan.json"):
            self.of_job(job, suffix).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what is kept of jobs that ended long ago; their logs were delivered."""
        oldest = time.time() - _KEPT
        with contextlib.suppress(OSError):
            for path in self._directory.glob(f"{self.registry}.*"):
                about = path.name.removeprefix(f"{self.registry}.")
                if _OF_JOB.fullmatch(about) and path.stat().st_mtime < oldest:
                    path.unlink()

    def write_note(self, job: str, sizes: Mapping[str, int]) -> None:
        """Keep the bytes of each blob that a job is about to delete. Raises NotKept."""
        path = self.prepared() / self.of_job(job, "plan.json").name
        draft = path.with_suffix(".draft")
        with self.writing():
            draft.write_text(json.dumps(dict(sizes)), encoding="ascii")
            draft.replace(path)

    def read_note(self, job: str) -> dict[str, int] | None:
        """What `write_note` kept; None if there is nothing, or nothing that can be read."""
        try:
            noted = json.loads(self.of_job(job, "plan.json").read_text(encoding="ascii"))
            return {str(blob): int(size) for blob, size in noted.items()}
        except (OSError, ValueError, AttributeError):
            return None


class KeepsFiles:
    """The part of an executor that is about files: the same wherever a collection runs."""

    def __init__(self, files: JobFiles) -> None:
        self._files = files

    def read_log(self, job: str, *, dry_run: bool = False) -> GcReport:
        """The report of a collection whose end nobody saw, read from its files.

        Raises GcOutputError if it did not come to its end, or if nothing was ever run for `job`.
        Ask `wait_until_gone` first: the output of a collection at work is not complete.
        """
        return self._files.read_log(job, dry_run=dry_run)

    def log_path(self, job: str, *, dry_run: bool = False) -> Path:
        """The file with the standard output of a job's collection."""
        return self._files.output(job, dry_run=dry_run).stdout

    def error_log_path(self, job: str, *, dry_run: bool = False) -> Path:
        """The file with the standard error of a job's collection."""
        return self._files.output(job, dry_run=dry_run).stderr

    def transcript(self, job: str, limit: int) -> list[tuple[str, str]]:
        """What a job's dry run and its collection printed, each with its title.

        Only what is there is in it. Of a text of more than `limit` bytes the middle is left out,
        and a line says so.
        """
        return self._files.transcript(job, limit)

    def sweep(self) -> None:
        """Remove the files of jobs that ended long ago."""
        self._files.sweep()

    def forget(self, job: str) -> None:
        """Remove the files of a job, when its log has been delivered."""
        self._files.forget(job)

    def write_note(self, job: str, sizes: Mapping[str, int]) -> None:
        """Keep the bytes of each blob that a job is about to delete, beside its outputs."""
        self._files.write_note(job, sizes)

    def read_note(self, job: str) -> dict[str, int] | None:
        """What `write_note` kept; None if there is nothing, or nothing that can be read."""
        return self._files.read_note(job)


def _ends(path: Path, limit: int) -> str:
    """A text, or whole lines of its beginning and of its end."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if size <= limit:
            return file.read().decode("utf-8", "replace")
        head = file.read(limit // 2).rpartition(b"\n")[0]
        file.seek(size - limit // 2)
        tail = file.read(limit // 2).partition(b"\n")[2]
    left_out = size - len(head) - len(tail)
    note = f"\n[… {left_out:,} bytes are left out here …]\n"
    return head.decode("utf-8", "replace") + note + tail.decode("utf-8", "replace")


def safe_name(name: str) -> str:
    """The name itself; raises ValueError if it could lead out of a directory."""
    if not _SAFE_NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name a file: use letters, digits, dots and dashes")
    return name
