"""Records that are too old go while people clock in, correct and purge at the same moment."""

import datetime as dt
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from accounts.models import User
from attendance import chains, retention
from attendance.models import WorkSession, WorkSessionHistory
from attendance.retention import Amount, Owner
from tenants.database import SCHEMA
from tenants.models import Tenant
from tests.concurrency.racing import all_at_once
from tests.concurrency.test_history import SECONDS, On, another, insert
from tests.concurrency.test_overlap_guarantee import until_blocked
from tests.conftest import MakeUser

pytestmark = pytest.mark.django_db(transaction=True)

RUN = "20261101T000000Z-0000000"
REASON = "a test purges"
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 3)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is passed over for want of time: those who are at it come to an end."""
    monkeypatch.setattr(retention, "PATIENCE", f"{SECONDS}s")


def make_old(user: User, number: int = 10) -> list[int]:
    """Make work sessions of twenty years ago, which were recorded only now."""
    start = dt.datetime(2006, 11, 1, tzinfo=dt.UTC)
    return [
        WorkSession.objects.create(
            user=user, start_time=start + 24 * n * HOUR, end_time=start + (24 * n + 8) * HOUR
        ).pk
        for n in range(number)
    ]


def purging(tenant: Tenant, run: str) -> Callable[[Barrier], Amount]:
    def purge(barrier: Barrier) -> Amount:
        connection.ensure_connection()
        barrier.wait()
        return retention.purge(Owner.of(tenant), run, REASON)

    return purge


def left(user: User) -> int:
    return WorkSession.objects.filter(user=user, start_time__year=2006).count()


@pytest.mark.usefixtures("few_at_once", "patient")
def test_two_purges_at_once_remove_each_record_once(tenant: Tenant, make_user: MakeUser) -> None:
    people = [make_user() for _ in range(4)]
    ids = {pk for user in people for pk in make_old(user)}
    amounts = all_at_once([purging(tenant, f"{RUN}{n}") for n in range(3)])
    assert sum(amount.work_sessions for amount in amounts) == len(ids)
    assert [amount.left for amount in amounts] == [{}, {}, {}]
    assert [left(user) for user in people] == [0, 0, 0, 0]
    told = [row.after for row in WorkSessionHistory.objects.filter(operation="purge")]
    assert sum(after["sessions"] for after in told if after) == len(ids)
    assert chains.verify().findings == []


@pytest.mark.usefixtures("few_at_once", "patient")
def test_people_clock_in_meanwhile(tenant: Tenant, make_user: MakeUser) -> None:
    people = [make_user() for _ in range(3)]
    for user in people:
        make_old(user, 20)

    def punching(user: User) -> Callable[[Barrier], Amount]:
        def punch(barrier: Barrier) -> Amount:
            with another() as on:
                barrier.wait()
                for n in range(15):
                    insert(on, user, 3 * n, 3 * n + 1)
                    on.execute(
                        "UPDATE work_sessions SET end_time = end_time + interval '1 minute'"
                        " WHERE user_id = %s AND start_time > '2026-01-01'",
                        [user.pk],
                    )
            return Amount()

        return punch

    all_at_once([purging(tenant, f"{RUN}1"), purging(tenant, f"{RUN}2"), *map(punching, people)])
    assert [left(user) for user in people] == [0, 0, 0]
    assert WorkSession.objects.count() == 45
    assert chains.verify().findings == []


def purge_once(on: On, user: User) -> dict[str, Any] | None:
    row = on.execute("SELECT purge_work_sessions(%s, 'x', 100)::text", [user.pk]).fetchone()
    assert row
    return json.loads(row[0]) if row[0] else None


def correct(on: On, session: int) -> None:
    on.execute("UPDATE work_sessions SET end_time = start_time WHERE id = %s", [session])


def killed(on: On, user: User) -> None:
    """Purge on a connection that somebody else ends."""
    with pytest.raises(psycopg.OperationalError):
        purge_once(on, user)


def test_one_that_somebody_is_correcting_stays_and_neither_waits_for_the_other_in_a_circle(
    make_user: MakeUser,
) -> None:
    employee = make_user()
    ids = make_old(employee, 3)
    with another() as one, another() as two, another() as watching, ThreadPoolExecutor(1) as pool:
        # Holds the row, and will want the employee.
        one.execute("BEGIN")
        one.execute("SELECT FROM work_sessions WHERE id = %s FOR UPDATE", [ids[1]])
        went = purge_once(two, employee)
        assert went
        assert went["ids"] == f"{{[{ids[0]},{ids[0] + 1}),[{ids[2]},{ids[2] + 1})}}"
        two.execute("BEGIN")
        two.execute("SELECT FROM users WHERE id = %s FOR NO KEY UPDATE", [employee.pk])
        going = pool.submit(correct, one, ids[1])
        until_blocked(one, two, watching, going)
        assert purge_once(two, employee) is None
        two.execute("COMMIT")
        assert going.exception(SECONDS) is None
        one.execute("COMMIT")
        went = purge_once(two, employee)
    assert went
    assert went["sessions"] == 1
    assert left(employee) == 0
    assert chains.verify().findings == []


def test_what_somebody_holds_keeps_back_nothing_else_and_is_named(
    tenant: Tenant, make_user: MakeUser, few_at_once: None
) -> None:
    employee = make_user()
    ids = make_old(employee)
    with another() as on:
        on.execute("BEGIN")
        on.execute("SELECT FROM work_sessions WHERE id = %s FOR UPDATE", [ids[1]])
        amount = retention.purge(Owner.of(tenant), f"{RUN}0", REASON)
        on.execute("COMMIT")
    assert (left(employee), list(amount.left)) == (1, [employee.pk])
    assert retention.purge(Owner.of(tenant), f"{RUN}1", REASON).left == {}
    assert left(employee) == 0
    assert chains.verify().findings == []


def test_whom_somebody_keeps_locked_is_named_and_goes_the_next_time(
    tenant: Tenant, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PATIENCE", "50ms")
    busy, other = make_user(), make_user()
    for user in (busy, other):
        make_old(user)
    with another() as on:
        on.execute("BEGIN")
        on.execute("SELECT FROM users WHERE id = %s FOR NO KEY UPDATE", [busy.pk])
        amount = retention.purge(Owner.of(tenant), f"{RUN}0", REASON)
        on.execute("COMMIT")
    assert list(amount.left) == [busy.pk]
    assert (left(busy), left(other)) == (10, 0)
    assert retention.purge(Owner.of(tenant), f"{RUN}1", REASON).left == {}
    assert left(busy) == 0
    assert chains.verify().findings == []


def test_killed_in_the_middle_of_a_transaction_nothing_of_it_is_left(make_user: MakeUser) -> None:
    employee = make_user()
    ids = make_old(employee)
    given = {"dbname": connection.settings_dict["NAME"], "options": f"-c search_path={SCHEMA}"}
    last = WorkSessionHistory.objects.filter(user=employee).count() + 1
    with (
        psycopg.connect(settings.DATABASE_ADMIN_URL, autocommit=True, **given) as administrator,
        another() as on,
        another() as watching,
        ThreadPoolExecutor(1) as pool,
    ):
        # The last thing that a purge does is to write a row with this number: there it waits, and is killed.
        administrator.execute("BEGIN")
        administrator.execute(
            "INSERT INTO work_session_history (user_id, seq, operation, at, door, previous, digest)"
            " VALUES (%s, %s, 'insert', now(), 'clock', '', '')",
            [employee.pk, last],
        )
        going = pool.submit(killed, on, employee)
        until_blocked(on, administrator, watching, going)
        administrator.execute("SELECT pg_terminate_backend(%s)", [on.info.backend_pid])
        assert going.exception(SECONDS) is None
        administrator.execute("ROLLBACK")
    assert set(WorkSession.objects.values_list("pk", flat=True)) == set(ids)
    assert not WorkSessionHistory.objects.filter(operation="purge").exists()
    assert chains.verify().findings == []
    with another() as again:
        went = purge_once(again, employee)
    assert went
    assert went["sessions"] == len(ids)
    assert chains.verify().findings == []
