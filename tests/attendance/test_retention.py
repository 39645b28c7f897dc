"""What is older than a tenant's retention goes, nothing else does, and both can be proven afterwards."""

import datetime as dt
import json
import re
import zoneinfo
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, IntegrityError, ProgrammingError, connection, transaction

from accounts.models import AuditEvent, User
from attendance import chains, history, retention
from attendance.calculations import day_start
from attendance.import_models import ImportSource, QuarantinedRow
from attendance.models import WorkSession, WorkSessionHistory
from attendance.retention import Owner
from tenants import scope
from tenants.models import Tenant
from tests.attendance.tampering import REWRITE, On, connect, found, no_triggers
from tests.conftest import MakeUser

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_month_ends")]

JAPAN, AUCKLAND = zoneinfo.ZoneInfo("Asia/Tokyo"), zoneinfo.ZoneInfo("Pacific/Auckland")
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
REASON = "a test purges"
# As if each row had been written when its work session ended, or when it came.
AGE = """
    UPDATE work_session_history SET at = (
        SELECT max(coalesce(
            h.after ->> 'end_time', h.after ->> 'start_time',
            h.before ->> 'end_time', h.before ->> 'start_time'
        )::timestamptz)
        FROM work_session_history AS h
        WHERE h.user_id = {user} AND h.seq <= work_session_history.seq
    )
    WHERE user_id = {user} AND operation <> 'import'
"""


