import datetime as dt
import zoneinfo

import pytest

from attendance.months import Month

TOKYO = zoneinfo.ZoneInfo("Asia/Tokyo")


def test_it_is_written_as_it_is_read() -> None:
    assert (str(Month.parse("2026-11")), Month.parse("2026-11").digits) == ("2026-11", "202611")
    assert str(Month.parse("0999-01")) == "0999-01"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026",
        "2026-1",
        "2026-00",
        "2026-13",
        "0000-01",
        "0001-01",
        "9999-12",
        "2026-11-01",
        "２０２６-１１",
        "2026-11\n",
    ],
)
def test_what_is_no_month(text: str) -> None:
    with pytest.raises(ValueError, match="no month"):
        Month.parse(text)


def test_its_neighbours() -> None:
    assert (Month(2026, 1).previous, Month(2026, 12).following) == (Month(2025, 12), Month(2027, 1))
    assert (Month(1, 2).previous, Month(9999, 11).following) == (None, None)
    assert Month(2025, 12) < Month(2026, 1)


@pytest.mark.parametrize(
    ("month", "days"), [("2026-02", 28), ("2028-02", 29), ("2026-11", 30), ("2026-12", 31)]
)
def test_its_days(month: str, days: int) -> None:
    found = Month.parse(month)
    assert [day.day for day in found.days] == list(range(1, days + 1))
    assert {Month.of(day) for day in found.days} == {found}
    assert found.first == found.days[0]


def test_it_begins_and_ends_where_the_tenant_is() -> None:
    bounds = Month(2026, 11).bounds(TOKYO)
    assert len(bounds) == 31
    assert bounds[0] == dt.datetime(2026, 10, 31, 15, tzinfo=dt.UTC)
    assert bounds[-1] == dt.datetime(2026, 11, 30, 15, tzinfo=dt.UTC)
    assert Month.at(bounds[0], TOKYO) == Month(2026, 11)
    assert Month.at(bounds[0] - dt.timedelta.resolution, TOKYO) == Month(2026, 10)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12"])
@pytest.mark.parametrize("month", [Month(1, 2), Month(9999, 11)])
def test_the_ends_of_time_can_be_shown_everywhere(month: Month, zone: str) -> None:
    assert len(month.bounds(zoneinfo.ZoneInfo(zone))) == len(month.days) + 1
