"""What a work session counts: pure arithmetic on instants, whole minutes and work dates.

The rule: start and end each lose their seconds, then the session is split at the tenant-local
midnights. So the parts always add up to the whole, and nobody's minutes depend on where midnight falls.
"""

import datetime as dt
import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache

MINUTE = dt.timedelta(minutes=1)
DAY = dt.timedelta(days=1)

Span = tuple[dt.datetime, dt.datetime]


def to_the_minute(moment: dt.datetime) -> dt.datetime:
    """Return the instant without its seconds, in UTC. ValueError for a time without zone."""
    if moment.tzinfo is None:
        raise ValueError("a time without zone is no instant")
    if moment.tzinfo is dt.UTC and not moment.second and not moment.microsecond:
        return moment  # as most are that a month is added up from
    return moment.astimezone(dt.UTC).replace(second=0, microsecond=0)


@lru_cache(maxsize=4096)
def day_start(day: dt.date, zone: zoneinfo.ZoneInfo) -> dt.datetime:
    """Return the instant, in UTC, at which a work date begins in a zone.

    Where the clocks skip midnight, that is the instant of the change; where they pass midnight twice,
    the first time.
    """
    return to_the_minute(dt.datetime.combine(day, dt.time.min, tzinfo=zone))


def work_date(moment: dt.datetime, zone: zoneinfo.ZoneInfo) -> dt.date:
    """Return the tenant-local day to which the minute of an instant counts."""
    day = moment.astimezone(zone).date()
    # After a change back across midnight the clock shows the evening before once more.
    return day + DAY if day_start(day + DAY, zone) <= moment else day


def instants_of(local: dt.datetime, zone: zoneinfo.ZoneInfo) -> list[dt.datetime]:
    """Return the instants, in UTC and in order, at which the clocks of a zone show a time.

    None where a change of the clocks skips it, two where they pass it twice. ValueError for a time that has a
    zone already; OverflowError at the ends of Python's calendar.
    """
    if local.tzinfo is not None:
        raise ValueError("the time has a zone already")
    both = {local.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC) for fold in (0, 1)}
    return sorted(instant for instant in both if instant.astimezone(zone).replace(tzinfo=None) == local)


def minutes_between(start: dt.datetime, end: dt.datetime) -> int:
    """Return the whole minutes that count from start to end. ValueError when it ends before it starts."""
    if end < start:
        raise ValueError("a session cannot end before it starts")
    return (to_the_minute(end) - to_the_minute(start)) // MINUTE


def within(span: Span, since: dt.datetime, until: dt.datetime) -> Span:
    """Return the part of a span from one instant to another; without length where it has none there."""
    start, end = span
    return min(max(start, since), until), min(max(end, since), until)


def minutes_by_day(
    start: dt.datetime, end: dt.datetime, zone: zoneinfo.ZoneInfo
) -> Iterator[tuple[dt.date, int]]:
    """Yield each work date with the whole minutes that a session counts on it, in order, none of them 0.

    The minutes are real ones: a day on which the clocks change has 23 or 25 hours of them. ValueError
    when the session ends before it starts.
    """
    left = minutes_between(start, end)
    at = to_the_minute(start)
    day = work_date(at, zone)
    while left:
        day_end = day_start(day + DAY, zone)
        counted = min(left, max(0, (day_end - at) // MINUTE))
        if counted:
            yield day, counted
        at, left, day = at + counted * MINUTE, left - counted, day + DAY


def sum_by_day(spans: Iterable[Span], zone: zoneinfo.ZoneInfo) -> dict[dt.date, int]:
    """Return the minutes of many sessions by work date; 0 for every other date that is asked for."""
    sums: defaultdict[dt.date, int] = defaultdict(int)
    for start, end in spans:
        for day, minutes in minutes_by_day(start, end, zone):
            sums[day] += minutes
    return sums
