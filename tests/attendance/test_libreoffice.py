"""A workbook that LibreOffice opens shows what the page showed, and its formulas come to the same."""

import csv
import io
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
import time_machine
from django.test import Client

from accounts.models import Role, User
from tests.conftest import MakeSession, MakeUser, japan
from tests.html import Page, text_of

SOFFICE = shutil.which("soffice")
SECONDS = 300  # to start it, on a machine with other work
# Every sheet as a CSV file of its own, in UTF-8, with its cells as they are shown.
AS_SHOWN = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,false,true,false,false,-1"

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        SOFFICE is None,
        reason="LibreOffice is not installed; test_exports opens the same files with openpyxl",
    ),
]


@pytest.fixture
def desk(make_user: MakeUser, time_machine: time_machine.TimeMachineFixture) -> Client:
    """The browser of an admin, on a Friday at noon."""
    time_machine.move_to(japan("2026-11-20 12:00:30"), tick=False)
    client = Client(headers={"accept-language": "ja"})
    client.force_login(make_user(role=Role.TENANT_ADMIN, last_name="大西", first_name="総務"))
    return client


@pytest.fixture
def people(employee: User, make_user: MakeUser, make_session: MakeSession) -> list[User]:
    """A month of three: nights, two work sessions a day, one forgotten, one running, more than 100 hours."""
    other, third = make_user(last_name="港", first_name="一郎"), make_user(last_name="森", first_name="=1+1")
    for day in range(2, 20):
        make_session(f"2026-11-{day:02} 08:{day:02}", f"2026-11-{day:02} 12:00")
        make_session(f"2026-11-{day:02} 13:00", f"2026-11-{day:02} 18:{day:02}")
        make_session(f"2026-11-{day:02} 22:00", f"2026-11-{day + 1:02} 05:30", user=other)
    make_session("2026-11-05 09:00", end_unknown=True, user=third)
    make_session("2026-11-20 09:00", user=third)
    return [employee, other, third]


def without_results(workbook: bytes) -> bytes:
    """Return a workbook without what was written beside its formulas: whoever opens it has to compute."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook)) as given, zipfile.ZipFile(made, "w") as parts:
        for name in given.namelist():
            content = given.read(name)
            if name.startswith("xl/worksheets/"):
                content, formulas = re.subn(rb"(</f>)<v>[^<]*</v>", rb"\1", content)
                assert formulas
            parts.writestr(name, content)
    return made.getvalue()


def shown(client: Client, address: str, folder: Path) -> list[list[list[str]]]:
    """Return the rows of each sheet as LibreOffice shows them."""
    file = folder / "month.xlsx"
    file.write_bytes(without_results(b"".join(client.get(address))))
    profile = f"-env:UserInstallation={(folder / 'profile').as_uri()}"
    words = [
        str(SOFFICE),
        profile,
        "--headless",
        "--convert-to",
        AS_SHOWN,
        "--outdir",
        str(folder),
        str(file),
    ]
    subprocess.run(words, check=True, capture_output=True, timeout=SECONDS)
    sheets = sorted(folder.glob("*.csv"), key=lambda path: path.stat().st_mtime_ns)
    return [list(csv.reader(path.read_text("utf-8").splitlines())) for path in sheets]


def written(hours: str) -> str:
    """Return hours and minutes of a page as a sheet has them."""
    return hours.replace("時間", ":").removesuffix("分")


def test_the_tenants_month(desk: Client, people: list[User], tmp_path: Path) -> None:
    page = Page(desk.get("/admin/?month=2026-11"))
    rows = [[text_of(cell) for cell in row] for row in page.all(".//div[@class='results people']//tbody/tr")]
    on_page = {name: (days.removesuffix("日"), written(hours)) for name, _state, days, hours, _last in rows}
    totals, sessions = shown(desk, "/admin/month.xlsx?month=2026-11", tmp_path)
    assert {row[0]: (row[3], row[5]) for row in totals[1:-1]} == on_page
    assert on_page["佐藤 花子"] == ("18", "162:00")
    hours, _people, days = page.totals
    assert (totals[-1][3], totals[-1][5]) == (days.removesuffix("日"), written(hours))
    assert sessions[-1][7] == written(hours)
    assert sessions[1][2:8] == ["2026/11/02", "月", "08:02", "12:00", "238", "3:58"]


def test_one_employees_month(desk: Client, people: list[User], tmp_path: Path) -> None:
    address = f"/admin/employees/{people[1].pk}/months/2026-11/"
    page = Page(desk.get(address))
    (sheet,) = shown(desk, f"{address}export.xlsx", tmp_path)
    hours, days = page.totals
    assert sheet[-1] == ["合計", "", "", "", "8,100", written(hours), "", f"出勤日数 {days}"]
    night = [row[:7] for row in sheet if row[0] in ("2026/11/02", "2026/11/03")]
    assert night == [
        ["2026/11/02", "月", "22:00", "24:00", "120", "2:00", "2:00"],
        ["2026/11/03", "火", "00:00", "05:30", "330", "5:30", "7:30"],
        ["2026/11/03", "火", "22:00", "24:00", "120", "2:00", ""],
    ]
