"""Workbooks, written row by row. Nobody loads this at a start: XlsxWriter takes a tenth of a cold one."""

import contextlib
import datetime as dt
import html
import io
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import IO, Final

import xlsxwriter
from xlsxwriter.worksheet import Worksheet

from attendance.cells import (
    CELLS,
    DAY_MINUTES,
    Clock,
    Column,
    Formula,
    Hours,
    Row,
    Value,
    date_text,
    new_file,
    one_line,
)

A4: Final = 9
LONGEST_SHEET_NAME: Final = 31
LONGEST_TITLE: Final = 80  # of the 255 characters that the head of a printed page may have
LONGEST_TEXT: Final = 1000
LETTERS_NUMBER: Final = re.compile("_x[0-9a-fA-F]{4}_")
# What Excel shows of each kind of value. In brackets, hours go on beyond 24.
FORMATS: Final = {dt.date: "yyyy/mm/dd", Clock: "[hh]:mm", Hours: "[h]:mm", int: "#,##0", str: "@"}
WEEKEND: Final = "#EEF1F5"
HEAD: Final = "#E3E8EF"
# Excel counts days from here, and one too many from 1900-02-28 on: it believes in a 29th.
BEFORE_EXCEL: Final = dt.date(1899, 12, 31)
AFTER_A_DAY_TOO_MANY: Final = dt.date(1900, 3, 1)


class Sheet(Worksheet):  # type: ignore[misc] # XlsxWriter has no types
    """A sheet that is written row by row. Its rows go to a file as XML, and from there to where they belong.

    XlsxWriter's own way takes a dozen of calls for each cell; a month of 2,000 people has 800,000. All else
    of the sheet is XlsxWriter's.
    """

    book: "Book"
    lines: IO[str]
    titles: Sequence[str]
    is_list: bool
    written = 0  # rows, the head not counted

    def begin(self, book: "Book", lines: IO[str], titles: Sequence[str], *, is_list: bool) -> None:
        """Write the head. To be called once, before anything else."""
        self.book, self.lines, self.titles, self.is_list = book, lines, titles, is_list
        self.letters = [xlsxwriter.utility.xl_col_to_name(n) for n in range(len(titles))]
        self.lines.write(self._line(0, titles, "head"))

    def row(self, values: Row, *, is_weekend: bool = False) -> None:
        """Write the next row."""
        self.written += 1
        self.lines.write(self._line(self.written, values, "weekend" if is_weekend else "row"))

    def totals(self, label: Row, sums: dict[int, int], hours: dict[int, int]) -> None:
        """Write the last row: sums of columns with their results, and hours of columns of minutes."""
        rows = self.written
        if self.is_list:
            self.autofilter(0, 0, rows, len(self.titles) - 1)
        values: list[Value | Formula] = [*label, *[None] * (len(self.titles) - len(label))]
        for column, result in sums.items():
            letter = self.letters[column]
            values[column] = Formula(f"SUM({letter}2:{letter}{rows + 1})" if rows else "0", int, result)
        for column, source in hours.items():
            formula = f"{self.letters[source]}{rows + 2}/{DAY_MINUTES}"
            values[column] = Formula(formula, Hours, sums[source] / DAY_MINUTES)
        self.written += 1
        self.lines.write(self._line(self.written, values, "total"))
        for corner in ((0, 0), (self.written, len(self.titles) - 1)):
            self._check_dimensions(*corner)  # which also notes how far the sheet goes

    def _line(self, row: int, values: Sequence[Value | Formula], place: str) -> str:
        cell, number = self.book.cell, row + 1
        filled = [*values, *[None] * (len(self.titles) - len(values))] if place != "row" else values
        cells = [
            f'<c r="{letter}{number}"{written}'
            for letter, value in zip(self.letters, filled, strict=False)
            if (written := cell(value, place))
        ]
        return f'<row r="{number}">{"".join(cells)}</row>'

    def _write_sheet_data(self) -> None:
        """Put the rows where XlsxWriter would put those that were given to it."""
        self.lines.seek(0)
        self._xml_start_tag("sheetData")
        shutil.copyfileobj(self.lines, self.fh)
        self._xml_end_tag("sheetData")


