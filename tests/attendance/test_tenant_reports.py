import datetime as dt
import zoneinfo
from typing import Any

import pytest
from django.db import transaction
from django.utils import translation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from accounts.models import Role, User, UserStatus
from attendance import calculations, tenant_reports
from attendance.models import WorkSession
from attendance.months import Month
from attendance.tenant_reports import (
    FORGOTTEN_AFTER,
    PAGE_SIZE,
    DayTotal,
    EmployeeLine,
    Part,
    Sort,
    State,
    TenantMonth,
    Totals,
    employee_lines,
    employee_month,
    employee_months,
    tenant_month,
)
from tenants import scope
from tenants.models import Tenant
from tenants.scope import Door, NoScopeError, Reach, Scope
from tests.attendance.test_calculations import CHANGES, utc
from tests.conftest import MakeSession, MakeUser, japan, own_scope
from tests.plans import most_rows_read, works_daily

NOVEMBER = Month(2026, 11)
NOW = japan("2026-11-20 12:00:30")  # a Friday
FULL_DAY = 24 * 60


def of_tenant(tenant: Tenant, user: User | None = None) -> Scope:
    return Scope(
        reach=Reach.TENANT, door=Door.ADMIN, tenant=tenant.pk, user=user.pk if user else -1, reason="why"
    )


def line_of(user: User, month: Month = NOVEMBER, now: dt.datetime = NOW) -> EmployeeLine:
    assert user.tenant
    (found,) = (line for line in employee_lines(user.tenant, month, now) if line.employee.pk == user.pk)
    return found


def worked(user: User, month: Month = NOVEMBER, now: dt.datetime = NOW) -> tuple[int, int]:
    """Days and minutes, which the list of everybody, the days' totals and the employee's month agree on."""
    assert user.tenant
    line, own = line_of(user, month, now), employee_month(user, month, now)
    days = tenant_month(user.tenant, month, now).days
    assert (line.days, line.minutes) == (own.days_worked, own.minutes)
    assert [day.minutes for day in days] == [day.minutes for day in own.days]
    return line.days, line.minutes


def by_date(page: TenantMonth) -> dict[str, tuple[int, int]]:
    """The minutes and people of the days that have any."""
    return {day.date.isoformat(): (day.minutes, day.people) for day in page.days if day.people}


