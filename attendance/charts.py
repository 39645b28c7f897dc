"""Charts that the server draws: geometry only, the template writes the SVG."""

import dataclasses
import math
from collections.abc import Sequence

from attendance import words
from attendance.reports import DaySummary

WIDTH, HEIGHT = 320, 96
LEFT, BOTTOM, TOP = 22, 14, 6
GAP = 2
AXIS_GAP = 4
DIGIT_WIDTH = 6
LEAST_HOURS = 8
LABEL_WIDTH = 30


@dataclasses.dataclass(frozen=True)
class Label:
    """A date below its bar, kept within the chart by the side from which it extends."""

    x: str
    anchor: str
    text: str


@dataclasses.dataclass(frozen=True)
class GridLine:
    """A horizontal line and the hours that it stands for."""

    y: str
    hours: int


@dataclasses.dataclass(frozen=True)
class DayChart:
    """Hours by day, the earliest day at the left.

    All bars of a kind are one path: thirty elements would cost more than all else on the page.
    """

    weekdays: str
    weekends: str
    running: str
    labels: list[Label]
    grid: list[GridLine]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    axis_x: int = LEFT - AXIS_GAP
    label_y: int = HEIGHT - 2


def day_chart(days: Sequence[DaySummary]) -> DayChart:
    """Return the chart of some days, given in the order of their dates."""
    baseline = HEIGHT - BOTTOM
    most = max((day.minutes for day in days), default=0)
    step = _step(most)
    top_hours = max(LEAST_HOURS, step * math.ceil(most / 60 / step))
    per_minute = (baseline - TOP) / (top_hours * 60)
    # Two digits have their place; a tenant's hours have more.
    axis = LEFT + DIGIT_WIDTH * max(0, len(str(top_hours)) - 2)
    slot = (WIDTH - axis) / max(1, len(days))

    paths: dict[str, list[str]] = {"weekdays": [], "weekends": [], "running": []}
    labels = []
    for n, day in enumerate(days):
        left, right = axis + n * slot + GAP / 2, axis + (n + 1) * slot - GAP / 2
        if day.minutes:
            kind = "running" if day.is_running else "weekends" if day.is_weekend else "weekdays"
            top = baseline - day.minutes * per_minute
            paths[kind].append(f"M{left:.1f} {baseline}V{top:.1f}H{right:.1f}V{baseline}z")
        if day.date.weekday() == 0:
            ends = left > WIDTH - LABEL_WIDTH
            place = f"{WIDTH if ends else left:.1f}"
            labels.append(Label(place, "end" if ends else "start", words.axis_day(day.date)))

    return DayChart(
        weekdays="".join(paths["weekdays"]),
        weekends="".join(paths["weekends"]),
        running="".join(paths["running"]),
        labels=labels,
        grid=[
            GridLine(f"{baseline - hours * 60 * per_minute:.1f}", hours)
            for hours in range(0, top_hours + 1, step)
        ],
        left=axis,
        axis_x=axis - AXIS_GAP,
    )


def _step(most: int) -> int:
    """Return the hours from one line to the next: parts of a day for one person, round numbers for many."""
    if most <= 12 * 60:
        return 4
    if most <= 40 * 60:
        return 8
    unit: int = 10 ** (len(str(most // (4 * 60))) - 1)
    return next(unit * n for n in (1, 2, 5, 10) if unit * n * 4 * 60 >= most)
