"""The verification's shorter way to the minutes of a session."""

import datetime as dt
import zoneinfo
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attendance import calculations
from attendance.legacy.values import MINUTE, SECOND, to_micros
from attendance.legacy.verification import Month, minutes_now

# Instants (UTC) near which a date begins late, early, twice, in the middle of an hour or not at all.
AROUND = {
    "Asia/Tokyo": "2025-10-31 15:00",
    "America/Sao_Paulo": "2018-11-04 03:00",
    "Africa/Cairo": "2024-10-31 21:00",
    "America/Havana": "2024-11-03 05:00",
    "Asia/Kathmandu": "1985-12-31 18:30",
    "Pacific/Apia": "2011-12-30 10:00",
}


@pytest.mark.parametrize("name", AROUND)
@given(
    before=st.integers(-40 * 3600, 40 * 3600),
    length=st.one_of(st.integers(0, 14 * 3600), st.integers(0, 60 * 86_400)),
    micros=st.integers(0, SECOND - 1),
)
def test_minutes_are_those_of_the_application(name: str, before: int, length: int, micros: int) -> None:
    zone = zoneinfo.ZoneInfo(name)
    start = dt.datetime.fromisoformat(AROUND[name] + "Z") - dt.timedelta(seconds=before, microseconds=micros)
    end = start + dt.timedelta(seconds=length)
    expected, found = Counter[Month](), Counter[Month]()
    for day, minutes in calculations.minutes_by_day(start, end, zone):
        expected[day.year, day.month] += minutes
    for month, minutes in minutes_now(to_micros(start), to_micros(end), zone):
        found[month] += minutes
    assert +found == expected
    assert found.total() == to_micros(end) // MINUTE - to_micros(start) // MINUTE
