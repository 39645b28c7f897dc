import contextlib
import csv
import datetime as dt
import html
import io
import re
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from types import FrameType
from typing import Any

import openpyxl
import pytest
from django.utils import translation
from openpyxl.cell import Cell, MergedCell
from openpyxl.workbook import Workbook
from openpyxl.worksheet.worksheet import Worksheet

from accounts.models import Role, User, UserStatus
from attendance import workbooks
from attendance.exports import (
    SUBSTITUTE,
    XLSX,
    Encoding,
    Export,
    Table,
    employee_month_xlsx,
    tenant_month_csv,
    tenant_month_xlsx,
)
from attendance.models import WorkSession
from attendance.months import Month
from attendance.tenant_reports import employee_month, tenant_month
from tenants import scope
from tenants.models import Tenant
from tests.attendance.test_tenant_reports import many, of_tenant
from tests.conftest import MakeSession, MakeUser, japan

NOVEMBER = Month(2026, 11)
NOW = japan("2026-11-20 12:00:30")

# What begins a formula somewhere: in Excel, in LibreOffice, in either once the width is not looked at.
FORMULAS = [
    '=HYPERLINK("http://example.com","x")',
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "＝1+1",
    "＋1",
    "－1",
    "＠SUM(1)",
    "−1",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "  =1+1",
    "　=1+1",
    "\u200b=1+1",
    "\ufeff=1+1",
    "\u200d=1+1",
    "\x00=1+1".replace("\x00", "\x01"),
]


@pytest.fixture(autouse=True)
def _japanese() -> Iterator[None]:
    with translation.override("ja"):
        yield


