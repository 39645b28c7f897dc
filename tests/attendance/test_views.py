import datetime as dt
from collections.abc import Callable

import pytest
import time_machine
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Session, User, UserStatus
from attendance.models import WorkSession
from tenants.models import Tenant, TenantStatus
from tests.conftest import PASSWORD, MakeSession, MakeUser, japan
from tests.html import Page, ja, text_of

HOME, CLOCK_IN, CLOCK_OUT, SIGN_IN, SIGN_OUT, LANGUAGE = (
    "/", "/clock-in", "/clock-out", "/sign-in", "/sign-out", "/language",
)  # fmt: skip
ALL = [HOME, CLOCK_IN, CLOCK_OUT, SIGN_IN, SIGN_OUT, LANGUAGE]
PUNCHES = [CLOCK_IN, CLOCK_OUT]
STALE = "The page was out of date, so nothing was changed. This is how things stand now."
WAITS = (
    "Your punch is not recorded yet, because you were signed out. Sign in, and you will be asked once more."
)
ALONE = (
    "Your account belongs to no company yet. You can read your records here; to clock in, please ask your "
    "administrator."
)
ALONE_REFUSED = (
    "Your account belongs to no company yet, so nothing was recorded. Please ask your administrator."
)
TAKEN = "A record for this time exists already, so nothing was changed. Please ask your administrator."
CAME, WENT = "Clocked in at %(time)s.", "Clocked out at %(time)s. Thank you."
THERE = "You have been at work since %(time)s. Nothing was changed."
GONE = "You already clocked out at %(time)s. Nothing was changed."
OFF = "You are off the clock. Nothing was changed."
HURRIED_OUT = "You clocked in less than a minute ago. Did you mean to clock out already?"
HURRIED_IN = "You clocked out less than a minute ago. Did you mean to clock in again?"
NOT_YET = "Nothing has been recorded yet. The time of your answer will be recorded."
EXPIRED = "This form was open for too long"
NOT_COUNTED = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK", "SET LOCAL timerecord.scope")

Situation = Callable[[MakeSession], WorkSession | None]
SITUATIONS: dict[str, Situation] = {
    "new": lambda make: None,
    "off the clock": lambda make: make("2026-11-20 08:00", "2026-11-20 11:00"),
    "at work": lambda make: make("2026-11-20 09:02"),
    "end unknown": lambda make: make("2026-11-19 09:00", end_unknown=True),
}


@pytest.fixture(autouse=True)
def noon(time_machine: time_machine.TimeMachineFixture) -> None:
    """Stop the clock before anybody signs in."""
    time_machine.move_to(japan("2026-11-20 12:00:30"), tick=False)


@pytest.fixture(params=SITUATIONS)
def last(request: pytest.FixtureRequest, make_session: MakeSession) -> WorkSession | None:
    return SITUATIONS[request.param](make_session)


@pytest.fixture
def english_client(employee_client: Client) -> Client:
    employee_client.defaults["HTTP_ACCEPT_LANGUAGE"] = "en"
    return employee_client


def at(clock: str) -> time_machine.travel:
    return time_machine.travel(japan(clock), tick=False)


def page(client: Client, path: str = HOME) -> Page:
    response = client.get(path)
    assert response.status_code == 200
    return Page(response)


def unmarked(rows: list[list[str]]) -> list[list[str]]:
    """Return them without the mark of what was made by a test, and so not by the clock."""
    return [
        [cell.removesuffix(f" {ja('corrected')}").removesuffix(" corrected") for cell in row] for row in rows
    ]


def punch(client: Client, path: str, seen: object, **data: object) -> Page:
    """Send a punch, see that it was answered by a redirect, and follow it."""
    response = client.post(path, {"seen": seen, **data})
    assert response.status_code == 303
    return page(client, response["Location"])


def everything() -> list[tuple[object, ...]]:
    """What the database holds, but for sessions of browsers."""
    tables = ["tenants", "users", "role_codes", "password_resets", "work_sessions"]
    with connection.cursor() as cursor:
        rows: list[tuple[object, ...]] = []
        for table in tables:
            cursor.execute(f"SELECT to_jsonb({table}) FROM {table} ORDER BY id")
            rows += cursor.fetchall()
    return rows


def counted(client: Client, method: str, path: str, data: dict[str, object] | None = None) -> list[str]:
    """Return the statements of a request that the budget counts."""
    with CaptureQueriesContext(connection) as queries:
        getattr(client, method)(path, data)
    return [q["sql"] for q in queries if not q["sql"].startswith(NOT_COUNTED)]


