"""The whole way through, as an employee walks it, with each store of sessions."""

import datetime as dt
import io
from pathlib import Path

import pytest
import time_machine
from django.core.management import call_command
from playwright.sync_api import expect

from accounts.models import User
from attendance.models import WorkSession
from tests.attendance.legacy import legacy_files
from tests.browser.pages import Visit
from tests.browser.person import Person
from tests.conftest import MakeUser, japan

pytestmark = pytest.mark.usefixtures("server_clock", "session_store")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_working_day(
    visit: Visit, employee: User, server_clock: time_machine.Traveller, scripts: bool
) -> None:
    someone = visit(java_script_enabled=scripts).open("/")
    someone.sees_heading("ログイン")
    someone.fill_in_sign_in(employee.email)

    someone.sees_heading("勤務外")
    someone.sees("まだ記録がありません。最初の出勤がここに表示されます。")
    someone.tap("出勤")

    someone.sees_heading("勤務中")
    someone.is_told("09:02 に出勤しました。")
    expect(someone.region("勤務中")).to_contain_text("09:02 から")
    expect(someone.button("出勤")).to_have_count(0)
    assert someone.rows("最近の勤務記録") == [["11月20日(金)", "09:02", "勤務中", "0時間00分"]]

    server_clock.move_to(japan("2026-11-20 17:34:59"))
    someone.open("/")
    expect(someone.region("勤務中")).to_contain_text("8時間32分")
    someone.tap("退勤")

    someone.sees_heading("勤務外")
    someone.is_told("17:34 に退勤しました。お疲れさまでした。")
    expect(someone.total("今日")).to_have_text("8時間32分")
    expect(someone.total("今月")).to_have_text("8時間32分")
    assert someone.rows("最近の勤務記録") == [["11月20日(金)", "09:02", "17:34", "8時間32分"]]
    days = someone.rows("直近30日の勤務時間")
    assert days[:2] == [["11月20日(金)", "8時間32分"], ["11月19日(木)", "–"]]
    assert len(days) == 30
    assert hours_drawn_today(someone) == pytest.approx(8 + 32 / 60, abs=0.1)

    (session,) = WorkSession.objects.all()
    assert session.start_time == japan("2026-11-20 09:02:10")
    assert session.end_time == japan("2026-11-20 17:34:59")

    someone.tap("ログアウト")
    someone.sees_heading("ログイン")


def test_from_an_old_file_to_the_minutes(
    visit: Visit, transactional_db: None, server_clock: time_machine.Traveller, tmp_path: Path
) -> None:
    server_clock.move_to(japan("2025-10-29 09:02:10"))
    said = io.StringIO()
    call_command("import_sqlite", str(legacy_files.generation_2_wal_only(tmp_path)), stdout=said)
    assert "OK" in said.getvalue().splitlines()[-1]

    someone = visit().open("/")
    someone.fill_in_sign_in(legacy_files.EMPLOYEE_EMAIL, legacy_files.EMPLOYEE_PASSWORD)
    someone.sees_heading("勤務外")
    expect(someone.page.get_by_role("banner")).to_contain_text("佐藤 花子")
    expect(someone.region("勤務外")).to_contain_text("10月25日(土) 01:10 に退勤")
    expect(someone.total("今月")).to_have_text("10時間10分")
    old = [
        ["10月24日(金)", "23:30", "翌 01:10", "1時間40分"],
        ["10月23日(木)", "13:00", "18:30", "5時間30分"],
        ["10月23日(木)", "09:00", "12:00", "3時間00分"],
    ]
    assert someone.rows("最近の勤務記録") == old

    someone.tap("出勤")
    someone.sees_heading("勤務中")
    server_clock.move_to(japan("2025-10-29 17:34:59"))
    someone.open("/").tap("退勤")

    someone.is_told("17:34 に退勤しました。お疲れさまでした。")
    expect(someone.total("今日")).to_have_text("8時間32分")
    expect(someone.total("今月")).to_have_text("18時間42分")
    assert someone.rows("最近の勤務記録") == [["10月29日(水)", "09:02", "17:34", "8時間32分"], *old]
    days = {day: minutes for day, minutes in someone.rows("直近30日の勤務時間") if minutes != "–"}
    assert days == {
        "10月29日(水)": "8時間32分",
        "10月25日(土)": "1時間10分",
        "10月24日(金)": "0時間30分",
        "10月23日(木)": "8時間30分",
    }

    # The first sign-in replaced the old hash: the same password must still do.
    someone.tap("ログアウト")
    someone.sees_heading("ログイン")
    someone.fill_in_sign_in(legacy_files.EMPLOYEE_EMAIL, legacy_files.EMPLOYEE_PASSWORD)
    someone.sees_heading("勤務外")


def test_a_second_day_adds_to_the_month_and_not_to_today(
    visit: Visit, employee: User, server_clock: time_machine.Traveller
) -> None:
    someone = visit(employee).open()
    someone.tap("出勤")
    someone.sees_heading("勤務中")
    server_clock.shift(dt.timedelta(hours=3))
    someone.tap("退勤")
    someone.sees_heading("勤務外")
    server_clock.shift(dt.timedelta(days=1))

    someone.give_session(employee)
    someone.open("/")

    expect(someone.total("今日")).to_have_text("0時間00分")
    expect(someone.total("今月")).to_have_text("3時間00分")
    expect(someone.region("勤務外")).to_contain_text("11月20日(金) 12:02 に退勤")


def test_nothing_of_somebody_else_is_seen(
    visit: Visit, make_user: MakeUser, employee: User, server_clock: time_machine.Traveller
) -> None:
    WorkSession.objects.create(user=employee, start_time=japan("2026-11-20 08:00"))
    colleague = visit(make_user(last_name="鈴木", first_name="太郎")).open()

    colleague.sees_heading("勤務外")
    expect(colleague.page.get_by_role("banner")).to_contain_text("鈴木 太郎")
    expect(colleague.page.get_by_text("佐藤")).to_have_count(0)
    expect(colleague.page.get_by_text("08:00")).to_have_count(0)


def test_a_wrong_password_is_told_and_the_address_kept(visit: Visit, employee: User) -> None:
    someone = visit().open("/")
    someone.fill_in_sign_in(employee.email, "not the password")

    expect(someone.page.get_by_role("alert")).to_contain_text("ログインできませんでした。")
    expect(someone.page.get_by_label("メールアドレス")).to_have_value(employee.email)
    someone.fill_in_sign_in(employee.email)
    someone.sees_heading("勤務外")


def hours_drawn_today(someone: Person) -> float:
    """How high the chart's last bar is, measured by the lines for no hours and for four."""
    chart = someone.region("直近30日の勤務時間").get_by_role("img")
    bar = someone.place_of(chart.locator("path.weekdays"))
    nothing, four = (someone.place_of(chart.locator("path.grid").nth(n))["y"] for n in (0, 1))
    right_end = someone.place_of(chart)
    assert bar["x"] + bar["width"] == pytest.approx(right_end["x"] + right_end["width"], abs=3)
    return bar["height"] / (nothing - four) * 4