class TestMinutes:
    def test_none(self, employee: User) -> None:
        assert worked(employee) == (0, 0)

    def test_seconds_are_lost_at_both_ends(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-10 09:00:59.999999", "2026-11-10 10:00:00")
        make_session("2026-11-10 10:30:00", "2026-11-10 10:30:59.999999")
        assert worked(employee) == (1, 60)

    def test_a_session_over_midnight_counts_on_two_days(
        self, employee: User, tenant: Tenant, make_session: MakeSession
    ) -> None:
        make_session("2026-11-10 22:00", "2026-11-11 06:30")
        assert worked(employee) == (2, 510)
        assert by_date(tenant_month(tenant, NOVEMBER, NOW)) == {
            "2026-11-10": (120, 1),
            "2026-11-11": (390, 1),
        }

    def test_one_that_ends_at_midnight_counts_on_one(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-10 22:00:30", "2026-11-11 00:00:45")
        assert worked(employee) == (1, 120)

    def test_the_months_edges_cut(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-10-31 22:00:30", "2026-11-01 06:30")
        make_session("2026-11-30 20:00", "2026-12-01 03:00")
        now = japan("2026-12-24 12:00")
        assert worked(employee, Month(2026, 10), now) == (1, 120)
        assert worked(employee, NOVEMBER, now) == (2, 390 + 240)
        assert worked(employee, Month(2026, 12), now) == (1, 180)

    def test_a_leap_day(self, employee: User, make_session: MakeSession) -> None:
        make_session("2028-02-28 23:00", "2028-03-01 01:00")
        assert worked(employee, Month(2028, 2), japan("2028-03-05 12:00")) == (2, 60 + FULL_DAY)
        assert worked(employee, Month(2028, 3), japan("2028-03-05 12:00")) == (1, 60)

    def test_one_of_centuries(self, employee: User, make_session: MakeSession) -> None:
        make_session("0999-01-01 00:00", "8999-01-01 00:00")
        make_session("0998-01-01 00:00", "0998-01-01 01:00")
        assert worked(employee) == (30, 30 * FULL_DAY)
        assert worked(employee, Month(998, 1)) == (1, 60)

    def test_what_takes_no_time_does_not_hide_one_that_reaches_in(
        self, employee: User, make_session: MakeSession
    ) -> None:
        make_session("2026-10-30 09:00", "2026-11-01 05:00")
        make_session("2026-10-31 10:00", "2026-10-31 10:00")
        make_session("2026-10-31 11:00", end_unknown=True)
        assert worked(employee) == (1, 300)
        assert line_of(employee).unknown_ends == 0

    def test_a_running_one_counts_up_to_now(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-19 23:00:45")
        assert worked(employee) == (2, 60 + 720)
        assert worked(employee, NOVEMBER, japan("2026-11-19 23:00:50")) == (0, 0)
        assert worked(employee, NOVEMBER, japan("2026-11-19 23:00:40")) == (0, 0)  # another server's clock
        assert worked(employee, Month(2026, 10)) == (0, 0)
        assert worked(employee, Month(2026, 12)) == (0, 0)

    def test_unknown_ends_count_none(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-10 09:00", end_unknown=True)
        make_session("2026-11-11 09:00", end_unknown=True)
        assert worked(employee) == (0, 0)
        assert line_of(employee).unknown_ends == 2

    @pytest.mark.parametrize(
        ("zone", "date", "minutes"),
        [
            ("America/New_York", "2026-03-08", 23 * 60),
            ("America/New_York", "2026-11-01", 25 * 60),
            ("Europe/London", "2026-03-29", 23 * 60),
            ("Europe/London", "2026-10-25", 25 * 60),
            ("Australia/Lord_Howe", "2026-04-05", 24 * 60 + 30),
            ("Australia/Lord_Howe", "2026-10-04", 23 * 60 + 30),
            ("Asia/Tokyo", "2026-11-01", 24 * 60),
            ("America/Sao_Paulo", "2018-11-04", 23 * 60),  # which begins at one o'clock
        ],
    )
    def test_a_day_on_which_the_clocks_change_has_its_real_minutes(
        self, tenant: Tenant, make_user: MakeUser, zone: str, date: str, minutes: int
    ) -> None:
        tenant.time_zone = zone
        user = make_user(tenant=tenant)
        noon = dt.datetime.fromisoformat(f"{date} 12:00").replace(tzinfo=zoneinfo.ZoneInfo(zone))
        begin, end = noon - dt.timedelta(days=2), noon + dt.timedelta(days=2)
        WorkSession.objects.create(user=user, start_time=begin.astimezone(dt.UTC), end_time=end)
        month = Month.of(noon.date())
        days = {day.date.isoformat(): day.minutes for day in tenant_month(tenant, month, end).days}
        assert days[date] == minutes
        worked(user, month, end)


@st.composite
def histories(
    draw: st.DrawFn,
) -> tuple[str, Month, dt.datetime, list[list[tuple[dt.datetime, dt.datetime | None, bool]]]]:
    """A zone, a month in which its clocks change, a present, and what three employees did about then."""
    name = draw(st.sampled_from([*CHANGES, "Europe/London", "Asia/Tokyo"]))
    zone = zoneinfo.ZoneInfo(name)
    month = Month.at(utc(CHANGES.get(name, "2026-10-25 01:00")), zone)
    bounds = month.bounds(zone)
    edges = [bounds[0], bounds[-1], utc(CHANGES.get(name, "2026-10-25 01:00")), *bounds[3:6]]
    to_the_second = st.integers(0, 50 * 3600).map(lambda n: dt.timedelta(seconds=n))
    to_the_microsecond = st.timedeltas(dt.timedelta(0), dt.timedelta(minutes=3))
    long = st.timedeltas(dt.timedelta(0), dt.timedelta(days=70))
    step = st.one_of(to_the_second, to_the_second, to_the_microsecond, long)
    people = []
    for _ in range(3):
        at = draw(st.sampled_from(edges)) - draw(step)
        sessions: list[tuple[dt.datetime, dt.datetime | None, bool]] = []
        for _ in range(draw(st.integers(0, 6))):
            at += draw(step)
            end = at + draw(step)
            unknown = draw(st.sampled_from([False, False, False, True]))
            sessions.append((at, None if unknown else end, unknown))
            at = end
        if draw(st.booleans()):
            sessions.append((at, None, False))
        people.append(sessions)
    now = draw(st.sampled_from(edges)) + draw(step) - draw(step)
    return name, month, now, people


@pytest.fixture
def three(tenant: Tenant, make_user: MakeUser) -> list[User]:
    return [make_user(tenant=tenant) for _ in range(3)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories())
def test_postgresql_and_python_count_the_same(
    tenant: Tenant,
    three: list[User],
    history: tuple[str, Month, dt.datetime, list[list[tuple[dt.datetime, dt.datetime | None, bool]]]],
) -> None:
    tenant.time_zone, month, now, people = history
    zone, bounds = tenant.zone, month.bounds(tenant.zone)
    of_day: dict[dt.date, list[int]] = {}
    expected = {}
    for user, sessions in zip(three, people, strict=True):
        spans = [
            calculations.within(
                (start, end or (start if unknown else max(now, start))), bounds[0], bounds[-1]
            )
            for start, end, unknown in sessions
        ]
        minutes = calculations.sum_by_day(spans, zone)
        for day, counted in minutes.items():
            of_day.setdefault(day, []).append(counted)
        unknown_ends = sum(unknown and bounds[0] <= start < bounds[-1] for start, _, unknown in sessions)
        expected[user.pk] = (len(minutes), sum(minutes.values()), unknown_ends)
    with transaction.atomic():
        WorkSession.objects.bulk_create(
            WorkSession(user=user, start_time=start, end_time=end, end_unknown=unknown)
            for user, sessions in zip(three, people, strict=True)
            for start, end, unknown in sessions
        )
        page = tenant_month(tenant, month, now)
        own = list(employee_months(tenant, month, now))
        transaction.set_rollback(True)
    assert {x.employee.pk: (x.days, x.minutes, x.unknown_ends) for x in page.lines} == expected
    assert {m.employee.pk: (m.days_worked, m.minutes, m.unknown_ends) for m in own} == expected
    assert {d.date: (d.minutes, d.people) for d in page.days if d.people} == {
        day: (sum(counted), len(counted)) for day, counted in of_day.items()
    }
    assert page.totals.minutes == sum(day.minutes for day in page.days)


class TestStates:
    def states(self, user: User, month: Month = NOVEMBER, now: dt.datetime = NOW) -> set[State]:
        return set(line_of(user, month, now).states)

    def test_at_work_since(self, employee: User, make_session: MakeSession) -> None:
        running = make_session("2026-11-20 09:00:10")
        line = line_of(employee)
        assert (line.at_work_since, line.running_since) == (running.start_time, running.start_time)
        assert line.states == {State.AT_WORK}

    def test_whoever_is_at_work_is_so_whichever_month_is_shown(
        self, employee: User, make_session: MakeSession
    ) -> None:
        make_session("2026-11-20 09:00")
        assert self.states(employee, Month(2026, 8)) == {State.AT_WORK}

    def test_after_sixteen_hours_it_was_forgotten(self, employee: User, make_session: MakeSession) -> None:
        running = make_session("2026-11-20 09:00")
        assert self.states(employee, now=running.start_time + FORGOTTEN_AFTER) == {State.AT_WORK}
        late = running.start_time + FORGOTTEN_AFTER + dt.timedelta.resolution
        assert self.states(employee, now=late) == {State.FORGOT}
        line = line_of(employee, now=late)
        assert (line.at_work_since, line.running_since) == (None, running.start_time)

    def test_what_was_forgotten_later_is_no_fault_of_an_earlier_month(
        self, employee: User, make_session: MakeSession
    ) -> None:
        make_session("2026-11-18 09:00")
        assert self.states(employee, Month(2026, 10)) == set()
        assert self.states(employee, Month(2026, 12), japan("2026-12-02 09:00")) == {State.FORGOT}

    def test_an_unknown_end_is_one_of_its_month(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-10-31 23:59:59", end_unknown=True)
        make_session("2026-11-19 09:00", "2026-11-19 17:00")
        assert self.states(employee, Month(2026, 10)) == {State.FORGOT}
        assert self.states(employee) == set()

    def test_forgotten_then_and_at_work_now(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-03 09:00", end_unknown=True)
        make_session("2026-11-20 09:00")
        assert self.states(employee) == {State.AT_WORK, State.FORGOT}

    @pytest.mark.parametrize(
        ("start", "end", "missed"),
        [
            ("2026-11-15 09:00", "2026-11-15 23:59", True),
            ("2026-11-15 20:00", "2026-11-16 00:00", True),
            ("2026-11-15 20:00", "2026-11-16 00:01", False),
            ("2026-11-16 00:00", "2026-11-16 00:00", False),
            ("2026-11-01 09:00", None, False),
        ],
    )
    def test_not_since_monday(
        self, employee: User, make_session: MakeSession, start: str, end: str | None, missed: bool
    ) -> None:
        make_session(start, end)
        assert (State.NOT_THIS_WEEK in self.states(employee)) is missed

    def test_a_forgotten_clock_out_this_week_is_work_this_week(
        self, employee: User, make_session: MakeSession
    ) -> None:
        make_session("2026-11-16 09:00", end_unknown=True)
        assert self.states(employee) == {State.FORGOT}

    def test_never(self, employee: User) -> None:
        assert self.states(employee) == {State.NOT_THIS_WEEK}
        assert line_of(employee).last_punch is None

    def test_the_week_is_the_present_one_whichever_month_is_shown(
        self, employee: User, make_session: MakeSession
    ) -> None:
        make_session("2026-08-10 09:00", "2026-08-10 17:00")
        assert self.states(employee, Month(2026, 8)) == {State.NOT_THIS_WEEK}

    def test_suspended_people_are_not_missed_and_their_records_stay(
        self, make_user: MakeUser, make_session: MakeSession
    ) -> None:
        gone = make_user(status=UserStatus.SUSPENDED)
        make_session("2026-11-02 09:00", "2026-11-02 17:00", user=gone)
        line = line_of(gone)
        assert (set(line.states), line.days, line.minutes) == ({State.SUSPENDED}, 1, 480)
        assert line.employee.is_suspended
        assert worked(gone) == (1, 480)

    def test_the_last_punch(self, employee: User, make_session: MakeSession) -> None:
        ended = make_session("2026-11-02 09:00", "2026-11-02 17:00")
        assert line_of(employee).last_punch == ended.end_time
        running = make_session("2026-11-20 09:00")
        assert line_of(employee, Month(2026, 8)).last_punch == running.start_time

    def test_they_have_japanese_names(self) -> None:
        with translation.override("ja"):
            assert [str(state.label) for state in State] == [
                "勤務中",
                "退勤の打刻漏れ",
                "今週の勤務なし",
                "停止中",
            ]
            assert [str(sort.label) for sort in Sort] == ["名前", "勤務時間", "出勤日数", "最終打刻"]


class TestWhoIsListed:
    def listed(self, tenant: Tenant) -> set[int]:
        return {line.employee.pk for line in employee_lines(tenant, NOVEMBER, NOW)}

    def test_employees_and_whoever_else_has_punched(
        self, tenant: Tenant, employee: User, make_user: MakeUser, make_session: MakeSession
    ) -> None:
        admin, working_admin = make_user(role=Role.TENANT_ADMIN), make_user(role=Role.TENANT_ADMIN)
        make_session("2019-11-02 09:00", "2019-11-02 17:00", user=working_admin)
        assert self.listed(tenant) == {employee.pk, working_admin.pk}
        assert admin.pk not in self.listed(tenant)

    def test_nobody(self, tenant: Tenant) -> None:
        page = tenant_month(tenant, NOVEMBER, NOW)
        assert (page.lines, page.page, page.pages) == ([], 1, 1)
        assert page.totals == page.found == Totals(0, 0, 0, 0)
        assert set(page.counts.values()) == {0}
        assert list(employee_months(tenant, NOVEMBER, NOW)) == []

    def test_another_tenants_rows_are_in_nothing(
        self,
        tenant: Tenant,
        other_tenant: Tenant,
        employee: User,
        make_user: MakeUser,
        make_session: MakeSession,
    ) -> None:
        stranger = make_user(tenant=other_tenant, last_name="港", first_name="一郎")
        make_session("2026-11-02 09:00", "2026-11-02 17:00", user=stranger)
        make_session("2026-11-20 09:00", user=stranger)
        make_session("2026-11-03 09:00", "2026-11-03 10:00")
        # It is there to be leaked.
        assert tenant_month(other_tenant, NOVEMBER, NOW).totals == Totals(1, 1, 2, 480 + 180)
        with scope.enter(of_tenant(tenant)):
            page = tenant_month(tenant, NOVEMBER, NOW)
            assert [line.employee.pk for line in page.lines] == [employee.pk]
            assert page.totals == Totals(1, 1, 1, 60)
            assert by_date(page) == {"2026-11-03": (60, 1)}
            assert page.counts[State.AT_WORK] == 0
            assert not any(day.is_running for day in page.days)
            assert [found.employee.pk for found in employee_months(tenant, NOVEMBER, NOW)] == [employee.pk]
            # Asked for by name, by a page that is wrong.
            assert tenant_month(other_tenant, NOVEMBER, NOW).totals == Totals(0, 0, 0, 0)
            assert list(employee_months(other_tenant, NOVEMBER, NOW)) == []
            with pytest.raises(User.DoesNotExist):
                employee_month(stranger, NOVEMBER, NOW)

    def test_the_database_refuses_ids_that_somebody_forgot_to_look_up_in_scope(
        self, tenant: Tenant, other_tenant: Tenant, make_user: MakeUser, make_session: MakeSession
    ) -> None:
        stranger = make_user(tenant=other_tenant)
        leak = make_session("2026-11-02 09:00", "2026-11-02 17:00", user=stranger)
        bounds = NOVEMBER.bounds(tenant.zone)
        span = {"since": bounds[0], "until": bounds[-1]}

        def found() -> list[Any]:
            ids = [stranger.pk]
            return [
                tenant_reports._totals(ids, bounds, NOW)[0].get(stranger.pk),
                [row[1] for row in tenant_reports._rows(tenant_reports.SESSIONS, ids=ids, **span)],
                [row[2] for row in tenant_reports._rows(tenant_reports.PRESENT, ids=ids)],
                tenant_reports._rows(tenant_reports.CORRECTED, ids=[leak.pk]),
            ]

        assert found() == [(480, 1, 0), [leak.pk], [leak.start_time], [(leak.pk,)]]
        with scope.enter(of_tenant(tenant)):
            assert found() == [None, [], [None], []]

    def test_employees_reach_their_own_month_and_nobody_elses(
        self, employee: User, make_user: MakeUser, make_session: MakeSession, tenant: Tenant
    ) -> None:
        colleague = make_user()
        make_session("2026-11-02 09:00", "2026-11-02 17:00")
        make_session("2026-11-02 09:00", "2026-11-02 17:00", user=colleague)
        with scope.enter(own_scope(employee)):
            assert employee_month(employee, NOVEMBER, NOW).minutes == 480
            with pytest.raises(User.DoesNotExist):
                employee_month(colleague, NOVEMBER, NOW)
            assert tenant_month(tenant, NOVEMBER, NOW).totals == Totals(1, 1, 1, 480)

    def test_without_a_scope_there_is_an_error_and_no_empty_page(
        self, tenant: Tenant, employee: User
    ) -> None:
        with scope.none():
            for read in (tenant_month, employee_lines):
                with pytest.raises(NoScopeError):
                    read(tenant, NOVEMBER, NOW)
            with pytest.raises(NoScopeError):
                employee_month(employee, NOVEMBER, NOW)


class TestList:
    @pytest.fixture
    def people(self, employee: User, make_user: MakeUser, make_session: MakeSession) -> dict[str, User]:
        people = {
            "a": make_user(last_name="青木", first_name="一", email="aoki_100%@example.com"),
            "b": make_user(last_name="ベル", first_name="Ａｎｎ", email="bell@example.com"),
            "c": employee,
            "d": make_user(email="hanako2@example.com"),
        }
        make_session("2026-11-02 09:00", "2026-11-02 11:00", user=people["a"])
        make_session("2026-11-03 09:00", "2026-11-03 10:00", user=people["b"])
        make_session("2026-11-04 09:00", "2026-11-04 10:00", user=people["b"])
        make_session("2026-11-05 09:00", "2026-11-05 14:00", user=people["c"])
        return people

    def keys(self, people: dict[str, User], tenant: Tenant, **query: Any) -> str:
        names = {user.pk: key for key, user in people.items()}
        page = tenant_month(tenant, NOVEMBER, NOW, **query)
        assert page.found == Totals.of(page.lines)
        assert page.totals == Totals(4, 3, 4, 540)
        return "".join(names[line.employee.pk] for line in page.lines)

    @pytest.mark.parametrize(
        ("sort", "ascending", "descending"),
        [
            # ベル comes before the characters of 青 and 佐 in Unicode.
            (Sort.NAME, "bcda", "adcb"),
            (Sort.HOURS, "dbac", "cbad"),
            (Sort.DAYS, "dcab", "bcad"),
            (Sort.LAST_PUNCH, "dabc", "cbad"),
        ],
    )
    def test_order(
        self, people: dict[str, User], tenant: Tenant, sort: Sort, ascending: str, descending: str
    ) -> None:
        assert self.keys(people, tenant, sort=sort) == ascending
        assert self.keys(people, tenant, sort=sort, descending=True) == descending

    @pytest.mark.parametrize(
        ("search", "found"),
        [
            ("", "bcda"),
            ("  ", "bcda"),
            ("佐藤", "cd"),
            ("佐藤 花子", "cd"),
            ("花子　佐藤", "cd"),
            ("佐藤花子", "cd"),
            ("ann", "b"),
            ("ＡＮＮ", "b"),
            ("ﾍﾞﾙ", "b"),
            ("HANAKO2@", "d"),
            ("example.com", "bcda"),
            ("%", "a"),
            ("_", "a"),
            ("_1%", ""),
            ("100%@", "a"),
            ("\\", ""),
            ("'", ""),
            ("花子 bell", ""),
        ],
    )
    def test_search(self, people: dict[str, User], tenant: Tenant, search: str, found: str) -> None:
        assert self.keys(people, tenant, search=search) == found

    def test_filter(self, people: dict[str, User], tenant: Tenant, make_session: MakeSession) -> None:
        make_session("2026-11-20 12:00", user=people["d"])
        User.objects.filter(pk=people["a"].pk).update(status=UserStatus.SUSPENDED)
        page = tenant_month(tenant, NOVEMBER, NOW)
        assert page.counts == {
            State.AT_WORK: 1,
            State.FORGOT: 0,
            State.NOT_THIS_WEEK: 2,
            State.SUSPENDED: 1,
        }
        for state, found in ((State.AT_WORK, "d"), (State.NOT_THIS_WEEK, "bc"), (State.SUSPENDED, "a")):
            assert self.keys(people, tenant, state=state) == found
        assert self.keys(people, tenant, state=State.NOT_THIS_WEEK, search="佐藤") == "c"

    def test_two_of_one_name_keep_their_order(self, people: dict[str, User], tenant: Tenant) -> None:
        WorkSession.objects.all().delete()
        for sort in (Sort.HOURS, Sort.DAYS, Sort.LAST_PUNCH):
            for descending in (False, True):
                lines = tenant_month(tenant, NOVEMBER, NOW, sort=sort, descending=descending).lines
                assert [line.employee.pk for line in lines] == [people[key].pk for key in "bcda"]

    def test_pages(self, tenant: Tenant) -> None:
        many(tenant, 2 * PAGE_SIZE + 1, 1)
        pages = [tenant_month(tenant, NOVEMBER, NOW, page=n) for n in range(-1, 6)]
        assert [page.page for page in pages] == [1, 1, 1, 2, 3, 3, 3]
        assert {page.pages for page in pages} == {3}
        assert [len(page.lines) for page in pages[2:5]] == [PAGE_SIZE, PAGE_SIZE, 1]
        seen = [line.employee.pk for page in pages[2:5] for line in page.lines]
        assert len(set(seen)) == len(seen) == 2 * PAGE_SIZE + 1
        assert {page.totals for page in pages} == {Totals(201, 201, 201, 201 * 60)}
        assert {page.found.minutes for page in pages} == {201 * 60}


class TestDays:
    def test_every_day_of_the_month(
        self, tenant: Tenant, make_user: MakeUser, make_session: MakeSession
    ) -> None:
        one, other = make_user(), make_user()
        make_session("2026-11-02 09:00", "2026-11-02 12:00", user=one)
        make_session("2026-11-02 13:00", "2026-11-02 17:00", user=one)
        make_session("2026-11-02 10:00", "2026-11-02 11:00", user=other)
        make_session("2026-11-20 11:00", user=other)
        days = tenant_month(tenant, NOVEMBER, NOW).days
        assert [day.date for day in days] == NOVEMBER.days
        assert days[1] == DayTotal(dt.date(2026, 11, 2), 480, is_running=False, people=2)
        assert days[19] == DayTotal(dt.date(2026, 11, 20), 60, is_running=True, people=1)
        assert days[0] == DayTotal(dt.date(2026, 11, 1), 0, is_running=False, people=0)

    def test_months_lead_up_to_the_present_one(self, tenant: Tenant, employee: User) -> None:
        for month, following in ((Month(2026, 10), NOVEMBER), (NOVEMBER, None), (Month(2027, 3), None)):
            page, own = tenant_month(tenant, month, NOW), employee_month(employee, month, NOW)
            assert (page.following, own.following) == (following, following)
            assert (page.previous, own.previous) == (month.previous, month.previous)

    def test_the_present_month_is_the_tenants(self, other_tenant: Tenant) -> None:
        now = japan("2026-11-01 00:00")
        assert tenant_month(other_tenant, Month(2026, 10), now).following == NOVEMBER
        other_tenant.time_zone = "America/New_York"
        assert tenant_month(other_tenant, Month(2026, 10), now).following is None


class TestOneEmployee:
    def parts(self, user: User, date: str, now: dt.datetime = NOW) -> list[Part]:
        (day,) = (d for d in employee_month(user, NOVEMBER, now).days if d.date.isoformat() == date)
        return day.parts

    def test_parts_and_gaps_of_a_day(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-10 09:00:30", "2026-11-10 12:00:45")
        make_session("2026-11-10 13:00:15", "2026-11-10 17:30")
        make_session("2026-11-10 17:30", "2026-11-10 18:00")
        month = employee_month(employee, NOVEMBER, NOW)
        day = month.days[9]
        assert [(part.start, part.end, part.minutes, part.gap) for part in day.parts] == [
            (japan("2026-11-10 09:00"), japan("2026-11-10 12:00"), 180, None),
            (japan("2026-11-10 13:00"), japan("2026-11-10 17:30"), 270, 60),
            (japan("2026-11-10 17:30"), japan("2026-11-10 18:00"), 30, 0),
        ]
        assert (day.minutes, day.gaps, month.minutes, month.days_worked) == (480, 60, 480, 1)
        assert [day.date for day in month.days] == NOVEMBER.days

    def test_a_night_has_a_part_on_each_day(self, employee: User, make_session: MakeSession) -> None:
        night = make_session("2026-11-10 22:00:30", "2026-11-12 06:30:30")
        first, middle, last = (self.parts(employee, f"2026-11-{n}")[0] for n in (10, 11, 12))
        midnight, next_midnight = japan("2026-11-11 00:00"), japan("2026-11-12 00:00")
        assert (first.start, first.end) == (japan("2026-11-10 22:00"), midnight)
        assert (middle.start, middle.end) == (midnight, next_midnight)
        assert (last.start, last.end) == (next_midnight, japan("2026-11-12 06:30"))
        assert [part.minutes for part in (first, middle, last)] == [120, FULL_DAY, 390]
        assert [(part.continues, part.goes_on) for part in (first, middle, last)] == [
            (False, True),
            (True, True),
            (True, False),
        ]
        assert {(part.session, part.clocked_in, part.clocked_out) for part in (first, middle, last)} == {
            (night.pk, night.start_time, night.end_time)
        }

    def test_at_the_months_edge_the_rest_is_another_months(
        self, employee: User, make_session: MakeSession
    ) -> None:
        make_session("2026-10-31 22:00", "2026-11-01 06:30")
        make_session("2026-11-30 22:00", "2026-12-01 06:30")
        (first,), (last,) = self.parts(employee, "2026-11-01"), self.parts(employee, "2026-11-30")
        assert (first.continues, first.goes_on, first.minutes) == (True, False, 390)
        assert (last.continues, last.goes_on, last.minutes) == (False, True, 120)

    def test_one_without_a_whole_minute_is_there_too(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-10 09:00:10", "2026-11-10 09:00:50")
        make_session("2026-10-31 23:59:10", "2026-10-31 23:59:50")
        month = employee_month(employee, NOVEMBER, NOW)
        ((part,),) = (day.parts for day in month.days if day.parts)
        assert (part.date.day, part.minutes, part.start, part.end) == (10, 0, part.end, part.start)
        assert month.days_worked == 0

    def test_an_unknown_end(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-10 09:00:10", end_unknown=True)
        make_session("2026-11-10 13:00", "2026-11-10 14:00")
        unknown, after = self.parts(employee, "2026-11-10")
        assert (unknown.end, unknown.minutes, unknown.goes_on, after.gap) == (None, 0, False, None)
        assert employee_month(employee, NOVEMBER, NOW).unknown_ends == 1

    def test_a_running_one(self, employee: User, make_session: MakeSession) -> None:
        make_session("2026-11-19 23:00")
        first, last = self.parts(employee, "2026-11-19")[0], self.parts(employee, "2026-11-20")[0]
        assert (first.is_running, first.goes_on, first.minutes) == (True, True, 60)
        assert (last.is_running, last.goes_on, last.minutes) == (True, False, 720)
        assert (last.end, last.clocked_out) == (japan("2026-11-20 12:00"), None)
        assert [day.is_running for day in employee_month(employee, NOVEMBER, NOW).days[17:21]] == [
            False,
            True,
            True,
            False,
        ]

    def test_what_the_clock_wrote_is_not_corrected_and_what_an_admin_changed_is(
        self, tenant: Tenant, employee: User, make_user: MakeUser
    ) -> None:
        admin = make_user(role=Role.TENANT_ADMIN)
        with scope.enter(own_scope(employee)):
            for day in (2, 3):
                changed = WorkSession.objects.create(user=employee, start_time=japan(f"2026-11-0{day} 09:00"))
                WorkSession.objects.running().update(end_time=japan(f"2026-11-0{day} 17:00"))
        with scope.enter(of_tenant(tenant, admin)):
            WorkSession.objects.filter(pk=changed.pk).update(end_time=japan("2026-11-03 18:00"))
            WorkSession.objects.create(
                user=employee, start_time=japan("2026-11-04 09:00"), end_time=japan("2026-11-04 10:00")
            )
            (of_all,) = employee_months(tenant, NOVEMBER, NOW)
            of_one = employee_month(employee, NOVEMBER, NOW)
        with scope.enter(own_scope(employee)):
            own = employee_month(employee, NOVEMBER, NOW)
        assert of_all == of_one == own
        assert [part.is_corrected for day in own.days for part in day.parts] == [False, True, True]

    def test_everybody_in_the_order_of_names_and_as_one_by_one(
        self,
        tenant: Tenant,
        employee: User,
        make_user: MakeUser,
        make_session: MakeSession,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(tenant_reports, "CHUNK", 2)
        User.objects.filter(pk=employee.pk).update(last_name="お")
        people = [employee, *(make_user(last_name=name) for name in "うあいえ")]
        for n, user in enumerate(people[:4], start=1):
            make_session(f"2026-11-0{n} 09:00", f"2026-11-0{n} 1{n}:00", user=user)
        found = list(employee_months(tenant, NOVEMBER, NOW))
        assert [month.employee.name[0] for month in found] == list("あいうえお")
        by_pk = {user.pk: user for user in people}
        assert found == [employee_month(by_pk[month.employee.pk], NOVEMBER, NOW) for month in found]


def many(tenant: Tenant, employees: int, sessions: int) -> None:
    """Make employees who worked from nine to ten on the first days of the month."""
    made = User.objects.bulk_create(
        User(tenant=tenant, username=f"{n}", email=f"many{n}@example.com", password="!")
        for n in range(employees)
    )
    WorkSession.objects.bulk_create(
        WorkSession(
            user=user,
            start_time=japan(f"2026-11-{day:02} 09:00"),
            end_time=japan(f"2026-11-{day:02} 10:00"),
        )
        for user in made
        for day in range(1, sessions + 1)
    )


@pytest.mark.parametrize("employees", [3, 300])
def test_everybodys_month_costs_three_queries_whoever_looks(
    tenant: Tenant, django_assert_num_queries: DjangoAssertNumQueries, employees: int
) -> None:
    many(tenant, employees, 2)
    with scope.enter(of_tenant(tenant)):
        with django_assert_num_queries(3):
            page = tenant_month(tenant, NOVEMBER, NOW, search="example", sort=Sort.HOURS, page=2)
        with django_assert_num_queries(3):
            employee_lines(tenant, NOVEMBER, NOW)
    assert page.totals == Totals(employees, employees, 2 * employees, 120 * employees)


@pytest.mark.parametrize("sessions", [0, 3, 20])
def test_one_employees_month_costs_three_queries(
    tenant: Tenant, django_assert_num_queries: DjangoAssertNumQueries, sessions: int
) -> None:
    many(tenant, 1, sessions)
    user = User.objects.with_tenant().get(email="many0@example.com")
    with scope.enter(of_tenant(tenant)), django_assert_num_queries(3):
        assert employee_month(user, NOVEMBER, NOW).minutes == 60 * sessions


@pytest.mark.parametrize("query", [tenant_reports.TOTALS, tenant_reports.SESSIONS, tenant_reports.PRESENT])
def test_history_is_not_read(tenant: Tenant, employee: User, query: str) -> None:
    """As the application's role, under row-level security, which keeps some conditions out of an index."""
    in_month = 5
    works_daily(employee, 1500, japan("2026-11-05 09:00"))
    bounds = NOVEMBER.bounds(tenant.zone)
    parameters = {
        "ids": [employee.pk],
        "bounds": bounds,
        "since": bounds[0],
        "until": bounds[-1],
        "now": NOW,
    }
    with scope.enter(of_tenant(tenant)):
        assert most_rows_read(query, parameters, "work_sessions") <= in_month + 1