class TestHome:
    def test_of_somebody_new(self, employee_client: Client) -> None:
        home = page(employee_client)
        assert (home.heading, home.state) == ("勤務外", ja("Have a good day"))
        assert (home.punch.get("action"), home.seen, text_of(home.button)) == (CLOCK_IN, "0", "出勤")
        assert home.totals == ["0時間00分", "0時間00分"]
        assert home.table("sessions") == []
        assert ja("Nothing is recorded yet. Your first clock-in will appear here.") in home.html

    def test_at_work(self, employee_client: Client, make_session: MakeSession) -> None:
        make_session("2026-11-19 09:00", "2026-11-19 18:00")
        running = make_session("2026-11-20 09:02:59")
        home = page(employee_client)
        assert (home.heading, home.state) == ("勤務中", "09:02 から 2時間58分")
        assert (home.punch.get("action"), home.seen, text_of(home.button)) == (
            CLOCK_OUT, str(running.pk), "退勤",
        )  # fmt: skip
        assert home.totals == ["2時間58分", "11時間58分"]
        assert unmarked(home.table("sessions")) == [
            ["11月20日(金)", "09:02", "勤務中", "2時間58分"],
            ["11月19日(木)", "09:00", "18:00", "9時間00分"],
        ]

    def test_off_the_clock(self, employee_client: Client, make_session: MakeSession) -> None:
        ended = make_session("2026-11-20 08:00", "2026-11-20 11:30")
        home = page(employee_client)
        assert (home.heading, home.state) == ("勤務外", "11:30 に退勤")
        assert (home.punch.get("action"), home.seen, text_of(home.button)) == (
            CLOCK_IN, str(ended.pk), "出勤",
        )  # fmt: skip
        assert home.totals == ["3時間30分", "3時間30分"]

    def test_in_english(self, english_client: Client, make_session: MakeSession) -> None:
        make_session("2026-11-20 09:02")
        home = page(english_client)
        assert (home.language, home.heading, home.state) == ("en", "At work", "since 09:02 2 h 58 m")
        assert text_of(home.button) == "Clock out"
        assert unmarked(home.table("sessions")) == [["Fri 20 Nov", "09:02", "at work", "2 h 58 m"]]

    def test_a_session_overnight_says_that_it_ended_the_next_day(
        self, employee_client: Client, make_session: MakeSession
    ) -> None:
        make_session("2026-11-18 22:00", "2026-11-19 06:00")
        home = page(employee_client)
        assert home.state == "11月19日(木) 06:00 に退勤"
        assert unmarked(home.table("sessions")) == [["11月18日(水)", "22:00", "翌 06:00", "8時間00分"]]
        assert [row for row in unmarked(home.table("days")) if row[1] != "–"] == [
            ["11月19日(木)", "6時間00分"],
            ["11月18日(水)", "2時間00分"],
        ]

    def test_since_yesterday_names_the_day(self, employee_client: Client, make_session: MakeSession) -> None:
        make_session("2026-11-19 22:00")
        home = page(employee_client)
        assert home.state == "11月19日(木) 22:00 から 14時間00分"
        assert home.totals == ["12時間00分", "14時間00分"]
        assert unmarked(home.table("days"))[:2] == [
            ["11月20日(金)", "勤務中 12時間00分"],
            ["11月19日(木)", "勤務中 2時間00分"],
        ]

    def test_a_forgotten_clock_out_shows_no_minutes(
        self, employee_client: Client, make_session: MakeSession
    ) -> None:
        make_session("2026-11-19 09:00", end_unknown=True)
        home = page(employee_client)
        assert home.heading == "勤務外"
        assert unmarked(home.table("sessions")) == [["11月19日(木)", "09:00", "打刻漏れ", ""]]
        assert home.totals == ["0時間00分", "0時間00分"]

    def test_thirty_days_and_ten_sessions(self, employee_client: Client, make_session: MakeSession) -> None:
        for day in range(1, 16):
            make_session(f"2026-11-{day:02} 09:00", f"2026-11-{day:02} 10:00")
        home = page(employee_client)
        assert [row[0] for row in unmarked(home.table("sessions"))] == [
            f"11月{day}日({weekday})"
            for day, weekday in zip(range(15, 5, -1), "日土金木水火月日土金", strict=True)
        ]
        assert len(unmarked(home.table("days"))) == 30
        assert unmarked(home.table("days"))[-1] == ["10月22日(木)", "–"]
        assert home.totals == ["0時間00分", "15時間00分"]

    def test_the_day_changes_at_the_tenants_midnight(
        self, employee_client: Client, make_session: MakeSession
    ) -> None:
        make_session("2026-11-20 14:00", "2026-11-20 20:00")
        with at("2026-11-20 23:59:59"):
            assert page(employee_client).totals == ["6時間00分", "6時間00分"]
        with at("2026-11-21 00:00"):
            home = page(employee_client)
        assert home.totals == ["0時間00分", "6時間00分"]
        assert home.state == "11月20日(金) 20:00 に退勤"

    def test_nobody_elses_sessions(
        self,
        employee_client: Client,
        make_user: MakeUser,
        other_tenant: Tenant,
        make_session: MakeSession,
    ) -> None:
        make_session("2026-11-20 07:07", user=make_user())
        make_session("2026-11-20 06:06", "2026-11-20 11:11", user=make_user(tenant=other_tenant))
        make_session("2026-11-20 05:05", "2026-11-20 05:15", user=make_user(tenant=None))
        mine = make_session("2026-11-20 10:10", "2026-11-20 10:20")
        home = page(employee_client)
        assert unmarked(home.table("sessions")) == [["11月20日(金)", "10:10", "10:20", "0時間10分"]]
        assert (home.heading, home.seen, home.totals) == ("勤務外", str(mine.pk), ["0時間10分"] * 2)

    def test_a_name_is_text(self, client: Client, make_user: MakeUser) -> None:
        client.force_login(make_user(last_name="<script>alert(1)</script>", first_name="&amp;"))
        home = page(client)
        assert (
            home.text(".//a[@class='who']")
            == ja("Your account, signed in as") + " <script>alert(1)</script> &amp;"
        )
        assert "<script>alert" not in home.html


