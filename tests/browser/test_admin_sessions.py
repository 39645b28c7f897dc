"""A tenant admin at the work sessions: by keyboard, on a phone and a desktop, in light and dark."""

import re

import pytest
from playwright.sync_api import ViewportSize, expect

from accounts.models import Role, User
from attendance.corrections import Times
from attendance.models import WorkSession
from tests.browser.axe import axe_finds_nothing
from tests.browser.pages import LONG_NAME, Visit
from tests.browser.person import DESKTOP, Person
from tests.browser.test_layout import MISFITS
from tests.conftest import MakeSession, MakeUser, japan

LIST = "/admin/attendance/worksession/"
PHONE: ViewportSize = {"width": 390, "height": 844}
WHY = "打刻忘れ、本人に確認"


@pytest.fixture
def admin(make_user: MakeUser) -> User:
    return make_user(role=Role.TENANT_ADMIN, last_name="山田", first_name="太郎")


@pytest.fixture
def sessions(employee: User, make_user: MakeUser, make_session: MakeSession) -> list[WorkSession]:
    """One of every kind, the forgotten one first."""
    other = make_user(last_name=LONG_NAME, first_name=LONG_NAME)
    return [
        make_session("2026-11-18 22:04:10"),
        make_session("2026-11-17 09:00", "2026-11-17 18:00"),
        make_session("2026-11-16 22:00", "2026-11-17 06:00"),
        make_session("2026-11-16 09:00", end_unknown=True),
        make_session("2026-11-20 08:31", user=other),
    ]


def fits(someone: Person) -> None:
    """Nothing is wider than the screen, on a phone and a desktop."""
    for viewport in (PHONE, DESKTOP):
        someone.page.set_viewport_size(viewport)
        assert someone.page.evaluate(MISFITS) == [], viewport


def looks_right(someone: Person) -> None:
    """It fits, and axe finds nothing, in light and dark."""
    fits(someone)
    axe_finds_nothing(someone.page, PHONE, DESKTOP)


@pytest.mark.parametrize("locale", ["ja", "en"])
def test_every_page_looks_right(visit: Visit, admin: User, sessions: list[WorkSession], locale: str) -> None:
    someone = visit(admin, locale=locale)
    look = looks_right if locale == "ja" else fits
    row = f"{LIST}{sessions[0].pk}"
    for path in (LIST, f"{LIST}add/", *(f"{row}/{name}/" for name in ("change", "end", "delete", "history"))):
        someone.open(path)
        look(someone)
    someone.open(f"{row}/change/")
    someone.page.get_by_role("button", name=re.compile("保存|Save")).click()
    expect(someone.page.get_by_role("alert")).to_be_visible()
    look(someone)


def test_the_keyboard_is_enough_for_a_forgotten_clock_out(
    visit: Visit, admin: User, sessions: list[WorkSession]
) -> None:
    someone = visit(admin, viewport=PHONE).open(LIST)
    way_there = someone.region("退勤の打刻漏れ").get_by_role("link")
    for _ in range(20):
        someone.press("Tab")
        if way_there.evaluate("link => link === document.activeElement"):
            break
    expect(way_there).to_be_focused()
    someone.press("Enter")

    someone.sees_heading("退勤時刻を入力")
    expect(someone.page.get_by_label("退勤")).to_be_focused()
    someone.page.keyboard.type("0630AM")
    expect(someone.page.get_by_label("退勤")).to_have_value("06:30")
    someone.page.get_by_label("修正理由").focus()
    someone.page.keyboard.type(WHY)
    someone.press("Tab", "Enter")

    someone.sees_heading("勤務記録")
    expect(someone.page.get_by_role("status")).to_contain_text("22:04 から 翌 06:30 まで")
    expect(someone.region("退勤の打刻漏れ")).to_have_count(0)
    session = WorkSession.objects.get(pk=sessions[0].pk)
    assert Times.of(session) == Times(japan("2026-11-18 22:04:10"), japan("2026-11-19 06:30"))


def test_a_correction_an_overlap_and_the_history(
    visit: Visit, admin: User, sessions: list[WorkSession]
) -> None:
    someone = visit(admin, viewport=DESKTOP).open(f"{LIST}?date=2026-11-17")
    someone.page.get_by_role("rowheader").get_by_role("link").click()
    someone.sees_heading("打刻修正")
    start, end = (someone.page.get_by_label(re.compile(f"^{name}( |$)")) for name in ("出勤", "退勤"))
    expect(start).to_have_value("2026-11-17T09:00")
    start.fill("2026-11-17T05:30")
    someone.page.get_by_label("修正理由").fill(WHY)
    someone.tap("保存する")

    someone.page.wait_for_load_state()
    expect(start).to_have_accessible_description(
        "別の勤務記録と重なっています: 11月16日(月) 22:00 から 翌 06:00 まで。"
    )
    expect(start).to_have_value("2026-11-17T05:30")
    start.fill("2026-11-17T08:30")
    end.fill("2026-11-17T19:00")
    someone.tap("保存する")

    expect(someone.page.get_by_role("status")).to_be_visible()
    someone.sees("修正あり")
    someone.link("変更履歴").click()
    told = someone.page.get_by_role("main").get_by_role("listitem").first
    expect(told).to_contain_text("開始時刻を 09:00 から 08:30 に変更")
    expect(told).to_contain_text(WHY)


def test_more_than_a_day_is_confirmed_on_the_page(visit: Visit, admin: User, employee: User) -> None:
    someone = visit(admin, viewport=PHONE).open(f"{LIST}add/?user={employee.pk}")
    someone.page.get_by_label("出勤", exact=True).fill("2026-11-17T09:00")
    someone.page.get_by_label(re.compile("^退勤( |$)")).fill("2026-11-18T10:30")
    someone.page.get_by_label("修正理由").fill(WHY)
    someone.page.get_by_role("main").get_by_role("button").last.click()
    yes = someone.page.get_by_label("はい、25時間30分で正しいです")
    expect(yes).not_to_be_checked()
    looks_right(someone)
    yes.check()
    someone.page.get_by_role("main").get_by_role("button").last.click()
    someone.sees_heading("打刻修正")
    assert WorkSession.objects.get().end_time == japan("2026-11-18 10:30")


def test_deleting_says_what_goes(visit: Visit, admin: User, sessions: list[WorkSession]) -> None:
    someone = visit(admin, viewport=PHONE).open(f"{LIST}{sessions[1].pk}/change/")
    someone.link("削除").click()
    someone.sees_heading("削除")
    expect(someone.page.get_by_role("main")).to_contain_text("勤務時間が9時間00分減ります")
    someone.page.get_by_role("textbox").fill(WHY)
    someone.tap("削除")
    someone.sees_heading("勤務記録")
    assert not WorkSession.objects.filter(pk=sessions[1].pk).exists()
