"""When a punch cannot simply be recorded: it is asked about, explained, and never lost or doubled."""

import datetime as dt
from collections.abc import Callable

import pytest
import time_machine
from django.conf import settings
from playwright.sync_api import Route, expect

from accounts.models import User
from attendance.models import WorkSession
from tests.browser.pages import Visit
from tests.browser.person import Person
from tests.conftest import MakeSession, japan
from timerecord.core.sessions import driver, id_of

TOO_EARLY = "出勤してからまだ1分たっていません。もう退勤しますか？"
NOT_YET = "まだ記録されていません。「はい」を押した時刻が記録されます。"
SIGNED_OUT = (
    "ログアウトしているため、打刻はまだ記録されていません。"
    "ログインすると、打刻するかどうかをもう一度確認します。"
)


def sessions() -> list[tuple[dt.datetime, dt.datetime | None]]:
    return [(s.start_time, s.end_time) for s in WorkSession.objects.order_by("start_time")]


# --- too soon -----------------------------------------------------------------------------------------


def test_no_leaves_everything_as_it_is(visit: Visit, employee: User, make_session: MakeSession) -> None:
    make_session("2026-11-20 09:01:40")
    someone = visit(employee).open()
    someone.tap("退勤")
    someone.sees_heading("退勤しますか？")
    someone.sees(TOO_EARLY)

    someone.link("いいえ、勤務を続ける").click()

    someone.sees_heading("勤務中")
    assert sessions() == [(japan("2026-11-20 09:01:40"), None)]


def test_yes_records_it_at_the_time_of_the_answer(
    visit: Visit, employee: User, make_session: MakeSession, server_clock: time_machine.Traveller
) -> None:
    make_session("2026-11-20 09:01:40")
    someone = visit(employee).open()
    someone.tap("退勤")
    someone.sees_heading("退勤しますか？")
    server_clock.shift(dt.timedelta(seconds=9))

    someone.tap("はい、退勤する")

    someone.sees_heading("勤務外")
    someone.is_told("09:02 に退勤しました。お疲れさまでした。")
    assert sessions() == [(japan("2026-11-20 09:01:40"), japan("2026-11-20 09:02:19"))]


def test_after_a_minute_nobody_is_asked(visit: Visit, employee: User, make_session: MakeSession) -> None:
    make_session("2026-11-20 09:01:10")
    someone = visit(employee).open()

    someone.tap("退勤")

    someone.is_told("09:02 に退勤しました。お疲れさまでした。")


def test_clocking_in_again_so_soon_is_asked_about_too(
    visit: Visit, employee: User, make_session: MakeSession
) -> None:
    make_session("2026-11-20 08:00", "2026-11-20 09:02")
    someone = visit(employee).open()
    someone.tap("出勤")
    someone.sees_heading("出勤しますか？")
    someone.sees("退勤してからまだ1分たっていません。もう一度出勤しますか？")

    someone.tap("はい、出勤する")

    someone.sees_heading("勤務中")
    assert len(sessions()) == 2


# --- signed out meanwhile -----------------------------------------------------------------------------


def lose_the_cookie(someone: Person, clock: time_machine.Traveller) -> None:
    someone.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)


def lose_all_cookies(someone: Person, clock: time_machine.Traveller) -> None:
    someone.context.clear_cookies()


def end_the_session_on_the_server(someone: Person, clock: time_machine.Traveller) -> None:
    (key,) = (
        cookie["value"]
        for cookie in someone.context.cookies()
        if cookie["name"] == settings.SESSION_COOKIE_NAME
    )
    driver().remove(id_of(key))


def let_the_session_expire(someone: Person, clock: time_machine.Traveller) -> None:
    clock.shift(dt.timedelta(seconds=settings.SESSION_COOKIE_AGE + 1))


Loss = Callable[[Person, time_machine.Traveller], None]
every_loss = pytest.mark.parametrize(
    "lose", [lose_the_cookie, lose_all_cookies, end_the_session_on_the_server, let_the_session_expire]
)


