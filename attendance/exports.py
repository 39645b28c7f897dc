"""Files of a month: workbooks, and CSV for what reads no workbooks.

- A work session that goes on over midnight has one row on each work date, from 0:00 and to 24:00, so that
  each date adds up to what the page shows; its note says when the employee really clocked in or out.
- Start and end are without their seconds, in the tenant's zone. Where the clocks change, the minutes are
  the real ones, and not the difference of the two.
- Who is at work has no end yet, and the minutes up to now; an unknown end counts none.
- Dates, times and hours are numbers with a format, so that sums work. Totals are formulas, which come with
  their results: hours are the sum of minutes, without the rounding of twenty fractions of a day.
- No text is ever a formula.

A file is whole before the answer begins: what is streamed later has neither transaction nor scope.
"""

import contextlib
import csv
import dataclasses
import datetime as dt
import io
import re
import tempfile
import unicodedata
import zoneinfo
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Final

from django.db import models
from django.http import FileResponse
from django.utils.formats import date_format
from django.utils.translation import get_language, gettext_lazy, ngettext, pgettext
from django.utils.translation import gettext as _

from accounts.models import User, UserStatus
from attendance.months import Month
from attendance.tenant_reports import (
    Employee,
    EmployeeMonth,
    Part,
    WorkDay,
    employee_lines,
    employee_month,
    employee_months,
)
from tenants.models import Tenant

# Loaded when somebody wants a workbook: a cold start takes a tenth longer with it.
if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
DAY_MINUTES: Final = 24 * 60
A4: Final = 9
LONGEST_NAME: Final = 180  # bytes of a name within a file's, of which file systems allow 255 in all
LONGEST_SHEET_NAME: Final = 31
LONGEST_TITLE: Final = 80  # of the 255 characters that the head of a printed page may have
LONGEST_TEXT: Final = 1000


class Table(models.TextChoices):
    """What a CSV has a line for."""

    TOTALS = "totals", gettext_lazy("totals by employee")
    SESSIONS = "sessions", gettext_lazy("work sessions")


class Encoding(models.TextChoices):
    """How the letters of a CSV are written."""

    UTF_8 = "utf-8", gettext_lazy("UTF-8 (Excel 2016 and later)")
    SHIFT_JIS = "shift_jis", gettext_lazy("Shift_JIS (older programs)")


@dataclasses.dataclass(frozen=True)
class Export:
    """A file: binary, at its beginning, gone once it is closed.

    `replaced` counts the characters that Shift_JIS lacks; SUBSTITUTE stands in place of each.
    """

    name: str
    content_type: str
    file: IO[bytes]
    size: int
    replaced: int = 0

    def response(self) -> FileResponse:
        """Return the answer that carries the file and then closes it, its name as RFC 6266 has it."""
        return FileResponse(self.file, as_attachment=True, filename=self.name, content_type=self.content_type)


def employee_month_xlsx(user: User, month: Month, now: dt.datetime) -> Export:
    """Return the workbook of one employee's month: every day with its work sessions, and the totals.

    Texts are in the active language. User.DoesNotExist for somebody who is not in scope.
    """
    found = employee_month(user, month, now)
    title = f"{found.employee.name} {_month_name(month)}"

    def write(book: _Book) -> None:
        sheet = book.sheet(_sheet_name(found.employee.name, f" {month.digits}"), DAYS, title)
        for row, is_weekend in _day_rows(found):
            sheet.row(row, is_weekend=is_weekend)
        note = ngettext("{days} day worked", "{days} days worked", found.days_worked)
        label = (_("Total"), *[None] * 6, note.format(days=found.days_worked))
        sheet.totals(label, {4: found.minutes}, hours={5: 4})

    return _workbook(_file_name(found.employee.name, month, "xlsx"), title, found.zone, now, write)


