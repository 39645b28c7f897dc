"""Files of a month: workbooks, and CSV for what reads no workbooks.

- A work session that goes on over midnight has one row on each work date, from 0:00 and to 24:00, so that
  each date adds up to what the page shows; its note says when the employee really clocked in or out.
- Start and end are without their seconds, in the tenant's zone. Where the clocks change, the minutes are
  the real ones, and not the difference of the two.
- Who is at work has no end yet, and the minutes up to now; an unknown end counts none.
- Dates, times and hours are numbers with a format, so that sums work. Totals are formulas, which come with
  their results: hours are the sum of minutes, without the rounding of twenty fractions of a day.
- No text is ever a formula.

Tests open the workbooks again with openpyxl; no LibreOffice and no Excel takes part in them.

A file is whole before the answer begins: what is streamed later has neither transaction nor scope.
"""

import csv
import dataclasses
import datetime as dt
import io
import re
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
from attendance.cells import (
    CELLS,
    DAY_MINUTES,
    JOINERS,
    Clock,
    Column,
    Hours,
    Row,
    Value,
    date_text,
    new_file,
    one_line,
    rewound,
)
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
from timerecord.core.spreadsheets import safe_within

if TYPE_CHECKING:
    from attendance.workbooks import Book

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
LONGEST_NAME: Final = 180  # bytes of a name within a file's, of which file systems allow 255 in all


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

    def fill(book: "Book") -> None:
        sheet = book.sheet(found.employee.name, DAYS, title, ending=f" {month.digits}")
        for row, is_weekend in _day_rows(found):
            sheet.row(row, is_weekend=is_weekend)
        note = ngettext("{days} day worked", "{days} days worked", found.days_worked)
        label = (_("Total"), *[None] * 6, note.format(days=found.days_worked))
        sheet.totals(label, {4: found.minutes}, hours={5: 4})

    return _workbook(_file_name(found.employee.name, month, "xlsx"), title, found.zone, now, fill)


def tenant_month_xlsx(tenant: Tenant, month: Month, now: dt.datetime) -> Export:
    """Return the workbook of a tenant's month: a sheet of totals by employee, and one of all work sessions.

    Texts are in the active language. Memory holds a line for each employee, and no more work sessions
    than those of some.
    """
    title = f"{tenant} {_month_name(month)}"

    def fill(book: "Book") -> None:
        totals = book.sheet(_("Totals"), TOTALS, title, is_list=True)
        sessions = book.sheet(_("Work sessions"), SESSIONS, title, is_list=True)
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

    return _workbook(_file_name(str(tenant), month, "xlsx"), title, tenant.zone, now, fill)


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
    with new_file() as file:
        text = io.TextIOWrapper(file, letters.codec, newline="")
        lines = csv.writer(text, quoting=csv.QUOTE_ALL)
        lines.writerow([letters.fit(column.title()) for column in columns])
        for row in rows:
            lines.writerow([letters.cell(value) for value in row])
        text.detach()
    name = _file_name(str(tenant), month, "csv")
    return Export(name, letters.content_type, file, rewound(file), letters.replaced)


# --- what the rows have -----------------------------------------------------------------------------------


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
    return f"{date_text(local.date())} {local:%H:%M}"


def _weekday(day: dt.date) -> str:
    return _weekday_in(day, get_language())


# A month has few days, and a tenant few people: what is said of them again and again is worked out once.
@lru_cache(maxsize=256)
def _weekday_in(day: dt.date, _language: str | None) -> str:
    return date_format(day, "D")


def _month_name(month: Month) -> str:
    return date_format(month.first, "YEAR_MONTH_FORMAT")


def _workbook(
    name: str, title: str, zone: zoneinfo.ZoneInfo, now: dt.datetime, fill: "Callable[[Book], None]"
) -> Export:
    from attendance import workbooks

    as_of = _("As of {moment} ({zone})").format(moment=_moment(now, zone), zone=zone.key)
    with new_file() as file:
        workbooks.write(file, title, now, as_of, fill)
    return Export(name, XLSX, file, rewound(file))


# --- CSV --------------------------------------------------------------------------------------------------

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
        # Most are like another one: the same name, date or time of day.
        self._known = lru_cache(maxsize=CELLS, typed=True)(self._counted)

    def cell(self, value: Value) -> str:
        """Return what stands for a value."""
        text, replaced = self._known(value)
        self.replaced += replaced
        return text

    def _counted(self, value: Value) -> tuple[str, int]:
        before, text = self.replaced, self.fit(_as_text(value))
        replaced, self.replaced = self.replaced - before, before
        return text, replaced

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
            return _no_formula(safe_within(one_line(value)))
        case dt.date():
            return date_text(value)
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


def _file_name(name: str, month: Month, ending: str) -> str:
    """Return `<name>_<yyyyMM>.<ending>`: a name that every system takes, however odd and long the name is."""
    clean = re.sub(r'[\\/:*?"<>|%]', "_", one_line(name)).strip(" .")[:LONGEST_NAME]
    while len(clean.encode()) > LONGEST_NAME:
        clean = clean[:-1]
    return f"{clean.rstrip(' .') or 'timerecord'}_{month.digits}.{ending}"