class TestPunching:
    def test_in_and_out_again(self, employee_client: Client, employee: User) -> None:
        with at("2026-11-20 09:02:10.5"):
            home = punch(employee_client, CLOCK_IN, page(employee_client).seen)
            assert home.messages == [ja(CAME, time="09:02")]
            assert home.heading == "勤務中"
        home = punch(employee_client, CLOCK_OUT, home.seen)
        assert home.messages == [ja(WENT, time="12:00")]
        assert (home.heading, home.totals) == ("勤務外", ["2時間58分", "2時間58分"])
        session = WorkSession.objects.get()
        assert (session.user, session.start_time, session.end_time) == (
            employee, japan("2026-11-20 09:02:10.5"), japan("2026-11-20 12:00:30"),
        )  # fmt: skip
        assert page(employee_client).messages == []

    def test_in_english(self, english_client: Client, make_session: MakeSession) -> None:
        running = make_session("2026-11-19 22:00")
        assert punch(english_client, CLOCK_IN, running.pk).messages == [
            "You have been at work since Thu 19 Nov 22:00. Nothing was changed."
        ]
        assert punch(english_client, CLOCK_OUT, running.pk).messages == ["Clocked out at 12:00. Thank you."]
        with at("2026-11-20 12:10"):
            assert punch(english_client, CLOCK_OUT, running.pk).messages == [
                "You already clocked out at 12:00. Nothing was changed."
            ]
            assert punch(english_client, CLOCK_IN, 0).messages == [
                "The page was out of date, so nothing was changed. This is how things stand now."
            ]
            assert punch(english_client, CLOCK_IN, running.pk).messages == ["Clocked in at 12:10."]

    @pytest.mark.parametrize(
        ("situation", "path", "answer", "time"),
        [
            ("at work", CLOCK_IN, THERE, "09:02"),
            ("off the clock", CLOCK_OUT, GONE, "11:00"),
            ("new", CLOCK_OUT, OFF, ""),
            ("end unknown", CLOCK_OUT, OFF, ""),
        ],
    )
    def test_what_is_so_already_is_said_kindly(
        self,
        employee_client: Client,
        make_session: MakeSession,
        situation: str,
        path: str,
        answer: str,
        time: str,
    ) -> None:
        SITUATIONS[situation](make_session)
        before = everything()
        home = punch(employee_client, path, page(employee_client).seen)
        assert home.messages == [ja(answer, time=time)]
        assert everything() == before

    @pytest.mark.parametrize(
        "seen",
        ["", "abc", "-1", "1.5", "0x10", "None", "9" * 30, "9" * 5000, "\x00", "٣", "'; DROP TABLE users --"],
        ids=lambda seen: ascii(seen)[:12],
    )
    @pytest.mark.parametrize(
        ("situation", "path"), [("new", CLOCK_IN), ("off the clock", CLOCK_IN), ("at work", CLOCK_OUT)]
    )
    def test_a_page_that_cannot_have_shown_this_is_out_of_date(
        self, employee_client: Client, make_session: MakeSession, situation: str, path: str, seen: str
    ) -> None:
        SITUATIONS[situation](make_session)
        before = everything()
        home = punch(employee_client, path, seen, confirmed="yes")
        assert home.messages == [ja(STALE)]
        assert everything() == before

    @pytest.mark.parametrize(
        ("situation", "path"), [("new", CLOCK_IN), ("off the clock", CLOCK_IN), ("at work", CLOCK_OUT)]
    )
    def test_a_form_without_its_state_is_out_of_date(
        self, employee_client: Client, make_session: MakeSession, situation: str, path: str
    ) -> None:
        SITUATIONS[situation](make_session)
        before = everything()
        response = employee_client.post(path)
        assert page(employee_client, response["Location"]).messages == [ja(STALE)]
        assert everything() == before

    def test_a_retry_of_clock_in_after_the_clock_out(
        self, employee_client: Client, make_session: MakeSession
    ) -> None:
        make_session("2026-11-20 09:00", "2026-11-20 11:00")
        before = everything()
        home = punch(employee_client, CLOCK_IN, "0")
        assert (home.messages, home.heading) == ([ja(STALE)], "勤務外")
        assert everything() == before

    def test_time_that_is_taken_is_refused_kindly(
        self, employee_client: Client, make_session: MakeSession
    ) -> None:
        planned = make_session("2026-11-20 13:00", "2026-11-20 14:00")
        before = everything()
        home = punch(employee_client, CLOCK_IN, planned.pk)
        assert home.messages == [ja(TAKEN)]
        assert everything() == before

    def test_nobody_can_punch_for_another(
        self, employee_client: Client, make_user: MakeUser, make_session: MakeSession
    ) -> None:
        theirs = make_session("2026-11-20 09:00", user=make_user())
        before = everything()
        home = punch(employee_client, CLOCK_OUT, theirs.pk, user=theirs.user_id, confirmed="yes")
        assert home.messages == [ja(OFF)]
        assert everything() == before

    def test_the_time_is_the_servers(self, employee_client: Client) -> None:
        punch(employee_client, CLOCK_IN, 0, start_time="2020-01-01T00:00", time="00:00")
        assert WorkSession.objects.get().start_time == japan("2026-11-20 12:00:30")


