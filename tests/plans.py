"""How much of a table a query reads."""

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import connection

from accounts.models import User
from attendance.models import WorkSession


def works_daily(user: User, days: int, last: dt.datetime) -> None:
    """An hour on each of so many days, the last of them at an instant."""
    starts = [last - dt.timedelta(days=n) for n in reversed(range(days))]
    WorkSession.objects.bulk_create(
        WorkSession(user=user, start_time=start, end_time=start + dt.timedelta(hours=1)) for start in starts
    )


def most_rows_read(query: str, parameters: Sequence[Any] | Mapping[str, Any], table: str) -> int:
    """Run a query; return how many rows of a table the greediest step of its plan looked at.

    As the application's role, in the scope that is open. A small table of which nothing is known is read in
    other ways than a large one: it is to pass for one.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", parameters)
        (plan,) = cursor.fetchone()
    plan = json.loads(plan) if isinstance(plan, str) else plan
    read: list[int] = [
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in _nodes(plan[0]["Plan"])
        if node.get("Relation Name") == table
    ]
    return max(read)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)
