import datetime as dt
import zoneinfo

import pytest
import time_machine
from django.template import Context, Template
from django.utils import timezone, translation

from attendance.words import axis_day, hours_and_minutes, moment, seconds_left, short_day
from tests.conftest import japan

MONDAY = dt.date(2026, 11, 23)
JAPAN, NEW_YORK = zoneinfo.ZoneInfo("Asia/Tokyo"), zoneinfo.ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("minutes", "ja", "en"),
    [
        (0, "0時間00分", "0 h 00 m"),
        (59, "0時間59分", "0 h 59 m"),
        (60, "1時間00分", "1 h 00 m"),
        (485, "8時間05分", "8 h 05 m"),
        (14400, "240時間00分", "240 h 00 m"),
    ],
)
def test_hours_and_minutes(minutes: int, ja: str, en: str) -> None:
    with translation.override("ja"):
        assert hours_and_minutes(minutes) == ja
    with translation.override("en"):
        assert hours_and_minutes(minutes) == en


@pytest.fixture(autouse=True)
def late_in_2026(time_machine: time_machine.TimeMachineFixture) -> None:
    time_machine.move_to(japan("2026-12-31 23:59:59"), tick=False)


def test_a_day() -> None:
    with translation.override("ja"):
        assert short_day(MONDAY) == "11月23日(月)"
        assert short_day(dt.date(2026, 1, 4)) == "1月4日(日)"
    with translation.override("en"):
        assert short_day(MONDAY) == "Mon 23 Nov"


def test_a_day_of_another_year_names_it(time_machine: time_machine.TimeMachineFixture) -> None:
    new_year = dt.date(2027, 1, 1)
    with timezone.override(JAPAN), translation.override("ja"):
        assert short_day(new_year) == "2027年1月1日(金)"
        assert short_day(new_year, 2027) == "1月1日(金)"
        assert short_day(MONDAY, 2027) == "2026年11月23日(月)"
        time_machine.move_to(japan("2027-01-01 00:00"))
        assert short_day(new_year) == "1月1日(金)"
        assert short_day(MONDAY) == "2026年11月23日(月)"
    with timezone.override(NEW_YORK), translation.override("en"):  # where it is still the old year
        assert short_day(MONDAY) == "Mon 23 Nov"
        assert short_day(new_year) == "Fri 1 Jan 2027"


def test_a_day_on_an_axis() -> None:
    with translation.override("ja"):
        assert axis_day(MONDAY) == "11/23"
    with translation.override("en"):
        assert axis_day(MONDAY) == "23 Nov"


def test_the_day_of_an_instant_is_that_of_the_active_zone() -> None:
    instant = japan("2026-11-23 08:00")
    with translation.override("ja"):
        with timezone.override(JAPAN):
            assert short_day(instant) == "11月23日(月)"
        with timezone.override(NEW_YORK):
            assert short_day(instant) == "11月22日(日)"


def test_a_moment_names_its_day_only_where_that_is_another_one() -> None:
    instant = japan("2026-11-23 00:05:59")
    with timezone.override(JAPAN), translation.override("ja"):
        assert moment(instant, japan("2026-11-23 23:59")) == "00:05"
        assert moment(instant, japan("2026-11-21 23:59")) == "11月23日(月) 00:05"
        assert moment(instant, MONDAY) == "00:05"
        assert moment(instant, dt.date(2026, 11, 24)) == "11月23日(月) 00:05"
    with timezone.override(NEW_YORK), translation.override("en"):
        assert moment(instant, japan("2026-11-23 13:59")) == "10:05"
        assert moment(instant, japan("2026-11-23 14:00")) == "Sun 22 Nov 10:05"
        assert moment(instant, MONDAY) == "Sun 22 Nov 10:05"


def test_a_moment_of_the_next_day_says_so() -> None:
    instant = japan("2026-11-23 06:31")
    with timezone.override(JAPAN):
        with translation.override("ja"):
            assert moment(instant, japan("2026-11-22 22:04")) == "翌 06:31"
            assert moment(japan("2027-01-01 06:31"), japan("2026-12-31 22:04")) == "翌 06:31"
        with translation.override("en"):
            assert moment(instant, japan("2026-11-22 22:04")) == "06:31 next day"


def test_a_moment_names_its_year_where_that_is_another_one() -> None:
    instant = japan("2025-12-30 18:02")
    with timezone.override(JAPAN), translation.override("ja"):
        assert moment(instant, japan("2026-01-05 09:00")) == "2025年12月30日(火) 18:02"
        assert moment(instant, japan("2025-12-28 09:00")) == "12月30日(火) 18:02"


def test_the_rest_of_a_day() -> None:
    with timezone.override(JAPAN):
        assert seconds_left(japan("2026-11-23 00:00")) == 24 * 60 * 60
        assert seconds_left(japan("2026-11-23 23:58:59.999999")) == 61
        assert seconds_left(japan("2026-11-23 23:59:59.999999")) == 1
    with timezone.override(NEW_YORK):
        assert seconds_left(dt.datetime(2026, 11, 1, 4, 0, tzinfo=dt.UTC)) == 25 * 60 * 60


def test_templates_have_them() -> None:
    template = Template("{% load words %}{% duration minutes %}, {% duration 0 True %}, {{ at|moment:at }}")
    with timezone.override(JAPAN), translation.override("en"):
        text = template.render(Context({"minutes": 485, "at": japan("2026-11-23 09:02")}))
    assert text == (
        '<time datetime="PT8H5M">8 h 05 m</time>, '
        '<time datetime="PT0H0M" data-running="0" data-pattern="{hours} h {minutes} m">0 h 00 m</time>, 09:02'
    )
