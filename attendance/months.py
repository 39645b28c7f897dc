"""Calendar months, whose days begin and end where a tenant is: pure, like calculations."""

import dataclasses
import datetime as dt
import re
import zoneinfo
from functools import cached_property

from attendance.calculations import DAY, day_start, work_date

WRITTEN = re.compile(r"([0-9]{4})-([0-9]{2})", re.ASCII)


@dataclasses.dataclass(frozen=True, order=True)
class Month:
    """A month of the calendar; ValueError for one that the clocks of some zone could not show."""

    year: int
    number: int

    def __post_init__(self) -> None:
        """Keep away from the ends of Python's calendar, as the table of work sessions does."""
        if not (1 <= self.number <= 12 and (1, 2) <= (self.year, self.number) <= (9999, 11)):
            raise ValueError(f"no month: {self.year}-{self.number}")

    @classmethod
    def parse(cls, text: str) -> "Month":
        """Return the month that is written as 2026-11; ValueError for anything else."""
        if not (found := WRITTEN.fullmatch(text)):
            raise ValueError(f"no month: {text!r}")
        return cls(int(found[1]), int(found[2]))

    @classmethod
    def of(cls, day: dt.date) -> "Month":
        """Return the month of a day."""
        return cls(day.year, day.month)

    @classmethod
    def at(cls, moment: dt.datetime, zone: zoneinfo.ZoneInfo) -> "Month":
        """Return the month that an instant's work date belongs to in a zone."""
        return cls.of(work_date(moment, zone))

    def __str__(self) -> str:
        """Write it as `parse` reads it."""
        return f"{self.year:04}-{self.number:02}"

    @property
    def digits(self) -> str:
        """Write it as file names have it: 202611."""
        return f"{self.year:04}{self.number:02}"

    @cached_property
    def first(self) -> dt.date:
        """The first day."""
        return dt.date(self.year, self.number, 1)

    @property
    def previous(self) -> "Month | None":
        """The month before; None at the beginning of time."""
        return self._beside(-1)

    @property
    def following(self) -> "Month | None":
        """The month after; None at the end of time."""
        return self._beside(1)

    @cached_property
    def days(self) -> list[dt.date]:
        """All days, in order."""
        last = (self.first + 31 * DAY).replace(day=1) - DAY
        return [self.first + n * DAY for n in range(last.day)]

    def bounds(self, zone: zoneinfo.ZoneInfo) -> list[dt.datetime]:
        """Return the instants, in UTC, at which its days begin in a zone, and the one at which it ends."""
        return [day_start(day, zone) for day in (*self.days, self.days[-1] + DAY)]

    def _beside(self, step: int) -> "Month | None":
        year, number = divmod(self.year * 12 + self.number - 1 + step, 12)
        try:
            return Month(year, number + 1)
        except ValueError:
            return None