class TestSecondTap:
    def test_out_right_after_in_is_asked_and_not_done(self, employee_client: Client) -> None:
        home = punch(employee_client, CLOCK_IN, 0)
        before = everything()
        question = punch(employee_client, CLOCK_OUT, home.seen)
        assert everything() == before
        assert (question.heading, question.state) == ("退勤しますか？", "12:00 から勤務中")
        assert question.notes == [ja(HURRIED_OUT)]
        (safe,) = question.all(".//a[@class='punch safe']")
        assert (safe.get("href"), text_of(safe)) == (HOME, ja("No, stay at work"))
        assert text_of(question.button) == ja("Yes, clock out now")
        home = punch(employee_client, CLOCK_OUT, question.seen, confirmed="yes")
        assert home.messages == [ja(WENT, time="12:00")]

    def test_in_right_after_out_is_asked_and_not_done(
        self, employee_client: Client, make_session: MakeSession
    ) -> None:
        ended = make_session("2026-11-20 09:00", "2026-11-20 12:00:10")
        before = everything()
        question = punch(employee_client, CLOCK_IN, ended.pk)
        assert everything() == before
        assert (question.heading, question.state) == ("出勤しますか？", "12:00 に退勤済み")
        assert question.notes == [ja(HURRIED_IN)]
        assert text_of(question.button) == ja("Yes, clock in now")
        home = punch(employee_client, CLOCK_IN, question.seen, confirmed="yes")
        assert home.messages == [ja(CAME, time="12:00")]

    def test_a_tap_on_the_same_button_twice_changes_it_once(self, employee_client: Client) -> None:
        seen = page(employee_client).seen
        punch(employee_client, CLOCK_IN, seen)
        before = everything()
        assert punch(employee_client, CLOCK_IN, seen).messages == [ja(THERE, time="12:00")]
        assert everything() == before

    def test_a_question_that_is_answered_late_is_still_answered_by_the_state(
        self, employee_client: Client, make_session: MakeSession
    ) -> None:
        running = make_session("2026-11-20 12:00:10")
        question = punch(employee_client, CLOCK_OUT, running.pk)
        WorkSession.objects.update(end_time=japan("2026-11-20 12:00:20"))
        before = everything()
        with at("2026-11-20 12:30"):
            home = punch(employee_client, CLOCK_OUT, question.seen, confirmed="yes")
        assert home.messages == [ja(GONE, time="12:00")]
        assert everything() == before


class TestQuestion:
    @pytest.mark.parametrize(
        ("situation", "path", "heading", "state"),
        [
            ("new", CLOCK_IN, "出勤しますか？", "勤務外"),
            ("off the clock", CLOCK_IN, "出勤しますか？", "11:00 に退勤済み"),
            ("end unknown", CLOCK_IN, "出勤しますか？", "勤務外"),
            ("at work", CLOCK_OUT, "退勤しますか？", "09:02 から勤務中"),
        ],
    )
    def test_it_says_that_nothing_is_recorded_yet(
        self,
        employee_client: Client,
        make_session: MakeSession,
        situation: str,
        path: str,
        heading: str,
        state: str,
    ) -> None:
        session = SITUATIONS[situation](make_session)
        question = page(employee_client, path)
        assert (question.heading, question.state) == (heading, state)
        assert question.notes == [ja(NOT_YET)]
        assert question.seen == str(session.pk if session else 0)
        assert question.punch.get("action", path) == path

    @pytest.mark.parametrize(
        ("situation", "path"),
        [("at work", CLOCK_IN), ("new", CLOCK_OUT), ("off the clock", CLOCK_OUT), ("end unknown", CLOCK_OUT)],
    )
    def test_what_is_so_already_is_not_asked(
        self, employee_client: Client, make_session: MakeSession, situation: str, path: str
    ) -> None:
        SITUATIONS[situation](make_session)
        response = employee_client.get(path)
        assert (response.status_code, response["Location"]) == (302, HOME)

    def test_in_english(self, english_client: Client) -> None:
        question = page(english_client, CLOCK_IN)
        assert (question.language, question.heading) == ("en", "Clock in?")
        assert text_of(question.button) == "Yes, clock in now"