def tenant_month_xlsx(tenant: Tenant, month: Month, now: dt.datetime) -> Export:
    """Return the workbook of a tenant's month: a sheet of totals by employee, and one of all work sessions.

    Texts are in the active language. Memory holds a line for each employee, and no more work sessions
    than those of some.
    """
    title = f"{tenant} {_month_name(month)}"

    def write(book: _Book) -> None:
        totals = book.sheet(_sheet_name(_("Totals")), TOTALS, title, is_list=True)
        sessions = book.sheet(_sheet_name(_("Work sessions")), SESSIONS, title, is_list=True)
        days = minutes = unknown = 0
        # Both from the same rows: what somebody punches meanwhile is in both sheets or in none.
        for found in employee_months(tenant, month, now):
            for row in _session_rows(found):
                sessions.row(row)
            totals.row(_total_row(found.employee, found.days_worked, found.minutes, found.unknown_ends))
            days, minutes = days + found.days_worked, minutes + found.minutes
            unknown += found.unknown_ends
        totals.totals((_("Total"),), {3: days, 4: minutes, 6: unknown}, hours={5: 4})
        sessions.totals((_("Total"),), {6: minutes}, hours={7: 6})

    return _workbook(_file_name(str(tenant), month, "xlsx"), title, tenant.zone, now, write)


def tenant_month_csv(
    tenant: Tenant, month: Month, now: dt.datetime, table: Table, encoding: Encoding
) -> Export:
    """Return a tenant's month as CSV with a head and without totals, which a program would take for a line.

    UTF-8 has a byte order mark, without which Excel reads something else. Texts are in the active language.
    """
    if table is Table.TOTALS:
        columns: Sequence[Column] = TOTALS
        rows: Iterator[Row] = (
            _total_row(line.employee, line.days, line.minutes, line.unknown_ends)
            for line in employee_lines(tenant, month, now)
        )
    else:
        columns = SESSIONS
        rows = (row for found in employee_months(tenant, month, now) for row in _session_rows(found))
    letters = _Letters(encoding)
    with _new_file() as file:
        text = io.TextIOWrapper(file, letters.codec, newline="")
        lines = csv.writer(text)
        lines.writerow([letters.fit(column.title()) for column in columns])
        for row in rows:
            lines.writerow([letters.fit(_as_text(value)) for value in row])
        text.detach()
    name = _file_name(str(tenant), month, "csv")
    return Export(name, letters.content_type, file, _rewound(file), letters.replaced)


# --- what the rows have -----------------------------------------------------------------------------------


class Clock(int):
    """A time of day: the minutes after midnight, 1440 at the day's end."""


class Hours(int):
    """Whole minutes, to be shown as hours and minutes."""


Value = str | dt.date | int | None
Row = Sequence[Value]


@dataclasses.dataclass(frozen=True)
class Column:
    """A column: its title in the active language, and its width in characters."""

    title: Callable[[], str]
    width: int


NAME = Column(lambda: _("Name"), 20)
EMAIL = Column(lambda: _("E-mail address"), 30)
DATE = Column(lambda: _("Date"), 12)
WEEKDAY = Column(lambda: _("Weekday"), 8)
IN = Column(lambda: _("In"), 8)
OUT = Column(lambda: _("Out"), 8)
MINUTES = Column(lambda: _("Hours (minutes)"), 14)
HOURS = Column(lambda: _("Hours"), 10)
NOTE = Column(lambda: _("Note"), 40)
DAYS_WORKED = Column(lambda: _("Days worked"), 10)
DAYS: Final = (DATE, WEEKDAY, IN, OUT, MINUTES, HOURS, Column(lambda: _("Total of the day"), 12), NOTE)
SESSIONS: Final = (NAME, EMAIL, DATE, WEEKDAY, IN, OUT, MINUTES, HOURS, NOTE)
TOTALS: Final = (
    NAME,
    EMAIL,
    Column(lambda: _("State"), 10),
    DAYS_WORKED,
    MINUTES,
    HOURS,
    Column(lambda: _("No clock-out (times)"), 14),
)


def _day_rows(found: EmployeeMonth) -> Iterator[tuple[Row, bool]]:
    """Yield the rows of every day, and whether it is at a weekend; the first one has the day's total."""
    for day in found.days:
        if not day.parts:
            yield (day.date, _weekday(day.date)), day.is_weekend
        for n, part in enumerate(day.parts):
            total = None if n else Hours(day.minutes)
            *most, note = _part(part, day, found.zone)
            yield (*most, total, note), day.is_weekend


def _session_rows(found: EmployeeMonth) -> Iterator[Row]:
    for day in found.days:
        for part in day.parts:
            yield (found.employee.name, found.employee.email, *_part(part, day, found.zone))


