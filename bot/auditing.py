"""`registry-bot audit verify|export`: the audit trail without Slack, also while the bot runs.

Nothing is written to the store: it is opened for reading only.
"""

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bot.settings import load_store_url
from bot.slack.views.audit import CSV_HEAD, csv_cells
from bot.slack.views.spreadsheet import csv_line
from bot.store import trail
from bot.store.chain import Head, Report, as_line, moment
from bot.store.store import Store

WHOLE, BROKEN = 0, 1

_HEAD = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")
_ADVICE = """\
What to do: change nothing. Keep a copy of the store as it is now, compare it with the last export
and the last backup, and find out who could write to it since the last head that still fits. A head
copied from the anchor channel says more: --head NUMBER:HASH"""


def add_parser(
    add: Callable[..., argparse.ArgumentParser],
    add_config: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Say what can be typed."""
    summary = "check or export the audit trail, without Slack"
    commands = add("audit", help=summary, description=f"{summary}.").add_subparsers(
        dest="what", required=True
    )
    text = "check that no entry was changed, removed or added"
    verify = commands.add_parser(
        "verify", help=text, description=f"{text}.", epilog="Exit status: 0 whole, 1 not, 2 usage."
    )
    add_config(verify)
    verify.add_argument(
        "--file", type=Path, metavar="PATH", help="check an exported JSONL file, not the store"
    )
    verify.add_argument(
        "--extract",
        action="store_true",
        help="the file holds chosen entries: check each, and the links between neighbours",
    )
    verify.add_argument(
        "--head",
        type=_head,
        metavar="NUMBER:HASH",
        action="append",
        default=[],
        help="a head as it was posted to the anchor channel; may be given several times",
    )
    text = "write the whole trail to a file"
    export = commands.add_parser("export", help=text, description=f"{text}.")
    add_config(export)
    export.add_argument(
        "--format",
        choices=("jsonl", "csv"),
        default="jsonl",
        help="jsonl (the default) can be checked again; csv is for spreadsheets",
    )
    export.add_argument(
        "--output", required=True, metavar="PATH", help="a new file, or - for the standard output"
    )


def _head(text: str) -> Head:
    found = _HEAD.fullmatch(text.strip().lower())
    if not found:
        raise argparse.ArgumentTypeError(
            f"{text[:100]!r} is no head: copy NUMBER:HASH from the anchor channel"
        )
    return Head(int(found[1]), found[2])


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Carry it out; 0 if the trail is whole.

    Raises
    ------
    SettingsError, StoreUnusable : the settings or the store cannot be read.
    """
    if arguments.what == "export":
        return _export(arguments, environ)
    if arguments.file is None and arguments.extract:
        _say("registry-bot: --extract is for an exported file: name it with --file", error=True)
        return 2
    if arguments.file is not None:
        try:
            with arguments.file.open("rb") as lines:
                report = trail.check_lines(lines, arguments.head, extract=arguments.extract)
        except OSError as error:
            _say(f"registry-bot: {arguments.file}: {error.strerror or error}", error=True)
            return 2
        return _tell(report, str(arguments.file), in_store=False)
    url = load_store_url(arguments.config, environ)
    return _tell(asyncio.run(_check(url, arguments.head)), "the store", in_store=True)


async def _check(url: str, heads: list[Head]) -> Report:
    store = await Store.look(url)
    try:
        async with store.reading() as tx:
            return await trail.check(tx.conn, heads)
    finally:
        await store.close()


def _tell(report: Report, where: str, *, in_store: bool) -> int:
    if report.first and report.last:
        _say(
            f"{report.entries:,} entries in {where}, {report.first.entry} "
            f"({moment(report.first.at)}) to {report.last.entry} ({moment(report.last.at)})"
        )
        _say(f"head {report.last}")
    else:
        _say(f"No entries in {where}")
    if report.posted:
        place = f" in {report.posted.channel}" if report.posted.channel else ""
        _say(f"last posted head {report.posted} on {moment(report.posted.at)}{place}")
    elif in_store:
        _say("no head was posted yet: set [audit] anchor_channel, or a cut end may go unseen")
    for problem in report.problems:
        _say(f"PROBLEM  {problem}")
    _say("" if report.is_whole else _ADVICE)
    _say("The trail is whole." if report.is_whole else "The trail is NOT whole.")
    return WHOLE if report.is_whole else BROKEN


def _export(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    url = load_store_url(arguments.config, environ)
    try:
        with _output(arguments.output) as out:
            count, wrong = asyncio.run(_write(url, out, arguments.format))
    except FileExistsError:
        _say(f"registry-bot: {arguments.output} is there already: name a new file", error=True)
        return 2
    except BrokenPipeError:
        # Whoever read it has seen enough; Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN
    except OSError as error:
        _say(f"registry-bot: {arguments.output}: {error.strerror or error}", error=True)
        return 2
    _say(f"{count:,} entries exported.", error=True)
    if wrong:
        _say(f"{wrong:,} of them are broken: `registry-bot audit verify` tells more.", error=True)
    return BROKEN if wrong else WHOLE


@contextmanager
def _output(name: str) -> Iterator[IO[str]]:
    """The file under its name only when it is complete."""
    if name == "-":
        yield sys.stdout
        sys.stdout.flush()
        return
    path = Path(name)
    part = path.with_name(f"{path.name}.part")
    if path.exists():
        raise FileExistsError
    try:
        with part.open("w", encoding="utf-8", newline="") as out:
            yield out
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)


async def _write(url: str, out: IO[str], form: str) -> tuple[int, int]:
    store = await Store.look(url)
    count = wrong = 0
    try:
        if form == "csv":
            out.write(csv_line(CSV_HEAD))
        async with store.reading() as tx:
            async for raw in trail.whole(tx.conn):
                count, wrong = count + 1, wrong + bool(raw.wrong)
                if trail.is_complete(raw):
                    line = f"{as_line(raw.values)}\n"
                    out.write(csv_line(csv_cells(raw.values)) if form == "csv" else line)
    finally:
        await store.close()
    return count, wrong


def _say(text: str, *, error: bool = False) -> None:
    if text:
        print(text, file=sys.stderr if error else sys.stdout)