class TestWithoutTenant:
    @pytest.fixture
    def alone(self, client: Client, make_user: MakeUser) -> User:
        user = make_user(tenant=None)
        client.force_login(user)
        return user

    def test_the_button_is_off_and_the_page_says_why(self, client: Client, alone: User) -> None:
        home = page(client)
        assert "disabled" in home.button.attrib
        assert home.notes == [ja(ALONE)]

    def test_a_punch_is_refused_kindly(self, client: Client, alone: User) -> None:
        home = punch(client, CLOCK_IN, 0)
        assert home.messages == [ja(ALONE_REFUSED)]
        assert WorkSession.objects.count() == 0

    def test_nothing_is_asked(self, client: Client, alone: User) -> None:
        assert client.get(CLOCK_IN)["Location"] == HOME

    def test_who_is_at_work_can_end_it(self, client: Client, alone: User, make_session: MakeSession) -> None:
        make_session("2026-11-20 09:00", user=alone)
        home = page(client)
        assert "disabled" not in home.button.attrib
        assert punch(client, CLOCK_OUT, home.seen).heading == "勤務外"


class TestReadingChangesNothing:
    @pytest.mark.parametrize("method", ["get", "head", "options"])
    @pytest.mark.parametrize("path", ALL)
    def test_signed_in(
        self, employee_client: Client, last: WorkSession | None, path: str, method: str
    ) -> None:
        before = everything(), list(Session.objects.values_list())
        getattr(employee_client, method)(path, {"seen": last.pk if last else 0, "confirmed": "yes"})
        assert (everything(), list(Session.objects.values_list())) == before
        assert page(employee_client).messages == []  # and nobody was signed out

    @pytest.mark.parametrize("method", ["get", "head", "options"])
    @pytest.mark.parametrize("path", ALL)
    def test_as_a_stranger(self, client: Client, path: str, method: str, make_session: MakeSession) -> None:
        make_session("2026-11-20 09:00")
        before = everything()
        getattr(client, method)(path, {"seen": "0", "email": "employee1@example.com", "password": PASSWORD})
        assert everything() == before
        assert not Session.objects.exists()

    @pytest.mark.parametrize(
        ("path", "methods"),
        [
            (HOME, ["post", "put", "patch", "delete"]),
            (CLOCK_IN, ["put", "patch", "delete"]),
            (CLOCK_OUT, ["put", "patch", "delete"]),
            (SIGN_OUT, ["get", "head", "put", "patch", "delete"]),
        ],
    )
    def test_a_wrong_method_is_405(
        self, employee_client: Client, make_session: MakeSession, path: str, methods: list[str]
    ) -> None:
        make_session("2026-11-20 09:00")
        before = everything()
        assert {method: getattr(employee_client, method)(path).status_code for method in methods} == (
            dict.fromkeys(methods, 405)
        )
        assert everything() == before


class TestStrangers:
    @pytest.mark.parametrize("method", ["get", "post", "head"])
    @pytest.mark.parametrize("path", [HOME, CLOCK_IN, CLOCK_OUT])
    def test_are_led_to_the_sign_in_and_back(
        self, client: Client, make_session: MakeSession, path: str, method: str
    ) -> None:
        make_session("2026-11-20 09:00")
        before = everything()
        response = getattr(client, method)(path)
        assert (response.status_code, response["Location"]) == (302, f"{SIGN_IN}?next={path}")
        assert everything() == before

    @pytest.mark.parametrize(
        ("situation", "path", "heading", "answer"),
        [
            ("new", CLOCK_IN, "出勤しますか？", CAME),
            ("at work", CLOCK_OUT, "退勤しますか？", WENT),
        ],
    )
    def test_a_punch_whose_session_ran_out_comes_back_as_a_question(
        self,
        employee: User,
        employee_client: Client,
        make_session: MakeSession,
        situation: str,
        path: str,
        heading: str,
        answer: str,
    ) -> None:
        SITUATIONS[situation](make_session)
        seen = page(employee_client).seen
        before = everything()
        with at("2026-11-21 01:00"):  # more than SESSION_TTL_SECONDS later
            response = employee_client.post(path, {"seen": seen})
            assert response["Location"] == f"{SIGN_IN}?next={path}"
            sign_in = page(employee_client, response["Location"])
            assert sign_in.notes == [ja(WAITS)]
            response = employee_client.post(
                SIGN_IN, {"email": employee.email, "password": PASSWORD, "next": path}
            )
            assert response["Location"] == path
            question = page(employee_client, path)
            assert question.heading == heading
            assert everything() == before
            home = punch(employee_client, path, question.seen, confirmed="yes")
        assert home.messages == [ja(answer, time="01:00")]
        assert everything() != before

    def test_a_punch_is_announced_at_the_sign_in_only_where_one_waits(self, client: Client) -> None:
        assert page(client, f"{SIGN_IN}?next={CLOCK_IN}").notes == [ja(WAITS)]
        for following in ("", HOME, "/nowhere", f"https://evil.example{CLOCK_IN}"):
            assert page(client, f"{SIGN_IN}?next={following}").notes == []

    @pytest.mark.parametrize("who", ["user", "tenant"])
    def test_who_is_suspended_is_signed_out_at_once(
        self, employee: User, employee_client: Client, make_session: MakeSession, who: str
    ) -> None:
        running = make_session("2026-11-20 09:00")
        if who == "user":
            User.objects.update(status=UserStatus.SUSPENDED)
        else:
            Tenant.objects.update(status=TenantStatus.SUSPENDED)
        before = everything()
        assert employee_client.get(HOME)["Location"] == f"{SIGN_IN}?next=/"
        response = employee_client.post(CLOCK_OUT, {"seen": running.pk})
        assert response["Location"] == f"{SIGN_IN}?next={CLOCK_OUT}"
        assert everything() == before

    def test_another_tenants_suspension_is_nobody_elses(
        self, employee_client: Client, other_tenant: Tenant
    ) -> None:
        Tenant.objects.filter(pk=other_tenant.pk).update(status=TenantStatus.SUSPENDED)
        assert page(employee_client).heading == "勤務外"