def edge(months: int = 60, zone: zoneinfo.ZoneInfo = JAPAN) -> dt.datetime:
    """Return the instant before which work sessions go, computed here and not in the database."""
    today = dt.datetime.now(zone).date()
    month = today.year * 12 + today.month - 1 - months
    return day_start(dt.date(month // 12, month % 12 + 1, 1), zone)


def aged(owner: On, *users: User) -> None:
    for user in users:
        owner.execute(AGE.format(user=user.pk))
        owner.execute(REWRITE.format(user=user.pk))


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("purge_expired", *arguments, stdout=output)
    return output.getvalue()


def confirmed(*arguments: str) -> str:
    return run("--confirm", *arguments)


def removed(*arguments: str) -> int:
    """Return how many work sessions went, of all tenants."""
    return sum(int(number) for number in re.findall(r"removed (\d+) work sessions", confirmed(*arguments)))


def left(user: User) -> set[int]:
    return set(WorkSession.objects.filter(user=user).values_list("pk", flat=True))


def seqs(user: User) -> list[int]:
    return list(WorkSessionHistory.objects.filter(user=user).order_by("seq").values_list("seq", flat=True))


MakeAt = Callable[..., WorkSession]


@pytest.fixture
def at(employee: User) -> MakeAt:
    """Make a work session from some time after the edge, negative for before it, for so many hours."""

    def make(
        after_edge: dt.timedelta, hours: float = 8, *, user: User | None = None, **fields: Any
    ) -> WorkSession:
        start = edge() + after_edge
        given = {"end_time": start + hours * HOUR, **fields}
        return WorkSession.objects.create(user=user or employee, start_time=start, **given)

    return make


@pytest.fixture
def old_and_young(at: MakeAt, owner: On, employee: User) -> tuple[list[WorkSession], list[WorkSession]]:
    """Three work sessions before the edge, one of them corrected then, and two after: seven rows."""
    old = [at(-60 * DAY), at(-40 * DAY), at(-20 * DAY)]
    for session in (old[1],):
        assert session.end_time
        WorkSession.objects.filter(pk=session.pk).update(end_time=session.end_time + HOUR)
    young = [at(5 * DAY), at(6 * DAY)]
    assert young[0].end_time
    WorkSession.objects.filter(pk=young[0].pk).update(end_time=young[0].end_time + HOUR)
    aged(owner, employee)
    return old, young


# --- from when on ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "zone", "months", "expected"),
    [
        # A month of 31 days before, a leap day, a year's end: months are counted from the first to the first.
        ("2026-11-23T00:00Z", "Asia/Tokyo", 60, "2021-10-31T15:00Z"),
        ("2024-02-29T12:00Z", "Asia/Tokyo", 60, "2019-01-31T15:00Z"),
        ("2025-02-28T12:00Z", "Asia/Tokyo", 36, "2022-01-31T15:00Z"),
        ("2024-03-31T12:00Z", "Asia/Tokyo", 37, "2021-01-31T15:00Z"),
        ("2029-03-01T00:00Z", "Asia/Tokyo", 60, "2024-02-29T15:00Z"),
        ("2026-01-01T00:00Z", "Asia/Tokyo", 60, "2020-12-31T15:00Z"),
        # The last and the first microsecond of a month, in the tenant's zone.
        ("2026-10-31T14:59:59.999999Z", "Asia/Tokyo", 60, "2021-09-30T15:00Z"),
        ("2026-10-31T15:00Z", "Asia/Tokyo", 60, "2021-10-31T15:00Z"),
        ("2026-11-01T03:59:59Z", "America/New_York", 60, "2021-10-01T04:00Z"),
        ("2026-11-01T04:00Z", "America/New_York", 60, "2021-11-01T04:00Z"),
        # Another offset then than now.
        ("2026-07-10T00:00Z", "Europe/London", 60, "2021-06-30T23:00Z"),
        ("2026-07-10T00:00Z", "Europe/London", 64, "2021-03-01T00:00Z"),
        ("2026-07-10T00:00Z", "Asia/Kolkata", 60, "2021-06-30T18:30Z"),
        # On 1 November 2020 Havana's clocks went back from one o'clock to midnight: the first one counts.
        ("2025-11-15T00:00Z", "America/Havana", 60, "2020-11-01T04:00Z"),
        # On 1 October 2017 Asunción's clocks went from midnight to one o'clock.
        ("2022-10-15T12:00Z", "America/Asuncion", 60, "2017-10-01T04:00Z"),
    ],
)
def test_the_edge(at: str, zone: str, months: int, expected: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT retention_edge(%s, %s, %s)", [at, zone, months])
        (found,) = cursor.fetchone()
    assert found == dt.datetime.fromisoformat(expected)
    assert found == day_start(found.astimezone(zoneinfo.ZoneInfo(zone)).date(), zoneinfo.ZoneInfo(zone))


def test_what_ends_at_the_edge_goes_and_what_reaches_across_stays(
    at: MakeAt, employee: User, owner: On, tenant: Tenant
) -> None:
    microsecond = dt.timedelta(microseconds=1)
    goes = [
        at(-40 * DAY),
        at(-3 * HOUR, 0),
        at(-2 * HOUR, 0, end_time=None, end_unknown=True),
        at(-HOUR, 1),
        at(-microsecond, 0),
    ]
    stays = [at(dt.timedelta(), 0), at(HOUR, 1)]
    aged(owner, employee)
    assert f"before {edge():%Y-%m-%d %H:%M} UTC: 5 work sessions of 1 employees" in run()
    assert removed() == 5
    assert left(employee) == {session.pk for session in stays}
    # What was written at the edge itself stays for another month, like the correction of a day later.
    kept = WorkSessionHistory.objects.filter(work_session_id__in=[s.pk for s in goes]).order_by("seq")
    assert [row.work_session_id for row in kept] == [goes[3].pk, goes[4].pk]
    assert found() == []


def test_one_that_reaches_across_the_edge_stays_with_its_history(
    at: MakeAt, employee: User, owner: On
) -> None:
    across = at(-8 * HOUR, 8.5)
    aged(owner, employee)
    assert removed() == 0
    assert left(employee) == {across.pk}
    assert seqs(employee) == [1]


def test_an_open_one_stays_however_old(at: MakeAt, employee: User, owner: On) -> None:
    at(-900 * DAY)
    open_one = at(-800 * DAY, end_time=None)
    aged(owner, employee)
    confirmed()
    assert left(employee) == {open_one.pk}
    assert found() == []


def test_days_are_the_tenants(at: MakeAt, employee: User, owner: On, tenant: Tenant) -> None:
    """What is before midnight in Japan is after it in New Zealand."""
    at(-2 * HOUR, 2)
    aged(owner, employee)
    # In the last hours of Japan's month Auckland is in the next one: the edge of the same month is wanted.
    months = 61 if edge(zone=AUCKLAND) > edge() else 60
    assert edge() - edge(months, AUCKLAND) in (3 * HOUR, 4 * HOUR)
    here = Tenant.objects.filter(pk=tenant.pk)
    here.update(time_zone=AUCKLAND.key, retention_months=months)
    assert removed() == 0
    here.update(time_zone=JAPAN.key, retention_months=60)
    assert removed() == 1


def test_a_longer_retention_keeps_more(at: MakeAt, employee: User, owner: On, tenant: Tenant) -> None:
    at(edge(72) - edge() - DAY)
    kept = at(edge(72) - edge())
    aged(owner, employee)
    output = StringIO()
    options = {"tenant": tenant.tenant_uid, "months": 72, "reason": "their auditor asks for it"}
    call_command("set_retention", **options, stdout=output)
    assert output.getvalue() == f"{tenant.tenant_uid}: 60 months before, 72 months now.\n"
    event = AuditEvent.objects.get(kind="tenants.update")
    assert (event.before, event.after) == ({"retention_months": 60}, {"retention_months": 72})
    assert event.reason == "their auditor asks for it"
    confirmed()
    assert left(employee) == {kept.pk}


@pytest.mark.parametrize(("months", "reason"), [(35, "x"), (1201, "x"), (72, " ")])
def test_a_retention_that_is_not_to_be(tenant: Tenant, months: int, reason: str) -> None:
    with pytest.raises(CommandError, match=r"36 to 1200 months|Say why"):
        call_command("set_retention", tenant=tenant.tenant_uid, months=months, reason=reason)
    tenant.refresh_from_db()
    assert tenant.retention_months == 60


def test_the_database_keeps_the_least_that_the_law_asks_for(tenant: Tenant, owner: On) -> None:
    with pytest.raises(IntegrityError, match="tenants_retention_months_check"), transaction.atomic():
        Tenant.objects.filter(pk=tenant.pk).update(retention_months=35)


def test_a_tenants_admin_lengthens_and_does_not_shorten(tenant: Tenant, make_user: MakeUser) -> None:
    admin = make_user(role="tenant_admin")
    reach = scope.Scope(
        reach=scope.Reach.TENANT, door=scope.Door.ADMIN, tenant=tenant.pk, user=admin.pk, reason="x"
    )
    with scope.enter(reach):
        assert Tenant.objects.in_scope().update(retention_months=72) == 1
        with pytest.raises(ProgrammingError, match="only the operator"), transaction.atomic():
            Tenant.objects.in_scope().update(retention_months=71)
    tenant.refresh_from_db()
    assert tenant.retention_months == 72


def test_a_zone_that_there_is_not_keeps_that_tenant_only(
    at: MakeAt, employee: User, make_user: MakeUser, owner: On, other_tenant: Tenant, tenant: Tenant
) -> None:
    other = make_user(tenant=other_tenant)
    kept, _goes = at(-40 * DAY), at(-40 * DAY, user=other)
    aged(owner, employee, other)
    Tenant.objects.filter(pk=tenant.pk).update(time_zone="Asia/Edo")
    with pytest.raises(CommandError, match=f"It failed with {tenant.tenant_uid}"):
        confirmed()
    assert (left(employee), left(other)) == ({kept.pk}, set())


# --- what goes, and what is left of it ----------------------------------------------------------------------


def test_nothing_goes_without_being_confirmed(
    old_and_young: tuple[list[WorkSession], list[WorkSession]], employee: User, tenant: Tenant
) -> None:
    before = (left(employee), seqs(employee), AuditEvent.objects.count())
    for arguments in ([], ["--dry-run"]):
        said = run(*arguments)
        first, last = (f"{(edge() - days * DAY).astimezone(JAPAN):%Y-%m}" for days in (60, 20))
        assert f"{tenant.tenant_uid}: kept for 60 months" in said
        assert f"3 work sessions of 1 employees ({first} to {last}), 0 events, 0 refused rows" in said
        assert said.endswith("Nothing was removed. With --confirm it is.\n")
    assert (left(employee), seqs(employee), AuditEvent.objects.count()) == before
    with pytest.raises(CommandError):
        run("--dry-run", "--confirm")


def test_what_is_old_goes_and_the_chain_goes_on(
    old_and_young: tuple[list[WorkSession], list[WorkSession]], employee: User, at: MakeAt
) -> None:
    old, young = old_and_young
    said = confirmed()
    assert "removed 3 work sessions of 1 employees" in said
    assert "; 4 rows of history" in said
    assert left(employee) == {session.pk for session in young}
    assert seqs(employee) == [5, 6, 7, 8]
    row = WorkSessionHistory.objects.get(user=employee, operation="purge")
    assert row.after
    assert (row.seq, row.door, row.after["sessions"], row.after["rows"]) == (8, "command", 3, 4)
    assert (row.after["first_id"], row.after["last_id"]) == (old[0].pk, old[2].pk)
    assert "purge_expired" in str(row.reason)
    assert found() == []
    # What is gone has no page, what stays has its own.
    assert history.of_session(old[1].pk) is None
    page = history.of_session(young[0].pk)
    assert page
    assert [change.operation for change in page.changes] == ["insert", "update"]
    # Life goes on, and a second time there is nothing to do.
    at(50 * DAY)
    assert removed() == 0
    assert seqs(employee) == [5, 6, 7, 8, 9]
    assert found() == []


def test_no_row_tells_the_hours_that_went(
    old_and_young: tuple[list[WorkSession], list[WorkSession]],
) -> None:
    old, _young = old_and_young
    hours = {f"{moment:%Y-%m-%dT%H:%M}" for s in old for moment in (s.start_time, s.end_time) if moment}

    def told() -> str:
        rows = WorkSessionHistory.objects.values_list("before", "after")
        return json.dumps([{k: v for k, v in (after or {}).items() if k != "gaps"} for _b, after in rows])

    assert all(hour in told() for hour in hours)
    confirmed()
    assert not any(hour in told() for hour in hours)


def test_a_deleted_ones_history_goes_too(at: MakeAt, employee: User, owner: On) -> None:
    at(-40 * DAY).delete()
    kept = at(3 * DAY)
    at(4 * DAY).delete()
    aged(owner, employee)
    confirmed()
    assert left(employee) == {kept.pk}
    assert seqs(employee) == [3, 4, 5, 6]
    assert found() == []


def test_nobody_gets_rid_of_a_young_one_by_moving_it_into_the_past(
    at: MakeAt, employee: User, owner: On
) -> None:
    young = at(10 * DAY)
    WorkSession.objects.filter(pk=young.pk).update(
        start_time=edge() - 9 * DAY, end_time=edge() - 9 * DAY + 8 * HOUR
    )
    deleted = at(12 * DAY)
    WorkSession.objects.filter(pk=deleted.pk).update(
        start_time=edge() - 7 * DAY, end_time=edge() - 7 * DAY + HOUR
    )
    deleted.delete()
    owner.execute("UPDATE work_session_history SET at = '2001-01-01'")  # not for want of age
    owner.execute(REWRITE.format(user=employee.pk))
    assert removed() == 0
    assert seqs(employee) == [1, 2, 3, 4, 5]


def test_a_young_row_about_an_old_one_stays_until_it_is_old(at: MakeAt, employee: User, owner: On) -> None:
    """The record of a late correction is a record of its own."""
    old, deleted = at(-40 * DAY), at(-30 * DAY)
    aged(owner, employee)
    WorkSession.objects.filter(pk=old.pk).update(end_time=old.start_time + HOUR)
    deleted.delete()
    assert removed() == 1
    assert left(employee) == set()
    rows = WorkSessionHistory.objects.filter(user=employee).order_by("seq")
    assert [(row.seq, row.operation) for row in rows] == [(3, "update"), (4, "delete"), (5, "purge")]
    assert found() == []
    # Once they are old as well, they go.
    owner.execute(
        "UPDATE work_session_history SET at = %s WHERE operation <> 'purge'", [edge() - dt.timedelta(hours=1)]
    )
    rewrite_after_purge(owner, employee)
    confirmed()
    assert [row.operation for row in rows.all()] == ["purge", "purge"]
    assert found() == []


def rewrite_after_purge(owner: On, employee: User) -> None:
    """Make the digests of a chain with gaps anew, as an owner would who knows how."""
    owner.execute(
        """
        DO $$
        DECLARE
            entry work_session_history;
            gap jsonb;
        BEGIN
            FOR entry IN SELECT * FROM work_session_history WHERE user_id = %(user)s ORDER BY seq LOOP
                SELECT g INTO gap
                FROM work_session_history h, jsonb_array_elements(h.after -> 'gaps') AS g
                WHERE h.user_id = entry.user_id AND h.operation = 'purge' AND (g ->> 1)::int = entry.seq - 1;
                entry.previous := coalesce(
                    decode(gap ->> 2, 'hex'),
                    (
                        SELECT digest FROM work_session_history
                        WHERE user_id = entry.user_id AND seq = entry.seq - 1
                    ),
                    decode(repeat('00', 32), 'hex')
                );
                UPDATE work_session_history
                SET previous = entry.previous, digest = work_session_history_digest(entry)
                WHERE id = entry.id;
            END LOOP;
        END $$
        """.replace("%(user)s", str(employee.pk))
    )


def test_events_and_refused_rows_go_by_their_own_time(
    tenant: Tenant, other_tenant: Tenant, employee: User, owner: On
) -> None:
    source = ImportSource.objects.create(digest="d" * 64, file_name="old.db", generation=3)
    gone = 987_654_321
    for whose in (tenant.pk, other_tenant.pk, gone, None):
        for n, moment in enumerate((edge() - HOUR, edge())):
            QuarantinedRow.objects.create(
                source=source, tenant=whose, table_name="users", row={"n": n}, reason_code=f"{whose}",
                digest=bytes([n]), created_at=moment,
            )  # fmt: skip
            owner.execute(
                "INSERT INTO audit_events (at, tenant_id, kind, door) VALUES (%s, %s, 'old', 'clock')",
                [moment, whose],
            )
    said = confirmed("--tenant", tenant.tenant_uid)
    assert "1 events, 1 refused rows of imports" in said
    assert AuditEvent.objects.filter(kind="old").count() == 7
    assert set(AuditEvent.objects.filter(kind="old", tenant_id=tenant.pk).values_list("at", flat=True)) == {
        edge()
    }
    confirmed()
    assert set(AuditEvent.objects.filter(kind="old").values_list("at", flat=True)) == {edge()}
    assert AuditEvent.objects.filter(kind="old").count() == 4
    assert QuarantinedRow.objects.count() == 4
    event = AuditEvent.objects.get(kind="retention.audit_events", tenant_id=tenant.pk)
    assert event.after
    assert (event.after["rows"], event.after["rule"]["months"]) == (1, 60)
    # What tells of a purge stays, however old.
    owner.execute("UPDATE audit_events SET at = '2001-01-01' WHERE kind LIKE 'retention.%'")
    confirmed()
    assert AuditEvent.objects.filter(kind="retention.audit_events").count() == 4


def test_one_tenants_purge_touches_no_other(
    at: MakeAt, employee: User, make_user: MakeUser, owner: On, tenant: Tenant, other_tenant: Tenant
) -> None:
    other, nobodys = make_user(tenant=other_tenant), make_user(tenant=None)
    for user in (employee, other, nobodys):
        at(-40 * DAY, user=user)
    aged(owner, employee, other, nobodys)
    confirmed("--tenant", tenant.tenant_uid)
    assert [len(left(user)) for user in (employee, other, nobodys)] == [0, 1, 1]
    # A suspended tenant's go by retention as well, and nobody's by the default.
    Tenant.objects.filter(pk=other_tenant.pk).update(status="suspended")
    confirmed()
    assert [len(left(user)) for user in (employee, other, nobodys)] == [0, 0, 0]
    assert found() == []
    with pytest.raises(CommandError, match="There is no tenant ten_x"):
        run("--tenant", "ten_x")


def test_of_a_closed_tenant_what_is_old_goes_and_nothing_else(
    old_and_young: tuple[list[WorkSession], list[WorkSession]], owner: On, employee: User
) -> None:
    _old, young = old_and_young
    owner.execute(f"UPDATE tenants SET status = 'closed' WHERE id = {employee.tenant_id}")
    with pytest.raises(IntegrityError, match="the tenant is closed"):
        WorkSession.objects.filter(user=employee).delete()
    assert removed() == 3
    assert left(employee) == {session.pk for session in young}
    assert found() == []


# --- what came by the import --------------------------------------------------------------------------------


@pytest.fixture
def imported(employee: User) -> list[int]:
    """Six work sessions that came at once, the first four before the edge; the second was corrected since."""
    with connect("import") as on:
        on.execute(
            "INSERT INTO work_sessions (id, user_id, start_time, end_time)"
            " SELECT 1000 + n, %(user)s, %(edge)s + (n - 4) * '1 day'::interval - interval '12 hours',"
            " %(edge)s + (n - 4) * '1 day'::interval - interval '4 hours' FROM generate_series(1, 6) AS n",
            {"user": employee.pk, "edge": edge()},
        )
    WorkSession.objects.filter(pk=1002).update(end_time=edge() - 2 * DAY - 5 * HOUR)
    return [1001, 1002, 1003, 1004, 1005, 1006]


def test_of_what_came_some_goes_and_the_rest_can_be_verified(
    imported: list[int], employee: User, owner: On
) -> None:
    confirmed()
    assert left(employee) == {1005, 1006}
    assert found() == []
    WorkSession.objects.filter(pk=1005).update(end_time=edge() + 21 * HOUR)
    assert found() == []
    with no_triggers(owner):
        owner.execute("UPDATE work_sessions SET created_at = now() WHERE id = 1006")
    assert found() == [
        f"employee {employee.pk}, row 1: of the 2 work sessions that came, one or more are not as they came"
    ]


def test_the_row_of_an_import_goes_with_the_last_of_them(
    imported: list[int], employee: User, owner: On, tenant: Tenant
) -> None:
    owner.execute("UPDATE work_session_history SET at = '2001-01-01'")
    owner.execute(REWRITE.format(user=employee.pk))
    confirmed()
    assert seqs(employee) == [1, 3]
    owner.execute("UPDATE tenants SET retention_months = 48")
    confirmed()
    assert left(employee) == set()
    assert [row.operation for row in WorkSessionHistory.objects.all()] == ["purge", "purge"]
    assert found() == []


def test_what_was_changed_behind_the_back_stays_and_is_said(
    imported: list[int], employee: User, owner: On
) -> None:
    with no_triggers(owner):
        owner.execute("UPDATE work_sessions SET created_at = now() WHERE id = 1003")
    with pytest.raises(CommandError, match="1 kept what should have gone"):
        confirmed()
    assert left(employee) == set(imported)
    # Nor does the database take the word of who asks.
    with pytest.raises(DatabaseError, match="is not as it came"), scope.everything(REASON):
        purge_directly(employee)
    assert left(employee) == set(imported)


# --- what is wrong is found ---------------------------------------------------------------------------------


def purge_directly(employee: User, at_most: int = 100) -> dict[str, Any] | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT purge_work_sessions(%s, 'x', %s)::text", [employee.pk, at_most])
        (went,) = cursor.fetchone()
    return json.loads(went) if went else None


def test_history_that_was_edited_stays_until_somebody_looked(
    old_and_young: tuple[list[WorkSession], list[WorkSession]],
    employee: User,
    make_user: MakeUser,
    at: MakeAt,
    owner: On,
) -> None:
    other = make_user()
    at(-40 * DAY, user=other)
    aged(owner, other)
    owner.execute(
        "UPDATE work_session_history SET reason = 'x' WHERE user_id = %s AND seq = 2", [employee.pk]
    )
    output = StringIO()
    with pytest.raises(CommandError, match="1 kept what should have gone"):
        call_command("purge_expired", "--confirm", stdout=output)
    assert f"employee {employee.pk} stayed: " in output.getvalue()
    assert "row 2: the row is not as it was written" in output.getvalue()
    assert (len(left(employee)), len(left(other))) == (5, 0)
    with pytest.raises(DatabaseError, match="is not as it was written"), scope.everything(REASON):
        purge_directly(employee)


GONE = "the rows between {} and this one are gone"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE work_session_history SET reason = 'x' WHERE seq = 6", "the row is not as it was written"),
        ("UPDATE work_session_history SET reason = 'x' WHERE seq = 8", "the row is not as it was written"),
        ("DELETE FROM work_session_history WHERE seq = 5", "the rows between 4 and this one are gone"),
        ("DELETE FROM work_session_history WHERE seq = 6", "the rows between 5 and this one are gone"),
        ("DELETE FROM work_session_history WHERE seq = 8", "the rows between 0 and this one are gone"),
        (
            "DELETE FROM work_sessions WHERE id = (SELECT max(id) FROM work_sessions)",
            "it is missing",
        ),
        (
            "UPDATE work_sessions SET end_time = end_time + interval '1 second'"
            " WHERE id = (SELECT max(id) FROM work_sessions)",
            "it is not as the history says",
        ),
        (
            "INSERT INTO work_sessions (user_id, start_time, end_time)"
            " SELECT user_id, '2001-01-01', '2001-01-02' FROM work_sessions LIMIT 1",
            "the history does not know it",
        ),
    ],
)
def test_whatever_was_not_purged_is_missed(
    old_and_young: tuple[list[WorkSession], list[WorkSession]], owner: On, statement: str, said: str
) -> None:
    confirmed()
    assert found() == []
    with no_triggers(owner):
        owner.execute(statement)
    assert [line.split(": ")[1] for line in found()][:1] == [said]


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/London"])
def test_a_purge_on_the_first_of_any_month_is_an_honest_one(
    old_and_young: object, employee: User, owner: On, zone: str
) -> None:
    """Also where months are not of one length: on 1 March in Japan, it is February elsewhere."""
    confirmed()
    for year, month in ((2035, 3), (2036, 3), (2035, 1), (2035, 10), (2035, 12)):
        moment = dt.datetime(year, month, 1, 0, 1, tzinfo=zoneinfo.ZoneInfo(zone))
        for months in (36, 37, 42, 66):
            for days, said in ((0, []), (2, ["it tells of a removal that the retention does not allow"])):
                owner.execute(
                    """
                    UPDATE work_session_history SET at = %(at)s, after = jsonb_set(after, '{rule}',
                        jsonb_build_object('months', %(months)s::integer, 'zone', %(zone)s::text, 'edge',
                            utc_text(retention_edge(%(at)s, %(zone)s, %(months)s) + %(more)s)))
                    WHERE operation = 'purge'
                    """,
                    {"at": moment, "months": months, "zone": zone, "more": dt.timedelta(days=days)},
                )
                rewrite_after_purge(owner, employee)
                assert [line.split(": ")[1] for line in found()] == said


