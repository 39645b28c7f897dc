"""The chain of an employee's history stays one chain, whoever writes at the same moment."""

import contextlib
import datetime as dt
import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.db import connection

from accounts.models import User
from attendance import chains
from attendance.models import WorkSessionHistory
from tenants import scope
from tests.concurrency.test_overlap_guarantee import until_blocked
from tests.conftest import EVERYTHING, MakeUser

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = 60  # nothing here takes that long
INSERT = "INSERT INTO work_sessions (user_id, start_time, end_time) VALUES (%s, %s, %s)"
On = psycopg.Connection[tuple[Any, ...]]


@contextlib.contextmanager
def another() -> Iterator[On]:
    """Open a connection of the application's role, which commits each statement, in a scope of everything."""
    given = connection.get_connection_params()
    keys = ("host", "port", "user", "password", "dbname")
    text = scope.text_of(EVERYTHING)
    with psycopg.connect(**{key: given[key] for key in keys if key in given}, autocommit=True) as on:
        on.execute("SELECT set_config('timerecord.scope', %s, false)", [text])
        on.execute("SELECT set_config('timerecord.seal', %s, false)", [scope.seal(text)])
        yield on


def insert(on: On, user: User, start: int, end: int) -> None:
    on.execute(INSERT, [user.pk, at(start), at(end)])


def both(on: On, *rows: tuple[User, int, int]) -> None:
    """Insert work sessions in one statement."""
    values = [value for user, start, end in rows for value in (user.pk, at(start), at(end))]
    on.execute(INSERT + ", (%s, %s, %s)" * (len(rows) - 1), values)


def at(hour: int) -> dt.datetime:
    return dt.datetime(2026, 11, 2, tzinfo=dt.UTC) + dt.timedelta(hours=hour)


def seqs(user: User) -> list[int]:
    return list(WorkSessionHistory.objects.filter(user=user).order_by("seq").values_list("seq", flat=True))


def test_who_comes_second_waits_and_goes_on_from_the_first(make_user: MakeUser) -> None:
    employee = make_user()
    with another() as one, another() as two, another() as watching, ThreadPoolExecutor(1) as pool:
        one.execute("BEGIN")
        insert(one, employee, 9, 10)
        going = pool.submit(insert, two, employee, 11, 12)
        until_blocked(two, one, watching, going)
        one.execute("COMMIT")
        assert going.exception(SECONDS) is None
    assert seqs(employee) == [1, 2]
    assert chains.verify().findings == []


def test_who_rolls_back_leaves_no_gap(make_user: MakeUser) -> None:
    employee = make_user()
    with another() as one, another() as two, another() as watching, ThreadPoolExecutor(1) as pool:
        one.execute("BEGIN")
        insert(one, employee, 9, 10)
        going = pool.submit(insert, two, employee, 11, 12)
        until_blocked(two, one, watching, going)
        one.execute("ROLLBACK")
        assert going.exception(SECONDS) is None
    assert seqs(employee) == [1]
    assert chains.verify().findings == []


def test_many_at_once_make_one_chain_each(make_user: MakeUser) -> None:
    people = [make_user() for _ in range(3)]
    n, writers = 20, 4

    def write(writer: int) -> None:
        with another() as on:
            for i in range(n):
                hour = 4 * (n * writer + i)
                # Every other statement is of all of them, in an order of its own.
                order = list(itertools.permutations(people))[(writer + i) % 6]
                values = [value for user in order for value in (user.pk, at(hour), at(hour + 1))]
                on.execute(INSERT + ", (%s, %s, %s)" * (len(order) - 1), values)
                on.execute(
                    "UPDATE work_sessions SET end_time = end_time + interval '1 minute'"
                    " WHERE start_time = %s",
                    [at(hour)],
                )

    with ThreadPoolExecutor(writers) as pool:
        assert list(pool.map(write, range(writers), timeout=SECONDS)) == [None] * writers
    for user in people:
        assert seqs(user) == list(range(1, 2 * n * writers + 1))
    assert chains.verify().findings == []


def test_statements_of_two_employees_in_opposite_order_do_not_wait_for_each_other(
    make_user: MakeUser,
) -> None:
    """Each locks its employees in the order of id, sessions that take no time included."""
    low, high = make_user(), make_user()
    with another() as one, another() as two, another() as watching, ThreadPoolExecutor(1) as pool:
        for on in (one, two):
            on.execute("BEGIN")
        # Takes no time of `low`: the guarantee against overlaps alone would lock `high` only.
        both(one, (high, 9, 10), (low, 9, 9))
        going = pool.submit(both, two, (low, 12, 13), (high, 12, 13))
        until_blocked(two, one, watching, going)
        insert(one, low, 14, 15)
        one.execute("COMMIT")
        assert going.exception(SECONDS) is None
        two.execute("COMMIT")
    assert seqs(low) == [1, 2, 3]
    assert seqs(high) == [1, 2]
    assert chains.verify().findings == []


def test_an_anchor_waits_for_who_is_writing_and_keeps_nobody_else_waiting(make_user: MakeUser) -> None:
    low, middle, high = make_user(), make_user(), make_user()
    assert middle.tenant is not None
    with another() as one, another() as two, another() as watching, ThreadPoolExecutor(1) as pool:
        two.execute("SET lock_timeout = '20s'")
        one.execute("BEGIN")
        insert(one, middle, 9, 10)

        def write_meanwhile() -> None:
            waits = "SELECT FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"
            end = time.monotonic() + SECONDS
            while not watching.execute(waits, [one.info.backend_pid]).fetchall():
                assert time.monotonic() < end
            try:
                both(two, (low, 9, 10), (high, 9, 10))
            finally:
                one.execute("COMMIT")

        going = pool.submit(write_meanwhile)
        with scope.everything("a test"):
            heads = chains.anchor(middle.tenant, "2999-12").heads
            assert going.exception(SECONDS) is None
            assert [(head.user_id, head.seq) for head in heads] == [
                (user.pk, 1) for user in (low, middle, high)
            ]
            # The transaction goes on, its locks do not.
            both(two, (low, 11, 12), (middle, 11, 12), (high, 11, 12))