class TestForgery:
    @pytest.fixture
    def strict(self, employee: User) -> Client:
        client = Client(enforce_csrf_checks=True)
        client.force_login(employee)
        return client

    @pytest.mark.parametrize("token", [None, "", "x" * 64, "短い"])
    @pytest.mark.parametrize(
        ("situation", "path", "heading"),
        [("new", CLOCK_IN, "出勤しますか？"), ("at work", CLOCK_OUT, "退勤しますか？")],
    )
    def test_a_punch_with_an_old_token_comes_back_as_a_question(
        self,
        strict: Client,
        make_session: MakeSession,
        situation: str,
        path: str,
        heading: str,
        token: str | None,
    ) -> None:
        SITUATIONS[situation](make_session)
        seen = page(strict).seen
        before = everything()
        data = {"seen": seen, "confirmed": "yes", **({"csrfmiddlewaretoken": token} if token else {})}
        response = strict.post(path, data)
        assert (response.status_code, response["Location"]) == (303, path)
        question = page(strict, path)
        assert question.heading == heading
        assert everything() == before
        punch(strict, path, question.seen, confirmed="yes", csrfmiddlewaretoken=question.csrf_token)
        assert everything() != before

    @pytest.mark.parametrize("path", [SIGN_IN, SIGN_OUT, LANGUAGE])
    @pytest.mark.parametrize("language", ["ja", "en"])
    def test_anything_else_is_403(self, strict: Client, path: str, language: str) -> None:
        heading = ja(EXPIRED) if language == "ja" else EXPIRED
        response = strict.post(path, {"language": "en"}, headers={"accept-language": language})
        assert response.status_code == 403
        assert (Page(response).language, Page(response).heading) == (language, heading)
        assert settings.LANGUAGE_COOKIE_NAME not in response.cookies
        assert page(strict).heading == "勤務外"  # still signed in

    def test_a_strangers_punch_ends_at_the_sign_in(self) -> None:
        client = Client(enforce_csrf_checks=True)
        response = client.post(CLOCK_IN, {"seen": 0}, follow=True)
        assert response.redirect_chain == [(CLOCK_IN, 303), (f"{SIGN_IN}?next={CLOCK_IN}", 302)]

    def test_every_form_carries_a_token(self, strict: Client) -> None:
        for path in (HOME, CLOCK_IN):
            forms = list(page(strict, path).root.iter("form"))
            assert [form.get("method") for form in forms] == ["post"] * 3
            assert all(form.find(".//input[@name='csrfmiddlewaretoken']") is not None for form in forms)