@every_loss
def test_a_punch_of_who_was_signed_out_comes_back_as_a_question(
    visit: Visit, employee: User, server_clock: time_machine.Traveller, lose: Loss
) -> None:
    someone = visit(employee).open()
    lose(someone, server_clock)
    someone.tap("出勤")
    someone.sees_heading("ログイン")
    someone.sees(SIGNED_OUT)
    assert sessions() == []

    someone.fill_in_sign_in(employee.email)
    someone.sees_heading("出勤しますか？")
    someone.sees(NOT_YET)
    assert sessions() == []

    answered = dt.datetime.now(dt.UTC)
    someone.tap("はい、出勤する")
    someone.sees_heading("勤務中")
    assert sessions() == [(answered, None)]


def test_the_question_survives_a_wrong_password(
    visit: Visit, employee: User, make_session: MakeSession, server_clock: time_machine.Traveller
) -> None:
    make_session("2026-11-20 08:00")
    someone = visit(employee).open()
    lose_the_cookie(someone, server_clock)
    someone.tap("退勤")
    someone.sees(SIGNED_OUT)
    someone.fill_in_sign_in(employee.email, "not the password")
    expect(someone.page.get_by_role("alert")).to_be_visible()
    someone.sees(SIGNED_OUT)

    someone.fill_in_sign_in(employee.email)

    someone.sees_heading("退勤しますか？")
    someone.sees("08:00 から勤務中")
    someone.tap("はい、退勤する")
    someone.is_told("09:02 に退勤しました。お疲れさまでした。")


def test_the_question_can_be_answered_with_no(
    visit: Visit, employee: User, server_clock: time_machine.Traveller
) -> None:
    someone = visit(employee).open()
    lose_the_cookie(someone, server_clock)
    someone.tap("出勤")
    someone.sees_heading("ログイン")
    someone.fill_in_sign_in(employee.email)
    someone.sees_heading("出勤しますか？")

    someone.link("いいえ、出勤しない").click()

    someone.sees_heading("勤務外")
    assert sessions() == []


def test_a_token_that_does_not_fit_turns_the_punch_into_a_question(visit: Visit, employee: User) -> None:
    someone = visit(employee).open()
    someone.context.add_cookies([{"name": settings.CSRF_COOKIE_NAME, "value": "x" * 32, "url": someone.site}])
    someone.tap("出勤")
    someone.sees_heading("出勤しますか？")
    someone.sees(NOT_YET)
    assert sessions() == []

    someone.tap("はい、出勤する")

    someone.is_told("09:02 に出勤しました。")
    assert len(sessions()) == 1


# --- a page that shows what is no longer so -----------------------------------------------------------


def test_a_second_tab_is_told_that_the_first_clocked_in(
    visit: Visit, employee: User, server_clock: time_machine.Traveller
) -> None:
    first = visit(employee).open()
    second = first.in_new_tab().open()
    first.tap("出勤")
    first.sees_heading("勤務中")
    server_clock.shift(dt.timedelta(minutes=2))

    second.tap("出勤")

    second.is_told("すでに 09:02 から勤務中です。記録は変更されていません。")
    second.sees_heading("勤務中")
    assert sessions() == [(japan("2026-11-20 09:02:10"), None)]


def test_a_clock_in_that_arrives_after_the_clock_out_changes_nothing(
    visit: Visit, employee: User, server_clock: time_machine.Traveller
) -> None:
    late = visit(employee).open()
    first = late.in_new_tab().open()
    first.tap("出勤")
    first.sees_heading("勤務中")
    server_clock.shift(dt.timedelta(hours=1))
    first.tap("退勤")
    first.sees_heading("勤務外")
    server_clock.shift(dt.timedelta(hours=1))

    late.tap("出勤")

    late.is_told("画面の情報が古かったため、今回の打刻は記録されていません。現在の状態を表示しています。")
    late.sees_heading("勤務外")
    assert sessions() == [(japan("2026-11-20 09:02:10"), japan("2026-11-20 10:02:10"))]


