"""What a tenant's admins read of a month: of everybody, and of one employee.

The rule of calculations.py, twice. Of everybody it is applied by PostgreSQL, in one aggregate; of one
employee by Python. Both go by the same instants at which the tenant's days begin, which Python hands over:
PostgreSQL's own time zones, perhaps of another year's edition, are never asked.
"""

import dataclasses
import datetime as dt
import unicodedata
import zoneinfo
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

from django.db import connection, models
from django.utils.translation import gettext_lazy as _

from accounts.models import Role, User, UserStatus
from attendance import calculations
from attendance.calculations import DAY, MINUTE
from attendance.months import Month
from attendance.reports import DaySummary
from tenants.models import Tenant

PAGE_SIZE = 100
# Who has been at work for longer forgot to clock out: the longest turn that is usual, a night's in a
# hospital, takes sixteen hours.
FORGOTTEN_AFTER = dt.timedelta(hours=16)
# How many employees in each state are named before the others are only counted.
FEW = 12
# How many employees' work sessions an export holds at a time.
CHUNK = 200

# The work sessions of some employees with time in the span. The first barrier is where their ids came from:
# `User.objects.in_scope()`. As `reaching_into`: of all that start before the span only the last that takes
# time can reach into it. Each OFFSET 0 keeps the planner from another way than one step in the index for each
# employee and the span's rows from there: it would read all history. And the bound is a column, because a
# subquery in a condition might leak, so row-level security keeps it out of the index.
REACHING_IN = """
SELECT employee.id AS user_id, session.*
FROM unnest(%(ids)s::bigint[]) WITH ORDINALITY AS employee (id, place)
CROSS JOIN LATERAL (
    SELECT coalesce(
        (
            SELECT start_time
            FROM work_sessions
            WHERE user_id = employee.id AND start_time < %(since)s
                AND NOT end_unknown AND (end_time IS NULL OR end_time > start_time)
            ORDER BY start_time DESC
            LIMIT 1
        ),
        %(since)s
    ) AS since
    OFFSET 0
) AS reach
CROSS JOIN LATERAL (
    SELECT id, start_time, end_time, end_unknown
    FROM work_sessions
    WHERE user_id = employee.id AND start_time >= reach.since AND start_time < %(until)s
    OFFSET 0
) AS session
"""

SESSIONS = f"{REACHING_IN} ORDER BY employee.place, session.start_time, session.id"

# Whole minutes by employee and by day, the day's place in the month counted from 1: `user_id` is null in the
# rows of days, `day` in those of employees. Start and end lose their seconds; what counts is cut off at the
# month's edges; the days that it meets are found in the list of their beginnings, and it is split there.
TOTALS = f"""
SELECT user_id, day, sum(minutes)::bigint, count(*) FILTER (WHERE minutes > 0), sum(unknown)::bigint
FROM (
    SELECT
        user_id,
        day,
        sum(
            date_part(
                'epoch',
                least(until, (%(bounds)s::timestamptz[])[day + 1])
                - greatest(since, (%(bounds)s::timestamptz[])[day])
            )::integer / 60
        ) AS minutes,
        count(*) FILTER (WHERE end_unknown) AS unknown
    FROM (
        SELECT
            user_id, since, until, end_unknown,
            generate_series(
                width_bucket(since, %(bounds)s::timestamptz[]),
                width_bucket(greatest(since, until - interval '1 minute'), %(bounds)s::timestamptz[])
            ) AS day
        FROM (
            SELECT
                user_id,
                end_unknown,
                greatest(date_bin('1 minute', start_time, '0001-01-01Z'), %(since)s) AS since,
                least(
                    date_bin(
                        '1 minute',
                        CASE
                            WHEN end_unknown THEN start_time
                            ELSE coalesce(end_time, greatest(start_time, %(now)s))
                        END,
                        '0001-01-01Z'
                    ),
                    %(until)s
                ) AS until
            FROM ({REACHING_IN}) AS reaching_in
            WHERE NOT end_unknown OR start_time >= %(since)s
        ) AS counting
        WHERE until > since OR end_unknown
    ) AS part
    GROUP BY user_id, day
) AS worked
GROUP BY GROUPING SETS ((user_id), (day))
"""  # noqa: S608 # nobody's text

