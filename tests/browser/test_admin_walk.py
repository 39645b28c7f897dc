"""A whole month of sixty people, by whoever runs it: invite, watch, correct, export for payroll."""

import datetime as dt
import re
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import time_machine
from django.core.mail import EmailMessage
from openpyxl.worksheet.worksheet import Worksheet
from playwright.sync_api import Download, FilePayload, ViewportSize, expect

from accounts.models import Role, User
from attendance.models import WorkSession
from tests.browser.pages import Visit
from tests.browser.person import DESKTOP, Person
from tests.browser.test_accounts import NEW
from tests.browser.test_admin import signs_in
from tests.conftest import PASSWORD, MakeUser, japan

pytestmark = pytest.mark.usefixtures("server_clock")

PHONE: ViewportSize = {"width": 390, "height": 844}
COLLEAGUES = 59


@pytest.fixture
def admin(make_user: MakeUser) -> User:
    return make_user(role=Role.TENANT_ADMIN, last_name="小林", first_name="直子", email="admin@example.com")


def goes_to(someone: Person, name: str, heading: str) -> None:
    someone.page.get_by_role("navigation", name="管理").get_by_role("link", name=name, exact=True).click()
    someone.sees_heading(heading)


def workbook(download: Download, folder: Path) -> dict[str, list[list[Any]]]:
    """What is in each sheet, formulas by their results."""
    path = folder / download.suggested_filename
    download.save_as(path)
    book = openpyxl.load_workbook(path, data_only=True)
    sheets = {name: book[name] for name in book.sheetnames}
    assert all(isinstance(sheet, Worksheet) for sheet in sheets.values())
    return {
        name: [[cell.value for cell in row] for row in sheet.iter_rows()] for name, sheet in sheets.items()
    }


def works(people: list[User], first: str, last: str) -> None:
    """From nine to six, an hour between, Mondays to Fridays; as the clock would have it."""
    start, end = (dt.date.fromisoformat(day) for day in (first, last))
    days = [start + dt.timedelta(days=n) for n in range((end - start).days + 1)]
    WorkSession.objects.bulk_create(
        WorkSession(user=user, start_time=japan(f"{day} {begins}"), end_time=japan(f"{day} {ends}"))
        for user in people
        for day in days
        if day.weekday() < 5
        for begins, ends in (("09:00", "12:00"), ("13:00", "18:00"))
    )


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desk"])
def test_a_month_of_sixty(
    visit: Visit,
    admin: User,
    size: ViewportSize,
    mailoutbox: list[EmailMessage],
    server_clock: time_machine.Traveller,
    tmp_path: Path,
) -> None:
    # Invite: all of them from a file, and one signs in by the link and clocks in.
    server_clock.move_to(japan("2026-12-01 08:55"))
    someone = visit(admin, viewport=size, accept_downloads=True).open("/admin/")
    someone.sees_heading("2026年12月")
    goes_to(someone, "従業員", "従業員")
    someone.link("CSV取り込み").click()
    lines = "".join(f"佐藤,花子{n:02},hanako{n:02}@example.com\n" for n in range(COLLEAGUES))
    file: FilePayload = {
        "name": "従業員.csv",
        "mimeType": "text/csv",
        "buffer": f"姓,名,メールアドレス\n{lines}".encode("cp932"),
    }
    someone.page.get_by_label("CSVファイル").set_input_files(file)
    someone.tap("ファイルを確認する")
    someone.sees(f"{COLLEAGUES}名を登録できます。")
    someone.tap("登録して招待する")
    someone.is_told(f"{COLLEAGUES}名を招待しました。メールを送信しています。")
    people = list(User.objects.filter(role=Role.EMPLOYEE).order_by("email"))
    assert sorted(message.to[0] for message in mailoutbox) == [user.email for user in people]
    invited = next(message for message in mailoutbox if message.to == [people[0].email])
    (link,) = re.findall(r"http://[^/]+(/invitation/\S+)", str(invited.body))
    newcomer = visit().open(link)
    newcomer.page.get_by_label("新しいパスワード").fill(NEW)
    newcomer.page.locator("main form button.primary").click()
    newcomer = signs_in(visit, people[0].email, NEW)
    newcomer.tap("出勤")
    newcomer.sees_heading("勤務中")

    # Watch: who is at work, who forgot to clock out.
    goes_to(someone, "今月", "2026年12月")
    expect(someone.link("1人").first).to_be_visible()
    server_clock.move_to(japan("2026-12-01 18:00"))
    newcomer.open()
    newcomer.tap("退勤")
    newcomer.sees_heading("勤務外")
    works(people[1:], "2026-12-01", "2026-12-31")
    works(people[:1], "2026-12-02", "2026-12-31")
    WorkSession.objects.filter(user=people[7], start_time=japan("2026-12-31 13:00")).update(end_time=None)
    server_clock.move_to(japan("2027-01-04 09:30"))

    # Correct: the one who forgot, with the reason.
    someone = signs_in(visit, admin.email, PASSWORD)  # the session from a month ago has ended
    someone.page.set_viewport_size(size)
    someone.sees_heading("勤務外")
    someone.open("/admin/?month=2026-12")
    someone.sees_heading("2026年12月")
    goes_to(someone, "勤務記録", "勤務記録")
    someone.region("退勤の打刻漏れ").get_by_role("link").click()
    someone.sees_heading("退勤時刻を入力")
    someone.page.get_by_label("退勤").fill("18:30")
    someone.page.get_by_label("修正理由").fill("本人に確認")
    someone.page.locator("main form button.primary").click()
    someone.sees_heading("勤務記録")
    expect(someone.region("退勤の打刻漏れ")).to_have_count(0)
    forgetful = visit()
    forgetful.give_session(people[7])
    expect(forgetful.open().page.get_by_role("main").get_by_text("修正あり").first).to_be_visible()

    # Export for payroll: what is in the file is what the page shows, and both are what was worked.
    someone.open("/admin/?month=2026-12")
    expected = sum(
        (session.end_time - session.start_time) // dt.timedelta(minutes=1)
        for session in WorkSession.objects.all()
        if session.end_time
    )
    shown = f"{expected // 60:,}時間{expected % 60:02}分"
    expect(someone.page.get_by_role("main").get_by_text(shown, exact=True).first).to_be_visible()
    someone.page.locator("summary", has_text="ファイル出力").click()
    with someone.page.expect_download() as download:
        someone.link("Excel 月次集計と勤務記録").click()
    assert download.value.suggested_filename == "青空商店_202612.xlsx"
    sheets = workbook(download.value, tmp_path)
    totals = {row[1]: row for row in sheets["月次集計"][1:-1]}
    assert set(totals) == {user.email for user in people}
    assert sheets["月次集計"][-1][4] == sheets["勤務記録"][-1][6] == expected
    assert totals[people[7].email][4] - totals[people[8].email][4] == 30
    assert totals[people[0].email][4] == totals[people[8].email][4] + 65  # from 8:55, and no break at noon