def test_a_second_tab_is_told_that_the_first_clocked_out(
    visit: Visit, employee: User, make_session: MakeSession, server_clock: time_machine.Traveller
) -> None:
    make_session("2026-11-20 08:00")
    first = visit(employee).open()
    second = first.in_new_tab().open()
    first.tap("退勤")
    first.sees_heading("勤務外")
    server_clock.shift(dt.timedelta(minutes=2))

    second.tap("退勤")

    second.is_told("すでに 09:02 に退勤済みです。記録は変更されていません。")
    assert sessions() == [(japan("2026-11-20 08:00"), japan("2026-11-20 09:02:10"))]


def test_back_shows_the_present(visit: Visit, employee: User, server_clock: time_machine.Traveller) -> None:
    someone = visit(employee).open()
    someone.tap("出勤")
    someone.sees_heading("勤務中")
    server_clock.shift(dt.timedelta(minutes=2))

    someone.page.go_back()

    someone.sees_heading("勤務中")
    someone.tap("退勤")
    someone.is_told("09:04 に退勤しました。お疲れさまでした。")


def test_back_to_a_question_that_was_answered_records_nothing_more(
    visit: Visit, employee: User, make_session: MakeSession
) -> None:
    make_session("2026-11-20 09:02")
    someone = visit(employee).open()
    someone.tap("退勤")
    someone.sees_heading("退勤しますか？")
    someone.tap("はい、退勤する")
    someone.sees_heading("勤務外")
    recorded = sessions()

    someone.page.go_back()

    someone.sees_heading("勤務外")
    assert sessions() == recorded


# --- a network that fails -----------------------------------------------------------------------------


def lose_the_answer(route: Route) -> None:
    """Let the server do what it was asked for, and the browser hear nothing of it."""
    route.fetch(max_redirects=0)
    route.request.frame.page.context.clear_cookies(name="messages")  # it came with the answer
    route.abort()


@pytest.mark.parametrize("again", ["reload", "back"])
def test_a_punch_whose_answer_was_lost_is_recorded_once(
    visit: Visit, employee: User, server_clock: time_machine.Traveller, again: str
) -> None:
    someone = visit(employee).open()
    someone.page.route("**/clock-in", lose_the_answer)
    with someone.page.expect_event("requestfailed"):
        someone.tap("出勤")
    assert sessions() == [(japan("2026-11-20 09:02:10"), None)]
    someone.page.unroute("**/clock-in")
    server_clock.shift(dt.timedelta(minutes=3))

    if again == "reload":  # the browser sends the form a second time
        someone.page.reload()
        someone.is_told("すでに 09:02 から勤務中です。記録は変更されていません。")
    else:
        someone.page.go_back()

    someone.sees_heading("勤務中")
    assert sessions() == [(japan("2026-11-20 09:02:10"), None)]


def test_a_clock_out_whose_answer_was_lost_is_recorded_once(
    visit: Visit, employee: User, make_session: MakeSession, server_clock: time_machine.Traveller
) -> None:
    make_session("2026-11-20 08:00")
    someone = visit(employee).open()
    someone.page.route("**/clock-out", lose_the_answer)
    with someone.page.expect_event("requestfailed"):
        someone.tap("退勤")
    someone.page.unroute("**/clock-out")
    server_clock.shift(dt.timedelta(minutes=3))

    someone.page.reload()

    someone.is_told("すでに 09:02 に退勤済みです。記録は変更されていません。")
    assert sessions() == [(japan("2026-11-20 08:00"), japan("2026-11-20 09:02:10"))]


def test_a_punch_that_never_left_the_phone_can_be_sent_again(visit: Visit, employee: User) -> None:
    someone = visit(employee).open()
    someone.context.set_offline(True)
    with someone.page.expect_event("requestfailed"):
        someone.tap("出勤")
    assert sessions() == []
    someone.context.set_offline(False)

    someone.page.reload()

    someone.is_told("09:02 に出勤しました。")
    assert sessions() == [(japan("2026-11-20 09:02:10"), None)]