# Of each employee the running work session, if there is one, and the one that began last.
PRESENT = """
SELECT employee.id, running.start_time, latest.start_time, latest.end_time
FROM unnest(%(ids)s::bigint[]) AS employee (id)
LEFT JOIN LATERAL (
    SELECT start_time
    FROM work_sessions
    WHERE user_id = employee.id AND end_time IS NULL AND NOT end_unknown
    OFFSET 0
) AS running ON true
LEFT JOIN LATERAL (
    SELECT start_time, end_time
    FROM work_sessions
    WHERE user_id = employee.id
    ORDER BY start_time DESC, id DESC
    LIMIT 1
) AS latest ON true
"""

# Which of some work sessions, found as above, somebody else than the clock added or changed.
CORRECTED = """
SELECT DISTINCT work_session_id
FROM work_session_history
WHERE work_session_id = ANY(%(ids)s::bigint[])
    AND operation IN ('insert', 'update') AND door IN ('admin', 'command')
"""


class State(models.TextChoices):
    """What a list of employees is filtered by. More than one can hold of somebody.

    All but `FORGOT` speak of the present, whichever month is shown.
    """

    AT_WORK = "at_work", _("at work")  # and has been for FORGOTTEN_AFTER at most
    # Running for longer, if it reaches into the month; or the end unknown of one that began in the month.
    FORGOT = "forgot", _("forgot to clock out")
    # No punch and no minute since Monday began in the tenant's zone; suspended people are not missed.
    NOT_THIS_WEEK = "not_this_week", _("not this week")
    SUSPENDED = "suspended", _("suspended")


class Sort(models.TextChoices):
    """What a list of employees is ordered by; equals by name, then by id."""

    NAME = "name", _("name")
    HOURS = "hours", _("hours")
    DAYS = "days", _("days worked")
    LAST_PUNCH = "last_punch", _("last punch")


class Employee(NamedTuple):
    """Somebody whose time is recorded, as lists and files name them."""

    pk: int
    name: str
    email: str
    is_suspended: bool

    @classmethod
    def of(cls, user: User) -> "Employee":
        """Return what is to be named of a user."""
        return cls(user.pk, user.display_name, user.email, user.status == UserStatus.SUSPENDED)

    @property
    def place(self) -> tuple[str, int]:
        """By what lists are ordered: the name, whatever the width and case of its letters; then the id."""
        return unicodedata.normalize("NFKC", self.name).casefold(), self.pk


class EmployeeLine(NamedTuple):
    """One employee's month in a list. Minutes are whole, instants are aware.

    `days` are the work dates with at least one minute. `unknown_ends` counts the work sessions that began
    in the month and whose end is unknown: they count no minutes. `running_since` and `last_punch` (the start
    or the end of the work session that began last) are those of now, whichever month is shown.
    """

    employee: Employee
    days: int
    minutes: int
    unknown_ends: int
    running_since: dt.datetime | None
    last_punch: dt.datetime | None
    states: frozenset[State]

    @property
    def at_work_since(self) -> dt.datetime | None:
        """Since when the employee is at work; None also for who forgot to clock out."""
        return self.running_since if State.AT_WORK in self.states else None


@dataclasses.dataclass(frozen=True)
class Totals:
    """Sums: how many employees, how many of them with time in the month, their days and whole minutes."""

    employees: int
    who_worked: int
    days: int
    minutes: int

    @classmethod
    def of(cls, lines: Iterable[EmployeeLine]) -> "Totals":
        """Add lines up."""
        lines = list(lines)
        return cls(
            len(lines),
            sum(line.minutes > 0 for line in lines),
            sum(line.days for line in lines),
            sum(line.minutes for line in lines),
        )


@dataclasses.dataclass(frozen=True)
class DayTotal(DaySummary):
    """The whole minutes of all employees on one work date, and how many of them had any.

    It is running while it is the present day and anybody is at work.
    """

    people: int


@dataclasses.dataclass(frozen=True)
class TenantMonth:
    """The month of a tenant, at an instant.

    `lines` are one page of those that search and filter left, in the order asked for; `found` adds up all of
    those, `totals` all employees, and `counts` says of how many of all each state holds; `first` has the
    first FEW of these by name. `days` are all of the month, of all employees.
    """

    tenant: Tenant
    month: Month
    at: dt.datetime
    lines: list[EmployeeLine]
    totals: Totals
    found: Totals
    counts: dict[State, int]
    first: dict[State, list[EmployeeLine]]
    days: list[DayTotal]
    page: int
    pages: int

    @property
    def previous(self) -> Month | None:
        """The month before."""
        return self.month.previous

    @property
    def following(self) -> Month | None:
        """The month after; None after the present one."""
        return None if self.month >= Month.at(self.at, self.tenant.zone) else self.month.following