def _total_row(employee: Employee, days: int, minutes: int, unknown_ends: int) -> Row:
    status = UserStatus.SUSPENDED if employee.is_suspended else UserStatus.ACTIVE
    return (employee.name, employee.email, str(status.label), days, minutes, Hours(minutes), unknown_ends)


def _part(part: Part, day: WorkDay, zone: zoneinfo.ZoneInfo) -> Row:
    """Return date, weekday, start, end, minutes, hours and note."""
    is_open = part.end is None or (part.is_running and not part.goes_on)
    return (
        day.date,
        _weekday(day.date),
        _clock(part.start, day.date, zone),
        None if part.end is None or is_open else _clock(part.end, day.date, zone),
        part.minutes,
        Hours(part.minutes),
        _note(part, zone),
    )


def _clock(moment: dt.datetime, date: dt.date, zone: zoneinfo.ZoneInfo) -> Clock:
    local = moment.astimezone(zone)
    if local.date() > date and local.time() == dt.time.min:
        return Clock(DAY_MINUTES)
    return Clock(local.hour * 60 + local.minute)


def _note(part: Part, zone: zoneinfo.ZoneInfo) -> str | None:
    notes = []
    if part.continues:
        notes.append(_("clocked in {moment}").format(moment=_moment(part.clocked_in, zone)))
    if part.goes_on and part.clocked_out:
        notes.append(_("clocked out {moment}").format(moment=_moment(part.clocked_out, zone)))
    elif part.is_running:
        notes.append(_("at work"))
    if part.end_unknown:
        notes.append(_("no clock-out"))
    if part.is_corrected:
        notes.append(_("corrected"))
    # Translators: between the notes on one work session
    return pgettext("notes", ", ").join(notes) if notes else None


def _moment(instant: dt.datetime, zone: zoneinfo.ZoneInfo) -> str:
    local = instant.astimezone(zone)
    return f"{_date(local.date())} {local:%H:%M}"


def _date(day: dt.date) -> str:
    return f"{day.year:04}/{day.month:02}/{day.day:02}"


def _weekday(day: dt.date) -> str:
    return _weekday_in(day, get_language())


# A month has few days, and a tenant few people: what is said of them again and again is worked out once.
@lru_cache(maxsize=256)
def _weekday_in(day: dt.date, _language: str | None) -> str:
    return date_format(day, "D")


def _month_name(month: Month) -> str:
    return date_format(month.first, "YEAR_MONTH_FORMAT")


# --- workbooks --------------------------------------------------------------------------------------------

# What Excel shows of each kind of value. In brackets, hours go on beyond 24.
FORMATS: Final = {dt.date: "yyyy/mm/dd", Clock: "[hh]:mm", Hours: "[h]:mm", int: "#,##0", str: "@"}
WEEKEND: Final = "#EEF1F5"
HEAD: Final = "#E3E8EF"


class _Book:
    """A workbook that is written row by row."""

    def __init__(self, workbook: "Workbook", as_of: str) -> None:
        self.workbook = workbook
        self.as_of = as_of
        self._formats: dict[tuple[type | None, str], Format] = {}

    def sheet(self, name: str, columns: Sequence[Column], title: str, *, is_list: bool = False) -> "_Sheet":
        """Add a sheet with its head, to be printed on A4, as wide as the page and as long as it takes.

        A list can be filtered, and is printed broadside.
        """
        sheet: Worksheet = self.workbook.add_worksheet(name)
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
            sheet.write_string(0, n, column.title(), self.format(None, "head"))
        return _Sheet(self, sheet, len(columns), is_list=is_list)

    def format(self, kind: type | None, place: str) -> "Format":
        """Return the format of a kind of value in a head, in a row, at a weekend or in the totals."""
        if (known := self._formats.get((kind, place))) is None:
            look: dict[str, object] = {"num_format": FORMATS[kind]} if kind else {}
            match place:
                case "head":
                    look |= {"bold": True, "bottom": 1, "bg_color": HEAD, "text_wrap": True}
                case "weekend":
                    look |= {"bg_color": WEEKEND}
                case "total":
                    look |= {"bold": True, "top": 1}
            known = self._formats[kind, place] = self.workbook.add_format(look)
        return known