# A checkpoint that the owner of the database wrote, with digests as they should be, over rows taken away.
FAKE = """
    WITH taken AS (
        DELETE FROM work_session_history WHERE user_id = {user} AND seq BETWEEN {first} AND {last} RETURNING *
    ),
    head AS (SELECT * FROM work_session_history WHERE user_id = {user} ORDER BY seq DESC LIMIT 1),
    told AS (
        SELECT jsonb_build_object(
            'run', 'x', 'rule', jsonb_build_object('months', {months}, 'zone', 'UTC', 'edge', '{edge}'),
            'sessions', 1, 'ids', '{ids}', 'imports', '[]'::jsonb, 'months', '{{}}'::jsonb, 'late', '{late}',
            'rows', {rows}, 'gaps', jsonb_build_array(jsonb_build_array(
                {first}, {last}, encode((SELECT digest FROM taken WHERE seq = {last}), 'hex'), {at}
            ))
        ) AS after
    )
    INSERT INTO work_session_history (user_id, seq, operation, at, door, after, previous, digest)
    SELECT
        (entry).user_id, (entry).seq, 'purge', (entry).at, 'command', (entry).after, (entry).previous,
        work_session_history_digest(entry)
    FROM (
        SELECT ROW(
            NULL, {user}, head.seq + 1, NULL, 'purge', clock_timestamp(), NULL, NULL, NULL, 'command', NULL,
            NULL, NULL, told.after, head.digest, NULL
        )::work_session_history AS entry
        FROM head, told OFFSET 0
    ) AS made
"""
OLD_ENOUGH = "2001-01-01T00:00:00.000000Z"
AS_IT_WAS = "(SELECT utc_text(at) FROM taken WHERE seq = {last})"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        # Truthful about when the rows were written: they are too young for what the rule says.
        ({}, "it tells of a removal that the retention does not allow"),
        # A rule under which they would be old enough is none.
        ({"edge": "2999-01-01T00:00:00.000000Z"}, "it tells of a removal that the retention does not allow"),
        (
            {"months": "0", "edge": "2999-01-01T00:00:00.000000Z"},
            "it tells of a removal that the retention does not allow",
        ),
        # Lies about when they were written: not after what comes before them.
        (
            {"at": f"'{OLD_ENOUGH}'", "first": "6", "last": "6"},
            "it tells of a removal of rows that were older than those before them",
        ),
        ({"rows": "7"}, "it tells of a removal that the retention does not allow"),
        # The digest is not that of what went.
        (
            {"at": f"'{OLD_ENOUGH}'", "first": "1", "last": "3", "edited": "yes"},
            "the row does not follow the one before it",
        ),
        # Nonsense is no excuse.
        ({"at": "'x'"}, "a row cannot be read"),
    ],
)
def test_a_faked_checkpoint(
    old_and_young: tuple[list[WorkSession], list[WorkSession]],
    employee: User,
    owner: On,
    changed: dict[str, str],
    said: str,
) -> None:
    _old, young = old_and_young
    given = {
        "user": str(employee.pk), "first": "5", "last": "7", "months": "60", "late": "{}", "rows": "3",
        "ids": f"{{[{young[0].pk},{young[1].pk + 1})}}",
        "edge": f"{edge().astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.%fZ}", "at": AS_IT_WAS, **changed,
    }  # fmt: skip
    if "first" in changed and "rows" not in changed:
        given["rows"] = str(int(given["last"]) - int(given["first"]) + 1)
    given["at"] = given["at"].format(last=given["last"])
    with no_triggers(owner):
        owner.execute("DELETE FROM work_sessions WHERE id = ANY (%s)", [[s.pk for s in young]])
    # The rows that end the chain cannot be in a gap before it: another one comes first.
    WorkSession.objects.create(user=employee, start_time=edge() + 90 * DAY, end_time=edge() + 91 * DAY)
    if given.pop("edited", None):
        owner.execute("UPDATE work_session_history SET digest = sha256('x') WHERE seq = 3")
    owner.execute(FAKE.format(**given))
    assert [line.split(": ")[1] for line in found_anywhere()][:1] == [said]