class Part(NamedTuple):
    """What a work session has on one work date. Instants are to the minute; whole minutes.

    `start` and `end` are cut off at the day's beginning and end; the end of one that runs is the present, of
    one whose end is unknown None. `clocked_in` and `clocked_out` are the work session's own, to the
    microsecond. `goes_on` says whether it has time on a later work date, `gap` are the minutes since the
    part before it on the same one: None for the first, and after an unknown end.
    """

    session: int
    date: dt.date
    start: dt.datetime
    end: dt.datetime | None
    minutes: int
    clocked_in: dt.datetime
    clocked_out: dt.datetime | None
    is_running: bool
    end_unknown: bool
    goes_on: bool
    gap: int | None = None
    is_corrected: bool = False

    @property
    def continues(self) -> bool:
        """Whether the work session began on an earlier work date."""
        return self.start > self.clocked_in


@dataclasses.dataclass(frozen=True)
class WorkDay(DaySummary):
    """One work date of an employee: its parts in the order of time; whole minutes."""

    parts: list[Part]

    @property
    def gaps(self) -> int:
        """The minutes between the parts."""
        return sum(part.gap or 0 for part in self.parts)


@dataclasses.dataclass(frozen=True)
class EmployeeMonth:
    """One employee's month, at an instant: every day of it, in order."""

    employee: Employee
    zone: zoneinfo.ZoneInfo
    month: Month
    at: dt.datetime
    days: list[WorkDay]

    @cached_property
    def minutes(self) -> int:
        """The whole minutes of the month."""
        return sum(day.minutes for day in self.days)

    @cached_property
    def days_worked(self) -> int:
        """How many work dates have at least one minute."""
        return sum(day.minutes > 0 for day in self.days)

    @cached_property
    def unknown_ends(self) -> int:
        """How many work sessions that began in the month have an unknown end."""
        return sum(part.end_unknown for day in self.days for part in day.parts)

    @property
    def previous(self) -> Month | None:
        """The month before."""
        return self.month.previous

    @property
    def following(self) -> Month | None:
        """The month after; None after the present one."""
        return None if self.month >= Month.at(self.at, self.zone) else self.month.following