class _Sheet:
    def __init__(self, book: _Book, sheet: "Worksheet", columns: int, *, is_list: bool) -> None:
        self.book = book
        self.sheet = sheet
        self.columns = columns
        self.is_list = is_list
        self.rows = 0

    def row(self, values: Row, *, is_weekend: bool = False) -> None:
        """Write the next row."""
        self._write(values, "weekend" if is_weekend else "row")

    def totals(self, label: Row, sums: dict[int, int], hours: dict[int, int]) -> None:
        """Write the last row: sums of columns with their results, and hours of columns of minutes."""
        rows = self.rows
        if self.is_list:
            self.sheet.autofilter(0, 0, rows, self.columns - 1)
        self._write(label, "total")
        from xlsxwriter.utility import xl_col_to_name

        for column, result in sums.items():
            letter = xl_col_to_name(column)
            formula = f"=SUM({letter}2:{letter}{rows + 1})" if rows else "=0"
            self.sheet.write_formula(rows + 1, column, formula, self.book.format(int, "total"), result)
        for column, source in hours.items():
            letter = xl_col_to_name(source)
            formula = f"={letter}{rows + 2}/{DAY_MINUTES}"
            result_ = sums[source] / DAY_MINUTES
            self.sheet.write_formula(rows + 1, column, formula, self.book.format(Hours, "total"), result_)

    def _write(self, values: Row, place: str) -> None:
        self.rows += 1
        for column in range(self.columns):
            value = values[column] if column < len(values) else None
            match value:
                case None:
                    if place != "row":
                        self.sheet.write_blank(self.rows, column, None, self.book.format(None, place))
                case str():
                    self.sheet.write_string(
                        self.rows, column, _cell_text(value), self.book.format(str, place)
                    )
                case dt.date() if value.year < 1900:  # before the first day that Excel knows
                    self.sheet.write_string(self.rows, column, _date(value), self.book.format(str, place))
                case dt.date():
                    self.sheet.write_datetime(self.rows, column, value, self.book.format(dt.date, place))
                case Clock() | Hours():
                    fraction = value / DAY_MINUTES
                    self.sheet.write_number(self.rows, column, fraction, self.book.format(type(value), place))
                case _number:
                    self.sheet.write_number(self.rows, column, value, self.book.format(int, place))


def _workbook(
    name: str, title: str, zone: zoneinfo.ZoneInfo, now: dt.datetime, write: Callable[[_Book], None]
) -> Export:
    """Return the workbook that a function writes; rows are on the disk as soon as the next one begins."""
    as_of = _("As of {moment} ({zone})").format(moment=_moment(now, zone), zone=zone.key)
    with _new_file() as file, tempfile.TemporaryDirectory() as folder:
        # The default would take a text that begins with = for a formula, were it not written as a string.
        options = {"constant_memory": True, "tmpdir": folder, "strings_to_urls": False}
        from xlsxwriter import Workbook

        workbook = Workbook(file, options)
        workbook.set_properties({"title": _cell_text(title), "created": now.replace(tzinfo=None)})
        write(_Book(workbook, as_of))
        workbook.close()
    return Export(name, XLSX, file, _rewound(file))


def _cell_text(text: str) -> str:
    """Return what XML and a cell can hold of a text.

    XlsxWriter takes what is between <r> and </r> for XML of its own, and writes it as it is: not with a space
    after it.
    """
    text = _one_line(text)[:LONGEST_TEXT]
    return f"{text} " if text.startswith("<r>") and text.endswith("</r>") else text


def _printed(text: str) -> str:
    """Return a text for the head or foot of a printed page, in which & begins a command."""
    return _one_line(text)[:LONGEST_TITLE].replace("&", "&&")


def _sheet_name(text: str, ending: str = "") -> str:
    """Return the name of a sheet: without what Excel refuses, and not longer than it allows."""
    text = re.sub(r"[\[\]:*?/\\']", "_", _one_line(text))[:LONGEST_SHEET_NAME]
    longest = LONGEST_SHEET_NAME - len(ending)
    while len(text.encode("utf-16-le")) // 2 > longest:
        text = text[:-1]
    return (text.rstrip() or "timerecord") + ending


# --- CSV --------------------------------------------------------------------------------------------------

