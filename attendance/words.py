"""Durations, days and times as people read them, in the active language and zone."""

import datetime as dt
from functools import lru_cache

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import get_language
from django.utils.translation import gettext as _


def hours_and_minutes(minutes: int) -> str:
    """Write whole minutes: 8時間05分, or 8 h 05 m."""
    return _hours_and_minutes(minutes, get_language())


def short_day(day: dt.date) -> str:
    """Write a day without its year: 11月23日(月), or Mon 23 Nov. An instant is taken in the active zone."""
    return _short_day(_local_date(day), get_language())


def moment(instant: dt.datetime, beside: dt.date) -> str:
    """Write an instant's time of day, with its day if that is not the day of what it stands beside."""
    local = timezone.localtime(instant)
    time = f"{local:%H:%M}"
    return time if local.date() == _local_date(beside) else f"{short_day(local.date())} {time}"


def _local_date(day: dt.date) -> dt.date:
    return timezone.localtime(day).date() if isinstance(day, dt.datetime) else day


# Few durations and fewer days are written again and again: the language is part of what they are kept by.
@lru_cache(maxsize=4096)
def _hours_and_minutes(minutes: int, _language: str | None) -> str:
    hours, rest = divmod(minutes, 60)
    return _("{hours} h {minutes} m").format(hours=hours, minutes=f"{rest:02d}")


@lru_cache(maxsize=4096)
def _short_day(day: dt.date, _language: str | None) -> str:
    # Translators: a date format of Django's; the Japanese one is n月j日(D)
    return date_format(day, _("D j M"))