def found_anywhere() -> list[str]:
    return [str(finding) for finding in chains.verify().findings]


def test_a_young_one_that_is_said_to_have_been_old(
    old_and_young: tuple[list[WorkSession], list[WorkSession]], employee: User, owner: On
) -> None:
    """Its rows are too young to be taken away; with them left, they say how old it was."""
    old, young = old_and_young
    with no_triggers(owner):
        owner.execute("DELETE FROM work_sessions WHERE id IN (%s, %s)", [young[1].pk, old[0].pk])
    ids = f"{{[{old[0].pk},{old[0].pk + 1}),[{young[1].pk},{young[1].pk + 1})}}"
    owner.execute(
        FAKE.format(
            user=employee.pk,
            first=1,
            last=1,
            months=60,
            ids=ids,
            late=f"{{[{young[1].pk},{young[1].pk + 1})}}",
            rows=1,
            edge=f"{edge().astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            at=AS_IT_WAS.format(last=1),
        )
    )
    assert found() == [
        f"employee {employee.pk}, work session {young[1].pk}, row 8:"
        " it is recorded as older than the retention, but was not"
    ]


# --- anchors ------------------------------------------------------------------------------------------------


def month_of(moment: dt.datetime) -> str:
    return f"{moment.astimezone(JAPAN):%Y-%m}"


