"""Tables as CSV files, for programs that calculate."""

import csv
import io
from collections.abc import Iterable, Sequence

Cell = str | int | None


def csv_of(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """A table as CSV (RFC 4180): a head, then a line for each row; None is an empty cell.

    A text that a spreadsheet would run as a formula gets an apostrophe in front of it.
    """
    return "".join(map(csv_line, (head, *rows)))


def csv_line(row: Sequence[Cell]) -> str:
    """One row of a table as CSV, its line break included."""
    made = io.StringIO()
    csv.writer(made).writerow([_cell(cell) for cell in row])
    return made.getvalue()


# The wide ones count in some languages.
_FORMULA = tuple("=+-@＝＋－＠")


def _cell(value: Cell) -> str:
    if value is None or isinstance(value, int):
        return "" if value is None else str(value)
    # Spreadsheets pass over white space before they look for a formula.
    starts = value.lstrip()[:1]
    return f"'{value}" if starts in _FORMULA else value
