"""Durations, days and times as people read them, in the active language and zone."""

import datetime as dt
import math
import zoneinfo
from functools import lru_cache

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from attendance.calculations import DAY, day_start, work_date
from attendance.months import Month
from timerecord.core import clock


def hours_and_minutes(minutes: int) -> str:
    """Write whole minutes: 8時間05分, or 8 h 05 m."""
    return _hours_and_minutes(minutes, get_language())


def short_day(day: dt.date, year: int | None = None) -> str:
    """Write a day: 11月23日(月), or Mon 23 Nov; with its year if that is not the given one.

    An instant is taken in the active zone. Without a year that of today there is meant.
    """
    local = _local_date(day)
    return _short_day(local, local.year != (year or this_year()), get_language())


def moment(instant: dt.datetime, beside: dt.date) -> str:
    """Write an instant's time of day, with its day if that is not the day of what it stands beside.

    The day after is 翌 06:31, or 06:31 next day.
    """
    local = timezone.localtime(instant)
    day, other = local.date(), _local_date(beside)
    time = f"{local:%H:%M}"
    if day == other:
        return time
    if day == other + DAY:
        return _("{time} next day").format(time=time)
    return f"{short_day(day, other.year)} {time}"


def axis_day(day: dt.date) -> str:
    """Write a day as briefly as the axis of a chart needs it: 11/23, or 23 Nov."""
    return _axis_day(day, get_language())


def year(day: dt.date) -> str:
    """Write the year of a day: 2026年, or 2026."""
    # Translators: a date format of Django's; the Japanese one is Y年
    return date_format(day, _("Y"))


def month(day: dt.date) -> str:
    """Write the month of a day: 11月, or Nov."""
    # Translators: a date format of Django's; the Japanese one is n月
    return date_format(day, _("M"))


def month_name(month: Month) -> str:
    """Write a month: 2026年11月, or November 2026."""
    return date_format(month.first, "YEAR_MONTH_FORMAT")


def this_year() -> int:
    """Return the year that it is now in the active zone."""
    return timezone.localtime(clock.now()).year


def seconds_left(instant: dt.datetime) -> int:
    """Return how many seconds the work date of an instant goes on, rounded up, in the active zone."""
    zone = zoneinfo.ZoneInfo(timezone.get_current_timezone_name())
    return math.ceil((day_start(work_date(instant, zone) + DAY, zone) - instant).total_seconds())


def _local_date(day: dt.date) -> dt.date:
    return timezone.localtime(day).date() if isinstance(day, dt.datetime) else day


# Few durations and fewer days are written again and again: the language is part of what they are kept by.
@lru_cache(maxsize=4096)
def _hours_and_minutes(minutes: int, _language: str | None) -> str:
    hours, rest = divmod(minutes, 60)
    return _("{hours} h {minutes} m").format(hours=hours, minutes=f"{rest:02d}")


@lru_cache(maxsize=4096)
def _short_day(day: dt.date, with_year: bool, _language: str | None) -> str:
    if with_year:
        # Translators: a date format of Django's; the Japanese one is Y年n月j日(D)
        return date_format(day, _("D j M Y"))
    # Translators: a date format of Django's; the Japanese one is n月j日(D)
    return date_format(day, _("D j M"))


@lru_cache(maxsize=4096)
def _axis_day(day: dt.date, _language: str | None) -> str:
    # Translators: a date format of Django's; the Japanese one is n/j
    return date_format(day, _("j M"))