def export(tenant: Tenant, month: str, **options: str) -> str:
    output = StringIO()
    call_command("export_anchor", tenant=tenant.tenant_uid, month=month, stdout=output, **options)
    return output.getvalue()


def test_anchors_of_all_months_fit_after_a_purge(
    old_and_young: tuple[list[WorkSession], list[WorkSession]], employee: User, tenant: Tenant, tmp_path: Path
) -> None:
    old, young = old_and_young
    months = {month_of(session.start_time) for session in (*old, *young)}
    assert len(months) > 2
    before = {month: export(tenant, month) for month in months}
    confirmed()
    assert {month: export(tenant, month) for month in months} == before
    for month, text in before.items():
        path = tmp_path / month
        path.write_text(text, encoding="utf-8")
        assert "the history fits the anchor" in export(tenant, month, check=str(path))
        digest = text.splitlines()[1].removeprefix("digest ")
        assert "the digest fits" in export(tenant, month, check=digest)


def test_an_anchor_finds_what_was_rewritten_before_it_was_purged(
    old_and_young: tuple[list[WorkSession], list[WorkSession]],
    employee: User,
    tenant: Tenant,
    owner: On,
    tmp_path: Path,
) -> None:
    old, _young = old_and_young
    month = month_of(old[0].start_time)
    path = tmp_path / "anchor"
    path.write_text(export(tenant, month), encoding="utf-8")
    with no_triggers(owner):
        owner.execute("UPDATE work_sessions SET end_time = start_time WHERE id = %s", [old[0].pk])
    owner.execute(
        "UPDATE work_session_history SET after = jsonb_set(after, '{end_time}', after -> 'start_time')"
        " WHERE seq = 1"
    )
    owner.execute(REWRITE.format(user=employee.pk))
    confirmed()
    assert found() == []
    with pytest.raises(CommandError, match="1 findings against the anchor"):
        export(tenant, month, check=str(path))