class Book:
    """A workbook that is written row by row, to files until it is closed."""

    def __init__(self, workbook: xlsxwriter.Workbook, files: contextlib.ExitStack, as_of: str) -> None:
        self.workbook = workbook
        self.files = files
        self.as_of = as_of
        self._formats: dict[tuple[type | None, str], int] = {}
        # Of the cells of a month most are like another one: the same name, date or time of day.
        self.cell = lru_cache(maxsize=CELLS, typed=True)(self._cell)

    def sheet(
        self, name: str, columns: Sequence[Column], title: str, *, ending: str = "", is_list: bool = False
    ) -> Sheet:
        """Add a sheet with its head, to be printed on A4, as wide as the page and as long as it takes.

        A list can be filtered, and is printed broadside.
        """
        name = _sheet_name(name, ending)
        sheet: Sheet = self.workbook.add_worksheet(name, Sheet)
        sheet.set_paper(A4)
        if is_list:
            sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(0)
        sheet.freeze_panes(1, 0)
        sheet.set_header(f"&L{_printed(title)}&R{_printed(name)}")
        sheet.set_footer(f"&L{_printed(self.as_of)}&R&P / &N")
        for n, column in enumerate(columns):
            sheet.set_column(n, n, column.width)
        lines = self.files.enter_context(new_file())
        text = self.files.enter_context(io.TextIOWrapper(lines, "utf-8", newline="\n"))
        sheet.begin(self, text, [one.title() for one in columns], is_list=is_list)
        return sheet

    def format(self, kind: type | None, place: str) -> int:
        """Return the number of the format of a kind of value in a head, a row, a weekend's or the totals."""
        if (known := self._formats.get((kind, place))) is None:
            look: dict[str, object] = {"num_format": FORMATS[kind]} if kind else {}
            match place:
                case "head":
                    look = {"bold": True, "bottom": 1, "bg_color": HEAD, "text_wrap": True}
                case "weekend":
                    look |= {"bg_color": WEEKEND}
                case "total":
                    look |= {"bold": True, "top": 1}
            known = self._formats[kind, place] = self.workbook.add_format(look)._get_xf_index()
        return known

    def _cell(self, value: Value | Formula, place: str) -> str:
        """Return the XML of a cell after its address; nothing for one that nobody sees."""
        match value:
            case None if place == "row":
                return ""
            case None:
                return f' s="{self.format(None, place)}"/>'
            case str():
                return self._text(value, place)
            case Formula():
                written = f"<f>{value.text}</f><v>{value.result:.16G}</v>"
                return f' s="{self.format(value.kind, place)}">{written}</c>'
            case dt.date() if value.year < 1900:  # before the first day that Excel knows
                return self._text(date_text(value), place)
            case dt.date():
                number: float = (value - BEFORE_EXCEL).days
                number += value >= AFTER_A_DAY_TOO_MANY
            case Clock() | Hours():
                number = value / DAY_MINUTES
            case _number:
                number = value
        kind = dt.date if isinstance(value, dt.date) else type(value)
        return f' s="{self.format(kind, place)}"><v>{number:.16G}</v></c>'

    def _text(self, text: str, place: str) -> str:
        """Return a text, which is never a formula: it stands in the cell, and is said to be a text."""
        inline = f"<is><t>{html.escape(_cell_text(text), quote=False)}</t></is>"
        return f' s="{self.format(str, place)}" t="inlineStr">{inline}</c>'


def write(file: IO[bytes], title: str, now: dt.datetime, as_of: str, fill: "Callable[[Book], None]") -> None:
    """Write the workbook that a function fills; its rows are on the disk, not in memory."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as files:
        workbook = xlsxwriter.Workbook(file, {"tmpdir": folder})
        workbook.set_properties(
            {"title": one_line(title)[:LONGEST_TEXT], "created": now.replace(tzinfo=None)}
        )
        fill(Book(workbook, files, as_of))
        workbook.close()


def _cell_text(text: str) -> str:
    """Return what XML and a cell can hold of a text; Excel is kept from reading numbers as letters."""
    return LETTERS_NUMBER.sub(r"_x005F\g<0>", one_line(text)[:LONGEST_TEXT].rstrip())


def _printed(text: str) -> str:
    """Return a text for the head or foot of a printed page, in which & begins a command."""
    return one_line(text)[:LONGEST_TITLE].replace("&", "&&")


def _sheet_name(text: str, ending: str = "") -> str:
    """Return the name of a sheet: without what Excel refuses, and not longer than it allows."""
    text = re.sub(r"[\[\]:*?/\\']", "_", one_line(text))[:LONGEST_SHEET_NAME]
    longest = LONGEST_SHEET_NAME - len(ending)
    while len(text.encode("utf-16-le")) // 2 > longest:
        text = text[:-1]
    return (text.rstrip() or "timerecord") + ending
