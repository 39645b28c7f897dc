"""What a tenant's admins change of work sessions: adding, correcting and deleting one.

Each function works in the caller's scope, which reaches the tenant and names who does it and why
(`scope.because`): triggers write both into the history. Only the employee's row is locked.
docs/corrections.md says the rules to people.
"""

import contextlib
import dataclasses
import datetime as dt
import enum
import zoneinfo
from collections.abc import Iterator
from typing import Final, Literal

import psycopg
from django.db import IntegrityError, transaction

from accounts.models import User
from attendance import calculations
from attendance.actions import CLOCK_SKEW, take_turn
from attendance.models import WorkSession
from attendance.querysets import TAKES_TIME

# Whoever means longer ago has most likely mistyped the year.
LONGEST_AGO: Final = dt.timedelta(days=5 * 366)
# Nobody works longer without a clock-out in between, unless they say so.
LONG_MINUTES: Final = 24 * 60
# What was confirmed of a work session that runs still holds a while later.
SLACK_MINUTES: Final = 60

Field = Literal["start", "end"]


class Problem(enum.Enum):
    """Why a work session is not stored as it was said."""

    ORDER = "the end is before the start"
    FUTURE = "the time is ahead of the present"
    LONG_AGO = "the time is more than five years ago"
    IMPOSSIBLE = "the database's calendar has no such time"
    OVERLAP = "another work session takes that time"
    RUNNING = "another work session is running"
    LONG = "it lasts longer than a day, and nobody confirmed that"
    NOTHING = "everything is as it was"
    MOVED_ON = "it is not as the page showed it any more"
    GONE = "it was deleted meanwhile"


class CorrectionError(Exception):
    """A correction that was not made: why, what of it is to blame, and the work session that explains it."""

    def __init__(
        self,
        problem: Problem,
        field: Field | None = None,
        *,
        other: WorkSession | None = None,
        minutes: int = 0,
    ) -> None:
        super().__init__(problem.value)
        self.problem, self.field, self.other, self.minutes = problem, field, other, minutes


@dataclasses.dataclass(frozen=True)
class Times:
    """From when to when somebody worked: aware instants. Without an end it is running, or that is unknown."""

    start: dt.datetime
    end: dt.datetime | None
    end_unknown: bool = False

    def __post_init__(self) -> None:
        """ValueError for an end that is there and unknown."""
        if self.end is not None and self.end_unknown:
            raise ValueError("an end that is known is not unknown")

    @classmethod
    def of(cls, session: WorkSession) -> "Times":
        """Return those that a work session has."""
        return cls(session.start_time, session.end_time, session.end_unknown)

    @property
    def text(self) -> str:
        """What a page carries to say what it showed."""
        end = self.end.astimezone(dt.UTC).isoformat() if self.end else "unknown" if self.end_unknown else ""
        return f"{self.start.astimezone(dt.UTC).isoformat()}/{end}"

    @property
    def is_running(self) -> bool:
        """Whether it goes on."""
        return self.end is None and not self.end_unknown

    def minutes(self, now: dt.datetime) -> int:
        """Return the whole minutes that count, of a running one up to now. ValueError for a wrong order."""
        if self.end_unknown:
            return 0
        return calculations.minutes_between(self.start, self.end or max(now, self.start))

    @property
    def takes_time(self) -> bool:
        """Whether it can overlap another one."""
        return self.is_running or (self.end is not None and self.end > self.start)


def add(user: User, times: Times, *, accepted: int = 0) -> WorkSession:
    """Store a work session of an employee, and return it. CorrectionError.

    `accepted` is the length in minutes that was confirmed, of one that is longer than a day.
    """
    now = take_turn(user)
    times = _checked(user, times, None, now, accepted)
    with _refused_by_the_database(user, times, None):
        return WorkSession.objects.create(
            user=user, start_time=times.start, end_time=times.end, end_unknown=times.end_unknown
        )


def correct(session: WorkSession, times: Times, *, seen: str, accepted: int = 0) -> WorkSession:
    """Give a work session other times, and return it as it is then. CorrectionError.

    A time that is in the same minute as before stays as it was, to the microsecond: pages show no seconds.
    `seen` is the `Times.text` of what the page showed: if it is another by now, because the employee has
    clocked out or somebody else has corrected it, nothing changes. `accepted` as in `add`.
    """
    user = session.user
    now = take_turn(user)
    present = _present(session, seen)
    times = Times(
        _kept(times.start, present.start_time),
        _kept(times.end, present.end_time) if times.end else None,
        times.end_unknown,
    )
    if times == Times.of(present):
        raise CorrectionError(Problem.NOTHING)
    times = _checked(user, times, present, now, accepted)
    with _refused_by_the_database(user, times, present.pk):
        WorkSession.objects.of(user).filter(pk=present.pk).update(
            start_time=times.start, end_time=times.end, end_unknown=times.end_unknown
        )
    present.start_time, present.end_time, present.end_unknown = times.start, times.end, times.end_unknown
    return present