def test_an_anchor_of_another_zone_is_noticed_where_it_tells_no_more(
    at: MakeAt, employee: User, tenant: Tenant, owner: On, tmp_path: Path
) -> None:
    """Its month ended in the middle of what went."""
    first = edge() - 40 * DAY
    until = first.astimezone(JAPAN).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for hours in (3, 11, 30):
        at(until - edge() + hours * HOUR, 1)
    aged(owner, employee)
    Tenant.objects.filter(pk=tenant.pk).update(time_zone="America/New_York")
    month = month_of(until - DAY)
    path = tmp_path / "anchor"
    path.write_text(export(tenant, month), encoding="utf-8")
    assert f"{employee.pk} 2 " in path.read_text(encoding="utf-8")
    Tenant.objects.filter(pk=tenant.pk).update(time_zone="Asia/Tokyo")
    confirmed()
    said = export(tenant, month, check=str(path))
    assert (
        f"Notice: tenant {tenant.tenant_uid}, employee {employee.pk}, row 2: removed by retention since"
        in said
    )


# --- the manifest -------------------------------------------------------------------------------------------


def test_the_manifest_says_what_went(
    old_and_young: tuple[list[WorkSession], list[WorkSession]],
    employee: User,
    tenant: Tenant,
    owner: On,
    tmp_path: Path,
) -> None:
    old, _young = old_and_young
    owner.execute(
        "INSERT INTO audit_events (at, tenant_id, kind, door) VALUES ('2001-01-01', %s, 'old', 'clock')",
        [tenant.pk],
    )
    months: dict[str, int] = {}
    for session in old:
        months[month_of(session.start_time)] = months.get(month_of(session.start_time), 0) + 1
    path = tmp_path / "manifest.json"
    said = confirmed("--manifest", str(path))
    told = json.loads(path.read_text(encoding="utf-8"))
    assert f"Run {told['run']}\n" in said
    assert f"Manifest {path}, digest {told['digest']}\n" in said
    (entry,) = told["tenants"]
    assert (entry["tenant"], entry["months"]) == (tenant.tenant_uid, months)
    assert entry["work_sessions"] == {
        "number": 3, "first_id": old[0].pk, "last_id": old[2].pk, "rows_of_history": 4
    }  # fmt: skip
    (purged,) = entry["employees"]
    row = WorkSessionHistory.objects.get(operation="purge")
    assert (purged["employee"], purged["row"], purged["row_digest"]) == (
        employee.pk, row.seq, bytes(row.digest).hex()
    )  # fmt: skip
    assert purged["rule"]["months"] == 60
    assert purged["by"]["reason"] == f"older than the retention: purge_expired {told['run']}"
    (event,) = entry["events"]
    assert (event["kind"], event["rows"]) == ("audit_events", 1)
    assert run("--check", str(path)) == f"{path}: the database tells the same of the run {told['run']}.\n"
    assert json.loads(run("--manifest-of", told["run"])) == told
    with pytest.raises(CommandError, match="is there already"):
        confirmed("--manifest", str(path))


