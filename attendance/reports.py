"""What pages show of work sessions, read in a fixed number of queries."""

import dataclasses
import datetime as dt
from functools import cached_property
from typing import NamedTuple

from accounts.models import User
from attendance import calculations
from attendance.history import Deletion, marks
from attendance.models import NO_SESSION, WorkSession

DAYS_SHOWN = 30
SESSIONS_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class SessionLine:
    """One work session as a list shows it: instants, and whole minutes, of a running one up to now."""

    pk: int
    start: dt.datetime
    end: dt.datetime | None
    minutes: int
    is_running: bool
    end_unknown: bool
    is_corrected: bool = False


@dataclasses.dataclass(frozen=True)
class DaySummary:
    """The whole minutes of one work date, a running work session's up to now included."""

    date: dt.date
    minutes: int
    is_running: bool
    # Whether somebody else than the clock added or changed a work session that counts on it.
    is_corrected: bool = dataclasses.field(default=False, kw_only=True)

    @property
    def is_weekend(self) -> bool:
        """Whether it is a Saturday or a Sunday."""
        return self.date.weekday() >= 5


@dataclasses.dataclass(frozen=True)
class ClockState:
    """Whether one user is at work, at an instant, and what the page's form sends back as `seen`."""

    at: dt.datetime
    last: WorkSession | None

    @property
    def at_work(self) -> bool:
        """Whether a work session is running."""
        return self.last is not None and self.last.is_running

    @property
    def seen(self) -> int:
        """The id of the work session shown as running or last."""
        return self.last.pk if self.last else NO_SESSION

    @cached_property
    def minutes(self) -> int:
        """The whole minutes of the running work session so far."""
        if self.last is None or not self.at_work:
            return 0
        return calculations.minutes_between(self.last.start_time, max(self.at, self.last.start_time))


@dataclasses.dataclass(frozen=True)
class EmployeePage:
    """The page of one user. Days and work sessions are ordered from the latest.

    `deleted` are those that began on the days shown, or in the month, and that somebody deleted.
    """

    state: ClockState
    today: DaySummary
    month_minutes: int
    days: list[DaySummary]
    sessions: list[SessionLine]
    deleted: list[Deletion]


class _Row(NamedTuple):
    """What is read of a work session: without a model instance, of which a page would need dozens."""

    pk: int
    start: dt.datetime
    end: dt.datetime | None
    end_unknown: bool

    @property
    def is_running(self) -> bool:
        return self.end is None and not self.end_unknown

    def span(self, now: dt.datetime) -> calculations.Span:
        """The time that counts: up to now while it runs, none when the end is unknown.

        A start that another server's clock put a moment ahead counts nothing yet.
        """
        return self.start, max(now, self.start) if self.is_running else self.end or self.start

    def line(self, now: dt.datetime, *, is_corrected: bool) -> SessionLine:
        minutes = calculations.minutes_between(*self.span(now))
        return SessionLine(
            self.pk, self.start, self.end, minutes, self.is_running, self.end_unknown, is_corrected
        )

    def model(self, user: User) -> WorkSession:
        return WorkSession(
            pk=self.pk, user=user, start_time=self.start, end_time=self.end, end_unknown=self.end_unknown
        )


COLUMNS = ("pk", "start_time", "end_time", "end_unknown")


def employee_page(user: User, now: dt.datetime) -> EmployeePage:
    """Return what the user's page shows at an instant.

    Two queries, whatever the history: the work sessions, and what was corrected and deleted of them. Another
    one for somebody who worked little of late, whose last work sessions lie further back.
    """
    zone = user.zone
    today = calculations.work_date(now, zone)
    first_shown = today - (DAYS_SHOWN - 1) * calculations.DAY
    month_start = today.replace(day=1)
    since = calculations.day_start(min(first_shown, month_start), zone)
    until = calculations.day_start((month_start + 31 * calculations.DAY).replace(day=1), zone)

    mine = WorkSession.objects.of(user).newest_first()
    recent = [_Row(*row) for row in mine.reaching_into(since).newest_first().values_list(*COLUMNS)]
    newest = recent[:SESSIONS_SHOWN]
    if len(newest) < SESSIONS_SHOWN:
        newest = [_Row(*row) for row in mine.values_list(*COLUMNS)[:SESSIONS_SHOWN]]
    running = next((row for row in recent if row.is_running), None)
    last = running or next(iter(newest), None)

    # An old file may hold a session of centuries: only the days that count here are gone through.
    spans = [calculations.within(row.span(now), since, until) for row in recent]
    minutes = calculations.sum_by_day(spans, zone)
    corrected, deleted = marks(user, {row.pk for row in (*recent, *newest)}, since)
    corrected_days = {calculations.work_date(row.start, zone) for row in recent if row.pk in corrected} | set(
        calculations.sum_by_day(
            (span for row, span in zip(recent, spans, strict=True) if row.pk in corrected), zone
        )
    )
    running_since = calculations.work_date(running.start, zone) if running else None
    days = [
        DaySummary(
            day,
            minutes[day],
            is_running=running_since is not None and running_since <= day,
            is_corrected=day in corrected_days,
        )
        for day in (today - n * calculations.DAY for n in range(DAYS_SHOWN))
    ]
    return EmployeePage(
        state=ClockState(now, last.model(user) if last else None),
        today=days[0],
        month_minutes=sum(counted for day, counted in minutes.items() if day >= month_start),
        days=days,
        sessions=[row.line(now, is_corrected=row.pk in corrected) for row in newest],
        deleted=deleted,
    )