JOINERS: Final = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"  # seen by the letters beside them
SUBSTITUTE: Final = "〓"  # what Japanese typesetters put where they lack a letter
# Characters that Windows knows under other numbers than those that a Mac types, and that Unicode's own table
# of Shift_JIS has.
OF_WINDOWS: Final = str.maketrans("〜−‖—¢£¬¥‾¦\u00a0", "～－∥―￠￡￢￥￣￤ ")
VOICED: Final = re.compile(".[\u3099\u309a]")
UNSEEN: Final = re.compile(f"[{JOINERS}\ufe00-\ufe0f\U000e0100-\U000e01ef]")
# What spreadsheets take for the beginning of a formula, once their width is not looked at.
FORMULA: Final = frozenset("=+-@\N{MINUS SIGN}")
BEFORE_A_TEXT: Final = "'"


class _Letters:
    """Texts as an encoding can have them, and how many characters of all it lacked."""

    def __init__(self, encoding: Encoding) -> None:
        self.replaced = 0
        self.is_windows = encoding is Encoding.SHIFT_JIS
        self.codec = "cp932" if self.is_windows else "utf-8-sig"
        # Whatever is called text, the gateway before the service takes for UTF-8.
        self.content_type = "application/octet-stream" if self.is_windows else "text/csv; charset=utf-8"

    def fit(self, text: str) -> str:
        """Return the text with SUBSTITUTE for what the encoding lacks, voice marks joined to their letters.

        Of a letter's variants Shift_JIS knows one: that it is another is not counted, nor are joiners.
        """
        if not self.is_windows or _fits(text):
            return text
        text = VOICED.sub(lambda found: unicodedata.normalize("NFC", found[0]), text.translate(OF_WINDOWS))
        letters = UNSEEN.sub("", text)
        lacking = {letter for letter in set(letters) if not _fits(letter)}
        self.replaced += sum(letter in lacking for letter in letters)
        return "".join(SUBSTITUTE if letter in lacking else letter for letter in letters)


def _fits(text: str) -> bool:
    try:
        text.encode("cp932")
    except UnicodeEncodeError:
        return False
    return True


def _as_text(value: Value) -> str:
    match value:
        case None:
            return ""
        case str():
            return _no_formula(_one_line(value))
        case dt.date():
            return _date(value)
        case Clock() | Hours():
            hours, minutes = divmod(value, 60)
            return f"{hours:02}:{minutes:02}" if isinstance(value, Clock) else f"{hours}:{minutes:02}"
        case number:
            return str(number)


def _no_formula(text: str) -> str:
    """Return a text that a spreadsheet reads as one: with an apostrophe before what could be a formula."""
    begin = text.lstrip(JOINERS)[:1]
    return BEFORE_A_TEXT + text if unicodedata.normalize("NFKC", begin) in FORMULA else text


# --- files ------------------------------------------------------------------------------------------------


INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
NO_XML: Final = frozenset("\ufffe\uffff")


@lru_cache(maxsize=1024)
def _one_line(text: str) -> str:
    """Return a text without what cannot be seen, one space for each gap, none at its ends.

    A tab could begin a formula, other control characters are no XML, and marks of direction turn names round.
    """
    return " ".join("".join(filter(_is_kept, word)) for word in text.split()).strip()


def _is_kept(letter: str) -> bool:
    if letter in NO_XML:
        return False
    return letter in JOINERS or unicodedata.category(letter) not in INVISIBLE


def _file_name(name: str, month: Month, ending: str) -> str:
    """Return `<name>_<yyyyMM>.<ending>`: a name that every system takes, however odd and long the name is."""
    clean = re.sub(r'[\\/:*?"<>|%]', "_", _one_line(name)).strip(" .")[:LONGEST_NAME]
    while len(clean.encode()) > LONGEST_NAME:
        clean = clean[:-1]
    return f"{clean.rstrip(' .') or 'timerecord'}_{month.digits}.{ending}"


@contextlib.contextmanager
def _new_file() -> Iterator[IO[bytes]]:
    """Yield a file without a name, which stays open for whoever sends it, unless writing fails."""
    file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 whoever sends it closes it
    try:
        yield file
    except BaseException:
        file.close()
        raise


def _rewound(file: IO[bytes]) -> int:
    """Go back to the beginning; return the size in bytes."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return size
