"""The large button under an impatient thumb, and the minutes that run beside it.

That it keeps its place on every page is tested in test_layout.py.
"""

import re

import pytest
import time_machine
from playwright.sync_api import Route, expect

from accounts.models import User
from attendance.models import WorkSession
from tests.browser.pages import Visit
from tests.browser.person import DESKTOP, PHONE, Person
from tests.conftest import MakeSession, MakeUser, japan

phone_and_desktop = pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
with_and_without_scripts = pytest.mark.parametrize(
    "scripts", [True, False], ids=["with scripts", "without scripts"]
)


@phone_and_desktop
@with_and_without_scripts
def test_a_double_tap_clocks_in_once(visit: Visit, employee: User, viewport: object, scripts: bool) -> None:
    someone = visit(employee, viewport=viewport, java_script_enabled=scripts).open()
    place = someone.place_of(someone.button("出勤"))

    someone.tap_at(place)
    someone.tap_at(place)

    # Wherever the second one landed: at the first page, on the way, or at the next page's button.
    expect(someone.page.get_by_role("heading", level=1)).to_have_text(re.compile("勤務中|退勤しますか"))
    someone.open("/")
    someone.sees_heading("勤務中")
    assert [session.is_running for session in WorkSession.objects.all()] == [True]


@phone_and_desktop
@with_and_without_scripts
def test_taps_at_one_place_of_the_screen_never_undo_a_clock_in(
    visit: Visit, employee: User, viewport: object, scripts: bool
) -> None:
    someone = visit(employee, viewport=viewport, java_script_enabled=scripts).open()
    place = someone.place_of(someone.button("出勤"))

    for heading in ("勤務中", "退勤しますか？", "勤務中", "退勤しますか？"):
        someone.tap_at(place)
        someone.sees_heading(heading)

    assert [session.is_running for session in WorkSession.objects.all()] == [True]


@phone_and_desktop
def test_taps_at_one_place_of_the_screen_never_undo_a_clock_out(
    visit: Visit, employee: User, make_session: MakeSession, viewport: object
) -> None:
    make_session("2026-11-20 08:00")
    someone = visit(employee, viewport=viewport).open()
    place = someone.place_of(someone.button("退勤"))

    for heading in ("勤務外", "出勤しますか？", "勤務外", "出勤しますか？"):
        someone.tap_at(place)
        someone.sees_heading(heading)

    assert [session.is_running for session in WorkSession.objects.all()] == [False]


def test_a_form_is_sent_once_however_often_it_is_tapped(visit: Visit, employee: User) -> None:
    someone = visit(employee).open()
    place = someone.place_of(someone.button("出勤"))
    sent: list[Route] = []
    someone.page.route("**/clock-in", lambda route: sent.append(route))

    with someone.page.expect_request("**/clock-in"):
        someone.tap_at(place)
    for _ in range(3):
        someone.tap_at(place)
    sent[-1].continue_()
    someone.is_told("09:02 に出勤しました。")
    assert len(sent) == 1


def test_who_belongs_to_no_tenant_cannot_press_it(visit: Visit, make_user: MakeUser) -> None:
    someone = visit(make_user(tenant=None)).open()

    expect(someone.button("出勤")).to_be_disabled()
    expect(
        someone.page.get_by_text("アカウントがまだ会社に所属していないため、出勤できません。")
    ).to_be_visible()


def test_the_running_minutes_go_on_by_themselves(
    visit: Visit, employee: User, make_session: MakeSession
) -> None:
    make_session("2026-11-20 07:05")
    make_session("2026-11-19 09:00", "2026-11-19 10:00")
    someone = visit(employee)
    someone.stop_the_clock()
    someone.open()
    expect(someone.region("勤務中")).to_contain_text("1時間57分")

    someone.let_pass(minutes=3, seconds=5)

    expect(someone.region("勤務中")).to_contain_text("2時間00分")
    expect(someone.total("今日")).to_have_text("2時間00分")
    expect(someone.total("今月")).to_have_text("3時間00分")
    assert [row[-1] for row in someone.rows("最近の勤務記録")] == ["2時間00分", "1時間00分"]


def test_a_minute_ends_when_it_does_on_the_server(
    visit: Visit, employee: User, make_session: MakeSession
) -> None:
    make_session("2026-11-20 07:05:55")  # counted without its seconds; it is 09:02:10
    someone = visit(employee)
    someone.stop_the_clock()
    someone.open()

    someone.let_pass(minutes=0, seconds=40)
    expect(someone.total("今日")).to_have_text("1時間57分")
    someone.let_pass(minutes=0, seconds=12)
    expect(someone.total("今日")).to_have_text("1時間58分")


@pytest.fixture
def late(
    visit: Visit, employee: User, make_session: MakeSession, server_clock: time_machine.Traveller
) -> Person:
    """Somebody at work whose page is open while midnight comes."""
    server_clock.move_to(japan("2026-11-20 23:58:30"))
    make_session("2026-11-20 22:00")
    someone = visit(employee)
    someone.stop_the_clock()
    someone.open()
    someone.let_pass(minutes=1, seconds=10)
    expect(someone.total("今日")).to_have_text("1時間59分")
    server_clock.move_to(japan("2026-11-21 00:00:05"))
    return someone


def test_at_midnight_the_page_turns_to_the_new_day(late: Person) -> None:
    late.let_pass(minutes=0, seconds=30)

    expect(late.total("今日")).to_have_text("0時間00分")
    expect(late.total("今月")).to_have_text("2時間00分")
    expect(late.region("勤務中")).to_contain_text("11月20日(金) 22:00 から")


def test_without_a_network_the_page_stays_and_yesterday_is_not_counted_on(
    late: Person, server_clock: time_machine.Traveller
) -> None:
    late.context.set_offline(True)
    late.let_pass(minutes=3, seconds=0)
    expect(late.total("今日")).to_have_text("1時間59分")
    server_clock.move_to(japan("2026-11-21 00:03:05"))

    late.context.set_offline(False)

    expect(late.total("今日")).to_have_text("0時間03分")


def test_midnight_does_not_stop_what_is_being_sent(late: Person) -> None:
    # A network so slow that nothing goes on: Chromium's time would stand still in a real navigation.
    late.page.evaluate("document.addEventListener('submit', event => event.preventDefault())")
    late.tap("退勤")

    late.let_pass(minutes=3, seconds=0)

    expect(late.total("今日")).to_have_text("1時間59分")


def test_the_running_minutes_keep_the_language(
    visit: Visit, employee: User, make_session: MakeSession
) -> None:
    make_session("2026-11-20 07:05")
    someone = visit(employee, locale="en")
    someone.stop_the_clock()
    someone.open()
    expect(someone.total("Today")).to_have_text("1 h 57 m")

    someone.let_pass(minutes=1, seconds=5)

    expect(someone.total("Today")).to_have_text("1 h 58 m")


def test_what_has_ended_does_not_go_on(visit: Visit, employee: User, make_session: MakeSession) -> None:
    make_session("2026-11-20 07:05", "2026-11-20 08:05")
    someone = visit(employee)
    someone.stop_the_clock()
    someone.open()

    someone.let_pass(minutes=2, seconds=5)

    expect(someone.total("今日")).to_have_text("1時間00分")
    assert [row[-1] for row in someone.rows("最近の勤務記録")] == ["1時間00分"]
