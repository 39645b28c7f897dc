import datetime as dt
import zoneinfo
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from attendance.calculations import (
    DAY,
    MINUTE,
    Span,
    day_start,
    instants_of,
    minutes_between,
    minutes_by_day,
    sum_by_day,
    to_the_minute,
    within,
    work_date,
)
from tests.conftest import japan

HOUR = dt.timedelta(hours=1)
TOKYO = zoneinfo.ZoneInfo("Asia/Tokyo")

# What the zones do to a day, from the IANA database: the instant (UTC) of a change, and what is odd.
CHANGES = {
    "America/Sao_Paulo": "2018-11-04 03:00",  # midnight is skipped
    "Asia/Beirut": "2024-03-30 22:00",  # midnight is skipped
    "Africa/Cairo": "2024-10-31 21:00",  # midnight leads back to 23:00
    "America/St_Johns": "2010-11-07 02:31",  # a minute past midnight leads back to 23:01
    "America/Havana": "2024-11-03 05:00",  # midnight comes twice on one date
    "Australia/Lord_Howe": "2024-04-06 15:00",  # by half an hour
    "Pacific/Apia": "2011-12-30 10:00",  # 30 December did not happen
    "America/New_York": "2026-03-08 07:00",
    "America/Los_Angeles": "2026-11-01 09:00",
    "Asia/Kathmandu": "1985-12-31 18:30",  # a quarter of an hour at midnight
    "Asia/Tokyo": "2026-11-22 15:00",
    "UTC": "2026-11-23 00:00",
}


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(f"{text}+00:00")


def zone_of(name: str) -> zoneinfo.ZoneInfo:
    return zoneinfo.ZoneInfo(name)


