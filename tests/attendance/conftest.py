import datetime as dt
import threading
import zoneinfo
from collections.abc import Iterator

import pytest

from accounts.models import User
from tests.attendance.tampering import INCOMING, On, connect

# The zones in which these tests ask for the present month; their months end at different hours.
PRESENT_IN = ("Asia/Tokyo", "Pacific/Auckland")
LONGEST = dt.timedelta(minutes=3)  # no test takes that long


@pytest.fixture
def no_month_ends() -> None:
    """PostgreSQL's clock cannot be moved: shortly before a month ends, wait until the next one has begun."""
    for zone in PRESENT_IN:
        now = dt.datetime.now(zoneinfo.ZoneInfo(zone))
        soon = now.astimezone(dt.UTC) + LONGEST
        if soon.astimezone(now.tzinfo).month != now.month:
            threading.Event().wait(LONGEST.total_seconds())


@pytest.fixture
def owner() -> Iterator[On]:
    with connect("owner") as on:
        yield on


@pytest.fixture
def comes_in(employee: User) -> None:
    """Five work sessions of the employee came by the import."""
    with connect("import") as on:
        on.execute(INCOMING, [employee.pk])