@pytest.fixture(autouse=True)
def _closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what an answer would close."""
    with contextlib.ExitStack() as files:
        make = tempfile.TemporaryFile

        def made(*args: Any, **kwargs: Any) -> Any:
            return files.enter_context(make(*args, **kwargs))

        monkeypatch.setattr(tempfile, "TemporaryFile", made)
        yield


def opened(export: Export) -> Workbook:
    content = export.file.read()
    assert len(content) == export.size
    return openpyxl.load_workbook(io.BytesIO(content))


def results(export: Export) -> Workbook:
    """The workbook with what was written beside its formulas, which a preview shows."""
    export.file.seek(0)
    return openpyxl.load_workbook(io.BytesIO(export.file.read()), data_only=True)


def sheet_of(book: Workbook, name: str | None = None) -> Worksheet:
    sheet = book[name] if name else book.active
    assert isinstance(sheet, Worksheet)
    return sheet


def printed(sheet: Worksheet) -> list[str | None]:
    """What is at the left above and below each page."""
    assert sheet.oddHeader
    assert sheet.oddFooter
    return [sheet.oddHeader.left.text, sheet.oddFooter.left.text]


def rows(sheet: Worksheet) -> list[list[Any]]:
    return [[cell.value for cell in row] for row in sheet.iter_rows()]


def read(export: Export, encoding: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(export.file.read().decode(encoding), newline="")))


def midnight(date: str) -> dt.datetime:
    """A date as openpyxl reads it."""
    return dt.datetime.fromisoformat(date)


def clock(hours: int, minutes: int = 0) -> dt.timedelta:
    """A time of day as openpyxl reads one that may be 24:00."""
    return dt.timedelta(hours=hours, minutes=minutes)


def minutes_of(value: Any) -> int:
    """The minutes that Excel counts in a cell with a time or a duration."""
    if isinstance(value, dt.timedelta):
        return round(value.total_seconds() / 60)
    assert isinstance(value, float | int)
    return round(value * 24 * 60)


class TestOneEmployee:
    def test_a_month(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-02 09:00:30", "2026-11-02 12:00:45")
        make_session("2026-11-02 13:00", "2026-11-02 18:05")
        export = employee_month_xlsx(employee, NOVEMBER, NOW)
        book = opened(export)
        assert book.sheetnames == ["佐藤 花子 202611"]
        found = rows(sheet_of(book))
        assert found[0] == ["日付", "曜日", "出勤", "退勤", "勤務時間（分）", "勤務時間", "1日の合計", "備考"]
        assert found[2][:5] == [midnight("2026-11-02"), "月", clock(9), clock(12), 180]
        assert found[3][:5] == [midnight("2026-11-02"), "月", clock(13), clock(18, 5), 305]
        assert [minutes_of(value) for value in (*found[2][5:7], found[3][5])] == [180, 485, 305]
        assert found[3][6] is None
        # Days without work are there, too: one row each, and a head, a second session and the totals.
        assert len(found) == 30 + 3
        assert found[1] == [midnight("2026-11-01"), "日", *[None] * 6]
        assert found[-1] == ["合計", None, None, None, "=SUM(E2:E32)", "=E33/1440", None, "出勤日数 1日"]
        last = rows(sheet_of(results(export)))[-1]
        assert (last[4], minutes_of(last[5])) == (485, 485)

    def test_formats_so_that_sums_work(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-02 09:00", "2026-11-02 12:00")
        sheet = sheet_of(opened(employee_month_xlsx(employee, NOVEMBER, NOW)))
        formats = [cell.number_format for cell in sheet[3]]
        assert formats[:7] == ["yyyy/mm/dd", "@", "[hh]:mm", "[hh]:mm", "#,##0", "[h]:mm", "[h]:mm"]
        assert [cell.number_format for cell in sheet[32]][4:6] == ["#,##0", "[h]:mm"]
        assert {cell.data_type for cell in sheet[3][2:7]} <= {"n", "d"}

    def test_a_night_has_a_row_on_each_date_up_to_24_and_from_0(
        self, employee: User, make_session: MakeSession
    ) -> None:
        make_session("2026-11-10 22:00", "2026-11-11 06:30")
        found = rows(sheet_of(opened(employee_month_xlsx(employee, NOVEMBER, NOW))))
        first, second = found[10], found[11]
        assert [minutes_of(value) for value in (first[2], first[3], first[5])] == [1320, 1440, 120]
        assert [minutes_of(value) for value in (second[2], second[3], second[5])] == [0, 390, 390]
        assert first[7] == "2026/11/11 06:30 退勤、修正あり"
        assert second[7] == "2026/11/10 22:00 出勤、修正あり"

    def test_who_is_at_work_and_who_forgot(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-10 09:00", end_unknown=True)
        make_session("2026-11-20 09:00")
        found = rows(sheet_of(opened(employee_month_xlsx(employee, NOVEMBER, NOW))))
        assert found[10][2:] == [clock(9), None, 0, clock(0), clock(0), "打刻漏れ、修正あり"]
        assert found[20][2:] == [clock(9), None, 180, clock(3), clock(3), "勤務中、修正あり"]

    def test_hours_beyond_a_day_add_up_exactly(self, employee: User, make_session: MakeSession) -> None:
        for day in range(1, 20):
            make_session(f"2026-11-{day:02} 09:00", f"2026-11-{day:02} 17:{day + 7:02}")
        export = employee_month_xlsx(employee, NOVEMBER, NOW)
        expected = employee_month(employee, NOVEMBER, NOW).minutes
        assert expected == 19 * 480 + sum(range(8, 27))
        (*_, last) = rows(sheet_of(results(export)))
        assert (last[4], minutes_of(last[5])) == (expected, expected)
        cells = [row[5] for row in rows(sheet_of(results(export)))[1:-1] if row[5]]
        assert sum(map(minutes_of, cells)) == expected

    def test_times_are_the_tenants(self, make_user: MakeUser) -> None:
        new_york = make_user(tenant=Tenant.objects.create(time_zone="America/New_York"))
        WorkSession.objects.create(  # through the hour that comes twice
            user=new_york,
            start_time=dt.datetime(2026, 11, 1, 4, 30, tzinfo=dt.UTC),
            end_time=dt.datetime(2026, 11, 1, 7, 30, tzinfo=dt.UTC),
        )
        found = rows(sheet_of(opened(employee_month_xlsx(new_york, NOVEMBER, NOW))))
        assert found[1][:5] == [midnight("2026-11-01"), "日", clock(0, 30), clock(2, 30), 180]

    def test_in_english(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-02 09:00", "2026-11-02 12:00")
        with translation.override("en"):
            found = rows(sheet_of(opened(employee_month_xlsx(employee, NOVEMBER, NOW))))
        assert found[0] == [
            "Date",
            "Weekday",
            "In",
            "Out",
            "Hours (minutes)",
            "Hours",
            "Total of the day",
            "Note",
        ]
        assert (found[2][1], found[2][7]) == ("Mon", "corrected")
        assert (found[-1][0], found[-1][7]) == ("Total", "1 day worked")

    def test_it_is_made_to_be_looked_at_and_printed(self, employee: User) -> None:
        sheet = sheet_of(opened(employee_month_xlsx(employee, NOVEMBER, NOW)))
        assert sheet.freeze_panes == "A2"
        assert sheet.print_title_rows == "$1:$1"
        assert (sheet.page_setup.paperSize, sheet.page_setup.fitToHeight) == (9, 0)
        assert all(sheet.column_dimensions[letter].width > 7 for letter in "ABCDEFGH")
        assert printed(sheet) == ["佐藤 花子 2026年11月", "2026/11/20 12:00 現在（Asia/Tokyo）"]

    def test_a_month_before_excel_knows_days(self, employee: User, make_session: MakeSession) -> None:
        make_session("1899-12-05 09:00", "1899-12-05 10:00")
        found = rows(sheet_of(opened(employee_month_xlsx(employee, Month(1899, 12), NOW))))
        assert found[5][0] == "1899/12/05"
        assert found[5][4] == 60

    def test_nobody_elses(self, tenant: Tenant, other_tenant: Tenant, make_user: MakeUser) -> None:
        stranger = make_user(tenant=other_tenant)
        assert employee_month_xlsx(stranger, NOVEMBER, NOW).size
        with scope.enter(of_tenant(tenant)), pytest.raises(User.DoesNotExist):
            employee_month_xlsx(stranger, NOVEMBER, NOW)


class TestTenant:
    @pytest.fixture
    def people(self, employee: User, make_user: MakeUser, make_session: MakeSession) -> list[User]:
        gone = make_user(last_name="港", first_name="一郎", status=UserStatus.SUSPENDED)
        make_user(role=Role.TENANT_ADMIN)
        make_session("2026-11-02 22:00", "2026-11-03 06:00")
        make_session("2026-11-04 09:00", end_unknown=True)
        make_session("2026-11-05 09:00", "2026-11-05 12:30", user=gone)
        return [employee, gone]

    def test_totals_by_employee(self, tenant: Tenant, people: list[User]) -> None:
        export = tenant_month_xlsx(tenant, NOVEMBER, NOW)
        book = opened(export)
        assert book.sheetnames == ["月次集計", "勤務記録"]
        head, first, second, last = rows(sheet_of(book, "月次集計"))
        assert head == [
            "氏名",
            "メールアドレス",
            "状態",
            "出勤日数",
            "勤務時間（分）",
            "勤務時間",
            "打刻漏れ（回）",
        ]
        assert [*first[:5], minutes_of(first[5]), first[6]] == [
            "佐藤 花子",
            people[0].email,
            "有効",
            2,
            480,
            480,
            1,
        ]
        assert [*second[:5], minutes_of(second[5]), second[6]] == [
            "港 一郎",
            people[1].email,
            "停止中",
            1,
            210,
            210,
            0,
        ]
        assert last == ["合計", None, None, "=SUM(D2:D3)", "=SUM(E2:E3)", "=E4/1440", "=SUM(G2:G3)"]
        shown = tenant_month(tenant, NOVEMBER, NOW).totals
        last = rows(sheet_of(results(export), "月次集計"))[-1]
        assert (last[3], last[4], minutes_of(last[5]), last[6]) == (shown.days, shown.minutes, 690, 1)

    def test_work_sessions(self, tenant: Tenant, people: list[User]) -> None:
        export = tenant_month_xlsx(tenant, NOVEMBER, NOW)
        sheet = sheet_of(opened(export), "勤務記録")
        head, *found, last = rows(sheet)
        assert head == [
            "氏名",
            "メールアドレス",
            "日付",
            "曜日",
            "出勤",
            "退勤",
            "勤務時間（分）",
            "勤務時間",
            "備考",
        ]
        assert [(row[0], row[2].day, row[6]) for row in found] == [
            ("佐藤 花子", 2, 120),
            ("佐藤 花子", 3, 360),
            ("佐藤 花子", 4, 0),
            ("港 一郎", 5, 210),
        ]
        assert last[6:8] == ["=SUM(G2:G5)", "=G6/1440"]
        assert rows(sheet_of(results(export), "勤務記録"))[-1][6] == 690
        assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", "A1:I5")
        assert sheet.page_setup.orientation == "landscape"

    def test_rows_cost_no_calls_of_the_library(self, tenant: Tenant) -> None:
        """It takes a dozen for each cell: minutes for a month of 2,000 people."""

        many(tenant, 12, 20)

        def calls(month: Month) -> int:
            counted = 0

            def count(frame: FrameType, event: str, arg: object) -> None:
                nonlocal counted
                counted += event == "call" and "/xlsxwriter/" in frame.f_code.co_filename

            sys.setprofile(count)
            try:
                tenant_month_xlsx(tenant, month, NOW)
            finally:
                sys.setprofile(None)
            return counted

        cells = 12 * 20 * 9
        assert calls(NOVEMBER) - calls(Month(2026, 10)) < cells / 4

    @pytest.mark.parametrize("name", ["_x0041_", "<r>A</r>", "A & B <c> \"'", "Ａ＆Ｂ", " ]]> "])
    def test_texts_are_what_they_were(self, tenant: Tenant, employee: User, name: str) -> None:
        User.objects.filter(pk=employee.pk).update(last_name=name, first_name="x")
        sheet = sheet_of(opened(tenant_month_xlsx(tenant, NOVEMBER, NOW)))
        assert sheet["A2"].value in (f"{name.strip()} x", f"{name.replace('_x', '_x005F_x').strip()} x")
        assert sheet.calculate_dimension() == "A1:G3"

    def test_a_list_with_semicolons_begins_no_cell(self, tenant: Tenant, employee: User) -> None:
        User.objects.filter(pk=employee.pk).update(last_name="森;=1+1", first_name="x")
        export = tenant_month_csv(tenant, NOVEMBER, NOW, Table.TOTALS, Encoding.UTF_8)
        text = export.file.read().decode("utf-8-sig")
        assert '"森;\'=1+1 x"' in text
        assert text.startswith('"氏名",')

    def test_csv_says_the_same(self, tenant: Tenant, people: list[User]) -> None:
        totals = tenant_month_csv(tenant, NOVEMBER, NOW, Table.TOTALS, Encoding.UTF_8)
        assert read(totals, "utf-8-sig")[1:] == [
            ["佐藤 花子", people[0].email, "有効", "2", "480", "8:00", "1"],
            ["港 一郎", people[1].email, "停止中", "1", "210", "3:30", "0"],
        ]
        sessions = tenant_month_csv(tenant, NOVEMBER, NOW, Table.SESSIONS, Encoding.SHIFT_JIS)
        head, *found = read(sessions, "cp932")
        assert head[0:3] == ["氏名", "メールアドレス", "日付"]
        assert [row[2:8] for row in found] == [
            ["2026/11/02", "月", "22:00", "24:00", "120", "2:00"],
            ["2026/11/03", "火", "00:00", "06:00", "360", "6:00"],
            ["2026/11/04", "水", "09:00", "", "0", "0:00"],
            ["2026/11/05", "木", "09:00", "12:30", "210", "3:30"],
        ]
        assert sessions.replaced == 0

    def test_nobody_has_worked(self, tenant: Tenant) -> None:
        export = tenant_month_xlsx(tenant, NOVEMBER, NOW)
        book = results(export)
        assert rows(sheet_of(book, "月次集計"))[-1] == ["合計", None, None, 0, 0, clock(0), 0]
        assert rows(sheet_of(book, "勤務記録"))[-1][6] == 0

    def test_another_tenants_rows_are_in_no_file(
        self, tenant: Tenant, other_tenant: Tenant, make_user: MakeUser, make_session: MakeSession
    ) -> None:
        stranger = make_user(tenant=other_tenant, last_name="よそ", first_name="者")
        make_session("2026-11-05 09:00", "2026-11-05 12:30", user=stranger)

        def written(whose: Tenant) -> str:
            book = opened(tenant_month_xlsx(whose, NOVEMBER, NOW))
            cells = [str(rows(sheet_of(book, name))) for name in book.sheetnames]
            for table in Table:
                export = tenant_month_csv(whose, NOVEMBER, NOW, table, Encoding.UTF_8)
                cells += [str(read(export, "utf-8"))]
            return "".join(cells)

        assert written(other_tenant).count("よそ 者") == 4  # it is there to be leaked
        assert "よそ" not in written(tenant)
        with scope.enter(of_tenant(tenant)):
            assert "よそ" not in written(other_tenant)

    def test_more_employees_than_are_read_at_a_time(
        self, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("attendance.tenant_reports.CHUNK", 7)
        many(tenant, 30, 3)
        found = rows(sheet_of(results(tenant_month_xlsx(tenant, NOVEMBER, NOW)), "勤務記録"))
        assert len(found) == 1 + 90 + 1
        assert found[-1][6] == 90 * 60
        names = [row[0] for row in found[1:-1]]
        assert names == sorted(names)


class TestTexts:
    def cells(self, export: Export) -> list[Cell | MergedCell]:
        return [cell for sheet in opened(export) for row in sheet.iter_rows() for cell in row]

    @pytest.mark.parametrize("name", FORMULAS)
    def test_a_name_is_never_a_formula(self, tenant: Tenant, make_user: MakeUser, name: str) -> None:
        user = make_user(last_name=name, first_name="")
        export = tenant_month_xlsx(tenant, NOVEMBER, NOW)
        visible = user.display_name.strip("\ufeff\u200b\x01　 \r\n\t")
        (cell,) = (cell for cell in self.cells(export) if cell.value == visible)
        assert (cell.data_type, cell.number_format) == ("s", "@")
        formulas = {
            cell.value
            for cell in self.cells(tenant_month_xlsx(tenant, NOVEMBER, NOW))
            if cell.data_type == "f"
        }
        assert formulas == {"=SUM(D2:D2)", "=SUM(E2:E2)", "=E3/1440", "=SUM(G2:G2)", "=0", "=G2/1440"}
        for encoding in Encoding:
            codec = {Encoding.UTF_8: "utf-8-sig", Encoding.SHIFT_JIS: "cp932"}[encoding]
            _, row = read(tenant_month_csv(tenant, NOVEMBER, NOW, Table.TOTALS, encoding), codec)
            assert row[0][0] == "'"
            assert row[0][1:] in {visible, visible.replace("−", "－").replace("\u200d", "")}

    def test_nor_is_an_address(self, tenant: Tenant, make_user: MakeUser) -> None:
        make_user(email="=cmd|'/c'!a1@example.com")
        _, row = read(tenant_month_csv(tenant, NOVEMBER, NOW, Table.TOTALS, Encoding.UTF_8), "utf-8-sig")
        assert row[1] == "'=cmd|'/c'!a1@example.com"

    @pytest.mark.parametrize("name", ['a,"=1+1', "a;1", 'a"b', "O'Brien", "100-1", "a=b", "佐藤+花子"])
    def test_what_is_no_formula_stays_as_it_is(self, tenant: Tenant, make_user: MakeUser, name: str) -> None:
        make_user(last_name=name, first_name="")
        _, row = read(tenant_month_csv(tenant, NOVEMBER, NOW, Table.TOTALS, Encoding.UTF_8), "utf-8-sig")
        assert row[0] == name

    @pytest.mark.parametrize(
        "name",
        [
            "<r><t>x</t></r>",
            '<r></r></is></c><c r="Z9"><f>1+1</f><v>2</v></c><c t="inlineStr"><is><r></r>',
            "<b>&amp;</b>",
            "_x0041_",
            "\ud7ff\ue000",
            "a\ufffe\uffff\x08b",
            "👨‍👩‍👧 & Söhne",
            "x" * 40_000,
        ],
    )
    def test_no_name_breaks_the_workbook(self, tenant: Tenant, make_user: MakeUser, name: str) -> None:
        user = make_user(username="x", last_name=name, first_name="")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            cells = self.cells(tenant_month_xlsx(tenant, NOVEMBER, NOW))
            assert employee_month_xlsx(user, NOVEMBER, NOW).size
        assert not [cell for cell in cells if cell.data_type == "f" and "1+1" in str(cell.value)]
        written = {str(cell.value).strip() for cell in cells if cell.value is not None}
        assert "".join(letter for letter in name if letter not in "\ufffe\uffff\x08")[
            : workbooks.LONGEST_TEXT
        ] in {text.replace("_x005F_", "_") for text in written}

    def test_utf_8_has_a_byte_order_mark_and_lines_as_windows_has_them(
        self, tenant: Tenant, employee: User
    ) -> None:
        content = tenant_month_csv(tenant, NOVEMBER, NOW, Table.TOTALS, Encoding.UTF_8).file.read()
        assert content.startswith(b'\xef\xbb\xbf"\xe6\xb0\x8f\xe5\x90\x8d",')
        assert content.count(b"\r\n") == content.count(b"\n") == 2

    @pytest.mark.parametrize(
        ("name", "written", "replaced"),
        [
            ("髙﨑 ①㈱ ｶﾅ", "髙﨑 ①㈱ ｶﾅ", 0),  # Windows has these, beyond Shift_JIS
            ("波〜ダ−シ―—‖", "波～ダ－シ――∥", 0),
            ("¥100 ¢£¬¦‾", "￥100 ￠￡￢￤￣", 0),
            ("か\u3099き\u309a", "がき〓", 1),
            ("葛\U000e0100城", "葛城", 0),
            ("𠮷野 鷗外", "〓野 〓外", 2),
            ("José 👨", "Jos〓 〓", 2),
            ("神\ufa19", "神\ufa19", 0),  # two letters to Windows, one to Unicode's normal form
            ("〓", "〓", 0),
        ],
    )
    def test_what_shift_jis_lacks_is_seen_and_counted(
        self, tenant: Tenant, make_user: MakeUser, name: str, written: str, replaced: int
    ) -> None:
        make_user(last_name=name, first_name="")
        export = tenant_month_csv(tenant, NOVEMBER, NOW, Table.TOTALS, Encoding.SHIFT_JIS)
        _, row = read(export, "cp932")
        assert (row[0], export.replaced) == (written, replaced)
        assert SUBSTITUTE == "〓"
        _, row = read(tenant_month_csv(tenant, NOVEMBER, NOW, Table.TOTALS, Encoding.UTF_8), "utf-8-sig")
        assert row[0] == name

    def test_what_is_replaced_counts_in_each_line(
        self, tenant: Tenant, employee: User, make_session: MakeSession
    ) -> None:
        User.objects.filter(pk=employee.pk).update(last_name="𠮷野")
        for day in range(1, 6):
            make_session(f"2026-11-0{day} 09:00", f"2026-11-0{day} 10:00")
        assert tenant_month_csv(tenant, NOVEMBER, NOW, Table.SESSIONS, Encoding.SHIFT_JIS).replaced == 5


class TestFileNames:
    @pytest.mark.parametrize(
        ("name", "file_name"),
        [
            ("佐藤 花子", "佐藤 花子_202611.xlsx"),
            ("佐藤　花子", "佐藤 花子_202611.xlsx"),
            ('a/b\\c:d*e?f"g<h>i|j%41', "a_b_c_d_e_f_g_h_i_j_41_202611.xlsx"),
            ("../../etc/passwd", "_.._etc_passwd_202611.xlsx"),
            ("a\r\nSet-Cookie: x", "a Set-Cookie_ x_202611.xlsx"),
            ("\u202etxt.exe", "txt.exe_202611.xlsx"),
            ("...", "timerecord_202611.xlsx"),
            ("\x01", "timerecord_202611.xlsx"),
            ("x" * 200, "x" * 180 + "_202611.xlsx"),
            ("花" * 200, "花" * 60 + "_202611.xlsx"),
            ("𠮷" * 200, "𠮷" * 45 + "_202611.xlsx"),
        ],
    )
    def test_a_name_that_every_system_takes(self, make_user: MakeUser, name: str, file_name: str) -> None:
        user = make_user(last_name=name, first_name="", username="...")
        export = employee_month_xlsx(user, NOVEMBER, NOW)
        assert export.name == file_name
        assert len(export.name.encode()) < 255
        (sheet,) = opened(export).sheetnames
        assert sheet.endswith(" 202611")

    @pytest.mark.parametrize(
        ("name", "header"),
        [
            ("sato", 'attachment; filename="sato_202611.xlsx"'),
            ('"sato"; x=', 'attachment; filename="_sato_; x=_202611.xlsx"'),
            (
                "佐藤 花子",
                "attachment; filename*=utf-8''%E4%BD%90%E8%97%A4%20%E8%8A%B1%E5%AD%90_202611.xlsx",
            ),
            ("L'été", "attachment; filename*=utf-8''L%27%C3%A9t%C3%A9_202611.xlsx"),
        ],
    )
    def test_the_header_names_the_file(self, make_user: MakeUser, name: str, header: str) -> None:
        export = employee_month_xlsx(make_user(last_name=name, first_name=""), NOVEMBER, NOW)
        response = export.response()
        assert response["Content-Disposition"] == header
        assert response["Content-Type"] == XLSX
        assert response["Content-Length"] == str(export.size)
        content = b"".join(response)
        assert len(content) == export.size
        assert zipfile.is_zipfile(io.BytesIO(content))

    def test_those_of_a_tenant(self, tenant: Tenant) -> None:
        assert tenant_month_xlsx(tenant, NOVEMBER, NOW).name == "青空商店_202611.xlsx"
        for encoding, content_type in (
            (Encoding.UTF_8, "text/csv; charset=utf-8"),
            (Encoding.SHIFT_JIS, "application/octet-stream"),
        ):
            export = tenant_month_csv(tenant, NOVEMBER, NOW, Table.TOTALS, encoding)
            assert (export.name, export.content_type) == ("青空商店_202611.csv", content_type)

    @pytest.mark.parametrize(
        ("name", "sheet"),
        [
            ("[a]:b*c?d/e\\f'", "_a__b_c_d_e_f_ 202611"),
            ("花" * 40, "花" * 24 + " 202611"),
            ("𠮷" * 40, "𠮷" * 12 + " 202611"),
        ],
    )
    def test_sheets_have_names_that_excel_takes(self, make_user: MakeUser, name: str, sheet: str) -> None:
        user = make_user(last_name=name, first_name="")
        (found,) = opened(employee_month_xlsx(user, NOVEMBER, NOW)).sheetnames
        assert found == sheet
        assert len(found.encode("utf-16-le")) // 2 <= 31

    def test_what_is_printed_above_a_page_is_no_command(self, make_user: MakeUser) -> None:
        user = make_user(last_name="&Z&F &R 9" + "&" * 300, first_name="")
        with zipfile.ZipFile(employee_month_xlsx(user, NOVEMBER, NOW).file) as parts:
            sheet = parts.read("xl/worksheets/sheet1.xml").decode()
        header = html.unescape(sheet.partition("<oddHeader>")[2].partition("</oddHeader>")[0])
        assert len(header) <= 255
        assert re.findall("&.", header.replace("&&", "")) == ["&L", "&R"]
        assert header.startswith("&L&&Z&&F &&R 9&&")


@pytest.mark.parametrize("table", Table)
@pytest.mark.parametrize("encoding", Encoding)
def test_every_choice_has_japanese_words(table: Table, encoding: Encoding) -> None:
    assert str(table.label) in {"従業員ごとの集計", "勤務記録"}
    assert str(encoding.label) in {"UTF-8（Excel 2016以降）", "Shift_JIS（古いソフト向け）"}