def tenant_month(
    tenant: Tenant,
    month: Month,
    now: dt.datetime,
    *,
    search: str = "",
    state: State | None = None,
    sort: Sort = Sort.NAME,
    descending: bool = False,
    page: int = 1,
) -> TenantMonth:
    """Return the month of all employees of a tenant, as far as they are in scope. Three queries.

    Days are the tenant's; a running work session counts up to now. Employees are those of that role, and
    whoever else has a work session. `search` has words, of which each is to be in the name or the address;
    `page` counts from 1, and one that there is not is the nearest that there is.
    """
    zone = tenant.zone
    lines, by_day = _lines(tenant, month, now)
    in_state = {each: [line for line in lines if each in line.states] for each in State}
    found = _sorted(_matching(lines, search, state), sort, descending=descending)
    pages = max(1, -(-len(found) // PAGE_SIZE))
    page = min(max(1, page), pages)
    today = calculations.work_date(now, zone)
    at_work = any(line.running_since for line in lines)
    days = []
    for n, day in enumerate(month.days, start=1):
        on_it = by_day.get(n, NOTHING)
        days.append(DayTotal(day, on_it.minutes, is_running=at_work and day == today, people=on_it.number))
    return TenantMonth(
        tenant=tenant,
        month=month,
        at=now,
        lines=found[(page - 1) * PAGE_SIZE : page * PAGE_SIZE],
        totals=Totals.of(lines),
        found=Totals.of(found),
        counts={each: len(some) for each, some in in_state.items()},
        first={each: _sorted(some, Sort.NAME, descending=False)[:FEW] for each, some in in_state.items()},
        days=days,
        page=page,
        pages=pages,
    )


def is_forgotten(part: Part, now: dt.datetime) -> bool:
    """Whether the work session runs for so long that its employee forgot to clock out."""
    return part.is_running and now - part.clocked_in > FORGOTTEN_AFTER


def employee_lines(tenant: Tenant, month: Month, now: dt.datetime) -> list[EmployeeLine]:
    """Return the lines of all employees that `tenant_month` has, by name. Three queries."""
    return _sorted(_lines(tenant, month, now)[0], Sort.NAME, descending=False)


def employee_month(user: User, month: Month, now: dt.datetime) -> EmployeeMonth:
    """Return the month of one employee in the zone of the tenant, which comes with the user. Three queries.

    A running work session counts up to now. User.DoesNotExist for somebody who is not in scope.
    """
    employee = Employee.of(User.objects.in_scope().only(*NAMED).get(pk=user.pk))
    (found,) = _months([employee], user.zone, month, now)
    return found


def employee_months(tenant: Tenant, month: Month, now: dt.datetime) -> Iterator[EmployeeMonth]:
    """Yield the months of all employees that `tenant_month` has, as far as they are in scope, by name.

    In pages of CHUNK employees, two queries each, so that memory holds no more than these have. Nothing
    is kept open at the database in between.
    """
    employees = sorted((person.employee for person in _people(tenant)), key=lambda found: found.place)
    for at in range(0, len(employees), CHUNK):
        yield from _months(employees[at : at + CHUNK], tenant.zone, month, now)


# --- of everybody -----------------------------------------------------------------------------------------

NAMED = ("username", "last_name", "first_name", "email", "status", "role")


class _Person(NamedTuple):
    employee: Employee
    running_since: dt.datetime | None
    last_start: dt.datetime | None
    last_end: dt.datetime | None

    def was_there(self, since: dt.datetime) -> bool:
        return (
            self.running_since is not None
            or (self.last_start is not None and self.last_start >= since)
            or (self.last_end is not None and self.last_end > since)
        )


class _Sum(NamedTuple):
    """Of an employee: the number is of days. Of a day: it is of employees."""

    minutes: int
    number: int
    unknown_ends: int


NOTHING = _Sum(0, 0, 0)


def _people(tenant: Tenant) -> list[_Person]:
    users = {
        user.pk: user for user in User.objects.in_scope().looked_after().filter(tenant=tenant).only(*NAMED)
    }
    return [
        _Person(Employee.of(user), running_since, last_start, last_end)
        for pk, running_since, last_start, last_end in _rows(PRESENT, ids=list(users))
        if (user := users[pk]).role == Role.EMPLOYEE or last_start is not None
    ]


def _lines(tenant: Tenant, month: Month, now: dt.datetime) -> tuple[list[EmployeeLine], dict[int, _Sum]]:
    """Return the lines of all employees in no order, and the sums of each day of the month, from 1."""
    people = _people(tenant)
    bounds = month.bounds(tenant.zone)
    by_employee, by_day = _totals([person.employee.pk for person in people], bounds, now)
    week_start = _week_start(now, tenant.zone)
    lines = [
        _line(person, by_employee.get(person.employee.pk, NOTHING), bounds[-1], week_start, now)
        for person in people
    ]
    return lines, by_day


def _totals(
    ids: list[int], bounds: list[dt.datetime], now: dt.datetime
) -> tuple[dict[int, _Sum], dict[int, _Sum]]:
    """Return the sums of each employee, and of each day of the month, counted from 1; not those of 0."""
    by_employee, by_day = {}, {}
    for user, day, *sums in _rows(TOTALS, ids=ids, bounds=bounds, since=bounds[0], until=bounds[-1], now=now):
        if user is None:
            by_day[day] = _Sum(*sums)
        else:
            by_employee[user] = _Sum(*sums)
    return by_employee, by_day


def _rows(query: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def _week_start(now: dt.datetime, zone: zoneinfo.ZoneInfo) -> dt.datetime:
    today = calculations.work_date(now, zone)
    return calculations.day_start(today - today.weekday() * DAY, zone)


def _line(
    person: _Person, worked: _Sum, month_end: dt.datetime, week_start: dt.datetime, now: dt.datetime
) -> EmployeeLine:
    since = person.running_since
    forgot_it = since is not None and now - since > FORGOTTEN_AFTER
    states = []
    if since is not None and not forgot_it:
        states.append(State.AT_WORK)
    if worked.unknown_ends or (since is not None and forgot_it and since < month_end):
        states.append(State.FORGOT)
    if person.employee.is_suspended:
        states.append(State.SUSPENDED)
    elif not person.was_there(week_start):
        states.append(State.NOT_THIS_WEEK)
    return EmployeeLine(
        employee=person.employee,
        days=worked.number,
        minutes=worked.minutes,
        unknown_ends=worked.unknown_ends,
        running_since=since,
        last_punch=max(filter(None, (person.last_start, person.last_end)), default=None),
        states=frozenset(states),
    )


def _matching(lines: Iterable[EmployeeLine], search: str, state: State | None) -> Iterator[EmployeeLine]:
    """Keep those with each word in the name, written with a space in it or without, or in the address."""
    words = _folded(search).split()
    for line in lines:
        if state is not None and state not in line.states:
            continue
        if words:
            name, email = _folded(line.employee.name), _folded(line.employee.email)
            text = f"{name}\n{''.join(name.split())}\n{email}"
            if not all(word in text for word in words):
                continue
        yield line


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _sorted(lines: Iterable[EmployeeLine], sort: Sort, *, descending: bool) -> list[EmployeeLine]:
    """Order the lines; of equals the first by name comes first, whatever the direction."""
    by_name = sorted(lines, key=lambda line: line.employee.place, reverse=descending and sort is Sort.NAME)
    match sort:
        case Sort.NAME:
            return by_name
        case Sort.HOURS:
            return sorted(by_name, key=lambda line: line.minutes, reverse=descending)
        case Sort.DAYS:
            return sorted(by_name, key=lambda line: line.days, reverse=descending)
        case Sort.LAST_PUNCH:
            return sorted(by_name, key=lambda line: line.last_punch or NEVER, reverse=descending)


NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)


# --- of one employee --------------------------------------------------------------------------------------


class _Session(NamedTuple):
    user: int
    pk: int
    start: dt.datetime
    end: dt.datetime | None
    end_unknown: bool

    @property
    def is_running(self) -> bool:
        return self.end is None and not self.end_unknown


def _months(
    employees: list[Employee], zone: zoneinfo.ZoneInfo, month: Month, now: dt.datetime
) -> Iterator[EmployeeMonth]:
    bounds = month.bounds(zone)
    ids = [employee.pk for employee in employees]
    rows = [_Session(*row) for row in _rows(SESSIONS, ids=ids, since=bounds[0], until=bounds[-1])]
    corrected = {pk for (pk,) in _rows(CORRECTED, ids=[row.pk for row in rows])}
    of_user = {user: list(found) for user, found in groupby(rows, key=lambda row: row.user)}
    for employee in employees:
        days: dict[dt.date, list[Part]] = {day: [] for day in month.days}
        for row in of_user.get(employee.pk, ()):
            for part in _parts(row, bounds[0], bounds[-1], zone, now):
                before = days[part.date]
                if before or row.pk in corrected:
                    part = part._replace(gap=_gap(before, part), is_corrected=row.pk in corrected)
                before.append(part)
        yield EmployeeMonth(employee, zone, month, now, [_day(*each) for each in days.items()])


def _parts(
    row: _Session, since: dt.datetime, until: dt.datetime, zone: zoneinfo.ZoneInfo, now: dt.datetime
) -> Iterator[Part]:
    """Yield what the work session has on each work date of the span; 0 minutes where it begins, at least."""
    ended = max(now, row.start) if row.is_running else row.end or row.start
    first, whole_end = calculations.to_the_minute(row.start), calculations.to_the_minute(ended)
    at, end = calculations.within((first, whole_end), since, until)
    parts = list(calculations.minutes_by_day(at, end, zone))
    if not parts and since <= row.start < until:
        parts = [(calculations.work_date(at, zone), 0)]
    for date, minutes in parts:
        part_end = at + minutes * MINUTE
        yield Part(
            session=row.pk,
            date=date,
            start=at,
            end=None if row.end_unknown else part_end,
            minutes=minutes,
            clocked_in=row.start,
            clocked_out=row.end,
            is_running=row.is_running,
            end_unknown=row.end_unknown,
            goes_on=part_end < whole_end,
        )
        at = part_end


def _gap(before: list[Part], part: Part) -> int | None:
    if not before or before[-1].end is None:
        return None
    return max(0, (part.start - before[-1].end) // MINUTE)


def _day(date: dt.date, parts: list[Part]) -> WorkDay:
    minutes = sum(part.minutes for part in parts)
    return WorkDay(date, minutes, is_running=any(part.is_running for part in parts), parts=parts)