class TestBudget:
    """At most 5 statements for the page and 6 for a punch, whatever the history."""

    @pytest.mark.parametrize(("history", "statements"), [(0, 5), (3, 5), (3000, 4)])
    @pytest.mark.parametrize("at_work", [False, True])
    def test_the_page(
        self, employee: User, employee_client: Client, history: int, statements: int, at_work: bool
    ) -> None:
        first = timezone.now() - dt.timedelta(hours=12 * history + 1)
        WorkSession.objects.bulk_create(
            WorkSession(
                user=employee,
                start_time=first + dt.timedelta(hours=12 * n),
                end_time=first + dt.timedelta(hours=12 * n + 4),
            )
            for n in range(history)
        )
        if at_work:
            WorkSession.objects.create(user=employee, start_time=timezone.now())
        assert len(counted(employee_client, "get", HOME)) == statements

    @pytest.mark.parametrize(("path", "situation"), [(CLOCK_IN, "off the clock"), (CLOCK_OUT, "at work")])
    def test_the_question(
        self, employee_client: Client, make_session: MakeSession, path: str, situation: str
    ) -> None:
        SITUATIONS[situation](make_session)
        assert len(counted(employee_client, "get", path)) == 3

    @pytest.mark.parametrize(
        ("outcome", "start", "end", "path", "seen", "statements"),
        [
            ("CLOCKED_IN", "09:00", "11:00", CLOCK_IN, "last", 5),
            ("CLOCKED_IN, the first time", None, None, CLOCK_IN, 0, 5),
            ("CLOCKED_OUT", "09:00", None, CLOCK_OUT, "last", 5),
            ("ALREADY_IN", "09:00", None, CLOCK_IN, "last", 4),
            ("ALREADY_OUT", "09:00", "11:00", CLOCK_OUT, "last", 4),
            ("STALE in", "09:00", "11:00", CLOCK_IN, 0, 4),
            ("STALE out", "09:00", None, CLOCK_OUT, 0, 4),
            ("ASK in", "09:00", "12:00", CLOCK_IN, "last", 4),
            ("ASK out", "12:00", None, CLOCK_OUT, "last", 4),
            ("REFUSED in", "13:00", "14:00", CLOCK_IN, "last", 5),
            ("REFUSED out", "12:01", None, CLOCK_OUT, "last", 5),
        ],
    )
    def test_a_punch(
        self,
        employee_client: Client,
        make_session: MakeSession,
        outcome: str,
        start: str | None,
        end: str | None,
        path: str,
        seen: object,
        statements: int,
    ) -> None:
        if start:
            session = make_session(f"2026-11-20 {start}", f"2026-11-20 {end}" if end else None)
            seen = session.pk if seen == "last" else seen
        data: dict[str, object] = {"seen": seen}
        if outcome == "REFUSED out":
            data["confirmed"] = "yes"
        before = everything()
        assert len(counted(employee_client, "post", path, data)) == statements
        assert (everything() != before) is outcome.startswith("CLOCKED")


class TestTimeZones:
    def test_the_page_speaks_in_the_tenants_time(
        self, client: Client, make_user: MakeUser, make_session: MakeSession
    ) -> None:
        new_york = make_user(tenant=Tenant.objects.create(name="NY", time_zone="America/New_York"))
        client.force_login(new_york)
        make_session("2026-11-20 10:30", user=new_york)
        home = page(client)  # at 22:00 on the 19th
        assert home.state == "20:30 から 1時間30分"
        assert unmarked(home.table("sessions")) == [["11月19日(木)", "20:30", "勤務中", "1時間30分"]]
        assert unmarked(home.table("days"))[0] == ["11月19日(木)", "勤務中 1時間30分"]
        assert punch(client, CLOCK_OUT, home.seen).messages == [ja(WENT, time="22:00")]

    @pytest.mark.parametrize("wrong", ["", "Asia/Edo", "Asia", "../../etc/passwd", "x" * 64])
    def test_in_japans_where_the_tenants_is_none(
        self,
        employee_client: Client,
        make_session: MakeSession,
        tenant: Tenant,
        caplog: pytest.LogCaptureFixture,
        wrong: str,
    ) -> None:
        make_session("2026-11-20 09:02")
        Tenant.objects.update(time_zone=wrong)
        home = page(employee_client)
        assert home.state == "09:02 から 2時間58分"
        assert punch(employee_client, CLOCK_OUT, home.seen).messages == [ja(WENT, time="12:00")]
        logged = [record for record in caplog.records if record.name == "tenants.models"]
        assert {record.levelname for record in logged} == {"ERROR"}
        assert all(f"{tenant.tenant_uid} has the time zone {wrong!r}" in r.getMessage() for r in logged)

    def test_no_zone_stays_for_the_next_request(
        self, client: Client, make_user: MakeUser, make_session: MakeSession
    ) -> None:
        new_york = make_user(tenant=Tenant.objects.create(name="NY", time_zone="America/New_York"))
        client.force_login(new_york)
        page(client)
        assert timezone.get_current_timezone_name() == "UTC"
        client.get("/nowhere")
        assert timezone.get_current_timezone_name() == "UTC"
        in_japan = make_user()
        make_session("2026-11-20 09:02", user=in_japan)
        client.force_login(in_japan)
        assert page(client).state == "09:02 から 2時間58分"
        alone = make_user(tenant=None)
        make_session("2026-11-20 09:02", user=alone)
        client.force_login(new_york)
        page(client)
        client.force_login(alone)
        assert page(client).state == "09:02 から 2時間58分"


