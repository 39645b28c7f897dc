import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timerecord.core.spreadsheets import csv_bytes, plain_cell, safe_cell


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "－1"])
def test_what_a_spreadsheet_takes_for_a_formula_gets_a_quote(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "佐藤", "1", "a=b", "'quoted'", " =1"])
def test_everything_else_stays(text: str) -> None:
    assert safe_cell(text) == text


@pytest.mark.parametrize("text", ["a;=1+1", "a; -1", "a;＝1", ";@SUM(A1)", "a;'=1"])
def test_nor_where_semicolons_separate_cells(text: str) -> None:
    """There a comma does not, so a quoted cell is the rest of one that began before it."""
    (cells,) = csv.reader(io.StringIO(csv_bytes([["佐藤", text]]).decode("utf-8-sig")), delimiter=";")
    assert not any(cell.lstrip().startswith(("=", "-", "＝", "@")) for cell in cells[1:])
    assert plain_cell(safe_cell(text)) == text


@given(st.text())
def test_a_safe_cell_can_be_read_back(text: str) -> None:
    assert plain_cell(safe_cell(text)) == text or text.startswith("'")


def test_excel_knows_the_encoding_by_its_mark() -> None:
    assert csv_bytes([["佐藤", 5]]) == b"\xef\xbb\xbf" + '"佐藤","5"\r\n'.encode()


def test_another_encoding_and_what_it_lacks() -> None:
    assert csv_bytes([["髙橋😀"]], "cp932").decode("cp932") == '"髙橋?"\r\n'


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1), min_size=1))
def test_any_text_comes_back(rows: list[list[str]]) -> None:
    text = csv_bytes(rows).decode("utf-8-sig")
    read = [[plain_cell(cell) for cell in row] for row in csv.reader(io.StringIO(text, newline=""))]
    assert read == [[plain_cell(safe_cell(cell)) for cell in row] for row in rows]
