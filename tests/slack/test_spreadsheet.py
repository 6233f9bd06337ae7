"""CSV that a spreadsheet reads and never runs."""

import csv
import io

import pytest

from bot.slack.views.spreadsheet import csv_of


def test_a_table_is_what_was_put_in() -> None:
    rows = [("a", 1, None), ('say "hi"', -5, "x,y"), ("two\nlines", 0, "")]
    made = csv_of(("name", "count", "note"), rows)
    assert made == 'name,count,note\r\na,1,\r\n"say ""hi""",-5,"x,y"\r\n"two\nlines",0,\r\n'


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r\n=1", "＝1", '=HYPERLINK("https://evil")'],
)
def test_no_cell_is_a_formula(text: str) -> None:
    made = csv_of((text,), [(text,)])
    assert list(csv.reader(io.StringIO(made, newline=""))) == [[f"'{text}"], [f"'{text}"]]


@pytest.mark.parametrize("text", ["1.4-rc1", "a=b", "sha256:ab", "", " x", "team/api"])
def test_other_cells_stay_as_they_are(text: str) -> None:
    made = csv_of(("x", "y"), [(text, "y")])
    assert list(csv.reader(io.StringIO(made, newline="")))[1] == [text, "y"]