class TestLanguages:
    @pytest.mark.parametrize(
        ("accepted", "language"),
        [
            (None, "ja"),
            ("en", "en"),
            ("en-GB,en;q=0.8", "en"),
            ("de, en;q=0.5", "en"),
            ("fr", "ja"),
            ("ja", "ja"),
        ],
    )
    def test_the_browsers_wish_decides(
        self, employee_client: Client, accepted: str | None, language: str
    ) -> None:
        for path in (HOME, CLOCK_IN):
            response = employee_client.get(path, headers={"accept-language": accepted} if accepted else {})
            assert Page(response).language == response["Content-Language"] == language
            assert "Accept-Language" in response["Vary"]

    def test_a_choice_wins_and_leads_back(self, employee_client: Client) -> None:
        response = employee_client.post(LANGUAGE, {"language": "en", "next": CLOCK_IN})
        assert (response.status_code, response["Location"]) == (302, CLOCK_IN)
        cookie = response.cookies[settings.LANGUAGE_COOKIE_NAME]
        assert (cookie.value, cookie["max-age"], cookie["samesite"]) == ("en", 365 * 24 * 3600, "Lax")
        home = Page(employee_client.get(HOME, headers={"accept-language": "ja"}))
        assert (home.language, home.heading) == ("en", "Off the clock")
        employee_client.post(LANGUAGE, {"language": "ja", "next": HOME})
        assert Page(employee_client.get(HOME, headers={"accept-language": "en"})).language == "ja"

    def test_a_stranger_can_choose_too(self, client: Client) -> None:
        client.post(LANGUAGE, {"language": "en", "next": SIGN_IN})
        assert page(client, SIGN_IN).heading == "Sign in"

    def test_a_language_that_is_not_spoken_changes_nothing(self, employee_client: Client) -> None:
        response = employee_client.post(LANGUAGE, {"language": "xx", "next": HOME})
        assert settings.LANGUAGE_COOKIE_NAME not in response.cookies
        assert page(employee_client).language == "ja"

    @pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
    def test_it_leads_to_no_other_site(self, employee_client: Client, target: str) -> None:
        response = employee_client.post(LANGUAGE, {"language": "en", "next": target})
        assert response["Location"] == HOME
        response = employee_client.post(LANGUAGE, {"language": "en"}, headers={"referer": target})
        assert response["Location"] == HOME

    def test_both_languages_name_themselves(self, employee_client: Client) -> None:
        buttons = page(employee_client).all(".//form[@class='languages']/button")
        assert [(b.get("value"), text_of(b), b.get("aria-current")) for b in buttons] == [
            ("ja", "日本語", "true"),
            ("en", "English", None),
        ]


class TestHeaders:
    @pytest.fixture(params=["home", "question", "sign-in", "not found", "forgery"])
    def response(self, request: pytest.FixtureRequest, employee: User, make_session: MakeSession) -> object:
        client = Client(enforce_csrf_checks=True)
        if request.param != "sign-in":
            client.force_login(employee)
        if request.param == "home":
            make_session("2026-11-20 09:00")
        return {
            "home": lambda: client.get(HOME),
            "question": lambda: client.get(CLOCK_IN),
            "sign-in": lambda: client.get(SIGN_IN),
            "not found": lambda: client.get("/nowhere"),
            "forgery": lambda: client.post(SIGN_OUT),
        }[request.param]()

    def test_only_our_own_scripts_and_styles_run(self, response: dict[str, str]) -> None:
        policy = dict(part.strip().split(" ", 1) for part in response["Content-Security-Policy"].split(";"))
        assert policy == {
            "default-src": "'none'",
            "img-src": "'self' data:",
            "style-src": "'self'",
            "script-src": "'self'",
            "form-action": "'self'",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
        }

    def test_and_the_pages_hold_none_of_their_own(self, response: dict[str, str]) -> None:
        elements = list(Page(response).root.iter())
        assert [e for e in elements if e.tag == "style" or "style" in e.attrib] == []
        assert [e for e in elements if any(name.startswith("on") for name in e.attrib)] == []
        scripts = [
            (e.get("src", "").startswith("/static/"), text_of(e)) for e in elements if e.tag == "script"
        ]
        assert set(scripts) <= {(True, "")}
        assert [e for e in elements if e.get("href", "").startswith("javascript:")] == []

    def test_other_sites_learn_and_frame_nothing(self, response: dict[str, str]) -> None:
        assert response["X-Frame-Options"] == "DENY"
        assert response["Referrer-Policy"] == "same-origin"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Cross-Origin-Opener-Policy"] == "same-origin"

    @pytest.mark.parametrize("path", [HOME, CLOCK_IN, SIGN_IN])
    def test_no_page_about_a_person_is_kept(self, employee: User, path: str) -> None:
        client = Client()
        if path != SIGN_IN:
            client.force_login(employee)
        assert client.get(path)["Cache-Control"] == (
            "max-age=0, no-cache, no-store, must-revalidate, private"
        )

    @pytest.mark.parametrize("path", PUNCHES)
    def test_nor_the_answer_to_a_punch(self, employee_client: Client, path: str) -> None:
        assert "no-store" in employee_client.post(path, {"seen": 0})["Cache-Control"]