def delete(session: WorkSession, *, seen: str) -> None:
    """Remove a work session; its history stays. CorrectionError if it is not as the page showed it."""
    take_turn(session.user)
    present = _present(session, seen)
    WorkSession.objects.of(session.user).filter(pk=present.pk).delete()


def first_after(start: dt.datetime, time: dt.time, zone: zoneinfo.ZoneInfo) -> list[dt.datetime]:
    """Return the instants, in UTC, at which the clocks of a zone first show a time of day since a start.

    Two where they show it twice; none if they skip it then.
    """
    since = calculations.to_the_minute(start)
    began = since.astimezone(zone).replace(tzinfo=None)
    local = dt.datetime.combine(began, time)
    found = [instant for instant in calculations.instants_of(local, zone) if instant >= since]
    if not found and local < began:
        found = calculations.instants_of(local + calculations.DAY, zone)
    return found


def _present(session: WorkSession, seen: str) -> WorkSession:
    """Return a work session as it is, locked with its employee. CorrectionError if that was not seen."""
    present = WorkSession.objects.of(session.user).filter(pk=session.pk).first()
    if present is None:
        raise CorrectionError(Problem.GONE)
    present.user = session.user
    if Times.of(present).text != seen:
        raise CorrectionError(Problem.MOVED_ON, other=present)
    return present


def _kept(said: dt.datetime, before: dt.datetime | None) -> dt.datetime:
    return before if before and _same_minute(said, before) else said


def _same_minute(one: dt.datetime, other: dt.datetime) -> bool:
    return calculations.to_the_minute(one) == calculations.to_the_minute(other)


def _checked(user: User, times: Times, before: WorkSession | None, now: dt.datetime, accepted: int) -> Times:
    """Return the times as they can be stored. CorrectionError for the first rule that they break.

    `before` is the work session that has others by now. What an old file brought, and nobody touches, is not
    judged again.
    """
    starts_anew = before is None or times.start != before.start_time
    if starts_anew and times.start > now + CLOCK_SKEW:
        raise CorrectionError(Problem.FUTURE, "start")
    if starts_anew and times.start < now - LONGEST_AGO:
        raise CorrectionError(Problem.LONG_AGO, "start")
    ends_anew = before is None or times.end != before.end_time
    if ends_anew and times.end and times.end > now + CLOCK_SKEW:
        raise CorrectionError(Problem.FUTURE, "end")
    pk = before.pk if before else None
    times = _ordered(times, starts_anew and not ends_anew)
    other = _in_the_way(user, times, pk)
    if other and other.end_time and starts_anew and _same_minute(times.start, other.end_time):
        # Somebody typed the minute that they read of the one before.
        times = _ordered(dataclasses.replace(times, start=other.end_time), True)
        other = _in_the_way(user, times, pk)
    if other:
        raise _overlap(times, other)
    minutes = times.minutes(now)
    if minutes > max(LONG_MINUTES, accepted + SLACK_MINUTES):
        raise CorrectionError(Problem.LONG, "end", minutes=minutes)
    return times


def _ordered(times: Times, start_is_to_blame: bool) -> Times:
    """Return the times in order: within one minute, of which people see no seconds, the end is the start."""
    if times.end is None or times.end >= times.start:
        return times
    if _same_minute(times.start, times.end):
        return dataclasses.replace(times, end=times.start)
    raise CorrectionError(Problem.ORDER, "start" if start_is_to_blame else "end")


def _in_the_way(user: User, times: Times, pk: int | None) -> WorkSession | None:
    """Return the first work session, but for the one with the id, that overlaps these times; or None."""
    if not times.takes_time:
        return None
    others = WorkSession.objects.of(user).filter(TAKES_TIME)
    if pk is not None:
        others = others.exclude(pk=pk)
    if times.end:
        others = others.filter(start_time__lt=times.end)
    # Of those that start before, only the last can reach into these times.
    before = others.last_with_time(times.start).first()
    if before and (before.end_time is None or before.end_time > times.start):
        return before
    return others.filter(start_time__gte=times.start).order_by("start_time", "pk").first()


def _overlap(times: Times, other: WorkSession) -> CorrectionError:
    if times.is_running and other.is_running:
        return CorrectionError(Problem.RUNNING, "end", other=other)
    field: Field = "start" if other.start_time <= times.start else "end"
    return CorrectionError(Problem.OVERLAP, field, other=other)


@contextlib.contextmanager
def _refused_by_the_database(user: User, times: Times, pk: int | None) -> Iterator[None]:
    """Say what the database refuses as the rules above would have said it, should one of them have a gap."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        cause = error.__cause__
        match cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None:
            case "work_sessions_no_overlap" | "work_sessions_one_running":
                other = _in_the_way(user, times, pk)
                refusal = _overlap(times, other) if other else CorrectionError(Problem.OVERLAP)
            case "work_sessions_order_check":
                refusal = CorrectionError(Problem.ORDER, "end")
            case "work_sessions_calendar_check":
                refusal = CorrectionError(Problem.IMPOSSIBLE)
            case _another:
                raise
        raise refusal from error