def date(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


@st.composite
def spans(draw: st.DrawFn, longest: dt.timedelta = 15 * DAY) -> tuple[Span, zoneinfo.ZoneInfo]:
    """A session and a zone: half of them near a change of the zone's clocks, the others anywhere."""
    name = draw(st.sampled_from([*CHANGES, *sorted(zoneinfo.available_timezones())]))
    # Since 1973 every zone is whole minutes away from UTC.
    anywhere = st.datetimes(dt.datetime(1973, 1, 1), dt.datetime(2037, 12, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001
    near = st.timedeltas(-2 * DAY, 2 * DAY).map(lambda off: utc(CHANGES[name]) + off)
    start = draw(st.one_of(near, anywhere) if name in CHANGES else anywhere)
    length = draw(
        st.one_of(st.timedeltas(dt.timedelta(), 2 * MINUTE), st.timedeltas(dt.timedelta(), longest))
    )
    return (start, start + length), zone_of(name)


def minute_by_minute(span: Span, zone: zoneinfo.ZoneInfo) -> dict[dt.date, int]:
    """Count as a person with a wall calendar would: it turns to a later date only, never back."""
    start, end = (moment.replace(second=0, microsecond=0) for moment in span)
    calendar = dt.date.min
    counted: Counter[dt.date] = Counter()
    at = start - 4 * HOUR  # no change back is longer
    while at < end:
        calendar = max(calendar, at.astimezone(zone).date())
        if at >= start:
            counted[calendar] += 1
        at += MINUTE
    return counted


anything = settings(deadline=None)  # the machine may be busy


class TestProperties:
    @anything
    @given(spans())
    def test_the_parts_sum_to_the_whole(self, case: tuple[Span, zoneinfo.ZoneInfo]) -> None:
        span, zone = case
        assert sum(minutes for _, minutes in minutes_by_day(*span, zone)) == minutes_between(*span)

    @anything
    @given(spans())
    def test_the_parts_are_in_order_positive_and_within_their_day(
        self, case: tuple[Span, zoneinfo.ZoneInfo]
    ) -> None:
        span, zone = case
        at = to_the_minute(span[0])
        days = []
        for day, minutes in minutes_by_day(*span, zone):
            days.append(day)
            assert minutes > 0
            assert day_start(day, zone) <= at
            at += minutes * MINUTE
            assert at <= day_start(day + DAY, zone)
        assert days == sorted(set(days))

    @settings(anything, max_examples=40)
    @given(spans(longest=2 * DAY))
    def test_a_count_minute_by_minute_comes_to_the_same(self, case: tuple[Span, zoneinfo.ZoneInfo]) -> None:
        span, zone = case
        assert dict(minutes_by_day(*span, zone)) == minute_by_minute(span, zone)

    @pytest.mark.parametrize("name", CHANGES)
    def test_around_each_odd_change_too(self, name: str) -> None:
        change, zone = utc(CHANGES[name]), zone_of(name)
        for before, after in ((30 * HOUR, 30 * HOUR), (20 * MINUTE, 3 * HOUR), (3 * HOUR, MINUTE)):
            span = change - before, change + after
            assert dict(minutes_by_day(*span, zone)) == minute_by_minute(span, zone)

    @anything
    @given(spans(), st.floats(0, 1))
    def test_a_cut_at_any_whole_minute_changes_no_day(
        self, case: tuple[Span, zoneinfo.ZoneInfo], share: float
    ) -> None:
        (start, end), zone = case
        cut = to_the_minute(start) + round(share * minutes_between(start, end)) * MINUTE
        pieces = [(start, max(cut, start)), (max(cut, start), end)]
        assert sum_by_day(pieces, zone) == dict(minutes_by_day(start, end, zone))

    @anything
    @given(spans(), st.integers(-3, 3), st.integers(0, 3))
    def test_a_window_of_days_holds_what_those_days_have(
        self, case: tuple[Span, zoneinfo.ZoneInfo], first: int, length: int
    ) -> None:
        span, zone = case
        day = work_date(span[0], zone) + first * DAY
        window = within(span, day_start(day, zone), day_start(day + length * DAY, zone))
        whole = dict(minutes_by_day(*span, zone))
        assert dict(minutes_by_day(*window, zone)) == {
            date: minutes for date, minutes in whole.items() if day <= date < day + length * DAY
        }

    @anything
    @given(spans())
    def test_each_minute_has_the_date_that_the_first_part_names(
        self, case: tuple[Span, zoneinfo.ZoneInfo]
    ) -> None:
        (start, _), zone = case
        assert [day for day, _ in minutes_by_day(start, start + MINUTE, zone)] == [work_date(start, zone)]

    @anything
    @given(spans(), st.integers(0, 59_999_999), st.integers(0, 59_999_999))
    @example(((utc("2026-11-23 14:59"), utc("2026-11-23 15:01")), TOKYO), 59_999_999, 59_999_999)
    def test_seconds_count_on_neither_side(
        self, case: tuple[Span, zoneinfo.ZoneInfo], early: int, late: int
    ) -> None:
        (start, end), zone = case
        start, end = to_the_minute(start), to_the_minute(end) + MINUTE
        dirty = start + dt.timedelta(microseconds=early), end + dt.timedelta(microseconds=late)
        assert list(minutes_by_day(*dirty, zone)) == list(minutes_by_day(start, end, zone))


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        pytest.param("2026-11-20 09:00", "2026-11-20 17:30", {"2026-11-20": 510}, id="a plain day"),
        pytest.param(
            "2026-11-20 22:15", "2026-11-21 06:45", {"2026-11-20": 105, "2026-11-21": 405}, id="midnight"
        ),
        pytest.param("2026-11-20 18:00", "2026-11-21 00:00", {"2026-11-20": 360}, id="up to midnight"),
        pytest.param("2026-11-21 00:00", "2026-11-21 06:00", {"2026-11-21": 360}, id="from midnight"),
        pytest.param(
            "2026-11-30 23:00", "2026-12-01 01:00", {"2026-11-30": 60, "2026-12-01": 60}, id="month's end"
        ),
        pytest.param(
            "2028-02-28 23:59",
            "2028-03-01 00:01",
            {"2028-02-28": 1, "2028-02-29": 1440, "2028-03-01": 1},
            id="leap day",
        ),
        pytest.param(
            "2027-02-28 23:30", "2027-03-01 00:30", {"2027-02-28": 30, "2027-03-01": 30}, id="no leap day"
        ),
        pytest.param(
            "2026-12-31 21:00", "2027-01-01 02:00", {"2026-12-31": 180, "2027-01-01": 120}, id="year's end"
        ),
        pytest.param("2026-11-20 09:00:30", "2026-11-20 09:00:30", {}, id="zero length"),
        pytest.param("2026-11-20 09:00:01", "2026-11-20 09:00:59.999999", {}, id="under a minute"),
        pytest.param(
            "2026-11-20 09:00:59", "2026-11-20 09:01:00", {"2026-11-20": 1}, id="a second that counts"
        ),
        pytest.param("2026-11-20 09:00:59", "2026-11-20 10:00:01", {"2026-11-20": 60}, id="seconds dropped"),
        pytest.param(
            "2026-11-20 23:59:59.999999", "2026-11-21 00:00:00", {"2026-11-20": 1}, id="a breath to midnight"
        ),
        pytest.param("2026-11-20 23:59:10", "2026-11-20 23:59:50", {}, id="the last minute, not left"),
        pytest.param(
            "2026-11-20 23:59:30", "2026-11-21 00:00:30", {"2026-11-20": 1}, id="a minute across midnight"
        ),
        pytest.param(
            "2026-11-20 12:00",
            "2026-11-30 12:00",
            {"2026-11-20": 720, **{f"2026-11-{day}": 1440 for day in range(21, 30)}, "2026-11-30": 720},
            id="ten days",
        ),
    ],
)
def test_in_japan(start: str, end: str, expected: dict[str, int]) -> None:
    parts = list(minutes_by_day(japan(start), japan(end), TOKYO))
    assert parts == [(date(day), minutes) for day, minutes in expected.items()]
    assert minutes_between(japan(start), japan(end)) == sum(expected.values())


@pytest.mark.parametrize(
    ("name", "day", "hours"),
    [
        ("Asia/Tokyo", "2026-11-20", 24),
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("America/Sao_Paulo", "2018-11-04", 23),
        ("America/Sao_Paulo", "2019-02-16", 25),
        ("Africa/Cairo", "2024-04-26", 23),
        ("Africa/Cairo", "2024-10-31", 25),
        ("Asia/Beirut", "2024-03-31", 23),
        ("America/Havana", "2024-11-03", 25),
        ("America/St_Johns", "2010-11-06", 24),
        ("America/St_Johns", "2010-11-07", 25),
        ("Australia/Lord_Howe", "2024-04-07", 24.5),
        ("Australia/Lord_Howe", "2024-10-06", 23.5),
        ("Pacific/Apia", "2011-12-29", 24),
        ("Pacific/Apia", "2011-12-30", 0),
        ("Pacific/Apia", "2011-12-31", 24),
    ],
)
def test_a_day_has_the_hours_that_its_clock_gives_it(name: str, day: str, hours: float) -> None:
    zone, this = zone_of(name), date(day)
    start, end = day_start(this, zone), day_start(this + DAY, zone)
    assert end - start == hours * HOUR
    assert sum_by_day([(start - HOUR, end + HOUR)], zone)[this] == hours * 60


def test_a_night_with_a_change_counts_the_hours_that_passed() -> None:
    new_york = zone_of("America/New_York")
    spring = (
        dt.datetime(2026, 3, 7, 22, tzinfo=new_york),
        dt.datetime(2026, 3, 8, 6, tzinfo=new_york),
    )
    autumn = (
        dt.datetime(2026, 10, 31, 22, tzinfo=new_york),
        dt.datetime(2026, 11, 1, 6, tzinfo=new_york),
    )
    assert list(minutes_by_day(*spring, new_york)) == [(date("2026-03-07"), 120), (date("2026-03-08"), 300)]
    assert list(minutes_by_day(*autumn, new_york)) == [(date("2026-10-31"), 120), (date("2026-11-01"), 420)]


@pytest.mark.parametrize(
    ("name", "day", "start"),
    [
        ("Asia/Tokyo", "2026-11-20", "2026-11-19 15:00"),
        ("America/New_York", "2026-11-20", "2026-11-20 05:00"),
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04 03:00"),  # skipped: the change itself
        ("America/Havana", "2024-11-03", "2024-11-03 04:00"),  # twice: the first
        ("America/St_Johns", "2010-11-07", "2010-11-07 02:30"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30 10:00"),
        ("Pacific/Apia", "2011-12-31", "2011-12-30 10:00"),
    ],
)
def test_when_a_work_date_begins(name: str, day: str, start: str) -> None:
    zone = zone_of(name)
    assert day_start(date(day), zone) == utc(start)
    if start != "2011-12-30 10:00":
        assert work_date(utc(start), zone) == date(day)
        assert work_date(utc(start) - MINUTE, zone) == date(day) - DAY


def test_the_evening_that_a_clock_shows_again_counts_to_the_date_that_had_begun() -> None:
    st_johns = zone_of("America/St_Johns")
    again = utc("2010-11-07 02:45")  # 23:15 on the 6th, for the second time
    assert again.astimezone(st_johns).isoformat() == "2010-11-06T23:15:00-03:30"
    assert work_date(again, st_johns) == date("2010-11-07")


def test_the_date_that_samoa_left_out_counts_nothing() -> None:
    apia = zone_of("Pacific/Apia")
    span = utc("2011-12-30 09:00"), utc("2011-12-30 11:00")
    assert list(minutes_by_day(*span, apia)) == [(date("2011-12-29"), 60), (date("2011-12-31"), 60)]


def test_sums_of_many_sessions() -> None:
    sums = sum_by_day(
        [
            (japan("2026-11-20 09:00:40"), japan("2026-11-20 12:00:20")),
            (japan("2026-11-20 13:00"), japan("2026-11-20 18:00")),
            (japan("2026-11-20 22:00"), japan("2026-11-21 01:00")),
            (japan("2026-11-22 09:00"), japan("2026-11-22 09:00:59")),
        ],
        TOKYO,
    )
    assert sums == {date("2026-11-20"): 180 + 300 + 120, date("2026-11-21"): 60}
    assert sums[date("2026-11-22")] == 0


def test_no_sessions_no_minutes() -> None:
    assert sum_by_day([], TOKYO) == {}


def test_an_end_before_the_start_is_refused_even_within_a_minute() -> None:
    start, end = japan("2026-11-20 09:00:30"), japan("2026-11-20 09:00:29.999999")
    with pytest.raises(ValueError, match="before it starts"):
        minutes_between(start, end)
    with pytest.raises(ValueError, match="before it starts"):
        list(minutes_by_day(start, end, TOKYO))


def test_a_time_without_zone_is_refused() -> None:
    naive = dt.datetime(2026, 11, 20, 9)  # noqa: DTZ001
    with pytest.raises(ValueError, match="without zone"):
        to_the_minute(naive)
    with pytest.raises(ValueError, match="without zone"):
        minutes_between(naive, naive)


def test_a_whole_minute_in_any_zone_is_given_in_utc() -> None:
    moment = dt.datetime(2026, 11, 20, 9, 0, 59, 999_999, tzinfo=zone_of("Australia/Lord_Howe"))
    assert to_the_minute(moment) == utc("2026-11-19 22:00")
    assert to_the_minute(moment).tzinfo is dt.UTC


class TestInstantsOf:
    """Each wall-clock time around a change of the clocks, back and forth."""

    @pytest.mark.parametrize(("name", "change"), CHANGES.items())
    def test_every_minute_around_a_change(self, name: str, change: str) -> None:
        zone = zoneinfo.ZoneInfo(name)
        middle = dt.datetime.fromisoformat(f"{change}+00:00")
        shown: dict[dt.datetime, list[dt.datetime]] = {}
        for n in range(-30 * 60, 30 * 60):
            instant = middle + n * MINUTE
            shown.setdefault(instant.astimezone(zone).replace(tzinfo=None), []).append(instant)
        first, last = min(shown) + 26 * HOUR, max(shown) - 26 * HOUR
        local = first
        while local < last:
            assert instants_of(local, zone) == shown.get(local, [])
            local += MINUTE

    def test_a_time_with_a_zone_is_an_instant_already(self) -> None:
        with pytest.raises(ValueError, match="zone already"):
            instants_of(japan("2026-11-20 09:00"), TOKYO)

    def test_the_end_of_the_calendar(self) -> None:
        with pytest.raises(OverflowError):
            instants_of(dt.datetime(1, 1, 1), TOKYO)  # noqa: DTZ001 it has no zone