def test_a_manifest_that_does_not_fit(
    old_and_young: tuple[list[WorkSession], list[WorkSession]], employee: User, owner: On, tmp_path: Path
) -> None:
    path = tmp_path / "manifest.json"
    confirmed("--manifest", str(path))
    kept = path.read_text(encoding="utf-8")
    path.write_text(kept.replace('"number": 3', '"number": 2'), encoding="utf-8")
    with pytest.raises(CommandError, match="the digest is not that of the manifest"):
        run("--check", str(path))
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(CommandError, match="is no manifest"):
        run("--check", str(path))
    # Rewritten with all digests: the chain is whole, and the manifest that lies elsewhere tells.
    path.write_text(kept, encoding="utf-8")
    owner.execute("UPDATE work_session_history SET reason = 'x' WHERE operation = 'purge'")
    rewrite_after_purge(owner, employee)
    assert found() == []
    with pytest.raises(CommandError, match="the database tells something else"):
        run("--check", str(path))
    with pytest.raises(CommandError, match="is not the name of a run"):
        run("--manifest-of", "yesterday")


# --- broken off ---------------------------------------------------------------------------------------------


def test_broken_off_between_two_transactions_it_goes_on_where_it_was(
    at: MakeAt, employee: User, owner: On, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(7):
        at((day - 40) * DAY)
    kept = at(DAY)
    aged(owner, employee)
    monkeypatch.setattr(retention, "AT_ONCE", 3)

    def breaks_off() -> None:
        raise KeyboardInterrupt

    with scope.none(), pytest.raises(KeyboardInterrupt):
        retention.purge(Owner.of(tenant), "20261101T000000Z-00000000", REASON, each=breaks_off)
    assert len(left(employee)) == 5
    assert found() == []
    assert removed() == 4
    assert left(employee) == {kept.pk}
    rows = WorkSessionHistory.objects.filter(operation="purge").order_by("seq")
    assert [row.after["sessions"] for row in rows if row.after] == [3, 3, 1]
    assert found() == []


# --- who may ------------------------------------------------------------------------------------------------


def test_the_application_removes_nothing_that_is_younger_whatever_it_asks_for(
    old_and_young: tuple[list[WorkSession], list[WorkSession]], employee: User
) -> None:
    _old, young = old_and_young
    with scope.everything(REASON):
        for at_most in (1_000_000, 1):
            purge_directly(employee, at_most)
        assert purge_directly(employee) is None
    assert left(employee) == {session.pk for session in young}
    assert seqs(employee)[:3] == [5, 6, 7]


@pytest.mark.parametrize("function", ["purge_work_sessions", "purge_audit_events", "purge_import_quarantine"])
@pytest.mark.parametrize("reach", ["own", "tenant", "all through the door admin"])
def test_who_does_not_run_the_command_removes_nothing(
    old_and_young: tuple[list[WorkSession], list[WorkSession]],
    employee: User,
    tenant: Tenant,
    function: str,
    reach: str,
) -> None:
    given: dict[str, Any] = {
        "tenant": tenant.pk,
        "user": employee.pk,
        "reason": "x",
        "door": scope.Door.COMMAND,
    }
    if reach.startswith("all"):
        given |= {"reach": scope.Reach.ALL, "door": scope.Door.ADMIN}
    else:
        given["reach"] = scope.Reach(reach)
    whose = employee.pk if function == "purge_work_sessions" else tenant.pk
    with (
        pytest.raises(ProgrammingError, match="are removed by a command"),
        scope.enter(scope.Scope(**given)),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"SELECT {function}(%s, 'x', 1000)", [whose])
    assert len(left(employee)) == 5
    assert AuditEvent.objects.filter(tenant_id=tenant.pk).exists()
