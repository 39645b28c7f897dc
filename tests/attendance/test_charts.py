import datetime as dt
import itertools
import re

import pytest
from django.utils import translation

from attendance.charts import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, DayChart, day_chart
from attendance.reports import DaySummary

FIRST = dt.date(2026, 10, 22)  # a Thursday
BASELINE = HEIGHT - BOTTOM
PIECE = re.compile(r"M([\d.]+) ([\d.]+)V([\d.]+)H([\d.]+)V([\d.]+)z")

Bar = tuple[float, float, float]  # left, right, top


def days(*minutes: int, running: int | None = None) -> list[DaySummary]:
    return [
        DaySummary(FIRST + dt.timedelta(days=n), m, is_running=n == running) for n, m in enumerate(minutes)
    ]


def bars(path: str) -> list[Bar]:
    """Read a path that is nothing but rectangles that stand on the baseline."""
    assert PIECE.sub("", path) == ""
    found = [tuple(map(float, piece)) for piece in PIECE.findall(path)]
    assert {bottom for _, start, _, _, end in found for bottom in (start, end)} <= {BASELINE}
    return [(left, right, top) for left, _, top, right, _ in found]


def all_bars(chart: DayChart) -> list[Bar]:
    return sorted(bars(chart.weekdays) + bars(chart.weekends) + bars(chart.running))


def test_each_day_has_its_place_the_earliest_at_the_left() -> None:
    chart = day_chart(days(480, 0, 240, 120, 60, running=4))
    slot = (WIDTH - LEFT) / 5
    assert bars(chart.weekdays) == [
        pytest.approx((LEFT + 1, LEFT + slot - 1, TOP), abs=0.05),
    ]
    assert bars(chart.weekends) == [
        pytest.approx((LEFT + 2 * slot + 1, LEFT + 3 * slot - 1, (TOP + BASELINE) / 2), abs=0.05),
        pytest.approx((LEFT + 3 * slot + 1, LEFT + 4 * slot - 1, BASELINE - (BASELINE - TOP) / 4), abs=0.05),
    ]
    assert bars(chart.running) == [
        pytest.approx((LEFT + 4 * slot + 1, WIDTH - 1, BASELINE - (BASELINE - TOP) / 8), abs=0.05),
    ]


@pytest.mark.parametrize(
    ("most", "hours"),
    [
        (0, [0, 4, 8]),
        (480, [0, 4, 8]),
        (481, [0, 4, 8, 12]),
        (720, [0, 4, 8, 12]),
        (721, [0, 8, 16]),
        (1440, [0, 8, 16, 24]),
        (1500, [0, 8, 16, 24, 32]),
    ],
)
def test_the_scale_fits_the_longest_day(most: int, hours: list[int]) -> None:
    chart = day_chart(days(60, most))
    assert [line.hours for line in chart.grid] == hours
    assert (float(chart.grid[0].y), float(chart.grid[-1].y)) == (BASELINE, TOP)
    assert min(top for _, _, top in all_bars(chart)) == pytest.approx(
        BASELINE - max(most, 60) / 60 * (BASELINE - TOP) / hours[-1], abs=0.05
    )


@pytest.mark.parametrize("count", [1, 7, 30, 31])
def test_nothing_overlaps_or_leaves_the_chart(count: int) -> None:
    found = all_bars(day_chart(days(*[600] * count)))
    assert len(found) == count
    assert found[0][0] >= LEFT
    assert found[-1][1] <= WIDTH
    assert all(one[1] < other[0] for one, other in itertools.pairwise(found))


def test_mondays_are_labelled_where_their_bar_begins() -> None:
    with translation.override("ja"):
        labels = day_chart(days(*[0] * 30)).labels
    slot = (WIDTH - LEFT) / 30
    assert [label.text for label in labels] == ["10/26", "11/2", "11/9", "11/16"]
    with translation.override("en"):
        assert day_chart(days(*[0] * 30)).labels[1].text == "2 Nov"
    assert {label.anchor for label in labels} == {"start"}
    begin = [LEFT + n * slot + 1 for n in (4, 11, 18, 25)]
    assert [float(label.x) for label in labels] == pytest.approx(begin, abs=0.05)


def test_a_label_near_the_right_edge_grows_to_the_left() -> None:
    with translation.override("ja"):
        last = day_chart(days(*[0] * 33)).labels[-1]
    assert (last.text, last.x, last.anchor) == ("11/23", f"{WIDTH:.1f}", "end")


def test_no_days_no_bars() -> None:
    chart = day_chart([])
    assert all_bars(chart) == []
    assert chart.labels == []
    assert [line.hours for line in chart.grid] == [0, 4, 8]


@pytest.mark.parametrize(
    ("hours", "lines"),
    [
        (40, [0, 8, 16, 24, 32, 40]),
        (41, [0, 20, 40, 60]),
        (480, [0, 200, 400, 600]),
        (800, [0, 200, 400, 600, 800]),
        (16_000, [0, 5000, 10_000, 15_000, 20_000]),
        (44_640, [0, 20_000, 40_000, 60_000]),
    ],
)
def test_many_peoples_hours_have_round_lines_and_room_for_their_digits(hours: int, lines: list[int]) -> None:
    chart = day_chart(days(*[hours * 60] * 31))
    assert [line.hours for line in chart.grid] == lines
    found = all_bars(chart)
    assert found[0][0] == pytest.approx(chart.left + 1, abs=0.05)
    assert found[-1][1] <= WIDTH
    assert TOP <= found[0][2] == pytest.approx(BASELINE - hours / lines[-1] * (BASELINE - TOP), abs=0.05)
    # A digit is six wide, at the least.
    assert chart.axis_x >= 6 * (len(str(lines[-1])) - 2) + 18
    assert chart.axis_x < chart.left
