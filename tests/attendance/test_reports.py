import datetime as dt

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from attendance.models import NO_SESSION, WorkSession
from attendance.reports import DAYS_SHOWN, ClockState, DaySummary, SessionLine, employee_page
from tenants import scope
from tenants.models import Tenant
from tenants.scope import Door, Reach, Scope
from tests.conftest import MakeSession, MakeUser, japan
from tests.plans import most_rows_read, works_daily

NOW = japan("2026-11-20 12:00:30")
FULL_DAY = 24 * 60


def date(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def counted(user: User, now: dt.datetime = NOW) -> dict[str, int]:
    """The days shown that have minutes, the latest first."""
    return {day.date.isoformat(): day.minutes for day in employee_page(user, now).days if day.minutes}


def running_days(user: User, now: dt.datetime = NOW) -> list[str]:
    return [day.date.isoformat() for day in employee_page(user, now).days if day.is_running]


class TestWithoutSessions:
    def test_everything_is_nothing(self, employee: User) -> None:
        page = employee_page(employee, NOW)
        assert page.state == ClockState(NOW, None)
        assert (page.state.at_work, page.state.seen, page.state.minutes) == (False, NO_SESSION, 0)
        assert page.today == DaySummary(date("2026-11-20"), 0, is_running=False)
        assert (page.month_minutes, page.sessions) == (0, [])

    def test_the_last_thirty_days_the_latest_first(self, employee: User) -> None:
        days = [day.date for day in employee_page(employee, NOW).days]
        assert len(days) == DAYS_SHOWN == 30
        assert (days[0], days[-1]) == (date("2026-11-20"), date("2026-10-22"))
        assert days == sorted(days, reverse=True)


class TestToday:
    def test_ended_and_running_sessions_add_up(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-20 08:00:59", "2026-11-20 09:30:01")
        running = make_session("2026-11-20 10:00")
        page = employee_page(employee, NOW)
        assert (
            page.today
            == page.days[0]
            == DaySummary(date("2026-11-20"), 90 + 120, is_running=True, is_corrected=True)
        )
        assert page.month_minutes == 210
        assert (page.state.last, page.state.at_work, page.state.seen) == (running, True, running.pk)
        assert page.state.minutes == 120

    def test_the_tenants_midnight_turns_the_day(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-20 22:30")
        before = employee_page(employee, japan("2026-11-20 23:59:59.999999"))
        after = employee_page(employee, japan("2026-11-21 00:00:00"))
        assert before.today == DaySummary(date("2026-11-20"), 89, is_running=True, is_corrected=True)
        assert after.today == DaySummary(date("2026-11-21"), 0, is_running=True)
        assert after.days[1] == DaySummary(date("2026-11-20"), 90, is_running=True, is_corrected=True)

    def test_a_start_that_another_servers_clock_put_ahead_counts_nothing_yet(
        self, employee: User, make_session: MakeSession
    ) -> None:
        make_session("2026-11-20 12:00:33")
        page = employee_page(employee, NOW)
        assert (page.state.at_work, page.state.minutes, page.today.minutes) == (True, 0, 0)
        assert [line.minutes for line in page.sessions] == [0]

    def test_days_begin_in_the_tenants_zone(self, make_user: MakeUser, make_session: MakeSession) -> None:
        new_york = make_user(tenant=Tenant.objects.create(time_zone="America/New_York"))
        make_session("2026-11-20 11:00", "2026-11-20 15:00", user=new_york)  # 21:00 to 01:00 there
        page = employee_page(new_york, japan("2026-11-20 16:00"))
        assert page.today == DaySummary(date("2026-11-20"), 60, is_running=False, is_corrected=True)
        assert page.days[1] == DaySummary(date("2026-11-19"), 180, is_running=False, is_corrected=True)

    def test_without_a_tenant_days_begin_in_japan(
        self, make_user: MakeUser, make_session: MakeSession
    ) -> None:
        alone = make_user(tenant=None)
        make_session("2026-11-19 23:00", "2026-11-20 01:00", user=alone)
        assert counted(alone) == {"2026-11-20": 60, "2026-11-19": 60}


class TestSessionsThatReachIn:
    def test_one_that_has_run_since_before_the_days_shown(
        self, employee: User, make_session: MakeSession
    ) -> None:
        running = make_session("2026-10-01 18:00")
        page = employee_page(employee, NOW)
        assert [day.minutes for day in page.days] == [720] + [FULL_DAY] * 29
        assert all(day.is_running for day in page.days)
        assert page.month_minutes == 19 * FULL_DAY + 720
        assert page.state.minutes == 50 * FULL_DAY - 6 * 60
        assert (page.state.last, page.sessions[0].minutes) == (running, page.state.minutes)

    def test_one_that_spans_the_months_start(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-10-31 22:00", "2026-11-01 06:30")
        assert counted(employee) == {"2026-11-01": 390, "2026-10-31": 120}
        assert employee_page(employee, NOW).month_minutes == 390

    def test_one_that_runs_across_the_months_start(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-30 22:00")
        page = employee_page(employee, japan("2026-12-01 00:30"))
        assert (page.month_minutes, page.today.minutes, page.state.minutes) == (30, 30, 150)
        assert running_days(employee, japan("2026-12-01 00:30")) == ["2026-12-01", "2026-11-30"]

    def test_one_that_spans_the_first_day_shown(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-10-21 23:00", "2026-10-22 01:00")
        make_session("2026-10-20 09:00", "2026-10-20 17:00")
        assert counted(employee) == {"2026-10-22": 60}

    def test_one_of_centuries_fills_the_days_shown(self, employee: User, make_session: MakeSession) -> None:
        make_session("0999-01-01 00:00", "8999-01-01 00:00")
        page = employee_page(employee, NOW)
        assert {day.minutes for day in page.days} == {FULL_DAY}
        assert page.month_minutes == 30 * FULL_DAY

    def test_one_that_takes_no_time_does_not_hide_it(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-10-20 09:00", "2026-10-22 05:00")
        make_session("2026-10-21 10:00", "2026-10-21 10:00")
        make_session("2026-10-21 11:00", end_unknown=True)
        assert counted(employee) == {"2026-10-22": 300}

    def test_on_the_31st_the_month_is_longer_than_the_days_shown(
        self, employee: User, make_session: MakeSession
    ) -> None:
        make_session("2026-01-01 09:00", "2026-01-01 10:00")
        make_session("2026-01-01 11:00", "2026-01-01 13:00")
        make_session("2025-12-31 09:00", "2025-12-31 12:00")
        page = employee_page(employee, japan("2026-01-31 12:00"))
        assert page.days[-1].date == date("2026-01-02")
        assert page.month_minutes == 180

    def test_the_same_month_of_another_year_is_another_month(
        self, employee: User, make_session: MakeSession
    ) -> None:
        make_session("2025-11-10 09:00", "2025-11-10 10:00")
        make_session("2025-11-20 09:00")
        page = employee_page(employee, NOW)
        assert page.month_minutes == 19 * FULL_DAY + 720

    def test_an_entry_ahead_of_now_is_no_part_of_today(
        self, employee: User, make_session: MakeSession
    ) -> None:
        make_session("2026-11-21 09:00", "2026-11-21 10:00")
        page = employee_page(employee, NOW)
        assert (counted(employee), page.today.minutes) == ({}, 0)


class TestUnknownEnds:
    def test_they_count_nothing_and_are_not_running(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-18 09:00", "2026-11-18 10:00")
        forgotten = make_session("2026-11-19 09:00", end_unknown=True)
        page = employee_page(employee, NOW)
        assert counted(employee) == {"2026-11-18": 60}
        assert (page.month_minutes, page.state.at_work, page.state.minutes) == (60, False, 0)
        assert (page.state.last, page.state.seen) == (forgotten, forgotten.pk)
        assert running_days(employee) == []
        assert page.sessions[0] == SessionLine(
            forgotten.pk,
            forgotten.start_time,
            None,
            minutes=0,
            is_running=False,
            end_unknown=True,
            is_corrected=True,
        )

    def test_the_running_one_is_the_state_even_if_another_started_later(
        self, employee: User, make_session: MakeSession
    ) -> None:
        running = make_session("2026-11-20 09:00")
        make_session("2026-11-20 10:00", end_unknown=True)
        page = employee_page(employee, NOW)
        assert (page.state.last, page.today.minutes) == (running, 180)


class TestLastSessions:
    def test_ten_the_latest_first(self, employee: User, make_session: MakeSession) -> None:
        made = [
            make_session(f"2026-11-{day:02} 09:00", f"2026-11-{day:02} 09:{day:02}") for day in range(1, 13)
        ]
        assert employee_page(employee, NOW).sessions == [
            SessionLine(
                s.pk,
                s.start_time,
                s.end_time,
                minutes=n,
                is_running=False,
                end_unknown=False,
                is_corrected=True,
            )
            for n, s in reversed(list(enumerate(made[2:], start=3)))
        ]

    def test_of_two_that_start_together_the_one_made_later_comes_first(
        self, employee: User, make_session: MakeSession
    ) -> None:
        make_session("2026-11-20 09:00", "2026-11-20 09:00")
        make_session("2026-11-20 09:00", "2026-11-20 10:00")
        page = employee_page(employee, NOW)
        assert [line.minutes for line in page.sessions] == [60, 0]
        assert page.state.last == WorkSession.objects.latest("pk")

    def test_old_ones_are_shown_too(self, employee: User, make_session: MakeSession) -> None:
        make_session("2019-05-01 09:00", "2019-05-01 10:00")
        page = employee_page(employee, NOW)
        assert ([line.minutes for line in page.sessions], page.month_minutes) == ([60], 0)


def test_nobody_elses_sessions(
    employee: User, make_user: MakeUser, other_tenant: Tenant, make_session: MakeSession
) -> None:
    make_session("2026-11-20 07:00", user=make_user())
    make_session("2026-11-20 08:00", "2026-11-20 11:00", user=make_user(tenant=other_tenant))
    mine = make_session("2026-11-20 11:30", "2026-11-20 11:40")
    page = employee_page(employee, NOW)
    assert page.state.last == mine
    assert (page.today.minutes, page.month_minutes, len(page.sessions)) == (10, 10, 1)


@pytest.mark.parametrize(("history", "queries"), [(0, 3), (1, 3), (8, 3), (40, 2), (400, 2)])
@pytest.mark.parametrize("at_work", [False, True])
def test_three_queries_whatever_the_history_and_two_for_who_works_every_day(
    employee: User,
    django_assert_num_queries: DjangoAssertNumQueries,
    history: int,
    queries: int,
    at_work: bool,
) -> None:
    works_daily(employee, history, NOW - dt.timedelta(days=2))
    if at_work:
        WorkSession.objects.create(user=employee, start_time=NOW - dt.timedelta(hours=1))
    with django_assert_num_queries(queries):
        page = employee_page(employee, NOW)
    assert page.state.at_work is at_work
    assert page.today.minutes == 60 * at_work


@pytest.mark.parametrize("reach", [Reach.OWN, Reach.TENANT])
def test_the_page_reads_no_history(tenant: Tenant, employee: User, reach: Reach) -> None:
    """A page, and a correction: under row-level security, which keeps some conditions out of an index."""
    since = japan("2026-11-01 00:00")
    works_daily(employee, 1500, japan("2026-11-05 09:00"))
    asks = Scope(reach=reach, door=Door.CLOCK, tenant=tenant.pk, user=employee.pk)
    with scope.enter(asks):
        reaching = WorkSession.objects.of(employee).reaching_into(since).newest_first()
        assert reaching.count() == 6  # of the month, and the last before it
        query, parameters = reaching.query.sql_with_params()
        assert most_rows_read(query, parameters, "work_sessions") <= 6


@pytest.mark.parametrize(
    ("day", "is_weekend"),
    [("2026-11-20", False), ("2026-11-21", True), ("2026-11-22", True), ("2026-11-23", False)],
)
def test_weekends(day: str, is_weekend: bool) -> None:
    assert DaySummary(date(day), 0, is_running=False).is_weekend is is_weekend
